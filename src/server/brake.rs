//! The brake: how much may be put on the tape, and by whom.
//!
//! A flood must not cost a healthy reader lines or make it wait long, and a slow reader must not hold up the room.
//! So what is rationed is neither reading nor the single client, but bytes put on the tape: a turn's worth always, and
//! while the slowest healthy reader is far behind, an allowance a period, dealt out in slices. A flood is slowed to what
//! readers take; people, who need little, are not.

use std::time::{Duration, Instant};

/// The period of the allowance: what one waits at most for the next slice.
const PERIOD: Duration = Duration::from_millis(10);

/// Bytes put on the tape in one turn at most (a quarter of the tape, if that is less): a turn stays short, and nobody
/// who keeps up is overtaken within one.
const TURN_BYTES: usize = 256 * 1024;

/// How far behind the slowest healthy reader may be, in bytes (an eighth of the tape, if that is less), before the brake
/// takes hold; and the allowance of a period then: 6.5 MB/s for all, of which those who flood have three quarters.
const BRAKED_BYTES: usize = 64 * 1024;

/// What one talker may put on the tape at a time while the brake is on, in bytes.
const SLICE_BYTES: usize = 4 * 1024;

/// Who puts this much on the tape in a period floods, in bytes: more than a person says.
const FLOOD_BYTES: u16 = 1024;

/// For how many periods one who flooded counts as one who does: a second. Shorter, and many floods that take turns
/// would count as people in between.
const FLOOD_PERIODS: u16 = 100;

/// What a talker last had of the allowance: how many bytes, and in which period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
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
        }
    }

    /// Begins a turn of the loop, and a period if the last one is over.
    pub fn begin_turn(&mut self, now: Instant) {
        self.turn_left = self.turn_bytes;
        if now >= self.next_period() {
            self.period = self.period.wrapping_add(1);
            self.period_start = now;
            self.spent = 0;
        }
    }

    /// How far behind a healthy reader may be before the brake takes hold, in bytes.
    pub fn threshold(&self) -> u64 {
        self.braked_bytes as u64
    }

    /// Learns how far behind the slowest healthy reader is, in bytes.
    pub fn see_slowest(&mut self, bytes_behind: u64) {
        self.slowest_behind = bytes_behind;
    }

    /// How many bytes a talker may put on the tape now; it is let finish the line in which it goes over.
    pub fn allowance(&self, served: Served) -> usize {
        self.turn_left.min(self.allowance_of_period(served))
    }

    /// Whether a talker may put anything on the tape in a new turn of this period.
    pub fn may_talk_next_turn(&self, served: Served) -> bool {
        self.allowance_of_period(served) > 0
    }

    /// Whether nobody may put anything on the tape any more: in this turn, or while the brake is on, in this period.
    pub fn is_spent(&self) -> bool {
        self.allowance(Served::default()) == 0
    }

    /// Takes `bytes` that nobody in particular put on the tape off the budgets.
    pub fn spend(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.turn_left = self.turn_left.saturating_sub(bytes);
        self.spent = self.spent.saturating_add(bytes);
    }

    /// Takes `bytes` that a talker put on the tape off the budgets. What it returns is to be kept with the talker.
    pub fn spend_for(&mut self, served: Served, bytes: u64) -> Served {
        self.spend(bytes);
        let before = if served.period == self.period { served.bytes } else { 0 };
        let now = before.saturating_add(u16::try_from(bytes).unwrap_or(u16::MAX));
        // One who flooded a while ago, and says a word now, still counts as one who floods.
        if self.floods(served) && now < FLOOD_BYTES {
            return served;
        }
        Served { period: self.period, bytes: now }
    }

    /// When those who are held may go on.
    pub fn next_period(&self) -> Instant {
        self.period_start + PERIOD
    }

    fn allowance_of_period(&self, served: Served) -> usize {
        if self.slowest_behind <= self.threshold() {
            return usize::MAX;
        }
        // The last quarter is kept for those who do not flood.
        let allowed = if self.floods(served) { self.braked_bytes / 4 * 3 } else { self.braked_bytes };
        allowed.saturating_sub(self.spent).min(SLICE_BYTES)
    }

    fn floods(&self, served: Served) -> bool {
        served.bytes >= FLOOD_BYTES && self.period.wrapping_sub(served.period) < FLOOD_PERIODS
    }
}
