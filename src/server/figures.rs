//! The figures of a snapshot, each with a name for programs. The order `stats` lists them.

use super::bus;
use super::fields::Token;
use super::stats::{JournalFigures, Snapshot};

impl Snapshot {
    /// Returns all figures, by name. Names of one kind begin alike: `refused_full`, `left_goodbye`, `answers_404`.
    pub fn figures(&self) -> Vec<(String, u64)> {
        let stats = &self.stats;
        let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut figures: Vec<(String, u64)> = [
            ("clients", self.clients as u64),
            ("clients_most", stats.clients_most as u64),
            ("clients_away", self.away as u64),
            ("connections", self.connections as u64),
            ("rooms", self.rooms as u64),
            ("entered", stats.entered),
            ("entered_browsers", stats.browsers),
            ("resumed", stats.resumed),
            ("passing", stats.passing),
            ("lines", self.lines),
            ("lags", stats.lags),
            ("missed_lines", stats.missed_lines),
            ("received_bytes", stats.received_bytes),
            ("sent_bytes", stats.sent_bytes),
            ("tape_bytes", self.tape_bytes),
            ("tape_held_bytes", self.held_bytes),
            ("tape_limit_bytes", self.backlog_bytes as u64),
            ("slowest_behind_bytes", self.slowest_bytes_behind),
            ("turn_longest_us", micros(stats.turns.longest())),
            ("turn_longest_recently_us", micros(stats.turns.longest_recently())),
            ("requests", stats.requests),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let reasons = &stats.reasons;
        figures.extend(reasons.refusals().map(|(label, count)| (format!("refused_{}", Token(label)), count)));
        figures.extend(reasons.disconnects().map(|(label, count)| (format!("left_{}", Token(label)), count)));
        figures.extend(stats.answers.iter().map(|(code, count)| (format!("answers_{code}"), count)));
        if let Some(JournalFigures { written_bytes, missed, errors }) = self.journal {
            let journal = [("written_bytes", written_bytes), ("missed", missed), ("errors", errors)];
            figures.extend(journal.map(|(name, value)| (format!("journal_{name}"), value)));
        }
        if let Some(bus::Figures { is_together, cut_off, entries, repetitions, malformed, missed_lines, lag }) =
            self.bus
        {
            let bus = [
                ("together", u64::from(is_together)),
                ("cut_off", cut_off),
                ("entries", entries),
                ("repetitions", repetitions),
                ("malformed", malformed),
                ("missed_lines", missed_lines),
                ("lag_us", micros(lag)),
            ];
            figures.extend(bus.map(|(name, value)| (format!("bus_{name}"), value)));
        }
        figures
    }
}
