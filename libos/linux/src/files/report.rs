//! `/proc`: text that is made when it is opened, and links that lead to what a process has (proc(5)).

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::node::{Content, Node, directory};
use super::tree::Tree;
use crate::errno::{Errno, Result};
use crate::family::Member;
use crate::process::Process;

/// What a file of `/proc` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The number of who asks.
    Own,
    /// Its arguments.
    Arguments,
    /// Its variables.
    Variables,
    /// The last part of its name.
    Name,
    /// Its file.
    Executable,
    /// Its working directory.
    Directory,
    /// Its root directory.
    Root,
    /// Its descriptors: a directory with a link for each.
    Descriptor(u32),
    /// What is mounted.
    Mounts,
    /// Its state, in words.
    Status,
    /// The same in numbers.
    State,
    /// Pages of memory.
    Pages,
    /// Its regions of memory.
    Regions,
    /// The processors.
    Processors,
    /// The memory of the machine.
    Memory,
    /// Time since the start.
    Uptime,
    /// How many would run.
    Load,
    /// The system.
    Version,
    /// Kinds of file systems.
    FileSystems,
    /// Name of the machine.
    HostName,
    /// Name of the system.
    SystemName,
    /// Its release.
    Release,
    /// Whether more memory is promised than there is.
    Overcommit,
    /// Largest process number.
    ProcessesMax,
    /// What is told of another process: its number, and the file.
    Other(u32, &'static Self),
}

/// Where a link of `/proc` leads.
pub enum Target {
    /// To what has this path.
    Path(Vec<u8>),
    /// To what is open.
    Node(Rc<Node>),
}

/// Files of each process.
const OF_PROCESS: &[(&str, Report)] = &[
    ("cmdline", Report::Arguments),
    ("environ", Report::Variables),
    ("comm", Report::Name),
    ("exe", Report::Executable),
    ("cwd", Report::Directory),
    ("root", Report::Root),
    ("mounts", Report::Mounts),
    ("status", Report::Status),
    ("stat", Report::State),
    ("statm", Report::Pages),
    ("maps", Report::Regions),
];
/// Files of the system, by path.
const OF_SYSTEM: &[(&str, Report)] = &[
    ("self", Report::Own),
    ("thread-self", Report::Own),
    ("cpuinfo", Report::Processors),
    ("meminfo", Report::Memory),
    ("uptime", Report::Uptime),
    ("loadavg", Report::Load),
    ("version", Report::Version),
    ("filesystems", Report::FileSystems),
    ("sys/kernel/hostname", Report::HostName),
    ("sys/kernel/ostype", Report::SystemName),
    ("sys/kernel/osrelease", Report::Release),
    ("sys/kernel/pid_max", Report::ProcessesMax),
    ("sys/vm/overcommit_memory", Report::Overcommit),
];

/// Fills in `/proc`.
pub fn populate(tree: &Tree, processes: &Rc<Node>) {
    for &(path, report) in OF_SYSTEM {
        let mut names = path.split('/');
        let last = names.next_back().unwrap_or(path);
        let mut place = processes.clone();
        for name in names {
            let found = place
                .names()
                .ok()
                .and_then(|names| names.borrow().get(name.as_bytes()).cloned());
            place = found.unwrap_or_else(|| {
                let made = tree.create(directory(), 0o555);
                place.insert(name.as_bytes(), made.clone());
                made
            });
        }
        place.insert(last.as_bytes(), file(tree, report));
    }
    let mounts = Content::Link(b"self/mounts".to_vec());
    processes.insert(b"mounts", tree.create(mounts, 0o777));
}

fn file(tree: &Tree, report: Report) -> Rc<Node> {
    let mode = if report.is_link() { 0o777 } else { 0o444 };
    tree.create(Content::Report(report), mode)
}

/// The directory of another process.
pub fn of_other(tree: &Tree, member: &Member) -> Rc<Node> {
    let place = tree.create(directory(), 0o555);
    for (name, report) in OF_PROCESS {
        let other = Report::Other(member.number, report);
        place.insert(name.as_bytes(), file(tree, other));
    }
    place
}

/// The directory of a process, as it is now.
pub fn of_process(process: &Process) -> Rc<Node> {
    let tree = &process.tree;
    let place = tree.create(directory(), 0o555);
    for &(name, report) in OF_PROCESS {
        place.insert(name.as_bytes(), file(tree, report));
    }
    let descriptors = tree.create(directory(), 0o500);
    for number in process.descriptors.numbers() {
        let link = file(tree, Report::Descriptor(number));
        descriptors.insert(format!("{number}").as_bytes(), link);
    }
    place.insert(b"fd", descriptors);
    place
}

impl Report {
    /// Whether it is a link.
    pub fn is_link(self) -> bool {
        matches!(
            self,
            Self::Own
                | Self::Executable
                | Self::Directory
                | Self::Root
                | Self::Descriptor(_)
                | Self::Other(_, Self::Executable | Self::Directory | Self::Root)
        )
    }

    /// Where the link leads.
    pub fn target(self, process: &Process) -> Result<Target> {
        Ok(match self {
            Self::Own => Target::Path(format!("{}", process.member.number).into_bytes()),
            Self::Executable => {
                let (node, _) = process.executable.as_ref().ok_or(Errno::ENOENT)?;
                Target::Node(node.clone())
            }
            Self::Directory => Target::Path(super::path::name_of(&process.directory)?),
            Self::Root => Target::Path(b"/".to_vec()),
            Self::Descriptor(number) => {
                let file = process.descriptors.file(u64::from(number))?;
                Target::Node(file.node.clone())
            }
            Self::Other(number, Self::Executable) => {
                let member = process.family.member(number).ok_or(Errno::ENOENT)?;
                let shown = member.shown.borrow();
                Target::Path(shown.executable.clone())
            }
            Self::Other(..) => return Err(Errno::EACCES),
            _ => return Err(Errno::EINVAL),
        })
    }

    /// What `readlink` says.
    pub fn link_text(self, process: &Process) -> Result<Vec<u8>> {
        match self {
            Self::Descriptor(number) => {
                let file = process.descriptors.file(u64::from(number))?;
                Ok(file.name())
            }
            Self::Executable => {
                let executable = process.executable.as_ref();
                executable
                    .map(|(_, path)| path.clone())
                    .ok_or(Errno::ENOENT)
            }
            _ => match self.target(process)? {
                Target::Path(path) => Ok(path),
                Target::Node(_) => Err(Errno::EINVAL),
            },
        }
    }

    /// The text of the file of another process: what that keeps for itself is not told.
    fn text_of_other(self, member: &Member) -> Vec<u8> {
        let own = member.shown.borrow();
        let (name, parent) = (name(member), member.parent.get());
        let number = member.number;
        let letter = match member.has_ended() {
            true => 'Z',
            false => 'S',
        };
        let text = match self {
            Self::Arguments => return own.arguments.clone(),
            Self::Name => format!("{name}\n"),
            Self::Status => format!(
                "Name:\t{name}\nState:\t{letter}\nTgid:\t{number}\nPid:\t{number}\nPPid:\t{parent}\nTracerPid:\t0\n"
            ),
            Self::State => fields(member, letter, 1, 0),
            Self::Pages => "0 0 0 0 0 0 0\n".into(),
            _ => String::new(),
        };
        text.into_bytes()
    }

    /// The text of the file.
    pub fn text(self, process: &Process) -> Vec<u8> {
        let text = match self {
            Self::Arguments => return process.member.shown.borrow().arguments.clone(),
            Self::Variables => return process.member.shown.borrow().variables.clone(),
            Self::Name => format!("{}\n", name(&process.member)),
            Self::Other(number, report) => {
                let member = process.family.member(number);
                return member.map_or(Vec::new(), |member| report.text_of_other(&member));
            }
            Self::Mounts => {
                "root / rootfs rw 0 0\ndevtmpfs /dev devtmpfs rw 0 0\nproc /proc proc rw 0 0\n"
                    .into()
            }
            Self::Status => status(process),
            Self::State => state(process),
            Self::Pages => format!("{0} {0} 0 0 0 {0} 0\n", process.memory.pages()),
            Self::Regions => process.memory.describe(),
            Self::Processors => {
                "processor\t: 0\nvendor_id\t: unknown\nmodel name\t: Exovisor\ncpu cores\t: 1\n\n"
                    .into()
            }
            Self::Memory => {
                let total = exo_rt::tables::own_environment().frames_quota * 4;
                format!(
                    "MemTotal:       {total} kB\nMemFree:        {total} kB\nMemAvailable:   {total} kB\nBuffers:        0 kB\nCached:         0 kB\nSwapTotal:      0 kB\nSwapFree:       0 kB\n"
                )
            }
            Self::Uptime => {
                let time = crate::calls::now() / 10_000_000;
                format!("{0}.{1:02} {0}.{1:02}\n", time / 100, time % 100)
            }
            Self::Load => "0.00 0.00 0.00 1/1 1\n".into(),
            Self::Version => format!(
                "Linux version 6.1.0 (exovisor) #1 Exovisor {}\n",
                env!("CARGO_PKG_VERSION")
            ),
            Self::FileSystems => "nodev\trootfs\nnodev\tproc\nnodev\tdevtmpfs\n\text4\n".into(),
            Self::HostName => "exovisor\n".into(),
            Self::SystemName => "Linux\n".into(),
            Self::Release => "6.1.0\n".into(),
            Self::Overcommit => "0\n".into(),
            Self::ProcessesMax => "32768\n".into(),
            Self::Own | Self::Executable | Self::Directory | Self::Root | Self::Descriptor(_) => {
                String::new()
            }
        };
        text.into_bytes()
    }
}

fn name(member: &Member) -> String {
    String::from_utf8_lossy(&member.shown.borrow().name).into_owned()
}

fn status(process: &Process) -> String {
    let (user, group) = (process.credentials.user, process.credentials.group);
    let memory = process.memory.pages() * 4;
    format!(
        "Name:\t{}\nUmask:\t{:04o}\nState:\tR (running)\nTgid:\t{number}\nPid:\t{number}\nPPid:\t{parent}\nTracerPid:\t0\nUid:\t{user}\t{user}\t{user}\t{user}\nGid:\t{group}\t{group}\t{group}\t{group}\nFDSize:\t64\nGroups:\t\nVmSize:\t{memory:8} kB\nVmRSS:\t{memory:8} kB\nThreads:\t{threads}\n",
        name(&process.member),
        process.mask,
        number = process.member.number,
        parent = process.member.parent.get(),
        threads = process.threads.count(),
    )
}

fn state(process: &Process) -> String {
    let threads = process.threads.count() as u64;
    fields(&process.member, 'R', threads, process.memory.pages())
}

fn fields(member: &Member, letter: char, threads: u64, pages: u64) -> String {
    let mut text = format!(
        "{} ({}) {letter} {}",
        member.number,
        name(member),
        member.parent.get()
    );
    // From the group on to the 52nd field.
    for field in 5..=52 {
        let value = match field {
            5 => u64::from(member.group.get()),
            6 => u64::from(member.session.get()),
            20 => threads,
            23 => pages * 4096,
            24 => pages,
            _ => 0,
        };
        text.push_str(&format!(" {value}"));
    }
    text.push('\n');
    text
}
