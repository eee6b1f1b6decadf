//! Error numbers of Linux, as system calls return them.

use exo_rt::fault::FaultRecord;
use linux_raw_sys::errno;

/// An error number, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub u32);

/// What a system call gives back.
pub type Result<T = u64> = core::result::Result<T, Errno>;

macro_rules! errors {
    ($($name:ident),*) => {
        impl Errno {
            $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: Self = Self(errno::$name);)*
        }
    };
}

errors!(
    E2BIG,
    EACCES,
    EADDRINUSE,
    EAFNOSUPPORT,
    EAGAIN,
    EBADF,
    EBUSY,
    ECHILD,
    ECONNREFUSED,
    ECONNRESET,
    EDEADLK,
    EDESTADDRREQ,
    EEXIST,
    EFAULT,
    EFBIG,
    EINTR,
    EINVAL,
    EIO,
    EISCONN,
    EISDIR,
    ELOOP,
    EMFILE,
    EMLINK,
    EMSGSIZE,
    ENAMETOOLONG,
    ENODEV,
    ENOENT,
    ENOEXEC,
    ENOMEM,
    ENOPROTOOPT,
    ENOSPC,
    ENOSYS,
    ENOTCONN,
    ENOTDIR,
    ENOTEMPTY,
    ENOTSOCK,
    ENOTTY,
    ENXIO,
    EOPNOTSUPP,
    EOVERFLOW,
    EPERM,
    EPIPE,
    EPROTONOSUPPORT,
    ERANGE,
    EROFS,
    ESOCKTNOSUPPORT,
    ESPIPE,
    ESRCH,
    ETIMEDOUT,
    EXDEV
);

impl From<FaultRecord> for Errno {
    fn from(_: FaultRecord) -> Self {
        Self::EFAULT
    }
}

/// The number that goes to the program: the value, or the error as a negative number.
pub fn encode(result: Result) -> u64 {
    match result {
        Ok(value) => value,
        Err(Errno(number)) => i64::from(number).wrapping_neg() as u64,
    }
}
