//! Control on the control socket: peers that give orders in pieces, too many or cut, stop reading and vanish; and the
//! judge of their answers. They come by a chance of their own.
//!
//! The judge knows what each order is answered: each once, in order, and not before the order was sent. What clients
//! read is judged by the tapes, so no byte of an answer can get there unnoticed.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;

use pollchat::server::endpoint::Endpoint;
use pollchat::server::hub::{Hub, Readiness};
use pollchat::server::limits::{GRACE, OPERATORS_MAX, ORDER_BYTES_MAX};

use crate::chance::Chance;
use crate::net::{FakeSocket, Reset, Shared, Wire};
use crate::peers::Reading;
use crate::rule::{Rule, Verdict};
use crate::said::Ear;
use crate::setting::{Fault, Faults};

/// The user of the server.
const OWN: u32 = 7;

/// Bytes of orders that an operator may have to give and has not sent.
const ORDERS_BYTES_MAX: usize = 400;

/// The refusal of half an order.
const CUT: &str = "an order ends with a newline, and this one was cut";

/// Orders whose answers depend on the rooms. None of them changes anything.
const QUESTIONS: [&str; 7] = ["who", "who -a", "rooms", "stats", "bans", "help", "help"];

/// The control socket of a run, and all peers on it.
#[derive(Debug)]
pub(crate) struct Control {
    chance: Chance,
    faults: Faults,
    room: (usize, usize),
    /// The most at a time, those that are refused among them.
    most: usize,
    /// The odds of another user: one in so many.
    one_other_in: usize,
    all: Vec<Operator>,
    /// Numbers of orders, and of reloads that were done.
    orders: usize,
    reloads: usize,
    /// The reloads that were done in vain are those with a multiple of this number.
    one_vain_in: usize,
    is_shutting_down: bool,
}

/// An operator.
#[derive(Debug)]
struct Operator {
    wire: Rc<RefCell<Wire>>,
    /// Its key, once it is accepted.
    key: Option<usize>,
    user: Option<u32>,
    course: Course,
    reading: Reading,
    /// Bytes of orders that were not sent.
    outbox: Vec<u8>,
    /// All bytes of orders so far, and those that were sent.
    written: usize,
    sent: usize,
    /// Answers that it is to be given.
    owed: VecDeque<Owed>,
    /// What it was sent, since the last line.
    unread: Vec<u8>,
    /// Rows of the answer under way.
    rows: Vec<String>,
    /// The reason with which it is refused, if it is.
    refusal: Option<String>,
    /// The last reload that it knows of.
    reload: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Stays,
    /// It ends its side when all is sent.
    Ends,
    /// It sends nothing more.
    Ended,
    /// It is gone, or was torn away: what it is owed may be lost.
    Gone,
}

/// An answer to come.
#[derive(Debug)]
struct Owed {
    /// Bytes of all orders up to where this one is known: its end, or where it gets too long.
    after: usize,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    /// No row, and this last line.
    Line(String),
    /// The outcome of a reload.
    Outcome { is_json: bool },
    /// Any rows, and any last line.
    Any { is_json: bool },
}

/// Control, for a third of the seeds.
pub(crate) fn some_control(seed: u64, faults: Faults, room: (usize, usize)) -> Option<Control> {
    let mut chance = Chance::new(seed.rotate_left(12) ^ 0x6f72_6465);
    chance.one_in(3).then(|| Control {
        faults,
        room,
        most: chance.pick(&[1, 2, 3, OPERATORS_MAX + 2]),
        one_other_in: chance.pick(&[4, 20]),
        one_vain_in: chance.pick(&[2, 3, 10]),
        chance: chance.fork(),
        all: Vec::new(),
        orders: 0,
        reloads: 0,
        is_shutting_down: false,
    })
}

impl Control {
    /// Lets the hub obey its own user.
    pub(crate) fn introduce(&self, hub: &mut Hub<FakeSocket>) {
        hub.trust_user(OWN);
    }

    /// Connections that the hub has.
    pub(crate) fn connections(&self) -> usize {
        self.all.iter().filter(|operator| operator.key.is_some() && !operator.wire.borrow().is_closed).count()
    }

    /// Lets some come, and each do something, or nothing.
    pub(crate) fn act(&mut self, shared: &Rc<Shared>) {
        if self.all.len() < self.most && self.chance.one_in(40) {
            self.connect(shared);
        }
        for at in 0..self.all.len() {
            if self.chance.one_in(3) {
                self.act_one(at);
            }
        }
    }

    fn connect(&mut self, shared: &Rc<Shared>) {
        let Control { chance, room, .. } = self;
        let room = (chance.up_to(room.0), chance.up_to(room.1));
        let mut wire = Wire::new(shared, chance.fork(), self.faults, Ear::new(ORDER_BYTES_MAX, None), room);
        let user = match chance.below(2 * self.one_other_in) {
            0 => Some(8),
            1 => None,
            user if user % 2 == 0 => Some(0),
            _ => Some(OWN),
        };
        wire.user = user;
        let reading = match chance.below(8) {
            0 => Reading::Never,
            1..3 => Reading::Slowly(chance.pick(&[1, 10, 100])),
            3 => Reading::InBursts,
            _ => Reading::AtOnce,
        };
        self.all.push(Operator {
            wire: Rc::new(RefCell::new(wire)),
            key: None,
            user,
            course: Course::Stays,
            reading,
            outbox: Vec::new(),
            written: 0,
            sent: 0,
            owed: VecDeque::new(),
            unread: Vec::new(),
            rows: Vec::new(),
            refusal: None,
            reload: 0,
        });
    }

    fn act_one(&mut self, at: usize) {
        let Control { chance, all, orders, faults, .. } = self;
        let operator = &mut all[at];
        operator.read(chance);
        if operator.course == Course::Stays && operator.outbox.len() < ORDERS_BYTES_MAX && chance.one_in(3) {
            for _ in 0..chance.pick(&[1, 1, 1, 2, 20]) {
                *orders += 1;
                operator.order(chance, *orders);
            }
        }
        if operator.course == Course::Stays && chance.one_in(300) {
            operator.leave(chance, *faults);
        }
        let piece = if chance.one_in(2) { operator.outbox.len() } else { chance.below(operator.outbox.len() + 1) };
        operator.send(piece);
    }

    /// Hands those that wait to the hub.
    pub(crate) fn accept(&mut self, hub: &mut Hub<FakeSocket>) {
        for at in 0..self.all.len() {
            if self.all[at].key.is_some() || !hub.can_admit_on(Endpoint::Control) {
                continue;
            }
            let listed = self.all.iter().filter(|other| other.key.is_some() && other.refusal.is_none()).count();
            let operator = &mut self.all[at];
            operator.refusal = match operator.user {
                None => Some("the kernel does not say which user you are".to_owned()),
                Some(0 | OWN) if listed < OPERATORS_MAX => None,
                Some(0 | OWN) => Some(format!("there are {OPERATORS_MAX} operators already")),
                Some(user) => {
                    Some(format!("only root and the server's own user may give orders, and you are user {user}"))
                }
            };
            operator.key = Some(hub.next_key());
            operator.wire.borrow_mut().watch();
            hub.admit(FakeSocket(Rc::clone(&operator.wire)), Endpoint::Control, hub_time(&operator.wire));
        }
    }

    /// Whether some wait that the hub would take.
    pub(crate) fn has_waiting(&self, hub: &Hub<FakeSocket>) -> bool {
        self.all.iter().any(|operator| operator.key.is_none()) && hub.can_admit_on(Endpoint::Control)
    }

    /// Whether an event is due.
    pub(crate) fn has_edge(&self) -> bool {
        self.all.iter().any(|operator| operator.key.is_some() && operator.wire.borrow().has_edge())
    }

    /// The events that are due.
    pub(crate) fn collect(&mut self, is_late: bool) -> Vec<(usize, Readiness)> {
        let Control { chance, all, .. } = self;
        let mut events = Vec::new();
        for Operator { wire, key, .. } in all {
            let mut wire = wire.borrow_mut();
            if let Some(key) = *key
                && wire.has_edge()
                && !(is_late && chance.one_in(4))
            {
                events.push((key, wire.collect()));
            }
        }
        events
    }

    /// Whether the connection with this key was torn down, and the hub was not told.
    pub(crate) fn is_reset(&self, key: usize) -> bool {
        let of_key = self.all.iter().filter(|operator| operator.key == Some(key));
        of_key.map(|operator| operator.wire.borrow()).any(|wire| !wire.is_closed && wire.reset == Reset::Untold)
    }

    /// Does the reload that was ordered, as the outer loop does; later, if need be.
    pub(crate) fn reload(&mut self, hub: &mut Hub<FakeSocket>) {
        if hub.is_reload_wanted() && !self.chance.one_in(3) {
            self.reloads += 1;
            let number = self.reloads;
            let is_vain = number.is_multiple_of(self.one_vain_in);
            hub.answer_reload(&if is_vain { Err(format!("vain {number}")) } else { Ok(format!("done {number}")) });
        }
    }

    /// Judges what each was told in a turn.
    pub(crate) fn judge(&mut self) -> Verdict {
        let Control { all, reloads, one_vain_in, is_shutting_down, .. } = self;
        for operator in &mut *all {
            let verdict = operator.judge((*reloads, *one_vain_in), *is_shutting_down);
            verdict.map_err(|violation| violation.about(operator.describe()))?;
        }
        all.retain(|operator| operator.key.is_none() || !operator.wire.borrow().is_closed);
        Ok(())
    }

    /// The faults stop: each sends all that is left, and reads.
    pub(crate) fn calm_down(&mut self) {
        for operator in &mut self.all {
            operator.wire.borrow_mut().calm_down();
            operator.reading = Reading::AtOnce;
        }
    }

    /// Sends and takes all there is.
    pub(crate) fn go_on(&mut self) {
        for operator in &mut self.all {
            operator.wire.borrow_mut().take(usize::MAX);
            operator.send(operator.outbox.len());
        }
    }

    /// Judges that all was answered, now that the hub rests.
    pub(crate) fn judge_rest(&self) -> Verdict {
        for operator in &self.all {
            let is_owed = operator.course != Course::Gone && operator.refusal.is_none() && !operator.owed.is_empty();
            Rule::Orders.demands(!is_owed || operator.wire.borrow().reset != Reset::No, || {
                format!("the hub rests, and an order is not answered: {}", operator.describe())
            })?;
        }
        Ok(())
    }

    /// All leave.
    pub(crate) fn farewell(&mut self) {
        for operator in &mut self.all {
            if operator.course == Course::Stays {
                operator.course = Course::Ends;
            }
        }
    }

    /// One of them orders a stop. Returns whether there is one to do so.
    pub(crate) fn stop(&mut self) -> bool {
        let can_order = |operator: &&mut Operator| {
            let wire = operator.wire.borrow();
            operator.course == Course::Stays && operator.refusal.is_none() && wire.reset == Reset::No
        };
        let Some(operator) = self.all.iter_mut().find(can_order) else { return false };
        operator.put(b"stop\n", Answer::Line("ok".to_owned()));
        true
    }

    /// The server shuts down.
    pub(crate) fn shut_down(&mut self) {
        self.is_shutting_down = true;
    }
}

fn hub_time(wire: &Rc<RefCell<Wire>>) -> std::time::Instant {
    wire.borrow().now()
}

impl Operator {
    fn read(&mut self, chance: &mut Chance) {
        let mut wire = self.wire.borrow_mut();
        match self.reading {
            Reading::AtOnce => wire.take(usize::MAX),
            Reading::Slowly(bytes) => wire.take(chance.up_to(bytes)),
            Reading::InBursts if chance.one_in(50) => wire.take(usize::MAX),
            Reading::InBursts | Reading::Never => {}
        }
    }

    /// Gives an order, or what is none.
    fn order(&mut self, chance: &mut Chance, number: usize) {
        let unknown = |order: &str| Answer::Line(format!("no there is no order {order}; help lists them"));
        let (json, is_json) = chance.pick(&[("", false), ("json ", true), ("  ", false), ("json  ", true)]);
        let end = chance.pick(&["\n", "\n", "\r\n", " \n"]);
        let order = format!("nonsense-{number}");
        match chance.below(12) {
            0..4 => self.put(format!("{json}{order}{end}").as_bytes(), unknown(&order)),
            4 | 5 => self.put(format!("{json}reload{end}").as_bytes(), Answer::Outcome { is_json }),
            6..9 => {
                let question = chance.pick(&QUESTIONS);
                self.put(format!("{json}{question}{end}").as_bytes(), Answer::Any { is_json });
            }
            9 => self.put(end.as_bytes(), Answer::Line("no the order is missing; help lists them".to_owned())),
            10 if chance.one_in(10) => self.put_overlong(chance.up_to(ORDER_BYTES_MAX)),
            10 => self.put(b"who \xff\n", Answer::Line("no an order is text in UTF-8".to_owned())),
            _ => {
                // What a terminal would obey is replaced before it is an order.
                let shown = format!("\u{fffd}[2J{order}");
                self.put(format!("\x1b[2\0J{order}\n").as_bytes(), unknown(&shown));
            }
        }
    }

    fn put(&mut self, bytes: &[u8], answer: Answer) {
        self.outbox.extend_from_slice(bytes);
        self.written += bytes.len();
        self.owed.push_back(Owed { after: self.written, answer });
    }

    /// An order that is too long is answered as soon as that is known.
    fn put_overlong(&mut self, over: usize) {
        let after = self.written + ORDER_BYTES_MAX;
        let line = format!("{}\n", "x".repeat(ORDER_BYTES_MAX + over));
        self.put(line.as_bytes(), Answer::Line(format!("no an order has at most {ORDER_BYTES_MAX} bytes")));
        self.owed.iter_mut().last().into_iter().for_each(|owed| owed.after = after);
    }

    fn leave(&mut self, chance: &mut Chance, faults: Faults) {
        match chance.below(4) {
            0 => self.course = Course::Ends,
            1 => {
                self.put(b"sto", Answer::Line(format!("no {CUT}")));
                self.course = Course::Ends;
            }
            2 if faults.has(Fault::Reset) => {
                self.course = Course::Gone;
                self.wire.borrow_mut().tear_down();
            }
            _ => {
                self.course = Course::Gone;
                self.wire.borrow_mut().close();
            }
        }
    }

    /// Describes it, for reports.
    fn describe(&self) -> String {
        let Operator { key, user, course, reading, written, sent, owed, rows, refusal, .. } = self;
        let wire = self.wire.borrow();
        format!(
            "operator with key {key:?} ({user:?}, {course:?}, {reading:?}; sent {sent} of {written}, owed {}, first \
             {:?} behind {} rows, refusal {refusal:?}, {:?}, ended {:?})",
            owed.len(),
            owed.front(),
            rows.len(),
            wire.reset,
            wire.ear.ended
        )
    }

    fn send(&mut self, bytes: usize) {
        let mut wire = self.wire.borrow_mut();
        let sent = wire.send(&self.outbox[..bytes]);
        self.outbox.drain(..sent);
        self.sent += sent;
        if self.course == Course::Ends && self.outbox.is_empty() {
            self.course = Course::Ended;
            wire.end();
        }
        if wire.is_finished && wire.outgoing() == 0 && self.course != Course::Gone {
            self.course = Course::Ended;
            wire.close();
        }
    }

    fn judge(&mut self, reloads: (usize, usize), is_shutting_down: bool) -> Verdict {
        let written = mem::take(&mut self.wire.borrow_mut().written);
        self.unread.extend(written);
        while let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let Ok(line) = String::from_utf8(line) else { return Rule::Clean.broken("invalid UTF-8") };
            self.hear(line.trim_end_matches('\n'), reloads, is_shutting_down)?;
        }
        let wire = self.wire.borrow();
        if let Some(misuse) = wire.misuse {
            return Rule::Orders.broken(misuse);
        }
        if self.key.is_none() || wire.reset != Reset::No || self.course == Course::Gone {
            return Ok(());
        }
        if wire.is_finished {
            let is_torn = !self.unread.is_empty();
            let is_answered = self.owed.is_empty() && wire.ear.ended.is_some();
            let may_end = is_shutting_down || self.refusal.is_some() || is_answered;
            return Rule::Orders.demands(may_end && !is_torn, || "its answers end before its orders".to_owned());
        }
        // An operator that has ended its side and takes nothing of its last answers is waited for as any client is.
        let ended_at = wire.leaving_since.filter(|_| wire.ear.ended.is_some());
        let has_outstayed = ended_at.is_some_and(|ended_at| wire.now() >= ended_at.max(wire.last_written) + GRACE);
        let may_close = self.refusal.is_some() || is_shutting_down || has_outstayed;
        Rule::Orders.demands(!wire.is_closed || may_close, || "it is dropped without a reason".to_owned())
    }

    /// Hears a line of an answer.
    fn hear(&mut self, line: &str, reloads: (usize, usize), is_shutting_down: bool) -> Verdict {
        if let Some(refusal) = &mut self.refusal {
            let is_told = line.strip_prefix("no ") == Some(refusal);
            refusal.clear();
            return Rule::Orders.demands(is_told, || format!("it is refused with {line:?}"));
        }
        if let Some(row) = line.strip_prefix("= ") {
            self.rows.push(row.to_owned());
            return Rule::Orders.demands(!self.owed.is_empty(), || format!("nothing asked for the row {row:?}"));
        }
        if self.course == Course::Gone && line == format!("no {CUT}") {
            // It has gone amid an order, and reads no more.
            self.owed.clear();
            return Ok(());
        }
        let rows = mem::take(&mut self.rows);
        let Some(Owed { after, answer }) = self.owed.pop_front() else {
            return Rule::Orders.broken(format!("nothing asked for {line:?}"));
        };
        if self.sent < after {
            return Rule::Orders.broken(format!("{line:?} comes before the end of its order"));
        }
        let is_end = line == "ok" || line.starts_with("no ");
        let is_stopped = is_shutting_down && line == "no the server stops";
        let is_right = is_stopped
            || match answer {
                Answer::Line(expected) => rows.is_empty() && line == expected,
                Answer::Outcome { is_json } => self.is_outcome(&rows, line, is_json, reloads),
                Answer::Any { is_json } => rows.iter().all(|row| !is_json || row.starts_with('{')),
            };
        Rule::Orders.demands(is_end && is_right, || format!("{line:?} behind {rows:?} is the answer to another order"))
    }

    /// Whether this tells of a reload that is new to it.
    fn is_outcome(&mut self, rows: &[String], line: &str, is_json: bool, reloads: (usize, usize)) -> bool {
        let (done, one_vain_in) = reloads;
        let known = self.reload + 1..=done;
        let mut news = known.clone().filter(|number| {
            let text = format!("done {number}");
            let row = if is_json { format!("{{\"text\":\"{text}\"}}") } else { text };
            match number.is_multiple_of(one_vain_in) {
                true => rows.is_empty() && line == format!("no vain {number}"),
                false => rows == [row] && line == "ok",
            }
        });
        let number = news.next();
        self.reload = number.unwrap_or(self.reload);
        number.is_some()
    }
}
