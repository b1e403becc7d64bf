//! Bans: networks whose clients may not connect, until an end or for good. Pure: no socket, no clock.
//!
//! Access rules (`access`) are flags; bans are orders of operators, which change while the server runs. `line` is the
//! form of a ban in a file, `file` the file itself and the thread that writes it.
//!
//! Tests are here (against a naive model), in `tests/hub/bans.rs` and in `tests/server/bans.rs`.

pub mod file;
pub mod line;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use ipnet::{IpNet, Ipv6Net};
use jiff::Timestamp;
use prefix_trie::joint::map::JointPrefixMap;

use super::access::{canonical, parse_prefix};
use super::fields::Quoted;
use super::limits::BAN_REASON_BYTES_MAX;
use crate::relay::name::fold;
use crate::relay::notice::Notice;
use crate::relay::sanitize::sanitize;

/// Bits of the network that a provider assigns to a subscriber of IPv6: its hosts change the others at will.
const SUBSCRIBER_BITS: u8 = 64;

/// Shortest prefixes that may be banned. A shorter one is more likely a slip than a wish: `0.0.0.0/0` bans everybody.
const IPV4_BITS_MIN: u8 = 8;
const IPV6_BITS_MIN: u8 = 16;

/// A network whose clients may not connect. Its `Display` is for people: `203.0.113.7 (ana) until 2026-12-01 10:00:00
/// UTC: spam`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The network, as [`parse_network`] and [`network_of`] return it.
    pub network: IpNet,
    /// When the operator gave it, in ms since 1970; `None` if a person wrote it into the file without that.
    pub since: Option<u64>,
    /// Its end, in ms since 1970; `None` if it has none.
    pub until: Option<u64>,
    /// The name for which it was given.
    pub name: Option<Box<str>>,
    /// The reason, as [`clean_reason`] returns it; perhaps empty.
    pub reason: Box<str>,
}

/// All bans, in a trie. A table for each length of prefix finds an address faster if there are few lengths, and takes
/// three times as long for the fifteen of a public list; it also needs a second index for a list in parts.
///
/// Invariants: a network has one ban. `ends` has each ban with an end, `names` each ban with a name, folded. There are
/// at most `most` bans.
#[derive(Debug)]
pub struct Bans {
    networks: JointPrefixMap<IpNet, Arc<Ban>>,
    ends: BTreeSet<(u64, IpNet)>,
    names: BTreeSet<(Box<str>, IpNet)>,
    most: usize,
}

/// There are as many bans as there may be: this many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full(pub usize);

impl Bans {
    /// Creates an empty list that holds at most `most` bans.
    pub fn new(most: usize) -> Bans {
        Bans { networks: JointPrefixMap::new(), ends: BTreeSet::new(), names: BTreeSet::new(), most }
    }

    /// Returns the most bans that it holds.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Returns the number of bans, with those that have ended and are not removed yet.
    pub fn len(&self) -> usize {
        self.networks.len()
    }

    /// Whether there is no ban, so that no address matters.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Returns the ban that holds for an address; of several, the last to end. A network that has ended hides no wider
    /// one. Costs 0.2 to 0.5 µs among 100,000 if there is none.
    pub fn covers(&self, address: IpAddr, now_ms: u64) -> Option<&Arc<Ban>> {
        let address = IpNet::from(address.to_canonical());
        let covering = self.networks.cover(&address).map(|(_, ban)| ban);
        covering.filter(|ban| ban.holds_at(now_ms)).max_by_key(|ban| ban.until.unwrap_or(u64::MAX))
    }

    /// Returns the bans that hold for a whole network, without the one of that very network; the widest first.
    pub fn around(&self, network: IpNet, now_ms: u64) -> impl Iterator<Item = &Arc<Ban>> {
        let covering = self.networks.cover(&network).map(|(_, ban)| ban);
        covering.filter(move |ban| ban.network != network && ban.holds_at(now_ms))
    }

    /// Returns the ban of exactly this network.
    pub fn of(&self, network: &IpNet) -> Option<&Arc<Ban>> {
        self.networks.get(network)
    }

    /// Adds a ban, in place of another one of its network.
    ///
    /// # Errors
    /// [`Full`], if there is no place for it. Then nothing has changed.
    pub fn add(&mut self, ban: Arc<Ban>) -> Result<(), Full> {
        if self.len() >= self.most && self.of(&ban.network).is_none() {
            return Err(Full(self.most));
        }
        self.remove(&ban.network);
        self.ends.extend(ban.until.map(|until| (until, ban.network)));
        self.names.extend(ban.name.as_deref().map(|name| (fold(name), ban.network)));
        self.networks.insert(ban.network, ban);
        Ok(())
    }

    /// Removes the ban of exactly this network.
    pub fn remove(&mut self, network: &IpNet) -> Option<Arc<Ban>> {
        let ban = self.networks.remove(network)?;
        if let Some(until) = ban.until {
            self.ends.remove(&(until, ban.network));
        }
        if let Some(name) = &ban.name {
            self.names.remove(&(fold(name), ban.network));
        }
        Some(ban)
    }

    /// Removes bans that have ended, at most so many. Returns how many.
    pub fn remove_ended(&mut self, now_ms: u64, most: usize) -> usize {
        for removed in 0..most {
            match self.ends.first() {
                Some(&(until, network)) if until <= now_ms => drop(self.remove(&network)),
                _ => return removed,
            }
        }
        most
    }

    /// Returns the bans behind that of the network `last`, or all of them, in the order of their addresses.
    pub fn after(&self, last: Option<IpNet>) -> impl Iterator<Item = &Arc<Ban>> {
        let (rest, all) = match last {
            Some(last) => (Some(self.networks.iter_from(&last, false)), None),
            None => (None, Some(self.networks.iter())),
        };
        rest.into_iter().flatten().chain(all.into_iter().flatten()).map(|(_, ban)| ban)
    }

    /// Returns the networks that were banned for a name, in any case.
    pub fn of_name(&self, name: &str) -> Vec<IpNet> {
        let folded = fold(name);
        let from = Bound::Included((folded.clone(), IpNet::from(IpAddr::from([0, 0, 0, 0]))));
        let of_name = self.names.range((from, Bound::Unbounded)).take_while(|(other, _)| *other == folded);
        of_name.map(|&(_, network)| network).collect()
    }
}

impl Ban {
    /// Whether it has not ended.
    pub fn holds_at(&self, now_ms: u64) -> bool {
        self.until.is_none_or(|until| now_ms < until)
    }

    /// Returns the network and its name: `203.0.113.7 (ana)`.
    pub fn place(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            write!(f, "{}", shown(&self.network))?;
            self.name.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
        })
    }

    /// Returns all but the reason: `203.0.113.7 (ana) until 2026-12-01 10:00:00 UTC`.
    pub fn head(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            write!(f, "{}", self.place())?;
            let Some(until) = self.until else { return Ok(()) };
            write!(f, " until {}", timestamp(until).strftime("%Y-%m-%d %H:%M:%S UTC"))
        })
    }

    /// Returns the ban for the log.
    pub fn logged(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            write!(f, "{}", self.head())?;
            if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", Quoted(&self.reason)) }
        })
    }

    /// Returns the notice for a client, whose end is that of the minute.
    pub fn notice(&self) -> Notice<'_> {
        Notice::Banned { until: self.until.map(|until| until.div_ceil(60_000)), reason: &self.reason }
    }
}

impl fmt::Display for Ban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.head())?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

/// Returns a network without the length of its prefix, if it is a single address.
pub fn shown(network: &IpNet) -> impl fmt::Display {
    fmt::from_fn(move |f| match network.prefix_len() == network.max_prefix_len() {
        true => write!(f, "{}", network.addr()),
        false => write!(f, "{network}"),
    })
}

/// Parses an address or a network to be banned. An IPv4-mapped one becomes IPv4, and the bits behind the prefix 0.
///
/// # Errors
/// The text is neither, or the network is larger than may be banned. A text for the operator.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = canonical(parse_prefix(text)?).trunc();
    let bits_min = if network.addr().is_ipv4() { IPV4_BITS_MIN } else { IPV6_BITS_MIN };
    if network.prefix_len() < bits_min {
        return Err(format!("{network} is too large to be banned: write a prefix of at least {bits_min} bits"));
    }
    Ok(network)
}

/// Returns the network to be banned for a client with this address: the address, or in IPv6 its /64.
pub fn network_of(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(address) => IpNet::from(IpAddr::V4(address)),
        IpAddr::V6(address) => IpNet::V6(Ipv6Net::new_assert(address, SUBSCRIBER_BITS).trunc()),
    }
}

/// Returns a reason as it is kept and told: without white space around it, and without characters that a terminal would
/// obey.
///
/// # Errors
/// It is too long. A text for the operator.
pub fn clean_reason(text: &str) -> Result<Box<str>, String> {
    let mut buffer = String::new();
    let clean = sanitize(text.as_bytes(), &mut buffer).trim();
    if clean.len() > BAN_REASON_BYTES_MAX {
        return Err(format!("a reason has at most {BAN_REASON_BYTES_MAX} bytes"));
    }
    Ok(clean.into())
}

/// Returns a time for people and for files. The latest one that has a date stands for all later ones.
fn timestamp(unix_ms: u64) -> Timestamp {
    let ms = i64::try_from(unix_ms).ok();
    ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
