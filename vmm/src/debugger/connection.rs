//! Where gdb connects: a TCP port, or a socket in the file system.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use super::Connection;
use crate::error::Error;

/// Waits for gdb.
pub enum Listener {
    /// On a TCP address.
    Tcp(TcpListener, String),
    /// On a socket in the file system.
    Unix(UnixListener, String),
}

impl Listener {
    /// Listens on `PORT`, which is this host's alone, `HOST:PORT`, or a path with a `/`.
    pub fn open(address: &str) -> Result<Self, Error> {
        let refused = |error: std::io::Error| {
            Error::System(format!(
                "--gdb {address}: cannot listen there: {error}; give a free PORT, a HOST:PORT, or the path of a socket that does not exist yet"
            ))
        };
        if address.contains('/') {
            let socket = UnixListener::bind(Path::new(address)).map_err(refused)?;
            return Ok(Self::Unix(socket, address.into()));
        }
        let full = match address.contains(':') {
            true => address.to_owned(),
            false => format!("127.0.0.1:{address}"),
        };
        let socket = TcpListener::bind(&full).map_err(refused)?;
        // The system chooses where port 0 was given.
        let chosen = socket
            .local_addr()
            .map_or(full, |chosen| chosen.to_string());
        Ok(Self::Tcp(socket, chosen))
    }

    /// The address as gdb's `target remote` wants it.
    pub fn address(&self) -> &str {
        match self {
            Self::Tcp(_, address) | Self::Unix(_, address) => address,
        }
    }

    /// Waits for the first connection; there is no second.
    pub fn accept(self) -> Result<Stream, Error> {
        let stream = match &self {
            Self::Tcp(listener, _) => listener.accept().and_then(|(stream, _)| {
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }),
            Self::Unix(listener, path) => listener.accept().map(|(stream, _)| {
                // Nobody else is to find it. That it is gone already is no error.
                let _ = std::fs::remove_file(path);
                Stream::Unix(stream)
            }),
        };
        stream.map_err(|error| Error::system("waiting for gdb", error))
    }
}

/// What gdb is connected by; it may go to another thread.
pub enum Stream {
    /// A TCP connection.
    Tcp(TcpStream),
    /// One in the file system.
    Unix(UnixStream),
}

impl Stream {
    /// For the protocol.
    pub fn into_connection(self) -> Connection {
        match self {
            Self::Tcp(stream) => Box::new(stream),
            Self::Unix(stream) => Box::new(stream),
        }
    }
}
