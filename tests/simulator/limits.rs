//! The limits of each client: `--rate` and `--idle-timeout`.

use std::time::{Duration, Instant};

use pollchat::server::hub::Wake;

use crate::net::Reset;
use crate::oracle::{Oracle, WITNESS, is_same_name};
use crate::rule::{Rule, Verdict};
use crate::said::Asked;

/// The lines that a client may send before the password, and some more.
const LOCKED_LINES_MAX: u32 = 24;

/// The times that a client may resume its session within the time of a few lines.
const TRACKS_MAX: u32 = 4;

/// Of a member that entered twice over one connection, the server knows the second alone in which it entered last.
const ENTERED_WITHIN: Duration = Duration::from_secs(1);

/// The lines that a client may still say, at most, by what is known to have been heard.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// The lines, and the time of the count.
    left: Option<(f64, Instant)>,
    /// The end of what was heard of it then, or need not be counted.
    heard: usize,
}

/// The silence of a client that may never say anything.
#[derive(Debug, Default)]
pub(crate) struct Idleness {
    came: Option<Instant>,
    /// Since when its time was over, and nothing kept the server from reading it.
    overdue: Option<Instant>,
    /// The end of the log when it may have been disconnected, if it may.
    pub(crate) may_be_gone: Option<usize>,
    /// It must have been.
    pub(crate) must_be_gone: bool,
}

impl Bucket {
    /// The bucket of a session that goes on with another connection.
    pub(crate) fn passed_on(self) -> Bucket {
        Bucket { heard: 0, ..self }
    }
}

impl Idleness {
    pub(crate) fn came(&self) -> Option<Instant> {
        self.came
    }

    pub(crate) fn set_came(&mut self, came: Option<Instant>) {
        self.came = came;
    }
}

impl Oracle {
    /// Learns that all that `member` asked for up to `heard` was processed.
    pub(crate) fn charge(&mut self, member: usize, heard: usize) -> Verdict {
        let Some((lines_per_second, burst_lines)) = self.rate else { return Ok(()) };
        let (now, burst) = (self.now(), f64::from(burst_lines));
        let wire = self.wires[member].borrow();
        let bucket = &mut self.members[member].bucket;
        // Of half a CRLF that silence has ended, nothing is left.
        let counts = |asked: &&Asked| self.config.flush_after.is_none() || **asked != Asked::Nothing;
        let heard = heard.max(bucket.heard);
        let asked = wire.ear.asked[bucket.heard..heard].iter();
        let lines = u32::try_from(asked.filter(counts).count()).expect("few lines");
        let (left, time) = bucket.left.unwrap_or((burst, now));
        let gained = left + now.saturating_duration_since(time).as_secs_f64() * f64::from(lines_per_second);
        // Lines before the last may have been processed at any time since, so the bucket could not run over meanwhile.
        let left = (gained - f64::from(lines)).min(burst - 1.0);
        bucket.left = Some((left, now));
        bucket.heard = heard;
        // The end of the input ends a line that costs nothing.
        let is_last = wire.ear.ended.is_some() && heard == wire.ear.asked.len();
        if left < -0.001 && !(is_last && left >= -1.001) {
            return Rule::Rate.broken(format!("it said {lines} lines where it had {gained:.3} left to say"));
        }
        Ok(())
    }

    /// The rate is another from now on. What a client has asked for before may have been processed under the old one, so
    /// it is not counted.
    pub(crate) fn begin_rate(&mut self) {
        let (now, burst) = (self.now(), self.rate.map(|(_, burst_lines)| f64::from(burst_lines)));
        for (known, wire) in self.members.iter_mut().zip(&self.wires) {
            let heard = wire.borrow().ear.asked.len();
            known.bucket = Bucket { left: burst.map(|lines| (lines, now)), heard };
        }
    }

    /// Learns that the request of `member` at `place` may have been processed just now. If it asked for the same later,
    /// that may have been it instead, and the count goes on with what is certain.
    pub(crate) fn charge_request(&mut self, member: usize, place: usize) -> Verdict {
        let is_certain = {
            let asked = &self.wires[member].borrow().ear.asked;
            !asked[place + 1..].iter().any(|later| is_same_request(&asked[place], later))
        };
        if is_certain { self.charge(member, place + 1) } else { Ok(()) }
    }

    /// Whether the hub wakes before a client that `--rate` holds back may go on.
    pub(crate) fn may_be_throttled(&self, now: Instant, wakes_at: Option<Instant>) -> bool {
        let Some((lines_per_second, _)) = self.rate else { return false };
        // The lines before the password count, too, and nothing holds them back; nor the `/track` of each connection.
        let lines = if self.password.is_some() { LOCKED_LINES_MAX } else { TRACKS_MAX };
        wakes_at.is_some_and(|time| time <= now + Duration::from_secs(1) * lines / lines_per_second)
    }

    /// Learns when a client entered.
    pub(crate) fn expect_words(&mut self, member: usize, now: Instant) {
        let burst = self.rate.map(|(_, burst_lines)| f64::from(burst_lines));
        self.members[member].bucket.left = burst.map(|lines| (lines, now));
        self.members[member].idleness.came = Some(now);
    }

    /// Sees, at the end of a turn, whether a client had to say something by now.
    pub(crate) fn watch_idleness(&mut self, member: usize, now: Instant) {
        let Some(idle_timeout) = self.config.idle_timeout else { return };
        let wire = self.wires[member].borrow();
        let is_at_wall = self.is_at_wall(member);
        let log_end = self.rooms[self.members[member].room()].log.items.len();
        let known = &mut self.members[member];
        let is_present = known.is_present() || self.departing.contains(&member);
        let is_here = is_present && !known.has_fin && !known.is_kicked;
        let may_go = is_here && wire.reset != Reset::Told && !wire.ear.is_leaving() && !self.is_shutting_down;
        let idle = &mut known.idleness;
        let Some(came) = idle.came.filter(|_| may_go && !wire.ear.has_spoken()) else { return };
        if now < came + idle_timeout || wire.is_unread() {
            // There is time, or what it said is not heard yet.
            return;
        }
        idle.may_be_gone.get_or_insert(log_end);
        // A client that may have unread input, for all the server knows, has the same time again.
        let read_late = wire.ear.read_at().is_some_and(|read_at| read_at + idle_timeout > now);
        if wire.has_input() || !wire.is_drained || is_at_wall || read_late || wire.reset != Reset::No {
            idle.overdue = None;
        } else {
            let entered_again = known.tracked.as_ref().is_some_and(|tracked| tracked.was_plain);
            let spare = if entered_again { ENTERED_WITHIN } else { Duration::ZERO };
            let over_at = *idle.overdue.get_or_insert(now) + 2 * idle_timeout + spare;
            // It may have spoken over another connection.
            idle.must_be_gone |= !known.is_resumed && now >= over_at;
        }
    }

    /// If a client may never have said anything, the end of its time must wake the hub.
    pub(crate) fn judge_idleness(&self, now: Instant, wake: Wake) -> Verdict {
        let Some(idle_timeout) = self.config.idle_timeout else { return Ok(()) };
        let is_late = match wake {
            Wake::Now => false,
            Wake::At(time) => time > now + idle_timeout,
            Wake::OnEvent => true,
        };
        let may_be_silent = |&&member: &&usize| {
            let known = &self.members[member];
            let wire = self.wires[member].borrow();
            let is_here = !known.is_resumed
                && !known.has_left
                && !known.has_fin
                && !known.is_kicked
                && !known.stall().may_be_gone();
            let is_awaited = known.idleness.came.is_some() && known.idleness.may_be_gone.is_none();
            is_here && is_awaited && wire.reset == Reset::No && !wire.ear.has_spoken() && !wire.ear.is_leaving()
        };
        match self.active().iter().find(may_be_silent) {
            Some(&member) if is_late && !self.is_shutting_down => {
                Rule::Rest.broken(self.about(member, "at rest: it may be silent for ever"))
            }
            _ => Ok(()),
        }
    }

    /// Takes the notice of a client that has never said anything.
    pub(crate) fn receive_idle(&mut self, member: usize, line: &str) -> Verdict {
        let seconds = self.config.idle_timeout.unwrap_or_default().as_secs();
        let s = if seconds == 1 { "" } else { "s" };
        if line != format!("* you have said nothing for {seconds} second{s}: goodbye") {
            return Rule::IdleTimeout.broken("it has another time");
        }
        let known = &mut self.members[member];
        if known.idleness.may_be_gone.is_none() || member == WITNESS {
            return Rule::IdleTimeout.broken("it said something, or had still time");
        }
        known.is_kicked = true;
        Ok(())
    }
}

/// Whether the same line of the log could tell of both.
fn is_same_request(one: &Asked, other: &Asked) -> bool {
    match (one, other) {
        (Asked::Join { name, .. }, Asked::Join { name: other, .. }) => is_same_name(name, other),
        (Asked::Nick { name, .. }, Asked::Nick { name: other, .. }) => name == other,
        _ => false,
    }
}
