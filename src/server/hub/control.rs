//! The connections of operators (`--control`): which they are, and the answer that each is being given.
//!
//! Each line of an operator is an order, and has one answer: rows, each as `= ROW`, then `ok` or `no REASON`. With
//! `json ` before the order, each row is an object of JSON. The next order is processed when the operator has taken all
//! of the last answer. So an operator that does not read costs its outbox and nobody's time, and one that sends without
//! end waits for itself.
//!
//! An operator is in no room. It takes no place of a client or visitor, gives no password and is not sniffed at. The
//! kernel names its user: only root and the user of the server give orders. Another peer is told so and closed, and has
//! places of its own for that. `orders` carries the orders out.

use std::mem;
use std::time::Instant;

use log::debug;

use super::Hub;
use super::connections::Connections;
use super::orders::{Answer, Listing};
use crate::net::stream::{Received, Socket};
use crate::relay::line::{Framing, Line, LineEnds, Overlong};
use crate::relay::order::{Order, Row};
use crate::relay::sanitize::sanitize;
use crate::server::connection::input::{Input, Pending};
use crate::server::connection::{Connection, Farewell, Handle, Phase, ReadState, Role};
use crate::server::flow::budget::Effort;
use crate::server::limits::{OPERATORS_MAX, ORDER_BYTES_MAX, ORDER_READ_BYTES, REFUSED_OPERATORS_MAX};
use crate::server::report::Kind;

/// User id of root.
const ROOT: u32 = 0;

/// The form of the lines of orders.
const FRAMING: Framing = Framing { line_bytes_max: ORDER_BYTES_MAX, overlong: Overlong::Drop, ends: LineEnds::Newline };

/// The operators.
///
/// Invariant: `all` holds the connections with [`Role::Operator`] that give orders, each once, and at most
/// [`OPERATORS_MAX`]. Any other is closing: a refused peer, at most [`REFUSED_OPERATORS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Operators {
    /// The user whose orders are obeyed beside those of root.
    user: u32,
    all: Vec<Operator>,
}

/// An operator.
#[derive(Debug)]
struct Operator {
    handle: Handle,
    answer: Progress,
}

/// The answer that an operator is being given.
#[derive(Debug, Default)]
enum Progress {
    /// None: it may give its next order.
    #[default]
    Done,
    /// A list that is told in parts.
    Listing(Listing, Form),
    /// The outer loop has yet to bring it.
    Awaited(Form),
}

/// The form of the rows of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// For people.
    Text,
    /// Objects of JSON.
    Json,
}

/// The reason that a peer may give no orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum OperatorRefusal {
    /// There are as many as may be.
    #[error("there are {OPERATORS_MAX} operators already")]
    TooMany,
    /// It is of another user.
    #[error("only root and the server's own user may give orders, and you are user {0}")]
    OtherUser(u32),
    /// The kernel does not tell.
    #[error("the kernel does not say which user you are")]
    NoUser,
}

impl Operators {
    /// Forgets a connection that is removed.
    pub(super) fn forget(&mut self, key: usize) {
        self.all.retain(|operator| operator.handle.key != key);
        if self.all.is_empty() {
            self.all = Vec::new();
        }
    }

    /// Panics if the invariant does not hold.
    pub(super) fn check_invariants<S: Socket>(&self, connections: &Connections<S>) {
        for Operator { handle, .. } in &self.all {
            let role = connections.known(*handle).map(Connection::role);
            assert_eq!(role, Some(Role::Operator), "an operator is connected");
        }
        assert!(self.all.len() <= OPERATORS_MAX, "operators are few");
        let (mut listed, mut refused) = (0, 0);
        for (key, connection) in connections.iter().filter(|(_, connection)| connection.role() == Role::Operator) {
            let is_listed = self.all.iter().any(|operator| operator.handle.key == key);
            assert!(is_listed || connection.phase == Phase::Closing, "a refused peer is closing");
            listed += usize::from(is_listed);
            refused += usize::from(!is_listed);
        }
        assert_eq!(listed, self.all.len(), "operators are listed once");
        assert!(refused <= REFUSED_OPERATORS_MAX, "refused peers are few: {refused}");
        assert!(!self.all.is_empty() || self.all.capacity() == 0, "a server without operators keeps no list");
    }

    /// Checks whether a peer of this user may give orders.
    fn check(&self, user: Option<u32>) -> Result<(), OperatorRefusal> {
        match user {
            None => Err(OperatorRefusal::NoUser),
            Some(user) if user != ROOT && user != self.user => Err(OperatorRefusal::OtherUser(user)),
            Some(_) if self.all.len() >= OPERATORS_MAX => Err(OperatorRefusal::TooMany),
            Some(_) => Ok(()),
        }
    }

    fn answer_mut(&mut self, key: usize) -> Option<&mut Progress> {
        self.all.iter_mut().find(|operator| operator.handle.key == key).map(|operator| &mut operator.answer)
    }

    /// Notes how the answer of an operator goes on.
    fn set_answer(&mut self, key: usize, answer: Progress) {
        if let Some(progress) = self.answer_mut(key) {
            *progress = answer;
        }
    }
}

impl<S: Socket> Hub<S> {
    /// Obeys operators of this user from now on, beside those of root.
    pub fn trust_user(&mut self, user: u32) {
        self.operators.user = user;
    }

    /// Admits a connection that gives orders, or refuses it.
    pub(super) fn admit_operator(&mut self, stream: S, now: Instant) {
        if let Err(refusal) = self.operators.check(stream.peer_user()) {
            self.refuse_operator(stream, refusal, now);
            return;
        }
        let key = self.connections.insert(stream, Role::Operator);
        let handle = self.connections[key].handle(key);
        self.operators.all.push(Operator { handle, answer: Progress::Done });
        debug!("an operator came");
    }

    /// Tells a peer why it may give no orders, and closes it. If as many are told already, drops it.
    fn refuse_operator(&mut self, stream: S, refusal: OperatorRefusal, now: Instant) {
        self.reports.note(Kind::OperatorRefused, None, format_args!("refused an operator: {refusal}"), now);
        if self.connections.count(Role::Operator) < self.operators.all.len() + REFUSED_OPERATORS_MAX {
            let key = self.connections.insert(stream, Role::Operator);
            self.end_answer(key, &Err(refusal.to_string()));
            self.close_entering(key, Farewell::Close(None), now);
        }
    }

    /// Reads an operator: goes on with the answer under way, or reads on to its next order, and answers that. Then the
    /// operator is held until it has taken what it was told.
    pub(super) fn read_operator(&mut self, key: usize, now: Instant) -> ReadState {
        if self.is_stop_wanted {
            return ReadState::Held;
        }
        if self.budget.is_reply_spent() {
            return ReadState::Asking;
        }
        match self.operators.answer_mut(key) {
            None | Some(Progress::Awaited(_)) => return ReadState::Held,
            Some(Progress::Listing(..)) => {
                self.go_on_listing(key);
                return ReadState::Held;
            }
            Some(Progress::Done) => {}
        }
        let mut input = self.connections[key].take_input();
        let state = self.read_order(key, &mut input, now);
        if state != ReadState::Ended {
            self.connections[key].put_input(input, now);
        }
        state
    }

    /// Reads up to the end of the next order, and answers that.
    fn read_order(&mut self, key: usize, input: &mut Input, now: Instant) -> ReadState {
        let mut bytes_left = self.budget.read_share();
        loop {
            if self.hear_next(key, input, now) {
                // Its outbox holds the answer, or will.
                return ReadState::Held;
            }
            if bytes_left == 0 {
                return ReadState::Ready;
            }
            let mut scratch = mem::take(&mut self.buffers.scratch);
            let received = self.receive(key, &mut scratch[..ORDER_READ_BYTES], &mut bytes_left);
            if let Received::Bytes(bytes) = received {
                input.pending = Pending::new(&scratch[..bytes]);
            }
            self.buffers.scratch = scratch;
            match received {
                Received::Bytes(_) => {}
                Received::NotYet => return ReadState::Idle,
                Received::End => {
                    self.end_orders(key, input, now);
                    return ReadState::Ended;
                }
                Received::Failed(_) => {
                    self.schedule.close(key, &mut self.connections[key]);
                    return ReadState::Ended;
                }
            }
        }
    }

    /// Processes the next line of those that were read; returns whether there was one.
    fn hear_next(&mut self, key: usize, input: &mut Input, now: Instant) -> bool {
        let mut pending = mem::take(&mut input.pending);
        let mut rest = pending.bytes();
        let is_heard = match input.decoder.next(&mut rest, FRAMING) {
            Some(line) => {
                self.hear_order(key, &line, now);
                true
            }
            None => false,
        };
        let left = rest.len();
        pending.keep_last(left);
        input.pending = pending;
        is_heard
    }

    /// Processes an EOF. Half an order may mean something else than all of it, so it is not carried out.
    fn end_orders(&mut self, key: usize, input: &Input, now: Instant) {
        if !input.decoder.is_empty() {
            self.end_answer(key, &Err("an order ends with a newline, and this one was cut".to_owned()));
        }
        debug!("an operator has gone");
        self.close_entering(key, Farewell::Close(None), now);
    }

    /// Processes a line of an operator.
    fn hear_order(&mut self, key: usize, line: &Line<'_>, now: Instant) {
        self.budget.spend(Effort::Line);
        let (Line::Text(raw) | Line::More(raw)) = line else {
            self.end_answer(key, &Err(format!("an order has at most {ORDER_BYTES_MAX} bytes")));
            return;
        };
        if str::from_utf8(raw).is_err() {
            self.end_answer(key, &Err("an order is text in UTF-8".to_owned()));
            return;
        }
        let mut sanitized = mem::take(&mut self.buffers.sanitized);
        let (text, form) = match sanitize(raw, &mut sanitized).trim() {
            text if text.starts_with("json ") => (text["json ".len()..].trim_start(), Form::Json),
            text => (text, Form::Text),
        };
        debug!("an operator orders: {text}");
        self.carry_out(key, text, form, now);
        self.buffers.sanitized = sanitized;
    }

    /// Carries out an order, and answers it or begins to.
    fn carry_out(&mut self, key: usize, text: &str, form: Form, now: Instant) {
        if text.is_empty() {
            self.end_answer(key, &Err("the order is missing; help lists them".to_owned()));
            return;
        }
        let answer = match Order::parse(text) {
            Ok(order) => self.obey(self.connections[key].handle(key), order, now),
            Err(error) => Answer::Refused(error.to_string()),
        };
        match answer {
            Answer::Done(rows) => {
                self.tell_rows(key, &rows, form);
                self.end_answer(key, &Ok(()));
            }
            Answer::Refused(reason) => self.end_answer(key, &Err(reason)),
            Answer::Listing(listing) => {
                self.operators.set_answer(key, Progress::Listing(listing, form));
                self.go_on_listing(key);
            }
            Answer::Later => self.operators.set_answer(key, Progress::Awaited(form)),
        }
    }

    /// Tells an operator the next part of a list, or that this was all.
    fn go_on_listing(&mut self, key: usize) {
        let Some(progress) = self.operators.answer_mut(key) else { return };
        let Progress::Listing(mut listing, form) = mem::take(progress) else { return };
        let rows = self.list(&mut listing);
        if rows.is_empty() {
            self.end_answer(key, &Ok(()));
            return;
        }
        self.tell_rows(key, &rows, form);
        self.operators.set_answer(key, Progress::Listing(listing, form));
    }

    /// Ends the answer that an operator waits for, if it is still there.
    pub(super) fn end_awaited(&mut self, operator: Handle, outcome: &Result<String, String>) {
        let mut all = self.operators.all.iter_mut();
        let Some(known) = all.find(|known| known.handle == operator) else { return };
        let Progress::Awaited(form) = mem::take(&mut known.answer) else { return };
        if let Ok(text) = outcome
            && !text.is_empty()
        {
            self.tell_rows(operator.key, &[Row::Text(text.clone())], form);
        }
        self.end_answer(operator.key, &outcome.as_ref().map(drop).map_err(Clone::clone));
    }

    fn tell_rows(&mut self, key: usize, rows: &[Row], form: Form) {
        let mut lines = String::new();
        for row in rows {
            let shown = match form {
                Form::Text => row.to_string(),
                Form::Json => serde_json::to_string(row).unwrap_or_default(),
            };
            put_line(&mut lines, "= ", &shown);
        }
        self.tell(key, &lines);
    }

    /// Tells an operator that its order is carried out, or why it is not.
    fn end_answer(&mut self, key: usize, outcome: &Result<(), String>) {
        let mut line = String::new();
        match outcome {
            Ok(()) => line.push_str("ok\n"),
            Err(reason) => put_line(&mut line, "no ", reason),
        }
        self.tell(key, &line);
    }

    /// Closes the connection of an operator for the shutdown.
    pub(super) fn close_operator(&mut self, key: usize, now: Instant) {
        let is_answering = self.operators.answer_mut(key).map(mem::take);
        if let Some(Progress::Listing(..) | Progress::Awaited(_)) = is_answering {
            self.end_answer(key, &Err("the server stops".to_owned()));
        }
        self.close_entering(key, Farewell::Close(None), now);
    }
}

/// Adds a line. What would break it, or harm a terminal, is replaced.
fn put_line(lines: &mut String, beginning: &str, text: &str) {
    let mut sanitized = String::new();
    lines.push_str(beginning);
    lines.push_str(sanitize(text.as_bytes(), &mut sanitized));
    lines.push('\n');
}
