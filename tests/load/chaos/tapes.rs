//! The records of all rooms, as tracked clients were sent them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Mutex;

/// The place of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) epoch: String,
    pub(super) record: u64,
}

impl Place {
    pub(super) fn parse(text: &str) -> Place {
        let (epoch, record) = text.rsplit_once('.').unwrap_or_else(|| panic!("not a position: {text}"));
        Place { epoch: epoch.to_owned(), record: record.parse().unwrap() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.record)
    }
}

/// All records that were seen, by their places.
#[derive(Default)]
pub(super) struct Tapes(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    records: BTreeMap<Place, String>,
    /// Where each said text stands.
    places: HashMap<String, Place>,
}

impl Tapes {
    /// Notes a record. All clients see the same one there, and no text is said twice.
    pub(super) fn put(&self, reader: &str, place: &Place, line: &str) {
        let mut seen = self.0.lock().unwrap();
        if let Some(known) = seen.records.get(place) {
            assert_eq!(known, line, "{reader}: another record at {place}");
            return;
        }
        if let Some((_, text)) = line.split_once("> ").filter(|_| !line.ends_with(super::THE_END)) {
            let twice = seen.places.insert(text.to_owned(), place.clone());
            assert_eq!(twice, None, "{reader}: a second time at {place}: {line}");
        }
        seen.records.insert(place.clone(), line.to_owned());
    }

    /// Returns the place of a said text.
    pub(super) fn find_text(&self, text: &str) -> Option<Place> {
        self.0.lock().unwrap().places.get(text).cloned()
    }

    /// Returns the lines of each log, in order: no record may be missing among them.
    pub(super) fn logs(&self) -> Vec<Vec<String>> {
        let seen = self.0.lock().unwrap();
        let mut logs: Vec<Vec<String>> = Vec::new();
        let mut last: Option<&Place> = None;
        for (place, line) in &seen.records {
            match last {
                Some(last) if last.epoch == place.epoch => {
                    assert_eq!(last.record + 1, place.record, "nobody was sent what is before {place}");
                }
                _ => logs.push(Vec::new()),
            }
            logs.last_mut().unwrap().push(line.clone());
            last = Some(place);
        }
        logs
    }
}
