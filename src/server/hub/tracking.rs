//! Tracked clients: sessions, and their way from one connection to the next.
//!
//! A session begins with `/track`. `/track POSITION TOKEN` as the first line of a connection resumes it. That is a step
//! of entering which needs no free seat: the member is there still, or [away](super::seats). If the old connection is
//! still open, it is told, and closed.
//!
//! In a [kept room](super::keeping) a position counts without a token: a client whose session ended with the last run
//! of the server goes on in a new one. With a bus a position counts in any room: a client whose server is gone goes on
//! at another one.

use std::time::{Duration, Instant};

use super::Hub;
use super::input::ReadTurn;
use super::timers::Timer;
use crate::net::stream::Socket;
use crate::relay::command::{COMMAND_BYTE, Command};
use crate::relay::cursor::{Cursor, Dialect};
use crate::relay::directory::RoomId;
use crate::relay::line::{Framing, LineDecoder, LineEnds};
use crate::relay::name::Name;
use crate::relay::notice::Notice;
use crate::relay::room::{SessionState, Start, parse_room};
use crate::relay::roster::{Introduction, MemberId};
use crate::relay::sanitize::sanitize;
use crate::relay::stamp::RecordId;
use crate::relay::tape::Position;
use crate::server::config::Lag;
use crate::server::connection::{Farewell, Phase, Role};
use crate::server::flow::budget::Effort;
use crate::server::limits::{INTRODUCE_AFTER, PASS_LINE_BYTES_MAX};
use crate::server::reason::Reason;
use crate::server::sessions::{SessionId, Token};
use crate::server::web::websocket::code;

/// The word of the command.
const TRACK: &[u8] = b"/track";

/// The longest `/track POSITION TOKEN`, and some space.
const TRACK_BYTES_MAX: usize = 96;

/// A first line that decides how its author enters.
pub(super) enum FirstCommand {
    /// `/join NAME`: in that room, other than the lobby.
    Join(Name),
    /// `/track`, with what follows it.
    Track { position: String, token: String },
}

impl<S: Socket> Hub<S> {
    /// Sets the time of day, in ms since 1970, for the bans and the stamps of this turn. A time before the last one
    /// counts as that one in stamps.
    pub fn set_clock(&mut self, unix_ms: u64) {
        self.rooms.set_clock(unix_ms);
        self.banning.set_clock(unix_ms);
    }

    /// Returns the rules by which the next line of a connection is cut. Its beginning is in `decoder`, the rest in `bytes`.
    /// A `/track` may be longer than `--max-line`, and so may a `/pass` of a locked connection.
    pub(super) fn framing(&self, key: usize, decoder: &LineDecoder, bytes: &[u8]) -> Framing {
        let is_tracked = self.connections[key].is_tracked();
        let ends = if is_tracked { LineEnds::Newline } else { self.limits.framing.ends };
        let mut line_bytes_max = self.limits.framing.line_bytes_max;
        if line_bytes_max < TRACK_BYTES_MAX && is_track(decoder.begun(bytes)) {
            line_bytes_max = TRACK_BYTES_MAX;
        }
        if self.is_locked(key) {
            line_bytes_max = line_bytes_max.max(PASS_LINE_BYTES_MAX);
        }
        Framing { ends, line_bytes_max, ..self.limits.framing }
    }

    /// Returns what the first line of a connection decides. The line is complete: its beginning is in `decoder`, the
    /// rest in `bytes`.
    pub(super) fn first_command(&self, key: usize, decoder: &LineDecoder, bytes: &[u8]) -> Option<FirstCommand> {
        let [fragment, rest] = decoder.begun(bytes);
        if fragment.first().or(rest.first()) != Some(&COMMAND_BYTE) {
            return None;
        }
        let rest = &rest[..self.limits.framing.line_end(rest).unwrap_or(rest.len())];
        if decoder.is_over(rest, self.framing(key, decoder, bytes).line_bytes_max) {
            return None;
        }
        let mut buffer = String::new();
        let line = [fragment, rest].concat();
        match Command::parse(sanitize(&line, &mut buffer)) {
            Command::Join { name, .. } if self.limits.rooms_max > 1 => {
                let directory = self.roster.directory();
                let name = parse_room(directory, name).ok()?;
                (directory.find(&name) != Some(RoomId::LOBBY)).then_some(FirstCommand::Join(name))
            }
            Command::Track { position, token } if !self.limits.answers_all => {
                Some(FirstCommand::Track { position: position.to_owned(), token: token.to_owned() })
            }
            _ => None,
        }
    }

    /// Lets a connection enter or resume whose first line is `/track`. Returns whether the line has been processed by
    /// that.
    pub(super) fn enter_with_track(
        &mut self,
        turn: &mut ReadTurn,
        (position, token): (&str, &str),
        now: Instant,
    ) -> bool {
        if self.waits_with_track(turn.key, (position, token), now) {
            return false;
        }
        self.enter_now_with_track(turn, (position, token), now)
    }

    /// Whether a connection waits before it enters or resumes by `/track`.
    fn waits_with_track(&mut self, key: usize, (position, token): (&str, &str), now: Instant) -> bool {
        match Token::parse(token).and_then(|token| self.sessions.find(token)) {
            Some(session) => self.waits_to_resume(key, session, now),
            None if self.waits_to_join(key) => true,
            None => self.place_of(position).is_none() && self.waits_to_enter(key, None, now),
        }
    }

    fn enter_now_with_track(&mut self, turn: &mut ReadTurn, (position, token): (&str, &str), now: Instant) -> bool {
        let key = turn.key;
        let known = Token::parse(token).and_then(|token| Some((self.sessions.find(token)?, token)));
        if let Some((session, token)) = known {
            let kept = self.sessions[session].member();
            if let Some(member) = kept {
                self.take_over(key, session, member, now);
            }
            let Some(member) = kept.or_else(|| self.take_seat_of(key, Some(session), now)) else { return false };
            self.resume(key, member, (session, token), position);
            if kept.is_some() {
                self.set_timers_of(key, member, now);
            }
            turn.bucket.add(self.sessions[session].take_bucket(), now);
            turn.session = Some(session);
            return true;
        }
        if let Some((room, record)) = self.place_of(position) {
            return self.enter_at(turn, room, record, now);
        }
        let Some(member) = self.take_seat_of(key, None, now) else { return false };
        let start = if position.is_empty() { Start::Entering } else { Start::NotResumed };
        self.begin_session(turn, member, start);
        true
    }

    /// Returns the room and the number of the record at a position that counts without a token: it is of a kept log, or
    /// of the log of exactly one shared room. Cost with a bus: a look at each room.
    fn place_of(&self, position: &str) -> Option<(RoomId, u64)> {
        if self.bus.is_none() {
            return self.kept_place(position);
        }
        let mut places = self.roster.directory().ids().filter_map(|room| {
            let channel = &self.rooms[room];
            let record = channel.room.read_position(position)?;
            (record <= channel.tape().end().record).then_some((room, record))
        });
        let place = places.next();
        place.filter(|_| places.next().is_none())
    }

    /// Lets a connection enter a kept or shared room and read on at a record, in a new session. Returns whether it has a
    /// seat.
    fn enter_at(&mut self, turn: &mut ReadTurn, room: RoomId, record: u64, now: Instant) -> bool {
        let key = turn.key;
        if !self.grant_seat(key, now) {
            return false;
        }
        let member = self.take_seat(key, room, now);
        let start = self.start_at(room, record, 0);
        self.begin_session(turn, member, start);
        true
    }

    /// Gives a connection that enters a seat: in the room of its session, if that still exists.
    fn take_seat_of(&mut self, key: usize, session: Option<SessionId>, now: Instant) -> Option<MemberId> {
        if !self.grant_seat(key, now) {
            return None;
        }
        let last = session.map(|session| (self.sessions[session].room, self.sessions[session].epoch));
        let last = last.filter(|&(room, epoch)| self.rooms.has(room) && self.rooms[room].tape().epoch() == epoch);
        let room = match last {
            Some((room, _)) => room,
            None => self.first_room(key, now)?,
        };
        Some(self.take_seat(key, room, now))
    }

    /// Lets a member be tracked from now on, or tells it the state of its session. If this is its first line, it may resume
    /// another session: it has entered only because that line was late.
    pub(super) fn track_late(
        &mut self,
        turn: &mut ReadTurn,
        member: MemberId,
        (position, token): (&str, &str),
        now: Instant,
    ) {
        if let Some(session) = self.session_of(turn.key) {
            self.sessions[session].is_proven = true;
            let line = self.session_line(session, member);
            self.reply(turn, &line);
            return;
        }
        let is_known = Token::parse(token).is_some_and(|token| self.sessions.find(token).is_some());
        if (is_known || self.place_of(position).is_some()) && !self.roster.has_spoken(member) {
            self.resume_late(turn, member, (position, token), now);
            return;
        }
        let connection = &self.connections[turn.key];
        let read_to = self.roster.has_moved(member).then(|| connection.cursor.offset());
        self.begin_session(turn, member, Start::Late { read_to });
    }

    /// Lets a connection whose member has said nothing resume a session, as if it had not entered.
    fn resume_late(&mut self, turn: &mut ReadTurn, member: MemberId, track: (&str, &str), now: Instant) {
        let key = turn.key;
        self.log_roster(key, format_args!("{} gives way", self.roster.shown(member)));
        let room = self.roster.room(member);
        self.remove_member(key, member, &Reason::Goodbye, now);
        self.stats.reasons.count(&Reason::Goodbye);
        self.rooms.remove_reader(room, key, self.roster.directory());
        self.connections.discount_member(key);
        self.connections.set_role(key, Role::Entering);
        self.connections[key].enter_again();
        // A member need not give the password again.
        self.doorkeeper.open(key, now);
        // The line was taken, so it does not wait: its lines count as taken, as after a wait for too long.
        if let Some(session) = Token::parse(track.1).and_then(|token| self.sessions.find(token)) {
            self.forget_lines_under_way(session);
        }
        self.enter_now_with_track(turn, track, now);
        match self.session_of(key) {
            Some(session) => self.sessions[session].came_late = true,
            None if self.connections[key].phase == Phase::Entering => {
                self.delay_entry(self.connections[key].handle(key), now);
            }
            None => {}
        }
        // What follows may be said in another room, and is charged to its budgets.
        turn.tape_bytes_left = 0;
    }

    fn begin_session(&mut self, turn: &mut ReadTurn, member: MemberId, start: Start) {
        let key = turn.key;
        let room = self.roster.room(member);
        let epoch = self.rooms[room].tape().epoch();
        let session = self.sessions.begin(member, room, epoch);
        turn.session = Some(session);
        self.connections[key].track();
        self.welcome_tracked(key, session, member, start);
    }

    /// Gives a connection the session, whose member it has. Lets it read on in its room, as far as its position and the
    /// tape allow.
    fn resume(&mut self, key: usize, member: MemberId, (session, token): (SessionId, Token), position: &str) {
        self.sessions.on_resumed(session, token);
        if self.sessions[session].member().is_none() {
            self.sessions.seat(session, member);
        }
        self.connections[key].track();
        let room = self.roster.room(member);
        let start = self.start_of(session, room, position);
        self.welcome_tracked(key, session, member, start);
        self.log_roster(key, format_args!("{} resumes", self.roster.shown(member)));
        self.stats.resumed += 1;
    }

    /// Sets the timers of a member whose connection is another now. The roster knows the second in which it entered, so
    /// the time for its first words is up to a second longer.
    fn set_timers_of(&mut self, key: usize, member: MemberId, now: Instant) {
        let handle = self.connections[key].handle(key);
        let entered = self.started + Duration::from_secs(self.roster.entered(member).into());
        if let Some(idle_timeout) = self.limits.idle_timeout
            && !self.roster.has_spoken(member)
        {
            self.timers.set(self.silent_at(member, idle_timeout), Timer::Idle, handle);
        }
        if self.roster.introduction(member) == Introduction::Pending {
            self.timers.set(now.max(entered + INTRODUCE_AFTER), Timer::Introduce, handle);
        }
    }

    /// Returns the end of the time for the first words of a member, and up to a second more.
    fn silent_at(&self, member: MemberId, idle_timeout: Duration) -> Instant {
        self.started + Duration::from_secs(u64::from(self.roster.entered(member)) + 1) + idle_timeout
    }

    /// Returns when the time for the first words of a member is over, if this timer may be that of another member.
    pub(super) fn later_silence(&self, key: usize, member: MemberId, now: Instant) -> Option<Instant> {
        let silent_at = self.limits.idle_timeout.map(|idle_timeout| self.silent_at(member, idle_timeout));
        let came_late = self.session_of(key).is_some_and(|session| self.sessions[session].came_late);
        silent_at.filter(|&silent_at| came_late && now < silent_at)
    }

    /// Returns where a session goes on in a room, by the position that its client gave.
    fn start_of(&mut self, session: SessionId, room: RoomId, position: &str) -> Start {
        self.rooms.renew(room);
        let is_kept = self.is_kept(room) || self.rooms[room].room.is_shared();
        let session = &mut self.sessions[session];
        let (channel, tape) = (&self.rooms[room].room, self.rooms[room].tape());
        if session.epoch != tape.epoch() {
            // Between the room that it left last and this one was another, of which nothing is left.
            if let Some(rest) = &mut session.rest {
                rest.left = None;
            }
            return Start::NotResumed;
        }
        // A position in a kept or shared log counts by itself.
        let since = if is_kept { 0 } else { session.since };
        let is_readable = |record: &u64| (since..=tape.end().record).contains(record);
        let in_last_room = || {
            let (epoch, stop) = session.rest.as_ref()?.left?;
            let record = RecordId::parse(position, epoch).filter(|&record| record <= stop)?;
            Some((session.since, stop - record))
        };
        let here = channel.read_position(position).filter(is_readable).map(|record| (record, 0));
        let Some((from, missed_before)) = here.or_else(in_last_room) else { return Start::NotResumed };
        self.start_at(room, from, missed_before)
    }

    /// Returns where a client goes on that is to read a room from a record on, as far as the tape allows.
    fn start_at(&self, room: RoomId, from: u64, missed_before: u64) -> Start {
        let (channel, tape) = (&self.rooms[room].room, self.rooms[room].tape());
        // A room that waits for its readers would wait for this one at once.
        let oldest = if self.limits.lag == Lag::Wait { channel.oldest_start() } else { tape.resume() };
        let place = tape.find_record(from).filter(|place| place.offset >= oldest.offset).unwrap_or(oldest);
        Start::Resumed { place, missed: missed_before + place.record - from }
    }

    /// Tells a tracked member what comes first in its room, and lets it read from there.
    fn welcome_tracked(&mut self, key: usize, session: SessionId, member: MemberId, start: Start) {
        let room = self.roster.room(member);
        self.begin_log(room);
        self.rooms.renew(room);
        let state = self.session_state(session);
        let welcome = self.rooms[room].room.welcome_tracked(&self.roster, member, &state, start);
        let epoch = self.rooms[room].tape().epoch();
        self.sessions[session].on_room(room, epoch, welcome.cursor.passed());
        let connection = &mut self.connections[key];
        connection.read_from(welcome.cursor);
        connection.tell(&welcome.private);
        self.budget.spend_reply(welcome.private.len());
        self.schedule.mark_dirty(key, connection);
        self.rooms.add_reader(room, key, &self.connections);
        self.tell_cut_off(key, room);
    }

    /// Returns the session that a connection has, if it is tracked.
    pub(super) fn session_of(&self, key: usize) -> Option<SessionId> {
        let connection = &self.connections[key];
        match connection.phase {
            Phase::Present(member) | Phase::Moving(member) if connection.is_tracked() => {
                self.sessions.of_member(member)
            }
            _ => None,
        }
    }

    fn session_state(&self, session: SessionId) -> SessionState {
        SessionState { token: self.sessions[session].token(), heard: self.sessions[session].heard }
    }

    fn session_line(&self, session: SessionId, member: MemberId) -> String {
        let room = self.roster.room(member);
        self.rooms[room].room.session_line(&self.roster, member, &self.session_state(session))
    }

    /// Tells tracked members what they missed: their session, the count and the next position, as one unit.
    pub(super) fn tell_gaps(&mut self) {
        for handle in std::mem::take(&mut self.schedule.gaps) {
            let Some(connection) = self.connections.known_mut(handle) else { continue };
            let (Phase::Present(member), true) = (connection.phase, connection.awaits_gap_notice()) else { continue };
            let Some(session) = self.sessions.of_member(member) else { continue };
            let (missed, offset) = (connection.cursor.take_missed(), connection.cursor.offset());
            let room = self.roster.room(member);
            self.rooms.renew(room);
            let state = SessionState { heard: self.recorded_lines(session), ..self.session_state(session) };
            let next = self.rooms[room].tape().position(offset);
            let lines = self.rooms[room].room.gap_lines(&self.roster, member, &state, missed, next);
            let connection = &mut self.connections[handle.key];
            connection.tell(&lines);
            self.schedule.mark_dirty(handle.key, connection);
        }
    }

    /// Counts a line that the server takes of a tracked member.
    pub(super) fn count_heard(&mut self, key: usize) {
        if let Some(session) = self.session_of(key) {
            self.sessions[session].heard += 1;
            self.sessions[session].is_proven = true;
        }
    }

    /// Lets the member of a session pass from its connection, or from being away, to the connection with this key.
    fn take_over(&mut self, key: usize, session: SessionId, member: MemberId, now: Instant) {
        let old = self.roster.key(member);
        if let Some(old) = old {
            self.close_elsewhere(old, session, member, now);
        }
        if let Some(access) = &mut self.admission.access
            && !access.promote_owner(key)
            && let Some(old) = old
        {
            // The old connection is not worth a place until it has ended.
            self.schedule.close(old, &mut self.connections[old]);
        }
        debug_assert!(!self.is_locked(key), "a session opens its connection");
        self.connections.set_role(key, Role::Client);
        self.admission.take_destination(key);
        self.doorkeeper.forget(key);
        self.roster.set_key(member, Some(key));
        let end = self.rooms[self.roster.room(member)].tape().end();
        self.connections[key].enter(member, Cursor::at(end, Dialect::Tracked));
        self.connections.count_member(key);
        self.budget.spend(Effort::Enter);
    }

    /// Closes the old connection of a session that goes on elsewhere. What it has sent and the server has not processed
    /// is dropped.
    fn close_elsewhere(&mut self, old: usize, session: SessionId, member: MemberId, now: Instant) {
        let room = self.roster.room(member);
        self.connections.discount_member(old);
        let connection = &mut self.connections[old];
        if let Some(input) = connection.input() {
            self.sessions[session].keep_bucket(input.bucket);
        }
        let stop = match connection.phase {
            Phase::Moving(_) => self.finish_move(old, session, member),
            _ => self.rooms[room].tape().end(),
        };
        let connection = &mut self.connections[old];
        connection.cursor.discard(stop, Dialect::Tracked);
        connection.tell(&Notice::Elsewhere.to_line());
        self.budget.spend(Effort::Leave);
        self.begin_close(old, Some(room), stop, Farewell::Close(Some(code::ELSEWHERE)), now);
        self.rooms.unsettle(room);
    }

    /// Records up to where a session has read, at most, in the room that its member has left.
    pub(super) fn note_left(&mut self, session: SessionId, from: RoomId, stop: Position) {
        let epoch = self.rooms[from].tape().epoch();
        self.sessions[session].rest.get_or_insert_default().left = Some((epoch, stop.record));
    }

    /// Lets a tracked member enter the room that it moved to. Returns whether it is tracked.
    pub(super) fn arrive_tracked(&mut self, key: usize, member: MemberId, from: RoomId, stop: Position) -> bool {
        let Some(session) = self.session_of(key) else { return false };
        self.note_left(session, from, stop);
        self.welcome_tracked(key, session, member, Start::Moving);
        true
    }
}

/// Whether a line begins with `/track`.
fn is_track([fragment, rest]: [&[u8]; 2]) -> bool {
    let word = fragment.iter().chain(rest).take(TRACK.len());
    word.map(u8::to_ascii_lowercase).eq(TRACK.iter().copied())
}

/// Whether a first line that is not whole may become a `/track` with a token: silence ends no such line.
pub(super) fn may_become_track(fragment: &[u8]) -> bool {
    let len = fragment.len().min(TRACK.len());
    len > 0 && fragment[..len].eq_ignore_ascii_case(&TRACK[..len])
}

/// Whether the rest of a stream is a `/track` without its end.
pub(super) fn is_half_track(fragment: &[u8]) -> bool {
    is_track([fragment, &[]])
}
