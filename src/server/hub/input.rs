//! Reading of one client: its budgets, and the calls of the line decoder.

use std::io;
use std::mem;
use std::time::Instant;

use super::Hub;
use super::admission::FirstLine;
use super::timers::Timer;
use super::tracking::{FirstCommand, is_half_track, may_become_track};
use crate::net::stream::{Received, Socket};
use crate::relay::command::COMMAND_BYTE;
use crate::relay::directory::RoomId;
use crate::relay::line::LineDecoder;
use crate::relay::telnet;
use crate::server::connection::input::{Input, Pending};
use crate::server::connection::{Connection, Handle, LineHabit, Output, Phase, ReadState, Role};
use crate::server::flow::budget::{Effort, READ_SHARE_BYTES_MIN};
use crate::server::flow::rate::{Bucket, Rate};
use crate::server::reason::Reason;
use crate::server::sessions::SessionId;
use crate::server::sniff::ForeignProtocol;

/// A client while it is read, with the rest of its budgets for this turn.
pub(super) struct ReadTurn {
    pub(super) key: usize,
    /// Bytes that it may still put on the tape. A line that exceeds them is still appended whole.
    pub(super) tape_bytes_left: u64,
    /// Bytes that may still be read.
    read_bytes_left: usize,
    /// `--rate`; `None` for the operator.
    rate: Option<Rate>,
    /// Bytes of replies that it may still cause. A reply that exceeds them is still sent. 0 while other clients wait
    /// for an answer and it is not its turn.
    pub(super) reply_bytes_left: usize,
    /// Lines that it has said recently, where `--rate` limits them: those of its session, once it has resumed one.
    pub(super) bucket: Bucket,
    /// Its session. It may have ended.
    pub(super) session: Option<SessionId>,
    pub(super) is_browser: bool,
}

impl<S: Socket> Hub<S> {
    /// Reads a client: the bytes that are pending first, then the socket. It may put `allowance` bytes on the tape of
    /// its room.
    pub(super) fn read_client(
        &mut self,
        key: usize,
        room: RoomId,
        allowance: usize,
        may_ask: bool,
        now: Instant,
    ) -> ReadState {
        let session = self.session_of(key);
        let connection = &mut self.connections[key];
        let mut input = connection.take_input();
        let mut turn = ReadTurn {
            key,
            tape_bytes_left: allowance as u64,
            // While the brake is on, no more than the client may append: the rest would be kept in memory.
            read_bytes_left: self.budget.read_share().min(allowance.max(READ_SHARE_BYTES_MIN)),
            rate: self.limits.rate.filter(|_| connection.role() != Role::Console),
            reply_bytes_left: if may_ask { self.budget.reply_share() } else { 0 },
            bucket: input.bucket,
            session,
            is_browser: connection.is_browser(),
        };
        let state = match self.process_pending(&mut turn, &mut input, now) {
            Some(state) => state,
            None => {
                let mut scratch = mem::take(&mut self.buffers.scratch);
                let state = self.read_socket(&mut turn, &mut input, &mut scratch, now);
                self.buffers.scratch = scratch;
                state
            }
        };
        let connection = &mut self.connections[key];
        // Not the answer to a request in HTTP.
        if input.decoder.has_seen_return() && connection.was_in_room() {
            connection.switch_to_crlf();
        }
        if state == ReadState::Ready {
            let bytes = (allowance as u64).saturating_sub(turn.tape_bytes_left);
            connection.recent = self.rooms[room].brake.on_more_pending(connection.recent, bytes);
        }
        input.bucket = turn.bucket;
        if matches!(connection.phase, Phase::Present(_) | Phase::Moving(_) | Phase::Entering) {
            connection.put_input(input, now);
        } else if let Some(session) = turn.session {
            self.keep_bucket(session, turn.bucket);
        }
        state
    }

    /// Processes the rest of an earlier read; `None` if the socket is to be read.
    fn process_pending(&mut self, turn: &mut ReadTurn, input: &mut Input, now: Instant) -> Option<ReadState> {
        let mut pending = mem::take(&mut input.pending);
        let mut rest = pending.bytes();
        let before = rest.len();
        let state = self.process_share(turn, input, &mut rest, now);
        let left = rest.len();
        self.budget.spend_read(before - left);
        pending.keep_last(left);
        input.pending = pending;
        state
    }

    fn read_socket(&mut self, turn: &mut ReadTurn, input: &mut Input, scratch: &mut [u8], now: Instant) -> ReadState {
        if let Some(bytes) = self.proxied.take_behind(turn.key)
            && let Some(state) = self.take_in(turn, input, &bytes, now)
        {
            return state;
        }
        while turn.read_bytes_left > 0 {
            if let Some(end) = self.connections[turn.key].websocket_end() {
                self.leave(turn.key, &end.into(), now);
                return ReadState::Ready;
            }
            match self.receive(turn.key, scratch, &mut turn.read_bytes_left) {
                Received::Bytes(bytes) => {
                    if let Some(state) = self.take_in(turn, input, &scratch[..bytes], now) {
                        return state;
                    }
                }
                Received::NotYet => {
                    if self.connections[turn.key].output == Output::Broken {
                        self.leave(turn.key, &Reason::Unwritable, now);
                        return ReadState::Ended;
                    }
                    return self.on_drained(turn, input, now);
                }
                Received::End => return self.on_end(turn, input, now),
                Received::Failed(error) => {
                    self.leave(turn.key, &Reason::Reset(error), now);
                    return ReadState::Ended;
                }
            }
        }
        ReadState::Ready
    }

    /// Takes in bytes as they came from the network, and processes them.
    fn take_in(&mut self, turn: &mut ReadTurn, input: &mut Input, bytes: &[u8], now: Instant) -> Option<ReadState> {
        turn.read_bytes_left = turn.read_bytes_left.saturating_sub(bytes.len());
        input.received = Some(now);
        self.note_line_end(turn, bytes);
        self.process_received(turn, input, bytes, now)
    }

    /// Processes bytes that were just read until none is left (`None`), or until a budget is spent; then the rest is
    /// pending.
    fn process_received(
        &mut self,
        turn: &mut ReadTurn,
        input: &mut Input,
        bytes: &[u8],
        now: Instant,
    ) -> Option<ReadState> {
        let is_text = !turn.is_browser && !self.connections[turn.key].hears_telnet(bytes);
        if is_text && input.pending.bytes().is_empty() {
            let mut rest = bytes;
            let state = self.process_share(turn, input, &mut rest, now);
            input.pending = Pending::new(rest);
            return state;
        }
        let mut lines = mem::take(&mut self.buffers.lines);
        lines.clear();
        // A first line that waited for more bytes.
        lines.extend_from_slice(input.pending.bytes());
        let connection = &mut self.connections[turn.key];
        let answered = if is_text {
            lines.extend_from_slice(bytes);
            0
        } else if turn.is_browser {
            let unframed = connection.unframe(bytes, &mut lines, now);
            self.budget.spend(Effort::Frames(unframed.frames));
            self.budget.spend(Effort::Message(unframed.message_bytes));
            unframed.answer_bytes
        } else {
            connection.strip_telnet(bytes, &mut lines)
        };
        self.count_reply(turn, answered);
        let mut rest = &lines[..];
        let state = self.process_share(turn, input, &mut rest, now);
        // Bytes that were read in earlier turns are processed in this one.
        self.budget.spend_read((lines.len() - rest.len()).saturating_sub(bytes.len()));
        input.pending = Pending::new(rest);
        self.buffers.lines = lines;
        state
    }

    /// Processes bytes until none is left (`None`), or until a budget is spent. A browser's message may arrive over
    /// many turns, and its last byte completes all of it. So a turn processes no more of it than it reads of a client.
    fn process_share(
        &mut self,
        turn: &mut ReadTurn,
        input: &mut Input,
        bytes: &mut &[u8],
        now: Instant,
    ) -> Option<ReadState> {
        let share = if turn.is_browser { self.budget.read_share().min(bytes.len()) } else { bytes.len() };
        let (mut first, rest) = bytes.split_at(share);
        let state = self.process_lines(turn, input, &mut first, now);
        *bytes = &bytes[share - first.len()..];
        state.or_else(|| (!rest.is_empty()).then_some(ReadState::Ready))
    }

    /// Processes the lines of `bytes` until none is left (`None`), or until the next one has to wait. What is left with
    /// `None` is a first line that waits for more bytes.
    fn process_lines(
        &mut self,
        turn: &mut ReadTurn,
        input: &mut Input,
        bytes: &mut &[u8],
        now: Instant,
    ) -> Option<ReadState> {
        loop {
            match self.connections[turn.key].phase {
                // Pongs, say.
                Phase::Entering if self.owes_too_much(turn.key) => return Some(ReadState::Held),
                Phase::Entering => match self.first_line(turn.key, &input.decoder, bytes) {
                    FirstLine::Partial => {}
                    FirstLine::Waiting if !self.doorkeeper.has_asked(turn.key) => return None,
                    FirstLine::Waiting | FirstLine::Complete => {
                        if let Some(state) = self.enter_with_line(turn, input, bytes, now) {
                            return Some(state);
                        }
                        continue;
                    }
                    FirstLine::Foreign(protocol) => {
                        self.reject_protocol(turn.key, protocol, now);
                        continue;
                    }
                },
                Phase::Present(member) if self.is_claiming(member) => return Some(ReadState::Held),
                Phase::Present(member) => {
                    if let Err(state) = self.may_process(turn, &input.decoder, bytes, now) {
                        return Some(state);
                    }
                    if self.may_be_foreign(turn, member)
                        && let Some(protocol) = ForeignProtocol::in_arrived(input.decoder.begun(bytes))
                    {
                        self.reject_protocol(turn.key, protocol, now);
                        continue;
                    }
                }
                // Bytes behind a `/join` wait for the new room.
                Phase::Moving(_) => return Some(ReadState::Held),
                // Bytes behind a farewell are discarded.
                Phase::Closing | Phase::Gone => return Some(ReadState::Ready),
            }
            let framing = self.framing(turn.key, &input.decoder, bytes);
            let line = input.decoder.next(bytes, framing)?;
            self.charge_line(turn, now);
            self.handle_line(turn, &line, now);
        }
    }

    /// Lets a connection enter whose first line is complete, unless it is locked. `None` if a line is still to be
    /// processed: that one, in the lobby, or the next of a locked connection.
    fn enter_with_line(
        &mut self,
        turn: &mut ReadTurn,
        input: &mut Input,
        bytes: &mut &[u8],
        now: Instant,
    ) -> Option<ReadState> {
        let key = turn.key;
        let command = self.first_command(key, &input.decoder, bytes);
        if self.is_locked(key) && !self.is_opened_by(key, command.as_ref(), now) {
            self.hear_locked(turn, input, bytes, now);
            return None;
        }
        let has_processed = match command {
            Some(FirstCommand::Join(name)) => self.enter_with_join(key, &name, now),
            Some(FirstCommand::Track { position, token }) => self.enter_with_track(turn, (&position, &token), now),
            None => {
                self.enter(key, now);
                false
            }
        };
        if has_processed {
            let framing = self.framing(key, &input.decoder, bytes);
            input.decoder.next(bytes, framing);
            self.stats.received_lines += 1;
            self.charge_line(turn, now);
        }
        // What follows may be said in another room, and is charged to its budgets.
        let is_elsewhere = match self.connections[key].phase {
            Phase::Present(member) => self.roster.room(member) != RoomId::LOBBY,
            Phase::Entering => true,
            Phase::Moving(_) | Phase::Closing | Phase::Gone => false,
        };
        (has_processed || is_elsewhere).then(|| self.state_after_entering(key))
    }

    /// Charges a client for a line.
    pub(super) fn charge_line(&mut self, turn: &mut ReadTurn, now: Instant) {
        self.budget.spend(Effort::Line);
        if let Some(rate) = turn.rate {
            turn.bucket.charge(rate, now);
        }
    }

    /// Whether the next line of a member may be processed now, or how its connection has to wait.
    fn may_process(&self, turn: &ReadTurn, decoder: &LineDecoder, bytes: &[u8], now: Instant) -> Result<(), ReadState> {
        let is_full = turn.tape_bytes_left == 0 && !self.is_processed_at_wall(turn.key, decoder, bytes);
        if is_full || self.is_stop_wanted {
            return Err(ReadState::Ready);
        }
        if self.must_wait_for_answer(turn, decoder, bytes) {
            return Err(ReadState::Asking);
        }
        if self.connections[turn.key].is_held(self.limits.read) || self.awaits_own_lines(turn.key, decoder, bytes) {
            return Err(ReadState::Held);
        }
        if turn.rate.is_some_and(|rate| turn.bucket.next_at(rate, now).is_some()) {
            return Err(ReadState::Throttled);
        }
        Ok(())
    }

    /// Whether the next line needs an answer, judged by its first byte, and this turn has no budget left for it.
    fn must_wait_for_answer(&self, turn: &ReadTurn, decoder: &LineDecoder, bytes: &[u8]) -> bool {
        let is_spent = turn.reply_bytes_left == 0 || self.budget.is_reply_spent();
        // A command behind blanks is answered, too, and not all blanks are ASCII.
        let is_blank = |byte: u8| !byte.is_ascii_graphic();
        let is_command = || decoder.first_byte(bytes).is_some_and(|byte| byte == COMMAND_BYTE || is_blank(byte));
        is_spent && (self.limits.answers_all || is_command())
    }

    /// Processes an EOF: handles the last line, unless the connection was reset, and then leaves.
    fn on_end(&mut self, turn: &mut ReadTurn, input: &mut Input, now: Instant) -> ReadState {
        if self.connections[turn.key].output == Output::Broken {
            // After a failed write the kernel reports a reset as EOF.
            self.leave(turn.key, &Reason::Reset(io::ErrorKind::ConnectionReset.into()), now);
            return ReadState::Ended;
        }
        if self.is_locked(turn.key) {
            self.leave(turn.key, &Reason::EndOfInput, now);
            return ReadState::Ended;
        }
        let phase = self.connections[turn.key].phase;
        if phase == Phase::Entering && !input.pending.bytes().is_empty() {
            // A first line that waited for the second. The next read returns the EOF again.
            self.enter(turn.key, now);
            return self.state_after_entering(turn.key);
        }
        // Half a line of a tracked client is not said: it comes again, whole. Nor does half a `/track` count: its
        // position may be cut.
        let is_half = is_half_track(input.decoder.fragment());
        let is_tracked = is_half || self.connections[turn.key].is_tracked();
        if !input.decoder.is_empty() && !is_tracked {
            if let Err(state) = self.may_end_line(turn, input, now) {
                return state;
            }
            if let Some(line) = input.decoder.finish(self.limits.framing) {
                self.handle_line(turn, &line, now);
            }
        }
        if self.leaves_later(turn.key) {
            // The flush of their records lets it be read again. Then the EOF comes again.
            return ReadState::Held;
        }
        self.leave(turn.key, &Reason::EndOfInput, now);
        ReadState::Ended
    }

    /// With `--flush-after`, records that a client ends its lines itself, or speaks telnet: silence ends none of them
    /// any more.
    fn note_line_end(&mut self, turn: &ReadTurn, bytes: &[u8]) {
        let connection = &mut self.connections[turn.key];
        let is_known = turn.is_browser || connection.habit.has_newlines();
        if self.limits.flush_after.is_some() && !is_known && memchr::memchr3(b'\n', b'\r', telnet::IAC, bytes).is_some()
        {
            connection.habit = LineHabit::Newline;
        }
    }

    /// Processes a drained socket: ends a partial line if `--flush-after` has passed since its last byte, and otherwise
    /// sets the timer.
    fn on_drained(&mut self, turn: &mut ReadTurn, input: &mut Input, now: Instant) -> ReadState {
        if self.connections[turn.key].habit.has_newlines() {
            return ReadState::Idle;
        }
        let flush_at = self.limits.flush_after.and_then(|flush_after| input.flush_at(flush_after));
        let Some(time) = flush_at else { return ReadState::Idle };
        // The rest would be said, and with it the token.
        if !self.limits.answers_all && self.is_first_line(turn) && may_become_track(input.decoder.fragment()) {
            return ReadState::Idle;
        }
        if time > now {
            // A timer that is set to an earlier time is set anew when it fires.
            if input.flush_timer.is_none_or(|set| time < set) {
                input.flush_timer = Some(time);
                self.timers.set(time, Timer::FlushPartial, self.connections[turn.key].handle(turn.key));
            }
            return ReadState::Idle;
        }
        self.connections[turn.key].habit = LineHabit::Silence;
        if self.is_locked(turn.key) {
            return self.end_locked_line(turn, input, now);
        }
        if let Err(state) = self.may_end_line(turn, input, now) {
            return state;
        }
        if let Some(line) = input.decoder.finish(self.limits.framing) {
            self.charge_line(turn, now);
            self.handle_line(turn, &line, now);
        }
        ReadState::Idle
    }

    /// Processes the partial line of a locked connection as it is, without its newline.
    fn end_locked_line(&mut self, turn: &mut ReadTurn, input: &mut Input, now: Instant) -> ReadState {
        match self.cut_protocol(turn, input) {
            Some(protocol) => self.reject_protocol(turn.key, protocol, now),
            None => self.hear_locked_rest(turn, input, now),
        }
        if self.connections[turn.key].phase == Phase::Entering { ReadState::Idle } else { ReadState::Ready }
    }

    /// Whether an entering connection has to take something before it is read on.
    fn owes_too_much(&self, key: usize) -> bool {
        let connection = &self.connections[key];
        connection.outbox_bytes() + connection.unsent_bytes() >= self.limits.read.private_bytes_max
    }

    /// Whether the connection has said nothing yet.
    fn is_first_line(&self, turn: &ReadTurn) -> bool {
        match self.connections[turn.key].phase {
            Phase::Entering => true,
            Phase::Present(member) => !self.roster.has_spoken(member),
            Phase::Moving(_) | Phase::Closing | Phase::Gone => false,
        }
    }

    /// Whether a partial line may be processed as it is, without its newline. If it is a first line, the connection
    /// enters.
    fn may_end_line(&mut self, turn: &ReadTurn, input: &Input, now: Instant) -> Result<(), ReadState> {
        if let Some(protocol) = self.cut_protocol(turn, input) {
            self.reject_protocol(turn.key, protocol, now);
        } else if self.connections[turn.key].phase == Phase::Entering {
            self.enter(turn.key, now);
        }
        match self.connections[turn.key].phase {
            Phase::Present(_) => self.may_process(turn, &input.decoder, &[], now),
            // It was rejected or refused, or goes on entering until this turn's refusals are told.
            Phase::Entering => Err(self.state_after_entering(turn.key)),
            Phase::Moving(_) | Phase::Closing | Phase::Gone => Err(ReadState::Ready),
        }
    }

    /// Queues a connection for reading when its partial line is due. So the brake holds it like any other, and bytes
    /// that arrived meanwhile are processed first.
    pub(super) fn on_flush_timer(&mut self, time: Instant, key: usize, now: Instant) -> Option<Instant> {
        let flush_after = self.limits.flush_after?;
        let connection = &mut self.connections[key];
        let input = connection.input_mut().filter(|input| input.flush_timer == Some(time))?;
        input.flush_timer = input.flush_at(flush_after).filter(|&time| time > now);
        let again = input.flush_timer;
        if again.is_none() && connection.read_state == ReadState::Idle {
            self.schedule.mark_ready(key, connection);
        }
        again
    }

    /// Sets the timer of a client that is over its `--rate`. A connection with a socket error leaves at once. A read
    /// would report the error only after all earlier lines, so the seat could stay taken for hours.
    pub(super) fn throttle(&mut self, handle: Handle, now: Instant) {
        let Some(rate) = self.limits.rate else { return };
        if let Some(error) = self.connections.get(handle.key).and_then(Connection::take_error) {
            self.leave(handle.key, &Reason::Reset(error), now);
            return;
        }
        let next = self.connections[handle.key].next_line_at(rate, now);
        self.timers.set(next.unwrap_or(now), Timer::Resume, handle);
    }

    pub(super) fn on_resume_timer(&mut self, key: usize) -> Option<Instant> {
        let connection = &mut self.connections[key];
        if connection.read_state == ReadState::Throttled {
            self.schedule.mark_ready(key, connection);
        }
        None
    }

    /// Returns the foreign protocol of a partial first line, of which no more will come.
    fn cut_protocol(&self, turn: &ReadTurn, input: &Input) -> Option<ForeignProtocol> {
        let may_be_foreign = match self.connections[turn.key].phase {
            Phase::Present(member) => self.may_be_foreign(turn, member),
            Phase::Entering => true,
            Phase::Moving(_) | Phase::Closing | Phase::Gone => false,
        };
        if may_be_foreign { ForeignProtocol::in_partial(input.decoder.fragment()) } else { None }
    }
}
