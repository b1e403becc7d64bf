//! The days of the lines shown, and the rule between two of them. Pure, but for the zone and the day of the start.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The local day of the last line.
#[derive(Debug)]
pub(super) struct Days {
    zone: TimeZone,
    last: Date,
    /// The day of the start: a rule of its year has no year.
    today: Date,
}

impl Days {
    /// Begins today. Reads the time zone once, here.
    pub(super) fn new() -> Days {
        Days::in_zone(TimeZone::system(), Timestamp::now())
    }

    fn in_zone(zone: TimeZone, now: Timestamp) -> Days {
        let today = now.to_zoned(zone.clone()).date();
        Days { zone, last: today, today }
    }

    /// Returns the rule before a line of this time, in ms since 1970, if the line is of another day than the last one.
    pub(super) fn rule_before(&mut self, time_ms: u64) -> Option<String> {
        let time = Timestamp::from_millisecond(i64::try_from(time_ms).ok()?).ok()?;
        let day = time.to_zoned(self.zone.clone()).date();
        if day == self.last {
            return None;
        }
        self.last = day;
        let format = if day.year() == self.today.year() { "%A, %-d %B" } else { "%A, %-d %B %Y" };
        Some(format!("---- {} ----", day.strftime(format)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;
    /// 2026-11-27, 12:00 UTC.
    const NOON_MS: u64 = 1_795_780_800_000;

    fn days(zone: TimeZone) -> Days {
        Days::in_zone(zone, Timestamp::from_millisecond(NOON_MS.cast_signed()).unwrap())
    }

    #[test]
    fn a_rule_stands_where_the_local_day_changes() {
        let mut days = days(TimeZone::UTC);
        let rule = |days: &mut Days, time_ms| days.rule_before(time_ms).unwrap_or_default();
        assert_eq!(rule(&mut days, NOON_MS - DAY_MS), "---- Thursday, 26 November ----");
        assert_eq!(rule(&mut days, NOON_MS - DAY_MS / 2 - 1), "");
        assert_eq!(rule(&mut days, NOON_MS - DAY_MS / 2), "---- Friday, 27 November ----");
        assert_eq!(rule(&mut days, NOON_MS), "");
        assert_eq!(rule(&mut days, NOON_MS - 365 * DAY_MS), "---- Thursday, 27 November 2025 ----");
    }

    #[test]
    fn a_line_of_today_needs_no_rule_and_one_of_no_time_neither() {
        let mut days = days(TimeZone::fixed(jiff::tz::offset(13)));
        assert_eq!(days.rule_before(NOON_MS), None);
        assert_eq!(days.rule_before(u64::MAX), None);
        assert_eq!(days.rule_before(NOON_MS - 2 * 3_600_000).as_deref(), Some("---- Friday, 27 November ----"));
    }
}
