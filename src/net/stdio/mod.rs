//! Descriptors that were handed to us and are not ours: stdin, stdout, stderr.
//!
//! Their `O_NONBLOCK` is shared with whoever else holds them, the shell above all, so it is never touched. To ask the
//! kernel right before each call whether it would block comes to the same, as long as nobody else uses the
//! descriptor at that very moment.

pub mod stdin;
pub mod stdout;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

/// Registers `fd`, edge-triggered.
///
/// A regular file or `/dev/null` is refused by epoll (EPERM). That is no error: such a file never blocks, [`ready`]
/// says so each time it is asked, and there is no event to wait for.
///
/// # Errors
/// When the poller refuses for another reason.
pub fn watch(registry: &Registry, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
    match registry.register(&mut SourceFd(&fd.as_fd().as_raw_fd()), token, interest) {
        Err(err) if err.raw_os_error() == Some(Errno::PERM.raw_os_error()) => Ok(()),
        result => result,
    }
}

/// Which of `flags`, or of the failures that are always told, are true of `fd` at this moment. Never waits.
///
/// # Errors
/// Only for want of memory.
pub fn ready(fd: impl AsFd, flags: PollFlags) -> io::Result<PollFlags> {
    let mut fds = [PollFd::new(&fd, flags)];
    match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(_) => Ok(fds[0].revents()),
        Err(Errno::INTR) => ready(fd, flags),
        Err(err) => Err(err.into()),
    }
}

/// Opens the terminal that `descriptor` is anew for writing, non-blocking; `None` if it is no terminal.
///
/// A terminal that says it is ready may take one byte or four thousand, and blocks in the middle of a longer write. But
/// opened anew it has an `O_NONBLOCK` of its own, which nobody shares. (It fails without /proc, or after `su`, when the
/// terminal is another user's. Then a terminal that nobody reads may hold us up.)
pub fn reopen_terminal(descriptor: &(impl AsFd + IsTerminal)) -> Option<File> {
    if !descriptor.is_terminal() {
        return None;
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let path = format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd());
    OpenOptions::new().write(true).custom_flags(flags.cast_signed()).open(path).ok()
}

/// Makes writing to stderr fail rather than block, if it is a terminal. Whoever else holds the terminal notices nothing.
pub fn unblock_stderr_terminal() {
    if let Some(terminal) = reopen_terminal(&io::stderr()) {
        // If it fails, stderr stays as it was.
        let _ = rustix::stdio::dup2_stderr(terminal);
    }
}

/// The same for stdout, on which it is then an error like any other.
pub fn unblock_stdout_terminal() {
    if let Some(terminal) = reopen_terminal(&io::stdout()) {
        let _ = rustix::stdio::dup2_stdout(terminal);
    }
}

/// Whether `fd` is the terminal that controls this process, and another job has the say there.
pub fn is_in_background(fd: impl AsFd) -> bool {
    tcgetpgrp(fd).is_ok_and(|foreground| foreground != getpgrp())
}

/// Whether stderr takes a line (of `PIPE_BUF` bytes, if it is a pipe) without blocking, and somebody may read it.
pub fn stderr_takes_a_line() -> bool {
    ready(rustix::stdio::stderr(), PollFlags::OUT).is_ok_and(|flags| flags == PollFlags::OUT)
}

/// Says `line` on stderr if stderr takes it now, and else does not: a last word must neither block nor panic.
pub fn eprint_line(line: &str) {
    if stderr_takes_a_line() {
        // Nobody is left to tell if this fails.
        let _ = rustix::io::write(rustix::stdio::stderr(), format!("{line}\n").as_bytes());
    }
}
