//! Entering: the way of a connection from the accept into the room, or out again with a reason.
//!
//! A connection that enters is connected, bounded, on a deadline, and owed nothing of any tape. On the line port it
//! enters at its first complete line that belongs to no foreign protocol, or after [`ENTER_DELAY`] if nothing has come:
//! a browser that opened this port by mistake accepts nothing before the answer to its request. [`Hub::enter`] is the
//! only place where a connection becomes a member.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use log::{debug, info};

use super::Hub;
use super::closing::Peer;
use super::timers::Timer;
use crate::net::stream::Socket;
use crate::relay::event::Event;
use crate::relay::line::LineDecoder;
use crate::relay::roster::{Introduction, MemberId};
use crate::server::access::{AccessControl, Refusal};
use crate::server::config::{Capacity, Config};
use crate::server::connection::{Farewell, Handle, Phase, ReadState, Role};
use crate::server::endpoint::Endpoint;
use crate::server::limits::{ENTER_DELAY, ENTER_TIMEOUT, FOREIGN_LOG_PERIOD, INTRODUCE_AFTER, REQUEST_TIME};
use crate::server::reason::Reason;
use crate::server::sniff::ForeignProtocol;
use crate::server::web::exchange::Exchange;
use crate::server::web::websocket::code;

/// Queues of delays below this length are not searched for connections that have entered.
const DELAYS_KEPT_MIN: usize = 64;

/// The state of admission.
///
/// Invariants: `entering` is ordered by time, because the delay is the same for all, and owns no heap while it is
/// empty; `refused` holds every connection with [`Role::Refused`], the oldest first, and stale handles.
#[derive(Debug)]
pub(super) struct Admission {
    /// `--allow`, `--deny`, `--max-per-address`; `None` if none of them is set.
    pub(super) access: Option<AccessControl>,
    pub(super) capacity: Capacity,
    /// Connections on the line port, and when their [`ENTER_DELAY`] ends. One queue, so that an entering connection
    /// needs no heap of its own.
    entering: VecDeque<(Instant, Handle)>,
    refused: VecDeque<Handle>,
    /// When a foreign protocol was last logged.
    foreign_logged: Option<Instant>,
}

/// The first line of a connection, as far as it came.
pub(super) enum FirstLine {
    /// Its end is missing, and it may be of any protocol.
    Partial,
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
            refused: VecDeque::new(),
            foreign_logged: None,
        }
    }

    /// When the first delay ends.
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

    /// Opens the operator's console: a member beside the clients, before all of them, and once.
    pub fn open_console(&mut self, stream: S, now: Instant) {
        let key = self.connections.insert(stream, Role::Console);
        self.become_member(key, now);
        // Its input may be a file, which no event announces.
        self.schedule.mark_ready(key, &mut self.connections[key]);
    }

    /// Admits a new connection on this endpoint, or refuses it. Nothing is written yet.
    pub fn admit(&mut self, stream: S, endpoint: Endpoint, now: Instant) {
        let address = match self.check_stream(&stream, endpoint) {
            Ok(address) => address,
            Err(reason) => {
                if self.can_tell_refusal(&stream, &reason) {
                    let key = self.insert(stream, endpoint, now);
                    self.tell_refusal(key, &reason, now);
                }
                return;
            }
        };
        let key = self.insert(stream, endpoint, now);
        let connection = &self.connections[key];
        let handle = connection.handle(key);
        match endpoint {
            Endpoint::Lines => self.admission.entering.push_back((now + ENTER_DELAY, handle)),
            Endpoint::Web => {
                debug!("a visitor came from {}", Peer::of(connection));
                self.timers.set(now + REQUEST_TIME, Timer::Request, handle);
                if let (Some(access), Some(address)) = (&mut self.admission.access, address) {
                    access.admit(key, address, endpoint);
                }
            }
        }
    }

    fn insert(&mut self, stream: S, endpoint: Endpoint, now: Instant) -> usize {
        match endpoint {
            Endpoint::Lines => self.connections.insert(stream, Role::Entering),
            Endpoint::Web => self.connections.insert_http(stream, Role::Visitor, Exchange::new(now + REQUEST_TIME)),
        }
    }

    /// Makes an entering connection a member, if there is a free seat and its address may have one more. Otherwise
    /// refuses it, and returns `None`.
    pub(super) fn enter(&mut self, key: usize, now: Instant) -> Option<MemberId> {
        let is_visitor = self.connections[key].role() == Role::Visitor;
        if let Err(reason) = self.check_seat(is_visitor).and_then(|()| self.count_address(key)) {
            if is_visitor {
                self.refuse_browser(key, &reason, now);
            } else {
                self.refuse(key, &reason, now);
            }
            return None;
        }
        self.connections.set_role(key, Role::Client);
        let member = self.become_member(key, now);
        self.stats.entered += 1;
        self.stats.clients_most = self.stats.clients_most.max(self.roster.clients());
        let connection = &self.connections[key];
        let browser = if connection.is_browser() { " with a browser" } else { "" };
        let name = self.roster.shown(member);
        info!("{name} came from {}{browser}; {} present", Peer::of(connection), self.roster.clients());
        self.log_roster(key, format_args!("{name} enters"));
        let handle = connection.handle(key);
        if let Some(idle_timeout) = self.limits.idle_timeout {
            self.timers.set(now + idle_timeout, Timer::Idle, handle);
        }
        if self.channel.room.announces(self.roster.clients()) {
            self.timers.set(now + INTRODUCE_AFTER, Timer::Introduce, handle);
        }
        Some(member)
    }

    fn become_member(&mut self, key: usize, now: Instant) -> MemberId {
        let seconds = self.seconds(now);
        let member = match self.connections[key].role() {
            Role::Console => self.roster.add_operator(key, seconds),
            _ => self.roster.add_client(key, seconds),
        };
        let welcome = self.channel.room.welcome(&self.roster, member);
        let connection = &mut self.connections[key];
        connection.enter(member, welcome.cursor);
        connection.tell(&welcome.private);
        self.schedule.mark_dirty(key, connection);
        self.channel.on_newcomer(key, &self.connections);
        member
    }

    /// Lets connections enter whose delay is over. A connection that has sent part of a line, or whose input is not
    /// read yet, gets more time.
    pub(super) fn end_enter_delays(&mut self, now: Instant) {
        while self.admission.next_delay_end().is_some_and(|time| time <= now) {
            let Some((time, handle)) = self.admission.entering.pop_front() else { break };
            let Some(connection) = self.connections.known(handle) else { continue };
            if connection.phase != Phase::Entering {
                continue;
            }
            if connection.read_state != ReadState::Idle {
                self.admission.entering.push_back((now + ENTER_DELAY, handle));
            } else if connection.input().is_some() {
                self.timers.set(time + (ENTER_TIMEOUT - ENTER_DELAY), Timer::Enter, handle);
            } else {
                self.enter(handle.key, now);
            }
        }
    }

    /// Forgets delays of connections that have entered already: those at the front, which would wake the loop, and all of
    /// them if they are more than half of the queue. So its memory is bounded by the connections that enter, and each
    /// delay is looked at about once for it.
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
        if connection.phase != Phase::Entering {
            return None;
        }
        if connection.read_state != ReadState::Idle {
            return Some(now + ENTER_DELAY);
        }
        self.enter(key, now);
        None
    }

    /// Introduces a member that has said nothing for a while, unless it was introduced already.
    pub(super) fn on_introduce_timer(&mut self, key: usize, now: Instant) -> Option<Instant> {
        let Phase::Present(member) = self.connections[key].phase else { return None };
        if self.roster.introduction(member) != Introduction::Pending {
            return None;
        }
        if self.channel.brake.is_at_wall() {
            return Some(now + INTRODUCE_AFTER);
        }
        let applied = self.channel.room.apply(&mut self.roster, Event::Joined { member });
        self.channel.brake.spend(applied.bytes);
        self.skip_own(key, applied.own);
        None
    }

    /// The first line of an entering connection, of which `decoder` holds the beginning and `input` the rest.
    pub(super) fn first_line(&self, decoder: &LineDecoder, input: &[u8]) -> FirstLine {
        first_line(decoder, input, self.limits.framing.line_bytes_max)
    }

    /// Disconnects a peer that speaks another protocol. It gets one line, or in HTTP the address of the page, if there
    /// is one.
    pub(super) fn reject_protocol(&mut self, key: usize, protocol: ForeignProtocol, now: Instant) {
        // Any page can make any browser connect as often as it likes: that must not fill the log.
        let is_news = self.admission.foreign_logged.is_none_or(|logged| now >= logged + FOREIGN_LOG_PERIOD);
        if is_news {
            self.admission.foreign_logged = Some(now);
            let peer = Peer::of(&self.connections[key]);
            info!("{peer} speaks {}: disconnected (logged once a minute at most)", protocol.name());
        }
        self.leave(key, &Reason::Foreign(protocol), now);
    }

    /// Refuses an entering connection on the line port.
    fn refuse(&mut self, key: usize, reason: &Reason, now: Instant) {
        let can_tell = self.makes_room_for_refusal();
        self.note_refusal(self.connections[key].stream(), reason, can_tell);
        self.stats.reasons.count(reason);
        if can_tell {
            self.tell_refusal(key, reason, now);
        } else {
            self.schedule.close(key, &mut self.connections[key]);
        }
    }

    /// Whether a new connection can be told why it is refused. If not, it is to be closed without a word.
    fn can_tell_refusal(&mut self, stream: &S, reason: &Reason) -> bool {
        let can_tell = !matches!(reason, Reason::Reset(_)) && self.makes_room_for_refusal();
        self.note_refusal(stream, reason, can_tell);
        self.stats.reasons.count(reason);
        can_tell
    }

    fn note_refusal(&self, stream: &S, reason: &Reason, can_tell: bool) {
        let silently = if can_tell { "" } else { " without a word" };
        info!("refused {}{silently}: {reason}", Peer::of_stream(stream));
    }

    /// Tells a connection why it cannot come in, and closes it.
    fn tell_refusal(&mut self, key: usize, reason: &Reason, now: Instant) {
        self.connections.set_role(key, Role::Refused);
        self.admission.refused.push_back(self.connections[key].handle(key));
        if self.connections[key].is_http() {
            let answer = self.refusal_answer(reason.status());
            self.connections[key].push_bytes(&answer.bytes);
        } else if let Some(notice) = reason.notice() {
            self.connections[key].tell(&notice.to_line());
        }
        self.close_entering(key, Farewell::Fin(code::NORMAL), now);
    }

    /// Tells a browser, in frames, why it cannot come in. It stays a visitor, so visitors bound these refusals.
    fn refuse_browser(&mut self, key: usize, reason: &Reason, now: Instant) {
        self.stats.reasons.count(reason);
        let connection = &mut self.connections[key];
        info!("refused {}: {reason}", Peer::of(connection));
        if let Some(notice) = reason.notice() {
            connection.tell(&notice.to_line());
        }
        self.close_entering(key, Farewell::Fin(reason.close_code()), now);
    }

    /// Closes a connection that has not entered.
    pub(super) fn close_entering(&mut self, key: usize, farewell: Farewell, now: Instant) {
        let stop = self.connections[key].cursor.position();
        self.begin_close(key, stop, farewell, now);
    }

    /// Whether a connection may enter the line port. The places of clients that leave serve for this, too, so a full
    /// server can tell a newcomer that it is full.
    fn has_place_to_enter(&self) -> bool {
        let Capacity { clients_max, leavers_max, .. } = self.admission.capacity;
        let taken = self.connections.count(Role::Client) + self.connections.count(Role::Entering);
        taken < clients_max.saturating_add(leavers_max)
    }

    fn full(&self) -> Reason {
        Reason::Full(self.admission.capacity.clients_max)
    }

    /// Checks whether a new connection may be open. Returns its address, which is asked of the kernel only if access is
    /// controlled. `--max-per-address` is checked here for visitors alone.
    fn check_stream(&self, stream: &S, endpoint: Endpoint) -> Result<Option<IpAddr>, Reason> {
        let address = match &self.admission.access {
            None => None,
            Some(access) => {
                let address = stream.peer_address().map_err(Reason::Reset)?.ip();
                match endpoint {
                    Endpoint::Lines => access.check_address(address)?,
                    Endpoint::Web => access.check(address, endpoint)?,
                }
                Some(address)
            }
        };
        let visitors_max = self.admission.capacity.visitors_max;
        match endpoint {
            Endpoint::Lines if !self.has_place_to_enter() => Err(self.full()),
            Endpoint::Web if self.connections.count(Role::Visitor) >= visitors_max => {
                Err(Reason::VisitorsFull(visitors_max))
            }
            Endpoint::Lines | Endpoint::Web => Ok(address),
        }
    }

    /// Counts a connection that enters as a client from its address.
    fn count_address(&mut self, key: usize) -> Result<(), Reason> {
        let Some(access) = &mut self.admission.access else { return Ok(()) };
        let connection = &self.connections[key];
        if connection.role() == Role::Visitor {
            return Ok(access.promote(key)?);
        }
        let address = connection.stream().peer_address().map_err(Reason::Reset)?.ip();
        access.check(address, Endpoint::Lines)?;
        access.admit(key, address, Endpoint::Lines);
        Ok(())
    }

    /// Whether there is a free seat for a connection that enters.
    fn check_seat(&self, is_visitor: bool) -> Result<(), Reason> {
        let is_full = self.roster.clients() >= self.admission.capacity.clients_max;
        if is_full || (is_visitor && !self.has_place_to_enter()) { Err(self.full()) } else { Ok(()) }
    }

    /// Whether one more connection can be told why it is refused, if need be instead of the oldest that was told
    /// everything.
    fn makes_room_for_refusal(&mut self) -> bool {
        let Hub { admission, connections, schedule, .. } = self;
        admission
            .refused
            .retain(|&handle| connections.known(handle).is_some_and(|connection| connection.role() == Role::Refused));
        // A refused connection that made room is counted until the end of the turn.
        let open = admission.refused.iter().filter(|handle| connections[handle.key].phase != Phase::Gone).count();
        if open < admission.capacity.refusals_max {
            return true;
        }
        let oldest = admission.refused.iter().find(|handle| {
            let connection = &connections[handle.key];
            connection.phase == Phase::Closing && connection.is_lingering()
        });
        let Some(&oldest) = oldest else { return false };
        schedule.close(oldest.key, &mut connections[oldest.key]);
        true
    }

    /// Makes room for more refusals by dropping those that were told everything, if nothing can be admitted otherwise.
    pub(super) fn drop_told_refusals(&mut self) {
        if self.can_admit() {
            return;
        }
        for &handle in &self.admission.refused {
            if let Some(connection) = self.connections.known_mut(handle)
                && connection.is_lingering()
            {
                self.schedule.close(handle.key, connection);
            }
        }
    }
}

/// Reads as much of a first line as there is. Looks at each new byte once, and at all of the line when it is complete.
fn first_line(decoder: &LineDecoder, input: &[u8], line_bytes_max: usize) -> FirstLine {
    let fragment = decoder.fragment();
    if let Some(protocol) = ForeignProtocol::in_prefix([fragment, input]) {
        return FirstLine::Foreign(protocol);
    }
    let newline = memchr::memchr(b'\n', input);
    let arrived = &input[..newline.unwrap_or(input.len())];
    let is_overlong = decoder.is_over(arrived, line_bytes_max);
    if newline.is_none() && !is_overlong {
        return FirstLine::Partial;
    }
    let line = [fragment, arrived].concat();
    let foreign = if is_overlong {
        ForeignProtocol::in_overlong(&line)
    } else {
        ForeignProtocol::in_line(line.strip_suffix(b"\r").unwrap_or(&line))
    };
    foreign.map_or(FirstLine::Complete, FirstLine::Foreign)
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Reason {
        match refusal {
            Refusal::NotAllowed => Reason::AddressDenied,
            Refusal::TooMany(most) => Reason::AddressCrowded(most),
        }
    }
}
