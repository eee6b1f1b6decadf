//! Open files of a program, and the file system behind them.

pub mod asker;
pub mod console;
pub mod counter;
pub mod credentials;
pub mod data;
pub mod descriptors;
pub mod device;
pub mod epoll;
pub mod image;
pub mod line;
pub mod locks;
pub mod node;
pub mod open;
pub mod outside;
pub mod path;
pub mod pipe;
pub mod report;
pub mod root;
pub mod signals;
pub mod socket;
pub mod status;
pub mod store;
pub mod terminal;
pub mod timer;
pub mod tree;
