//! Error numbers of Linux, as system calls return them.

use exo_rt::fault::FaultRecord;
use linux_raw_sys::errno;

/// An error number, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub u32);

/// What a system call gives back.
pub type Result<T = u64> = core::result::Result<T, Errno>;

macro_rules! errors {
    ($($name:ident $text:literal,)*) => {
        impl Errno {
            $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: Self = Self(errno::$name);)*

            /// Its name, and what that means.
            pub fn describe(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => (stringify!($name), $text),)*
                    Self(_) => ("E?", "Unknown error"),
                }
            }
        }
    };
}

errors!(
    E2BIG "Argument list too long",
    EACCES "Permission denied",
    EADDRINUSE "Address already in use",
    EAFNOSUPPORT "Address family not supported by protocol",
    EAGAIN "Resource temporarily unavailable",
    EBADF "Bad file descriptor",
    EBUSY "Device or resource busy",
    ECHILD "No child processes",
    ECONNREFUSED "Connection refused",
    ECONNRESET "Connection reset by peer",
    EDEADLK "Resource deadlock avoided",
    EDESTADDRREQ "Destination address required",
    EEXIST "File exists",
    EFAULT "Bad address",
    EFBIG "File too large",
    EINTR "Interrupted system call",
    EINVAL "Invalid argument",
    EIO "Input/output error",
    EISCONN "Transport endpoint is already connected",
    EISDIR "Is a directory",
    ELOOP "Too many levels of symbolic links",
    EMFILE "Too many open files",
    EMLINK "Too many links",
    EMSGSIZE "Message too long",
    ENAMETOOLONG "File name too long",
    ENODEV "No such device",
    ENOENT "No such file or directory",
    ENOEXEC "Exec format error",
    ENOMEM "Cannot allocate memory",
    ENOPROTOOPT "Protocol not available",
    ENOSPC "No space left on device",
    ENOSYS "Function not implemented",
    ENOTCONN "Transport endpoint is not connected",
    ENOTDIR "Not a directory",
    ENOTEMPTY "Directory not empty",
    ENOTSOCK "Socket operation on non-socket",
    ENOTTY "Inappropriate ioctl for device",
    ENXIO "No such device or address",
    EOPNOTSUPP "Operation not supported",
    EOVERFLOW "Value too large for defined data type",
    EPERM "Operation not permitted",
    EPIPE "Broken pipe",
    EPROTONOSUPPORT "Protocol not supported",
    ERANGE "Numerical result out of range",
    EROFS "Read-only file system",
    ESOCKTNOSUPPORT "Socket type not supported",
    ESPIPE "Illegal seek",
    ESRCH "No such process",
    ETIMEDOUT "Connection timed out",
    EXDEV "Invalid cross-device link",
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
