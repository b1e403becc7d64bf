//! The file of `--bans`: reading it, and the thread that writes it.
//!
//! The file is the memory: each write reads it, applies the changes since the last write, and puts the result in its
//! place. So a write never undoes what a person has edited meanwhile, and no order is lost; comments are. If the file
//! is malformed, or the disk fails, the changes wait, and the thread tries again. If it is gone, a write begins with
//! what it held last: only an empty file lifts all bans.
//!
//! The loop hands over changes and waits for no disk. A reload alone waits for a write that is in work, for a bounded
//! time: it reads the file, and applies the changes that are not written yet. The thread starts with the first change.
//!
//! Invariant: at each moment FILE is a whole file. A new one is written beside it, synced, and renamed.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::mem;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use log::{error, info, warn};

use super::Ban;
use super::line::LineError;
use crate::server::limits::{BANS_FILE_BYTES_MAX, BANS_MAX, BANS_RELOAD_WAIT, BANS_RETRY, BANS_STOP_TIME};
use crate::server::report::PERIOD;
use crate::server::small_file::{self, FileProblem};

/// Permissions of the file: the owner alone reads and writes.
const FILE_MODE: u32 = 0o600;

/// The first line of a file that the server has written.
const HEAD: &str =
    "# NETWORK [since TIME] [until TIME] [by-name NAME][: REASON]; the server drops comments when it writes\n";

/// A file of bans that is of no use.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the bans {}: {problem}", path.display())]
pub struct BansFileError {
    /// Its path.
    pub path: PathBuf,
    /// Its fault.
    pub problem: BansProblem,
}

/// A fault of a file of bans.
#[derive(Debug, thiserror::Error)]
pub enum BansProblem {
    /// It is not read.
    #[error(transparent)]
    File(#[from] FileProblem),
    /// It has other bytes than text.
    #[error("line {0}: it is not UTF-8")]
    NotText(usize),
    /// A line is no ban.
    #[error("line {0}: {1}")]
    Line(usize, LineError),
    /// A network stands in two lines.
    #[error("line {0}: {1} is banned in line {2} already")]
    Twice(usize, IpNet, usize),
    /// It has too many bans.
    #[error("line {0}: there are more than {BANS_MAX} bans")]
    TooMany(usize),
    /// With the changes that are to be written, there would be too many bans.
    #[error("with the bans since it was written there are more than {BANS_MAX}")]
    Crowded,
    /// The thread writes it, and the disk takes long.
    #[error("it is being written, and the disk takes long: try again")]
    Busy,
    /// It is not there, but it was.
    #[error("it is gone, and bans are in force: an empty file lifts them")]
    Gone,
}

/// The file, and the thread that writes it. When it is dropped, the rest is written, and the thread ends; that takes no
/// longer than [`BANS_STOP_TIME`], whatever the disk does.
#[derive(Debug)]
pub struct BansFile {
    shared: Arc<Shared>,
}

/// The side of the loop: takes changes to be written.
#[derive(Clone, Debug)]
pub struct Changes(Arc<Shared>);

/// The bans of the file, with the changes that are not written yet. While it exists, nothing is written.
#[derive(Debug)]
pub struct Kept {
    /// The path of the file.
    pub path: PathBuf,
    /// The bans, in the order of their networks.
    pub bans: BanMap,
    /// Whether there is no such file.
    pub is_missing: bool,
    _hold: Hold,
}

/// State that the loop and the thread share.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The newest ban of each network that has changed since the last write, or its removal.
    changes: ChangeMap,
    /// The bans in the file when it was read or written last. If it is gone, the next one begins with them.
    known: BanMap,
    work: Work,
    is_over: bool,
    /// The thread's last word, once it was started.
    ended: Option<Receiver<()>>,
}

type BanMap = BTreeMap<IpNet, Arc<Ban>>;

type ChangeMap = BTreeMap<IpNet, Option<Arc<Ban>>>;

/// The use of the file at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Work {
    #[default]
    None,
    /// The thread writes it.
    Writing,
    /// The loop has read it, and is about to use what it has read.
    Reading,
}

/// Keeps the thread from writing until it is dropped.
#[derive(Debug)]
struct Hold(Arc<Shared>);

impl BansFile {
    /// Returns the file with this path. Touches no disk.
    pub fn new(path: PathBuf) -> BansFile {
        BansFile { shared: Arc::new(Shared { path, state: Mutex::default(), changed: Condvar::new() }) }
    }

    /// Returns the side of the loop.
    pub fn changes(&self) -> Changes {
        Changes(Arc::clone(&self.shared))
    }

    /// Reads the file. If it does not exist, it has no bans.
    ///
    /// # Errors
    /// Names the file, its first bad line, and the fault of that; or it is being written, for [`BANS_RELOAD_WAIT`].
    pub fn read(&self) -> Result<Kept, BansFileError> {
        let fail = |problem| BansFileError { path: self.shared.path.clone(), problem };
        let hold = Shared::hold(&self.shared).ok_or_else(|| fail(BansProblem::Busy))?;
        let read = read(&self.shared.path, unix_ms()).map_err(fail)?;
        let is_missing = read.is_none();
        let mut bans = read.unwrap_or_default();
        let mut state = self.shared.lock();
        apply(&mut bans, &state.changes);
        if !is_missing {
            state.known.clone_from(&bans);
        }
        drop(state);
        if bans.len() > BANS_MAX {
            return Err(fail(BansProblem::Crowded));
        }
        Ok(Kept { path: self.shared.path.clone(), bans, is_missing, _hold: hold })
    }
}

impl Drop for BansFile {
    fn drop(&mut self) {
        let ended = {
            let mut state = self.shared.lock();
            state.is_over = true;
            state.ended.take()
        };
        self.shared.changed.notify_all();
        // If the disk stalls, the thread is left behind, and ends with the process.
        if ended.is_some_and(|ended| ended.recv_timeout(BANS_STOP_TIME) == Err(RecvTimeoutError::Timeout)) {
            warn!("the bans: the disk took too long, so the last ones may be missing");
        }
    }
}

impl Changes {
    /// Has a ban written, or removed. Waits for no disk.
    pub fn note(&self, network: IpNet, ban: Option<Arc<Ban>>) {
        let mut state = self.0.lock();
        state.changes.insert(network, ban);
        if state.ended.is_none() && !state.is_over {
            state.ended = Shared::start(&self.0);
        }
        drop(state);
        self.0.changed.notify_all();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.lock().work = Work::None;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread. If there can be none, the next change tries again.
    fn start(shared: &Arc<Shared>) -> Option<Receiver<()>> {
        let (sender, ended) = mpsc::sync_channel(1);
        let work = Arc::clone(shared);
        let thread = thread::Builder::new().name("bans".to_owned()).spawn(move || {
            work.run();
            // The server may have stopped waiting.
            let _ = sender.send(());
        });
        thread.map_err(|error| error!("the bans are not kept: there is no thread to write them: {error}")).ok()?;
        Some(ended)
    }

    /// Waits until nothing is written, and keeps it so; `None` if that takes longer than [`BANS_RELOAD_WAIT`].
    fn hold(shared: &Arc<Shared>) -> Option<Hold> {
        let is_writing = |state: &mut State| state.work == Work::Writing;
        let waited = shared.changed.wait_timeout_while(shared.lock(), BANS_RELOAD_WAIT, is_writing);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        state.work = Work::Reading;
        Some(Hold(Arc::clone(shared)))
    }

    /// The thread: writes changes until the end, and what is left then.
    fn run(&self) {
        let mut trouble = Trouble::default();
        loop {
            let (changes, known, is_last) = self.take_changes(trouble.retry_at);
            let result = if changes.is_empty() { Ok(known) } else { write(&self.path, &changes, known, unix_ms()) };
            let mut state = self.lock();
            state.work = Work::None;
            let result = match result {
                Ok(known) => {
                    state.known = known;
                    Ok(())
                }
                Err((known, problem)) => {
                    state.known = known;
                    // A newer change of the same network wins.
                    for (network, change) in changes {
                        state.changes.entry(network).or_insert(change);
                    }
                    Err(problem)
                }
            };
            drop(state);
            self.changed.notify_all();
            trouble.note(&self.path, result, is_last);
            if is_last {
                return;
            }
        }
    }

    /// Waits for changes, and for the end of the pause behind a failed write. Returns what is known of the file, too, and
    /// whether the end has come.
    fn take_changes(&self, retry_at: Option<Instant>) -> (ChangeMap, BanMap, bool) {
        let mut state = self.lock();
        loop {
            let pause = retry_at.map_or(Duration::ZERO, |time| time.saturating_duration_since(Instant::now()));
            let has_work = !state.changes.is_empty() && state.work == Work::None;
            if state.is_over || (has_work && pause.is_zero()) {
                state.work = Work::Writing;
                return (mem::take(&mut state.changes), mem::take(&mut state.known), state.is_over);
            }
            state = if pause.is_zero() || !has_work {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }
}

/// Failed writes: what the log has said of them, and when the next one may begin.
#[derive(Debug, Default)]
struct Trouble {
    retry_at: Option<Instant>,
    warned_at: Option<Instant>,
}

impl Trouble {
    /// Reports the outcome of a write: the first failure, then one a minute, and the success after it.
    fn note(&mut self, path: &Path, result: Result<(), BansProblem>, is_last: bool) {
        let path = path.display();
        let now = Instant::now();
        let Err(problem) = result else {
            self.retry_at = None;
            if self.warned_at.take().is_some() {
                info!("the bans are kept in {path} again");
            }
            return;
        };
        self.retry_at = Some(now + BANS_RETRY);
        if is_last {
            error!("the last bans are not kept in {path}: {problem}");
        } else if self.warned_at.is_none_or(|at| now.saturating_duration_since(at) >= PERIOD) {
            self.warned_at = Some(now);
            error!("the bans are in force, but cannot be kept in {path}: {problem}; the server tries again");
        }
    }
}

fn apply(bans: &mut BanMap, changes: &ChangeMap) {
    for (network, change) in changes {
        match change {
            Some(ban) => drop(bans.insert(*network, Arc::clone(ban))),
            None => drop(bans.remove(network)),
        }
    }
}

/// Reads the bans of a file that have not ended; `None` if there is no such file.
fn read(path: &Path, now_ms: u64) -> Result<Option<BanMap>, BansProblem> {
    match small_file::read(path, BANS_FILE_BYTES_MAX) {
        Ok(file) => parse(&file.bytes, now_ms).map(Some),
        Err(FileProblem::Empty) => Ok(Some(BTreeMap::new())),
        Err(FileProblem::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(problem) => Err(problem.into()),
    }
}

fn parse(bytes: &[u8], now_ms: u64) -> Result<BanMap, BansProblem> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        BansProblem::NotText(1 + before.iter().filter(|&&byte| byte == b'\n').count())
    })?;
    let mut bans = BTreeMap::new();
    let mut lines = HashMap::new();
    for (number, line) in (1..).zip(text.strip_prefix('\u{feff}').unwrap_or(text).lines()) {
        let ban = Ban::parse_line(line).map_err(|error| BansProblem::Line(number, error))?;
        let Some(ban) = ban.filter(|ban| ban.holds_at(now_ms)) else { continue };
        if let Some(first) = lines.insert(ban.network, number) {
            return Err(BansProblem::Twice(number, ban.network, first));
        }
        if bans.len() == BANS_MAX {
            return Err(BansProblem::TooMany(number));
        }
        bans.insert(ban.network, Arc::new(ban));
    }
    Ok(bans)
}

/// Applies changes to a file, or to what is known of it if it is gone. Returns what it holds by then.
///
/// # Errors
/// Returns what is known of the file, unchanged, and the problem.
fn write(path: &Path, changes: &ChangeMap, known: BanMap, now_ms: u64) -> Result<BanMap, (BanMap, BansProblem)> {
    let mut bans = match read(path, now_ms) {
        Ok(read) => read.unwrap_or_else(|| known.clone()),
        Err(problem) => return Err((known, problem)),
    };
    apply(&mut bans, changes);
    bans.retain(|_, ban| ban.holds_at(now_ms));
    let written = if bans.len() > BANS_MAX { Err(BansProblem::Crowded) } else { replace(path, &bans) };
    written.map(|()| bans).map_err(|problem| (known, problem))
}

/// Writes a file anew. Whatever fails, and whenever the process is killed, it is the old or the new one.
fn replace(path: &Path, bans: &BanMap) -> Result<(), BansProblem> {
    // A symbolic link stays, and leads to the new file.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let new = beside(&target);
    let result = write_new(&new, bans).and_then(|()| {
        fs::rename(&new, &target)?;
        File::open(folder(&target))?.sync_all()
    });
    if result.is_err() {
        let _ = fs::remove_file(&new);
    }
    Ok(result.map_err(FileProblem::from)?)
}

/// Returns the folder of a file.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the path of the new file beside a file: the same each time, so that a kill leaves one at most.
fn beside(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    target.with_file_name(name)
}

fn write_new(path: &Path, bans: &BanMap) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    let mut writer = BufWriter::new(file);
    writer.write_all(HEAD.as_bytes())?;
    for ban in bans.values() {
        writeln!(writer, "{}", ban.line())?;
    }
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
