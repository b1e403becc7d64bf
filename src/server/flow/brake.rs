//! The brake: how much may be put on the tape, and by whom.
//!
//! A flood must not cost a healthy reader lines or make it wait long, and a slow reader must not hold up the room.
//! So what is rationed is neither reading nor the single client, but bytes put on the tape: a turn's worth always, and
//! while the slowest healthy reader is far behind, an allowance a period, dealt out in slices. A flood is slowed to what
//! readers take; people, who need little, are not.
//!
//! Where nobody is to lose anything, however slow ([`Lag::Wait`](super::config::Lag::Wait)), the brake has a wall besides:
//! nothing is put on the tape that would overtake the slowest.

use std::time::{Duration, Instant};

/// The period of the allowance: what one waits at most for the next slice.
const PERIOD: Duration = Duration::from_millis(10);

/// Bytes put on the tape in one turn at most (a quarter of the tape, if that is less): a turn stays short, and nobody
/// who keeps up is overtaken within one.
const TURN_BYTES: usize = 256 * 1024;

/// Bytes that one turn writes at most, to all together, of what is put on the tape in it: a turn's worth is less where
/// there are more than 32 who hear it.
const TURN_WRITTEN_BYTES: usize = 8 * 1024 * 1024;

/// What may be put on the tape in one turn, however many hear it, in bytes: to write as much to one costs about twice what
/// it costs to write a single line.
const TURN_BYTES_MIN: usize = 16 * 1024;

/// How far behind the slowest healthy reader may be, in bytes (an eighth of the tape, if that is less), before the brake
/// takes hold; and the allowance of a period then: 6.5 MB/s for all.
const BRAKED_BYTES: usize = 64 * 1024;

/// What one talker may put on the tape at a time while the brake is on, in bytes.
const SLICE_BYTES: usize = 4 * 1024;

/// Who puts this much on the tape in a period is busy, in bytes: more than a person says.
const BUSY_BYTES: u16 = 1024;

/// Who puts this much on the tape in a period floods, in bytes: more than two who answer each other as fast as the
/// network lets them.
const FLOOD_BYTES: u16 = 8 * 1024;

/// For how many periods a habit is remembered: a second. Shorter, and many floods that take turns would count as people
/// in between. (Who was busy, and says anything before that is over, is busy for another one.)
const CLASS_PERIODS: u16 = 100;

/// How much a talker talks. Of the allowance of a period, eight eighths are for the quiet, seven for the busy, five for
/// those who flood: so the last eighth is kept for people, and two more for whoever asks little and often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TrafficClass {
    Quiet,
    Busy,
    Flooding,
}

/// What a talker put on the tape: how many bytes, and in which period. The last one, or one of late that says more of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecentTraffic {
    period: u16,
    bytes: u16,
}

/// The budgets of bytes put on the tape.
#[derive(Debug)]
pub struct Brake {
    turn_bytes: usize,
    braked_bytes: usize,
    turn_left: usize,
    /// The number of the period; it wraps around, and who last spoke that long ago may count as a flooder for a second.
    period: u16,
    period_start: Instant,
    /// Bytes put on the tape in this period.
    spent: usize,
    /// How far behind the slowest healthy reader was when last seen, in bytes.
    slowest_behind: u64,
    wall: Option<Wall>,
}

/// Where nothing more may be put on the tape.
#[derive(Debug)]
struct Wall {
    /// How far behind the slowest may be for one more line to be begun, less one, in bytes: with the longest of lines it
    /// still has all of it.
    bytes: u64,
    /// How many bytes may still be put on the tape, but for the end of the line that goes over.
    left: u64,
}

/// How many bytes one turn writes to each of so many `readers`: of what is put on the tape in it no more than that, and of
/// what one is behind by no more either.
pub fn bytes_per_reader(readers: usize) -> usize {
    (TURN_WRITTEN_BYTES / readers.max(1)).clamp(TURN_BYTES_MIN, TURN_BYTES)
}

impl Brake {
    /// The brake of a tape of `backlog_bytes`, on which the longest line takes `longest_line_bytes`.
    pub fn new(backlog_bytes: usize, longest_line_bytes: usize, now: Instant) -> Brake {
        // A turn ends with the line that goes over its budget. On a tape that holds few lines, it ends earlier.
        let turn_bytes = TURN_BYTES.min(backlog_bytes / 4).min(backlog_bytes.saturating_sub(longest_line_bytes)).max(1);
        Brake {
            turn_bytes,
            braked_bytes: BRAKED_BYTES.min(backlog_bytes / 8),
            turn_left: turn_bytes,
            period: 0,
            period_start: now,
            spent: 0,
            slowest_behind: 0,
            wall: None,
        }
    }

    /// The same with a wall: the slowest is waited for.
    pub fn with_wall(self, backlog_bytes: usize, longest_line_bytes: usize) -> Brake {
        let bytes = backlog_bytes.saturating_sub(longest_line_bytes) as u64 + 1;
        Brake { wall: Some(Wall { bytes, left: bytes }), ..self }
    }

    /// Begins a turn of the loop, at the end of which what was put on the tape is written to so many `readers`; and a
    /// period if the last one is over.
    pub fn begin_turn(&mut self, readers: usize, now: Instant) {
        self.turn_left = self.turn_bytes.min(bytes_per_reader(readers));
        if now >= self.next_period() {
            // Those in which there was no turn count, too, as far as anybody remembers.
            let passed = now.saturating_duration_since(self.period_start).as_nanos() / PERIOD.as_nanos();
            let passed = u16::try_from(passed).unwrap_or(CLASS_PERIODS).min(CLASS_PERIODS);
            self.period = self.period.wrapping_add(passed);
            self.period_start = now;
            self.spent = 0;
        }
    }

    /// How far behind a healthy reader has to be for the brake to want to know, in bytes.
    pub fn threshold(&self) -> u64 {
        if self.wall.is_some() { 0 } else { self.braked_bytes as u64 }
    }

    /// Learns how far behind the slowest healthy reader is, in bytes, or 0 if nobody is by more than the
    /// [threshold](Brake::threshold).
    pub fn set_slowest(&mut self, bytes_behind: u64) {
        self.slowest_behind = bytes_behind;
        if let Some(wall) = &mut self.wall {
            wall.left = wall.bytes.saturating_sub(bytes_behind);
        }
    }

    /// Learns how far behind a newcomer is, in bytes, before everyone is looked at again.
    pub fn on_newcomer(&mut self, bytes_behind: u64) {
        if let Some(wall) = &mut self.wall {
            wall.left = wall.left.min(wall.bytes.saturating_sub(bytes_behind));
        }
    }

    /// How many bytes a talker may put on the tape now; it is let finish the line in which it goes over.
    pub fn allowance(&self, served: RecentTraffic) -> usize {
        self.turn_left.min(self.allowance_of_period(served)).min(self.wall_left())
    }

    /// Whether a talker may put anything on the tape in a new turn of this period.
    pub fn may_talk_next_turn(&self, served: RecentTraffic) -> bool {
        !self.is_at_wall() && self.allowance_of_period(served) > 0
    }

    /// Whether nothing may be put on the tape before the slowest takes something: neither by a talker nor in the server's
    /// own name.
    pub fn is_at_wall(&self) -> bool {
        self.wall.as_ref().is_some_and(|wall| wall.left == 0)
    }

    /// Whether nobody may put anything on the tape any more: in this turn, or while the brake is on, in this period.
    pub fn is_spent(&self) -> bool {
        self.allowance(RecentTraffic::default()) == 0
    }

    /// Takes `bytes` that nobody in particular put on the tape off the budgets.
    pub fn spend(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.turn_left = self.turn_left.saturating_sub(bytes);
        self.spent = self.spent.saturating_add(bytes);
        if let Some(wall) = &mut self.wall {
            wall.left = wall.left.saturating_sub(bytes as u64);
        }
    }

    /// Takes `bytes` that a talker put on the tape off the budgets. What it returns is to be kept with the talker.
    pub fn charge(&mut self, served: RecentTraffic, bytes: u64) -> RecentTraffic {
        self.spend(bytes);
        let before = match self.class(served) {
            _ if served.period == self.period => served.bytes,
            // Who was busy of late is so from its first word on, or small helpings would never add up.
            TrafficClass::Busy => BUSY_BYTES,
            TrafficClass::Quiet | TrafficClass::Flooding => 0,
        };
        let bytes = before.saturating_add(u16::try_from(bytes).unwrap_or(u16::MAX));
        let now = RecentTraffic { period: self.period, bytes };
        // One who flooded a while ago, and says a word now, still counts as one who floods.
        if self.class(served) > self.class(now) { served } else { now }
    }

    /// Learns that a talker who put `bytes` on the tape at a time has more to say: if that was most of a slice it floods,
    /// however many others keep it from having two in a period. What it returns is to be kept with the talker.
    pub fn on_more_pending(&self, served: RecentTraffic, bytes: u64) -> RecentTraffic {
        if bytes < SLICE_BYTES as u64 / 2 { served } else { RecentTraffic { period: self.period, bytes: FLOOD_BYTES } }
    }

    /// When those who are held may go on.
    pub fn next_period(&self) -> Instant {
        self.period_start + PERIOD
    }

    fn allowance_of_period(&self, served: RecentTraffic) -> usize {
        if self.slowest_behind <= self.braked_bytes as u64 {
            return usize::MAX;
        }
        let eighths = match self.class(served) {
            TrafficClass::Quiet => 8,
            TrafficClass::Busy => 7,
            TrafficClass::Flooding => 5,
        };
        (self.braked_bytes * eighths / 8).saturating_sub(self.spent).min(SLICE_BYTES)
    }

    fn wall_left(&self) -> usize {
        self.wall.as_ref().map_or(usize::MAX, |wall| usize::try_from(wall.left).unwrap_or(usize::MAX))
    }

    fn class(&self, served: RecentTraffic) -> TrafficClass {
        match served.bytes {
            _ if self.period.wrapping_sub(served.period) >= CLASS_PERIODS => TrafficClass::Quiet,
            FLOOD_BYTES.. => TrafficClass::Flooding,
            BUSY_BYTES.. => TrafficClass::Busy,
            _ => TrafficClass::Quiet,
        }
    }
}
