//! A room that several servers share: its records go to a common log, and come onto the tape once they were read back.
//!
//! The member's own server decides what becomes a record, whether `joined` is told included. Each record is exactly one
//! line of the tape, so the tapes of all servers are equal by construction, whatever each knows of the members of the
//! others. The roster of this server changes at once; only the tape waits for the log.
//!
//! Words of one server alone, such as that it is cut off, are *asides*: lines of the tape that begin with `** `, and
//! that are no records.

use super::super::event::Applied;
use super::super::notice::Notice;
use super::super::record::Record;
use super::super::roster::{MemberId, Roster};
use super::super::sequence::EntryId;
use super::super::tape::Span;
use super::{Room, applied};

/// Bytes of text that a byte of a received line may become: U+FFFD.
const SANITIZED_BYTES: usize = 3;

/// Records of a room on their way to the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The records: one a line, each ended by LF.
    pub events: String,
    /// Said lines among them.
    pub lines: u64,
}

impl Outgoing {
    /// Adds a record. Returns its bytes.
    fn push(&mut self, record: &Record<'_>) -> u64 {
        let before = self.events.len();
        record.push(&mut self.events);
        self.lines += u64::from(record.is_said());
        (self.events.len() - before) as u64
    }
}

impl Room {
    /// Shares the room with other servers from now on: its records are [outgoing](Room::take_outgoing), and come onto
    /// the tape by [`hear`](Room::hear). Before any record.
    pub fn share(&mut self) {
        self.tape.share();
        self.outgoing.get_or_insert_default();
    }

    /// Whether other servers share the room.
    pub fn is_shared(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Takes the records that are on their way to the log, if there are any.
    pub fn take_outgoing(&mut self) -> Option<Outgoing> {
        let outgoing = self.outgoing.as_mut().filter(|outgoing| !outgoing.events.is_empty())?;
        Some(std::mem::take(outgoing))
    }

    /// Makes all announcements: the room is dropped, and nobody here reads them.
    pub fn announce_all(&mut self) {
        while self.announce_next().is_some() {}
    }

    /// Begins an entry that was read from the log: gives the records that follow its time and its positions.
    pub fn begin_entry(&mut self, id: EntryId) {
        self.tape.begin_entry(id);
    }

    /// Puts a record that was read from the log on the tape. A server that takes longer lines than this one may have
    /// written it: then the end of its text is cut off.
    pub fn hear(&mut self, record: &Record<'_>) -> Span {
        record.cut(SANITIZED_BYTES * self.options.line_bytes_max).put_on(&mut self.tape)
    }

    /// Puts words of this server alone on the tape: neither a record nor a said line. Each reader is sent them.
    pub fn aside(&mut self, notice: Notice<'_>) -> Span {
        self.tape.aside(notice)
    }

    /// Puts a record on the tape or, in a shared room, on its way to the log.
    pub(super) fn put(&mut self, record: &Record<'_>) -> Applied {
        match &mut self.outgoing {
            None => applied(record.put_on(&mut self.tape)),
            Some(outgoing) => Applied { bytes: outgoing.push(record), ..Applied::default() },
        }
    }

    /// Sends a said line to the log, behind the introduction of its author. Its name is in `prefix`.
    pub(super) fn send_said(&mut self, roster: &Roster, member: MemberId, text: &str, introduced: Applied) -> Applied {
        let number = roster.number(member).shown();
        let said = match self.prefix.strip_suffix("> ") {
            Some(name) if !roster.is_operator(member) => Record::Said { number, name, text },
            _ => Record::Proclaimed { text },
        };
        let bytes = self.outgoing.as_mut().map_or(0, |outgoing| outgoing.push(&said));
        Applied { bytes: introduced.bytes + bytes, ..introduced }
    }

    /// Tells the room that the server shuts down. In a shared room the other servers go on.
    pub(super) fn shut_down(&mut self) -> Span {
        match self.outgoing {
            None => self.tape.announce(Notice::ShuttingDown),
            Some(_) => self.aside(Notice::ShuttingDown),
        }
    }
}
