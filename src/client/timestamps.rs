//! The local time before each shown line, for `--timestamps`.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Formats the local time, or nothing.
#[derive(Clone, Debug)]
pub(crate) struct Timestamps {
    zone: Option<TimeZone>,
}

impl Timestamps {
    /// Timestamps that are empty unless `is_enabled`. Reads the time zone once, here.
    pub(crate) fn new(is_enabled: bool) -> Timestamps {
        Timestamps { zone: is_enabled.then(TimeZone::system) }
    }

    /// Returns the prefix of a line that arrives now: `14:03:07 `, or nothing.
    pub(crate) fn prefix(&self) -> String {
        self.prefix_at(Timestamp::now())
    }

    /// Returns the prefix of a line of this time, in ms since 1970.
    pub(crate) fn prefix_of(&self, time_ms: u64) -> String {
        let time = i64::try_from(time_ms).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
        self.prefix_at(time.unwrap_or_else(Timestamp::now))
    }

    fn prefix_at(&self, time: Timestamp) -> String {
        self.zone.as_ref().map_or_else(String::new, |zone| {
            let local: Zoned = time.to_zoned(zone.clone());
            format!("{:02}:{:02}:{:02} ", local.hour(), local.minute(), local.second())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_in_the_local_zone_or_empty() {
        let time = Timestamp::from_second(86_400 * 366 + 7).unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(-3));
        assert_eq!(Timestamps { zone: Some(zone) }.prefix_at(time), "21:00:07 ");
        assert_eq!(Timestamps::new(false).prefix(), "");
        assert_eq!(Timestamps::new(true).prefix().len(), "21:00:07 ".len());
    }
}
