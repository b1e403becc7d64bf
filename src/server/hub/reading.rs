//! The order of the reads of a turn: held clients, ready clients, and those that wait for an answer, each with a
//! bounded part of the budget. Owns the single read of all kinds of connections, and what it costs the budget.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use super::Hub;
use crate::net::stream::{Received, Socket};
use crate::relay::directory::RoomId;
use crate::server::connection::{Handle, Phase, ReadState, Role};
use crate::server::flow::brake::RecentTraffic;

impl<S: Socket> Hub<S> {
    /// Reads each connection in `ready` once, first in first out. Then reads those in `asking`, while this turn's
    /// budget of replies lasts. So ordinary lines do not wait behind answers.
    ///
    /// If lines use up this turn before `asking` is reached, the next turn begins with `asking`.
    pub(super) fn read_all(&mut self, now: Instant) {
        if mem::take(&mut self.schedule.is_asking_first) {
            self.read_asking(now);
            self.read_ready(now);
        } else {
            self.read_ready(now);
            self.schedule.is_asking_first = self.is_turn_over() && !self.schedule.asking.is_empty();
            self.read_asking(now);
        }
        self.read_handshakes(now);
    }

    /// Reads the clients that their brakes held, and then those that became ready. If both are there, the held ones
    /// leave half of the budget to the others, because a room with a thousand floods holds most of them.
    fn read_ready(&mut self, now: Instant) {
        let holding = self.rooms.holding().len();
        for _ in 0..holding {
            if self.is_time_of_held_over() {
                break;
            }
            let Some((room, held)) = self.rooms.take_held() else { break };
            let unread = if self.is_room_spent(room) { held } else { self.read_held(room, held, now) };
            self.rooms.put_held(room, unread);
        }
        let ready = mem::take(&mut self.schedule.ready);
        // Connections that this turn did not reach come before those that it read.
        let mut unread = self.read_queue(ready, ReadState::Ready, now);
        unread.append(&mut self.schedule.ready);
        self.schedule.ready = unread;
    }

    fn read_asking(&mut self, now: Instant) {
        let asking = mem::take(&mut self.schedule.asking);
        let mut unread = self.read_queue(asking, ReadState::Asking, now);
        unread.append(&mut self.schedule.asking);
        self.schedule.asking = unread;
    }

    /// Whether this turn reads nothing more.
    fn is_turn_over(&self) -> bool {
        self.budget.is_read_spent()
    }

    /// Whether this turn reads no more clients that their brakes held.
    fn is_time_of_held_over(&self) -> bool {
        self.is_turn_over() || (!self.schedule.ready.is_empty() && self.budget.is_half_read())
    }

    /// Whether no member of a room may put anything more on its tape in this turn, or while the brake is on, in this
    /// period. While the room waits for a slow reader, its members are still read up to a line for the room.
    fn is_room_spent(&mut self, room: RoomId) -> bool {
        self.rooms.allowance(room, RecentTraffic::default()) == 0 && !self.rooms[room].brake.is_at_wall()
    }

    /// Reads the connections of a queue, all of which have this state, and puts each on the queue of its new state, or
    /// of those that its room holds. Returns those that were not reached, in their order.
    fn read_queue(&mut self, mut queue: VecDeque<Handle>, state: ReadState, now: Instant) -> VecDeque<Handle> {
        while !queue.is_empty() {
            if self.is_turn_over() || (state == ReadState::Asking && self.budget.is_reply_spent()) {
                break;
            }
            let Some(handle) = queue.pop_front() else { break };
            if let Some(room) = self.read(handle, state, now) {
                self.connections[handle.key].read_state = ReadState::Ready;
                self.rooms.hold(room, handle);
            }
        }
        queue
    }

    /// Reads the members that a room holds. Returns those that it still holds, in their order. While the room waits for
    /// a slow reader, looks once at each of them.
    fn read_held(&mut self, room: RoomId, mut queue: VecDeque<Handle>, now: Instant) -> VecDeque<Handle> {
        let is_at_wall = self.rooms[room].brake.is_at_wall();
        let looked_at = if is_at_wall { self.rooms[room].looked_at } else { 0 };
        if looked_at >= queue.len() {
            return queue;
        }
        let mut held = VecDeque::new();
        if looked_at > 0 {
            let rest = queue.split_off(looked_at);
            held = mem::replace(&mut queue, rest);
        }
        while !queue.is_empty() {
            if self.is_time_of_held_over() || self.is_room_spent(room) {
                break;
            }
            let Some(handle) = queue.pop_front() else { break };
            if self.read(handle, ReadState::Ready, now).is_some() {
                held.push_back(handle);
            }
        }
        self.rooms[room].looked_at = if is_at_wall { held.len() } else { 0 };
        held.append(&mut queue);
        held
    }

    /// Reads a connection, if it has this state, and puts it on the queue of its new state. Returns its room if it has
    /// to wait for the brake instead.
    pub(super) fn read(&mut self, handle: Handle, state: ReadState, now: Instant) -> Option<RoomId> {
        let connection = self.connections.known(handle).filter(|connection| connection.read_state == state)?;
        let may_ask = state == ReadState::Asking || self.schedule.asking.is_empty();
        let before = self.budget.before_read();
        let new_state = match connection.phase {
            Phase::Present(member) => {
                let room = self.roster.room(member);
                let allowance = self.rooms.allowance(room, connection.recent);
                if allowance == 0 && !self.is_read_at_wall(connection) {
                    return Some(room);
                }
                self.read_client(handle.key, room, allowance, may_ask, now)
            }
            Phase::Entering if self.proxied.awaits_header(handle.key) => self.read_header(handle.key, now),
            Phase::Entering if connection.is_handshaking() => {
                self.handshakes.waiting.push_back(handle);
                return None;
            }
            Phase::Entering if connection.is_http() => self.read_visitor(handle.key, now),
            Phase::Entering if connection.role() == Role::Operator => self.read_operator(handle.key, now),
            // It may enter the lobby, and say something.
            Phase::Entering => {
                let allowance = self.rooms.allowance(RoomId::LOBBY, connection.recent);
                self.read_client(handle.key, RoomId::LOBBY, allowance, may_ask, now)
            }
            Phase::Moving(_) => ReadState::Held,
            Phase::Closing => self.discard_input(handle.key),
            Phase::Gone => return None,
        };
        self.set_read_state(handle, new_state, now);
        if state == ReadState::Asking {
            self.budget.end_asking(before);
        } else {
            self.budget.end_read(before);
        }
        None
    }

    fn set_read_state(&mut self, handle: Handle, state: ReadState, now: Instant) {
        let connection = &mut self.connections[handle.key];
        connection.read_state = state;
        match state {
            ReadState::Ready => self.queue_again(handle),
            ReadState::Asking => self.schedule.asking.push_back(handle),
            // Its removal may have waited only for its EOF.
            ReadState::Ended => self.schedule.mark_dirty(handle.key, connection),
            ReadState::Throttled => self.throttle(handle, now),
            ReadState::Idle | ReadState::Held => {}
        }
    }

    /// Queues a connection that may have more input: with the members that its room holds, if it has to hold this one.
    fn queue_again(&mut self, handle: Handle) {
        let connection = &self.connections[handle.key];
        if let Phase::Present(member) = connection.phase {
            let (room, recent) = (self.roster.room(member), connection.recent);
            if self.rooms.allowance(room, recent) == 0 {
                self.rooms.hold(room, handle);
                return;
            }
        }
        self.schedule.ready.push_back(handle);
    }

    /// Reads and drops input of a closing connection: unread, it would turn the close into a reset, which destroys
    /// bytes that the kernel still has to send.
    pub(super) fn discard_input(&mut self, key: usize) -> ReadState {
        let mut scratch = mem::take(&mut self.buffers.scratch);
        let mut left = self.budget.read_share();
        let mut state = ReadState::Ready;
        while left > 0 && state == ReadState::Ready {
            let received = self.connections[key].receive_to_drop(&mut scratch[..left]);
            match self.count_received(received, &mut left) {
                Received::Bytes(_) => {}
                Received::NotYet => state = ReadState::Idle,
                Received::End => state = ReadState::Ended,
                Received::Failed(_) => {
                    self.schedule.close(key, &mut self.connections[key]);
                    state = ReadState::Ended;
                }
            }
        }
        self.buffers.scratch = scratch;
        state
    }

    /// Reads once from a connection, about `left` bytes. Takes the bytes off that, and off the turn's budget.
    pub(super) fn receive(&mut self, key: usize, buffer: &mut [u8], left: &mut usize) -> Received {
        let received = self.connections[key].receive(buffer, *left, &mut self.buffers.sealed);
        self.count_received(received, left)
    }

    /// Takes what was read off `left`, and off the turn's budget: the ciphertext, if it is more. Records of one byte
    /// are more work than text.
    fn count_received(&mut self, received: Received, left: &mut usize) -> Received {
        let bytes = if let Received::Bytes(bytes) = received { bytes } else { 0 };
        let work = bytes.max(self.buffers.sealed.take_taken());
        self.stats.received_bytes += work as u64;
        self.budget.spend_read(work);
        *left = left.saturating_sub(work);
        received
    }
}
