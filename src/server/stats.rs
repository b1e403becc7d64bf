//! Counters of a server since its start, and the snapshot of them that SIGUSR1 logs.

use std::fmt;
use std::time::{Duration, Instant};

use super::bus;
use super::connection::Transport;
use super::reason::Reasons;
use super::web::response::Status;

/// A turn counts as recent for this time at least, and for twice as long at most.
const RECENT: Duration = Duration::from_secs(60);

/// Counters since the start. Counting costs an addition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Connections that were accepted, but for those of operators and of scrapers.
    pub accepted: u64,
    /// Clients that entered.
    pub entered: u64,
    /// Clients that entered with a browser.
    pub browsers: u64,
    /// Sessions that went on over another connection.
    pub resumed: u64,
    /// Connections that left before the room or the log learned of them: health checks, say.
    pub passing: u64,
    /// HTTP requests at the page's port.
    pub requests: u64,
    /// HTTP requests at the port of metrics.
    pub scrapes: u64,
    /// Answers that refuse a request.
    pub answers: Answers,
    /// The largest number of clients at a time.
    pub clients_most: usize,
    /// Bytes read from clients: ciphertext, with TLS.
    pub received_bytes: u64,
    /// Bytes written to clients: ciphertext, with TLS.
    pub sent_bytes: u64,
    /// Times that the tail of the tape overtook a client that had kept up.
    pub lags: u64,
    /// Lines missed, summed over clients.
    pub missed_lines: u64,
    /// Lines taken of members, commands and overlong lines included.
    pub received_lines: u64,
    /// Said lines, once for each connection that reads them: at the moment that they are said.
    pub delivered_lines: u64,
    /// Time for which a brake held a client.
    pub braked: BrakedTime,
    /// Refusals and leaves.
    pub reasons: Reasons,
    /// Durations of turns.
    pub turns: TurnTimes,
}

/// Counts of the answers with each status code that refuses a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers([u64; Answers::CODES.len()]);

/// Time for which any brake held any client.
///
/// A turn tells it at its end whether clients are held until the next turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct BrakedTime {
    total: Duration,
    /// The beginning of what is not yet part of `total`, if a client is held.
    since: Option<Instant>,
}

/// The longest turns: the longest time that an event waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurnTimes {
    longest: Duration,
    /// The longest of this stretch of [`RECENT`], and of the one before.
    recent: [Duration; 2],
    stretch_start: Option<Instant>,
}

/// A server at one moment. Taking one changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// The counters.
    pub stats: Stats,
    /// Clients that are present.
    pub clients: usize,
    /// Clients among them that have a connection, by its transport.
    pub by_transport: [usize; Transport::COUNT],
    /// Whether the operator's console is open.
    pub has_console: bool,
    /// Clients among them whose connection is lost, and whose seat is kept.
    pub away: usize,
    /// Connections, of any phase.
    pub connections: usize,
    /// Rooms that exist.
    pub rooms: usize,
    /// Lines said since the start.
    pub lines: u64,
    /// Bytes put on all tapes since the start.
    pub tape_bytes: u64,
    /// Bytes that all tapes hold.
    pub held_bytes: u64,
    /// Bytes that all tapes can hold.
    pub backlog_bytes: usize,
    /// Bytes of tape that the slowest healthy reader has not been sent; exact only if that is much.
    pub slowest_bytes_behind: u64,
    /// The journal, if there is one.
    pub journal: Option<JournalFigures>,
    /// The bus, if there is one.
    pub bus: Option<bus::Figures>,
}

/// The work of the journal since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalFigures {
    /// Bytes on the disk.
    pub written_bytes: u64,
    /// Records that it missed, over all rooms.
    pub missed: u64,
    /// Failures of the disk.
    pub errors: u64,
}

impl BrakedTime {
    /// Adds the time up to `now`.
    pub fn advance(&mut self, now: Instant) {
        if let Some(since) = &mut self.since {
            self.total += now.saturating_duration_since(*since);
            *since = now;
        }
    }

    /// Records whether clients are held from `now` on.
    pub fn set(&mut self, is_holding: bool, now: Instant) {
        self.advance(now);
        self.since = is_holding.then_some(now);
    }

    /// Returns the sum.
    pub fn total(&self) -> Duration {
        self.total
    }
}

impl Answers {
    /// The status codes of 400 and above that the server sends.
    pub const CODES: [u16; 11] = [400, 403, 404, 405, 408, 421, 426, 429, 431, 503, 505];

    /// Counts an answer, if it refuses a request.
    pub fn count(&mut self, status: Status) {
        if let Some(index) = Answers::CODES.iter().position(|&code| code == status.code()) {
            self.0[index] += 1;
        }
    }

    /// Counts, by code.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> {
        Answers::CODES.into_iter().zip(self.0)
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("answers")?;
        let mut separator = " ";
        for (code, count) in self.iter() {
            write!(f, "{separator}{code} {count}")?;
            separator = ", ";
        }
        Ok(())
    }
}

impl TurnTimes {
    /// Records a turn that ended at `now`.
    pub fn record(&mut self, took: Duration, now: Instant) {
        self.longest = self.longest.max(took);
        let start = *self.stretch_start.get_or_insert(now);
        let passed = now.saturating_duration_since(start);
        if passed >= RECENT {
            let before = if passed < 2 * RECENT { self.recent[0] } else { Duration::ZERO };
            self.recent = [Duration::ZERO, before];
            self.stretch_start = Some(now);
        }
        self.recent[0] = self.recent[0].max(took);
    }

    /// The longest turn since the start.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The longest turn of the last minute or two in which there were turns.
    pub fn longest_recently(&self) -> Duration {
        self.recent[0].max(self.recent[1])
    }
}

/// A single line, in which a name stands before each number.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Snapshot { stats, clients, connections, rooms, lines, tape_bytes, held_bytes, backlog_bytes, .. } = self;
        let Stats { entered, browsers, passing, requests, answers, clients_most, received_bytes, sent_bytes, .. } =
            stats;
        let Stats { lags, missed_lines, reasons, turns, .. } = stats;
        write!(
            f,
            "figures: clients {clients} (most {clients_most}, came {entered}, browsers {browsers}, passing {passing}, away {}, \
             resumed {}), ",
            self.away, stats.resumed
        )?;
        write!(
            f,
            "connections {connections}, rooms {rooms}, requests {requests}, lines {lines}, bytes received {received_bytes}, "
        )?;
        write!(f, "said {tape_bytes}, sent {sent_bytes}; lags {lags}, missed {missed_lines}; {reasons}; {answers}; ")?;
        write!(f, "tape {held_bytes} of {backlog_bytes} bytes, slowest behind {}; ", self.slowest_bytes_behind)?;
        write!(
            f,
            "longest turn {} us, recently {} us",
            turns.longest().as_micros(),
            turns.longest_recently().as_micros()
        )?;
        if let Some(JournalFigures { written_bytes, missed, errors }) = self.journal {
            write!(f, "; journal: written {written_bytes} bytes, missed {missed}, errors {errors}")?;
        }
        if let Some(bus::Figures { is_together, cut_off, entries, repetitions, malformed, missed_lines, lag }) =
            self.bus
        {
            let state = if is_together { "together" } else { "cut off" };
            write!(f, "; bus: {state}, times cut off {cut_off}, entries {entries}, repetitions {repetitions}, ")?;
            write!(f, "malformed {malformed}, missed {missed_lines}, lag {} us", lag.as_micros())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn time_counts_as_braked_from_the_turn_that_holds_a_client_to_the_one_that_holds_none() {
        let start = Instant::now();
        let mut braked = BrakedTime::default();
        braked.set(false, start);
        braked.advance(start + MS);
        assert_eq!(braked.total(), Duration::ZERO);
        braked.set(true, start + MS);
        braked.advance(start + 3 * MS);
        assert_eq!(braked.total(), 2 * MS);
        braked.set(true, start + 4 * MS);
        braked.set(false, start + 6 * MS);
        braked.set(false, start + 60 * MS);
        assert_eq!(braked.total(), 5 * MS);
    }

    #[test]
    fn a_long_turn_is_recent_for_a_minute_or_two() {
        let start = Instant::now();
        let mut turns = TurnTimes::default();
        turns.record(9 * MS, start);
        turns.record(MS, start + RECENT);
        assert_eq!((turns.longest(), turns.longest_recently()), (9 * MS, 9 * MS));
        turns.record(2 * MS, start + 2 * RECENT);
        assert_eq!((turns.longest(), turns.longest_recently()), (9 * MS, 2 * MS));
    }

    #[test]
    fn the_bus_is_shown_if_there_is_one() {
        assert!(!Snapshot::default().to_string().contains("bus"));
        let bus = bus::Figures {
            is_together: false,
            cut_off: 2,
            entries: 30,
            repetitions: 4,
            malformed: 1,
            missed_lines: 50,
            lag: Duration::from_micros(600),
        };
        let shown = Snapshot { bus: Some(bus), ..Snapshot::default() }.to_string();
        let end = "; bus: cut off, times cut off 2, entries 30, repetitions 4, malformed 1, missed 50, lag 600 us";
        assert!(shown.ends_with(end), "{shown}");
        let bus = bus::Figures { is_together: true, ..bus };
        assert!(Snapshot { bus: Some(bus), ..Snapshot::default() }.to_string().contains("; bus: together, "));
    }

    #[test]
    fn a_long_turn_is_not_recent_after_a_long_rest() {
        let start = Instant::now();
        let mut turns = TurnTimes::default();
        turns.record(9 * MS, start);
        turns.record(MS, start + 3 * RECENT);
        assert_eq!(turns.longest_recently(), MS);
    }
}
