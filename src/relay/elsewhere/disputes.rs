//! Numbers and names on which two servers do not agree, since the log has lost what one of them told.
//!
//! A number that two members have, or a name that both hold, stays with the one of which it was read first. The other
//! one's server is asked to tell its members once more: of the name after a while, of the number when it is free. If
//! both still hold the name then, the server of the member with the larger number takes it from that one. A server that
//! was gone, and reads that its member has lost a name meanwhile, does not tell that name again.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use super::super::sequence::Writer;
use super::Elsewhere;

/// Most numbers, and most names, that are disputed at a time.
const DISPUTES_MAX: usize = 1_000;

/// The numbers and names on which servers do not agree.
#[derive(Debug, Default)]
pub(super) struct Disputes {
    /// Servers that are to tell their members once more.
    servers: BTreeSet<Writer>,
    /// Numbers that a server has given to a member of its own, and another one before it.
    numbers: BTreeMap<u64, Writer>,
    /// Members that hold a name as their servers say, but not here, by their numbers.
    unnamed: BTreeSet<u64>,
}

impl Disputes {
    /// Records that a server does not agree.
    pub(super) fn add(&mut self, server: Writer) {
        if self.servers.len() < DISPUTES_MAX {
            self.servers.insert(server);
        }
    }

    /// Records that a server has a member with a number that is taken.
    pub(super) fn add_number(&mut self, number: u64, server: Writer) {
        if self.numbers.len() < DISPUTES_MAX {
            self.numbers.insert(number, server);
        }
    }

    /// Records that a member does not hold a name here which it holds as its server says. Returns whether the server
    /// has said so before.
    pub(super) fn add_name(&mut self, number: u64) -> bool {
        self.unnamed.len() < DISPUTES_MAX && !self.unnamed.insert(number)
    }

    /// Records that all agree on the name of a member.
    pub(super) fn end_name(&mut self, number: u64) {
        self.unnamed.remove(&number);
    }

    /// Records that a number is free.
    pub(super) fn end_number(&mut self, number: u64) {
        self.unnamed.remove(&number);
        if let Some(server) = self.numbers.remove(&number) {
            self.add(server);
        }
    }
}

impl Elsewhere {
    /// Whether the holder of a name, on another server, loses it to a member whose server says that this one has it.
    pub(super) fn yields_to(&mut self, (from, number): (Writer, u64), holder: Option<u64>) -> bool {
        if from == self.own {
            return false;
        }
        self.disputes.add(from);
        let is_again = self.disputes.add_name(number);
        let own = self.own;
        let is_own = holder.is_some_and(|holder| self.member_of(own, holder).is_some());
        is_own && is_again && holder > Some(number)
    }

    /// Takes the servers that are to tell their members once more.
    pub fn take_disputed(&mut self) -> BTreeSet<Writer> {
        mem::take(&mut self.disputes.servers)
    }
}
