//! The log: simple_logger on stderr, without blocking and without panics.
//!
//! simple_logger uses `eprintln!`, which panics on a closed pipe and blocks on a full one. So a line is written only if
//! stderr takes it at once. Otherwise it is dropped and counted, and the count is logged before the next line.
//!
//! While the operator types a line at the same terminal, lines are held back; [`flush`](log::Log::flush) writes them.
//!
//! A full disk can take a part of a line. The next line then begins with a newline.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use simple_logger::SimpleLogger;

use crate::net::stdio::{eprint_line, stderr_place, stderr_takes_a_line, typing, unblock_stderr_terminal};

/// Maximum message length, in bytes; longer messages are cut. With its prefix, a line stays below the 4,096 bytes
/// (`PIPE_BUF`) that a writable pipe takes without blocking (pipe(7)).
const MESSAGE_BYTES_MAX: usize = 2_000;

/// Lines held back at most; further ones are dropped and counted.
const HELD_LINES_MAX: usize = 200;

/// Pause after a failed write.
const PAUSE: Duration = Duration::from_secs(10);

thread_local! {
    /// Whether this thread is writing a line. A panic is a failed write then.
    static IS_WRITING: Cell<bool> = const { Cell::new(false) };
}

/// Starts to log on stderr, from `level` up.
///
/// # Errors
/// A logger is already set.
pub fn init(level: LevelFilter) -> Result<(), SetLoggerError> {
    unblock_stderr_terminal();
    let inner = SimpleLogger::new().with_level(level).with_utc_timestamps();
    // At trace level it logs browsers' bytes unescaped, which a terminal with the log would interpret.
    let inner = inner.with_module_level("tungstenite", level.min(LevelFilter::Info));
    log::set_max_level(inner.max_level());
    let (dropped, failure, held) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
    log::set_boxed_logger(Box::new(GuardedLog { inner, dropped, failure, held }))?;
    silence_failed_writes();
    Ok(())
}

/// Silences the panic message of a failed write. It would go to stderr, in many small writes that may block, and look
/// like a bug.
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
    /// Lines dropped since the last written one.
    dropped: AtomicU64,
    failure: Mutex<Failure>,
    /// Lines that wait for the end of a typed line.
    held: Mutex<Vec<Held>>,
}

/// A line of the log.
#[derive(Debug)]
struct Held {
    level: Level,
    target: String,
    message: String,
}

/// The last failed write.
#[derive(Debug, Default)]
struct Failure {
    /// Its time, until a write succeeds.
    time: Option<Instant>,
    /// Whether it may have left a part of a line.
    is_torn: bool,
}

impl Log for GuardedLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (level, target) = (record.level(), record.target());
        if typing::holds() {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            if held.len() < HELD_LINES_MAX {
                held.push(Held { level, target: target.to_owned(), message: record.args().to_string() });
            } else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        self.flush();
        self.write_or_drop(level, target, &record.args().to_string());
    }

    fn flush(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        for Held { level, target, message } in held {
            self.write_or_drop(level, &target, &message);
        }
    }
}

impl GuardedLog {
    /// Writes a line, and before it how many were dropped; or drops and counts it.
    fn write_or_drop(&self, level: Level, target: &str, message: &str) {
        let dropped = self.dropped.load(Ordering::Relaxed);
        let note = || format!("dropped {dropped} lines of the log: stderr was blocked or full");
        if dropped > 0 && self.write(Level::Warn, target, &note()) {
            self.dropped.store(0, Ordering::Relaxed);
        }
        if !self.write(level, target, message) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes one line if stderr takes it at once. Returns whether it did.
    fn write(&self, level: Level, target: &str, message: &str) -> bool {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.time.is_some_and(|failed| failed.elapsed() < PAUSE) || !stderr_takes_a_line() {
            return false;
        }
        if failure.is_torn {
            if !eprint_line("") {
                failure.time = Some(Instant::now());
                return false;
            }
            failure.is_torn = false;
        }
        let place = stderr_place();
        let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
        // `eprintln!` panics on a full disk, a blocked terminal, or a pipe that was closed just now.
        IS_WRITING.set(true);
        let written = catch_unwind(AssertUnwindSafe(|| {
            self.inner.log(&Record::builder().level(level).target(target).args(format_args!("{message}")).build());
        }));
        IS_WRITING.set(false);
        failure.time = written.is_err().then(Instant::now);
        // A pipe or a terminal has no place: it may have taken a part.
        failure.is_torn = written.is_err() && (place.is_none() || stderr_place() != place);
        written.is_ok()
    }
}
