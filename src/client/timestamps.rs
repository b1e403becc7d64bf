//! The local time before each shown line.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::Times;

/// Formats the local time, or nothing.
#[derive(Clone, Debug)]
pub(crate) struct Timestamps {
    form: Option<Form>,
}

#[derive(Clone, Debug)]
struct Form {
    zone: TimeZone,
    has_seconds: bool,
}

impl Timestamps {
    /// Times in a pipe: none, unless they are asked for.
    pub(crate) fn in_pipe(times: Times) -> Timestamps {
        Timestamps::new((times == Times::Seconds).then_some(true))
    }

    /// Times at a terminal: hours and minutes, unless others are asked for.
    pub(crate) fn at_terminal(times: Times) -> Timestamps {
        Timestamps::new(match times {
            Times::Auto => Some(false),
            Times::Seconds => Some(true),
            Times::None => None,
        })
    }

    /// Reads the time zone once, here.
    fn new(has_seconds: Option<bool>) -> Timestamps {
        Timestamps { form: has_seconds.map(|has_seconds| Form { zone: TimeZone::system(), has_seconds }) }
    }

    /// Returns the prefix of a line that arrives now: `14:03:07 ` or `14:03 `, or nothing.
    pub(crate) fn prefix(&self) -> String {
        self.prefix_at(Timestamp::now())
    }

    /// Returns the prefix of a line of this time, in ms since 1970.
    pub(crate) fn prefix_of(&self, time_ms: u64) -> String {
        let time = i64::try_from(time_ms).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
        self.prefix_at(time.unwrap_or_else(Timestamp::now))
    }

    /// Columns of a prefix.
    pub(crate) fn columns(&self) -> usize {
        match &self.form {
            None => 0,
            Some(form) if form.has_seconds => "14:03:07 ".len(),
            Some(_) => "14:03 ".len(),
        }
    }

    fn prefix_at(&self, time: Timestamp) -> String {
        let Some(Form { zone, has_seconds }) = &self.form else { return String::new() };
        let local: Zoned = time.to_zoned(zone.clone());
        let minutes = format!("{:02}:{:02}", local.hour(), local.minute());
        if *has_seconds { format!("{minutes}:{:02} ", local.second()) } else { minutes + " " }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_in_the_local_zone_or_empty() {
        let time = Timestamp::from_second(86_400 * 366 + 7).unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(-3));
        for (has_seconds, prefix) in [(true, "21:00:07 "), (false, "21:00 ")] {
            let form = Form { zone: zone.clone(), has_seconds };
            assert_eq!(Timestamps { form: Some(form) }.prefix_at(time), prefix);
        }
        assert_eq!(Timestamps::in_pipe(Times::Auto).prefix(), "");
        assert_eq!(Timestamps::in_pipe(Times::None).prefix(), "");
        for times in [Times::Auto, Times::Seconds, Times::None] {
            let timestamps = Timestamps::at_terminal(times);
            assert_eq!(timestamps.prefix().len(), timestamps.columns());
        }
        assert_eq!(Timestamps::at_terminal(Times::None).prefix(), "");
    }
}
