//! Stamps: the lines of a tape that tell when, and under which number, the next record was put on it.
//!
//! A *record* is a line of the tape that counts: a said line or a notice. A stamp stands before the first record of
//! each second, in the same append, so it is never last on the tape and belongs to the span of its record. Only tracked
//! readers are sent stamps.
//!
//! A room that several servers share has the stamps of the [entries](super::sequence) that hold its records, which are
//! the same on every server.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::past::Past;
use super::sequence::EntryId;
use super::tape::Position;
use seconds::Seconds;

mod seconds;

/// First byte of a stamp. No name begins with it, so no said line does.
pub const STAMP_BYTE: u8 = b'@';

/// The longest stamp, in bytes, with its LF.
pub const STAMP_BYTES_MAX: usize = 64;

/// The identity of one log of records: positions of another log mean nothing in it. 64 random bits, shown as 13 digits
/// of base 36. In a log that several servers share, that of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// Creates an epoch from random bits.
    pub const fn new(random: u64) -> Epoch {
        Epoch(random)
    }

    /// Returns the epoch that begins with an entry of a shared log: 44 bits of its time, and 20 of its count. All servers
    /// find the same.
    pub const fn of_entry(id: EntryId) -> Epoch {
        Epoch(id.ms << COUNT_BITS | id.seq & ((1 << COUNT_BITS) - 1))
    }

    /// Reads an epoch in its text form.
    pub fn parse(text: &str) -> Option<Epoch> {
        if text.len() != EPOCH_DIGITS {
            return None;
        }
        let digit = |byte: u8| EPOCH_ALPHABET.iter().position(|&digit| digit == byte);
        let push = |value: u64, byte| value.checked_mul(36)?.checked_add(digit(byte)? as u64);
        text.bytes().try_fold(0, push).map(Epoch)
    }
}

/// Bits of an epoch for the count of an entry within its millisecond. Redis takes far fewer entries in that time.
const COUNT_BITS: u32 = 20;

/// The digits of an epoch. 36 to the power of 13 is over 2 to the power of 64.
const EPOCH_DIGITS: usize = 13;

const EPOCH_ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut rest, mut text) = (self.0, [b'0'; EPOCH_DIGITS]);
        for digit in text.iter_mut().rev() {
            // Below 36.
            *digit = EPOCH_ALPHABET[(rest % 36) as usize];
            rest /= 36;
        }
        text.iter().try_for_each(|&digit| f.write_char(digit.into()))
    }
}

/// The place of a record in the log of a room, as clients know it: `EPOCH.NUMBER`.
///
/// ```
/// use pollchat::relay::stamp::{Epoch, RecordId};
///
/// let id = RecordId { epoch: Epoch::new(7), record: 1712 };
/// assert_eq!(id.to_string(), "0000000000007.1712");
/// assert_eq!(RecordId::parse("0000000000007.1712", Epoch::new(7)), Some(1712));
/// assert_eq!(RecordId::parse("0000000000007.1712", Epoch::new(8)), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordId {
    /// The log.
    pub epoch: Epoch,
    /// Records before it.
    pub record: u64,
}

impl RecordId {
    /// Returns the number in a position as a client sent it, if it is one of this log.
    pub fn parse(text: &str, epoch: Epoch) -> Option<u64> {
        RecordId::parse_any(text).filter(|id| id.epoch == epoch).map(|id| id.record)
    }

    /// Returns the position of any log.
    pub fn parse_any(text: &str) -> Option<RecordId> {
        let (log, record) = text.rsplit_once('.')?;
        Some(RecordId { epoch: Epoch::parse(log)?, record: parse_number(record)? })
    }
}

/// As text.
impl Serialize for RecordId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RecordId, D::Error> {
        RecordId::parse_any(&String::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("no position"))
    }
}

fn parse_number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.record)
    }
}

/// A stamp. Its `Display` is the line without LF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since 1970, UTC.
    pub time_ms: u64,
    /// The position of the next record.
    pub next: RecordId,
}

impl Stamp {
    /// Reads a stamp from a line without its LF.
    ///
    /// ```
    /// use pollchat::relay::stamp::Stamp;
    ///
    /// let line = "@ 1764166801123 0000000000007.1712";
    /// assert_eq!(Stamp::parse(line.as_bytes()).unwrap().to_string(), line);
    /// assert_eq!(Stamp::parse(b"@ 1764166801123"), None);
    /// ```
    pub fn parse(line: &[u8]) -> Option<Stamp> {
        let (time_ms, next) = std::str::from_utf8(line).ok()?.strip_prefix("@ ")?.split_once(' ')?;
        Some(Stamp { time_ms: parse_number(time_ms)?, next: RecordId::parse_any(next)? })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@ {} {}", self.time_ms, self.next)
    }
}

/// The last ms of the year 9999, since 1970. Clients show no later time, and an entry of a shared log may have any.
const TIME_MS_MAX: u64 = 253_402_300_799_999;

/// The stamps on a tape: where they stand, and when the next one is due.
///
/// Memory: 16 bytes a stamp on the tape, so at most half as much as the tape. In a shared log twice that.
#[derive(Debug)]
pub struct Stamps {
    epoch: Epoch,
    /// The time of this turn, in ms since 1970. It never goes back. In a shared log, the time of the entry.
    now_ms: u64,
    /// Whether the next record belongs to another second than the newest stamp.
    is_due: bool,
    /// The newest one: its start and its end.
    newest: (u64, u64),
    /// All on the tape, in order, and the one in force at the tail, which may be older.
    placed: VecDeque<Placed>,
    log: Log,
}

/// The log that the numbers of records on the tape belong to.
#[derive(Debug)]
enum Log {
    /// It began with the tape.
    Own,
    /// The same, behind earlier logs.
    After(Box<Past>),
    /// It is that of several servers, in which each stamp begins an epoch.
    Shared(Box<Seconds>),
}

/// A stamp on the tape.
#[derive(Clone, Copy, Debug)]
struct Placed {
    offset: u64,
    time_ms: u64,
}

impl Stamps {
    /// Creates the stamps of an empty tape. None is written before [`set_time`](Stamps::set_time).
    pub(super) fn new(epoch: Epoch) -> Stamps {
        Stamps { epoch, now_ms: 0, is_due: false, newest: (0, 0), placed: VecDeque::new(), log: Log::Own }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Sets the time of records from now on. An earlier time than before counts as the same.
    pub(super) fn set_time(&mut self, now_ms: u64) {
        if let Log::Shared(seconds) = &self.log
            && seconds.has_begun()
        {
            return;
        }
        self.now_ms = self.now_ms.max(now_ms);
        // Once due, it stays so until a record comes.
        self.is_due |= self.is_other_second();
    }

    /// Whether the time is in another second than that of the newest stamp.
    fn is_other_second(&self) -> bool {
        self.placed.back().is_none_or(|newest| newest.time_ms / 1_000 != self.now_ms / 1_000)
    }

    /// Takes the stamps from the entries of a shared log.
    pub(super) fn share(&mut self) {
        self.log = Log::Shared(Box::default());
    }

    /// Begins an entry of a shared log. Its time may be before that of the last one: the clock of the log may go back.
    pub(super) fn begin_entry(&mut self, id: EntryId) {
        let Log::Shared(seconds) = &mut self.log else { return };
        seconds.begin_entry(Epoch::of_entry(id));
        self.now_ms = id.ms.min(TIME_MS_MAX);
        // All servers must find the same, whatever records of the last entries they heard first.
        self.is_due = self.is_other_second();
    }

    /// Goes on behind earlier logs. The next record has a stamp, in whatever second it comes.
    pub(super) fn go_on_after(&mut self, past: Past) {
        self.log = Log::After(Box::new(past));
        self.is_due = true;
    }

    /// Records that a stamp of an earlier log stands on the tape between these offsets.
    pub(super) fn on_loaded(&mut self, stamp: Stamp, start: u64, end: u64) {
        self.newest = (start, end);
        self.placed.push_back(Placed { offset: start, time_ms: stamp.time_ms });
    }

    /// Returns the position of the record with this number on the tape.
    pub(super) fn id_of(&self, record: u64) -> RecordId {
        let position = match &self.log {
            Log::Own => None,
            Log::After(past) => past.position(record),
            Log::Shared(seconds) => seconds.position(record),
        };
        position.unwrap_or(RecordId { epoch: self.epoch, record })
    }

    /// Returns the number on the tape of the record at a position of this log or of an earlier one.
    pub(super) fn number_of(&self, position: RecordId) -> Option<u64> {
        let is_own = position.epoch == self.epoch;
        match &self.log {
            Log::Own => is_own.then_some(position.record),
            Log::After(past) if is_own && position.record >= past.end() => Some(position.record),
            Log::After(past) => past.find(position),
            // Nothing stands before the first stamp.
            Log::Shared(_) if is_own => Some(0),
            Log::Shared(seconds) => seconds.find(position),
        }
    }

    /// Whether the newest of the earlier logs ends before the record `end`, in the numbers of this tape.
    pub(super) fn ends_log_at(&self, end: RecordId) -> bool {
        matches!(&self.log, Log::After(past) if past.newest_end() == Some(end))
    }

    /// Goes on in a log that [ends](Stamps::ends_log_at) before the next record.
    pub(super) fn go_on_in_log(&mut self, epoch: Epoch) {
        self.epoch = epoch;
    }

    /// Whether the next record needs a stamp.
    pub(super) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Returns the stamp before a record that is put on the tape now.
    pub(super) fn next(&self, record: u64) -> Stamp {
        let next = match &self.log {
            Log::Own | Log::After(_) => RecordId { epoch: self.epoch, record },
            Log::Shared(seconds) => seconds.next(),
        };
        Stamp { time_ms: self.now_ms, next }
    }

    /// Records that [`next`](Stamps::next) was put on the tape from this offset on, up to the place of its record.
    pub(super) fn on_placed(&mut self, start: u64, end: Position) {
        self.is_due = false;
        self.newest = (start, end.offset);
        self.placed.push_back(Placed { offset: start, time_ms: self.now_ms });
        if let Log::Shared(seconds) = &mut self.log {
            seconds.on_placed(end.record);
        }
    }

    /// Forgets stamps that have left the tape, but for the one in force at the tail.
    pub(super) fn forget_before(&mut self, tail: u64) {
        while self.placed.get(1).is_some_and(|second| second.offset <= tail) {
            self.placed.pop_front();
        }
        if let Log::Shared(seconds) = &mut self.log {
            seconds.forget(self.placed.len());
        }
    }

    /// Returns the time of the record at or behind `offset`, in ms since 1970. If there is none, the present; in a shared
    /// log, in which a record may come without a stamp, the time of the newest one.
    pub(super) fn time_at(&self, offset: u64, end: u64) -> u64 {
        let behind = self.placed.partition_point(|stamp| stamp.offset <= offset);
        match self.placed.get(behind.saturating_sub(1)) {
            Some(stamp) if offset < end || matches!(self.log, Log::Shared(_)) => stamp.time_ms,
            _ => self.now_ms,
        }
    }

    /// Whether all of them begin before `offset`.
    pub(super) fn are_before(&self, offset: u64) -> bool {
        offset > self.newest.0
    }

    /// Returns the end of the newest stamp if that begins at `offset`. `None` if an older one may be ahead.
    pub(super) fn past_newest(&self, offset: u64) -> Option<u64> {
        (offset == self.newest.0).then_some(self.newest.1)
    }

    /// Returns where the first stamp at or behind `offset` begins.
    pub(super) fn first_from(&self, offset: u64) -> Option<u64> {
        if offset > self.newest.0 {
            return None;
        }
        let index = self.placed.partition_point(|stamp| stamp.offset < offset);
        self.placed.get(index).map(|stamp| stamp.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_of_another_log_or_form_is_none() {
        let epoch = Epoch::new(u64::MAX);
        let id = RecordId { epoch, record: u64::MAX };
        assert_eq!(RecordId::parse(&id.to_string(), epoch), Some(u64::MAX));
        for text in ["", ".", "x", "3w5e11264sgsf.", "3w5e11264sgsf.-1", "3w5e11264sgsf.+1", "3w5e11264sgsf.1x", ".1"] {
            assert_eq!(RecordId::parse(text, epoch), None, "{text}");
        }
        assert_eq!(RecordId::parse("3w5e11264sgsf.99999999999999999999", epoch), None);
        assert_eq!(RecordId::parse("3w5e11264sgsf.12", epoch), Some(12));
    }

    #[test]
    fn an_epoch_is_read_as_it_is_shown() {
        for bits in [0, 1, 35, 36, u64::MAX] {
            assert_eq!(Epoch::parse(&Epoch::new(bits).to_string()), Some(Epoch::new(bits)));
        }
        // One more than the last, another alphabet, another length.
        for text in ["3w5e11264sgsg", "3W5E11264SGSF", "3w5e11264sgs", "03w5e11264sgsf", "zzzzzzzzzzzzz"] {
            assert_eq!(Epoch::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_longest_stamp_is_within_its_bound() {
        let next = RecordId { epoch: Epoch::new(u64::MAX), record: u64::MAX };
        let stamp = Stamp { time_ms: u64::MAX, next };
        assert!(stamp.to_string().len() < STAMP_BYTES_MAX, "{stamp}");
    }

    #[test]
    fn a_stamp_is_due_once_a_second_and_time_never_goes_back() {
        let at = |offset| Position { offset, ..Position::default() };
        let mut stamps = Stamps::new(Epoch::new(1));
        assert!(!stamps.is_due(), "no time is known");
        stamps.set_time(5_900);
        assert!(stamps.is_due());
        stamps.on_placed(0, at(10));
        stamps.set_time(5_999);
        assert!(!stamps.is_due());
        stamps.set_time(4_000);
        assert!(!stamps.is_due() && stamps.next(3).time_ms == 5_999);
        stamps.set_time(6_000);
        assert!(stamps.is_due());
        stamps.on_placed(40, at(50));
        assert_eq!((stamps.time_at(0, 90), stamps.time_at(39, 90), stamps.time_at(40, 90)), (5_900, 5_900, 6_000));
        assert_eq!((stamps.past_newest(39), stamps.past_newest(40)), (None, Some(50)));
        assert!(!stamps.are_before(40) && stamps.are_before(41));
        stamps.forget_before(39);
        assert_eq!(stamps.first_from(0), Some(0));
        stamps.forget_before(40);
        assert_eq!((stamps.first_from(0), stamps.first_from(41)), (Some(40), None));
    }
}
