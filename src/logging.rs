//! The log: simple_logger on stderr, without blocking and without panics.
//!
//! simple_logger uses `eprintln!`, which panics on a closed pipe and blocks on a full one. So a line is written only if
//! stderr takes it at once. Otherwise it is dropped and counted, and the count is logged before the next line.
//!
//! While the operator types a line at the same terminal, lines are held back. [`flush`](log::Log::flush) writes them,
//! and so does the log itself when they are many: none of them is dropped.
//!
//! Under systemd's journal a line begins with its priority, and has no time: journald keeps both beside the text.
//!
//! A full disk can take a part of a line. The next line then begins with a newline. After a failed write the log
//! pauses. A flush tries at once, and logs the count of dropped lines by itself: no further line follows at the end of
//! the server.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use simple_logger::SimpleLogger;

mod journald;

use crate::net::stdio::{eprint_line, stderr_place, stderr_takes_a_line, typing, unblock_stderr_terminal};

/// Maximum message length, in bytes; longer messages are cut. With its prefix, a line stays below the 4,096 bytes
/// (`PIPE_BUF`) that a writable pipe takes without blocking (pipe(7)).
const MESSAGE_BYTES_MAX: usize = 2_000;

/// Lines held back at most while the operator types. Before there are more, all are written.
const HELD_LINES_MAX: usize = 200;

/// Lines held back at most while the terminal does not take them; further ones are dropped and counted.
const BLOCKED_LINES_MAX: usize = 2_000;

/// Pause after a failed write to a file.
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
    // `set_level` alone decides.
    let inner = SimpleLogger::new().with_level(LevelFilter::Trace).with_utc_timestamps();
    // At trace level it logs browsers' bytes unescaped, which a terminal with the log would interpret.
    let inner = inner.with_module_level("tungstenite", LevelFilter::Info);
    set_level(level);
    let (dropped, failure, held) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
    let form = if journald::reads_stderr() { Form::Journal } else { Form::Timed };
    log::set_boxed_logger(Box::new(GuardedLog { inner, form, dropped, failure, held }))?;
    silence_failed_writes();
    Ok(())
}

/// Logs from `level` up from now on.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Returns the line of a failure that ends the program, in the form of the log.
pub fn failure(text: &str) -> String {
    let priority = if journald::reads_stderr() { journald::priority(Level::Error) } else { "" };
    format!("{priority}{text}")
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
    form: Form,
    /// Lines dropped since the last written one.
    dropped: AtomicU64,
    failure: Mutex<Failure>,
    /// Lines that wait for the end of a typed line, or for a terminal that did not take them all at once.
    held: Mutex<VecDeque<Held>>,
}

/// Form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// With its time and level.
    Timed,
    /// With its priority, for systemd's journal.
    Journal,
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
        let line = Held { level, target: target.to_owned(), message: record.args().to_string() };
        if typing::holds(typing::Output::Log) {
            self.hold(line);
        } else if !(self.write_held() && self.write_behind_note(&line)) {
            // The console's terminal tells when it takes more.
            if typing::shows(typing::Output::Log) {
                self.hold(line);
            } else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn flush(&self) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).time = None;
        let has_lines = !self.held().is_empty() || self.dropped.load(Ordering::Relaxed) > 0;
        if has_lines && !typing::holds(typing::Output::Log) {
            self.write_held();
            self.tell_dropped(module_path!());
        }
    }
}

impl GuardedLog {
    fn held(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a line back. If there are many, writes all; if stderr does not take them for long, drops this one.
    fn hold(&self, line: Held) {
        if self.held().len() >= HELD_LINES_MAX {
            let is_written = typing::interrupt() && self.write_held();
            if !is_written && self.held().len() >= BLOCKED_LINES_MAX {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        self.held().push_back(line);
    }

    /// Writes the lines that were held back. Returns whether none is left: stderr has taken all.
    fn write_held(&self) -> bool {
        let mut held = self.held();
        while let Some(line) = held.front() {
            if !self.write_behind_note(line) {
                return false;
            }
            held.pop_front();
        }
        true
    }

    /// Writes how many lines were dropped, if stderr takes it.
    fn tell_dropped(&self, target: &str) {
        let dropped = self.dropped.load(Ordering::Relaxed);
        let note = || format!("dropped {dropped} lines of the log: stderr was blocked or full");
        if dropped > 0 && self.write(Level::Warn, target, &note()) {
            self.dropped.fetch_sub(dropped, Ordering::Relaxed);
        }
    }

    /// Writes a line, and before it how many were dropped. Returns whether stderr took it.
    fn write_behind_note(&self, Held { level, target, message }: &Held) -> bool {
        self.tell_dropped(target);
        self.write(*level, target, message)
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
        let is_written = match self.form {
            Form::Timed => self.write_timed(level, target, message),
            Form::Journal => eprint_line(&format!("{}[{target}] {message}", journald::priority(level))),
        };
        // A terminal and a pipe tell when they take more.
        failure.time = (!is_written && place.is_some()).then(Instant::now);
        // A pipe or a terminal has no place: it may have taken a part.
        failure.is_torn = !is_written && (place.is_none() || stderr_place() != place);
        if typing::shows(typing::Output::Log) {
            // Whatever comes next at this terminal begins a new line.
            typing::note_written(typing::Output::Log, !std::mem::take(&mut failure.is_torn));
        }
        is_written
    }

    /// Writes a line with its time. Returns whether it was written.
    fn write_timed(&self, level: Level, target: &str, message: &str) -> bool {
        // `eprintln!` panics on a full disk, a blocked terminal, or a pipe that was closed just now.
        IS_WRITING.set(true);
        let written = catch_unwind(AssertUnwindSafe(|| {
            self.inner.log(&Record::builder().level(level).target(target).args(format_args!("{message}")).build());
        }));
        IS_WRITING.set(false);
        written.is_ok()
    }
}
