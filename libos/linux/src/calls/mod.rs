//! The system calls: number, name, how many arguments, and who does them. The table is the one place that knows.
//!
//! A call gets the process and its arguments, and gives a value or an error. How it was reached is not its concern.

mod advice;
mod attributes;
mod child;
mod copy;
mod descriptor;
mod device;
mod event;
mod execute;
mod file;
mod futex;
mod group;
mod identity;
mod link;
mod lock;
mod memory;
pub mod names;
mod path;
mod pipe;
mod poll;
mod process;
mod processor;
pub use process::kill as kill_process;
pub mod program;
mod signal;
mod socket;
mod thread;
mod time;
mod timer;
mod trace;
pub use time::now;

use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use crate::errno::{Errno, Result};
use crate::files::node::Content;
use crate::files::open::OpenFile;
use crate::process::Process;
use crate::wait::{self, Stop};

/// Arguments of a call, in the order of Linux.
pub type Arguments = [u64; 6];

/// What does a call. One that has to wait has changed nothing yet, or what it has done is in [`crate::wait::Wait::moved`]: it is done
/// again from its start.
type Handler = fn(&mut Process, Arguments) -> wait::Result;

/// One row of the table.
pub struct Call {
    /// Number.
    pub number: u32,
    /// Name.
    pub name: &'static str,
    /// Arguments that it has.
    pub arguments: usize,
    /// It reads or changes the registers of its thread, beyond arguments and value.
    pub wants_context: bool,
    handler: Handler,
}

/// A row is number, name, arguments, handler, and `whole` where that wants all registers of the thread. A handler that never waits gives
/// an error number, any other a [`Stop`].
macro_rules! calls {
    ($($number:ident $name:literal $arguments:literal $handler:path $(, $whole:ident)?;)*) => {
        /// Every call that is implemented.
        pub const CALLS: &[Call] = &[$(Call {
            number: linux::$number,
            name: $name,
            arguments: $arguments,
            wants_context: calls!(@ $($whole)?),
            handler: |process, arguments| $handler(process, arguments).map_err(Stop::from),
        }),*];
    };
    (@ whole) => { true };
    (@) => { false };
}

calls! {
    __NR_read "read" 3 file::read;
    __NR_write "write" 3 file::write;
    __NR_readv "readv" 3 file::readv;
    __NR_writev "writev" 3 file::writev;
    __NR_pread64 "pread64" 4 file::pread;
    __NR_pwrite64 "pwrite64" 4 file::pwrite;
    __NR_preadv "preadv" 4 file::preadv;
    __NR_pwritev "pwritev" 4 file::pwritev;
    __NR_sendfile "sendfile" 4 copy::send_file;
    __NR_copy_file_range "copy_file_range" 6 copy::copy_range;
    __NR_lseek "lseek" 3 file::seek;
    __NR_ftruncate "ftruncate" 2 file::truncate_open;
    __NR_fallocate "fallocate" 4 file::allocate;
    __NR_fsync "fsync" 1 file::synchronize;
    __NR_fdatasync "fdatasync" 1 file::synchronize;
    __NR_sync_file_range "sync_file_range" 4 file::synchronize;
    __NR_syncfs "syncfs" 1 file::synchronize;
    __NR_sync "sync" 0 file::synchronize_all;
    __NR_fadvise64 "fadvise64" 4 file::advise;
    __NR_readahead "readahead" 3 file::advise;
    __NR_getdents64 "getdents64" 3 file::read_directory;
    __NR_fstat "fstat" 2 file::status;
    __NR_close "close" 1 descriptor::close;
    __NR_dup "dup" 1 descriptor::duplicate;
    __NR_dup2 "dup2" 2 descriptor::duplicate_to;
    __NR_dup3 "dup3" 3 descriptor::duplicate_to_with_flags;
    __NR_fcntl "fcntl" 3 descriptor::control;
    __NR_flock "flock" 2 lock::lock_whole;
    __NR_ioctl "ioctl" 3 device::control;
    __NR_close_range "close_range" 3 descriptor::close_range;
    __NR_poll "poll" 3 poll::poll;
    __NR_ppoll "ppoll" 5 poll::poll_precisely;
    __NR_select "select" 5 poll::select;
    __NR_pselect6 "pselect6" 6 poll::select_precisely;
    __NR_epoll_create "epoll_create" 1 poll::create_set;
    __NR_epoll_create1 "epoll_create1" 1 poll::create_set_with_flags;
    __NR_epoll_ctl "epoll_ctl" 4 poll::change_set;
    __NR_epoll_wait "epoll_wait" 4 poll::wait_for_set;
    __NR_epoll_pwait "epoll_pwait" 6 poll::wait_for_set_masked;
    __NR_epoll_pwait2 "epoll_pwait2" 6 poll::wait_for_set_precisely;
    __NR_pipe "pipe" 1 pipe::make;
    __NR_pipe2 "pipe2" 2 pipe::make_with_flags;
    __NR_socket "socket" 3 socket::make;
    __NR_socketpair "socketpair" 4 socket::make_pair;
    __NR_sendto "sendto" 6 socket::send_to;
    __NR_recvfrom "recvfrom" 6 socket::receive_from;
    __NR_sendmsg "sendmsg" 3 socket::send_message;
    __NR_recvmsg "recvmsg" 3 socket::receive_message;
    __NR_shutdown "shutdown" 2 socket::shut_down;
    __NR_getsockname "getsockname" 3 socket::name;
    __NR_getpeername "getpeername" 3 socket::name;
    __NR_getsockopt "getsockopt" 5 socket::option;
    __NR_setsockopt "setsockopt" 5 socket::set_option;
    __NR_eventfd "eventfd" 1 event::make_counter;
    __NR_eventfd2 "eventfd2" 2 event::make_counter_with_flags;
    __NR_signalfd "signalfd" 3 event::watch_signals;
    __NR_signalfd4 "signalfd4" 4 event::watch_signals_with_flags;
    __NR_timerfd_create "timerfd_create" 2 event::make_timer;
    __NR_timerfd_settime "timerfd_settime" 4 event::set_timer;
    __NR_timerfd_gettime "timerfd_gettime" 2 event::timer;
    __NR_open "open" 3 path::open;
    __NR_openat "openat" 4 path::open_at;
    __NR_creat "creat" 2 path::create;
    __NR_stat "stat" 2 path::status;
    __NR_lstat "lstat" 2 path::link_status;
    __NR_newfstatat "newfstatat" 4 path::status_at;
    __NR_statx "statx" 5 path::extended_status;
    __NR_statfs "statfs" 2 path::file_system;
    __NR_fstatfs "fstatfs" 2 path::file_system_open;
    __NR_access "access" 2 path::access;
    __NR_faccessat "faccessat" 3 path::access_at;
    __NR_faccessat2 "faccessat2" 4 path::access_at_with_flags;
    __NR_readlink "readlink" 3 path::read_link;
    __NR_readlinkat "readlinkat" 4 path::read_link_at;
    __NR_chdir "chdir" 1 path::change_directory;
    __NR_fchdir "fchdir" 1 path::change_to_open_directory;
    __NR_chroot "chroot" 1 path::change_root;
    __NR_getcwd "getcwd" 2 path::working_directory;
    __NR_umask "umask" 1 path::set_mask;
    __NR_mkdir "mkdir" 2 link::make_directory;
    __NR_mkdirat "mkdirat" 3 link::make_directory_at;
    __NR_mknod "mknod" 3 link::make_node;
    __NR_mknodat "mknodat" 4 link::make_node_at;
    __NR_rmdir "rmdir" 1 link::remove_directory;
    __NR_unlink "unlink" 1 link::unlink;
    __NR_unlinkat "unlinkat" 3 link::unlink_at;
    __NR_rename "rename" 2 link::rename;
    __NR_renameat "renameat" 4 link::rename_at;
    __NR_renameat2 "renameat2" 5 link::rename_at_with_flags;
    __NR_link "link" 2 link::link;
    __NR_linkat "linkat" 5 link::link_at;
    __NR_symlink "symlink" 2 link::make_link;
    __NR_symlinkat "symlinkat" 3 link::make_link_at;
    __NR_chmod "chmod" 2 attributes::change_mode;
    __NR_fchmod "fchmod" 2 attributes::change_mode_open;
    __NR_fchmodat "fchmodat" 3 attributes::change_mode_at;
    __NR_fchmodat2 "fchmodat2" 4 attributes::change_mode_at_with_flags;
    __NR_chown "chown" 3 attributes::change_owner;
    __NR_lchown "lchown" 3 attributes::change_owner_of_link;
    __NR_fchown "fchown" 3 attributes::change_owner_open;
    __NR_fchownat "fchownat" 5 attributes::change_owner_at;
    __NR_utimensat "utimensat" 4 attributes::change_times_at;
    __NR_futimesat "futimesat" 3 attributes::change_times_from;
    __NR_utimes "utimes" 2 attributes::change_times;
    __NR_utime "utime" 2 attributes::change_times_in_seconds;
    __NR_truncate "truncate" 2 attributes::truncate;
    __NR_getxattr "getxattr" 4 attributes::no_extended_attributes;
    __NR_lgetxattr "lgetxattr" 4 attributes::no_extended_attributes;
    __NR_fgetxattr "fgetxattr" 4 attributes::no_extended_attributes;
    __NR_setxattr "setxattr" 5 attributes::no_extended_attributes;
    __NR_lsetxattr "lsetxattr" 5 attributes::no_extended_attributes;
    __NR_fsetxattr "fsetxattr" 5 attributes::no_extended_attributes;
    __NR_listxattr "listxattr" 3 attributes::no_extended_attributes;
    __NR_llistxattr "llistxattr" 3 attributes::no_extended_attributes;
    __NR_flistxattr "flistxattr" 3 attributes::no_extended_attributes;
    __NR_mmap "mmap" 6 memory::map;
    __NR_mremap "mremap" 5 memory::remap;
    __NR_memfd_create "memfd_create" 2 memory::make_file;
    __NR_msync "msync" 3 advice::synchronize;
    __NR_mlock "mlock" 2 advice::lock;
    __NR_mlock2 "mlock2" 3 advice::lock_with_flags;
    __NR_munlock "munlock" 2 advice::unlock;
    __NR_mlockall "mlockall" 1 advice::lock_all;
    __NR_munlockall "munlockall" 0 advice::unlock_all;
    __NR_mincore "mincore" 3 advice::residence;
    __NR_munmap "munmap" 2 memory::unmap;
    __NR_mprotect "mprotect" 3 memory::protect;
    __NR_brk "brk" 1 memory::set_break;
    __NR_madvise "madvise" 3 advice::advise;
    __NR_exit "exit" 1 thread::exit;
    __NR_exit_group "exit_group" 1 process::exit;
    __NR_arch_prctl "arch_prctl" 2 process::set_architecture;
    __NR_set_tid_address "set_tid_address" 1 thread::set_end_address;
    __NR_clone "clone" 5 thread::clone, whole;
    __NR_clone3 "clone3" 2 thread::clone_by_structure, whole;
    __NR_fork "fork" 0 child::fork, whole;
    __NR_vfork "vfork" 0 child::vfork, whole;
    __NR_execve "execve" 3 execute::execute, whole;
    __NR_execveat "execveat" 5 execute::execute_at, whole;
    __NR_wait4 "wait4" 4 child::wait4;
    __NR_waitid "waitid" 5 child::waitid;
    __NR_getpgrp "getpgrp" 0 group::group;
    __NR_getpgid "getpgid" 1 group::group_of;
    __NR_setpgid "setpgid" 2 group::set_group;
    __NR_getsid "getsid" 1 group::session_of;
    __NR_setsid "setsid" 0 group::make_session;
    __NR_futex "futex" 6 futex::futex;
    __NR_set_robust_list "set_robust_list" 2 futex::set_robust_list;
    __NR_get_robust_list "get_robust_list" 3 futex::robust_list;
    __NR_getpid "getpid" 0 identity::process;
    __NR_gettid "gettid" 0 thread::number;
    __NR_getppid "getppid" 0 identity::parent;
    __NR_getuid "getuid" 0 identity::user;
    __NR_geteuid "geteuid" 0 identity::user;
    __NR_getgid "getgid" 0 identity::group;
    __NR_getegid "getegid" 0 identity::group;
    __NR_getresuid "getresuid" 3 identity::users;
    __NR_getresgid "getresgid" 3 identity::groups;
    __NR_getgroups "getgroups" 2 identity::no_groups;
    __NR_uname "uname" 1 identity::name_system;
    __NR_prlimit64 "prlimit64" 4 identity::limit;
    __NR_getrlimit "getrlimit" 2 identity::get_limit;
    __NR_setrlimit "setrlimit" 2 identity::set_limit;
    __NR_sysinfo "sysinfo" 1 identity::describe_system;
    __NR_sched_getaffinity "sched_getaffinity" 3 identity::processors;
    __NR_sched_setaffinity "sched_setaffinity" 3 identity::choose_processors;
    __NR_sched_getscheduler "sched_getscheduler" 1 processor::policy;
    __NR_sched_getparam "sched_getparam" 2 processor::parameters;
    __NR_sched_get_priority_max "sched_get_priority_max" 1 processor::priority_max;
    __NR_sched_get_priority_min "sched_get_priority_min" 1 processor::priority_min;
    __NR_sched_rr_get_interval "sched_rr_get_interval" 2 processor::turn;
    __NR_getpriority "getpriority" 2 processor::priority;
    __NR_getrusage "getrusage" 2 processor::usage;
    __NR_times "times" 1 processor::times;
    __NR_membarrier "membarrier" 3 processor::order;
    __NR_prctl "prctl" 5 thread::control;
    __NR_getcpu "getcpu" 2 identity::processor;
    __NR_getrandom "getrandom" 3 identity::random;
    __NR_sched_yield "sched_yield" 0 time::give_way;
    __NR_clock_gettime "clock_gettime" 2 time::clock;
    __NR_clock_getres "clock_getres" 2 time::resolution;
    __NR_gettimeofday "gettimeofday" 2 time::time_of_day;
    __NR_time "time" 1 time::seconds;
    __NR_nanosleep "nanosleep" 2 time::sleep;
    __NR_clock_nanosleep "clock_nanosleep" 4 time::sleep_on_clock;
    __NR_alarm "alarm" 1 timer::alarm;
    __NR_setitimer "setitimer" 3 timer::set_interval;
    __NR_getitimer "getitimer" 2 timer::interval_left;
    __NR_timer_create "timer_create" 3 timer::create;
    __NR_timer_settime "timer_settime" 4 timer::set;
    __NR_timer_gettime "timer_gettime" 2 timer::left;
    __NR_timer_getoverrun "timer_getoverrun" 1 timer::overruns;
    __NR_timer_delete "timer_delete" 1 timer::delete;
    __NR_rt_sigaction "rt_sigaction" 4 signal::set_action;
    __NR_rt_sigprocmask "rt_sigprocmask" 4 signal::set_mask;
    __NR_rt_sigreturn "rt_sigreturn" 0 signal::return_from_handler, whole;
    __NR_rt_sigpending "rt_sigpending" 2 signal::pending;
    __NR_rt_sigsuspend "rt_sigsuspend" 2 signal::suspend;
    __NR_rt_sigtimedwait "rt_sigtimedwait" 4 signal::wait_timed;
    __NR_rt_sigqueueinfo "rt_sigqueueinfo" 3 signal::queue_to_process;
    __NR_rt_tgsigqueueinfo "rt_tgsigqueueinfo" 4 signal::queue_to_thread;
    __NR_sigaltstack "sigaltstack" 2 signal::set_stack, whole;
    __NR_pause "pause" 0 signal::pause;
    __NR_kill "kill" 2 signal::kill;
    __NR_tkill "tkill" 2 signal::kill_thread;
    __NR_tgkill "tgkill" 3 signal::kill_thread_of;
}

/// Opens what has no name, and gives it a descriptor.
fn add_file(process: &mut Process, content: Content, mode: u32, closes_on_exec: u32) -> Result {
    let node = process.tree.create(content, 0o600);
    let file = OpenFile::new(node, Vec::new(), mode);
    process.descriptors.add(0, file, closes_on_exec != 0)
}

/// Calls by number, for look-up in one step.
const TABLE_SIZE: usize = 512;
/// No number of a call is larger.
pub const LAST: u64 = TABLE_SIZE as u64;
static TABLE: [Option<&Call>; TABLE_SIZE] = {
    let mut table = [None; TABLE_SIZE];
    let mut index = 0;
    while index < CALLS.len() {
        let call = &CALLS[index];
        assert!(
            table[call.number as usize].is_none(),
            "a call is in the table twice"
        );
        table[call.number as usize] = Some(call);
        index += 1;
    }
    table
};

/// The call of a number.
pub fn find(number: u64) -> Option<&'static Call> {
    let number = usize::try_from(number).ok()?;
    *TABLE.get(number)?
}

/// Does a call, or answers that there is no such.
pub fn execute(
    process: &mut Process,
    call: Option<&Call>,
    number: u64,
    arguments: Arguments,
) -> wait::Result {
    let Some(call) = call else {
        *process.statistics.unknown.entry(number).or_default() += 1;
        if process.options.strace {
            trace::print_unknown(process, number, arguments);
        }
        return Err(Errno::ENOSYS.into());
    };
    if process.options.strace {
        return execute_traced(process, call, arguments);
    }
    (call.handler)(process, arguments)
}

/// Does a call and prints it, once it is done.
#[cold]
fn execute_traced(process: &mut Process, call: &Call, arguments: Arguments) -> wait::Result {
    let result = (call.handler)(process, arguments);
    trace::print(process, call, arguments, &result);
    result
}
