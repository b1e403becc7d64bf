//! Lines of clients: hands each to its room, and applies the decision to connections and budgets.

use std::mem;
use std::time::Instant;

use super::Hub;
use super::input::ReadTurn;
use crate::net::stream::Socket;
use crate::relay::cursor::Dialect;
use crate::relay::directory::RoomId;
use crate::relay::event::Event;
use crate::relay::line::Line;
use crate::relay::room::Decision;
use crate::relay::roster::{Introduction, MemberId};
use crate::relay::sanitize::sanitize;
use crate::relay::tape::Span;
use crate::server::connection::Phase;
use crate::server::reason::Reason;
use crate::server::report::{Kind, Reports};
use crate::server::sniff::ForeignProtocol;

impl<S: Socket> Hub<S> {
    /// Handles one line, unless it shows that its author speaks another protocol.
    pub(super) fn handle_line(&mut self, turn: &mut ReadTurn, line: &Line<'_>, now: Instant) {
        let Phase::Present(member) = self.connections[turn.key].phase else { return };
        self.stats.received_lines += 1;
        let foreign = match line {
            _ if !self.may_be_foreign(turn, member) => None,
            Line::Text(raw) | Line::More(raw) => ForeignProtocol::in_line(raw),
            Line::TooLong(beginning) => ForeignProtocol::in_overlong(beginning),
        };
        if let Some(protocol) = foreign {
            self.reject_protocol(turn.key, protocol, now);
            return;
        }
        match line {
            Line::TooLong(_) => {
                self.log_overlong(member);
                self.roster.note_spoken(member);
                self.count_heard(turn.key);
                let reply = self.rooms[self.roster.room(member)].room.overlong_reply();
                self.reply(turn, &reply);
            }
            Line::Text(raw) | Line::More(raw) => {
                let mut sanitized = mem::take(&mut self.buffers.sanitized);
                self.handle_text(turn, member, sanitize(raw, &mut sanitized), now);
                self.buffers.sanitized = sanitized;
            }
        }
    }

    fn handle_text(&mut self, turn: &mut ReadTurn, member: MemberId, text: &str, now: Instant) {
        self.log_line(member, text);
        let seconds = self.seconds(now);
        let room = self.roster.room(member);
        let decision = self.rooms[room].room.decide(&self.roster, member, text, seconds);
        if !matches!(decision, Decision::Nothing | Decision::Track { .. }) {
            self.roster.note_spoken(member);
        }
        if !matches!(decision, Decision::Track { .. }) {
            self.count_heard(turn.key);
        }
        match decision {
            Decision::Nothing => {}
            Decision::Apply(event) => self.apply_line(turn, member, event, now),
            Decision::Claim { holder, renamed, taken } => {
                if self.remove_unproven(holder, now) {
                    self.apply_line(turn, member, renamed, now);
                } else {
                    self.reply(turn, &taken);
                }
            }
            Decision::TakeOver { holder, renamed } => self.take_over_name(turn, (member, holder), renamed, now),
            Decision::Reply(reply) => self.reply(turn, &reply),
            Decision::Costly { reply, effort } => {
                turn.reply_bytes_left = turn.reply_bytes_left.saturating_sub(effort);
                self.budget.spend_reply(effort);
                self.reply(turn, &reply);
            }
            Decision::Tell { to, message, told, untold } => {
                let others_max = self.limits.read.private_bytes_max / 2;
                self.log_message(member, to);
                let takes_it = self.connections.get(to).is_some_and(|to| to.has_room_for(message.len(), others_max));
                if takes_it {
                    self.tell(to, &message);
                }
                self.reply(turn, if takes_it { &told } else { &untold });
            }
            Decision::TellElsewhere { number, text } => self.post(turn, member, (number, text), now),
            Decision::Join { room } => self.begin_move(turn, member, &room, now),
            Decision::Track { position, token } => self.track_late(turn, member, (position, token), now),
            Decision::Leave => self.say_goodbye(turn.key, text, now),
            Decision::Obey(order) => self.obey_console(turn, order, now),
        }
    }

    /// Closes a connection that leaves by this line.
    pub(super) fn say_goodbye(&mut self, key: usize, text: &str, now: Instant) {
        self.leave(key, &Reason::Goodbye, now);
        // Where each line is echoed, textbook clients read the answer to `exit` once, and compare it with `FIN`.
        if text.eq_ignore_ascii_case("exit") && !self.limits.answers_all {
            self.connections[key].answer_exit(text);
        }
    }

    /// Applies the event of a line to the room of its author.
    pub(super) fn apply_line(&mut self, turn: &mut ReadTurn, member: MemberId, event: Event<'_>, now: Instant) {
        if self.claims_with_others(turn, member, &event, now) {
            return;
        }
        let was = match &event {
            Event::Renamed { name, .. } => {
                self.log_roster(turn.key, format_args!("{name} is its name"));
                Reports::wants(Kind::Renamed).then(|| self.roster.shown(member).to_string())
            }
            _ => None,
        };
        let said = match &event {
            Event::Said { text, .. } if self.bus.is_some() => Some(text.clone()),
            _ => None,
        };
        let room = self.roster.room(member);
        let is_first_sign = self.roster.introduction(member) == Introduction::Pending;
        let said_before = self.rooms[room].tape().end().line;
        let applied = self.rooms.apply(room, &mut self.roster, event);
        self.count_deliveries(turn.key, room, said_before, applied.own.is_some());
        if let Some(text) = said {
            self.note_said(turn.key, &text);
        }
        if is_first_sign {
            self.report_arrival(turn.key, member, now);
        } else if let Some(was) = was {
            self.report_renaming(member, &was, now);
        }
        self.skip_own(turn.key, applied.own);
        self.charge(turn, room, applied.bytes);
        if let Some(reply) = applied.reply {
            self.reply(turn, &reply);
        }
    }

    /// Counts the lines that were just said in a room for each connection that reads them.
    fn count_deliveries(&mut self, key: usize, room: RoomId, said_before: u64, is_own_skipped: bool) {
        let said = self.rooms[room].tape().end().line - said_before;
        let is_own_skipped = is_own_skipped && self.connections[key].dialect() == Dialect::Plain;
        let readers = self.rooms[room].readers().saturating_sub(usize::from(is_own_skipped));
        self.stats.delivered_lines += said * readers as u64;
    }

    /// Whether a client may still turn out to speak another protocol: until it has said something, and never if it is a
    /// browser or tracked.
    pub(super) fn may_be_foreign(&self, turn: &ReadTurn, member: MemberId) -> bool {
        let is_known = turn.is_browser || self.connections[turn.key].is_tracked();
        !is_known && !self.roster.has_spoken(member)
    }

    /// Makes a plain client's cursor skip the line that the client just said.
    pub(super) fn skip_own(&mut self, key: usize, own: Option<Span>) {
        if let Some(span) = own
            && self.connections[key].dialect() == Dialect::Plain
            && let Some(overtaken) = self.connections[key].skip_own(span)
        {
            self.schedule.note_lag(key, overtaken, self.limits.lag, &mut self.stats);
        }
    }

    /// Charges the budgets for bytes appended to the tape.
    fn charge(&mut self, turn: &mut ReadTurn, room: RoomId, bytes: u64) {
        turn.tape_bytes_left = turn.tape_bytes_left.saturating_sub(bytes);
        let recent = &mut self.connections[turn.key].recent;
        *recent = self.rooms.charge(room, *recent, bytes);
    }

    pub(super) fn reply(&mut self, turn: &mut ReadTurn, lines: &str) {
        turn.reply_bytes_left = turn.reply_bytes_left.saturating_sub(lines.len());
        self.tell(turn.key, lines);
    }

    /// Charges the budgets for answers that are queued already.
    pub(super) fn count_reply(&mut self, turn: &mut ReadTurn, bytes: usize) {
        if bytes > 0 {
            turn.reply_bytes_left = turn.reply_bytes_left.saturating_sub(bytes);
            self.budget.spend_reply(bytes);
            self.schedule.mark_dirty(turn.key, &mut self.connections[turn.key]);
        }
    }

    pub(super) fn tell(&mut self, key: usize, lines: &str) {
        let connection = &mut self.connections[key];
        connection.tell(lines);
        self.budget.spend_reply(lines.len());
        self.schedule.mark_dirty(key, connection);
    }
}
