//! Inherited stdin, stdout and stderr, used without blocking.
//!
//! They share `O_NONBLOCK` with the shell and other processes, so it stays untouched. Instead, each call is preceded by
//! a poll. That is equivalent as long as no other process uses the descriptor in between.

mod kernel_line;
pub(crate) mod lossy;
pub(crate) mod stdin;
pub(crate) mod stdout;
pub(crate) mod typing;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write as _};
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
/// epoll rejects regular files and `/dev/null` (EPERM). That is no error: they never block, and [`ready`] reports them
/// ready on each call.
///
/// # Errors
/// The poller fails for another reason.
pub(crate) fn watch(registry: &Registry, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
    match registry.register(&mut SourceFd(&fd.as_fd().as_raw_fd()), token, interest) {
        Err(err) if err.raw_os_error() == Some(Errno::PERM.raw_os_error()) => Ok(()),
        result => result,
    }
}

/// Returns the `flags` that hold for `fd` now, plus error flags. Does not wait.
///
/// # Errors
/// Out of memory.
pub(crate) fn ready(fd: impl AsFd, flags: PollFlags) -> io::Result<PollFlags> {
    let mut fds = [PollFd::new(&fd, flags)];
    match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(_) => Ok(fds[0].revents()),
        Err(Errno::INTR) => ready(fd, flags),
        Err(err) => Err(err.into()),
    }
}

/// Opens the terminal behind `descriptor` again for writing, non-blocking; `None` if it is no terminal.
///
/// A terminal that polls as ready may take one byte or four thousand, and blocks within a longer write. The new open
/// file description has an `O_NONBLOCK` of its own. (It fails without /proc, or after `su` on another user's terminal.
/// Then a terminal that nobody reads may block us.)
pub(crate) fn reopen_terminal(descriptor: &(impl AsFd + IsTerminal)) -> Option<File> {
    if !descriptor.is_terminal() {
        return None;
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let path = format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd());
    OpenOptions::new().write(true).custom_flags(flags.cast_signed()).open(path).ok()
}

/// Makes writes to a stderr terminal fail instead of block. Other processes at the terminal are not affected.
pub(crate) fn unblock_stderr_terminal() {
    if let Some(terminal) = reopen_terminal(&io::stderr()) {
        // If it fails, stderr stays as it was.
        let _ = rustix::stdio::dup2_stderr(terminal);
    }
}

/// Makes writes to a stdout terminal fail instead of block.
pub(crate) fn unblock_stdout_terminal() {
    if let Some(terminal) = reopen_terminal(&io::stdout()) {
        let _ = rustix::stdio::dup2_stdout(terminal);
    }
}

/// Whether `fd` is our controlling terminal, with another job in the foreground.
pub(crate) fn is_in_background(fd: impl AsFd) -> bool {
    tcgetpgrp(fd).is_ok_and(|foreground| foreground != getpgrp())
}

/// Whether stderr has a reader and takes a line without blocking (up to `PIPE_BUF` bytes for a pipe).
pub(crate) fn stderr_takes_a_line() -> bool {
    ready(rustix::stdio::stderr(), PollFlags::OUT).is_ok_and(|flags| flags == PollFlags::OUT)
}

/// Returns the position of stderr if it is a file: a failed write that moved it wrote a part.
pub(crate) fn stderr_place() -> Option<u64> {
    rustix::fs::seek(rustix::stdio::stderr(), rustix::fs::SeekFrom::Current(0)).ok()
}

/// Writes `line` to stderr, or drops it if stderr would block. Returns whether stderr took it. Never panics.
pub fn eprint_line(line: &str) -> bool {
    // There is no other place to report an error.
    stderr_takes_a_line()
        && rustix::io::write(rustix::stdio::stderr(), format!("{line}\n").as_bytes()).is_ok_and(|bytes| bytes > 0)
}

/// Flushes stdout after `printed`, and returns the exit code of a `program` that only prints. A reader that closes
/// stdout early is no error; any other is told on stderr.
pub fn exit_code_of_print(program: &str, printed: io::Result<()>) -> u8 {
    match printed.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprint_line(&format!("{program}: cannot write to stdout: {error}"));
            1
        }
        _ => 0,
    }
}
