//! Names that members of this server ask for: each goes through the log before the member has it. The member is not
//! heard meanwhile, so no line of it is said under the wrong name. Nor is it heard before it has read its new name in its
//! room: in another room it would never read it.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::super::Hub;
use super::super::input::ReadTurn;
use crate::net::stream::Socket;
use crate::relay::elsewhere::event::RosterEvent;
use crate::relay::event::Event;
use crate::relay::name::Name;
use crate::relay::notice::Notice;
use crate::relay::roster::{Introduction, MemberId};
use crate::server::connection::ReadState;

/// Longest wait for the answer to a claim.
const CLAIM_TIME: Duration = Duration::from_secs(10);

/// The answer to a client that asks for a name while no other server can be asked.
const TRY_AGAIN: &str = "the other servers do not answer: try again";

/// The names that members ask for. Bounded by the members, which are not heard meanwhile.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// In the order of the log.
    open: Vec<Claim>,
    /// Claims that were given up and are still to be judged, by the number of the member.
    given_up: HashMap<u64, u32>,
    /// Members that have a new name, and whose rooms have not read that, by their numbers.
    unread: BTreeSet<u64>,
}

/// A name that a member asks for.
#[derive(Debug)]
struct Claim {
    number: u64,
    name: Name,
    is_owner: bool,
    until: Instant,
}

impl Claims {
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.open.first().map(|claim| claim.until)
    }

    /// Forgets claims that will never be judged: the log counts them for nothing.
    pub(super) fn forget_given_up(&mut self) {
        self.given_up.clear();
    }

    fn give_up(&mut self, number: u64) {
        *self.given_up.entry(number).or_default() += 1;
    }

    /// Takes out the claim of a member that was judged, unless that is an earlier one that was given up.
    fn take_judged(&mut self, number: u64) -> Option<Claim> {
        if let Some(count) = self.given_up.get_mut(&number) {
            *count -= 1;
            if *count == 0 {
                self.given_up.remove(&number);
            }
            return None;
        }
        let place = self.open.iter().position(|claim| claim.number == number)?;
        Some(self.open.remove(place))
    }
}

impl<S: Socket> Hub<S> {
    /// Has a member ask for its new name first, if there may be other servers. Returns whether it does: then the event
    /// counts for nothing.
    pub(in super::super) fn claims_with_others(
        &mut self,
        turn: &mut ReadTurn,
        member: MemberId,
        event: &Event<'_>,
        now: Instant,
    ) -> bool {
        let Event::Renamed { name, is_owner, .. } = event else { return false };
        if self.others.is_none() {
            return false;
        }
        self.claim(turn, member, (name.clone(), *is_owner), now);
        true
    }

    /// Has a member ask the other servers for a name.
    fn claim(&mut self, turn: &mut ReadTurn, member: MemberId, (name, is_owner): (Name, bool), now: Instant) {
        if !self.has_joined() || !self.is_in_touch() {
            self.reply(turn, &Notice::Other(TRY_AGAIN).to_line());
            return;
        }
        let number = self.roster.number(member).shown();
        self.roster.tell_others(&RosterEvent::Claims { number, is_owner, name: name.as_str() });
        if let Some(others) = &mut self.others {
            others.claims.open.push(Claim { number, name, is_owner, until: now + CLAIM_TIME });
        }
    }

    /// Whether a connection is not read because its member asks for a name.
    pub(in super::super) fn is_claiming(&self, member: MemberId) -> bool {
        self.others.as_ref().is_some_and(|others| {
            // The common case.
            if others.claims.open.is_empty() && others.claims.unread.is_empty() {
                return false;
            }
            let number = self.roster.number(member).shown();
            others.claims.unread.contains(&number) || others.claims.open.iter().any(|claim| claim.number == number)
        })
    }

    /// Answers a claim that was judged at its place in the log.
    pub(super) fn on_judged(&mut self, number: u64, is_free: bool, now: Instant) {
        let Some(claim) = self.others.as_mut().and_then(|others| others.claims.take_judged(number)) else { return };
        // It has left meanwhile, and the log will tell.
        let Some(member) = self.roster.find_client(number) else { return };
        let holder = self.roster.holder_here(&claim.name).filter(|&holder| holder != member);
        // The file of names may have changed meanwhile.
        let has_changed = self.roster.names().has(&claim.name) != claim.is_owner;
        if !is_free || has_changed || (holder.is_some() && !claim.is_owner) {
            self.refuse_claim(&claim, Notice::NameTaken { name: claim.name.as_str() });
            return;
        }
        if let Some(holder) = holder {
            let given = self.take_name(holder);
            self.rooms.announce_queued(self.roster.room(holder), &mut self.roster);
            self.tell_member(holder, Notice::NameTakenOver { name: &given });
            self.introduce_before(member, now);
        }
        let is_told_by_room = self.roster.introduction(member) != Introduction::Pending;
        self.give_name(member, claim.name, claim.is_owner, now);
        if is_told_by_room && let Some(others) = &mut self.others {
            others.claims.unread.insert(number);
        } else {
            self.hear_again(member);
        }
    }

    /// Handles the new name of a member, which its room has read: the member is heard again.
    pub(in super::super) fn on_renaming_read(&mut self, number: u64) {
        let Some(others) = &mut self.others else { return };
        if others.claims.unread.remove(&number)
            && let Some(member) = self.roster.find_client(number)
        {
            self.hear_again(member);
        }
    }

    /// Introduces a member by its name until now: its room reads that another one has lost the name before it reads that
    /// this one has it.
    fn introduce_before(&mut self, member: MemberId, now: Instant) {
        if self.roster.introduction(member) == Introduction::Pending
            && let Some(key) = self.roster.key(member)
        {
            self.introduce(key, member, self.roster.room(member));
            self.report_arrival(key, member, now);
        }
    }

    /// Gives a member the name that it has asked for.
    fn give_name(&mut self, member: MemberId, name: Name, is_owner: bool, now: Instant) {
        let (room, was) = (self.roster.room(member), self.roster.shown(member).to_string());
        let key = self.roster.key(member);
        let is_first_sign = self.roster.introduction(member) == Introduction::Pending;
        if let Some(key) = key {
            self.log_roster(key, format_args!("{name} is its name"));
        }
        let applied = self.rooms.apply(room, &mut self.roster, Event::Renamed { member, name, is_owner });
        let Some(key) = key else { return };
        if is_first_sign {
            self.report_arrival(key, member, now);
        } else {
            self.report_renaming(member, &was, now);
        }
        self.skip_own(key, applied.own);
        let recent = self.connections[key].recent;
        self.connections[key].recent = self.rooms.charge(room, recent, applied.bytes);
        if let Some(reply) = applied.reply {
            self.tell(key, &reply);
        }
    }

    fn refuse_claim(&mut self, claim: &Claim, notice: Notice<'_>) {
        let Some(member) = self.roster.find_client(claim.number) else { return };
        // A name that it had before is its own still.
        let own = self.roster.chosen(member).map(Name::to_string);
        self.roster.tell_others(&match &own {
            Some(name) => RosterEvent::Named { number: claim.number, name },
            None => RosterEvent::Unnamed { number: claim.number },
        });
        self.tell_member(member, notice);
        self.hear_again(member);
    }

    /// Refuses all claims: the log does not take them, or counts them for nothing.
    pub(super) fn refuse_claims(&mut self) {
        let Some(others) = &mut self.others else { return };
        for claim in std::mem::take(&mut others.claims.open) {
            if let Some(others) = &mut self.others {
                others.claims.give_up(claim.number);
            }
            self.refuse_claim(&claim, Notice::Other(TRY_AGAIN));
        }
    }

    /// Refuses claims that have waited too long, or all while no other server can be asked.
    pub(super) fn end_late_claims(&mut self, now: Instant) {
        if let Some(others) = self.others.as_mut().filter(|others| !others.claims.unread.is_empty()) {
            let roster = &self.roster;
            others.claims.unread.retain(|&number| roster.find_client(number).is_some());
        }
        if self.others.as_ref().is_none_or(|others| others.claims.open.is_empty()) {
            return;
        }
        if !self.is_in_touch() {
            self.refuse_claims();
            return;
        }
        while let Some(others) = &mut self.others
            && others.claims.open.first().is_some_and(|claim| claim.until <= now)
        {
            let claim = others.claims.open.remove(0);
            others.claims.give_up(claim.number);
            self.refuse_claim(&claim, Notice::Other(TRY_AGAIN));
        }
    }

    /// Reads a member on.
    fn hear_again(&mut self, member: MemberId) {
        let Some(key) = self.roster.key(member) else { return };
        let connection = &mut self.connections[key];
        if connection.read_state == ReadState::Held {
            self.schedule.mark_ready(key, connection);
        }
    }
}
