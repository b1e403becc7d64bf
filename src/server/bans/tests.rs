//! Tests of the bans against a naive model, and of their lines.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use proptest::prelude::*;

use super::*;
use crate::server::limits::{BANS_FILE_BYTES_MAX, BANS_MAX};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ban(network: &str, until: Option<u64>) -> Arc<Ban> {
    named(network, until, None)
}

fn named(network: &str, until: Option<u64>, name: Option<&str>) -> Arc<Ban> {
    let network = parse_network(network).unwrap();
    Arc::new(Ban { network, since: None, until, name: name.map(Into::into), reason: "".into() })
}

fn bans(networks: &[(&str, Option<u64>)]) -> Bans {
    let mut bans = Bans::new(100);
    networks.iter().for_each(|&(network, until)| bans.add(ban(network, until)).unwrap());
    bans
}

#[track_caller]
fn assert_covers(bans: &Bans, address: &str, now_ms: u64, network: Option<&str>) {
    let found = bans.covers(ip(address), now_ms).map(|ban| shown(&ban.network).to_string());
    assert_eq!(found.as_deref(), network, "{address}");
}

#[test]
fn a_narrow_ban_that_has_ended_hides_no_wider_one() {
    let bans = bans(&[("203.0.113.7", Some(1_000)), ("203.0.113.0/24", Some(2_000)), ("203.0.0.0/16", None)]);
    for now in [0, 999, 1_000, 1_999, 2_000, u64::MAX] {
        assert_covers(&bans, "203.0.113.7", now, Some("203.0.0.0/16"));
    }
    assert_covers(&bans, "203.1.113.7", 0, None);
}

#[test]
fn of_several_bans_the_last_to_end_is_told() {
    let bans = bans(&[("203.0.113.7", Some(3_000)), ("203.0.113.0/24", Some(2_000))]);
    assert_covers(&bans, "203.0.113.7", 1_999, Some("203.0.113.7"));
    assert_covers(&bans, "203.0.113.7", 2_999, Some("203.0.113.7"));
    assert_covers(&bans, "203.0.113.7", 3_000, None);
    assert_covers(&bans, "203.0.113.8", 1_999, Some("203.0.113.0/24"));
    assert_covers(&bans, "203.0.113.8", 2_000, None);
}

#[test]
fn an_ipv4_mapped_address_is_one_of_ipv4_on_either_side() {
    let bans = bans(&[("::ffff:192.0.2.0/120", None), ("198.51.100.7", None)]);
    for address in ["192.0.2.9", "::ffff:192.0.2.9", "::ffff:198.51.100.7"] {
        assert!(bans.covers(ip(address), 0).is_some(), "{address}");
    }
    assert_covers(&bans, "192.0.3.9", 0, None);
}

#[test]
fn a_member_is_banned_with_the_64_bits_of_its_subscriber() {
    for (address, network) in [
        ("203.0.113.7", "203.0.113.7/32"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ] {
        assert_eq!(network_of(ip(address)).to_string(), network);
    }
}

#[test]
fn only_networks_of_a_plausible_size_can_be_banned() {
    for (text, network) in [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("2001:db8::5", "2001:db8::5"),
        ("2001:db8::5/64", "2001:db8::/64"),
        ("2001:db8::/16", "2001::/16"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
    ] {
        assert_eq!(shown(&parse_network(text).unwrap()).to_string(), network, "{text}");
    }
    for text in ["0.0.0.0/0", "10.0.0.0/7", "::/0", "2000::/15", "::ffff:0.0.0.0/96", "::ffff:10.0.0.0/103"] {
        assert!(parse_network(text).unwrap_err().contains("too large"), "{text}");
    }
    for text in ["", "ana", "203.0.113", "203.0.113.7/33", "203.0.113.7/", "fe80::1%eth0", "1.2.3.4 "] {
        assert!(parse_network(text).unwrap_err().starts_with("write an address"), "{text}");
    }
}

#[test]
fn there_are_no_more_bans_than_there_may_be() {
    let mut bans = Bans::new(2);
    assert_eq!(bans.add(ban("10.0.0.1", None)), Ok(()));
    assert_eq!(bans.add(ban("10.0.0.2", Some(5))), Ok(()));
    assert_eq!(bans.add(ban("10.0.0.3", None)), Err(Full(2)));
    assert_eq!(bans.add(ban("10.0.0.2", None)), Ok(()), "it takes the place of another");
    assert_eq!(bans.remove_ended(9, 9), 0, "the end of the ban before is forgotten");
    assert_eq!((bans.len(), bans.most()), (2, 2));
}

#[test]
fn a_name_leads_to_its_bans_in_any_case() {
    let mut bans = Bans::new(9);
    for (network, name) in [("10.0.0.1", "Ana"), ("10.0.0.2", "ana"), ("10.0.0.3", "anab"), ("10.0.0.4", "an")] {
        bans.add(named(network, None, Some(name))).unwrap();
    }
    bans.add(named("2001:db8::/64", None, Some("ANA"))).unwrap();
    let found: Vec<String> = bans.of_name("aNa").iter().map(|network| shown(network).to_string()).collect();
    assert_eq!(found, ["10.0.0.1", "10.0.0.2", "2001:db8::/64"]);
    bans.remove(&parse_network("10.0.0.2").unwrap());
    bans.add(ban("10.0.0.1", None)).unwrap();
    assert_eq!(bans.of_name("ana").len(), 1);
    assert_eq!(bans.of_name("zoe"), []);
}

#[test]
fn a_ban_reads_like_a_sentence() {
    let until = Some(1_796_119_200_000);
    assert_eq!(ban("203.0.113.7", None).to_string(), "203.0.113.7");
    let mut told = Ban::clone(&named("203.0.113.0/24", until, Some("ana")));
    told.reason = "spam: again".into();
    assert_eq!(told.to_string(), "203.0.113.0/24 (ana) until 2026-12-01 10:00:00 UTC: spam: again");
    assert_eq!(told.line().to_string(), "203.0.113.0/24 until 2026-12-01T10:00:00Z by-name ana: spam: again");
    assert_eq!(told.notice().to_line(), "* you are banned until 2026-12-01 10:00 UTC: spam: again\n");
    told.until = Some(1_796_119_200_001);
    assert_eq!(told.notice().to_line(), "* you are banned until 2026-12-01 10:01 UTC: spam: again\n");
}

#[test]
fn a_line_that_a_person_wrote_is_read() {
    let read = |line: &str| Ban::parse_line(line).unwrap().map(|ban| ban.line().to_string());
    for line in ["", "  ", "# 203.0.113.7", " \t# x"] {
        assert_eq!(read(line), None, "{line:?}");
    }
    for (line, same) in [
        ("203.0.113.7", "203.0.113.7"),
        ("  203.0.113.7/32 \r", "203.0.113.7"),
        ("203.0.113.9/24: spam", "203.0.113.0/24: spam"),
        ("2001:db8::: spam", "2001:db8::: spam"),
        ("2001:db8:: by-name ana: spam", "2001:db8:: by-name ana: spam"),
        ("10.0.0.1:", "10.0.0.1"),
        ("2001:db8::/32 until 2027-01-01T01:00:00+01:00", "2001:db8::/32 until 2027-01-01T00:00:00Z"),
        (
            "10.0.0.1  by-name client-7   since 2026-11-30T00:00:00Z",
            "10.0.0.1 since 2026-11-30T00:00:00Z by-name client-7",
        ),
        ("10.0.0.1:  a # b: c  ", "10.0.0.1: a # b: c"),
    ] {
        assert_eq!(read(line).as_deref(), Some(same), "{line:?}");
    }
}

#[test]
fn a_bad_line_is_refused_with_its_fault() {
    let long = format!("10.0.0.1: {}", "x".repeat(BAN_REASON_BYTES_MAX + 1));
    for (line, fault) in [
        ("ana", "\"ana\" is no network: write an address"),
        ("0.0.0.0/0", "\"0.0.0.0/0\" is no network: 0.0.0.0/0 is too large"),
        ("\x1b[2J", "\"\\u{1b}[2J\" is no network"),
        ("2001:db8:", "\"2001:db8:\" is no network"),
        ("2001:db8:: spam", "\"spam\" is not expected here"),
        ("10.0.0.1 for ever", "\"for\" is not expected here: write NETWORK"),
        ("10.0.0.1 until tomorrow", "\"tomorrow\" is no time: write it as 2026-12-01T10:00:00Z"),
        ("10.0.0.1 until 2026-12-01", "\"2026-12-01\" is no time"),
        ("10.0.0.1 until 1969-12-01T10:00:00Z", "\"1969-12-01T10:00:00Z\" is no time"),
        ("10.0.0.1 until", "\"\" is no time"),
        ("10.0.0.1 until 2026-12-01T10:00:00Z until 2026-12-01T10:00:00Z", "\"until\" is not expected"),
        ("10.0.0.1 by-name a/b", "\"a/b\" is no name"),
        ("10.0.0.1 by-name", "\"\" is no name"),
        ("10.0.0.1: a\tb\u{7}", "its reason has a character"),
        ("10.0.0.1: a\u{202e}b", "its reason has a character"),
        (&long, "its reason is too long"),
    ] {
        let error = Ban::parse_line(line).unwrap_err().to_string();
        assert!(error.starts_with(fault), "{line:?}: {error}");
        assert!(!error.contains(|c: char| c.is_control()), "{error:?}");
    }
}

#[test]
fn the_longest_bans_fit_into_their_file() {
    let ban = Ban {
        network: parse_network("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127").unwrap(),
        since: Some(253_402_000_000_001),
        until: Some(253_402_000_000_001),
        name: Some("𝒶".repeat(24).into()),
        reason: "x".repeat(BAN_REASON_BYTES_MAX).into(),
    };
    let line = ban.line().to_string();
    assert_eq!(Ban::parse_line(&line), Ok(Some(ban)));
    assert!((line.len() + 1) * BANS_MAX + 1_000 < BANS_FILE_BYTES_MAX, "{}", line.len());
}

/// A network of few bits, so that they nest and meet.
fn networks() -> impl Strategy<Value = IpNet> {
    let v4 = (0..16_u32, 26..=32_u8)
        .prop_map(|(bits, length)| IpNet::V4(Ipv4Net::new((0x0a00_0000 | bits << 2).into(), length).unwrap().trunc()));
    let v6 = (0..8_u128, prop_oneof![Just(16_u8), 60..=66_u8, Just(128)]).prop_map(|(bits, length)| {
        IpNet::V6(Ipv6Net::new((0x2001 << 112 | bits << 63).into(), length).unwrap().trunc())
    });
    prop_oneof![v4, v6]
}

fn reasons() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,20}", "\\PC{0,20}", any::<String>(), Just(": a: ".to_owned()), Just("# by-name x".to_owned())]
}

#[derive(Clone, Debug)]
enum Step {
    Add(IpNet, Option<u64>, Option<&'static str>),
    Remove(IpNet),
    RemoveEnded(u64, usize),
}

fn steps() -> impl Strategy<Value = Step> {
    let until = prop_oneof![Just(None), (0..20_u64).prop_map(Some)];
    let name = prop_oneof![Just(None), Just(Some("ana")), Just(Some("ANA")), Just(Some("ben"))];
    prop_oneof![
        3 => (networks(), until, name).prop_map(|(network, until, name)| Step::Add(network, until, name)),
        1 => networks().prop_map(Step::Remove),
        1 => (0..20_u64, 0..4_usize).prop_map(|(now, most)| Step::RemoveEnded(now, most)),
    ]
}

/// Carries a step out on the model, a list of all bans. `removed` is how many ended ones the bans have removed.
fn step_model(model: &mut BTreeMap<IpNet, Arc<Ban>>, step: &Step, most: usize) {
    match step {
        Step::Add(network, until, name) => {
            if model.len() < most || model.contains_key(network) {
                model.insert(*network, named(&network.to_string(), *until, *name));
            }
        }
        Step::Remove(network) => drop(model.remove(network)),
        Step::RemoveEnded(now, most) => {
            for _ in 0..*most {
                let first = model.values().filter(|ban| !ban.holds_at(*now)).min_by_key(|ban| (ban.until, ban.network));
                if let Some(network) = first.map(|ban| ban.network) {
                    model.remove(&network);
                }
            }
        }
    }
}

#[track_caller]
fn assert_like_model(bans: &Bans, model: &BTreeMap<IpNet, Arc<Ban>>) {
    assert_eq!(bans.len(), model.len());
    for network in model.keys() {
        for (address, now) in [(network.network(), 0), (network.broadcast(), 7), (network.addr(), 13)] {
            let holds = |ban: &&Arc<Ban>| ban.network.contains(&address) && now < ban.until.unwrap_or(u64::MAX);
            let until = model.values().filter(holds).map(|ban| ban.until.unwrap_or(u64::MAX)).max();
            let found = bans.covers(address, now);
            assert_eq!(found.map(|ban| ban.until.unwrap_or(u64::MAX)), until, "{address} at {now}");
            assert!(found.is_none_or(|ban| ban.network.contains(&address)));
        }
        let around = model.values().filter(|ban| ban.network != *network && ban.network.contains(network)).count();
        assert_eq!(
            bans.around(*network, 0).count(),
            around
                - model
                    .values()
                    .filter(|ban| { ban.network != *network && ban.network.contains(network) && !ban.holds_at(0) })
                    .count()
        );
    }
    for name in ["ana", "ben"] {
        let of_name = |ban: &&Arc<Ban>| ban.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name));
        let expected: Vec<_> = model.values().filter(of_name).map(|ban| ban.network).collect();
        assert_eq!(bans.of_name(name), expected);
    }
}

proptest! {
    #[test]
    fn bans_are_a_list_of_networks(steps in prop::collection::vec(steps(), 1..60)) {
        const MOST: usize = 20;
        let (mut bans, mut model) = (Bans::new(MOST), BTreeMap::new());
        for step in &steps {
            step_model(&mut model, step, MOST);
            match step {
                Step::Add(network, until, name) => {
                    let _ = bans.add(named(&network.to_string(), *until, *name));
                }
                Step::Remove(network) => drop(bans.remove(network)),
                Step::RemoveEnded(now, most) => drop(bans.remove_ended(*now, *most)),
            }
            assert_like_model(&bans, &model);
        }
    }

    /// Each ban is listed once, in parts of any length, whatever goes and comes between two of them.
    #[test]
    fn a_list_in_parts_has_each_ban_that_stays(
        kept in prop::collection::btree_set(networks(), 0..20),
        passing in prop::collection::btree_set(networks(), 0..20),
        part in 1..5_usize,
    ) {
        let mut bans = Bans::new(100);
        for network in kept.iter().chain(&passing) {
            bans.add(ban(&network.to_string(), None)).unwrap();
        }
        let mut passing = passing.into_iter().filter(|network| !kept.contains(network));
        let (mut last, mut listed) = (None, Vec::new());
        loop {
            let rows: Vec<_> = bans.after(last).take(part).map(|ban| ban.network).collect();
            let Some(&end) = rows.last() else { break };
            last = Some(end);
            listed.extend(rows);
            if let Some(network) = passing.next() {
                bans.remove(&network);
            }
            // The end of the last part may be gone.
            if !kept.contains(&end) {
                bans.remove(&end);
            }
        }
        let listed_kept: Vec<_> = listed.iter().filter(|network| kept.contains(network)).collect();
        prop_assert_eq!(listed_kept.len(), kept.len());
        let unique: std::collections::BTreeSet<_> = listed.iter().collect();
        prop_assert_eq!(unique.len(), listed.len());
    }

    #[test]
    fn each_ban_is_read_back_from_its_line(
        network in networks(),
        since in prop::option::of(0..253_402_207_200_000_u64),
        until in prop::option::of(0..253_402_207_200_000_u64),
        name in prop::option::of(prop_oneof!["[a-z0-9_-]{1,24}", "\\PC{1,24}", Just("client-12".to_owned())]),
        reason in reasons(),
    ) {
        let Ok(reason) = clean_reason(&reason) else { return Ok(()) };
        prop_assert_eq!(clean_reason(&reason), Ok(reason.clone()), "a clean reason stays as it is");
        let name = name.and_then(|name| crate::relay::name::is_shown_name(&name).then(|| name.into()));
        let ban = Ban { network, since, until, name, reason };
        let line = ban.line().to_string();
        prop_assert!(!line.contains(['\n', '\r']) && !line.starts_with('#'));
        prop_assert_eq!(Ban::parse_line(&line), Ok(Some(ban.clone())));
        prop_assert_eq!(Ban::parse_line(&format!(" {line}\r")), Ok(Some(ban)));
    }

    #[test]
    fn no_line_is_worth_a_panic(line in any::<String>()) {
        let _ = Ban::parse_line(&line);
        let _ = Ban::parse_line(&format!("10.0.0.1 {line}"));
        let _ = Ban::parse_line(&format!("10.0.0.1: {line}"));
    }
}
