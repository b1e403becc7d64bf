//! The members of the other servers, in the hub: what the roster's log says of them, what this server writes into it,
//! and what the servers ask of each other.
//!
//! A server *joins* in steps. It reads the log so far, and says hello. When the hello is read back, the others have
//! written, or write, a snapshot of their members each. When all of them are known, or after [`LEARN_TIME`], it takes
//! clients in. Its own changes stand in the log a moment after they have been made in the
//! [roster](crate::relay::roster), which mirrors them by itself.
//!
//! A server whose lease has run out is declared gone by any other. One that reads this of itself says hello again: its
//! members are still there, and the others learn them anew.
//!
//! `claims` has the names that members ask for, `doubts` the servers of which the log has lost something, `gone` the
//! ends of servers, `posts` the private messages between two servers, `orders` the orders of operators for all.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Hub;
use crate::net::stream::Socket;
use crate::relay::directory::RoomId;
use crate::relay::elsewhere::event::{Greeting, RosterEvent};
use crate::relay::elsewhere::{BLOCK_NUMBERS, Effect, Elsewhere, MEMBERS_MAX, Note};
use crate::relay::name::Name;
use crate::relay::notice::Notice;
use crate::relay::record::Record;
use crate::relay::roster::{ClientNumber, MemberId};
use crate::relay::sequence::Writer;
use crate::server::bus::{Entry, State, StreamId};
use crate::server::connection::Role;
use crate::server::report::Kind;
use claims::Claims;
use doubts::Doubts;
use posts::Posts;

mod claims;
mod doubts;
mod gone;
mod orders;
mod posts;

/// Longest wait for the snapshots of the others: a server whose lease lives, and that writes none, hangs.
const LEARN_TIME: Duration = Duration::from_secs(5);

/// Longest wait for the count of blocks while the log is new: if no server knows one by then, it begins with 0.
const NEW_TIME: Duration = Duration::from_millis(500);

/// Time between two snapshots in answer to others: the start of many servers costs no more than that of one.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(5);

/// Members in a part of a snapshot.
const SNAPSHOT_PART: usize = 200;

/// Numbers that this server keeps for newcomers: more than come while a further block is on its way.
const NUMBERS_MIN: u64 = 2 * BLOCK_NUMBERS;

/// Bytes of events between two events that tell the count of blocks: a server that reads the end of the log alone finds
/// one.
const TOLD_BYTES: usize = 32 * 1024;

/// The state of this server among others.
#[derive(Debug)]
pub(super) struct Others {
    name: Box<str>,
    standing: Standing,
    /// Whether an entry of the roster's log was read.
    has_heard: bool,
    /// Whether the roster's log was empty when it was loaded. Redis may have lost it while other servers live.
    is_new: bool,
    snapshot: Snapshot,
    /// When the next snapshot in answer to others may begin.
    may_answer_at: Option<Instant>,
    /// Whether another server waits for a snapshot.
    is_asked: bool,
    /// Blocks of numbers that were asked for and have not come.
    blocks_asked: u64,
    /// Bytes of events since the count of blocks was told.
    untold_bytes: usize,
    /// Whether the bus was in touch in the last turn.
    was_in_touch: bool,
    /// Servers whose leases are looked at.
    watched: BTreeSet<Writer>,
    claims: Claims,
    posts: Posts,
    doubts: Doubts,
    failure: Option<String>,
    /// Members that were left out when that was reported last.
    left_out: u64,
}

/// The steps by which this server joins the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It reads the roster's log.
    Loading,
    /// It has said hello.
    Greeting,
    /// Its hello was read back. It waits for the snapshots of the others.
    Learning {
        /// The end of that.
        until: Instant,
    },
    /// It takes part.
    Joined,
    /// It has said goodbye.
    Left,
}

/// A snapshot of the members of this server, on its way into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Snapshot {
    /// None.
    None,
    /// The members up to this one are told.
    Behind(Option<ClientNumber>),
}

impl Others {
    fn new(own: Writer) -> Others {
        Others {
            name: own.to_string().into(),
            standing: Standing::Loading,
            has_heard: false,
            is_new: false,
            snapshot: Snapshot::None,
            may_answer_at: None,
            is_asked: false,
            blocks_asked: 0,
            untold_bytes: 0,
            was_in_touch: false,
            watched: BTreeSet::new(),
            claims: Claims::default(),
            posts: Posts::default(),
            doubts: Doubts::default(),
            failure: None,
            left_out: 0,
        }
    }

    fn greeting(&self, announce_up_to: usize) -> Greeting<'_> {
        Greeting { version: env!("CARGO_PKG_VERSION"), announce_up_to, server: &self.name }
    }

    /// Whether this server may tell its members: it has said hello.
    fn may_describe(&self) -> bool {
        matches!(self.standing, Standing::Learning { .. } | Standing::Joined)
    }
}

impl<S: Socket> Hub<S> {
    /// Shares names, numbers and members with other servers from now on: before the first client.
    pub(super) fn open_elsewhere(&mut self, own: Writer) {
        self.roster.share(own);
        self.others = Some(Box::new(Others::new(own)));
    }

    /// Returns why this server cannot go on among the others, if so.
    pub(super) fn elsewhere_failure(&self) -> Option<&str> {
        self.others.as_ref()?.failure.as_deref()
    }

    /// Whether this server takes part: its members have numbers, and it knows the others'.
    pub(super) fn has_joined(&self) -> bool {
        self.others.as_ref().is_none_or(|others| others.standing == Standing::Joined)
    }

    /// Whether a newcomer can be given a number in the end, after all that are on their way in.
    pub(super) fn has_numbers(&self) -> bool {
        if self.others.is_none() {
            return true;
        }
        let entering = self.connections.count(Role::Entering) + self.connections.count(Role::Visitor);
        self.has_joined() && self.roster.numbers_left() > entering as u64
    }

    /// Handles the roster's log, read up to now: says hello.
    pub(super) fn on_roster_loaded(&mut self, now: Instant) {
        let Some(others) = self.others.as_mut().filter(|others| others.standing == Standing::Loading) else { return };
        others.is_new = !others.has_heard;
        // Those who asked are answered, or gone.
        others.is_asked = false;
        self.check_greetings(now);
        self.say_hello();
        self.watch_others();
    }

    fn say_hello(&mut self) {
        let announce_up_to = self.rooms.options().announce_up_to;
        let Some(others) = &mut self.others else { return };
        others.standing = Standing::Greeting;
        others.blocks_asked = 1;
        others.snapshot = Snapshot::None;
        self.roster.drop_waiting();
        self.roster.tell_others(&RosterEvent::Hello(others.greeting(announce_up_to)));
    }

    /// Handles an entry of the roster's log.
    pub(super) fn hear_roster(&mut self, entry: &Entry, now: Instant) {
        let Some(others) = &mut self.others else { return };
        others.has_heard = true;
        if !entry.is_own {
            self.doubt(entry.writer, entry.is_behind_gap, now);
        }
        for line in entry.events.lines() {
            match RosterEvent::parse(line) {
                Some(event) => self.hear_event(entry, &event, now),
                None => self.warn_of_line(entry.writer, now),
            }
        }
        let is_stranger = |elsewhere: &Elsewhere| !entry.is_own && !elsewhere.has(entry.writer);
        if self.roster.elsewhere().is_some_and(is_stranger)
            && let Some(others) = &mut self.others
        {
            // It has said hello before this log begins: blocks of numbers were given then.
            others.is_new = false;
        }
        self.note_disputes(now);
        let numbers = self.roster.elsewhere_mut().map(Elsewhere::take_numbers);
        for first in numbers.into_iter().flatten() {
            self.roster.add_numbers(first);
            if let Some(others) = &mut self.others {
                others.blocks_asked = others.blocks_asked.saturating_sub(1);
            }
        }
        self.warn_of_left_out(now);
    }

    fn hear_event(&mut self, entry: &Entry, event: &RosterEvent<'_>, now: Instant) {
        let seconds = self.seconds(now).into();
        let Some(elsewhere) = self.roster.elsewhere_mut() else { return };
        match elsewhere.apply(entry.writer, entry.id, event, seconds) {
            Effect::None => {}
            Effect::Greeted => {
                self.check_greetings(now);
                self.watch_others();
                if let Some(others) = &mut self.others {
                    others.doubts.end(entry.writer);
                    others.is_asked = true;
                    // The count of blocks does not wait for the time of the next snapshot.
                    others.untold_bytes = TOLD_BYTES;
                }
            }
            Effect::Known => {
                self.watch_others();
                if let Some(others) = &mut self.others {
                    others.doubts.end(entry.writer);
                }
            }
            Effect::Welcomed => self.on_welcomed(now),
            Effect::Judged { number, is_free } => self.on_judged(number, is_free, now),
            Effect::Taken { name } => self.yield_name(&name),
            Effect::Lost { number } => self.lose_name(number),
            Effect::Gone { server, told } => self.on_gone(server, &told, now),
        }
        // Orders from before the hello are of the past.
        if self.others.as_ref().is_some_and(|others| others.may_describe()) {
            self.obey_others(entry, event, now);
        }
    }

    /// Handles the hello of this server, read back.
    fn on_welcomed(&mut self, now: Instant) {
        let is_told = self.roster.clients() > 0;
        let Some(others) = self.others.as_mut().filter(|others| others.standing == Standing::Greeting) else { return };
        others.standing = Standing::Learning { until: now + LEARN_TIME };
        // Members that others have forgotten, or the count of blocks alone.
        others.is_asked |= is_told;
        others.untold_bytes = TOLD_BYTES;
        if is_told {
            others.may_answer_at = None;
        }
    }

    /// Ends the membership of this server in good order: the last that it writes.
    pub(super) fn say_goodbye_to_others(&mut self) {
        let Some(others) = self.others.as_mut().filter(|others| others.standing != Standing::Loading) else { return };
        others.snapshot = Snapshot::None;
        others.standing = Standing::Left;
        self.roster.tell_others(&RosterEvent::Bye);
        while let (Some(events), Some(bus)) = (self.roster.take_waiting(usize::MAX), &mut self.bus) {
            bus.submit(StreamId::Roster, &events, 0);
        }
    }

    /// Records what a record of another server tells of a member, before the roster's log does.
    pub(super) fn note_record(&mut self, writer: Writer, room: RoomId, record: &Record<'_>) {
        let is_history = self.is_loading(room);
        let Some(elsewhere) = self.roster.elsewhere_mut() else { return };
        let (number, note) = match *record {
            // The common case.
            Record::Said { .. } if is_history => return,
            Record::Said { number, .. } => return elsewhere.count_line(number),
            Record::Renamed { number, to, .. } => return elsewhere.note_renamed(number, to),
            Record::Proclaimed { .. } => return,
            Record::Joined { number, name } => (number, Note::Joined { name }),
            Record::Left { number, .. } | Record::Removed { number, .. } => (number, Note::Left),
        };
        if !is_history && let Record::Left { .. } = record {
            self.on_told_to_have_left(number, room);
        }
        let name = self.roster.directory().name(room).clone();
        let Some(elsewhere) = self.roster.elsewhere_mut() else { return };
        if is_history {
            elsewhere.note_in_history(writer, &name, number, note);
        } else {
            elsewhere.note_in_room(writer, &name, number, note);
        }
    }

    /// Does what is due among the servers: ends waits that are over, and asks for numbers.
    pub(super) fn tend_elsewhere(&mut self, now: Instant) {
        let is_in_touch = self.is_in_touch();
        let Some(others) = &mut self.others else { return };
        if is_in_touch && !others.was_in_touch {
            // Redis may have lost events of this server, and the others see that by the next entry.
            others.untold_bytes = TOLD_BYTES;
        }
        others.was_in_touch = is_in_touch;
        if let Standing::Learning { until } = others.standing
            && others.failure.is_none()
            && let Some(elsewhere) = self.roster.elsewhere_mut()
        {
            if others.is_new && now + LEARN_TIME >= until + NEW_TIME {
                elsewhere.begin_blocks();
            }
            let is_known = elsewhere.snapshot_end().is_some() && elsewhere.others().all(|other| elsewhere.knows(other));
            if is_known || until <= now {
                // A log without its beginning, and nobody to ask: seconds are more than blocks.
                elsewhere.assume_blocks();
                others.standing = Standing::Joined;
            }
        }
        let has_numbers = self.roster.numbers_left() + others.blocks_asked * BLOCK_NUMBERS >= NUMBERS_MIN;
        if others.standing == Standing::Joined && !has_numbers {
            others.blocks_asked += 1;
            self.roster.tell_others(&RosterEvent::WantsNumbers);
        }
        self.end_late_claims(now);
        self.end_late_posts(now);
        self.ask_doubtful(now);
    }

    /// Writes what the others are to know.
    pub(super) fn write_roster(&mut self, now: Instant) {
        let seconds = self.seconds(now);
        let announce_up_to = self.rooms.options().announce_up_to;
        let (Some(others), Some(bus)) = (&mut self.others, &mut self.bus) else { return };
        loop {
            let left = bus.room_left(StreamId::Roster);
            if left == 0 {
                return;
            }
            if let Some(events) = self.roster.take_waiting(left) {
                others.untold_bytes += events.len();
                bus.submit(StreamId::Roster, &events, 0);
                continue;
            }
            let end = self.roster.elsewhere().and_then(Elsewhere::snapshot_end);
            let is_due = others.may_answer_at.is_none_or(|time| time <= now);
            match (others.snapshot, end) {
                (Snapshot::Behind(last), Some(end)) => match self.roster.describe(last, SNAPSHOT_PART, seconds) {
                    Some(last) => others.snapshot = Snapshot::Behind(Some(last)),
                    None => {
                        others.snapshot = Snapshot::None;
                        others.untold_bytes = 0;
                        self.roster.tell_others(&end);
                    }
                },
                (Snapshot::None, Some(_))
                    if self.roster.has_dropped_events() || (others.is_asked && is_due && others.may_describe()) =>
                {
                    others.snapshot = Snapshot::Behind(None);
                    others.may_answer_at = Some(now + SNAPSHOT_PAUSE);
                    others.is_asked = false;
                    let begin = RosterEvent::SnapshotBegins(others.greeting(announce_up_to));
                    self.roster.begin_snapshot(&begin);
                }
                (Snapshot::None, Some(end)) if others.untold_bytes >= TOLD_BYTES => {
                    others.untold_bytes = 0;
                    self.roster.tell_others(&end);
                }
                _ => return,
            }
        }
    }

    /// Returns when something is due among the servers.
    pub(super) fn next_elsewhere(&self) -> Option<Instant> {
        let others = self.others.as_ref()?;
        let learned = match others.standing {
            Standing::Learning { until } if others.failure.is_none() => {
                let is_uncounted = self.roster.elsewhere().is_some_and(|elsewhere| elsewhere.snapshot_end().is_none());
                Some(if others.is_new && is_uncounted { until - (LEARN_TIME - NEW_TIME) } else { until })
            }
            _ => None,
        };
        // An answer that cannot be written now waits for what ends that: an entry that is read back, or the bus.
        let can_answer = || self.bus.as_ref().is_some_and(|bus| bus.room_left(StreamId::Roster) > 0);
        let answer = others.may_answer_at.filter(|_| others.is_asked && others.may_describe() && can_answer());
        let doubts = others.doubts.next_end().filter(|_| self.is_in_touch());
        [learned, answer, others.claims.next_end(), others.posts.next_end(), doubts].into_iter().flatten().min()
    }

    /// Whether this server can reach the others now.
    fn is_in_touch(&self) -> bool {
        self.bus.as_ref().is_some_and(|bus| bus.state() == State::Together)
    }

    /// Looks at the leases of all other servers that are there, and of no others.
    fn watch_others(&mut self) {
        let (Some(others), Some(bus), Some(elsewhere)) = (&mut self.others, &mut self.bus, self.roster.elsewhere())
        else {
            return;
        };
        let now: BTreeSet<Writer> = elsewhere.others().collect();
        now.difference(&others.watched).for_each(|&other| bus.watch(other));
        others.watched.difference(&now).for_each(|&other| bus.unwatch(other));
        others.watched = now;
    }

    /// Compares the settings of the servers. One that is not like the others at its start does not go on.
    fn check_greetings(&mut self, now: Instant) {
        let own = self.rooms.options().announce_up_to;
        let (Some(others), Some(elsewhere)) = (&mut self.others, self.roster.elsewhere()) else { return };
        let Some((server, theirs)) = elsewhere.differing(own) else { return };
        if others.standing == Standing::Joined {
            let what = format_args!("the server {server} has --announce-up-to {theirs}, not {own}");
            self.reports.note(Kind::ServerOdd("settings"), None, what, now);
        } else {
            let what = format!("--announce-up-to is {own}, but {theirs} on the server {server}: set the same on all");
            others.failure.get_or_insert(what);
        }
    }

    /// Lets a member of this server lose its name: a member of another one has it.
    fn yield_name(&mut self, name: &Name) {
        let Some(holder) = self.roster.holder_here(name) else { return };
        let shown = self.take_name_as_told(holder);
        if self.roster.names().has(name) {
            self.tell_member(holder, Notice::NameTakenOver { name: &shown });
        } else {
            // While this server counted as gone, the name was free.
            self.tell_member(holder, Notice::NameLost { owned: name.as_str(), name: &shown });
        }
    }

    /// Lets a member of this server lose its name, which another one took while this server was gone.
    fn lose_name(&mut self, number: u64) {
        let Some(member) = self.roster.find_client(number) else { return };
        let before = self.roster.shown(member).to_string();
        let shown = self.take_name_as_told(member);
        if before != shown {
            self.tell_member(member, Notice::NameLost { owned: &before, name: &shown });
        }
    }

    /// Takes its name from a member, which the log knows already. Returns its name from now on.
    fn take_name_as_told(&mut self, member: MemberId) -> String {
        self.roster.set_obeying(true);
        let shown = self.take_name(member);
        self.roster.set_obeying(false);
        self.rooms.announce_queued(self.roster.room(member), &mut self.roster);
        shown
    }

    fn warn_of_line(&mut self, writer: Writer, now: Instant) {
        let what = format_args!("the server {writer} wrote a line into the roster's log that is no event");
        self.reports.note(Kind::ServerOdd("no_event"), None, what, now);
    }

    fn warn_of_left_out(&mut self, now: Instant) {
        let left_out = self.roster.elsewhere().map_or(0, Elsewhere::left_out);
        let Some(others) = &mut self.others else { return };
        if left_out > others.left_out {
            others.left_out = left_out;
            let what = format_args!(
                "the servers have more than {MEMBERS_MAX} members: this one neither lists nor finds the others"
            );
            self.reports.note(Kind::ServerOdd("too_many_members"), None, what, now);
        }
    }
}
