//! A store of kept rooms in memory, which outlives the hub: its disk blocks, fails and forgets as the test wishes.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use pollchat::relay::past::Run;
use pollchat::relay::stamp::Stamp;
use pollchat::server::journal::handover::Handover;
use pollchat::server::journal::store::{Kept, Store, Work};
use pollchat::server::limits::JOURNAL_NUMBERS;

/// The store, as a test sees it. Clones share one disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    /// The text that each room was given.
    rooms: Vec<Vec<u8>>,
    /// Bytes that the store takes of all rooms together before it blocks.
    space: usize,
    numbers_end: u64,
    handover: Option<Handover>,
    work: Work,
}

impl Disk {
    /// Creates the disk of so many rooms.
    pub(crate) fn new(rooms: usize) -> Disk {
        let (rooms, work) = (vec![Vec::new(); rooms], Work::default());
        let state = State { rooms, space: usize::MAX, numbers_end: 1, handover: None, work };
        Disk(Rc::new(RefCell::new(state)))
    }

    /// Returns all that a room was given.
    pub(crate) fn text(&self, room: usize) -> String {
        String::from_utf8(self.0.borrow().rooms[room].clone()).unwrap()
    }

    /// Returns the lines that a room was given since the last call, and forgets none.
    pub(crate) fn lines(&self, room: usize) -> Vec<String> {
        self.text(room).lines().map(str::to_owned).collect()
    }

    /// Takes only so many bytes more.
    pub(crate) fn takes(&self, bytes: usize) {
        self.0.borrow_mut().space = bytes;
    }

    /// Whether it takes only so many bytes more.
    pub(crate) fn is_bounded(&self) -> bool {
        self.0.borrow().space < usize::MAX
    }

    /// Loses what a room was given behind so many bytes: the machine stopped before it was on the disk.
    pub(crate) fn cut(&self, room: usize, len: usize) {
        self.0.borrow_mut().rooms[room].truncate(len);
    }

    /// The same, and cuts off what is torn, as a restart does: the end is that of a record.
    pub(crate) fn cut_torn(&self, room: usize, len: usize) {
        let mut state = self.0.borrow_mut();
        let text = &mut state.rooms[room];
        text.truncate(len);
        let line_start = |text: &[u8]| text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        text.truncate(line_start(text));
        while !text.is_empty() {
            let last = line_start(&text[..text.len() - 1]);
            if text[last] != b'@' {
                break;
            }
            text.truncate(last);
        }
    }

    /// Reserves the first numbers of clients of the next run.
    pub(crate) fn numbers(&self) -> Range<u64> {
        let mut state = self.0.borrow_mut();
        let start = state.numbers_end;
        state.numbers_end += JOURNAL_NUMBERS;
        start..state.numbers_end
    }

    /// Returns the end of the numbers of clients that are reserved.
    pub(crate) fn numbers_end(&self) -> u64 {
        self.0.borrow().numbers_end
    }

    /// Takes the sessions that the last run has handed over, by way of their text.
    pub(crate) fn take_handover(&self) -> Option<Handover> {
        let handover = self.0.borrow_mut().handover.take()?;
        let read = Handover::parse(handover.to_text().as_bytes()).expect("a handover is read as it is written");
        assert_eq!(read, handover);
        Some(read)
    }

    /// Returns what the next run finds: at most `bytes` bytes of text a room.
    pub(crate) fn kept(&self, bytes: usize) -> Vec<Kept> {
        self.0.borrow().rooms.iter().map(|text| kept(str::from_utf8(text).unwrap(), bytes)).collect()
    }
}

/// Reads the journal of a room.
fn kept(text: &str, bytes: usize) -> Kept {
    let mut runs: Vec<Run> = Vec::new();
    // The last place at which the text may begin: behind the last gap, and not too far from the end.
    let (mut begin, mut at) = (None, 0);
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let Some(stamp) = Stamp::parse(line.trim_end().as_bytes()) else {
            runs.last_mut().expect("a journal begins with a stamp").records += 1;
            at += line.len();
            continue;
        };
        let gap = match runs.last_mut().filter(|run| run.epoch == stamp.next.epoch) {
            Some(run) => {
                let missed = stamp.next.record - run.first - run.records;
                run.records += missed;
                missed
            }
            None => {
                runs.push(Run { epoch: stamp.next.epoch, first: stamp.next.record, records: 0 });
                0
            }
        };
        if gap > 0 || begin.is_none() || text.len() - begin.unwrap_or(0) > bytes {
            begin = Some(at);
        }
        at += line.len();
    }
    Kept { runs, text: text.as_bytes()[begin.unwrap_or(at)..at].to_vec() }
}

impl Store for Disk {
    fn space(&self, _: usize) -> usize {
        self.0.borrow().space
    }

    fn append(&mut self, room: usize, lines: [&[u8]; 2]) {
        let mut state = self.0.borrow_mut();
        let bytes = lines.concat();
        assert!(bytes.len() <= state.space, "the store is given no more than it takes");
        assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "the store is given whole lines");
        state.space -= if state.space == usize::MAX { 0 } else { bytes.len() };
        state.rooms[room].extend_from_slice(&bytes);
        state.work.written_bytes += bytes.len() as u64;
    }

    fn reserve_numbers(&mut self, end: u64) {
        let mut state = self.0.borrow_mut();
        assert!(end > state.numbers_end, "numbers are reserved once");
        state.numbers_end = end;
    }

    fn hand_over(&mut self, handover: Handover) {
        self.0.borrow_mut().handover = Some(handover);
    }

    fn work(&self) -> Work {
        self.0.borrow().work
    }
}
