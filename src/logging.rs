//! The log: simple_logger on stderr, made safe for a loop that must not stop.
//!
//! `eprintln!`, which simple_logger writes with, panics when its pipe is closed and blocks when it is full. So a line is
//! written only if stderr takes it at once; else it is dropped and counted, and the count is logged when stderr takes
//! lines again.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use simple_logger::SimpleLogger;

use crate::net::stdio::{stderr_takes_a_line, unblock_stderr_terminal};

/// The longest message, in bytes; a longer one is cut. With what stands before it, a line stays below the 4,096 bytes
/// (`PIPE_BUF`) that a writable pipe takes without blocking (pipe(7)).
const MESSAGE_BYTES_MAX: usize = 2_000;

/// How long nothing is tried after a write has failed.
const PAUSE: Duration = Duration::from_secs(10);

thread_local! {
    /// Whether this thread is writing a line: a panic is then a failed write, which is caught.
    static IS_WRITING: Cell<bool> = const { Cell::new(false) };
}

/// Logs on stderr from now on, from `level` up.
///
/// # Errors
/// When a logger is set already.
pub fn init(level: LevelFilter) -> Result<(), SetLoggerError> {
    unblock_stderr_terminal();
    let inner = SimpleLogger::new().with_level(level).with_utc_timestamps();
    // It would tell what browsers send as they send it: to whoever reads the log on a terminal, which obeys it.
    let inner = inner.with_module_level("tungstenite", level.min(LevelFilter::Info));
    log::set_max_level(inner.max_level());
    log::set_boxed_logger(Box::new(GuardedLog { inner, dropped: AtomicU64::new(0), failed: Mutex::new(None) }))?;
    silence_failed_writes();
    Ok(())
}

/// Has the panic of a failed write say nothing: it would say it on stderr, in many small writes of which each may block,
/// and would look like a bug to whoever reads the log.
fn silence_failed_writes() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !IS_WRITING.get() {
            hook(info);
        }
    }));
}

/// A logger that neither blocks nor panics.
struct GuardedLog {
    inner: SimpleLogger,
    /// Lines that were dropped since one was written.
    dropped: AtomicU64,
    /// When a write last failed.
    failed: Mutex<Option<Instant>>,
}

impl Log for GuardedLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        let note = || format!("{dropped} lines of the log were dropped: nobody took them");
        if dropped > 0 && self.write(Level::Warn, record.target(), &note()) {
            self.dropped.store(0, Ordering::Relaxed);
        }
        if !self.write(record.level(), record.target(), &record.args().to_string()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

impl GuardedLog {
    /// Writes one line, if stderr takes it at once; tells whether it did.
    fn write(&self, level: Level, target: &str, message: &str) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_some_and(|failed| failed.elapsed() < PAUSE) || !stderr_takes_a_line() {
            return false;
        }
        let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
        // A full disk, a stopped terminal, or a reader who closed the pipe just now makes `eprintln!` panic.
        IS_WRITING.set(true);
        let written = catch_unwind(AssertUnwindSafe(|| {
            self.inner.log(&Record::builder().level(level).target(target).args(format_args!("{message}")).build());
        }));
        IS_WRITING.set(false);
        *failed = written.is_err().then(Instant::now);
        written.is_ok()
    }
}
