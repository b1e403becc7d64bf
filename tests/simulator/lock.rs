//! The server's password: who has given it, and what a connection is told before that.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use pollchat::server::limits::{ENTER_TIMEOUT, PASSWORD_TIME};

use crate::net::Reset;
use crate::oracle::Oracle;
use crate::rule::{Rule, Verdict};
use crate::said::{Asked, Ear};

/// The longest line that gives a password, if other lines have to be shorter.
pub(crate) const PASS_LINE_BYTES_MAX: usize = 1_040;

/// Wrong passwords of a connection: with the last of them it is sent away.
const TRIES_MAX: usize = 3;

/// Lines that give no password: with one more it is sent away.
const LINES_MAX: usize = 16;

/// Wrong passwords from one address, after which it has to wait.
const WRONG_MAX: usize = 60;

const WANTED: &str = "* this server asks for a password: /pass WORD";
const WRONG: &str = "* that is not the password";
const REFUSED: &str = "* that is not the password either: goodbye";
const CROWDED: &str = "* too many wrong passwords from your address: wait a minute";
const MISSING: &str = "* you have not given the password: goodbye";

/// The lock before a connection: what it asked for until it gave the password.
#[derive(Debug)]
pub(crate) struct Lock {
    word: String,
    /// Since when it is open.
    opened: Option<Instant>,
    lines: Vec<Asked>,
    /// Wrong passwords, and other lines that are not empty.
    wrong: usize,
    others: usize,
}

/// The state of a connection at the door: all that it was told there.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Times that it was asked for the password, and since when.
    wanted: usize,
    since: Option<Instant>,
    /// Times that it was told that its password is wrong.
    wrong: usize,
    /// Whether it was sent away, as the log has it, and for what reason.
    sent_away: Option<&'static str>,
    /// Whether what follows is not about the password.
    is_over: bool,
    /// Its wrong passwords that are counted for its address.
    counted: usize,
}

impl Lock {
    pub(crate) fn new(word: &str) -> Lock {
        Lock { word: word.to_owned(), opened: None, lines: Vec::new(), wrong: 0, others: 0 }
    }

    /// Whether it is open.
    pub(crate) fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// Describes it, for reports.
    pub(crate) fn describe(&self) -> String {
        let last = &self.lines[self.lines.len().saturating_sub(3)..];
        format!(", {}, at the door {last:?}", if self.is_open() { "open" } else { "locked" })
    }

    /// Hears a request before the password. Returns it if it counts all the same.
    pub(crate) fn hear(&mut self, asked: Asked, now: Option<Instant>) -> Option<Asked> {
        if self.has_failed() {
            return None;
        }
        self.lines.push(asked.clone());
        match asked {
            Asked::Leave | Asked::Foreign(_) => return Some(asked),
            Asked::Pass(word) if word == self.word => self.opened = now,
            Asked::Pass(word) if !word.is_empty() => self.wrong += 1,
            Asked::Nothing => {}
            _ => self.others += 1,
        }
        None
    }

    /// It is opened by the token of a session, if it has shown one. Returns what was asked for from there on.
    pub(crate) fn open_by_token(&mut self, is_token: impl Fn(&str) -> bool, now: Option<Instant>) -> Vec<Asked> {
        if self.is_open() {
            return Vec::new();
        }
        let is_it = |asked: &Asked| matches!(asked, Asked::Track { token, .. } if is_token(token));
        let Some(first) = self.lines.iter().position(is_it) else { return Vec::new() };
        self.opened = now;
        let mut asked = self.lines.split_off(first);
        // What counts all the same was heard already.
        asked.retain(|asked| !matches!(asked, Asked::Leave | Asked::Foreign(_)));
        asked
    }

    /// Whether its tries, or its lines, are used up.
    fn has_failed(&self) -> bool {
        self.wrong >= TRIES_MAX || self.others > LINES_MAX
    }

    /// Whether it gave any password.
    fn has_tried(&self) -> bool {
        self.lines.iter().any(|asked| matches!(asked, Asked::Pass(_)))
    }
}

impl Told {
    /// Whether it was sent away.
    pub(crate) fn is_sent_away(&self) -> bool {
        self.sent_away.is_some()
    }
}

impl Oracle {
    /// Judges that a connection that enters, or is refused a seat, has given the password.
    pub(crate) fn judge_unlocked(&self, ear: &Ear) -> Verdict {
        Rule::Password.demands(!ear.is_locked(), || "it has not given the password, and enters".to_owned())
    }

    /// A connection enters, or is refused a seat. If it has shown the token of a session, that has opened its lock.
    pub(crate) fn open_by_token(&mut self, member: usize) {
        let mut wire = self.wires[member].borrow_mut();
        if wire.ear.is_locked() {
            let is_token = |token: &str| self.sessions.iter().any(|session| session.token == token);
            wire.ear.open_by_token(is_token);
            let known = &mut self.members[member];
            known.scanned = 0;
            known.asked_at.clear();
            drop(wire);
            self.scan(member);
            self.watch_lock(member);
        }
    }

    /// Looks at what a connection said at the door.
    pub(crate) fn watch_lock(&mut self, member: usize) {
        let wire = self.wires[member].borrow();
        let Some(lock) = &wire.ear.lock else { return };
        let known = &mut self.members[member];
        known.unlocked = lock.opened;
        let told = &mut known.at_door;
        *self.wrong_words.entry(wire.address).or_default() += lock.wrong - told.counted;
        told.counted = lock.wrong;
    }

    fn may_be_crowded_out(&self, address: IpAddr) -> bool {
        self.wrong_words.get(&address).is_some_and(|&wrong| wrong >= WRONG_MAX)
    }

    /// Whether a connection was sent away, or may be, because it did not give the password.
    pub(crate) fn may_be_sent_away(&self, member: usize) -> bool {
        let wire = self.wires[member].borrow();
        let known = &self.members[member];
        let Some(lock) = &wire.ear.lock else { return false };
        let is_crowded = lock.has_tried() && self.may_be_crowded_out(wire.address);
        known.number.is_none() && (known.at_door.sent_away.is_some() || is_crowded)
    }

    /// A connection is sent away, for this reason.
    pub(crate) fn send_away(&mut self, member: usize, reason: &str) -> Verdict {
        let wire = self.wires[member].borrow();
        let now = self.now();
        let known = &mut self.members[member];
        let waited = now.saturating_duration_since(known.came_in());
        let Some(lock) = wire.ear.lock.as_ref().filter(|_| known.is_entering()) else {
            return Rule::Refusals.broken(format!("it was refused: {reason}"));
        };
        let wrong = self.wrong_words.get(&wire.address).copied().unwrap_or(0);
        let (line, is_right) = match reason {
            "wrong passwords" => (REFUSED, lock.wrong >= TRIES_MAX),
            "too many wrong passwords from its address" => (CROWDED, lock.has_tried() && wrong >= WRONG_MAX),
            _ => (MISSING, lock.others > LINES_MAX || waited >= PASSWORD_TIME),
        };
        let is_first = known.at_door.sent_away.replace(line).is_none();
        Rule::Reason.demands(is_first && is_right, || format!("it is sent away: {reason}"))
    }

    /// Takes a line that a connection is told before it enters. `None` if it is another line.
    pub(crate) fn receive_at_lock(&mut self, member: usize, line: &str) -> Option<Verdict> {
        let wire = self.wires[member].borrow();
        let now = self.now();
        let known = &mut self.members[member];
        let lock = wire.ear.lock.as_ref().filter(|_| !known.at_door.is_over && known.hint.is_none())?;
        let is_refused = known.is_refused();
        let told = &mut known.at_door;
        let is_right = match line {
            WANTED => {
                told.wanted += 1;
                told.since.get_or_insert(now);
                told.wanted <= 1 + lock.others
            }
            WRONG => {
                told.wrong += 1;
                told.since.get_or_insert(now);
                told.wrong <= lock.wrong.min(TRIES_MAX - 1)
            }
            REFUSED | CROWDED | MISSING => told.sent_away == Some(line),
            _ => {
                told.is_over = true;
                let is_told_all = told.wrong == lock.wrong.min(TRIES_MAX - 1);
                let is_out = known.number.is_none();
                let has_left = !wire.ear.asked.is_empty() || wire.ear.has_gone() || is_refused;
                let may_be_told = has_left || told.sent_away.is_some() || self.is_shutting_down;
                let is_turned_away = wire.ear.has_begun_binary() && line.starts_with("* this is a chat relay ");
                if wire.ear.is_locked() && !may_be_told && !is_turned_away {
                    return Some(Rule::Password.broken("it has not given the password"));
                }
                let verdict =
                    Rule::Password.demands(is_told_all || is_out, || "not that its password was wrong".to_owned());
                return verdict.is_err().then_some(verdict);
            }
        };
        Some(Rule::Answers.demands(is_right, || format!("it gave {} wrong passwords", lock.wrong)))
    }

    /// Judges, at the end of a turn, that a locked connection was asked for the password, and is sent away unless it
    /// gives it. `delay` is its time to enter.
    pub(crate) fn judge_locked(&mut self, member: usize, now: Instant, delay: Duration) -> Verdict {
        let wire = self.wires[member].borrow();
        let known = &mut self.members[member];
        let since = known.enters_since();
        let told = known.at_door.since;
        let is_told = told.is_some() || wire.is_blocked();
        let Some(lock) = wire.ear.lock.as_ref().filter(|_| known.at_door.sent_away.is_none()) else { return Ok(()) };
        let is_quiet = !wire.has_input() && wire.is_drained && wire.reset == Reset::No;
        let is_over = if is_told { told.is_some_and(|told| now >= told + PASSWORD_TIME) } else { now >= since + delay };
        if !is_quiet || !is_over {
            known.overdue = None;
            return Ok(());
        }
        let overdue = now.saturating_duration_since(*known.overdue.get_or_insert(now));
        if !is_told {
            return Rule::Entering.demands(overdue <= 2 * delay, || "it was not asked for the password".to_owned());
        }
        let has_failed = lock.has_failed();
        Rule::Reason.demands(overdue <= 2 * ENTER_TIMEOUT && !has_failed, || {
            "it gave no password, and is still here".to_owned()
        })
    }
}
