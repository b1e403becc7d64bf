//! Entering: the way of a connection from the accept into the room. `refusals` has the way out again, with a reason.
//!
//! An entering connection is connected, bounded, on a deadline, and owed no bytes of the tape. On the line port it
//! enters at its first complete line, unless that line belongs to a foreign protocol. If nothing arrives, it enters
//! after [`ENTER_DELAY`]. A browser that opened this port by mistake sends its request before that, because it accepts
//! nothing before the answer. If only part of a line arrives, the connection enters after [`ENTER_TIMEOUT`] at the
//! latest.
//!
//! [`Hub::enter`] is the only place where a client becomes a member. The operator's console becomes a member in
//! [`Hub::open_console`].

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use super::Hub;
use super::closing::Peer;
use super::timers::Timer;
use crate::net::stream::Socket;
use crate::relay::cursor::{Cursor, Dialect};
use crate::relay::directory::RoomId;
use crate::relay::line::{Framing, LineDecoder};
use crate::relay::name::Name;
use crate::relay::roster::{Introduction, MemberId};
use crate::relay::tape::Position;
use crate::server::access::AccessControl;
use crate::server::config::{Capacity, Config};
use crate::server::connection::input::Input;
use crate::server::connection::{Farewell, Handle, Phase, ReadState, Role};
use crate::server::endpoint::Endpoint;
use crate::server::flow::budget::Effort;
use crate::server::limits::{ENTER_DELAY, ENTER_TIMEOUT, ENTERS_MAX, HEADER_TIME, INTRODUCE_AFTER, REQUEST_TIME};
use crate::server::reason::Reason;
use crate::server::sniff::opening::{self, Opening};
use crate::server::sniff::{ForeignProtocol, controls};
use crate::server::web::exchange::{Exchange, Service};

/// Up to this length, the queue of delays may keep entries of connections that have entered.
const DELAYS_KEPT_MIN: usize = 64;

/// The state of admission.
///
/// Invariant: `entering` is ordered by time, because the delay is the same for all, and owns no heap while it is empty.
#[derive(Debug)]
pub(super) struct Admission {
    /// `--allow`, `--deny`, `--max-per-address`; `None` if none of them is set.
    pub(super) access: Option<AccessControl>,
    pub(super) capacity: Capacity,
    /// Connections on the line port, and when their [`ENTER_DELAY`] ends. One queue, so that an entering connection
    /// needs no heap of its own.
    entering: VecDeque<(Instant, Handle)>,
    /// Rooms other than the lobby in which entering browsers are to enter, by the key of the connection.
    destinations: HashMap<usize, Name>,
    /// Whether the last turn left delays that were over.
    pub(super) is_behind: bool,
}

/// Findings about a new connection.
#[derive(Clone, Copy, Debug, Default)]
struct Arrival {
    /// The address that counts; `None` if no rule needs it, or if it is still to come.
    address: Option<IpAddr>,
    /// Whether a proxy is to say which client it is.
    is_proxy: bool,
}

/// The first line of a connection, as far as it has arrived.
pub(super) enum FirstLine {
    /// Its end is missing, and it may be of any protocol.
    Partial,
    /// It is complete, and the second line decides whether it belongs to another protocol.
    Waiting,
    /// It is complete, or over the limit.
    Complete,
    /// It belongs to another protocol.
    Foreign(ForeignProtocol),
}

impl Admission {
    pub(super) fn new(config: &Config, capacity: Capacity) -> Admission {
        Admission {
            access: AccessControl::new(&config.access),
            capacity,
            entering: VecDeque::new(),
            destinations: HashMap::new(),
            is_behind: false,
        }
    }

    /// Records the room in which a browser is to enter.
    pub(super) fn expect_in(&mut self, key: usize, room: &Name) {
        if room.folded() != Name::LOBBY {
            self.destinations.insert(key, room.clone());
        }
    }

    /// Forgets, and returns, the room in which a browser is to enter, if that is not the lobby.
    pub(super) fn take_destination(&mut self, key: usize) -> Option<Name> {
        // The common case.
        if self.destinations.is_empty() { None } else { self.destinations.remove(&key) }
    }

    /// Returns the room in which a browser is to enter, if that is not the lobby.
    pub(super) fn destination(&self, key: usize) -> Option<&Name> {
        self.destinations.get(&key)
    }

    /// Returns the time at which the first delay ends.
    pub(super) fn next_delay_end(&self) -> Option<Instant> {
        self.entering.front().map(|&(time, _)| time)
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants(&self) {
        assert!(self.entering.iter().is_sorted_by_key(|(time, _)| time), "delays end in order");
        assert!(!self.entering.is_empty() || self.entering.capacity() == 0, "an idle server keeps no queue");
    }
}

impl<S: Socket> Hub<S> {
    /// Whether one more connection can be admitted, or at least be told why not.
    pub fn can_admit(&self) -> bool {
        self.has_place_to_enter() || self.connections.count(Role::Refused) < self.admission.capacity.refusals_max
    }

    /// Whether one more connection on this endpoint can be admitted, or at least be told why not. Operators wait for
    /// nobody's place.
    pub fn can_admit_on(&self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Control => true,
            Endpoint::Metrics => self.has_place_to_scrape(),
            Endpoint::Lines | Endpoint::TlsLines | Endpoint::Web | Endpoint::TlsWeb => {
                self.is_open() && self.can_admit() && self.has_numbers()
            }
        }
    }

    /// Opens the operator's console and makes it a member: once, before any client enters.
    pub fn open_console(&mut self, stream: S, now: Instant) {
        let key = self.connections.insert(stream, Role::Console);
        let member = self.roster.add_operator(key, self.seconds(now));
        self.connections[key].enter(member, Cursor::at(Position::default(), Dialect::Plain));
        self.greet(key, member, RoomId::LOBBY);
        // The console's input may be a file, for which `poll` reports no event.
        self.schedule.mark_ready(key, &mut self.connections[key]);
    }

    /// Admits a new connection on this endpoint, or refuses it. Nothing is written yet.
    pub fn admit(&mut self, stream: S, endpoint: Endpoint, now: Instant) {
        if endpoint == Endpoint::Control {
            self.admit_operator(stream, now);
            return;
        }
        self.stats.accepted += u64::from(endpoint != Endpoint::Metrics);
        let arrival = match self.check_stream(&stream, endpoint) {
            Ok(arrival) => arrival,
            Err(reason) if endpoint.is_tls() => {
                self.record_refusal(&Peer::of_stream(&stream), &reason, " without a word", now);
                return;
            }
            Err(reason) => {
                if self.prepare_refusal(&Peer::of_stream(&stream), &reason, now) {
                    let key = self.insert(stream, endpoint, now);
                    self.tell_refusal(key, &reason, now);
                }
                return;
            }
        };
        let key = self.insert(stream, endpoint, now);
        if let (Some(access), Some(address)) = (&mut self.admission.access, arrival.address) {
            access.admit(key, address);
        }
        let handle = self.connections[key].handle(key);
        if endpoint.is_web() {
            self.log_peer(key, "visited", "a visitor came from");
        }
        if arrival.is_proxy {
            self.proxied.expect_client(key, endpoint);
        }
        if self.proxied.awaits_header(key) {
            self.timers.set(now + HEADER_TIME, Timer::Header, handle);
        } else if endpoint.is_tls() {
            self.begin_handshake(key, Vec::new(), now);
        } else if endpoint.is_http() {
            self.timers.set(now + REQUEST_TIME, Timer::Request, handle);
        } else {
            self.delay_entry(handle, now);
        }
    }

    fn insert(&mut self, stream: S, endpoint: Endpoint, now: Instant) -> usize {
        let exchange = Exchange::new(now + REQUEST_TIME);
        if endpoint.is_web() {
            self.connections.insert_http(stream, Role::Visitor, exchange)
        } else if endpoint == Endpoint::Metrics {
            self.connections.insert_http(stream, Role::Scraper, exchange.with_service(Service::Metrics))
        } else {
            self.connections.insert(stream, Role::Entering)
        }
    }

    /// Gives an entering connection time to say what it is.
    pub(super) fn delay_entry(&mut self, handle: Handle, now: Instant) {
        self.admission.entering.push_back((now + ENTER_DELAY, handle));
    }

    /// Makes an entering connection a member, if it [may enter](Hub::grant_seat).
    pub(super) fn enter(&mut self, key: usize, now: Instant) -> Option<MemberId> {
        if self.waits_to_enter(key, None, now) || !self.grant_seat(key, now) {
            return None;
        }
        let room = self.first_room(key, now)?;
        Some(self.enter_room(key, room, now))
    }

    /// Returns the room that an entering connection enters without a word: the lobby, or the room in the address of a
    /// browser. If there is no place for that one, refuses the browser: what it says is meant for no other room.
    pub(super) fn first_room(&mut self, key: usize, now: Instant) -> Option<RoomId> {
        let Some(name) = self.admission.take_destination(key) else { return Some(RoomId::LOBBY) };
        let room = self.rooms.find_or_open(&name, self.roster.directory_mut());
        if room.is_none() {
            self.refuse_browser(key, &Reason::RoomsFull(self.roster.directory().len()), now);
        }
        room
    }

    /// Whether there is a free seat for an entering connection, if need be that of a member that is away, and
    /// `--max-per-address` allows it. Otherwise refuses it. If this turn can tell no more refusals, the connection goes
    /// on entering. No connection enters before it has given the password.
    pub(super) fn grant_seat(&mut self, key: usize, now: Instant) -> bool {
        debug_assert!(!self.is_locked(key), "a connection gives the password before it enters");
        if self.is_locked(key) {
            return false;
        }
        if let Err(reason) = self.check_seat().and_then(|()| self.count_address(key)) {
            if self.connections[key].is_browser() {
                self.refuse_browser(key, &reason, now);
            } else if !self.must_refuse_later() {
                self.refuse(key, &reason, now);
            }
            return false;
        }
        if self.roster.clients() >= self.admission.capacity.clients_max {
            self.evict_kept_seat(now);
        }
        true
    }

    /// Makes a connection that may enter a member in this room.
    pub(super) fn enter_room(&mut self, key: usize, room: RoomId, now: Instant) -> MemberId {
        let member = self.take_seat(key, room, now);
        self.greet(key, member, room);
        member
    }

    /// Makes a connection that may enter a member in this room. The caller greets it.
    pub(super) fn take_seat(&mut self, key: usize, room: RoomId, now: Instant) -> MemberId {
        self.connections.set_role(key, Role::Client);
        self.admission.take_destination(key);
        self.doorkeeper.forget(key);
        let member = self.roster.add_client(key, room, self.seconds(now));
        self.rooms[room].room.note_arrival(&self.roster, member);
        let end = self.rooms[room].tape().end();
        self.connections[key].enter(member, Cursor::at(end, Dialect::Plain));
        self.connections.count_member(key);
        self.stats.entered += 1;
        self.stats.browsers += u64::from(self.connections[key].is_browser());
        self.budget.spend(Effort::Enter);
        self.stats.clients_most = self.stats.clients_most.max(self.roster.clients());
        let connection = &self.connections[key];
        self.log_roster(key, format_args!("{} enters", self.roster.shown(member)));
        let handle = connection.handle(key);
        if let Some(idle_timeout) = self.limits.idle_timeout {
            self.timers.set(now + idle_timeout, Timer::Idle, handle);
        }
        if self.rooms[room].room.announces(self.roster.clients_in(room)) {
            self.timers.set(now + INTRODUCE_AFTER, Timer::Introduce, handle);
        }
        member
    }

    /// Greets a member that has entered in this room, and lets it read.
    fn greet(&mut self, key: usize, member: MemberId, room: RoomId) {
        let welcome = self.rooms[room].room.welcome(&self.roster, member);
        let connection = &mut self.connections[key];
        connection.read_from(welcome.cursor);
        connection.tell(&welcome.private);
        self.schedule.mark_dirty(key, connection);
        self.rooms.add_reader(room, key, &self.connections);
        self.tell_cut_off(key, room);
    }

    /// Makes connections enter when their delay is over. A connection that has sent part of a line, or whose input is
    /// not read yet, gets more time.
    pub(super) fn end_enter_delays(&mut self, now: Instant) {
        self.admission.is_behind = false;
        for _ in 0..ENTERS_MAX {
            let Some((time, handle)) = self.admission.entering.pop_front_if(|&mut (time, _)| time <= now) else {
                return;
            };
            let Some(connection) = self.connections.known(handle) else { continue };
            if connection.phase != Phase::Entering || self.doorkeeper.overrules(handle.key, ENTER_DELAY, time) {
                continue;
            }
            if connection.is_unread() || (self.is_waiting(handle) && connection.read_state == ReadState::Held) {
                self.admission.entering.push_back((now + ENTER_DELAY, handle));
            } else if self.has_sent_binary(handle.key) {
                self.reject_protocol(handle.key, ForeignProtocol::Binary, now);
            } else if connection.input().is_some_and(Input::is_partial) {
                self.timers.set(time + (ENTER_TIMEOUT - ENTER_DELAY), Timer::Enter, handle);
            } else if self.must_enter_later(handle, now) {
                self.admission.entering.push_back((now + ENTER_DELAY, handle));
            }
        }
        self.admission.is_behind = self.admission.next_delay_end().is_some_and(|time| time <= now);
    }

    /// Drops the delays of connections that have entered already. Always drops those at the front, because they would
    /// wake the loop. If such delays are more than half of the queue, drops all of them. So entering connections bound
    /// its memory, and each delay costs about one look.
    pub(super) fn forget_enter_delays(&mut self) {
        let Hub { admission, connections, .. } = self;
        let queue = &mut admission.entering;
        let is_over = |&(_, handle): &(Instant, Handle)| {
            connections.known(handle).is_none_or(|connection| connection.phase != Phase::Entering)
        };
        while queue.pop_front_if(|entry| is_over(entry)).is_some() {}
        if queue.len() > 2 * connections.count(Role::Entering) + DELAYS_KEPT_MIN {
            queue.retain(|entry| !is_over(entry));
        }
        if queue.is_empty() && queue.capacity() > 0 {
            *queue = VecDeque::new();
        }
    }

    pub(super) fn on_enter_timer(&mut self, key: usize, now: Instant) -> Option<Instant> {
        let connection = &self.connections[key];
        if connection.phase != Phase::Entering || self.doorkeeper.overrules(key, ENTER_TIMEOUT, now) {
            return None;
        }
        let handle = connection.handle(key);
        if connection.is_unread() || (self.is_waiting(handle) && connection.read_state == ReadState::Held) {
            return Some(now + ENTER_DELAY);
        }
        if self.has_sent_binary(key) {
            self.reject_protocol(key, ForeignProtocol::Binary, now);
            return None;
        }
        self.must_enter_later(handle, now).then(|| now + ENTER_DELAY)
    }

    /// Makes a connection enter whose time is over, or asks it for the password. A first line that waited for the
    /// second is processed. Returns whether the connection goes on entering because it cannot be refused in this turn.
    fn must_enter_later(&mut self, handle: Handle, now: Instant) -> bool {
        let key = handle.key;
        if self.is_locked(key) {
            self.ask_for_password(key, now);
        } else if self.enter(key, now).is_none() {
            return self.is_entering(handle);
        }
        let connection = &mut self.connections[key];
        if connection.input().is_some_and(|input| !input.pending.bytes().is_empty()) {
            self.schedule.mark_ready(key, connection);
        }
        false
    }

    /// Whether a connection has sent a part of a line that belongs to a binary protocol, however short it is. A
    /// browser's lines are text.
    fn has_sent_binary(&self, key: usize) -> bool {
        let input = self.connections[key].input().filter(|_| !self.connections[key].is_browser());
        input.is_some_and(|input| controls::is_binary(input.decoder.fragment()))
    }

    fn is_entering(&self, handle: Handle) -> bool {
        self.connections.known(handle).is_some_and(|connection| connection.phase == Phase::Entering)
    }

    /// Introduces a member that has said nothing for a while, unless it was introduced already.
    pub(super) fn on_introduce_timer(&mut self, key: usize, now: Instant) -> Option<Instant> {
        let Phase::Present(member) = self.connections[key].phase else { return None };
        if self.roster.introduction(member) != Introduction::Pending {
            return None;
        }
        let room = self.roster.room(member);
        if self.rooms[room].brake.is_at_wall() {
            return Some(now + INTRODUCE_AFTER);
        }
        self.introduce(key, member, room);
        self.report_arrival(key, member, now);
        None
    }

    /// Returns the first line of an entering connection as far as it has arrived: its beginning is in `decoder`, the
    /// rest in `input`.
    pub(super) fn first_line(&self, key: usize, decoder: &LineDecoder, input: &[u8]) -> FirstLine {
        // The LF of a CRLF behind a `/pass` begins no line.
        let input = if decoder.is_after_return() { decoder.begun(input)[1] } else { input };
        if self.connections[key].is_browser() {
            let framing = self.framing(key, decoder, input);
            let is_whole = framing.line_end(input).is_some() || decoder.is_over(input, framing.line_bytes_max);
            return if is_whole { FirstLine::Complete } else { FirstLine::Partial };
        }
        first_line(decoder, input, self.framing(key, decoder, input))
    }

    /// Closes a connection that has not entered.
    pub(super) fn close_entering(&mut self, key: usize, farewell: Farewell, now: Instant) {
        self.begin_close(key, None, Position::default(), farewell, now);
    }

    /// Whether one more connection may begin to enter. It may use a place for leaving clients, so a full server can
    /// tell it that it is full.
    pub(super) fn has_place_to_enter(&self) -> bool {
        let Capacity { clients_max, leavers_max, .. } = self.admission.capacity;
        let taken = self.connections.count(Role::Client) + self.connections.count(Role::Entering);
        taken < clients_max.saturating_add(leavers_max)
    }

    pub(super) fn full(&self) -> Reason {
        Reason::Full(self.admission.capacity.clients_max)
    }

    /// Checks whether a new connection may stay open. Asks the kernel for its address only if that matters.
    fn check_stream(&self, stream: &S, endpoint: Endpoint) -> Result<Arrival, Reason> {
        if endpoint == Endpoint::Metrics {
            return self.check_scraper(stream).map(|()| Arrival::default());
        }
        let is_asked = self.admission.access.is_some() || !self.proxied.is_off() || self.banning.has_bans();
        let arrival = if is_asked { self.check_address(stream)? } else { Arrival::default() };
        let visitors_max = self.admission.capacity.visitors_max;
        match endpoint.is_web() {
            false if !self.has_place_to_enter() => Err(self.full()),
            true if self.connections.count(Role::Visitor) >= visitors_max => Err(Reason::VisitorsFull(visitors_max)),
            _ => Ok(arrival),
        }
    }

    /// Checks the address of a new connection. One address may have few connections that have not entered, so it cannot
    /// take all places. A proxy may have as many as its clients need, and is not counted.
    fn check_address(&self, stream: &S) -> Result<Arrival, Reason> {
        let address = stream.peer_address().map_err(Reason::Reset)?.map(|address| address.ip());
        let is_proxy = self.proxied.trusts(address);
        self.banning.check(address)?;
        if let (Some(access), Some(address)) = (&self.admission.access, address) {
            if is_proxy { access.check_address(address)? } else { access.check(address)? }
        }
        Ok(Arrival { address: address.filter(|_| !is_proxy), is_proxy })
    }

    /// Counts a connection that enters as a client of its address.
    fn count_address(&mut self, key: usize) -> Result<(), Reason> {
        match &mut self.admission.access {
            Some(access) => Ok(access.promote(key)?),
            None => Ok(()),
        }
    }

    /// Whether there is a free seat for a connection that enters, or one of a member that is away.
    pub(super) fn check_seat(&self) -> Result<(), Reason> {
        let is_full = self.roster.clients() >= self.admission.capacity.clients_max && self.sessions.away() == 0;
        if is_full || self.roster.numbers_left() == 0 { Err(self.full()) } else { Ok(()) }
    }
}

/// Classifies a first line as far as it has arrived. Looks at each new byte once, and at all of the line when it is
/// complete.
fn first_line(decoder: &LineDecoder, input: &[u8], framing: Framing) -> FirstLine {
    let fragment = decoder.fragment();
    if let Some(protocol) = ForeignProtocol::in_prefix([fragment, input]) {
        return FirstLine::Foreign(protocol);
    }
    let newline = framing.line_end(input);
    let arrived = &input[..newline.unwrap_or(input.len())];
    let is_overlong = decoder.is_over(arrived, framing.line_bytes_max);
    if newline.is_none() && !is_overlong {
        return FirstLine::Partial;
    }
    let line = [fragment, arrived].concat();
    let foreign = if is_overlong {
        ForeignProtocol::in_overlong(&line)
    } else {
        ForeignProtocol::in_line(line.strip_suffix(b"\r").unwrap_or(&line))
    };
    match (foreign, opening::of(fragment, input, false)) {
        (Some(protocol), _) | (None, Opening::Foreign(protocol)) => FirstLine::Foreign(protocol),
        (None, Opening::Waiting) => FirstLine::Waiting,
        (None, Opening::Decided) => FirstLine::Complete,
    }
}
