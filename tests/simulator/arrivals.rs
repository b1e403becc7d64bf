//! When a visitor of the page becomes a client, and who comes first if several do in one turn: what nothing but the log
//! tells, because an answer may be long in coming. All that follows from it is checked.

use std::cell::RefCell;
use std::sync::Once;

use ::log::{Level, LevelFilter, Log, Metadata, Record};

thread_local! {
    static HEARD: RefCell<Option<Vec<Arrival>>> = const { RefCell::new(None) };
}

/// What became of one who opened a WebSocket, by the number of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Came { line: usize, number: u64 },
    Refused { line: usize, why: String },
}

struct Listening;

/// Listens to what is logged in this thread from now on, or does not.
pub(crate) fn listen(listens: bool) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ::log::set_logger(&Listening).expect("nobody else listens");
        ::log::set_max_level(LevelFilter::Info);
    });
    HEARD.set(listens.then(Vec::new));
}

/// What came of those who opened one since this was last asked.
pub(crate) fn take() -> Vec<Arrival> {
    HEARD.with_borrow_mut(|heard| heard.as_mut().map(std::mem::take)).unwrap_or_default()
}

impl Log for Listening {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() == Level::Info && HEARD.with_borrow(Option::is_some)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if let Some(arrival) = arrival(&record.args().to_string()) {
            HEARD.with_borrow_mut(|heard| heard.get_or_insert_default().push(arrival));
        }
    }

    fn flush(&self) {}
}

fn arrival(text: &str) -> Option<Arrival> {
    // The port of a peer is its number.
    let line = |address: &str| address.rsplit_once(':')?.1.parse().ok();
    if let Some(rest) = text.strip_prefix("refused ") {
        let (address, why) = rest.split_once(": ")?;
        return Some(Arrival::Refused { line: line(address)?, why: why.to_owned() });
    }
    let (who, rest) = text.split_once(" came from ")?;
    let (address, _) = rest.split_once(" with a browser;")?;
    Some(Arrival::Came { line: line(address)?, number: who.strip_prefix("client-")?.parse().ok()? })
}
