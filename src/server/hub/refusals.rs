//! Refusals: the way out again of a connection that may not enter, with a reason. Counts and reports them.
//!
//! A refused connection is told the reason and closed. It keeps its descriptor until it was told, so only so many are
//! open at a time ([`Capacity::refusals_max`](crate::server::config::Capacity)); beyond that, the oldest that was told
//! makes room, or the newcomer is closed without a word.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use super::Hub;
use super::closing::Peer;
use crate::net::stream::Socket;
use crate::server::access::Refusal;
use crate::server::connection::{Connection, Farewell, Handle, Phase, Role};
use crate::server::fields::Fields;
use crate::server::reason::Reason;
use crate::server::report::{Kind, Reports};
use crate::server::sniff::ForeignProtocol;
use crate::server::web::websocket::code;

/// Connections that are told why they are refused.
///
/// Invariant: `refused` holds every connection with [`Role::Refused`], the oldest first; it may hold stale handles, too.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    refused: VecDeque<Handle>,
}

impl<S: Socket> Hub<S> {
    /// Disconnects a peer that speaks another protocol. It gets one line, or in HTTP the address of the page, if there
    /// is one.
    pub(super) fn reject_protocol(&mut self, key: usize, protocol: ForeignProtocol, now: Instant) {
        let kind = Kind::Foreign(protocol.name());
        if Reports::wants(kind) {
            let peer = self.peer(key);
            let what = format_args!("{peer} speaks {}: disconnected", protocol.name());
            self.note_of_peer(kind, &peer, what, now);
        }
        self.leave(key, &Reason::Foreign(protocol), now);
    }

    /// Refuses an entering connection on the line port, or a visitor.
    pub(super) fn refuse(&mut self, key: usize, reason: &Reason, now: Instant) {
        let peer = self.peer(key);
        if self.prepare_refusal(&peer, reason, now) {
            self.tell_refusal(key, reason, now);
        } else {
            self.schedule.close(key, &mut self.connections[key]);
        }
    }

    /// Whether this turn has begun as many refusals as may be open. After the flush they are told, and make room.
    pub(super) fn must_refuse_later(&self) -> bool {
        let (refused, refusals_max) = (&self.refusals.refused, self.admission.capacity.refusals_max);
        let open = || {
            let known = refused.iter().filter_map(|&handle| self.connections.known(handle));
            known.filter(|connection| connection.role() == Role::Refused && connection.phase != Phase::Gone)
        };
        let is_full = open().count() >= refusals_max && !open().any(Connection::is_told);
        is_full && open().any(|connection| connection.is_dirty)
    }

    /// Records a refusal, and makes room for it. Returns whether the server can tell the peer its reason; otherwise the
    /// caller closes the connection silently.
    pub(super) fn prepare_refusal(&mut self, peer: &Peer, reason: &Reason, now: Instant) -> bool {
        let can_tell = !matches!(reason, Reason::Reset(_)) && self.make_room_for_refusal();
        self.record_refusal(peer, reason, if can_tell { "" } else { " without a word" }, now);
        can_tell
    }

    /// Reports and counts a refusal.
    pub(super) fn record_refusal(&mut self, peer: &Peer, reason: &Reason, manner: &str, now: Instant) {
        let what = format_args!("refused {peer}{manner}: {reason}");
        self.note_of_peer(Kind::Refused(reason.label()), peer, what, now);
        self.stats.reasons.count(reason);
    }

    /// Reports an event whose only field is the address of the peer.
    pub(super) fn note_of_peer(&mut self, kind: Kind, peer: &Peer, what: fmt::Arguments<'_>, now: Instant) {
        if Reports::wants(kind) {
            let address = peer.field();
            let fields = Fields { address: address.as_deref(), ..Fields::default() };
            self.reports.note_with(kind, fields, peer.ip(), what, now);
        }
    }

    /// Tells a connection why it is refused, and closes it.
    pub(super) fn tell_refusal(&mut self, key: usize, reason: &Reason, now: Instant) {
        self.connections.set_role(key, Role::Refused);
        self.refusals.refused.push_back(self.connections[key].handle(key));
        if self.connections[key].is_http() {
            self.stats.answers.count(reason.status());
            let answer = match reason {
                Reason::Banned(ban) => self.answer_banned(ban),
                _ => self.refusal_answer(key, reason.status()),
            };
            self.connections[key].push_bytes(&answer.bytes);
        } else if let Some(notice) = reason.notice() {
            self.connections[key].tell(&notice.to_line());
        }
        self.close_entering(key, self.fin(key, code::NORMAL), now);
    }

    /// Tells a browser, in frames, why it is refused. It stays a visitor or an entering connection, so the limits on
    /// these bound the refusals.
    pub(super) fn refuse_browser(&mut self, key: usize, reason: &Reason, now: Instant) {
        let peer = self.peer(key);
        self.record_refusal(&peer, reason, "", now);
        let connection = &mut self.connections[key];
        if let Some(notice) = reason.notice() {
            connection.tell(&notice.to_line());
        }
        self.close_entering(key, Farewell::Fin(reason.close_code()), now);
    }

    /// Makes room for one more refusal, if need be by closing the oldest refused connection that was sent everything.
    /// Returns whether there is room.
    fn make_room_for_refusal(&mut self) -> bool {
        let Hub { refusals: Refusals { refused }, admission, connections, schedule, .. } = self;
        refused
            .retain(|&handle| connections.known(handle).is_some_and(|connection| connection.role() == Role::Refused));
        // A refused connection that was closed to make room stays in the slab until the end of the turn.
        let open = refused.iter().filter(|handle| connections[handle.key].phase != Phase::Gone).count();
        if open < admission.capacity.refusals_max {
            return true;
        }
        let oldest = refused.iter().find(|handle| {
            let connection = &connections[handle.key];
            connection.phase == Phase::Closing && connection.is_told()
        });
        let Some(&oldest) = oldest else { return false };
        schedule.close(oldest.key, &mut connections[oldest.key]);
        true
    }

    /// If no connection can be admitted, drops the refused connections that were sent everything.
    pub(super) fn drop_told_refusals(&mut self) {
        if self.can_admit() {
            return;
        }
        for &handle in &self.refusals.refused {
            if let Some(connection) = self.connections.known_mut(handle)
                && connection.is_told()
            {
                self.schedule.close(handle.key, connection);
            }
        }
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Reason {
        match refusal {
            Refusal::NotAllowed => Reason::AddressDenied,
            Refusal::TooMany(most) => Reason::AddressCrowded(most),
        }
    }
}
