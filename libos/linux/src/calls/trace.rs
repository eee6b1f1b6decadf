//! How calls are printed: as strace does, with names of errors and flags, and the beginnings of strings.

use alloc::string::String;
use core::fmt::Write;

use linux_raw_sys::general as linux;

use super::{Arguments, Call, program};
use crate::errno::Errno;
use crate::message;
use crate::process::{FIRST, Process};
use crate::wait::{self, Stop};

/// Bytes of a string that are shown.
const STRING_BYTES_MAX: u64 = 32;

/// Names of bits.
type Names = &'static [(u32, &'static str)];

/// What an argument is.
#[derive(Clone, Copy)]
enum Kind {
    /// A number that may be negative.
    Number,
    /// A number in octal digits.
    Mode,
    /// A descriptor, or the working directory.
    Descriptor,
    /// An address, or anything else that is shown as one.
    Address,
    /// The address of a string that ends with a zero.
    Text,
    /// The address of bytes that the call takes; the next argument says how many.
    Taken,
    /// The address of bytes that the call gives; its value says how many.
    Given,
    /// Two descriptors that the call gives.
    Pair,
    /// The flags of `open`.
    Open,
    /// A signal.
    Signal,
    /// Bits.
    Bits(Names),
    /// One of several numbers.
    OneOf(Names),
}

use Kind::{
    Address, Bits, Descriptor, Given, Mode, Number, OneOf, Open, Pair, Signal, Taken, Text,
};

macro_rules! names {
    ($($name:ident)*) => { &[$((linux::$name, stringify!($name))),*] };
}

const OPEN: Names = names!(
    O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_DIRECTORY O_NOFOLLOW O_CLOEXEC O_PATH O_DIRECT O_LARGEFILE
);
const ACCESS: Names = names!(O_RDONLY O_WRONLY O_RDWR);
const PROTECTION: Names = names!(PROT_READ PROT_WRITE PROT_EXEC);
const MAPPING: Names = names!(
    MAP_SHARED MAP_PRIVATE MAP_FIXED MAP_ANONYMOUS MAP_NORESERVE MAP_STACK MAP_POPULATE MAP_FIXED_NOREPLACE MAP_GROWSDOWN
);
const FROM: Names = names!(SEEK_SET SEEK_CUR SEEK_END);
const AT: Names = names!(AT_SYMLINK_NOFOLLOW AT_REMOVEDIR AT_SYMLINK_FOLLOW AT_EMPTY_PATH);
const CONTROL: Names = names!(
    F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_GETLK F_SETLK F_SETLKW F_DUPFD_CLOEXEC F_SETPIPE_SZ F_GETPIPE_SZ
);
const CLONE: Names = names!(
    CLONE_VM CLONE_FS CLONE_FILES CLONE_SIGHAND CLONE_VFORK CLONE_PARENT CLONE_THREAD CLONE_SYSVSEM CLONE_SETTLS CLONE_PARENT_SETTID
    CLONE_CHILD_CLEARTID CLONE_CHILD_SETTID
);
const CLOCKS: Names = names!(
    CLOCK_REALTIME CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID CLOCK_THREAD_CPUTIME_ID CLOCK_MONOTONIC_RAW CLOCK_REALTIME_COARSE
    CLOCK_MONOTONIC_COARSE CLOCK_BOOTTIME
);
const HOW: Names = names!(SIG_BLOCK SIG_UNBLOCK SIG_SETMASK);
const WAITING: Names = names!(WNOHANG WUNTRACED WEXITED WCONTINUED WNOWAIT);
const REMAPPING: Names = names!(MREMAP_MAYMOVE MREMAP_FIXED MREMAP_DONTUNMAP);
const ADVICE: Names =
    names!(MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MADV_DONTNEED MADV_FREE);
const CHANGE: Names = names!(EPOLL_CTL_ADD EPOLL_CTL_DEL EPOLL_CTL_MOD);
const RESOURCE: Names = names!(
    RLIMIT_CPU RLIMIT_FSIZE RLIMIT_DATA RLIMIT_STACK RLIMIT_CORE RLIMIT_NPROC RLIMIT_NOFILE RLIMIT_AS
);
const SIGNALS: Names = names!(
    SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM SIGSTKFLT
    SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS
);
const DESCRIPTOR_FLAGS: Names = names!(O_CLOEXEC O_NONBLOCK);
/// `arch_prctl` codes (linux, arch/x86/include/uapi/asm/prctl.h).
const ARCHITECTURE: Names = &[
    (0x1001, "ARCH_SET_GS"),
    (0x1002, "ARCH_SET_FS"),
    (0x1003, "ARCH_GET_FS"),
];
/// `access` (Linux man page access(2)).
const ACCESSES: Names = &[(4, "R_OK"), (2, "W_OK"), (1, "X_OK")];

/// What the arguments of a call are. Of others all are addresses.
fn kinds(name: &str) -> &'static [Kind] {
    match name {
        "read" | "getrandom" => match name {
            "read" => &[Descriptor, Given, Number],
            _ => &[Address, Number, Address],
        },
        "write" => &[Descriptor, Taken, Number],
        "pread64" => &[Descriptor, Given, Number, Number],
        "pwrite64" => &[Descriptor, Taken, Number, Number],
        "readv" | "writev" => &[Descriptor, Address, Number],
        "preadv" | "pwritev" => &[Descriptor, Address, Number, Number],
        "sendto" => &[Descriptor, Taken, Number, Address, Address, Number],
        "recvfrom" => &[Descriptor, Given, Number, Address, Address, Address],
        "lseek" => &[Descriptor, Number, OneOf(FROM)],
        "ftruncate" => &[Descriptor, Number],
        "truncate" => &[Text, Number],
        "fsync" | "fdatasync" | "close" | "dup" | "fchdir" => &[Descriptor],
        "dup2" => &[Descriptor, Descriptor],
        "dup3" => &[Descriptor, Descriptor, Bits(DESCRIPTOR_FLAGS)],
        "getdents64" => &[Descriptor, Address, Number],
        "fstat" | "fstatfs" => &[Descriptor, Address],
        "fcntl" => &[Descriptor, OneOf(CONTROL), Address],
        "ioctl" => &[Descriptor, Address, Address],
        "open" => &[Text, Open, Mode],
        "openat" => &[Descriptor, Text, Open, Mode],
        "creat" | "mkdir" | "chmod" => &[Text, Mode],
        "mkdirat" | "fchmodat" => &[Descriptor, Text, Mode],
        "fchmod" => &[Descriptor, Mode],
        "stat" | "lstat" | "statfs" => &[Text, Address],
        "newfstatat" => &[Descriptor, Text, Address, Bits(AT)],
        "statx" => &[Descriptor, Text, Bits(AT), Address, Address],
        "access" => &[Text, Bits(ACCESSES)],
        "faccessat" | "faccessat2" => &[Descriptor, Text, Bits(ACCESSES), Bits(AT)],
        "readlink" => &[Text, Given, Number],
        "readlinkat" => &[Descriptor, Text, Given, Number],
        "rmdir" | "unlink" | "chdir" | "chroot" => &[Text],
        "unlinkat" => &[Descriptor, Text, Bits(AT)],
        "rename" | "link" | "symlink" => &[Text, Text],
        "renameat" | "renameat2" => &[Descriptor, Text, Descriptor, Text, Address],
        "linkat" => &[Descriptor, Text, Descriptor, Text, Bits(AT)],
        "symlinkat" => &[Text, Descriptor, Text],
        "utimensat" => &[Descriptor, Text, Address, Bits(AT)],
        "getcwd" => &[Given, Number],
        "umask" => &[Mode],
        "mmap" => &[
            Address,
            Number,
            Bits(PROTECTION),
            Bits(MAPPING),
            Descriptor,
            Address,
        ],
        "munmap" => &[Address, Number],
        "mprotect" => &[Address, Number, Bits(PROTECTION)],
        "mremap" => &[Address, Number, Number, Bits(REMAPPING), Address],
        "madvise" => &[Address, Number, OneOf(ADVICE)],
        "pipe" => &[Pair],
        "pipe2" => &[Pair, Bits(DESCRIPTOR_FLAGS)],
        "socketpair" => &[Number, Number, Number, Pair],
        "poll" => &[Address, Number, Number],
        "select" | "pselect6" => &[Number, Address, Address, Address, Address, Address],
        "eventfd2" => &[Number, Bits(DESCRIPTOR_FLAGS)],
        "epoll_create1" => &[Bits(DESCRIPTOR_FLAGS)],
        "epoll_ctl" => &[Descriptor, OneOf(CHANGE), Descriptor, Address],
        "epoll_wait" | "epoll_pwait" => &[Descriptor, Address, Number, Number, Address, Number],
        "timerfd_create" => &[OneOf(CLOCKS), Bits(DESCRIPTOR_FLAGS)],
        "timerfd_settime" => &[Descriptor, Number, Address, Address],
        "timerfd_gettime" => &[Descriptor, Address],
        "sendfile" => &[Descriptor, Descriptor, Address, Number],
        "exit" | "exit_group" | "alarm" => &[Number],
        "arch_prctl" => &[OneOf(ARCHITECTURE), Address],
        "kill" | "tkill" => &[Number, Signal],
        "tgkill" => &[Number, Number, Signal],
        "rt_sigaction" => &[Signal, Address, Address, Number],
        "rt_sigprocmask" => &[OneOf(HOW), Address, Address, Number],
        "clone" => &[Bits(CLONE), Address, Address, Address, Address],
        "clone3" => &[Address, Number],
        "wait4" => &[Number, Address, Bits(WAITING), Address],
        "waitid" => &[Number, Number, Address, Bits(WAITING), Address],
        "execve" => &[Text, Address, Address],
        "execveat" => &[Descriptor, Text, Address, Address, Bits(AT)],
        "setpgid" => &[Number, Number],
        "getpgid" | "getsid" => &[Number],
        "clock_gettime" | "clock_getres" => &[OneOf(CLOCKS), Address],
        "clock_nanosleep" => &[OneOf(CLOCKS), Number, Address, Address],
        "prlimit64" => &[Number, OneOf(RESOURCE), Address, Address],
        _ => &[],
    }
}

/// Prints a call that is done, or that ends its thread.
pub fn print(process: &mut Process, call: &Call, arguments: Arguments, result: &wait::Result) {
    let (value, outcome) = match result {
        Ok(value) => (Some(*value), show_value(call.name, *value)),
        Err(Stop::Error(error)) => (None, show_error(*error)),
        Err(Stop::End) => (None, String::from("?")),
        // It is done again, and printed then.
        Err(Stop::Wait(_)) => return,
    };
    let mut line = String::new();
    let kinds = kinds(call.name);
    for (index, &argument) in arguments.iter().enumerate().take(call.arguments) {
        if index != 0 {
            line.push_str(", ");
        }
        let kind = kinds.get(index).copied().unwrap_or(Address);
        let count = match kind {
            Taken => arguments.get(index + 1).copied(),
            _ => value,
        };
        show(process, &mut line, kind, argument, count);
        if is_last_that_matters(call.name, kind, argument) {
            break;
        }
    }
    print_line(process, call.name, &line, &outcome);
}

/// Prints a call that there is not.
pub fn print_unknown(process: &Process, number: u64, arguments: Arguments) {
    let mut line = String::new();
    for (index, argument) in arguments.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(line, "{separator}{argument:#x}");
    }
    let unknown = alloc::format!("syscall_{number:#x}");
    let name = super::names::of(number).unwrap_or(&unknown);
    print_line(process, name, &line, &show_error(Errno::ENOSYS));
}

fn print_line(process: &Process, name: &str, arguments: &str, outcome: &str) {
    let call = alloc::format!("{name}({arguments})");
    match process.member.number {
        FIRST => message!("{call:<39} = {outcome}"),
        number => message!("[pid {number:>5}] {call:<39} = {outcome}"),
    }
}

/// `open` has a mode only when it may make a file.
fn is_last_that_matters(name: &str, kind: Kind, argument: u64) -> bool {
    matches!(kind, Open) && name.starts_with("open") && argument as u32 & linux::O_CREAT == 0
}

fn show_error(error: Errno) -> String {
    let (name, text) = error.describe();
    alloc::format!("-1 {name} ({text})")
}

fn show_value(name: &str, value: u64) -> String {
    match name {
        "mmap" | "brk" | "mremap" | "shmat" => alloc::format!("{value:#x}"),
        "umask" => alloc::format!("0{value:o}"),
        _ => alloc::format!("{}", value as i64),
    }
}

fn show(process: &mut Process, line: &mut String, kind: Kind, argument: u64, count: Option<u64>) {
    // Writing to a string does not fail.
    let _ = match kind {
        Number => write!(line, "{}", argument as i64),
        Mode => write!(line, "0{argument:o}"),
        Descriptor if argument as i32 == linux::AT_FDCWD => write!(line, "AT_FDCWD"),
        Descriptor => write!(line, "{}", argument as i32),
        Address if argument == 0 => write!(line, "NULL"),
        Address => write!(line, "{argument:#x}"),
        Open => {
            let access = ACCESS.iter().find(|(bits, _)| *bits == argument as u32 & 3);
            line.push_str(access.map_or("O_ACCMODE", |(_, name)| name));
            let rest = argument as u32 & !3;
            if rest != 0 {
                line.push('|');
                show_bits(line, OPEN, rest);
            }
            Ok(())
        }
        Bits(names) => {
            show_bits(line, names, argument as u32);
            Ok(())
        }
        OneOf(names) => show_name(line, names, argument as u32),
        Signal => show_name(line, SIGNALS, argument as u32),
        Text => show_text(process, line, argument),
        Taken | Given => show_bytes(process, line, argument, count),
        Pair => match (count, program::read_words(process, argument)) {
            (Some(_), Ok([pair])) => write!(line, "[{}, {}]", pair as u32, pair >> 32),
            _ => write!(line, "{argument:#x}"),
        },
    };
}

fn show_name(line: &mut String, names: Names, value: u32) -> core::fmt::Result {
    match names.iter().find(|(number, _)| *number == value) {
        Some((_, name)) => write!(line, "{name}"),
        None => write!(line, "{value:#x}"),
    }
}

fn show_bits(line: &mut String, names: Names, value: u32) {
    let mut rest = value;
    let mut separator = "";
    for &(bits, name) in names {
        if bits != 0 && rest & bits == bits {
            rest &= !bits;
            let _ = write!(line, "{separator}{name}");
            separator = "|";
        }
    }
    if rest != 0 || value == 0 {
        let _ = match rest {
            0 => write!(line, "0"),
            _ => write!(line, "{separator}{rest:#x}"),
        };
    }
}

fn show_text(process: &mut Process, line: &mut String, address: u64) -> core::fmt::Result {
    match program::read_string(process, address) {
        Ok(text) => {
            show_quoted(line, &text);
            Ok(())
        }
        Err(_) => write!(line, "{address:#x}"),
    }
}

fn show_bytes(
    process: &mut Process,
    line: &mut String,
    address: u64,
    count: Option<u64>,
) -> core::fmt::Result {
    let shown = count.map(|count| count.min(STRING_BYTES_MAX) as usize);
    let bytes = shown.and_then(|shown| program::read(process, address, shown).ok());
    match (bytes, count) {
        (Some(bytes), Some(count)) => {
            show_quoted(line, &bytes);
            write!(
                line,
                "{}",
                if count > STRING_BYTES_MAX { "..." } else { "" }
            )
        }
        _ => write!(line, "{address:#x}"),
    }
}

fn show_quoted(line: &mut String, bytes: &[u8]) {
    line.push('"');
    for &byte in bytes {
        let _ = match byte {
            b'\n' => write!(line, "\\n"),
            b'\t' => write!(line, "\\t"),
            b'\r' => write!(line, "\\r"),
            b'"' | b'\\' => write!(line, "\\{}", char::from(byte)),
            b' '..=b'~' => write!(line, "{}", char::from(byte)),
            _ => write!(line, "\\{byte:o}"),
        };
    }
    line.push('"');
}
