//! Deadlines of connections: of which the next one is known at once, and those that no longer count are passed over when
//! they come up, not looked for when they are given up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::server::connection::Handle;

/// Entries that are not worth tidying, whoever is connected.
const LEN_MIN: usize = 64;

/// Times, and whose they are.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, Handle)>>,
}

/// All that is due at some time, by what it is.
#[derive(Debug, Default)]
pub(super) struct Timetable {
    /// The grace times of those who leave; the few who are refused are looked at one by one. One that was extended is put
    /// back when it comes up.
    pub(super) graces: Deadlines,
    /// When silence will have ended the lines that some have begun.
    pub(super) silences: Deadlines,
    /// When those who are waited for must have taken enough.
    pub(super) stalls: Deadlines,
    /// When those who talk faster than they may can go on.
    pub(super) throttled: Deadlines,
    /// When newcomers must have said something, where they must.
    pub(super) silent_newcomers: Deadlines,
    /// When visitors must have asked for something.
    pub(super) visits: Deadlines,
    /// When browsers are to be looked after.
    pub(super) vigils: Deadlines,
    /// When newcomers are greeted who have said nothing, where there is a page.
    pub(super) withheld: Deadlines,
}

impl Timetable {
    /// The first of all.
    pub(super) fn next(&self) -> Option<Instant> {
        // Taken apart, so that none can be forgotten here.
        let Timetable { graces, silences, stalls, throttled, silent_newcomers, visits, vigils, withheld } = self;
        let all = [graces, silences, stalls, throttled, silent_newcomers, visits, vigils, withheld];
        all.into_iter().filter_map(Deadlines::next).min()
    }
}

impl Deadlines {
    /// Adds one.
    pub(super) fn push(&mut self, time: Instant, handle: Handle) {
        self.heap.push(Reverse((time, handle)));
    }

    /// The first of them.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((time, _))| *time)
    }

    /// Takes out the first of them if it is not after `now`.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Handle)> {
        self.next().filter(|&time| time <= now)?;
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Drops those that do not count any more if there are many more than `connections`: so their number is bounded, and
    /// each is looked at about once for it.
    pub(super) fn tidy(&mut self, connections: usize, counts: impl Fn(Instant, Handle) -> bool) {
        if self.heap.len() > 2 * connections + LEN_MIN {
            self.heap.retain(|Reverse((time, handle))| counts(*time, *handle));
        }
    }
}
