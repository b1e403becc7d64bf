//! The thread that writes the journal, its buffers, and its pace.
//!
//! For each room there are two buffers. The loop fills the one, while the thread writes the other. They are swapped
//! under a lock that neither side holds for longer than that. So the loop waits for no disk: if the disk stalls, the
//! loop's buffer fills up, and the journal lags like any slow reader.
//!
//! The thread naps a few milliseconds between two writes, and the loop lets it: a hand-over costs no call of the kernel
//! then. Only a thread that sleeps for longer is woken. Without new records, and once all is synced, it sleeps until
//! there are some.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use log::{info, warn};

use super::disk::{Disk, RealDisk};
use super::folder::Lock;
use super::handover::{self, Handover};
use super::room_log::RoomLog;
use super::store::{Store, Work};
use super::{Settings, numbers};
use crate::server::limits::{JOURNAL_NAP, JOURNAL_RETRY, JOURNAL_STOP_TIME};
use crate::server::report::PERIOD;

/// The thread writes, or is about to look again: it need not be woken.
const AWAKE: u8 = 0;

/// The thread looks again in a few milliseconds: it is woken only if a buffer is half full.
const NAPPING: u8 = 1;

/// The thread sleeps until it is woken.
const ASLEEP: u8 = 2;

/// The store of a server. When it is dropped, the rest is written, and the thread ends; that takes no longer than
/// [`JOURNAL_STOP_TIME`], whatever the disk does.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
    ended: Receiver<()>,
}

/// State that the loop and the thread share.
#[derive(Debug)]
struct Shared {
    rooms: Box<[Queue]>,
    buffer_bytes: usize,
    longest_line_bytes: usize,
    /// [`AWAKE`], [`NAPPING`] or [`ASLEEP`].
    state: AtomicU8,
    is_over: AtomicBool,
    /// The end of the numbers to be reserved.
    numbers_end: AtomicU64,
    /// The sessions for the next run.
    handover: Mutex<Option<Handover>>,
    written_bytes: AtomicU64,
    errors: AtomicU64,
}

/// The lines of a room that the thread has not taken.
#[derive(Debug, Default)]
struct Queue {
    lines: Mutex<Vec<u8>>,
    /// Their bytes.
    filled: AtomicUsize,
}

impl Queue {
    fn lines(&self) -> MutexGuard<'_, Vec<u8>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all lines, and leaves an empty buffer. Returns how many bytes they are.
    fn swap(&self, empty: &mut Vec<u8>) -> usize {
        if self.filled.load(Ordering::Acquire) == 0 {
            return 0;
        }
        let mut lines = self.lines();
        std::mem::swap(&mut *lines, empty);
        self.filled.store(0, Ordering::Release);
        empty.len()
    }
}

impl Writer {
    /// Starts the thread. `logs` are those of the settings' rooms, in their order.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(
        settings: &Settings,
        logs: Vec<RoomLog<RealDisk>>,
        lock: Lock,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<Writer> {
        let dir = settings.dir.clone();
        let reserve = move |end| numbers::reserve(&dir, end);
        Writer::start_on(settings, logs, reserve, move || {
            let _lock = &lock;
            wake();
        })
    }

    fn start_on<D>(
        settings: &Settings,
        logs: Vec<RoomLog<D>>,
        reserve: impl Fn(u64) -> io::Result<()> + Send + 'static,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<Writer>
    where
        D: Disk<File: Send> + Send + 'static,
    {
        let shared = Arc::new(Shared {
            rooms: logs.iter().map(|_| Queue::default()).collect(),
            buffer_bytes: settings.buffer_bytes,
            longest_line_bytes: settings.longest_line_bytes,
            state: AtomicU8::new(AWAKE),
            is_over: AtomicBool::new(false),
            numbers_end: AtomicU64::new(0),
            handover: Mutex::default(),
            written_bytes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        });
        let (sender, ended) = mpsc::sync_channel(1);
        let work = WriterThread {
            rooms: logs.into_iter().map(|log| RoomWriter { log, lines: Vec::new(), retry_at: None }).collect(),
            shared: Arc::clone(&shared),
            sync_every: settings.sync_every,
            sync_at: None,
            dir: settings.dir.clone(),
            reserve,
            reserved: 0,
            numbers_retry_at: None,
            is_sync_failing: false,
            wake,
            trouble: Trouble::default(),
        };
        let handle = thread::Builder::new().name("journal".to_owned()).spawn(move || work.run(&sender))?;
        Ok(Writer { shared, thread: handle.thread().clone(), handle: Some(handle), ended })
    }

    /// Wakes the thread if it sleeps, or if it naps and `is_urgent`.
    fn wake_thread(&self, is_urgent: bool) {
        let state = self.shared.state.load(Ordering::Acquire);
        if state == ASLEEP || (state == NAPPING && is_urgent) {
            self.shared.state.store(AWAKE, Ordering::Release);
            self.thread.unpark();
        }
    }
}

impl Store for Writer {
    fn space(&self, room: usize) -> usize {
        self.shared.buffer_bytes - self.shared.rooms[room].filled.load(Ordering::Acquire)
    }

    fn append(&mut self, room: usize, lines: [&[u8]; 2]) {
        let queue = &self.shared.rooms[room];
        let (before, filled) = {
            let mut buffer = queue.lines();
            let before = buffer.len();
            lines.iter().for_each(|lines| buffer.extend_from_slice(lines));
            queue.filled.store(buffer.len(), Ordering::Release);
            (before, buffer.len())
        };
        debug_assert!(filled <= self.shared.buffer_bytes, "there is space for all lines that are handed over");
        let half = self.shared.buffer_bytes / 2;
        self.wake_thread(before < half && filled >= half);
    }

    fn reserve_numbers(&mut self, end: u64) {
        self.shared.numbers_end.store(end, Ordering::Release);
        self.thread.unpark();
    }

    fn hand_over(&mut self, handover: Handover) {
        *self.shared.handover.lock().unwrap_or_else(PoisonError::into_inner) = Some(handover);
    }

    fn work(&self) -> Work {
        Work {
            written_bytes: self.shared.written_bytes.load(Ordering::Relaxed),
            errors: self.shared.errors.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.thread.unpark();
        // If the disk stalls, the thread is left behind, and ends with the process.
        if self.ended.recv_timeout(JOURNAL_STOP_TIME) == Err(mpsc::RecvTimeoutError::Timeout) {
            warn!("the journal: the disk took too long, so the last lines may be missing");
        } else {
            self.handle.take().map(JoinHandle::join);
        }
    }
}

/// The thread's side.
struct WriterThread<D: Disk, R, W> {
    rooms: Vec<RoomWriter<D>>,
    shared: Arc<Shared>,
    sync_every: Option<Duration>,
    /// When the bytes that are not synced have to be.
    sync_at: Option<Instant>,
    dir: PathBuf,
    reserve: R,
    /// The end of the numbers that are reserved.
    reserved: u64,
    numbers_retry_at: Option<Instant>,
    /// Whether the last sync failed.
    is_sync_failing: bool,
    wake: W,
    trouble: Trouble,
}

/// A room on the thread's side.
struct RoomWriter<D: Disk> {
    log: RoomLog<D>,
    /// Lines that were taken and are to be written: none, unless a write failed.
    lines: Vec<u8>,
    /// When that write is tried again.
    retry_at: Option<Instant>,
}

/// Failures, as the log tells of them: a warning a minute at most, and a line when a trouble that it told is over.
#[derive(Debug, Default)]
struct Trouble {
    /// The first failure of a trouble that is not over.
    since: Option<Instant>,
    is_told: bool,
    /// The last warning.
    warned_at: Option<Instant>,
    /// Failures since then.
    untold: u64,
}

impl Trouble {
    fn note(&mut self, what: &str, now: Instant) {
        self.since.get_or_insert(now);
        if self.warned_at.is_some_and(|warned_at| now.duration_since(warned_at) < PERIOD) {
            self.untold += 1;
            return;
        }
        match std::mem::take(&mut self.untold) {
            0 => warn!("the journal: {what}; the rooms go on, and it is tried again"),
            untold => warn!("the journal: {untold} more failures since the last warning, and now: {what}"),
        }
        (self.warned_at, self.is_told) = (Some(now), true);
    }

    fn end(&mut self, now: Instant) {
        if let Some(since) = self.since.take()
            && std::mem::take(&mut self.is_told)
        {
            info!("the journal: it is written again, after {} s", now.duration_since(since).as_secs());
        }
    }
}

impl<D: Disk, R: Fn(u64) -> io::Result<()>, W: Fn()> WriterThread<D, R, W> {
    fn run(mut self, ended: &SyncSender<()>) {
        loop {
            self.shared.state.store(AWAKE, Ordering::Release);
            let is_over = self.shared.is_over.load(Ordering::Acquire);
            let has_written = self.write_all(Instant::now(), is_over);
            self.sync(Instant::now(), is_over);
            self.reserve_numbers(Instant::now());
            self.end_trouble();
            if is_over {
                break;
            }
            self.rest(has_written);
        }
        self.end();
        // The lock goes before the end is told.
        drop(self);
        let _ = ended.send(());
    }

    /// Writes what the loop has handed over. Returns whether there was anything.
    fn write_all(&mut self, now: Instant, is_over: bool) -> bool {
        let (mut has_written, mut has_new_space) = (false, false);
        let full = self.shared.buffer_bytes - self.shared.longest_line_bytes;
        for index in 0..self.rooms.len() {
            // At the end, what is left after a retry is in the other buffer.
            for _ in 0..=usize::from(is_over) {
                let room = &mut self.rooms[index];
                if room.retry_at.is_some_and(|retry_at| retry_at > now && !is_over) {
                    break;
                }
                if room.lines.is_empty() {
                    // The longest line may not have fitted any longer.
                    has_new_space |= self.shared.rooms[index].swap(&mut room.lines) > full;
                }
                if room.lines.is_empty() {
                    break;
                }
                has_written = true;
                let bytes = room.lines.len() as u64;
                match room.log.write(&room.lines, self.sync_every.is_some()) {
                    Ok(()) => {
                        room.lines.clear();
                        room.retry_at = None;
                        self.shared.written_bytes.fetch_add(bytes, Ordering::Relaxed);
                        self.sync_at = self.sync_at.or(self.sync_every.map(|every| now + every));
                    }
                    Err(error) => {
                        room.retry_at = Some(Instant::now() + JOURNAL_RETRY);
                        let what = format!("cannot write {}: {error}", room.log.path().display());
                        self.note_failure(&what);
                    }
                }
            }
        }
        if has_new_space {
            (self.wake)();
        }
        has_written
    }

    fn sync(&mut self, now: Instant, is_over: bool) {
        if !self.sync_at.is_some_and(|sync_at| sync_at <= now || is_over) {
            return;
        }
        (self.sync_at, self.is_sync_failing) = (None, false);
        for index in 0..self.rooms.len() {
            let log = &mut self.rooms[index].log;
            if log.is_unsynced()
                && let Err(error) = log.sync()
            {
                self.is_sync_failing = true;
                let what = format!("cannot sync {}: {error}", log.path().display());
                self.note_failure(&what);
            }
        }
    }

    fn reserve_numbers(&mut self, now: Instant) {
        let end = self.shared.numbers_end.load(Ordering::Acquire);
        if end <= self.reserved || self.numbers_retry_at.is_some_and(|retry_at| retry_at > now) {
            return;
        }
        match (self.reserve)(end) {
            Ok(()) => (self.reserved, self.numbers_retry_at) = (end, None),
            Err(error) => {
                self.numbers_retry_at = Some(Instant::now() + JOURNAL_RETRY);
                self.note_failure(&format!("cannot reserve client numbers in {}: {error}", self.dir.display()));
            }
        }
    }

    fn note_failure(&mut self, what: &str) {
        self.shared.errors.fetch_add(1, Ordering::Relaxed);
        self.trouble.note(what, Instant::now());
    }

    fn end_trouble(&mut self) {
        let is_failing = |room: &RoomWriter<D>| room.retry_at.is_some();
        if !(self.is_sync_failing || self.numbers_retry_at.is_some() || self.rooms.iter().any(is_failing)) {
            self.trouble.end(Instant::now());
        }
    }

    /// Sleeps until there may be work.
    fn rest(&self, has_written: bool) {
        let retries = self.rooms.iter().filter_map(|room| room.retry_at).chain(self.numbers_retry_at).min();
        if has_written && retries.is_none() {
            self.shared.state.store(NAPPING, Ordering::Release);
            thread::park_timeout(JOURNAL_NAP);
            return;
        }
        // While a write fails, lines are no news. A room on another disk has to wait, too, or until it is half full.
        self.shared.state.store(if retries.is_some() { NAPPING } else { ASLEEP }, Ordering::Release);
        let is_over = self.shared.is_over.load(Ordering::Acquire);
        // The lock orders this after an append that did not see that the thread sleeps.
        let has_news = retries.is_none() && self.shared.rooms.iter().any(|queue| !queue.lines().is_empty());
        let has_numbers = self.shared.numbers_end.load(Ordering::Acquire) > self.reserved;
        if is_over || has_news || (has_numbers && self.numbers_retry_at.is_none()) {
            return;
        }
        match self.sync_at.into_iter().chain(retries).min() {
            Some(until) => thread::park_timeout(until.saturating_duration_since(Instant::now())),
            None => thread::park(),
        }
    }

    /// Keeps the sessions for the next run. If records are missing, logs how many bytes: lines that count as heard are
    /// lost then, and their authors must not believe otherwise.
    fn end(&self) {
        let unwritten: usize =
            self.rooms.iter().zip(&self.shared.rooms).map(|(room, queue)| room.lines.len() + queue.lines().len()).sum();
        if unwritten > 0 {
            warn!("the journal: the last {unwritten} bytes are missing: the disk has not taken them");
            return;
        }
        let handover = self.shared.handover.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(handover) = handover.filter(|handover| !handover.sessions.is_empty()) else { return };
        let clients = handover.members();
        let plural = if clients == 1 { "" } else { "s" };
        match handover::write(&self.dir, &handover) {
            Ok(()) => info!("kept the sessions of {clients} client{plural} for the next start"),
            Err(error) => warn!("cannot keep the sessions of {clients} client{plural} for the next start: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::sync::Condvar;

    use super::super::disk::DiskFile;
    use super::super::testing::{Scratch, talk};
    use super::*;

    /// Time within which a thread has to do what it is expected to do.
    const DEADLINE: Duration = Duration::from_secs(20);

    /// State of a disk that a test stops.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum State {
        Well,
        /// Writes wait.
        Stalled,
        /// Writes fail.
        Full,
    }

    /// A disk in the hands of a test.
    #[derive(Clone, Debug)]
    struct Held(Arc<(Mutex<State>, Condvar)>);

    #[derive(Debug)]
    struct HeldFile(File, Held);

    impl Held {
        fn new(state: State) -> Held {
            Held(Arc::new((Mutex::new(state), Condvar::new())))
        }

        fn set(&self, state: State) {
            *self.0.0.lock().unwrap() = state;
            self.0.1.notify_all();
        }

        fn wait(&self) -> io::Result<()> {
            let state = self.0.1.wait_while(self.0.0.lock().unwrap(), |state| *state == State::Stalled).unwrap();
            if *state == State::Full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    impl Disk for Held {
        type File = HeldFile;

        fn create(&self, path: &Path) -> io::Result<HeldFile> {
            self.wait()?;
            Ok(HeldFile(RealDisk.create(path)?, self.clone()))
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            RealDisk.remove(path)
        }

        fn sync_folder(&self, path: &Path) -> io::Result<()> {
            RealDisk.sync_folder(path)
        }
    }

    impl DiskFile for HeldFile {
        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
            self.1.wait()?;
            DiskFile::write_at(&self.0, bytes, offset)
        }

        fn set_len(&self, bytes: u64) -> io::Result<()> {
            DiskFile::set_len(&self.0, bytes)
        }

        fn sync(&self) -> io::Result<()> {
            self.1.wait()?;
            DiskFile::sync(&self.0)
        }

        fn is_linked(&self) -> bool {
            true
        }
    }

    /// A writer of the lobby on such a disk; the end of what it has reserved, and the number of its wakes.
    fn writer(scratch: &Scratch, disk: &Held) -> (Writer, Arc<AtomicU64>, Arc<AtomicU64>) {
        let log = RoomLog::new(disk.clone(), scratch.path().join("lobby"), "lobby", 1 << 20, [].into(), 0);
        let (reserved, wakes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (to, counted) = (Arc::clone(&reserved), Arc::clone(&wakes));
        let reserve = move |end| {
            to.store(end, Ordering::SeqCst);
            Ok(())
        };
        let wake = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        let settings = Settings { sync_every: Some(Duration::from_millis(1)), ..scratch.settings() };
        (Writer::start_on(&settings, vec![log], reserve, wake).unwrap(), reserved, wakes)
    }

    fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < DEADLINE, "not in time: {what}");
            thread::yield_now();
        }
    }

    /// Hands over whole lines as far as there is space, and returns the rest.
    fn hand_over<'a>(writer: &mut Writer, text: &'a str) -> &'a str {
        let fits = &text[..text.len().min(writer.space(0))];
        let (lines, _) = text.split_at(fits.rfind('\n').map_or(0, |at| at + 1));
        let (first, second) = lines.as_bytes().split_at(lines.len() / 3);
        writer.append(0, [first, second]);
        &text[lines.len()..]
    }

    fn text(scratch: &Scratch) -> String {
        let texts = scratch.files().into_iter().map(|file| fs::read_to_string(file).unwrap());
        texts.map(|text| text.split_once('\n').map_or(String::new(), |(_, text)| text.to_owned())).collect()
    }

    #[test]
    fn all_lines_are_on_the_disk_in_order_once_the_writer_is_dropped() {
        let (scratch, disk) = (Scratch::new(), Held::new(State::Well));
        let (mut writer, ..) = writer(&scratch, &disk);
        let all = talk(1, 0, 5_000);
        let mut rest = all.as_str();
        let start = Instant::now();
        while !rest.is_empty() {
            rest = hand_over(&mut writer, rest);
            assert!(start.elapsed() < DEADLINE);
        }
        drop(writer);
        assert_eq!(text(&scratch), all);
    }

    #[test]
    fn a_disk_that_stalls_fills_the_buffer_and_the_loop_is_woken_when_there_is_space() {
        let (scratch, disk) = (Scratch::new(), Held::new(State::Stalled));
        let (mut writer, _, wakes) = writer(&scratch, &disk);
        let all = talk(1, 0, 1_000);
        let mut rest = hand_over(&mut writer, &all);
        // The thread has taken one buffer, and waits for the disk.
        eventually("the thread takes a buffer", || writer.space(0) == 4_096);
        while writer.space(0) > 1_000 {
            rest = hand_over(&mut writer, rest);
        }
        let before = wakes.load(Ordering::SeqCst);
        disk.set(State::Well);
        eventually("the loop is woken", || wakes.load(Ordering::SeqCst) > before);
        eventually("all is written", || writer.work().written_bytes == (all.len() - rest.len()) as u64);
        assert_eq!(writer.work().errors, 0);
        drop(writer);
        assert_eq!(text(&scratch), all[..all.len() - rest.len()]);
    }

    #[test]
    fn a_disk_that_was_full_gets_the_same_lines_again() {
        let (scratch, disk) = (Scratch::new(), Held::new(State::Full));
        let (mut writer, ..) = writer(&scratch, &disk);
        let all = talk(1, 0, 100);
        let mut rest = hand_over(&mut writer, &all);
        eventually("the write fails", || writer.work().errors > 0);
        rest = hand_over(&mut writer, rest);
        disk.set(State::Well);
        let written = (all.len() - rest.len()) as u64;
        eventually("it is tried again", || writer.work().written_bytes == written);
        drop(writer);
        assert_eq!(text(&scratch), all[..all.len() - rest.len()]);
    }

    #[test]
    fn a_disk_that_stays_full_or_stalls_does_not_keep_the_server_from_ending() {
        for state in [State::Full, State::Stalled] {
            let (scratch, disk) = (Scratch::new(), Held::new(state));
            let (mut writer, ..) = writer(&scratch, &disk);
            hand_over(&mut writer, &talk(1, 0, 10));
            eventually("the thread takes it", || writer.space(0) == 4_096);
            let start = Instant::now();
            drop(writer);
            assert!(start.elapsed() < DEADLINE);
            disk.set(State::Well);
        }
    }

    #[test]
    fn numbers_are_reserved_by_a_thread_that_sleeps_otherwise() {
        let (scratch, disk) = (Scratch::new(), Held::new(State::Well));
        let (mut writer, reserved, _) = writer(&scratch, &disk);
        for end in [1_000, 2_000] {
            eventually("it sleeps", || writer.shared.state.load(Ordering::SeqCst) == ASLEEP);
            writer.reserve_numbers(end);
            eventually("they are reserved", || reserved.load(Ordering::SeqCst) == end);
        }
        assert_eq!(scratch.files().len(), 0);
    }
}
