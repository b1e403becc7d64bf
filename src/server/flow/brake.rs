//! Backpressure on the tape: budgets for the bytes that clients append to it.
//!
//! The brake rations bytes appended to the tape, neither reads nor the rate of a single client. Each turn of the loop
//! has a budget. While the slowest healthy reader is far behind, each period of 10 ms has one as well, dealt out in
//! slices. So a flood slows down to what the readers take, and people, who need little, are not held up.
//!
//! With [`Lag::Wait`](crate::server::config::Lag::Wait) the brake has a *wall* besides: no append overwrites bytes that
//! the slowest reader has not been sent.
//!
//! A room that several servers share has a *gate* instead: the bytes that its log takes before the entry under way was
//! read back. While the gate is closed, the room waits as at the wall, though for no reader. There are two steps, and
//! each has a budget of the period: what clients send to the log, and what comes onto the tape from it. So a flood of
//! another server leaves the talkers of this one their parts. The budget of a turn is that of the second step.

use std::time::{Duration, Instant};

use super::deliveries::TURN_WRITTEN_BYTES;

/// Length of a period: a client held by the brake waits this long for the next slice, at most.
const PERIOD: Duration = Duration::from_millis(10);

/// Bytes that one turn may append (a quarter of the tape, if that is less). It keeps turns short, and no reader that
/// keeps up is overtaken within one.
const TURN_BYTES: usize = 256 * 1024;

/// Bytes that one turn may append to a tape however many readers there are of this and other tapes. Writing this much
/// to a reader costs about twice as much as writing one line.
const TURN_BYTES_MIN: usize = 16 * 1024;

/// Bytes that the slowest healthy reader may be behind (an eighth of the tape, if that is less) before the brake takes
/// hold. It is also the budget of a period then: 6.5 MB/s for all clients together.
const BRAKED_BYTES: usize = 64 * 1024;

/// Bytes that one client may append at a time while the brake is on.
const SLICE_BYTES: usize = 4 * 1024;

/// Bytes in a period from which a client counts as busy: more than a person types.
const BUSY_BYTES: u16 = 1024;

/// Bytes in a period from which a client counts as flooding: more than two programs that answer each other as fast as
/// the network allows.
const FLOOD_BYTES: u16 = 8 * 1024;

/// Periods for which the class of a client is remembered: one second. With less, floods that take turns would count as
/// people in between. A busy client that appends anything within this time stays busy for as long again.
const CLASS_PERIODS: u16 = 100;

/// Traffic of a client, which decides its part of a period's budget. Quiet clients may use all of it, busy ones seven
/// eighths, flooding ones five eighths. So an eighth is always left for people, and two more for programs that ask
/// little and often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TrafficClass {
    Quiet,
    Busy,
    Flooding,
}

/// Bytes that one client appended in one period; kept with the client, 4 bytes each.
///
/// It is the client's last period, or an earlier one within the last second that puts the client in a higher class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecentTraffic {
    period: u16,
    bytes: u16,
}

/// Budgets of the bytes that may be appended to one tape.
///
/// Invariants: `1 <= turn_bytes`, `turn_assured <= turn_left <= turn_bytes`, and `left <= bytes` in the wall. `spent`
/// counts the current period alone. A budget never goes below 0: the line that exceeds it is appended whole.
#[derive(Debug)]
pub(crate) struct Brake {
    turn_bytes: usize,
    braked_bytes: usize,
    turn_left: usize,
    /// Part of `turn_left` that no other tape can use up.
    turn_assured: usize,
    /// Number of the period. It wraps around after 11 minutes; a client that last talked exactly then may be put in its
    /// old class for a second.
    period: u16,
    period_start: Instant,
    /// Bytes appended in this period.
    spent: usize,
    /// Bytes that the slowest healthy reader was behind when last measured.
    slowest_behind: u64,
    wall: Option<Wall>,
    /// Bytes that the log of a shared room takes now; `None` if no other server shares the room.
    gate: Option<u64>,
    /// Bytes that were read from that log in this period.
    heard: usize,
}

/// Limit beyond which an append would overwrite what the slowest reader still needs.
#[derive(Debug)]
struct Wall {
    /// Bytes that the slowest reader may be behind for another line to begin, plus 1. Even the longest line then leaves
    /// it all that it has not been sent.
    bytes: u64,
    /// Bytes that may still be appended; the line that exceeds them is appended whole.
    left: u64,
}

/// Returns how many bytes one turn writes to each of `readers` readers, from 16 KiB to 256 KiB. It bounds what a turn
/// may append and also what a reader that is behind gets in a turn.
pub(crate) fn bytes_per_reader(readers: usize) -> usize {
    (TURN_WRITTEN_BYTES / readers.max(1)).clamp(TURN_BYTES_MIN, TURN_BYTES)
}

impl Brake {
    /// Creates the brake of a tape of `backlog_bytes`, on which a line takes at most `longest_line_bytes`.
    pub(crate) fn new(backlog_bytes: usize, longest_line_bytes: usize, now: Instant) -> Brake {
        // The line that exceeds the budget ends the turn. On a tape that holds few lines the turn ends earlier.
        let turn_bytes = TURN_BYTES.min(backlog_bytes / 4).min(backlog_bytes.saturating_sub(longest_line_bytes)).max(1);
        Brake {
            turn_bytes,
            braked_bytes: BRAKED_BYTES.min(backlog_bytes / 8),
            turn_left: turn_bytes,
            turn_assured: turn_bytes.min(TURN_BYTES_MIN),
            period: 0,
            period_start: now,
            spent: 0,
            slowest_behind: 0,
            wall: None,
            gate: None,
            heard: 0,
        }
    }

    /// Adds a wall: clients wait for the slowest reader.
    pub(crate) fn with_wall(self, backlog_bytes: usize, longest_line_bytes: usize) -> Brake {
        let bytes = backlog_bytes.saturating_sub(longest_line_bytes) as u64 + 1;
        Brake { wall: Some(Wall { bytes, left: bytes }), ..self }
    }

    /// Begins a turn of the loop, whose appended bytes go to `readers` readers, and a new period if the last one is
    /// over. The budget counts `unflushed` bytes as appended: those that a walk over the readers has begun to write.
    pub(crate) fn begin_turn(&mut self, readers: usize, unflushed: u64, now: Instant) {
        let unflushed = usize::try_from(unflushed).unwrap_or(usize::MAX);
        self.turn_left = self.turn_bytes.min(bytes_per_reader(readers)).saturating_sub(unflushed);
        self.turn_assured = self.turn_bytes.min(TURN_BYTES_MIN).saturating_sub(unflushed);
        if now >= self.next_period() {
            // Periods without a turn count as well, up to the memory of a class.
            let passed = now.saturating_duration_since(self.period_start).as_nanos() / PERIOD.as_nanos();
            let passed = u16::try_from(passed).unwrap_or(CLASS_PERIODS).min(CLASS_PERIODS);
            self.period = self.period.wrapping_add(passed);
            self.period_start = now;
            (self.spent, self.heard) = (0, 0);
        }
    }

    /// Returns the lag in bytes above which the brake has to know the slowest healthy reader.
    pub(crate) fn threshold(&self) -> u64 {
        if self.wall.is_some() { 0 } else { self.braked_bytes as u64 }
    }

    /// Whether clients wait for the slowest reader.
    pub(crate) fn has_wall(&self) -> bool {
        self.wall.is_some()
    }

    /// Sets the lag of the slowest healthy reader, in bytes: 0 if none exceeds the [threshold](Brake::threshold).
    pub(crate) fn set_slowest(&mut self, bytes_behind: u64) {
        self.slowest_behind = bytes_behind;
        if let Some(wall) = &mut self.wall {
            wall.left = wall.bytes.saturating_sub(bytes_behind);
        }
    }

    /// Returns the lag of the slowest healthy reader when it was last set, in bytes.
    pub(crate) fn slowest_behind(&self) -> u64 {
        self.slowest_behind
    }

    /// Accounts for a new reader that starts `bytes_behind`, until the next [`set_slowest`](Brake::set_slowest).
    pub(crate) fn on_newcomer(&mut self, bytes_behind: u64) {
        if let Some(wall) = &mut self.wall {
            wall.left = wall.left.min(wall.bytes.saturating_sub(bytes_behind));
        }
    }

    /// Sets the bytes that the log of a shared room takes now; `None` if no other server shares the room.
    pub(crate) fn set_gate(&mut self, left: Option<u64>) {
        self.gate = left;
    }

    /// Returns how many bytes a client may append now, if all tapes together leave each reader of this one `shared`
    /// bytes. The line that exceeds them is appended whole. A client takes no more than a slice of what a gate leaves.
    pub(crate) fn allowance(&self, recent: RecentTraffic, shared: usize) -> usize {
        if let Some(gate) = self.gate {
            let left = usize::try_from(gate).unwrap_or(usize::MAX).min(SLICE_BYTES);
            return left.min(self.allowance_of_period(recent));
        }
        self.turn_left(shared).min(self.allowance_of_period(recent)).min(self.wall_left())
    }

    /// Whether bytes from the log of a shared room may come onto the tape, if all tapes together leave each reader of
    /// this one `shared` bytes.
    pub(crate) fn may_hear(&self, shared: usize) -> bool {
        self.turn_left(shared) > 0 && self.may_hear_next_turn()
    }

    /// Whether such bytes may come onto the tape in another turn of this period.
    pub(crate) fn may_hear_next_turn(&self) -> bool {
        !self.is_on() || self.heard < self.braked_bytes
    }

    /// Takes `bytes` off the budgets that came onto the tape from the log of a shared room.
    pub(crate) fn hear(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.turn_left = self.turn_left.saturating_sub(bytes);
        self.turn_assured = self.turn_assured.saturating_sub(bytes);
        self.heard = self.heard.saturating_add(bytes);
    }

    /// Whether a client could append anything in another turn of this period.
    pub(crate) fn may_talk_next_turn(&self, recent: RecentTraffic) -> bool {
        !self.is_at_wall() && self.allowance_of_period(recent) > 0
    }

    /// Whether neither a client nor the server itself may append anything before the slowest reader takes some bytes, or
    /// before the gate opens.
    pub(crate) fn is_at_wall(&self) -> bool {
        self.wall.as_ref().is_some_and(|wall| wall.left == 0) || self.gate == Some(0)
    }

    /// Whether the room has a gate: what is said goes to a log that several servers share, and not onto the tape.
    pub(crate) fn has_gate(&self) -> bool {
        self.gate.is_some()
    }

    /// Takes `bytes` off the budgets that the server itself appended, or sent to the log of a shared room.
    pub(crate) fn spend(&mut self, bytes: u64) {
        let count = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.spent = self.spent.saturating_add(count);
        if let Some(gate) = &mut self.gate {
            *gate = gate.saturating_sub(bytes);
            return;
        }
        self.turn_left = self.turn_left.saturating_sub(count);
        self.turn_assured = self.turn_assured.saturating_sub(count);
        if let Some(wall) = &mut self.wall {
            wall.left = wall.left.saturating_sub(bytes);
        }
    }

    /// Takes `bytes` off the budgets that a client appended. Returns what the caller has to keep with the client.
    pub(crate) fn charge(&mut self, recent: RecentTraffic, bytes: u64) -> RecentTraffic {
        self.spend(bytes);
        self.note(recent, bytes)
    }

    /// Accounts for `bytes` that the server appended because of a client. Returns what the caller has to keep with it.
    pub(crate) fn note(&self, recent: RecentTraffic, bytes: u64) -> RecentTraffic {
        let before = match self.class(recent) {
            _ if recent.period == self.period => recent.bytes,
            // A busy client stays busy from its next byte on. Otherwise small helpings would never add up to a flood.
            TrafficClass::Busy => BUSY_BYTES,
            TrafficClass::Quiet | TrafficClass::Flooding => 0,
        };
        let bytes = before.saturating_add(u16::try_from(bytes).unwrap_or(u16::MAX));
        let now = RecentTraffic { period: self.period, bytes };
        // A client that flooded within the last second still counts as flooding, however little it says now.
        if self.class(recent) > self.class(now) { recent } else { now }
    }

    /// Accounts for a client that has more input pending after it appended `bytes` at once. If that was most of a
    /// slice, the client floods, even if others leave it only one slice a period. Returns what the caller has to keep
    /// with it.
    pub(crate) fn on_more_pending(&self, recent: RecentTraffic, bytes: u64) -> RecentTraffic {
        if bytes < SLICE_BYTES as u64 / 2 { recent } else { RecentTraffic { period: self.period, bytes: FLOOD_BYTES } }
    }

    /// Returns the recent traffic of a client that comes from the room of another brake: it is as busy here as there.
    pub(crate) fn take_over(&self, recent: RecentTraffic, from: &Brake) -> RecentTraffic {
        let is_forgotten = from.period.wrapping_sub(recent.period) >= CLASS_PERIODS;
        if is_forgotten { RecentTraffic::default() } else { RecentTraffic { period: self.period, ..recent } }
    }

    /// Returns when the next period begins: the time at which clients held by the brake may go on.
    pub(crate) fn next_period(&self) -> Instant {
        self.period_start + PERIOD
    }

    /// Whether the slowest healthy reader is far behind.
    fn is_on(&self) -> bool {
        self.slowest_behind > self.braked_bytes as u64
    }

    /// Returns what is left of the budget of this turn, if all tapes together leave each reader of this one `shared`
    /// bytes.
    fn turn_left(&self, shared: usize) -> usize {
        self.turn_left.min(shared.max(self.turn_assured))
    }

    fn allowance_of_period(&self, recent: RecentTraffic) -> usize {
        if !self.is_on() {
            return usize::MAX;
        }
        let eighths = match self.class(recent) {
            TrafficClass::Quiet => 8,
            TrafficClass::Busy => 7,
            TrafficClass::Flooding => 5,
        };
        (self.braked_bytes * eighths / 8).saturating_sub(self.spent).min(SLICE_BYTES)
    }

    fn wall_left(&self) -> usize {
        self.wall.as_ref().map_or(usize::MAX, |wall| usize::try_from(wall.left).unwrap_or(usize::MAX))
    }

    fn class(&self, recent: RecentTraffic) -> TrafficClass {
        match recent.bytes {
            _ if self.period.wrapping_sub(recent.period) >= CLASS_PERIODS => TrafficClass::Quiet,
            FLOOD_BYTES.. => TrafficClass::Flooding,
            BUSY_BYTES.. => TrafficClass::Busy,
            _ => TrafficClass::Quiet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKLOG_BYTES: usize = 8 * 1024 * 1024;
    const LINE_BYTES: usize = 12 * 1024;
    /// Bytes that other tapes leave.
    const ALL: usize = usize::MAX;
    const QUIET: RecentTraffic = RecentTraffic { period: 0, bytes: 0 };

    /// A brake at the beginning of its first turn, and that time.
    fn brake() -> (Brake, Instant) {
        let start = Instant::now();
        let mut brake = Brake::new(BACKLOG_BYTES, LINE_BYTES, start);
        brake.begin_turn(1, 0, start);
        (brake, start)
    }

    /// The same with a reader so far behind that the brake is on.
    fn braked() -> (Brake, Instant) {
        let (mut brake, start) = brake();
        brake.set_slowest(BRAKED_BYTES as u64 + 1);
        (brake, start)
    }

    /// The same with a wall.
    fn walled() -> (Brake, Instant) {
        let (brake, start) = brake();
        (brake.with_wall(BACKLOG_BYTES, LINE_BYTES), start)
    }

    /// Appends as much as a client may, slice by slice, in this turn; returns the bytes.
    fn append_all(brake: &mut Brake, mut recent: RecentTraffic) -> usize {
        let mut appended = 0;
        while brake.allowance(recent, ALL) > 0 {
            let bytes = brake.allowance(recent, ALL);
            recent = brake.charge(recent, bytes as u64);
            appended += bytes;
        }
        appended
    }

    #[test]
    fn a_gate_lets_pass_what_the_log_takes_in_slices_and_closes_as_a_wall_does() {
        let (mut brake, _) = brake();
        brake.set_gate(Some(SLICE_BYTES as u64 + 10));
        assert_eq!(brake.allowance(QUIET, ALL), SLICE_BYTES, "a client alone takes no more");
        let recent = brake.charge(QUIET, SLICE_BYTES as u64);
        assert!(brake.allowance(recent, ALL) == 10 && !brake.is_at_wall());
        assert!(brake.may_hear(0), "nothing of it is on the tape");
        brake.spend(11);
        assert!(brake.is_at_wall() && brake.allowance(QUIET, ALL) == 0 && !brake.may_talk_next_turn(QUIET));
        brake.set_gate(Some(1));
        assert!(!brake.is_at_wall() && brake.allowance(QUIET, ALL) == 1);
        brake.set_gate(None);
        assert_eq!(brake.allowance(QUIET, ALL), TURN_BYTES);
    }

    #[test]
    fn what_is_read_from_a_log_has_the_budget_of_a_turn_and_if_the_brake_is_on_one_of_the_period() {
        let (mut brake, start) = brake();
        brake.set_gate(Some(ALL as u64));
        brake.hear(TURN_BYTES as u64);
        assert!(!brake.may_hear(ALL) && brake.may_hear_next_turn());
        assert!(brake.allowance(QUIET, ALL) > 0, "clients go on");
        brake.begin_turn(1, 0, start);
        assert!(brake.may_hear(ALL));
        brake.hear(TURN_BYTES_MIN as u64);
        assert!(brake.may_hear(1) && !brake.may_hear(0), "other tapes leave nothing");
        brake.set_slowest(BRAKED_BYTES as u64 + 1);
        assert!(!brake.may_hear_next_turn());
        brake.begin_turn(1, 0, start);
        assert!(!brake.may_hear(ALL));
        brake.begin_turn(1, 0, start + PERIOD);
        assert!(brake.may_hear(ALL));
        append_all(&mut brake, QUIET);
        assert!(brake.may_hear(ALL), "the flood of this server has a budget of its own");
    }

    #[test]
    fn a_turn_has_a_budget_and_the_next_one_the_same() {
        let (mut brake, now) = brake();
        assert_eq!(brake.allowance(QUIET, ALL), TURN_BYTES);
        let recent = brake.charge(QUIET, TURN_BYTES as u64 - 1);
        assert_eq!(brake.allowance(recent, ALL), 1, "however much one client appended");
        assert!(brake.allowance(QUIET, ALL) > 0);
        brake.spend(LINE_BYTES as u64);
        assert_eq!(brake.allowance(QUIET, ALL), 0, "the last line exceeds the budget");
        assert!(brake.allowance(QUIET, ALL) == 0);
        assert!(brake.may_talk_next_turn(recent));
        brake.begin_turn(1, 0, now);
        assert_eq!(brake.allowance(recent, ALL), TURN_BYTES);
    }

    #[test]
    fn a_turn_appends_less_the_more_readers_there_are() {
        let (mut brake, now) = brake();
        for (readers, bytes) in [
            (0, TURN_BYTES),
            (32, TURN_BYTES),
            (33, TURN_WRITTEN_BYTES / 33),
            (100, TURN_WRITTEN_BYTES / 100),
            (512, TURN_BYTES_MIN),
            (100_000, TURN_BYTES_MIN),
        ] {
            brake.begin_turn(readers, 0, now);
            assert_eq!(brake.allowance(QUIET, ALL), bytes, "{readers}");
            assert_eq!(bytes_per_reader(readers), bytes, "{readers}");
        }
    }

    #[test]
    fn a_turn_never_overtakes_a_reader_of_a_small_tape() {
        let now = Instant::now();
        for (backlog_bytes, turn_bytes) in [(40_000, 10_000), (LINE_BYTES + 1_000, 1_000), (LINE_BYTES, 1), (0, 1)] {
            let mut brake = Brake::new(backlog_bytes, LINE_BYTES, now);
            brake.begin_turn(1, 0, now);
            assert_eq!(brake.allowance(QUIET, ALL), turn_bytes, "{backlog_bytes}");
            assert_eq!(brake.threshold(), backlog_bytes as u64 / 8);
        }
    }

    #[test]
    fn the_brake_takes_hold_beyond_its_threshold() {
        let (mut brake, _) = brake();
        assert_eq!(brake.threshold(), BRAKED_BYTES as u64);
        brake.set_slowest(brake.threshold());
        assert_eq!(brake.allowance(QUIET, ALL), TURN_BYTES);
        brake.set_slowest(brake.threshold() + 1);
        assert_eq!(brake.allowance(QUIET, ALL), SLICE_BYTES);
        brake.set_slowest(0);
        assert_eq!(brake.allowance(QUIET, ALL), TURN_BYTES, "the reader has caught up");
    }

    #[test]
    fn a_braked_period_has_a_budget_that_its_end_renews() {
        let (mut brake, start) = braked();
        assert_eq!(append_all(&mut brake, QUIET), BRAKED_BYTES * 5 / 8, "a client that takes all of it floods");
        brake.spend(BRAKED_BYTES as u64);
        assert!(brake.allowance(QUIET, ALL) == 0 && !brake.may_talk_next_turn(QUIET));
        assert_eq!(brake.next_period(), start + PERIOD);
        brake.begin_turn(1, 0, start + PERIOD - Duration::from_nanos(1));
        assert!(brake.allowance(QUIET, ALL) == 0, "another turn of the same period");
        brake.begin_turn(1, 0, start + PERIOD);
        assert!(brake.allowance(QUIET, ALL) > 0 && brake.may_talk_next_turn(QUIET));
        assert_eq!(brake.next_period(), start + 2 * PERIOD);
        assert_eq!(append_all(&mut brake, QUIET), BRAKED_BYTES * 5 / 8);
    }

    #[test]
    fn bytes_of_the_server_itself_count_as_well() {
        let (mut brake, _) = braked();
        brake.spend(BRAKED_BYTES as u64 - 10);
        assert_eq!(brake.allowance(QUIET, ALL), 10);
    }

    #[test]
    fn each_class_of_traffic_has_its_part_of_a_braked_period() {
        let (mut brake, _) = braked();
        let busy = RecentTraffic { period: 0, bytes: BUSY_BYTES };
        let flooding = RecentTraffic { period: 0, bytes: FLOOD_BYTES };
        for (left_to, spent) in [(3, 0), (2, BRAKED_BYTES * 5 / 8), (1, BRAKED_BYTES * 7 / 8), (0, BRAKED_BYTES)] {
            brake.spend((spent - brake.spent) as u64);
            let may_talk = [QUIET, busy, flooding].map(|recent| brake.allowance(recent, ALL) > 0);
            assert_eq!(may_talk, [left_to > 0, left_to > 1, left_to > 2], "{spent}");
            assert_eq!(may_talk, [QUIET, busy, flooding].map(|recent| brake.may_talk_next_turn(recent)), "{spent}");
        }
    }

    #[test]
    fn bytes_of_one_period_add_up_to_a_class() {
        let (mut brake, _) = brake();
        for (bytes, class) in [
            (1, TrafficClass::Quiet),
            (BUSY_BYTES - 1, TrafficClass::Quiet),
            (BUSY_BYTES, TrafficClass::Busy),
            (FLOOD_BYTES - 1, TrafficClass::Busy),
            (FLOOD_BYTES, TrafficClass::Flooding),
        ] {
            let first = brake.charge(QUIET, u64::from(bytes) / 2);
            let both = brake.charge(first, u64::from(bytes).div_ceil(2));
            assert_eq!(brake.class(both), class, "{bytes}");
        }
        let huge = brake.charge(QUIET, u64::MAX);
        let more = brake.charge(huge, 1);
        assert_eq!(brake.class(more), TrafficClass::Flooding);
    }

    #[test]
    fn a_class_is_remembered_for_a_second() {
        for bytes in [BUSY_BYTES, FLOOD_BYTES] {
            let (mut brake, start) = brake();
            let recent = brake.charge(QUIET, bytes.into());
            let class = brake.class(recent);
            brake.begin_turn(1, 0, start + PERIOD * u32::from(CLASS_PERIODS - 1));
            assert_eq!(brake.class(recent), class);
            let more = brake.charge(recent, 1);
            assert_eq!(brake.class(more), class, "a single byte changes nothing");
            brake.begin_turn(1, 0, start + PERIOD * u32::from(CLASS_PERIODS));
            assert_eq!(brake.class(recent), TrafficClass::Quiet);
            let more = brake.charge(recent, 1);
            assert_eq!(brake.class(more), TrafficClass::Quiet);
        }
    }

    #[test]
    fn a_busy_client_that_goes_on_stays_busy_and_becomes_a_flood_by_adding_up() {
        let (mut brake, start) = brake();
        let mut recent = brake.charge(QUIET, BUSY_BYTES.into());
        for period in 1..300 {
            brake.begin_turn(1, 0, start + PERIOD * period);
            recent = brake.charge(recent, 1);
            assert_eq!(brake.class(recent), TrafficClass::Busy, "{period}");
        }
        recent = brake.charge(recent, (FLOOD_BYTES - BUSY_BYTES).into());
        assert_eq!(brake.class(recent), TrafficClass::Flooding);
    }

    #[test]
    fn a_flood_is_not_renewed_by_single_words() {
        let (mut brake, start) = brake();
        let flooded = brake.charge(QUIET, FLOOD_BYTES.into());
        brake.begin_turn(1, 0, start + PERIOD * 50);
        assert_eq!(brake.charge(flooded, 10), flooded, "it counts from its last flood");
    }

    #[test]
    fn pending_input_behind_most_of_a_slice_is_a_flood() {
        let (brake, _) = brake();
        let half = SLICE_BYTES as u64 / 2;
        assert_eq!(brake.class(brake.on_more_pending(QUIET, half)), TrafficClass::Flooding);
        assert_eq!(brake.on_more_pending(QUIET, half - 1), QUIET);
    }

    #[test]
    fn a_long_silence_brings_no_class_back() {
        // The number of the period wraps around after 65,536 periods.
        const WRAP: u32 = 1 << 16;
        for first in [WRAP, WRAP - 36] {
            let (mut brake, start) = brake();
            let recent = brake.charge(QUIET, FLOOD_BYTES.into());
            for periods in [first, WRAP] {
                brake.begin_turn(1, 0, start + PERIOD * periods);
                assert_eq!(brake.class(recent), TrafficClass::Quiet, "{periods}");
            }
            assert_eq!(brake.next_period(), start + PERIOD * (WRAP + 1));
        }
    }

    #[test]
    fn the_wall_leaves_the_slowest_reader_room_for_the_longest_line() {
        let (mut brake, _) = walled();
        assert_eq!(brake.threshold(), 0, "every lag counts");
        brake.set_slowest((BACKLOG_BYTES - LINE_BYTES) as u64);
        assert_eq!(brake.wall_left(), 1, "one more line may begin, and it still fits");
        assert!(!brake.is_at_wall());
        brake.set_slowest((BACKLOG_BYTES - LINE_BYTES) as u64 + 1);
        assert!(brake.is_at_wall());
        assert_eq!(brake.allowance(QUIET, ALL), 0);
        assert!(brake.allowance(QUIET, ALL) == 0 && !brake.may_talk_next_turn(QUIET));
        brake.set_slowest(0);
        assert!(!brake.is_at_wall() && brake.may_talk_next_turn(QUIET));
    }

    #[test]
    fn appended_bytes_and_new_readers_bring_the_wall_nearer() {
        let (mut brake, _) = walled();
        let most = (BACKLOG_BYTES - LINE_BYTES) as u64;
        brake.set_slowest(most - 1_000);
        brake.charge(QUIET, 400);
        assert_eq!(brake.wall_left(), 601);
        brake.on_newcomer(most - 2_000);
        assert_eq!(brake.wall_left(), 601, "the newcomer is not the slowest");
        brake.on_newcomer(most - 100);
        assert_eq!(brake.wall_left(), 101);
        brake.spend(LINE_BYTES as u64);
        assert!(brake.is_at_wall(), "the last line exceeds it");
        brake.set_slowest(most);
        assert!(!brake.is_at_wall(), "measured anew");
    }

    #[test]
    fn without_a_wall_the_slowest_reader_is_overtaken() {
        let (mut brake, _) = brake();
        brake.set_slowest(BACKLOG_BYTES as u64 * 2);
        brake.on_newcomer(BACKLOG_BYTES as u64);
        assert!(!brake.is_at_wall());
        assert_eq!(brake.allowance(QUIET, ALL), SLICE_BYTES);
    }
}
