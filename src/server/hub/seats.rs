//! Kept seats: the members whose connections are lost, and the ends of their seats.
//!
//! A member that the room knows keeps its seat for `--resume-within`. Meanwhile it is *away*: nobody is told, no room
//! waits for it, and it is no reader. Its seat ends when that time is over, when a newcomer needs it, or when the
//! operator removes it.

use std::borrow::Cow;
use std::time::Instant;

use super::Hub;
use crate::net::stream::Socket;
use crate::relay::event::Event;
use crate::relay::roster::MemberId;
use crate::relay::tape::Position;
use crate::server::connection::Phase;
use crate::server::fields::Fields;
use crate::server::flow::budget::Effort;
use crate::server::flow::rate::Bucket;
use crate::server::limits::ENTERS_MAX;
use crate::server::reason::Reason;
use crate::server::report::Kind;
use crate::server::sessions::SessionId;

/// End of the seat of a member that is away.
#[derive(Clone, Copy, Debug)]
enum SeatEnd<'a> {
    /// It did not come back in time.
    Late,
    /// A newcomer needs the seat.
    Evicted,
    /// Another client asks for its name, and its client may not know the token.
    Claimed,
    /// The operator removes it, for this reason.
    Removed(&'a Reason),
}

impl SeatEnd<'_> {
    /// Returns its kind, its label and its words in the log.
    fn told(self) -> (Kind, &'static str, Cow<'static, str>) {
        match self {
            SeatEnd::Late => (Kind::Left, "not back", "did not come back".into()),
            SeatEnd::Evicted => (Kind::Left, "not back", "did not come back before the server was full".into()),
            SeatEnd::Claimed => (Kind::Left, "name claimed", "its client did not know its session".into()),
            SeatEnd::Removed(reason) => (Kind::Removed, reason.label(), reason.to_string().into()),
        }
    }

    /// Returns the event by which the room of the member learns of it.
    fn event(self, member: MemberId) -> Event<'static> {
        match self {
            SeatEnd::Late | SeatEnd::Evicted | SeatEnd::Claimed => Event::Left { member },
            SeatEnd::Removed(reason) => reason.departure(member),
        }
    }
}

impl<S: Socket> Hub<S> {
    /// Ends what a connection has of its session, when the member leaves for this reason. If its seat is kept, returns
    /// the end of the tape that the connection is owed.
    pub(super) fn part_from_session(
        &mut self,
        key: usize,
        member: MemberId,
        reason: &Reason,
        now: Instant,
    ) -> Option<Position> {
        let session = self.session_of(key)?;
        if reason.ends_session() {
            self.sessions.end(session);
            return None;
        }
        if let Some(input) = self.connections[key].input() {
            self.sessions[session].keep_bucket(input.bucket);
        }
        let Some(resume_within) = self.limits.resume_within.filter(|_| self.roster.is_known(member)) else {
            self.sessions.on_memberless(session);
            return None;
        };
        self.log_roster(key, format_args!("{} is away", self.roster.shown(member)));
        if reason.is_ours() {
            self.report_away(key, member, reason, now);
        }
        let room = self.roster.room(member);
        let stop = match self.connections[key].phase {
            Phase::Moving(_) => self.finish_move(key, session, member),
            _ => self.rooms[room].tape().end(),
        };
        self.roster.set_key(member, None);
        self.sessions.on_away(session, now + resume_within);
        self.rooms.unsettle(room);
        Some(stop)
    }

    /// Keeps the rate of a connection that was lost while it was read.
    pub(super) fn keep_bucket(&mut self, session: SessionId, bucket: Bucket) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.keep_bucket(bucket);
        }
    }

    /// Ends the seats of members that did not come back in time.
    pub(super) fn end_kept_seats(&mut self, now: Instant) {
        for _ in 0..ENTERS_MAX {
            match self.sessions.first_away() {
                Some((until, session)) if until <= now => self.end_seat(session, SeatEnd::Late, now),
                _ => return,
            }
        }
    }

    /// Ends the seat that has been kept longest, if there is one, for a newcomer.
    pub(super) fn evict_kept_seat(&mut self, now: Instant) {
        if let Some((_, session)) = self.sessions.first_away() {
            self.end_seat(session, SeatEnd::Evicted, now);
        }
    }

    /// Removes a member that is away, for this reason.
    pub(super) fn remove_away(&mut self, member: MemberId, reason: &Reason, now: Instant) {
        if let Some(session) = self.sessions.of_member(member) {
            self.stats.reasons.count(reason);
            self.end_seat(session, SeatEnd::Removed(reason), now);
            self.sessions.end(session);
        }
    }

    /// Removes a member that is away, for another that asks for its name, if its client may not know the token: then it
    /// cannot come back, and is likely to be that other. Returns whether the member is removed.
    pub(super) fn remove_unproven(&mut self, member: MemberId, now: Instant) -> bool {
        let session = self.sessions.unproven(member);
        if let Some(session) = session {
            self.end_seat(session, SeatEnd::Claimed, now);
        }
        session.is_some()
    }

    fn end_seat(&mut self, session: SessionId, end: SeatEnd<'_>, now: Instant) {
        let Some(member) = self.sessions[session].member() else { return };
        self.sessions.on_memberless(session);
        self.budget.spend(Effort::Leave);
        let room = self.roster.room(member);
        let name = self.roster.shown(member).to_string();
        self.log_roster_in(room, format_args!("{name} is away no longer"));
        self.rooms.apply(room, &mut self.roster, end.event(member));
        self.rooms.announce_queued(room, &mut self.roster);
        self.rooms.note_empty(room, self.roster.directory());
        let (clients, (kind, label, reason)) = (self.roster.clients(), end.told());
        let room = self.roster.directory().name(room).as_str();
        let fields = Fields { name: Some(&name), room: Some(room), reason: Some(label), ..Fields::default() };
        self.reports.note_with(kind, fields, None, format_args!("{name} left ({reason}); {clients} present"), now);
    }

    /// Lets a member arrive in the room that it was on its way to, without a connection. Returns the end of what it is
    /// owed of the room that it has left.
    pub(super) fn finish_move(&mut self, key: usize, session: SessionId, member: MemberId) -> Position {
        let connection = &self.connections[key];
        let from = self.roster.room(member);
        let stop = connection.departure_stop().unwrap_or_default();
        let Some(to) = connection.destination() else { return stop };
        self.rooms.renew(to);
        self.note_left(session, from, stop);
        let (epoch, end) = (self.rooms[to].tape().epoch(), self.rooms[to].tape().end());
        self.sessions[session].on_room(to, epoch, end.record);
        self.roster.seat_mover(member, to);
        self.rooms.expect_no_longer(to, self.roster.directory());
        self.log_roster_in(to, format_args!("{} arrives", self.roster.shown(member)));
        if !self.rooms[to].brake.is_at_wall() {
            let applied = self.rooms.apply(to, &mut self.roster, Event::Joined { member });
            self.rooms.spend(to, applied.bytes);
        }
        stop
    }
}
