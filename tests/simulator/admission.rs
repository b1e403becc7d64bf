//! Who comes in, who is refused, and where in the log one begins.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use crate::log::Kind;
use crate::member::Member;
use crate::net::Wire;
use crate::oracle::{Oracle, Verdict, WITNESS};
use crate::setting::REFUSALS_MAX;
use crate::visits::ENTER_DELAY;

impl Oracle {
    /// Learns that the hub is given a connection; returns what its number is among the members.
    pub(crate) fn admit(&mut self, wire: &Rc<RefCell<Wire>>, now: Instant) -> usize {
        let member = self.members.len();
        let is_turned_away = self.turned_away(wire);
        let is_full = self.config.clients_max.is_some_and(|most| self.present >= most);
        let is_refused = is_turned_away.is_some() || is_full;
        let mut greeting = Vec::new();
        if let Some(notice) = is_turned_away {
            greeting.push(notice);
        } else if is_full {
            let most = self.present;
            greeting.push(format!("* the server is full ({most} client{})", if most == 1 { "" } else { "s" }));
        }
        self.members.push(Member::new(None, Vec::new(), greeting));
        self.wires.push(Rc::clone(wire));
        self.active.push(member);
        if !is_refused {
            self.seat(member);
            self.expect_words(member, now);
            let is_withheld = self.page_hint.is_some() && member != WITNESS;
            self.members[member].withheld_until = is_withheld.then(|| now + ENTER_DELAY);
        }
        if member == WITNESS && self.config.announce_up_to > 0 {
            // The one item that it is not given.
            self.log.push("* client-1 joined", WITNESS, Kind::Joined);
            self.newcomers.clear();
        }
        member
    }

    /// Learns that one was given a seat in the room.
    pub(crate) fn seat(&mut self, member: usize) {
        self.present += 1;
        self.numbers += 1;
        let name = format!("client-{}", self.numbers);
        self.holders.insert(name.clone(), member);
        let known = &mut self.members[member];
        known.number = Some(self.numbers);
        known.greeting.push(format!("* you are {name}; /help lists what you can do"));
        known.greeting.extend(self.config.greeting.lines().map(|line| format!("* {line}")));
        known.names.push(name);
        self.newcomers.push(member);
    }

    /// What one is told whom the door does not let in.
    fn turned_away(&self, wire: &Rc<RefCell<Wire>>) -> Option<String> {
        let address = wire.borrow().address;
        let access = &self.config.access;
        if access.deny.iter().any(|prefix| prefix.addr() == address) {
            return Some("* connections from your address are not allowed here".to_owned());
        }
        let is_in = |member: &&usize| {
            let wire = self.wires[**member].borrow();
            self.members[**member].number.is_some() && wire.address == address && !wire.is_closed
        };
        let most = access.per_address_max;
        let is_over = most > 0 && self.active.iter().filter(is_in).count() >= most;
        is_over.then(|| format!("* too many connections from your address (at most {most})"))
    }

    /// Judges whether one that was closed without a word may have been: the door must have refused it, while as many
    /// were being refused already as may be. (Before a full house one is left waiting then.)
    pub(crate) fn judge_admission(&mut self, member: usize) -> Verdict {
        if !self.wires[member].borrow().is_closed {
            return Ok(());
        }
        let is_refused =
            |member: &&usize| self.members[**member].is_refused() && !self.wires[**member].borrow().is_closed;
        let refused = self.active.iter().filter(is_refused).count();
        self.active.retain(|&active| active != member);
        let known = &self.members[member];
        let is_full_house = known.greeting.first().is_some_and(|line| line.starts_with("* the server is full"));
        let is_by_door = known.is_refused() && !is_full_house;
        if is_by_door && refused >= REFUSALS_MAX {
            Ok(())
        } else {
            Err(format!("it was closed without a word, while {refused} were being refused"))
        }
    }

    /// Those who came and were not announced stand where the log is now.
    pub(crate) fn place_newcomers(&mut self, at: usize) {
        for member in std::mem::take(&mut self.newcomers) {
            self.place(member, at);
        }
    }

    /// The same, in the middle of a turn: but browsers come when they are heard, and are announced unless the room
    /// waits for somebody; then nothing more is said in the turn.
    pub(crate) fn place_newcomers_amid_turn(&mut self, at: usize) {
        let is_browser = |&member: &usize| self.members[member].visit.is_some();
        let (browsers, others) = std::mem::take(&mut self.newcomers).into_iter().partition(is_browser);
        self.newcomers = others;
        self.place_newcomers(at);
        self.newcomers = browsers;
    }

    pub(crate) fn place(&mut self, member: usize, at: usize) {
        let known = &mut self.members[member];
        known.joined = at;
        // Until it is told how many earlier lines it is shown, it may stand at the first of as many as there can be.
        let history = usize::try_from(self.config.history_lines).unwrap_or(usize::MAX);
        let said = (0..at).rev().filter(|&item| self.log.items[item].kind == Kind::Said);
        known.next = said.take(history).last().unwrap_or(at);
    }
}
