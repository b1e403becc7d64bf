//! The reports of a server: its log lines about peers, throttled. It owns the one rule for all kinds of repeated
//! events.
//!
//! The first events of a kind are logged at once: ten arrivals, departures and bans, and one of any other kind. After them
//! the server logs one line a minute, with the number of further events, of their addresses, and the last event. A
//! minute with fewer events than are logged at once ends the storm. At log level `debug` every event is logged.
//!
//! Each line ends with [fields](super::fields) for programs, of which `event` names the kind.
//!
//! A report never blocks and keeps no more than one entry per [`Kind`].

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use log::{Level, debug, log, log_enabled};

use super::fields::{Event, Fields};
use super::web::response::Status;

/// Time from the first event of a kind to the line with the number of the others.
pub const PERIOD: Duration = Duration::from_secs(60);

/// Arrivals, departures, new names, kicks, bans or ends of servers in a [`PERIOD`] that are logged one by one.
const VISITS_AT_ONCE: u32 = 10;

/// Different addresses that are counted for one line. Beyond it, the line says `more than`.
const ADDRESSES_MAX: usize = 1_000;

/// Kinds of events. Each has a storm of its own, so none hides another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The room learned of a client.
    Came,
    /// A client left by itself.
    Left,
    /// A client that the room knows has another name.
    Renamed,
    /// The operator removed a client.
    Removed,
    /// An operator of any server gave a ban.
    Banned,
    /// An operator of any server lifted a ban.
    Unbanned,
    /// The server disconnected a client by itself, for the reason with this label.
    Disconnected(&'static str),
    /// The server disconnected a tracked client by itself, for the reason with this label, and keeps its seat.
    Away(&'static str),
    /// The server refused a connection, for the reason with this label.
    Refused(&'static str),
    /// A peer spoke this protocol.
    Foreign(&'static str),
    /// A TLS handshake failed.
    TlsFailed,
    /// The server answered a request with this error.
    Answered(Status),
    /// A peer may give no orders.
    OperatorRefused,
    /// A connection could not be accepted.
    NotAccepted,
    /// The journal missed records.
    NotKept,
    /// The journal caught up.
    KeptAgain,
    /// A client of the bus wrote something else than records.
    Malformed,
    /// Another server does not renew its lease.
    ServerGone,
    /// Another server, or this one as the others see it, is not as it is to be, for the reason with this label.
    ServerOdd(&'static str),
}

/// The throttled log.
#[derive(Debug, Default)]
pub struct Reports {
    /// Kinds that were logged in the last [`PERIOD`].
    storms: Vec<Storm>,
}

/// Recent events of one kind.
#[derive(Debug)]
struct Storm {
    kind: Kind,
    since: Instant,
    /// Events that may still be logged at once.
    left_at_once: u32,
    /// Events that were not logged.
    count: u64,
    /// The addresses of those, in order.
    addresses: Vec<IpAddr>,
    /// The last of those.
    last: String,
}

impl Kind {
    /// Events in a [`PERIOD`] that are logged one by one.
    fn at_once(self) -> u32 {
        match self {
            // An operator removes clients by hand. A program that writes to the bus does not.
            Kind::Came
            | Kind::Left
            | Kind::Renamed
            | Kind::Removed
            | Kind::Banned
            | Kind::Unbanned
            | Kind::ServerGone => VISITS_AT_ONCE,
            _ => 1,
        }
    }

    /// Returns its name in the log.
    fn event(self) -> &'static str {
        match self {
            Kind::Came => "came",
            Kind::Left => "left",
            Kind::Renamed => "renamed",
            Kind::Removed => "removed",
            Kind::Banned => "banned",
            Kind::Unbanned => "unbanned",
            Kind::Disconnected(_) => "disconnected",
            Kind::Away(_) => "away",
            Kind::Refused(_) => "refused",
            Kind::Foreign(_) => "foreign",
            Kind::TlsFailed => "tls_failed",
            Kind::OperatorRefused => "operator_refused",
            Kind::Answered(_) => "answered",
            Kind::NotAccepted => "not_accepted",
            Kind::NotKept => "journal_gap",
            Kind::KeptAgain => "journal_caught_up",
            Kind::Malformed => "bus_malformed",
            Kind::ServerGone => "server_gone",
            Kind::ServerOdd(_) => "server_odd",
        }
    }

    /// Adds the fields that all events of the kind have.
    fn complete(self, fields: Fields<'_>) -> Fields<'_> {
        match self {
            Kind::Disconnected(label) | Kind::Away(label) | Kind::Refused(label) | Kind::ServerOdd(label) => {
                Fields { reason: Some(label), ..fields }
            }
            Kind::Foreign(protocol) => Fields { protocol: Some(protocol), ..fields },
            Kind::Answered(status) => Fields { status: Some(status.code()), ..fields },
            _ => fields,
        }
    }

    fn level(self) -> Level {
        match self {
            Kind::OperatorRefused | Kind::NotAccepted | Kind::NotKept | Kind::Malformed | Kind::ServerOdd(_) => {
                Level::Warn
            }
            _ => Level::Info,
        }
    }
}

/// The events of a kind, after `N more`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Came => f.write_str("clients came"),
            Kind::Left => f.write_str("clients left"),
            Kind::Renamed => f.write_str("clients were renamed"),
            Kind::Removed => f.write_str("clients were removed"),
            Kind::Banned => f.write_str("bans were given"),
            Kind::Unbanned => f.write_str("bans were lifted"),
            Kind::Away(label) => write!(f, "tracked clients were disconnected ({label})"),
            Kind::Disconnected(label) => write!(f, "clients were disconnected ({label})"),
            Kind::Refused(label) => write!(f, "connections were refused ({label})"),
            Kind::Foreign(protocol) => write!(f, "peers spoke {protocol}"),
            Kind::TlsFailed => f.write_str("TLS handshakes failed"),
            Kind::Answered(status) => write!(f, "requests were answered with {}", status.code()),
            Kind::OperatorRefused => f.write_str("operators were refused"),
            Kind::NotAccepted => f.write_str("connections could not be accepted"),
            Kind::NotKept => f.write_str("gaps are in the journal"),
            Kind::KeptAgain => f.write_str("times the journal caught up"),
            Kind::Malformed => f.write_str("entries of the bus were malformed"),
            Kind::ServerGone => f.write_str("servers did not renew their leases"),
            Kind::ServerOdd(label) => write!(f, "warnings about the servers ({label})"),
        }
    }
}

impl Reports {
    /// Whether reports of this kind are logged at all. If not, the caller need not ask for the peer's address.
    pub fn wants(kind: Kind) -> bool {
        log_enabled!(kind.level())
    }

    /// Reports an event without further fields.
    pub fn note(&mut self, kind: Kind, address: Option<IpAddr>, what: fmt::Arguments<'_>, now: Instant) {
        self.note_with(kind, Fields::default(), address, what, now);
    }

    /// Reports an event: logs it, or counts it for the line at the end of the period.
    pub fn note_with(
        &mut self,
        kind: Kind,
        fields: Fields<'_>,
        address: Option<IpAddr>,
        what: fmt::Arguments<'_>,
        now: Instant,
    ) {
        if !Reports::wants(kind) {
            return;
        }
        self.end_periods(now);
        let index = self.storms.iter().position(|storm| storm.kind == kind).unwrap_or_else(|| {
            self.storms.push(Storm::new(kind, now));
            self.storms.len() - 1
        });
        let storm = &mut self.storms[index];
        let event = Event(kind.event(), kind.complete(fields));
        if storm.left_at_once > 0 {
            storm.left_at_once -= 1;
            log!(kind.level(), "{what}{event}");
        } else {
            debug!("{what}{event}");
            storm.count(address, what);
        }
    }

    /// Returns when a count is to be logged.
    pub fn next(&self) -> Option<Instant> {
        self.storms.iter().filter(|storm| storm.count > 0).map(Storm::end).min()
    }

    /// Logs the counts of the periods that are over.
    pub fn end_periods(&mut self, now: Instant) {
        self.storms.retain_mut(|storm| storm.end() > now || storm.begin_period(now));
    }

    /// Logs all counts now: the server ends.
    pub fn end(&mut self, now: Instant) {
        for storm in std::mem::take(&mut self.storms) {
            storm.tell(now);
        }
    }
}

impl Storm {
    fn new(kind: Kind, now: Instant) -> Storm {
        let (addresses, last) = (Vec::new(), String::new());
        Storm { kind, since: now, left_at_once: kind.at_once(), count: 0, addresses, last }
    }

    fn end(&self) -> Instant {
        self.since + PERIOD
    }

    fn count(&mut self, address: Option<IpAddr>, what: fmt::Arguments<'_>) {
        self.count += 1;
        self.last.clear();
        let _ = write!(self.last, "{what}");
        if let Some(address) = address
            && let Err(place) = self.addresses.binary_search(&address)
            && self.addresses.len() <= ADDRESSES_MAX
        {
            self.addresses.insert(place, address);
        }
    }

    /// Logs the count of a period that is over, and begins the next. Returns whether the storm goes on: until a period
    /// had fewer events than are logged at once.
    fn begin_period(&mut self, now: Instant) -> bool {
        self.tell(now);
        let goes_on = self.count >= u64::from(self.kind.at_once());
        *self = Storm { left_at_once: 0, ..Storm::new(self.kind, now) };
        goes_on
    }

    fn tell(&self, now: Instant) {
        let Storm { kind, count, addresses, last, .. } = self;
        if *count == 0 {
            return;
        }
        let from = match addresses.len() {
            0 => String::new(),
            1 => " from 1 address".to_owned(),
            known if known > ADDRESSES_MAX => format!(" from more than {ADDRESSES_MAX} addresses"),
            known => format!(" from {known} addresses"),
        };
        let time = match now.saturating_duration_since(self.since).as_secs() {
            seconds if seconds == PERIOD.as_secs() => "minute".to_owned(),
            seconds => format!("{seconds} s"),
        };
        let known = Some(addresses.len()).filter(|&known| known > 0);
        let event =
            Event(kind.event(), kind.complete(Fields { more: Some(*count), addresses: known, ..Fields::default() }));
        log!(kind.level(), "{count} more {kind}{from} in the last {time}, the last: {last}{event}");
    }
}
