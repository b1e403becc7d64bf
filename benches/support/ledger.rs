//! What was measured: each figure of each subject in each case, round by round.

use std::fmt;

use serde::Serialize;

/// What is measured, and in what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
}

/// Units as the ledger keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Nanoseconds,
    Bytes,
    Count,
    PerSecond,
    /// One part of a hundred.
    Percent,
}

/// All figures of a benchmark, in the order in which they came up.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) case: String,
    pub(crate) subject: String,
    #[serde(flatten)]
    pub(crate) figure: Figure,
    rounds: Vec<f64>,
}

impl Figure {
    pub(crate) const fn new(name: &'static str, unit: Unit) -> Figure {
        Figure { name, unit }
    }
}

impl Ledger {
    /// Adds what one round found.
    pub(crate) fn add(&mut self, case: &str, subject: &str, figure: Figure, value: f64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.is(case, subject, figure)) {
            entry.rounds.push(value);
        } else {
            let rounds = vec![value];
            self.entries.push(Entry { case: case.to_owned(), subject: subject.to_owned(), figure, rounds });
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What was found, if anything was.
    pub(crate) fn entry(&self, case: &str, subject: &str, figure: Figure) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.is(case, subject, figure))
    }

    /// The median of all rounds.
    pub(crate) fn median(&self, case: &str, subject: &str, figure: Figure) -> Option<f64> {
        self.entry(case, subject, figure).map(Entry::median)
    }

    /// The median of the ratios of two subjects that were measured one after the other, round by round.
    pub(crate) fn ratio(&self, case: &str, of: &str, to: &str, figure: Figure) -> Option<f64> {
        let (of, to) = (self.entry(case, of, figure)?, self.entry(case, to, figure)?);
        let ratios = of.rounds.iter().zip(&to.rounds).map(|(of, to)| of / to).collect();
        Some(median(ratios))
    }

    /// What was found of a subject in all rounds of all cases together.
    pub(crate) fn sum_of(&self, subject: &str, figure: Figure) -> f64 {
        self.entries.iter().filter(|entry| entry.subject == subject && entry.figure == figure).map(Entry::sum).sum()
    }

    /// All cases that figures were found for, in the order in which they came up.
    pub(crate) fn cases(&self) -> Vec<&str> {
        unique(self.entries.iter().map(|entry| entry.case.as_str()))
    }

    /// All subjects of a case, in the order in which they came up.
    pub(crate) fn subjects(&self, case: &str) -> Vec<&str> {
        unique(self.entries.iter().filter(|entry| entry.case == case).map(|entry| entry.subject.as_str()))
    }
}

impl Entry {
    fn is(&self, case: &str, subject: &str, figure: Figure) -> bool {
        self.case == case && self.subject == subject && self.figure == figure
    }

    pub(crate) fn median(&self) -> f64 {
        median(self.rounds.clone())
    }

    pub(crate) fn worst(&self) -> f64 {
        self.rounds.iter().copied().fold(0.0, f64::max)
    }

    pub(crate) fn sum(&self) -> f64 {
        self.rounds.iter().sum()
    }
}

/// The median, and the least and the greatest when they differ from it.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.figure.unit;
        f.write_str(&unit.show(self.median()))?;
        let least = unit.show(self.rounds.iter().copied().fold(f64::INFINITY, f64::min));
        let greatest = unit.show(self.rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        if least == greatest { Ok(()) } else { write!(f, " ({least} – {greatest})") }
    }
}

impl Unit {
    /// A value with its unit, to three digits.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Unit::Bytes if value < 0.0 => format!("-{}", self.show(-value)),
            Unit::Nanoseconds if value >= 1e9 => format!("{} s", digits(value / 1e9)),
            Unit::Nanoseconds if value >= 1e6 => format!("{} ms", digits(value / 1e6)),
            Unit::Nanoseconds if value >= 1e3 => format!("{} µs", digits(value / 1e3)),
            Unit::Nanoseconds => format!("{} ns", digits(value)),
            Unit::Bytes if value >= 10.0 * 1_048_576.0 => format!("{} MiB", digits(value / 1_048_576.0)),
            Unit::Bytes if value >= 10_240.0 => format!("{} KiB", digits(value / 1_024.0)),
            Unit::Bytes => format!("{} B", digits(value.round())),
            Unit::Count => digits(value),
            Unit::PerSecond => format!("{}/s", digits(value)),
            Unit::Percent => format!("{value:.1} %"),
        }
    }
}

fn digits(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value < 10.0 && value.fract() != 0.0 => format!("{value:.2}"),
        value if value < 100.0 && value.fract() != 0.0 => format!("{value:.1}"),
        value => grouped(&format!("{value:.0}")),
    }
}

/// `19900` as `19,900`.
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut unique = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}
