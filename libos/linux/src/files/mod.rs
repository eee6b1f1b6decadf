//! Open files of a program, and the file system behind them.

pub mod counter;
pub mod descriptors;
pub mod device;
pub mod epoll;
pub mod node;
pub mod open;
pub mod path;
pub mod pipe;
pub mod socket;
pub mod status;
pub mod timer;
