//! Servers of which this one perhaps does not know what the log has told: Redis has lost a part of it.
//!
//! Each is asked for a snapshot of its members, again and again until one was read from its beginning to its end: the
//! wish itself can be lost. A server that counts as gone has perhaps never read that. If it still writes after
//! [`DOUBT_TIME`], and has not said hello, its end is written once more: it says hello when it reads that.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::Hub;
use super::Standing;
use crate::net::stream::Socket;
use crate::relay::elsewhere::event::RosterEvent;
use crate::relay::sequence::Writer;

/// Time between two wishes: a snapshot comes within that time if nothing goes wrong. A server that comes back from a
/// standstill reads of its own end, and says hello, within that time, too.
const DOUBT_TIME: Duration = Duration::from_secs(10);

/// Times that a server is asked that writes nothing any more.
const TIMES: u8 = 6;

/// Most servers in doubt: a hostile log has any number of them.
const DOUBTS_MAX: usize = 1_000;

/// The servers in doubt.
#[derive(Debug, Default)]
pub(super) struct Doubts(BTreeMap<Writer, Doubt>);

#[derive(Clone, Copy, Debug)]
struct Doubt {
    due: Instant,
    times_left: u8,
}

impl Doubts {
    /// Doubts a server from now on. It is asked when that is due, if it is not already.
    fn add(&mut self, server: Writer, due: Instant) {
        if let Some(doubt) = self.0.get_mut(&server) {
            doubt.times_left = TIMES;
        } else if self.0.len() < DOUBTS_MAX {
            self.0.insert(server, Doubt { due, times_left: TIMES });
        }
    }

    /// Ends the doubt of a server: all that it has told before is known, or counts for nothing.
    pub(super) fn end(&mut self, server: Writer) {
        self.0.remove(&server);
    }

    /// Returns when the next server is to be asked.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.0.values().map(|doubt| doubt.due).min()
    }

    /// Takes the servers that are to be asked now, and keeps them for the next time.
    fn take_due(&mut self, now: Instant) -> Vec<Writer> {
        let mut due = Vec::new();
        self.0.retain(|&server, doubt| {
            if doubt.due <= now {
                due.push(server);
                (doubt.due, doubt.times_left) = (now + DOUBT_TIME, doubt.times_left - 1);
            }
            doubt.times_left > 0
        });
        due
    }
}

impl<S: Socket> Hub<S> {
    /// Doubts the writer of an entry of the roster's log if entries before it were lost, or if it is not there.
    pub(super) fn doubt(&mut self, writer: Writer, has_gap: bool, now: Instant) {
        let (Some(others), Some(elsewhere)) = (&mut self.others, self.roster.elsewhere_mut()) else { return };
        if has_gap {
            elsewhere.note_gap(writer);
        }
        let is_gone = elsewhere.is_gone(writer);
        let is_unknown = !is_gone && !elsewhere.has(writer);
        if has_gap || (is_unknown && others.may_describe()) {
            others.doubts.add(writer, now);
        } else if is_gone {
            others.doubts.add(writer, now + DOUBT_TIME);
        }
    }

    /// Doubts the servers that do not agree with this one on a name or a number. This one tells its own members again.
    pub(super) fn note_disputes(&mut self, now: Instant) {
        let (Some(others), Some(elsewhere)) = (&mut self.others, self.roster.elsewhere_mut()) else { return };
        for server in elsewhere.take_disputed() {
            if elsewhere.is_own(server) {
                others.is_asked = true;
            } else {
                others.doubts.add(server, now + DOUBT_TIME);
            }
        }
    }

    /// Asks the servers in doubt. While no other server can be asked, that waits.
    pub(super) fn ask_doubtful(&mut self, now: Instant) {
        if !self.is_in_touch() {
            return;
        }
        let Some(others) = self.others.as_mut() else { return };
        let is_joined = others.standing == Standing::Joined;
        for server in others.doubts.take_due(now) {
            if !self.roster.elsewhere().is_some_and(|elsewhere| elsewhere.is_gone(server)) {
                self.ask_for_snapshot(server);
            } else if is_joined {
                self.roster.tell_others(&RosterEvent::Gone { writer: server });
            }
        }
    }
}
