//! The log lines of the bus of a server: one a minute of each kind, and one once a connection works after a line that
//! none does. The bus does not know the hub, and so not its [reports](crate::server::report).

use std::mem;
use std::time::Instant;

use crate::server::report::PERIOD;

/// Kinds of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A connection failed, or could not be made.
    Failed,
    /// Redis refuses the server.
    Refused,
    /// Redis takes no writes for the time being.
    Later,
    /// Another client of Redis writes as this server.
    Forged,
    /// Entries of another form were dropped.
    Malformed,
}

/// The last lines.
#[derive(Debug)]
pub(super) struct Throttle {
    times: Vec<(Kind, Instant)>,
    /// Whether the log does not know that a connection works.
    owes_up: bool,
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle { times: Vec::new(), owes_up: true }
    }
}

impl Throttle {
    /// Whether a line of this kind is logged now.
    pub(super) fn lets_through(&mut self, kind: Kind, now: Instant) -> bool {
        self.times.retain(|(_, time)| now.saturating_duration_since(*time) < PERIOD);
        let is_new = self.times.iter().all(|(other, _)| *other != kind);
        if is_new {
            self.times.push((kind, now));
            self.owes_up |= matches!(kind, Kind::Failed | Kind::Refused);
        }
        is_new
    }

    /// Whether it is logged that a connection works.
    pub(super) fn lets_up_through(&mut self) -> bool {
        mem::take(&mut self.owes_up)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_kind_is_logged_once_a_minute() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        assert!(throttle.lets_through(Kind::Failed, start));
        assert!(!throttle.lets_through(Kind::Failed, start + PERIOD - Duration::from_millis(1)));
        assert!(throttle.lets_through(Kind::Refused, start + PERIOD / 2));
        assert!(throttle.lets_through(Kind::Failed, start + PERIOD));
    }

    #[test]
    fn a_connection_that_works_is_logged_at_first_and_after_each_line_that_none_does() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let mut up = |kinds: &[Kind]| {
            kinds.iter().for_each(|kind| _ = throttle.lets_through(*kind, start));
            throttle.lets_up_through()
        };
        assert!(up(&[]));
        assert!(!up(&[Kind::Later, Kind::Forged, Kind::Malformed]), "connections go on");
        assert!(up(&[Kind::Failed]));
        assert!(!up(&[Kind::Failed]), "the second one was not logged");
        assert!(up(&[Kind::Refused]));
    }
}
