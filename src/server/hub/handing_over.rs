//! Sessions that pass from one run of the server to the next: at a shutdown with a journal, and at the next start.
//!
//! At the shutdown each tracked member is away from one moment to the next, as if all connections were lost at once. The
//! rooms are told nothing. The next run begins with these members, away, in the same rooms and with the same numbers
//! and names, and keeps their seats for `--resume-within`. A member that does not come back has `left` then.
//!
//! A log goes on where it ended, so positions and counts of heard lines hold, too. That is right only if the journal
//! has every record: if it ends elsewhere, the whole handover counts as none. A room that clients opened has no
//! journal. Its log goes on without its records, and a client that had not read them all is told how many it missed.

use std::time::{Duration, Instant};

use log::info;

use super::Hub;
use crate::net::stream::Socket;
use crate::relay::directory::RoomId;
use crate::relay::event::Event;
use crate::relay::notice::Notice;
use crate::relay::past::{NUMBER_MAX, Past, Run};
use crate::relay::room::parse_room;
use crate::relay::roster::{MemberId, TakenBack};
use crate::server::connection::{Farewell, Phase};
use crate::server::journal::handover::{HandedRoom, Handover};
use crate::server::limits::{HANDOVER_AGE_MAX_MS, HANDOVER_SESSIONS_MAX};
use crate::server::sessions::HandedSession;
use crate::server::web::websocket::code;

/// Reason that a handover counts as none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTakenBack {
    /// The server did not run for longer than a restart takes.
    #[error("the sessions of the last run are {0} min old; clients come back as after a crash")]
    OutOfDate(u64),
    /// The journal does not have the last records of this room.
    #[error("the journal of {0} ends elsewhere than the sessions of the last run; clients come back as after a crash")]
    EndsElsewhere(String),
}

/// A room of the last run, in this one.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The log of the room goes on.
    Same(RoomId),
    /// The room has another log, or is the lobby in the place of a room that cannot be.
    Other(RoomId),
}

impl<S: Socket> Hub<S> {
    /// Whether a shutdown hands the sessions over to the next run: there is a journal, and seats are kept.
    pub(super) fn hands_over(&self) -> bool {
        self.keeping.is_some() && self.limits.resume_within.is_some()
    }

    /// Lets all tracked members be away, and closes their connections without `FIN`: they come back. What they have
    /// sent and the server has not processed is dropped, and not heard.
    pub(super) fn put_tracked_away(&mut self, now: Instant) {
        let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            let (Some(session), Phase::Present(member) | Phase::Moving(member)) =
                (self.session_of(key), self.connections[key].phase)
            else {
                continue;
            };
            let room = self.roster.room(member);
            self.log_roster(key, format_args!("{} is handed over", self.roster.shown(member)));
            let stop = match self.connections[key].phase {
                Phase::Moving(_) => self.finish_move(key, session, member),
                _ => self.rooms[room].tape().end(),
            };
            self.connections.discount_member(key);
            self.roster.set_key(member, None);
            self.sessions.on_away(session, now);
            self.connections[key].tell(&Notice::HandedOver.to_line());
            self.begin_close(key, Some(room), stop, Farewell::Close(Some(code::SERVICE_RESTART)), now);
        }
    }

    /// Gives the store all sessions, whose members are away by now.
    pub(super) fn hand_over(&mut self, now: Instant) {
        self.announce_all();
        let mut ids = self.sessions.in_order(self.roster.in_order());
        ids.truncate(HANDOVER_SESSIONS_MAX);
        let mut handover = Handover { stopped_ms: self.rooms.unix_ms(), ..Handover::default() };
        let mut places: Vec<Option<usize>> = Vec::new();
        let seconds = self.seconds(now);
        for id in ids {
            let (session, room) = (&self.sessions[id], self.sessions[id].room);
            let has_room = self.rooms.has(room) && self.rooms[room].tape().epoch() == session.epoch;
            if places.len() <= room.index() {
                places.resize(room.index() + 1, None);
            }
            if has_room && places[room.index()].is_none() {
                places[room.index()] = Some(handover.rooms.len());
                handover.rooms.push(self.hand_over_room(room));
            }
            let member = session.member().map(|member| self.roster.hand_over(member, seconds));
            let place = places[room.index()].filter(|_| has_room);
            handover.sessions.push(self.sessions.hand_over(id, place, member));
        }
        if let Some(keeping) = &mut self.keeping {
            keeping.hand_over(handover);
        }
    }

    /// Makes the announcements that wait for slow readers (`--lag wait`): the next run does not know who has left. Their
    /// readers come back, and nobody is read any more, so the space behind the wall is free for them.
    fn announce_all(&mut self) {
        for room in self.roster.directory().ids().collect::<Vec<_>>() {
            while self.rooms[room].room.has_announcement() {
                self.rooms.apply(room, &mut self.roster, Event::Announced);
            }
        }
    }

    fn hand_over_room(&self, room: RoomId) -> HandedRoom {
        let tape = self.rooms[room].tape();
        HandedRoom {
            name: self.roster.directory().name(room).as_str().to_owned(),
            is_kept: self.is_kept(room),
            end: tape.record_id(tape.end().record),
        }
    }

    /// Begins with the sessions that the last run has handed over. Their members are away, and their seats are kept from
    /// now on. To be called once, after [`keep`](Hub::keep), the names and the time of day, and before any client
    /// comes.
    ///
    /// # Errors
    /// If the handover is out of date, or the journal lacks its last records. Then nothing has changed.
    pub fn take_back(&mut self, handover: &Handover, now: Instant) -> Result<(), NotTakenBack> {
        let age_ms = self.rooms.unix_ms().saturating_sub(handover.stopped_ms);
        if age_ms > HANDOVER_AGE_MAX_MS {
            return Err(NotTakenBack::OutOfDate(age_ms / 60_000));
        }
        if let Some(room) = handover.rooms.iter().find(|room| room.is_kept && !self.ends_there(room)) {
            return Err(NotTakenBack::EndsElsewhere(room.name.clone()));
        }
        self.begin_before(handover, Duration::from_millis(age_ms), now);
        let places: Vec<Place> = handover.rooms.iter().map(|room| self.take_back_room(room)).collect();
        let until = now + self.limits.resume_within.unwrap_or_default();
        let ages = u32::try_from(age_ms / 1_000).unwrap_or(u32::MAX);
        let mut nameless = Vec::new();
        for session in handover.sessions.iter().take(HANDOVER_SESSIONS_MAX) {
            nameless.extend(self.take_back_session(session, &places, (now, ages), until));
        }
        self.end_handover(nameless, now);
        Ok(())
    }

    /// Whether a kept room ends where it did in the last run. A room that is not kept any more goes on without its
    /// records.
    fn ends_there(&self, handed: &HandedRoom) -> bool {
        let Ok(name) = parse_room(self.roster.directory(), &handed.name) else { return true };
        match self.roster.directory().find(&name).filter(|&room| self.is_kept(room)) {
            Some(room) => self.rooms[room].tape().ends_log_at(handed.end),
            None => true,
        }
    }

    /// Lets the clock of the rooms begin early enough for the oldest member.
    fn begin_before(&mut self, handover: &Handover, age: Duration, now: Instant) {
        let ages = handover.sessions.iter().filter_map(|session| session.member.as_ref()).map(|member| member.age);
        let oldest = age + Duration::from_secs(ages.max().unwrap_or(0).into());
        self.started = now.checked_sub(oldest).unwrap_or(self.started);
    }

    /// Finds or opens a room of the last run.
    fn take_back_room(&mut self, handed: &HandedRoom) -> Place {
        let Ok(name) = parse_room(self.roster.directory(), &handed.name) else { return Place::Other(RoomId::LOBBY) };
        if let Some(room) = self.roster.directory().find(&name) {
            if !(handed.is_kept && self.is_kept(room)) {
                return Place::Other(room);
            }
            self.rooms[room].room.go_on_in_log(handed.end);
            return Place::Same(room);
        }
        let Some(room) = self.rooms.find_or_open(&name, self.roster.directory_mut()) else {
            return Place::Other(RoomId::LOBBY);
        };
        // Its records are gone, and count as missed.
        let run = Run { epoch: handed.end.epoch, first: 0, records: handed.end.record.min(NUMBER_MAX) };
        self.rooms.load(room, Past::new(vec![run]), &[]);
        if !self.rooms[room].tape().ends_log_at(handed.end) {
            return Place::Other(room);
        }
        self.rooms[room].room.go_on_in_log(handed.end);
        Place::Same(room)
    }

    /// Takes a session back, and its member. Returns the member if it has lost its name.
    fn take_back_session(
        &mut self,
        handed: &HandedSession,
        places: &[Place],
        (now, age): (Instant, u32),
        until: Instant,
    ) -> Option<MemberId> {
        let place = handed.room.and_then(|place| places.get(place)).copied().unwrap_or(Place::Other(RoomId::LOBBY));
        let (Place::Same(room) | Place::Other(room)) = place;
        if self.sessions.has(handed) {
            return None;
        }
        let seconds = self.seconds(now);
        let back = handed.member.as_ref().and_then(|member| {
            self.roster.take_back(member, room, seconds.saturating_sub(age.saturating_add(member.age)))
        });
        self.sessions.take_back(handed, room, back.map(|back| back.member), until);
        let TakenBack { member, has_lost_name } = back?;
        if let Place::Other(_) = place {
            // This room does not know it.
            self.roster.introduce_anew(member);
        }
        self.stats.clients_most = self.stats.clients_most.max(self.roster.clients());
        self.log_roster_in(room, format_args!("{} is back, and away", self.roster.shown(member)));
        has_lost_name.then_some(member)
    }

    /// Tells the rooms of names that were lost meanwhile, gives up seats that there are no longer, and drops rooms that
    /// nobody needs.
    fn end_handover(&mut self, nameless: Vec<MemberId>, now: Instant) {
        for member in nameless {
            self.take_name(member);
            self.rooms.announce_queued(self.roster.room(member), &mut self.roster);
        }
        while self.roster.clients() > self.admission.capacity.clients_max && self.sessions.away() > 0 {
            self.evict_kept_seat(now);
        }
        for room in self.roster.directory().ids().collect::<Vec<_>>() {
            self.rooms.note_empty(room, self.roster.directory());
        }
        let (away, time) = (self.sessions.away(), self.limits.resume_within.unwrap_or_default().as_secs());
        if away > 0 {
            let (plural, have) = if away == 1 { ("", "has") } else { ("s", "have") };
            info!("{away} client{plural} {have} {time} s to come back");
        }
    }
}
