//! Open files of a program, and the file system behind them.

pub mod descriptors;
pub mod device;
pub mod node;
pub mod open;
pub mod path;
pub mod status;
