//! Access control: `--allow`, `--deny` and `--max-per-address`. Pure: no socket, no clock.
//!
//! Without any of these flags there is no `AccessControl`: the server neither asks for addresses nor keeps them.
//!
//! Tests are here, in `tests/hub/access.rs` and in `tests/server/access.rs`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU64;

use ipnet::{IpNet, Ipv4Net};

use super::limits::ENTERING_PER_ADDRESS;

/// Rules by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessRules {
    /// If not empty, only these addresses may connect.
    pub allow: Vec<IpNet>,
    /// These addresses may not connect, even if `allow` has them.
    pub deny: Vec<IpNet>,
    /// Connections from one address that may be open at a time, closing ones included; 0 for no limit.
    pub per_address_max: usize,
}

/// Reason to refuse a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The rules exclude the address.
    NotAllowed,
    /// The address has as many connections as it may: this many.
    TooMany(usize),
}

/// Rules, and the open connections by address. Connections that have not entered are counted apart from clients.
///
/// Invariants: a key counts as a client, as entering or not at all, and only if `per_address_max > 0`. The caller
/// releases a key before its slab hands it out again.
#[derive(Debug)]
pub(crate) struct AccessControl {
    rules: AccessRules,
    clients: PerAddress,
    entering: PerAddress,
}

/// Number of connections per subscriber. Costs 8 bytes a place in the slab, and 20 to 40 bytes a subscriber.
///
/// Invariant: the count of a subscriber is the number of keys in `subscribers` that have it; a count of 0 is not kept.
#[derive(Debug, Default)]
struct PerAddress {
    counts: HashMap<Subscriber, u32>,
    /// By the key of the connection: when it is removed, the kernel may no longer know its address.
    subscribers: Vec<Option<Subscriber>>,
}

/// Unit of counting: an IPv4 address, or the /64 of an IPv6 address, the least that a provider assigns to a subscriber.
///
/// It holds the complement of the 64 bits. An IPv4 address stands for a /64 within ffff:ffff::/32. That is multicast,
/// which is no source address, so no two subscribers are equal. All ones are no address either, so 0 is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subscriber(NonZeroU64);

impl AccessControl {
    /// Creates access control with these rules; `None` if they admit every connection.
    pub(crate) fn new(rules: &AccessRules) -> Option<AccessControl> {
        let has_rules = !rules.allow.is_empty() || !rules.deny.is_empty() || rules.per_address_max > 0;
        let rules = AccessRules {
            allow: rules.allow.iter().copied().map(canonical).collect(),
            deny: rules.deny.iter().copied().map(canonical).collect(),
            per_address_max: rules.per_address_max,
        };
        has_rules.then(|| AccessControl { rules, clients: PerAddress::default(), entering: PerAddress::default() })
    }

    /// Goes on with the counts of earlier rules. Returns whether those had any.
    pub(crate) fn go_on_from(&mut self, earlier: AccessControl) -> bool {
        let has_counts = self.rules.per_address_max > 0 && earlier.rules.per_address_max > 0;
        if has_counts {
            (self.clients, self.entering) = (earlier.clients, earlier.entering);
        }
        has_counts
    }

    /// Whether connections are counted.
    pub(crate) fn counts(&self) -> bool {
        self.rules.per_address_max > 0
    }

    /// Counts a client that was there before these rules, however many its address has.
    pub(crate) fn count_client(&mut self, key: usize, address: IpAddr) {
        if self.counts() {
            self.clients.add(key, Subscriber::of(address));
        }
    }

    /// Checks an address against `--deny` and `--allow`. Costs at most one comparison a prefix.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`].
    pub(crate) fn check_address(&self, address: IpAddr) -> Result<(), Refusal> {
        let address = address.to_canonical();
        let is_in = |prefixes: &[IpNet]| prefixes.iter().any(|prefix| prefix.contains(&address));
        let is_allowed = self.rules.allow.is_empty() || is_in(&self.rules.allow);
        if is_in(&self.rules.deny) || !is_allowed { Err(Refusal::NotAllowed) } else { Ok(()) }
    }

    /// Checks an address, and whether it may have one more connection that has not entered.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`], or [`Refusal::TooMany`] if as many are entering as may be.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        self.check_address(address)?;
        let clients_max = self.rules.per_address_max;
        let entering_max = clients_max.max(ENTERING_PER_ADDRESS);
        let is_limited = clients_max > 0;
        let is_crowded = is_limited && self.entering.count(Subscriber::of(address)) >= entering_max;
        if is_crowded { Err(Refusal::TooMany(entering_max)) } else { Ok(()) }
    }

    /// Counts the connection with this key, which [`check`](AccessControl::check) has passed, as entering.
    pub(crate) fn admit(&mut self, key: usize, address: IpAddr) {
        if self.counts() {
            self.entering.add(key, Subscriber::of(address));
        }
    }

    /// Counts an entering connection as a client from now on. If its address has too many clients, it goes on counting
    /// as entering.
    ///
    /// # Errors
    /// [`Refusal::TooMany`].
    pub(crate) fn promote(&mut self, key: usize) -> Result<(), Refusal> {
        let Some(subscriber) = self.entering.subscriber(key) else { return Ok(()) };
        let most = self.rules.per_address_max;
        if self.clients.count(subscriber) >= most {
            return Err(Refusal::TooMany(most));
        }
        self.entering.remove(key);
        self.clients.add(key, subscriber);
        Ok(())
    }

    /// Counts an entering connection as a client from now on, however many its address has: it takes the place of
    /// another, which may be closing still. Returns whether its address has at most twice as many as it may.
    pub(crate) fn promote_owner(&mut self, key: usize) -> bool {
        let Some(subscriber) = self.entering.subscriber(key) else { return true };
        self.entering.remove(key);
        self.clients.add(key, subscriber);
        self.clients.count(subscriber) <= 2 * self.rules.per_address_max
    }

    /// Stops counting the connection with this key, whether it was admitted or not.
    pub(crate) fn release(&mut self, key: usize) {
        self.clients.remove(key);
        self.entering.remove(key);
    }
}

impl PerAddress {
    fn count(&self, subscriber: Subscriber) -> usize {
        self.counts.get(&subscriber).copied().unwrap_or(0) as usize
    }

    fn subscriber(&self, key: usize) -> Option<Subscriber> {
        self.subscribers.get(key).copied().flatten()
    }

    fn add(&mut self, key: usize, subscriber: Subscriber) {
        if self.subscribers.len() <= key {
            self.subscribers.resize(key + 1, None);
        }
        debug_assert!(self.subscribers[key].is_none(), "a key has one connection");
        self.subscribers[key] = Some(subscriber);
        *self.counts.entry(subscriber).or_default() += 1;
    }

    fn remove(&mut self, key: usize) {
        let Some(subscriber) = self.subscribers.get_mut(key).and_then(Option::take) else { return };
        if let Some(count) = self.counts.get_mut(&subscriber) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&subscriber);
            }
        }
    }
}

impl Subscriber {
    /// Returns the subscriber with this address.
    pub(crate) fn of(address: IpAddr) -> Subscriber {
        let bits = match address.to_canonical() {
            IpAddr::V4(address) => u64::from(!address.to_bits()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments().map(u64::from);
                !(a << 48 | b << 32 | c << 16 | d)
            }
        };
        Subscriber(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }
}

/// Parses an address or a prefix such as `10.0.0.0/8`. An address is a prefix of full length.
///
/// # Errors
/// A text for the command line, if `text` is neither.
pub fn parse_prefix(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address())
        .map_err(|_| "write an address, or a prefix such as 10.0.0.0/8".to_owned())
}

/// Turns a prefix of IPv4-mapped IPv6 addresses into one of IPv4 addresses: peers are compared in that form.
pub(super) fn canonical(prefix: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let as_v4 = |net: ipnet::Ipv6Net| {
        let address = net.addr().to_ipv4_mapped()?;
        Ipv4Net::new(address, net.prefix_len().checked_sub(MAPPED_BITS)?).ok()
    };
    match prefix {
        IpNet::V6(net) => as_v4(net).map_or(prefix, IpNet::V4),
        IpNet::V4(_) => prefix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(allow: &[&str], deny: &[&str], per_address_max: usize) -> AccessControl {
        let prefixes = |texts: &[&str]| texts.iter().map(|text| parse_prefix(text).unwrap()).collect();
        AccessControl::new(&AccessRules { allow: prefixes(allow), deny: prefixes(deny), per_address_max }).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Whether one more connection may be a client; it is not kept.
    fn check_client(access: &mut AccessControl, address: IpAddr) -> Result<(), Refusal> {
        const PROBE: usize = 2_000;
        access.check_address(address)?;
        access.admit(PROBE, address);
        let result = access.promote(PROBE);
        access.release(PROBE);
        result
    }

    fn admit_client(access: &mut AccessControl, key: usize, address: IpAddr) {
        access.admit(key, address);
        assert_eq!(access.promote(key), Ok(()));
    }

    #[track_caller]
    fn assert_admits(access: &mut AccessControl, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(check_client(access, ip(address)), Ok(()), "{address}");
        }
    }

    #[track_caller]
    fn assert_refuses(access: &mut AccessControl, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(check_client(access, ip(address)), Err(Refusal::NotAllowed), "{address}");
        }
    }

    #[test]
    fn rules_that_admit_every_connection_are_no_access_control() {
        assert!(AccessControl::new(&AccessRules::default()).is_none());
    }

    #[test]
    fn denied_addresses_are_refused_and_all_others_admitted() {
        let mut access = access(&[], &["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"], 0);
        assert_refuses(&mut access, &["192.0.2.0", "192.0.2.255", "2001:db8:ffff::1", "198.51.100.7"]);
        assert_admits(&mut access, &["192.0.3.0", "192.0.1.255", "2001:db9::", "198.51.100.6", "198.51.100.8", "::1"]);
    }

    #[test]
    fn with_allowed_addresses_all_others_are_refused() {
        let mut access = access(&["10.0.0.0/8", "fd00::/8"], &[], 0);
        assert_admits(&mut access, &["10.0.0.0", "10.255.255.255", "fd12::1"]);
        assert_refuses(&mut access, &["9.255.255.255", "11.0.0.0", "fe80::1", "::1", "127.0.0.1"]);
    }

    #[test]
    fn of_overlapping_prefixes_the_denied_one_wins_whichever_is_longer() {
        let mut within = access(&["10.0.0.0/8"], &["10.1.0.0/16"], 0);
        assert_admits(&mut within, &["10.0.255.255", "10.2.0.0"]);
        assert_refuses(&mut within, &["10.1.0.0", "10.1.255.255", "11.0.0.1"]);
        let mut around = access(&["10.1.0.0/16"], &["10.0.0.0/8"], 0);
        assert_refuses(&mut around, &["10.1.0.1", "10.2.0.1"]);
        let mut twice = access(&["10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16"], &[], 0);
        assert_admits(&mut twice, &["10.1.0.1", "10.2.0.1"]);
    }

    #[test]
    fn a_prefix_of_length_0_means_all_of_its_family() {
        let mut only_v4 = access(&["0.0.0.0/0"], &[], 0);
        assert_admits(&mut only_v4, &["127.0.0.1", "::ffff:127.0.0.1"]);
        assert_refuses(&mut only_v4, &["::1", "2001:db8::1"]);
        let mut no_v6 = access(&[], &["::/0"], 0);
        assert_admits(&mut no_v6, &["127.0.0.1", "::ffff:127.0.0.1"]);
        assert_refuses(&mut no_v6, &["::1", "2001:db8::1"]);
    }

    #[test]
    fn an_ipv4_mapped_address_matches_as_ipv4_on_either_side() {
        let mut by_v4 = access(&[], &["192.0.2.0/24"], 0);
        assert_refuses(&mut by_v4, &["::ffff:192.0.2.1"]);
        assert_admits(&mut by_v4, &["::ffff:192.0.3.1"]);
        let mut by_mapped = access(&[], &["::ffff:192.0.2.0/120", "::ffff:198.51.100.7"], 0);
        assert_refuses(&mut by_mapped, &["192.0.2.1", "::ffff:192.0.2.1", "198.51.100.7"]);
        assert_admits(&mut by_mapped, &["192.0.3.1", "198.51.100.6"]);
    }

    #[test]
    fn the_bits_behind_a_prefix_do_not_matter() {
        assert_refuses(&mut access(&[], &["10.9.8.7/8"], 0), &["10.0.0.1"]);
    }

    #[test]
    fn a_prefix_is_an_address_with_or_without_a_length() {
        assert_eq!(parse_prefix("192.0.2.1"), parse_prefix("192.0.2.1/32"));
        assert_eq!(parse_prefix("2001:db8::1"), parse_prefix("2001:db8::1/128"));
        for text in
            ["", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0/8", "/8", "10.0.0.0/-1", "example.org", "10.0.0.0 /8"]
        {
            assert!(parse_prefix(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_address_has_as_many_connections_as_it_may_and_one_more_for_each_released() {
        let mut access = access(&[], &[], 2);
        let (here, there) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for key in [0, 7] {
            assert_eq!(check_client(&mut access, here), Ok(()));
            admit_client(&mut access, key, here);
        }
        assert_eq!(check_client(&mut access, here), Err(Refusal::TooMany(2)));
        assert_eq!(check_client(&mut access, there), Ok(()));
        // Keys that were never admitted, or are released already.
        [1, 6, 8, 1_000].into_iter().for_each(|key| access.release(key));
        assert_eq!(check_client(&mut access, here), Err(Refusal::TooMany(2)));
        access.release(7);
        access.release(7);
        assert_eq!(check_client(&mut access, here), Ok(()));
        admit_client(&mut access, 7, here);
        assert_eq!(check_client(&mut access, here), Err(Refusal::TooMany(2)));
        [0, 7].into_iter().for_each(|key| access.release(key));
        assert!(access.clients.counts.is_empty(), "released keys cost nothing");
    }

    #[test]
    fn visitors_are_counted_apart_until_they_are_promoted() {
        for (clients_max, visitors_max) in [(1, ENTERING_PER_ADDRESS), (20, 20)] {
            let mut access = access(&[], &[], clients_max);
            let here = ip("192.0.2.1");
            for key in 0..visitors_max {
                assert_eq!(access.check(here), Ok(()));
                access.admit(key, here);
            }
            assert_eq!(access.check(here), Err(Refusal::TooMany(visitors_max)));
            (0..clients_max).for_each(|key| assert_eq!(access.promote(key), Ok(())));
            // If all were promoted, no visitor has this key.
            let one_more = access.promote(clients_max);
            assert_eq!(one_more.is_err(), clients_max < visitors_max);
            assert_eq!(check_client(&mut access, here), Err(Refusal::TooMany(clients_max)));
            assert_eq!(access.check(here), Ok(()));
            (0..visitors_max).for_each(|key| access.release(key));
            assert!(access.clients.counts.is_empty() && access.entering.counts.is_empty());
        }
        let unlimited = access(&[], &["192.0.2.2"], 0);
        assert_eq!(unlimited.check(ip("192.0.2.1")), Ok(()));
        assert_eq!(unlimited.check(ip("192.0.2.2")), Err(Refusal::NotAllowed));
    }

    #[test]
    fn an_ipv6_client_counts_by_its_64_and_a_mapped_one_as_ipv4() {
        let mut access = access(&[], &[], 1);
        admit_client(&mut access, 0, ip("2001:db8:0:1::1"));
        admit_client(&mut access, 1, ip("::ffff:192.0.2.1"));
        for address in ["2001:db8:0:1:ffff::2", "192.0.2.1", "::ffff:192.0.2.1"] {
            assert_eq!(check_client(&mut access, ip(address)), Err(Refusal::TooMany(1)), "{address}");
        }
        assert_admits(&mut access, &["2001:db8:0:2::1", "2001:db8:1:1::1", "192.0.2.2", "::1", "::ffff:192.0.2.2"]);
    }

    #[test]
    fn no_two_subscribers_are_equal() {
        let texts = ["::1", "0.0.0.0", "0.0.0.1", "255.255.255.254", "0:0:0:1::", "0:0:c000:201::", "192.0.2.1"];
        let subscribers = texts.map(|text| Subscriber::of(ip(text)));
        for (index, subscriber) in subscribers.iter().enumerate() {
            assert!(!subscribers[..index].contains(subscriber), "{}", texts[index]);
        }
        assert_eq!(size_of::<Option<Subscriber>>(), 8);
    }

    #[test]
    fn uncounted_connections_cost_nothing() {
        let mut access = access(&[], &["192.0.2.1"], 0);
        admit_client(&mut access, 1_000, ip("192.0.2.2"));
        assert!(access.clients.counts.is_empty() && access.clients.subscribers.capacity() == 0);
    }

    #[test]
    fn an_owner_is_counted_beyond_the_limit_up_to_twice() {
        let mut access = access(&[], &[], 2);
        let address = ip("192.0.2.1");
        (0..2).for_each(|key| admit_client(&mut access, key, address));
        for (key, is_bearable) in [(2, true), (3, true), (4, false)] {
            access.admit(key, address);
            assert_eq!(access.promote_owner(key), is_bearable);
        }
        (0..4).for_each(|key| access.release(key));
        assert_eq!(check_client(&mut access, address), Ok(()));
    }
}
