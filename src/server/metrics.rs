//! Metrics of the server: its figures as text for Prometheus, and the histogram of its turns. No other file uses
//! prometheus-client.
//!
//! The counters stay plain numbers in [`Stats`](super::stats::Stats), which the statistics of SIGUSR1 show as well. A
//! scrape reads a [`Snapshot`] of them and resets nothing. It costs a look at each room, and none at a client.
//!
//! Invariants: no label has a value that a peer chooses, so the number of series is fixed. The text of a turn is written
//! once in each format, however many scrapers ask for it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::bus;
use super::connection::Transport;
use super::fields::Token;
use super::stats::{JournalFigures, Snapshot};

/// Longest text, in bytes: 12 KiB today, with the largest numbers (a test).
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Upper ends of the buckets of turns, in microseconds: a turn that does nothing takes about 10, one that uses all its
/// budgets 8,000.
const BOUNDS_US: [u32; 15] =
    [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// Format of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0, which Prometheus asks for.
    OpenMetrics,
    /// The older text format of Prometheus, which all other tools read.
    Plain,
}

impl Format {
    /// Number of formats.
    const COUNT: usize = 2;

    /// Returns the content type (OpenMetrics 1.0, "Protocol Negotiation").
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Plain => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// Functions that ask the system for what the hub does not know.
#[derive(Clone, Copy, Debug)]
pub struct Probes {
    /// The time of day.
    pub clock: fn() -> SystemTime,
    /// The number of open descriptors of the process; `None` if asking for it would cost a look at each.
    pub open_files: fn() -> Option<u64>,
}

impl Probes {
    /// Returns those of this process.
    pub fn of_process() -> Probes {
        Probes { clock: SystemTime::now, open_files: open_files_of_process }
    }
}

/// Returns the number of open descriptors of this process. Linux tells it since 6.2, as the size of a folder
/// (proc_pid_fd(5)).
fn open_files_of_process() -> Option<u64> {
    let folder = std::fs::metadata("/proc/self/fd").ok()?;
    Some(folder.len()).filter(|&open| open > 0)
}

/// The metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    probes: Probes,
    /// Seconds from 1970 to the start of the server.
    started: f64,
    turns: TurnCounts,
    /// The texts that were written in this turn, by format.
    texts: [Option<String>; Format::COUNT],
}

/// Numbers of turns, by the time that they took.
#[derive(Clone, Copy, Debug, Default)]
struct TurnCounts {
    /// A number for each of [`BOUNDS_US`], and another for turns beyond the last.
    counts: [u64; BOUNDS_US.len() + 1],
    sum: Duration,
}

impl Metrics {
    /// Begins to count for a server that starts now.
    pub fn new(probes: Probes) -> Metrics {
        let started = (probes.clock)().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Metrics { probes, started, turns: TurnCounts::default(), texts: [None, None] }
    }

    /// Returns the time of day.
    pub fn time(&self) -> SystemTime {
        (self.probes.clock)()
    }

    /// Begins a turn: the texts of the last one are too old.
    pub fn begin_turn(&mut self) {
        self.texts = [None, None];
    }

    /// Counts a turn.
    pub fn note_turn(&mut self, took: Duration) {
        self.turns.count(took);
    }

    /// Returns the text of this turn, if it was written.
    pub fn text(&self, format: Format) -> Option<&str> {
        self.texts[format as usize].as_deref()
    }

    /// Writes the text of this turn.
    pub fn write(&mut self, format: Format, snapshot: Snapshot) -> &str {
        let figures =
            Figures { snapshot, turns: self.turns, started: self.started, open_files: (self.probes.open_files)() };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(figures));
        let mut written = String::with_capacity(TEXT_BYTES_MAX);
        // Writing to a String does not fail.
        let _ = match format {
            Format::OpenMetrics => text::encode(&mut written, &registry),
            Format::Plain => prometheus_text::encode(&mut written, &registry),
        };
        self.texts[format as usize].insert(written)
    }
}

impl TurnCounts {
    fn count(&mut self, took: Duration) {
        let bucket = BOUNDS_US.partition_point(|&bound| Duration::from_micros(bound.into()) < took);
        self.counts[bucket] += 1;
        self.sum += took;
    }

    fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS_US.iter().map(|&bound| f64::from(bound) / 1e6);
        bounds.chain([f64::INFINITY]).zip(self.counts).collect()
    }
}

/// The figures of one scrape.
#[derive(Debug)]
struct Figures {
    snapshot: Snapshot,
    turns: TurnCounts,
    started: f64,
    open_files: Option<u64>,
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        self.put_clients(&mut sheet)?;
        self.put_ends(&mut sheet)?;
        self.put_traffic(&mut sheet)?;
        self.put_flow(&mut sheet)?;
        self.put_process(&mut sheet)?;
        self.snapshot.journal.as_ref().map_or(Ok(()), |journal| put_journal(journal, &mut sheet))?;
        self.snapshot.bus.as_ref().map_or(Ok(()), |bus| put_bus(bus, &mut sheet))
    }
}

impl Figures {
    fn put_clients(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let Snapshot { stats, by_transport, has_console, away, rooms, .. } = &self.snapshot;
        let clients = Transport::LABELS.into_iter().zip(by_transport.map(|count| count as u64));
        let console = [("console", u64::from(*has_console))];
        let help = "Clients that are present and connected, by transport";
        sheet.gauges("pollchat_clients", help, "transport", clients.chain(console))?;
        let help = "Clients whose connection is lost and whose seat is kept";
        sheet.gauge("pollchat_clients_away", help, &(*away as u64))?;
        sheet.gauge("pollchat_rooms", "Rooms that exist, the lobby included", &(*rooms as u64))?;
        let help = "Connections accepted on the ports of clients and of the page";
        sheet.counter("pollchat_accepted", help, stats.accepted)?;
        sheet.counter("pollchat_entered", "Clients that became present", stats.entered)?;
        let help = "Sessions of tracked clients that went on over another connection";
        sheet.counter("pollchat_resumed", help, stats.resumed)?;
        let help = "Connections that ended before any room or the log learned of a client: health checks, say";
        sheet.counter("pollchat_passing", help, stats.passing)
    }

    fn put_ends(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let stats = &self.snapshot.stats;
        let help = "Connections that the server turned away, by reason";
        sheet.counters("pollchat_refused", help, "reason", tokens(stats.reasons.refusals()))?;
        let help = "Ends of connections that were not turned away, by reason";
        sheet.counters("pollchat_disconnects", help, "reason", tokens(stats.reasons.disconnects()))?;
        sheet.counter("pollchat_requests", "HTTP requests at the page's port", stats.requests)?;
        let answers = stats.answers.iter().map(|(code, count)| (code.to_string(), count));
        sheet.counters(
            "pollchat_refused_requests",
            "HTTP requests that were refused, by status code",
            "code",
            answers,
        )?;
        sheet.counter("pollchat_scrapes", "HTTP requests at the port of metrics", stats.scrapes)
    }

    fn put_traffic(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let Snapshot { stats, lines, .. } = &self.snapshot;
        let help = "Lines taken of clients, commands and overlong lines included";
        sheet.counter("pollchat_lines_received", help, stats.received_lines)?;
        sheet.counter("pollchat_lines_said", "Lines put on the tape of a room, without notices", *lines)?;
        let help = "Said lines, each counted when it is said, once for each connection that reads it (its author, too, if it \
                    is sent its own lines). pollchat_lines_missed_total counts those among them that were then skipped";
        sheet.counter("pollchat_lines_delivered", help, stats.delivered_lines)?;
        let help =
            "Lines that clients missed because they fell behind, summed over clients; for tracked clients with notices";
        sheet.counter("pollchat_lines_missed", help, stats.missed_lines)?;
        sheet.counter("pollchat_lags", "Times that a client which had kept up fell behind", stats.lags)?;
        let help = "Bytes read from all connections: ciphertext, with TLS";
        sheet.counter("pollchat_bytes_received", help, stats.received_bytes)?;
        let help = "Bytes written to all connections: ciphertext, with TLS";
        sheet.counter("pollchat_bytes_sent", help, stats.sent_bytes)
    }

    fn put_flow(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let Snapshot { stats, held_bytes, slowest_bytes_behind, .. } = &self.snapshot;
        sheet.gauge("pollchat_tape_bytes", "Bytes that the tapes of all rooms hold", held_bytes)?;
        let help = "Bytes of tape that the slowest reader has not been sent; exact only if that is much";
        sheet.gauge("pollchat_slowest_reader_bytes", help, slowest_bytes_behind)?;
        let help = "Time in which clients waited for slower readers";
        sheet.counter_of_seconds("pollchat_braked_seconds", help, stats.braked.total())?;
        let help = "Time that a turn of the loop took, without its wait for events";
        sheet.histogram("pollchat_turn_seconds", help, &self.turns)
    }

    fn put_process(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        if let Some(open_files) = self.open_files {
            sheet.gauge("pollchat_open_fds", "Open descriptors of the process", &open_files)?;
        }
        let version = [(env!("CARGO_PKG_VERSION"), 1)];
        sheet.gauges("pollchat_build_info", "Version of the server; always 1", "version", version.into_iter())?;
        let help = "Start of the process, in seconds since 1970";
        sheet.gauge("process_start_time_seconds", help, &self.started)
    }
}

fn put_journal(journal: &JournalFigures, sheet: &mut Sheet<'_>) -> fmt::Result {
    let JournalFigures { written_bytes, missed, errors } = *journal;
    sheet.counter("pollchat_journal_written_bytes", "Bytes of the journal that were put on the disk", written_bytes)?;
    let help = "Records that the journal has missed, over all rooms";
    sheet.counter("pollchat_journal_missed_records", help, missed)?;
    sheet.counter("pollchat_journal_errors", "Failures of the disk of the journal", errors)
}

fn put_bus(bus: &bus::Figures, sheet: &mut Sheet<'_>) -> fmt::Result {
    let bus::Figures { is_together, cut_off, entries, repetitions, malformed, missed_lines, lag } = *bus;
    let help = "Whether the server is together with the others: 0 while it is cut off from Redis";
    sheet.gauge("pollchat_bus_together", help, &u64::from(is_together))?;
    sheet.counter("pollchat_bus_cut_offs", "Times that the server was cut off from Redis", cut_off)?;
    sheet.counter("pollchat_bus_entries", "Entries read from Redis, repetitions included", entries)?;
    sheet.counter("pollchat_bus_repetitions", "Entries dropped as repetitions", repetitions)?;
    let help = "Entries dropped because no server writes such entries";
    sheet.counter("pollchat_bus_malformed", help, malformed)?;
    let help = "Said lines of other servers that were lost between the servers";
    sheet.counter("pollchat_bus_missed_lines", help, missed_lines)?;
    let help = "Time from the write of the server's last entry until it was read back";
    sheet.gauge("pollchat_bus_lag_seconds", help, &lag.as_secs_f64())
}

/// Returns the values of a label: the same words as in the log.
fn tokens(counts: impl Iterator<Item = (&'static str, u64)>) -> impl Iterator<Item = (String, u64)> {
    counts.map(|(label, count)| (Token(label).to_string(), count))
}

/// The metrics that are being written.
struct Sheet<'a>(DescriptorEncoder<'a>);

impl Sheet<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(value)
    }

    /// Writes one gauge for each value of a label.
    fn gauges<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (value, count) in values {
            encoder.encode_family(&[(label, value)])?.encode_gauge(&count)?;
        }
        Ok(())
    }

    /// Writes a counter, whose name gets `_total` at its end.
    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        encoder.encode_counter::<NoLabelSet, _, f64>(&count, None)
    }

    fn counter_of_seconds(&mut self, name: &str, help: &str, sum: Duration) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        encoder.encode_counter::<NoLabelSet, _, f64>(&sum.as_secs_f64(), None)
    }

    /// Writes one counter for each value of a label.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (String, u64)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in values {
            let labels = [(label, value.as_str())];
            encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, turns: &TurnCounts) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let (sum, count) = (turns.sum.as_secs_f64(), turns.counts.iter().sum());
        encoder.encode_histogram::<NoLabelSet>(sum, count, &turns.buckets(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_counts_in_the_first_bucket_that_is_no_shorter() {
        let mut turns = TurnCounts::default();
        for us in [0, 10, 11, 25, 8_000, 1_000_000, 1_000_001] {
            turns.count(Duration::from_micros(us));
        }
        let buckets = turns.buckets();
        let filled: Vec<_> = buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(0.000_01, 2), (0.000_025, 2), (0.01, 1), (1.0, 1), (f64::INFINITY, 1)]);
        assert_eq!(turns.sum, Duration::from_micros(2_008_047));
    }

    #[test]
    fn an_unknown_number_of_descriptors_is_left_out() {
        let probes = |open_files| Metrics::new(Probes { clock: || UNIX_EPOCH, open_files });
        let text = |open_files| probes(open_files).write(Format::Plain, Snapshot::default()).to_owned();
        assert!(text(|| Some(7)).contains("\npollchat_open_fds 7\n"));
        assert!(!text(|| None).contains("fds"));
    }

    #[test]
    fn the_longest_text_fits_its_limit() {
        let (journal, bus) = (Some(JournalFigures::default()), Some(bus::Figures::default()));
        let mut snapshot = Snapshot { journal, bus, ..Snapshot::default() };
        snapshot.stats.sent_bytes = u64::MAX;
        let mut metrics = Metrics::new(Probes::of_process());
        for format in [Format::OpenMetrics, Format::Plain] {
            let text = metrics.write(format, snapshot).to_owned();
            // Each number may become as long as the longest.
            let longest = text.len() + text.lines().count() * u64::MAX.to_string().len();
            assert!(longest <= TEXT_BYTES_MAX, "{longest}");
            assert_eq!(metrics.text(format), Some(text.as_str()));
        }
        metrics.begin_turn();
        assert_eq!(metrics.text(Format::Plain), None);
    }

    #[test]
    fn the_bus_has_metrics_if_there_is_one() {
        let mut metrics = Metrics::new(Probes::of_process());
        assert!(!metrics.write(Format::OpenMetrics, Snapshot::default()).contains("bus"));
        let bus = bus::Figures {
            is_together: true,
            cut_off: 2,
            entries: 30,
            repetitions: 4,
            malformed: 1,
            missed_lines: 50,
            lag: Duration::from_micros(250),
        };
        let text = metrics.write(Format::OpenMetrics, Snapshot { bus: Some(bus), ..Snapshot::default() });
        for series in [
            "together 1",
            "cut_offs_total 2",
            "entries_total 30",
            "repetitions_total 4",
            "malformed_total 1",
            "missed_lines_total 50",
            "lag_seconds 0.00025",
        ] {
            assert!(text.contains(&format!("\npollchat_bus_{series}\n")), "{series} in {text}");
        }
    }

    #[test]
    fn labels_have_the_words_of_the_log() {
        let mut metrics = Metrics::new(Probes::of_process());
        let text = metrics.write(Format::OpenMetrics, Snapshot::default());
        for series in [
            "pollchat_refused_total{reason=\"no_proxy_header\"} 0",
            "pollchat_refused_total{reason=\"http\"} 0",
            "pollchat_disconnects_total{reason=\"eof\"} 0",
            "pollchat_disconnects_total{reason=\"websocket_error\"} 0",
            "pollchat_clients{transport=\"tcp\"} 0",
        ] {
            assert!(text.contains(&format!("\n{series}\n")), "{series} in {text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
