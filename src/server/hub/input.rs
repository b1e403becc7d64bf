//! How input is heard: who is read, how much of it, and what becomes of the lines.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::time::Instant;

use log::debug;

use super::closing::Why;
use super::{Hub, known};
use crate::net::stream::Socket;
use crate::relay::command::COMMAND_BYTE;
use crate::relay::line::{Line, LineDecoder, clean};
use crate::relay::room::{MemberId, Outcome};
use crate::relay::tape::Span;
use crate::server::connection::input::{Input, Parked};
use crate::server::connection::{Handle, Output, Phase, ReadState};
use crate::server::flow::budget::READ_SHARE_BYTES_MIN;
use crate::server::flow::rate::{Bucket, Rate};
use crate::server::sniff::ForeignProtocol;

/// Who is being heard, and how much more of it in this turn.
pub(super) struct Talker {
    pub(super) key: usize,
    pub(super) seat: MemberId,
    /// Bytes that it may still put on the tape; it is let finish the line in which it goes over.
    tape_bytes_left: u64,
    /// Bytes that may still be read of it.
    read_bytes_left: usize,
    /// How much it may say, if that is limited.
    pub(super) rate: Option<Rate>,
    /// Bytes of private replies that it may still provoke; it is given the one in which it goes over. None while others
    /// wait for an answer and its turn has not come.
    reply_bytes_left: usize,
    /// Whether its lines come in frames.
    is_browser: bool,
}

impl<S: Socket> Hub<S> {
    /// Goes through those who may have something to read, in the order in which they came, once; then through those who
    /// wait for an answer, as far as there are answers in this turn. So who has something to say does not wait for all
    /// the answers that others have asked for.
    ///
    /// Those who talk may leave nothing of a turn, and go on and on. So who was not reached for that comes first in the
    /// next one.
    pub(super) fn hear_all(&mut self, now: Instant) {
        if mem::take(&mut self.lists.is_asking_first) {
            self.hear_asking(now);
            self.hear_readable(now);
        } else {
            self.hear_readable(now);
            self.lists.is_asking_first = self.is_turn_over() && !self.lists.asking.is_empty();
            self.hear_asking(now);
        }
    }

    fn hear_readable(&mut self, now: Instant) {
        let readable = mem::take(&mut self.lists.readable);
        // Who was held, or not reached, comes before those who had their turn.
        let mut unheard = self.hear_list(readable, ReadState::Queued, now);
        unheard.append(&mut self.lists.readable);
        self.lists.readable = unheard;
    }

    fn hear_asking(&mut self, now: Instant) {
        let asking = mem::take(&mut self.lists.asking);
        let mut unheard = self.hear_list(asking, ReadState::Asking, now);
        unheard.append(&mut self.lists.asking);
        self.lists.asking = unheard;
    }

    /// Whether nobody is heard any more in this turn. At the wall it may take long until somebody may talk again: what
    /// leavers send is dropped all the same.
    fn is_turn_over(&self) -> bool {
        self.turn.is_read_spent() || (self.brake.is_spent() && !self.brake.is_at_wall())
    }

    /// Hears those of a list, whose input is in this state, and puts each on the list of what becomes of it. Returns those
    /// who were not heard, in the order in which they came.
    fn hear_list(&mut self, mut list: VecDeque<Handle>, state: ReadState, now: Instant) -> VecDeque<Handle> {
        let mut held = VecDeque::new();
        while !list.is_empty() {
            if self.is_turn_over() || (state == ReadState::Asking && self.turn.is_reply_spent()) {
                break;
            }
            let Some(handle) = list.pop_front() else { break };
            let Some(connection) = known(&self.connections, handle) else { continue };
            if connection.input != state {
                continue;
            }
            let may_ask = state == ReadState::Asking || self.lists.asking.is_empty();
            let input = match connection.phase {
                Phase::Present(_) if self.brake.allowance(connection.served) == 0 => {
                    held.push_back(handle);
                    continue;
                }
                Phase::Present(seat) => self.hear(handle.key, seat, may_ask, now),
                Phase::Visiting => self.hear_visitor(handle.key, now),
                Phase::Leaving | Phase::Parting | Phase::Lingering => self.discard(handle.key),
                Phase::Gone => continue,
            };
            let connection = &mut self.connections[handle.key];
            connection.input = input;
            match input {
                ReadState::Queued => self.lists.readable.push_back(handle),
                ReadState::Asking => self.lists.asking.push_back(handle),
                // Its removal may have waited for this alone.
                ReadState::Ended => self.lists.touch(handle.key, connection),
                ReadState::Throttled => self.list_throttled(handle, now),
                ReadState::Drained | ReadState::Held => {}
            }
        }
        if held.is_empty() {
            return list;
        }
        held.append(&mut list);
        held
    }

    /// Hears one client: what was parked first, then what there is to read.
    fn hear(&mut self, key: usize, seat: MemberId, may_ask: bool, now: Instant) -> ReadState {
        let rate = self.rate_of(key);
        let connection = &mut self.connections[key];
        let allowance = self.brake.allowance(connection.served);
        let mut talker = Talker {
            key,
            seat,
            tape_bytes_left: allowance as u64,
            // Under the brake, no more than can be heard: what is read beyond that is kept in memory.
            read_bytes_left: self.turn.read_share().min(allowance.max(READ_SHARE_BYTES_MIN)),
            rate,
            reply_bytes_left: if may_ask { self.turn.reply_share() } else { 0 },
            is_browser: connection.is_browser(),
        };
        let mut intake = connection.take_intake();
        let input = match self.hear_parked(&mut talker, &mut intake, now) {
            Some(input) => input,
            None => {
                let mut scratch = mem::take(&mut self.scratch);
                let input = self.hear_socket(&mut talker, &mut intake, &mut scratch, now);
                self.scratch = scratch;
                input
            }
        };
        let connection = &mut self.connections[key];
        if input == ReadState::Queued {
            let bytes = (allowance as u64).saturating_sub(talker.tape_bytes_left);
            connection.served = self.brake.on_more_pending(connection.served, bytes);
        }
        if let Phase::Present(_) = connection.phase {
            connection.put_intake(intake, now);
        }
        input
    }

    fn hear_parked(&mut self, talker: &mut Talker, intake: &mut Input, now: Instant) -> Option<ReadState> {
        let mut rest = intake.parked.left();
        let parked = rest.len();
        let stopped = self.hear_share(talker, &mut intake.decoder, &mut intake.bucket, &mut rest, now);
        let left = rest.len();
        self.turn.spend_read(parked - left);
        intake.parked.keep_last(left);
        stopped
    }

    fn hear_socket(&mut self, talker: &mut Talker, intake: &mut Input, scratch: &mut [u8], now: Instant) -> ReadState {
        while talker.read_bytes_left > 0 {
            let connection = &mut self.connections[talker.key];
            if let Some(end) = connection.socket_end() {
                self.depart(talker.key, &Why::SocketEnd(end), now);
                return ReadState::Queued;
            }
            match connection.read(&mut scratch[..talker.read_bytes_left]) {
                Ok(0) => return self.hear_end(talker, intake, now),
                Ok(bytes) => {
                    talker.read_bytes_left -= bytes;
                    self.figures.received_bytes += bytes as u64;
                    intake.received = Some(now);
                    self.turn.spend_read(bytes);
                    if let Some(input) = self.hear_bytes(talker, intake, &scratch[..bytes], now) {
                        return input;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if connection.output == Output::Broken {
                        self.depart(talker.key, &Why::Unwritable, now);
                        return ReadState::Ended;
                    }
                    self.hear_silence(talker, intake, now);
                    return ReadState::Drained;
                }
                Err(error) => {
                    self.depart(talker.key, &Why::Reset(error), now);
                    return ReadState::Ended;
                }
            }
        }
        ReadState::Queued
    }

    /// Hears what was just read until all is heard (`None`), or until it is enough for this turn; then the rest is
    /// parked.
    fn hear_bytes(&mut self, talker: &mut Talker, intake: &mut Input, bytes: &[u8], now: Instant) -> Option<ReadState> {
        let mut lines = mem::take(&mut self.lines);
        let mut rest = bytes;
        if talker.is_browser {
            lines.clear();
            let answered = self.connections[talker.key].take_in(bytes, &mut lines, now);
            self.note_reply(talker, answered);
            rest = &lines;
        }
        let stopped = self.hear_share(talker, &mut intake.decoder, &mut intake.bucket, &mut rest, now);
        if talker.is_browser {
            // What was read in other turns is heard in this one.
            let heard = lines.len() - rest.len();
            self.turn.spend_read(heard.saturating_sub(bytes.len()));
        }
        intake.parked = Parked::new(rest);
        self.lines = lines;
        stopped
    }

    /// Hears what was read until all is heard (`None`), or until it is enough for this turn. The last byte of a browser's
    /// message lets all of it be heard, which was read in many turns: of that it is heard no more than may be read of one.
    fn hear_share(
        &mut self,
        talker: &mut Talker,
        decoder: &mut LineDecoder,
        bucket: &mut Bucket,
        input: &mut &[u8],
        now: Instant,
    ) -> Option<ReadState> {
        let share = if talker.is_browser { self.turn.read_share().min(input.len()) } else { input.len() };
        let (mut first, rest) = input.split_at(share);
        let stopped = self.hear_lines(talker, decoder, bucket, &mut first, now);
        *input = &input[share - first.len()..];
        stopped.or_else(|| (!rest.is_empty()).then_some(ReadState::Queued))
    }

    /// Hears the lines of `input` until all are heard (`None`), or until it is enough for this turn.
    fn hear_lines(
        &mut self,
        talker: &mut Talker,
        decoder: &mut LineDecoder,
        bucket: &mut Bucket,
        input: &mut &[u8],
        now: Instant,
    ) -> Option<ReadState> {
        loop {
            let connection = &self.connections[talker.key];
            // What follows a farewell is read and dropped.
            let is_over = !matches!(connection.phase, Phase::Present(_)) || self.is_stop_wanted;
            if is_over || talker.tape_bytes_left == 0 {
                return Some(ReadState::Queued);
            }
            if self.must_wait_for_answer(talker, decoder, input) {
                return Some(ReadState::Asking);
            }
            if connection.is_held(self.limits.holds) {
                return Some(ReadState::Held);
            }
            if talker.rate.is_some_and(|rate| bucket.next_at(rate, now).is_some()) {
                return Some(ReadState::Throttled);
            }
            if self.may_be_stranger(talker)
                && let Some(stranger) = ForeignProtocol::in_prefix([decoder.fragment(), input])
            {
                self.turn_away(talker.key, talker.seat, stranger, now);
                continue;
            }
            let line = decoder.next(input, self.framing)?;
            if let Some(rate) = talker.rate {
                bucket.charge(rate, now);
            }
            self.hear_line(talker, &line, now);
        }
    }

    /// Whether the next line of one is to be answered, as far as its first byte tells, and there is no answer for it yet.
    fn must_wait_for_answer(&self, talker: &Talker, decoder: &LineDecoder, input: &[u8]) -> bool {
        let is_spent = talker.reply_bytes_left == 0 || self.turn.is_reply_spent();
        let is_command = || decoder.fragment().first().or(input.first()) == Some(&COMMAND_BYTE);
        is_spent && (self.limits.answers_all || is_command())
    }

    /// Hears the end of somebody's input: the last line if it was an orderly end, and a farewell.
    fn hear_end(&mut self, talker: &mut Talker, intake: &mut Input, now: Instant) -> ReadState {
        if self.connections[talker.key].output == Output::Broken {
            // After a failed write the kernel reports a reset as an end.
            self.depart(talker.key, &Why::Reset(io::ErrorKind::ConnectionReset.into()), now);
            return ReadState::Ended;
        }
        if self.is_cut_request(talker, intake) {
            self.turn_away(talker.key, talker.seat, ForeignProtocol::Http, now);
            return ReadState::Ended;
        }
        if let Some(line) = intake.decoder.finish(self.framing) {
            self.hear_line(talker, &line, now);
        }
        self.depart(talker.key, &Why::EndOfInput, now);
        ReadState::Ended
    }

    /// Hears one line: what it says or asks for is done, unless it shows that its sender speaks another protocol.
    pub(super) fn hear_line(&mut self, talker: &mut Talker, line: &Line<'_>, now: Instant) {
        let seconds = self.seconds(now);
        let stranger = match line {
            _ if !self.may_be_stranger(talker) => None,
            Line::Text(raw) | Line::More(raw) => ForeignProtocol::in_line(raw),
            Line::TooLong(beginning) => ForeignProtocol::in_overlong(beginning),
        };
        if let Some(stranger) = stranger {
            self.turn_away(talker.key, talker.seat, stranger, now);
            return;
        }
        self.release(talker.key);
        let outcome = match line {
            Line::Text(raw) | Line::More(raw) => {
                let text = clean(raw, &mut self.cleaned);
                debug!("{}: {text}", self.room.name(talker.seat));
                self.room.hear(talker.seat, text, seconds)
            }
            Line::TooLong(_) => {
                debug!("{}: a line over {} bytes", self.room.name(talker.seat), self.framing.line_bytes_max);
                Outcome::Reply(self.room.hear_too_long(talker.seat))
            }
        };
        match outcome {
            Outcome::Nothing => {}
            Outcome::Said(span) => {
                let connection = &mut self.connections[talker.key];
                if let Some(lag) = connection.skip_own(span) {
                    self.lists.note_lag(talker.key, lag, self.limits.lag, &mut self.figures);
                }
                self.charge(talker, span);
            }
            Outcome::ToldAll(span) => self.charge(talker, span),
            Outcome::Reply(reply) => self.reply(talker, &reply),
            Outcome::Tell { to, message, told, untold } => {
                let others_max = self.limits.holds.private_bytes_max / 2;
                let other = self.connections.get(to);
                let takes_it = other.is_some_and(|other| other.has_room_for(message.len(), others_max));
                if takes_it {
                    self.tell(to, &message);
                }
                self.reply(talker, if takes_it { &told } else { &untold });
            }
            Outcome::Leave => self.depart(talker.key, &Why::Farewell, now),
            Outcome::Remove { who, done } => {
                self.reply(talker, &done);
                self.depart(who, &Why::Removed, now);
            }
            Outcome::Stop => self.is_stop_wanted = true,
        }
    }

    /// Whether it can still turn out that one speaks another protocol: a browser has shown that it speaks ours.
    fn may_be_stranger(&self, talker: &Talker) -> bool {
        !talker.is_browser && !self.room.has_spoken(talker.seat)
    }

    /// Whether what there is of a line that will have no end is the beginning of a request, and the first that one says.
    pub(super) fn is_cut_request(&self, talker: &Talker, intake: &Input) -> bool {
        self.may_be_stranger(talker) && ForeignProtocol::in_partial(intake.decoder.fragment()).is_some()
    }

    /// Takes what was put on the tape off the budgets.
    fn charge(&mut self, talker: &mut Talker, span: Span) {
        talker.tape_bytes_left = talker.tape_bytes_left.saturating_sub(span.bytes());
        let served = &mut self.connections[talker.key].served;
        *served = self.brake.charge(*served, span.bytes());
    }

    fn reply(&mut self, talker: &mut Talker, lines: &str) {
        talker.reply_bytes_left = talker.reply_bytes_left.saturating_sub(lines.len());
        self.tell(talker.key, lines);
    }

    /// Takes note that a talker was answered, in so many bytes.
    fn note_reply(&mut self, talker: &mut Talker, bytes: usize) {
        if bytes > 0 {
            talker.reply_bytes_left = talker.reply_bytes_left.saturating_sub(bytes);
            self.turn.spend_reply(bytes);
            self.lists.touch(talker.key, &mut self.connections[talker.key]);
        }
    }

    fn tell(&mut self, key: usize, lines: &str) {
        let connection = &mut self.connections[key];
        connection.tell(lines);
        self.turn.spend_reply(lines.len());
        self.lists.touch(key, connection);
    }

    /// Reads and drops what somebody sends who has left: unread input would turn the close into a reset, which destroys
    /// what the kernel still has to deliver.
    fn discard(&mut self, key: usize) -> ReadState {
        let mut left = self.turn.read_share();
        let connection = &mut self.connections[key];
        while left > 0 {
            match connection.read(&mut self.scratch[..left]) {
                Ok(0) => return ReadState::Ended,
                Ok(bytes) => {
                    left -= bytes;
                    self.figures.received_bytes += bytes as u64;
                    self.turn.spend_read(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return ReadState::Drained,
                Err(_) => {
                    self.lists.remove(key, connection);
                    return ReadState::Ended;
                }
            }
        }
        ReadState::Queued
    }
}
