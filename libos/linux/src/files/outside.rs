//! What a run has of the outside: the streams that `exo` was started with, or the terminal that they are.

use alloc::rc::Rc;
use alloc::vec::Vec;

use linux_raw_sys::general::{O_RDONLY, O_RDWR, O_WRONLY, SIGWINCH};

use super::console::{Console, Stream};
use super::device::Device;
use super::node::{Content, Node};
use super::open::OpenFile;
use super::terminal::Terminal;
use super::tree::Tree;
use crate::errno::{Errno, Result};
use crate::options::Options;
use crate::process::FIRST;

/// Permissions of the streams.
const MODE: u32 = 0o620;

/// All of it.
#[derive(Debug)]
pub struct Outside {
    console: Rc<Console>,
    terminal: Option<(Rc<Terminal>, Rc<Node>)>,
    one_output: bool,
}

impl Outside {
    /// What the options say.
    pub fn new(options: &Options, tree: &Tree) -> Self {
        let console = Console::open(options.one_output);
        let terminal = options.terminal.then(|| {
            let terminal = Terminal::new(console.clone(), FIRST);
            let node = tree.create(Content::Terminal(terminal.clone()), MODE);
            (terminal, node)
        });
        Self {
            console,
            terminal,
            one_output: options.one_output,
        }
    }

    /// Standard input, output and error.
    pub fn standard_files(&self, tree: &Tree) -> [Rc<OpenFile>; 3] {
        let streams = [
            (Stream::Input, O_RDONLY),
            (Stream::Output, O_WRONLY),
            (Stream::Errors, O_WRONLY),
        ];
        streams.map(|(stream, access)| match &self.terminal {
            Some((_, node)) if stream != Stream::Errors || self.one_output => {
                OpenFile::new(node.clone(), Vec::new(), O_RDWR)
            }
            _ => {
                let content = Content::Stream(stream, self.console.clone());
                OpenFile::new(tree.create(content, MODE), Vec::new(), access)
            }
        })
    }

    /// The terminal, if there is one.
    pub fn terminal(&self) -> Option<&Rc<Terminal>> {
        self.terminal.as_ref().map(|(terminal, _)| terminal)
    }

    /// What is open when this node is opened.
    pub fn resolve(&self, node: Rc<Node>) -> Result<Rc<Node>> {
        match (&node.content, &self.terminal) {
            (Content::Device(Device::Terminal), Some((_, terminal))) => Ok(terminal.clone()),
            (Content::Device(Device::Terminal), None)
            | (Content::Device(Device::Absent(..)) | Content::Socket(_), _) => Err(Errno::ENXIO),
            _ => Ok(node),
        }
    }

    /// Whether the outside has asked for something since it was served last.
    pub fn has_news(&self) -> bool {
        self.console.has_news()
    }

    /// Does what the outside asks for, if it has since this was called last. Signals that come from the terminal go to `signalled`.
    pub fn serve(&self, mut signalled: impl FnMut(&Terminal, u32)) {
        if !self.console.take_news() {
            return;
        }
        if let Some((terminal, _)) = &self.terminal {
            terminal.serve();
            if self.console.has_new_size() && terminal.set_size(self.console.size()) {
                signalled(terminal, SIGWINCH);
            }
            while let Some(signal) = terminal.take_signal() {
                signalled(terminal, signal);
            }
        }
        self.console.serve();
    }

    /// Waits until everything is written; why some was not.
    pub fn finish(&self) -> Result<()> {
        self.console.finish()
    }
}
