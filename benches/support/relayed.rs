//! Lines that can be followed through a relay: who said each of them, which one it is, when it was said; and what
//! became of them on their way.

use std::time::Instant;

use hdrhistogram::Histogram;

use super::load::Ear;

/// Bytes of a line as it is said, its newline included.
pub(crate) const LINE_BYTES: usize = 40;

/// What a followed line begins with.
const MARK: u8 = b'#';

/// Digits of the talker, and of the number of the line.
const TALKER_DIGITS: usize = 4;
const NUMBER_DIGITS: usize = 10;

/// Appends the text of one followed line to `bytes`. It holds no blank: to some relays that would be an argument's end.
pub(crate) fn write_line(bytes: &mut Vec<u8>, talker: usize, number: u64) {
    use std::io::Write as _;
    let start = bytes.len();
    // Writing to a vector cannot fail.
    let _ = write!(bytes, "#{talker:0TALKER_DIGITS$}{number:0NUMBER_DIGITS$}");
    bytes.resize(start + LINE_BYTES - 1, b'.');
    bytes.push(b'\n');
}

/// What the text of a line, without its end, says of who said it and which one it is.
///
/// `None` for a line that was not said by one of us, `Some(None)` for one that was, and that was damaged on its way.
pub(crate) fn parse_line(line: &[u8]) -> Option<Option<(usize, u64)>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let payload = line.len().checked_sub(LINE_BYTES - 1).map(|start| &line[start..]);
    match payload {
        Some([MARK, digits @ ..]) if !line[..line.len() - payload?.len()].contains(&MARK) => {
            let (talker, number) = digits[..TALKER_DIGITS + NUMBER_DIGITS].split_at(TALKER_DIGITS);
            let is_whole = digits[TALKER_DIGITS + NUMBER_DIGITS..].iter().all(|byte| *byte == b'.');
            let talker = decimal(talker).and_then(|talker| usize::try_from(talker).ok());
            Some(talker.zip(decimal(number)).filter(|_| is_whole))
        }
        _ => line.contains(&MARK).then_some(None),
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let mut number = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = 10 * number + u64::from(digit - b'0');
    }
    Some(number)
}

/// Follows the lines of some talkers to all who hear them.
pub(crate) struct Follower {
    talkers: Vec<Talker>,
    /// The number of the next line of each talker, for each client: `client * talkers + talker`.
    expected: Vec<u64>,
    /// How many hear each line.
    audience: u32,
    /// How many lines of one talker may be under way at the same time.
    window: u64,
    latencies: Histogram<u64>,
    /// The last latency, and how often it came in a row: most lines that are read together were said together.
    run: (u64, u64),
    pub(crate) deliveries: u64,
    /// Lines that did not come, that came twice or out of order, or that were not what was said.
    pub(crate) lost: u64,
}

struct Talker {
    next: u64,
    /// Of the lines under way, by their number modulo the window: when each was said, and how many have yet to hear it.
    under_way: Vec<(Instant, u32)>,
    in_flight: u64,
}

impl Follower {
    /// Follows lines of clients `0..talkers` to all of `clients` but the talker itself; and of these only to those who
    /// do not talk, if `talkers_listen` is false.
    pub(crate) fn new(clients: usize, talkers: usize, window: u64, talkers_listen: bool) -> Follower {
        let audience = if talkers_listen { clients - 1 } else { clients - talkers };
        let slots = usize::try_from(window).unwrap_or(usize::MAX);
        let talker = || Talker { next: 0, under_way: vec![(Instant::now(), 0); slots], in_flight: 0 };
        Follower {
            talkers: (0..talkers).map(|_| talker()).collect(),
            expected: vec![0; clients * talkers],
            audience: u32::try_from(audience).unwrap_or(u32::MAX),
            window,
            latencies: new_histogram(),
            run: (0, 0),
            deliveries: 0,
            lost: 0,
        }
    }

    /// Fills `bytes` with as many lines as a talker may say now, each with `say` before it, and tells how many they
    /// are.
    pub(crate) fn fill(&mut self, talker: usize, say: &[u8], bytes: &mut Vec<u8>) -> u64 {
        bytes.clear();
        let now = Instant::now();
        let Talker { next, under_way, in_flight } = &mut self.talkers[talker];
        let free = self.window - *in_flight;
        for number in *next..*next + free {
            bytes.extend_from_slice(say);
            write_line(bytes, talker, number);
            under_way[slot(number, self.window)] = (now, self.audience);
        }
        *next += free;
        *in_flight += free;
        free
    }

    /// Whether all have heard all that was said.
    pub(crate) fn is_settled(&self) -> bool {
        self.talkers.iter().all(|talker| talker.in_flight == 0)
    }

    /// Gives up what has not come: it is lost.
    pub(crate) fn give_up(&mut self) {
        for talker in &mut self.talkers {
            let missing: u64 = talker.under_way.iter().map(|(_, missing)| u64::from(*missing)).sum();
            self.lost += missing;
            talker.under_way.iter_mut().for_each(|(_, missing)| *missing = 0);
            talker.in_flight = 0;
        }
    }

    /// Forgets what was counted and timed so far, and goes on.
    pub(crate) fn start_counting(&mut self) {
        (self.deliveries, self.lost) = (0, 0);
        self.latencies.reset();
        self.run.1 = 0;
    }

    /// How long deliveries took, from the talker's `send` to the receiver's `recv`.
    pub(crate) fn latencies(&mut self) -> &Histogram<u64> {
        self.record_run();
        &self.latencies
    }

    fn record_run(&mut self) {
        let (nanoseconds, times) = self.run;
        if times > 0 {
            record(&mut self.latencies, nanoseconds, times);
        }
        self.run.1 = 0;
    }

    fn on_line(&mut self, client: usize, talker: usize, number: u64, now: Instant) {
        if client == talker {
            // Some relays give everyone their own lines, too. Nobody waits for these.
            return;
        }
        let place = client * self.talkers.len() + talker;
        let expected = self.expected[place];
        if number != expected {
            if number < expected || number >= self.talkers[talker].next {
                self.lost += 1;
                return;
            }
            self.lost += number - expected;
            for missed in expected..number {
                self.tick_off(talker, missed);
            }
        }
        self.expected[place] = number + 1;
        self.deliveries += 1;
        let said_at = self.tick_off(talker, number);
        let nanoseconds = u64::try_from(now.saturating_duration_since(said_at).as_nanos()).unwrap_or(u64::MAX);
        if nanoseconds != self.run.0 {
            self.record_run();
            self.run.0 = nanoseconds;
        }
        self.run.1 += 1;
    }

    /// One more has heard (or will never hear) this line. Returns when it was said.
    fn tick_off(&mut self, talker: usize, number: u64) -> Instant {
        let talker = &mut self.talkers[talker];
        let (said_at, missing) = &mut talker.under_way[slot(number, self.window)];
        *missing = missing.saturating_sub(1);
        if *missing == 0 {
            talker.in_flight = talker.in_flight.saturating_sub(1);
        }
        *said_at
    }
}

impl Ear for Follower {
    fn on_lines(&mut self, client: usize, lines: &[u8], now: Instant) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', lines) {
            match parse_line(&lines[start..end]) {
                Some(Some((talker, number))) if talker < self.talkers.len() => {
                    self.on_line(client, talker, number, now);
                }
                Some(_) => self.lost += 1,
                None => {}
            }
            start = end + 1;
        }
    }
}

fn slot(number: u64, window: u64) -> usize {
    usize::try_from(number % window).unwrap_or(0)
}

/// Times of more than ten minutes count as ten minutes.
const NANOSECONDS_MAX: u64 = 600_000_000_000;

/// A histogram of nanoseconds, to three digits.
pub(crate) fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_max(NANOSECONDS_MAX, 3).unwrap_or_else(|_| unreachable!("three digits of ten minutes"))
}

/// Records a time, so many times.
pub(crate) fn record(histogram: &mut Histogram<u64>, nanoseconds: u64, times: u64) {
    histogram.saturating_record_n(nanoseconds.max(1), times);
}
