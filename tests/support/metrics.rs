//! A strict parser of metrics, in both text formats: what is malformed, declared twice or not at all is a panic.

use std::collections::BTreeMap;

/// The metrics of one scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Scrape {
    /// The value of each series, by its name with its labels as they are written.
    series: BTreeMap<String, f64>,
    /// The type of each family, by its name.
    types: BTreeMap<String, String>,
}

/// A family while it is read.
struct Family {
    name: String,
    kind: String,
}

impl Scrape {
    /// Parses OpenMetrics 1.0.
    #[track_caller]
    pub fn of_open_metrics(text: &str) -> Scrape {
        let text = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no end: {text}"));
        Scrape::parse(text, "_total")
    }

    /// Parses the older text format.
    #[track_caller]
    pub fn of_plain(text: &str) -> Scrape {
        Scrape::parse(text, "")
    }

    /// `counter_suffix`: what the name of a counter has behind that of its family.
    #[track_caller]
    fn parse(text: &str, counter_suffix: &str) -> Scrape {
        let mut scrape = Scrape { series: BTreeMap::new(), types: BTreeMap::new() };
        let mut helped: Option<&str> = None;
        let mut family: Option<Family> = None;
        assert!(text.ends_with('\n'), "the last line ends");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
                assert!(!words.trim().is_empty() && helped.is_none(), "{line}");
                helped = Some(name);
            } else if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
                assert_eq!(helped.take(), Some(name), "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(scrape.types.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
                family = Some(Family { name: name.to_owned(), kind: kind.to_owned() });
            } else {
                assert!(!line.starts_with('#') && helped.is_none(), "{line}");
                let family = family.as_ref().unwrap_or_else(|| panic!("not declared: {line}"));
                scrape.add(line, family, counter_suffix);
            }
        }
        scrape.check_histograms();
        scrape
    }

    #[track_caller]
    fn add(&mut self, line: &str, family: &Family, counter_suffix: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let (name, labels) = series.split_once('{').map_or((series, None), |(name, labels)| (name, Some(labels)));
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
        let suffix = name.strip_prefix(&family.name).unwrap_or_else(|| panic!("of another family: {line}"));
        match family.kind.as_str() {
            "counter" => assert!(suffix == counter_suffix && name.ends_with("_total"), "{line}"),
            "gauge" => assert_eq!(suffix, "", "{line}"),
            _ => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
        }
        if let Some(labels) = labels {
            let label = labels.strip_suffix("\"}").and_then(|labels| labels.split_once("=\""));
            let (key, of) = label.unwrap_or_else(|| panic!("no label: {line}"));
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
            assert!(["transport", "reason", "code", "le", "version"].contains(&key), "{line}");
            assert!(!of.is_empty() && of.bytes().all(is_plain), "{line}");
        }
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(value.is_finite() && value >= 0.0, "{line}");
        assert!(self.series.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }

    #[track_caller]
    fn check_histograms(&self) {
        for (name, _) in self.types.iter().filter(|(_, kind)| *kind == "histogram") {
            let prefix = format!("{name}_bucket{{le=\"");
            let bound = |series: &str| {
                let bound = &series[prefix.len()..series.len() - 2];
                if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a bound") }
            };
            let of = self.series.iter().filter(|(series, _)| series.starts_with(&prefix));
            let mut buckets: Vec<(f64, f64)> = of.map(|(series, &count)| (bound(series), count)).collect();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.iter().is_sorted_by_key(|bucket| bucket.1), "{buckets:?}");
            let last = buckets.last().expect("buckets");
            assert_eq!(*last, (f64::INFINITY, self.value(&format!("{name}_count"))));
            assert!(self.series.contains_key(&format!("{name}_sum")));
        }
    }

    /// The value of a series, written as in the text.
    #[track_caller]
    pub fn value(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("{series} in {self:#?}"))
    }

    /// The same, of a series that counts.
    #[track_caller]
    pub fn count(&self, series: &str) -> u64 {
        self.value(series).to_string().parse().expect("a whole number")
    }

    /// The names of all series.
    pub fn names(&self) -> Vec<&str> {
        self.series.keys().map(String::as_str).collect()
    }

    /// Panics if a counter is lower than it was, or is gone.
    #[track_caller]
    pub fn assert_no_less_than(&self, before: &Scrape) {
        for (series, value) in &before.series {
            let name = series.split('{').next().unwrap_or_default();
            if name.ends_with("_total")
                || name.ends_with("_count")
                || name.ends_with("_bucket")
                || name.ends_with("_sum")
            {
                assert!(self.value(series) >= *value, "{series} has fallen from {value} to {}", self.value(series));
            }
        }
    }
}
