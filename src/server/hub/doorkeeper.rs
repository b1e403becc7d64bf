//! The server's password (`--password-file`), a step of entering. Owns the password's hash, the connections that were
//! asked for it or have given it, and the wrong tries of each address.
//!
//! A connection is *locked* while the server has a password and the connection has not given it. A locked connection
//! sees nothing of a room, and nothing that it says is processed. It is bounded in time, lines and tries.
//!
//! The right password opens a connection, which then enters as if it had just connected. So does a `/track` with the
//! token of a session, because its client has given the password before. Members never give it again, not even if it
//! changes.
//!
//! On a server without a password, all this costs one test of an `Option`.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::time::{Duration, Instant};

use super::Hub;
use super::input::ReadTurn;
use super::timers::Timer;
use super::tracking::FirstCommand;
use crate::net::stream::Socket;
use crate::relay::command::Command;
use crate::relay::line::Line;
use crate::relay::notice::Notice;
use crate::relay::sanitize::sanitize;
use crate::relay::secret::SecretHash;
use crate::server::access::Subscriber;
use crate::server::connection::Phase;
use crate::server::connection::input::Input;
use crate::server::limits::{
    ENTER_DELAY, ENTER_TIMEOUT, LOCKED_LINES_MAX, PASSWORD_BYTES_MAX, PASSWORD_TIME, PASSWORD_TRIES_MAX,
    WRONG_ADDRESSES_MAX, WRONG_PASSWORDS_MAX, WRONG_PASSWORDS_PERIOD,
};
use crate::server::reason::Reason;
use crate::server::report::{Kind, Reports};
use crate::server::sessions::Token;

/// The state of the password.
///
/// Invariants: the keys are those of entering or closing connections, each in one map. A map owns no heap while it is
/// empty. The caller forgets a key before its slab hands it out again.
#[derive(Debug, Default)]
pub(super) struct Doorkeeper {
    password: Option<SecretHash>,
    /// Locked connections that were asked for the password, or have tried.
    asked: HashMap<usize, Asked>,
    /// Connections that need give no password any more and have not entered yet, and since when.
    opened: HashMap<usize, Instant>,
    wrong_tries: WrongTries,
}

/// A locked connection that was asked for the password.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// It has to give the password by then.
    until: Instant,
    /// Whether it was told so.
    is_told: bool,
    /// Wrong passwords.
    tries: usize,
    /// Other lines, but for empty ones.
    lines: usize,
}

impl Doorkeeper {
    /// Whether the end of a time to enter, at `end` and this long after its beginning, means nothing any more: the
    /// connection was asked for the password, or a new time began when it was opened.
    pub(super) fn overrules(&self, key: usize, time: Duration, end: Instant) -> bool {
        // The common case.
        if self.asked.is_empty() && self.opened.is_empty() {
            return false;
        }
        self.asked.contains_key(&key) || self.opened.get(&key).is_some_and(|&opened| end < opened + time)
    }

    /// Whether a connection is locked and was asked for the password.
    pub(super) fn has_asked(&self, key: usize) -> bool {
        // The common case.
        !self.asked.is_empty() && self.asked.contains_key(&key)
    }

    /// Lets a connection enter without the password, or with the right one.
    pub(super) fn open(&mut self, key: usize, now: Instant) {
        if self.password.is_some() {
            self.forget(key);
            self.opened.insert(key, now);
        }
    }

    /// Forgets a connection that has entered or is removed. Frees the memory behind the last one.
    pub(super) fn forget(&mut self, key: usize) {
        // The common case.
        if self.asked.is_empty() && self.opened.is_empty() {
            return;
        }
        if self.asked.remove(&key).is_some() && self.asked.is_empty() {
            self.asked = HashMap::new();
        }
        if self.opened.remove(&key).is_some() && self.opened.is_empty() {
            self.opened = HashMap::new();
        }
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants(&self, phase_of: impl Fn(usize) -> Option<Phase>) {
        for key in self.asked.keys().chain(self.opened.keys()) {
            let phase = phase_of(*key);
            assert!(matches!(phase, Some(Phase::Entering | Phase::Closing)), "{key} has not entered: {phase:?}");
        }
        assert!(self.asked.keys().all(|key| !self.opened.contains_key(key)), "a connection is asked or open");
        assert!(self.password.is_some() || self.asked.is_empty(), "without a password, none is asked for it");
        assert!(!self.asked.is_empty() || self.asked.capacity() == 0, "an idle server keeps no map");
        assert!(!self.opened.is_empty() || self.opened.capacity() == 0, "an idle server keeps no map");
        self.wrong_tries.check_invariants();
    }
}

impl<S: Socket> Hub<S> {
    /// Asks for this password from now on, or for none. Members stay, and so do connections that have given another
    /// one. Without a password, locked connections enter.
    pub fn set_password(&mut self, password: Option<SecretHash>) {
        self.doorkeeper.password = password;
        if password.is_some() {
            return;
        }
        for key in mem::take(&mut self.doorkeeper.asked).into_keys() {
            let connection = &self.connections[key];
            if connection.phase == Phase::Entering {
                // Their time is over already.
                self.timers.set(self.started, Timer::Enter, connection.handle(key));
            }
        }
    }

    /// Whether a connection has to give the password before it enters.
    pub(super) fn is_locked(&self, key: usize) -> bool {
        self.doorkeeper.password.is_some()
            && self.connections[key].phase == Phase::Entering
            && !self.doorkeeper.opened.contains_key(&key)
    }

    /// Asks a locked connection for the password. A first line that waited for the second is processed, and asks.
    pub(super) fn ask_for_password(&mut self, key: usize, now: Instant) {
        self.ask_until(key, now);
        if self.connections[key].input().is_none_or(|input| input.pending.bytes().is_empty()) {
            self.tell_wanted(key, now);
        }
    }

    /// Tells a locked connection what it has to give; not again before it has taken all that it was told.
    fn tell_wanted(&mut self, key: usize, now: Instant) {
        let was_told = mem::replace(&mut self.ask_until(key, now).is_told, true);
        let connection = &mut self.connections[key];
        if !was_told || connection.outbox_bytes() + connection.unsent_bytes() == 0 {
            let wanted = Notice::PasswordWanted.to_line();
            connection.tell(&wanted);
            self.budget.spend_reply(wanted.len());
            self.schedule.mark_dirty(key, connection);
        }
    }

    /// Opens a locked connection whose first line resumes a session. Returns whether that is so.
    pub(super) fn is_opened_by(&mut self, key: usize, command: Option<&FirstCommand>, now: Instant) -> bool {
        let Some(FirstCommand::Track { token, .. }) = command else { return false };
        let is_known = Token::parse(token).is_some_and(|token| self.sessions.find(token).is_some());
        if is_known {
            self.unlock(key, now);
        }
        is_known
    }

    /// Processes the next line of a locked connection, which is complete, and empty lines behind an empty one: a flood of
    /// them is not looked at again and again for a foreign protocol.
    pub(super) fn hear_locked(&mut self, turn: &mut ReadTurn, input: &mut Input, bytes: &mut &[u8], now: Instant) {
        let framing = self.framing(turn.key, &input.decoder, bytes);
        while let Some(line) = input.decoder.next(bytes, framing) {
            let is_empty = matches!(line, Line::Text([]));
            self.hear_locked_line(turn, &line, now);
            let is_next_empty = match bytes.first() {
                Some(b'\n') => !input.decoder.is_after_return(),
                Some(b'\r') => true,
                _ => false,
            };
            if !is_empty || !is_next_empty {
                break;
            }
        }
        if input.decoder.has_seen_return() {
            self.connections[turn.key].switch_to_crlf();
        }
    }

    /// Processes the line of a locked connection that silence has ended (`--flush-after`).
    pub(super) fn hear_locked_rest(&mut self, turn: &mut ReadTurn, input: &mut Input, now: Instant) {
        let framing = self.framing(turn.key, &input.decoder, &[]);
        if let Some(line) = input.decoder.finish(framing) {
            self.hear_locked_line(turn, &line, now);
        }
    }

    fn hear_locked_line(&mut self, turn: &mut ReadTurn, line: &Line<'_>, now: Instant) {
        self.charge_line(turn, now);
        let (Line::Text(raw) | Line::More(raw)) = line else {
            self.count_locked_line(turn.key, now);
            return;
        };
        let mut sanitized = mem::take(&mut self.buffers.sanitized);
        let text = sanitize(raw, &mut sanitized);
        match Command::parse(text) {
            Command::Pass(word) if !word.is_empty() => self.try_password(turn, word, now),
            Command::Leave => self.say_goodbye(turn.key, text, now),
            Command::Nothing if self.doorkeeper.has_asked(turn.key) => {}
            Command::Nothing => self.ask_for_password(turn.key, now),
            _ => self.count_locked_line(turn.key, now),
        }
        self.buffers.sanitized = sanitized;
    }

    /// Compares a password, unless there were too many wrong ones from the address.
    fn try_password(&mut self, turn: &mut ReadTurn, word: &str, now: Instant) {
        let key = turn.key;
        let address = self.peer(key).ip().map(Subscriber::of);
        if address.is_some_and(|address| self.doorkeeper.wrong_tries.is_crowded(address, now)) {
            self.turn_away(key, &Reason::PasswordCrowded, now);
            return;
        }
        // No password is longer, and hashing a long line takes time.
        let may_be_right = word.len() <= PASSWORD_BYTES_MAX;
        if may_be_right && self.doorkeeper.password.is_some_and(|password| password.is_of(word)) {
            self.unlock(key, now);
            return;
        }
        self.log_peer(key, "password_wrong", "a wrong password came from");
        if let Some(address) = address {
            self.doorkeeper.wrong_tries.add(address, now);
        }
        let asked = self.ask_until(key, now);
        asked.tries += 1;
        if asked.tries >= PASSWORD_TRIES_MAX {
            self.turn_away(key, &Reason::PasswordWrong, now);
        } else {
            self.reply(turn, &Notice::PasswordWrong.to_line());
        }
    }

    /// Lets a connection enter as if it had just connected.
    fn unlock(&mut self, key: usize, now: Instant) {
        self.log_peer(key, "password_given", "the password came from");
        self.doorkeeper.open(key, now);
        self.delay_entry(self.connections[key].handle(key), now);
    }

    /// Counts a line that gives no password, and asks for one.
    fn count_locked_line(&mut self, key: usize, now: Instant) {
        let asked = self.ask_until(key, now);
        asked.lines += 1;
        if asked.lines > LOCKED_LINES_MAX {
            self.turn_away(key, &Reason::PasswordMissing, now);
        } else {
            self.tell_wanted(key, now);
        }
    }

    /// Returns the state of a locked connection. The first time, its time for the password begins.
    fn ask_until(&mut self, key: usize, now: Instant) -> &mut Asked {
        let Hub { doorkeeper, timers, connections, .. } = self;
        doorkeeper.asked.entry(key).or_insert_with(|| {
            let until = now + PASSWORD_TIME;
            timers.set(until, Timer::Password, connections[key].handle(key));
            Asked { until, is_told: false, tries: 0, lines: 0 }
        })
    }

    /// Disconnects a connection that has not given the password in time.
    pub(super) fn on_password_timer(&mut self, key: usize, now: Instant) -> Option<Instant> {
        let until = self.doorkeeper.asked.get(&key)?.until;
        let connection = &self.connections[key];
        if connection.phase != Phase::Entering {
            return None;
        }
        if now < until {
            return Some(until);
        }
        // The delay is ours, unless the connection is flooding.
        if connection.is_unread() && now < until + ENTER_TIMEOUT {
            return Some(now + ENTER_DELAY);
        }
        self.turn_away(key, &Reason::PasswordMissing, now);
        None
    }

    /// Disconnects a locked connection.
    fn turn_away(&mut self, key: usize, reason: &Reason, now: Instant) {
        let kind = Kind::Refused(reason.label());
        if Reports::wants(kind) {
            let peer = self.peer(key);
            self.note_of_peer(kind, &peer, format_args!("refused {peer}: {reason}"), now);
        }
        self.leave(key, reason, now);
    }
}

/// Wrong passwords by address. Bounded by [`WRONG_ADDRESSES_MAX`]: beyond it, the address whose period ends first is
/// forgotten.
///
/// Invariants: `ends` is ordered, and has the end of each period in `addresses`; of an address whose period was
/// prolonged it has the old end, too.
#[derive(Debug, Default)]
struct WrongTries {
    addresses: HashMap<Subscriber, Period>,
    ends: VecDeque<(Instant, Subscriber)>,
}

/// The wrong passwords of an address within [`WRONG_PASSWORDS_PERIOD`] of the first. The period begins anew with the
/// last one that is compared.
#[derive(Clone, Copy, Debug)]
struct Period {
    end: Instant,
    count: usize,
}

impl WrongTries {
    /// Whether no further password of this address is compared.
    fn is_crowded(&self, address: Subscriber, now: Instant) -> bool {
        self.addresses.get(&address).is_some_and(|period| period.count >= WRONG_PASSWORDS_MAX && now < period.end)
    }

    /// Counts a wrong password. Cost: constant, over many calls.
    fn add(&mut self, address: Subscriber, now: Instant) {
        while self.ends.front().is_some_and(|&(end, _)| end <= now) {
            self.forget_first();
        }
        let end = now + WRONG_PASSWORDS_PERIOD;
        if let Some(period) = self.addresses.get_mut(&address) {
            period.count += 1;
            if period.count == WRONG_PASSWORDS_MAX && period.end < end {
                period.end = end;
                self.ends.push_back((end, address));
            }
            return;
        }
        while self.addresses.len() >= WRONG_ADDRESSES_MAX {
            self.forget_first();
        }
        self.addresses.insert(address, Period { end, count: 1 });
        self.ends.push_back((end, address));
    }

    /// Forgets the period that ends first, unless it was prolonged.
    fn forget_first(&mut self) {
        if let Some((end, address)) = self.ends.pop_front()
            && self.addresses.get(&address).is_some_and(|period| period.end == end)
        {
            self.addresses.remove(&address);
        }
    }

    /// Panics if an invariant does not hold.
    fn check_invariants(&self) {
        assert!(self.addresses.len() <= WRONG_ADDRESSES_MAX && self.ends.len() <= 2 * WRONG_ADDRESSES_MAX, "bounded");
        debug_assert!(self.ends.iter().is_sorted_by_key(|(end, _)| end), "periods end in order");
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::server::memory::WRONG_ADDRESS_BYTES;

    const SECOND: Duration = Duration::from_secs(1);

    fn subscriber(number: usize) -> Subscriber {
        Subscriber::of(IpAddr::V4(Ipv4Addr::from_bits(number.try_into().unwrap())))
    }

    /// Adds so many wrong passwords of an address.
    fn add(tries: &mut WrongTries, address: Subscriber, count: usize, now: Instant) {
        for _ in 0..count {
            tries.add(address, now);
            tries.check_invariants();
        }
    }

    #[test]
    fn an_address_waits_from_its_last_wrong_password_on_and_not_from_the_first() {
        let (start, mut tries) = (Instant::now(), WrongTries::default());
        let (ana, bob) = (subscriber(1), subscriber(2));
        add(&mut tries, ana, WRONG_PASSWORDS_MAX - 1, start);
        assert!(!tries.is_crowded(ana, start));
        let last = start + WRONG_PASSWORDS_PERIOD - SECOND;
        add(&mut tries, ana, 1, last);
        // The first end of its period passes, and other addresses come.
        let later = start + WRONG_PASSWORDS_PERIOD;
        add(&mut tries, bob, 1, later);
        assert!(tries.is_crowded(ana, later) && !tries.is_crowded(bob, later));
        let end = last + WRONG_PASSWORDS_PERIOD;
        assert!(tries.is_crowded(ana, end - SECOND) && !tries.is_crowded(ana, end));
        add(&mut tries, ana, WRONG_PASSWORDS_MAX - 1, end);
        assert!(!tries.is_crowded(ana, end), "it begins anew");
        add(&mut tries, ana, 1, end);
        assert!(tries.is_crowded(ana, end));
    }

    #[test]
    fn wrong_passwords_count_for_a_minute() {
        let (start, mut tries) = (Instant::now(), WrongTries::default());
        add(&mut tries, subscriber(1), WRONG_PASSWORDS_MAX - 1, start);
        add(&mut tries, subscriber(1), WRONG_PASSWORDS_MAX - 1, start + WRONG_PASSWORDS_PERIOD);
        assert!(!tries.is_crowded(subscriber(1), start + WRONG_PASSWORDS_PERIOD));
    }

    #[test]
    fn beyond_the_limit_of_addresses_the_oldest_is_forgotten_and_memory_is_bounded() {
        let (start, mut tries) = (Instant::now(), WrongTries::default());
        let now = |number: usize| start + Duration::from_millis(number as u64);
        for number in 0..3 * WRONG_ADDRESSES_MAX {
            (0..WRONG_PASSWORDS_MAX).for_each(|_| tries.add(subscriber(number), now(number)));
        }
        tries.check_invariants();
        assert_eq!(tries.addresses.len(), WRONG_ADDRESSES_MAX);
        let (end, last) = (3 * WRONG_ADDRESSES_MAX, now(3 * WRONG_ADDRESSES_MAX));
        let is_crowded = |number: usize| tries.is_crowded(subscriber(number), last);
        assert!(is_crowded(end - 1) && is_crowded(end - WRONG_ADDRESSES_MAX));
        assert!(!is_crowded(end - WRONG_ADDRESSES_MAX - 1));
        let table = tries.addresses.capacity() * 8 / 7 * (size_of::<(Subscriber, Period)>() + 1);
        let queue = tries.ends.capacity() * size_of::<(Instant, Subscriber)>();
        assert!(table + queue <= WRONG_ADDRESSES_MAX * WRONG_ADDRESS_BYTES, "{table} and {queue} bytes");
        // When their time is over, a single call forgets them.
        tries.add(subscriber(0), last + WRONG_PASSWORDS_PERIOD);
        assert_eq!((tries.addresses.len(), tries.ends.len()), (1, 1));
    }
}
