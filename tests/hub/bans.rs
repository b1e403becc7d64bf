//! Bans in a hub with made-up peers: orders, the way in, and members that are there already. `src/server/bans` tests
//! which address a ban covers, and the form of a line.

use std::net::SocketAddr;
use std::time::Duration;

use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::hub::Wake;
use pollchat::server::limits::{BANNED_A_TURN, BANS_CHECKED_A_TURN, ENTER_DELAY, GRACE};

use crate::support::hub::{Client, READABLE, World, quiet};
use crate::support::page::{self, OPENING, frames};

/// 2026-12-01 10:00 UTC, in ms.
const CLOCK: u64 = 1_796_119_200_000;

const HOUR: Option<Duration> = Some(Duration::from_secs(3_600));

const BANNED: &str = "* you are banned\nFIN\n";

/// The beginning of a TLS handshake.
const HELLO: &[u8] = b"\x16\x03\x01";

fn world() -> World {
    clocked(World::new(&quiet()))
}

fn clocked(mut world: World) -> World {
    world.hub.set_clock(CLOCK);
    world
}

fn at(ip: &str) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip.parse().unwrap(), 1))
}

fn connect(world: &mut World, ip: &str) -> Client {
    let client = world.connect_from(at(ip));
    world.pass(ENTER_DELAY);
    client
}

/// Connects and takes the greeting.
#[track_caller]
fn enter(world: &mut World, ip: &str) -> Client {
    let client = connect(world, ip);
    let greeting = client.received();
    assert!(greeting.starts_with("* you are client-"), "{ip}: {greeting:?}");
    client
}

#[track_caller]
fn assert_refused(world: &mut World, ip: &str, received: &str) {
    let client = connect(world, ip);
    assert_eq!(client.received(), received, "{ip}");
    assert!(client.is_ended());
    leave(world, &client);
}

fn leave(world: &mut World, client: &Client) {
    client.ends();
    world.hub.on_ready(client.key, READABLE);
    world.run();
    assert!(client.is_closed());
}

#[track_caller]
fn ban(world: &mut World, target: &str, time: Option<Duration>, reason: &str) -> String {
    let answer = world.hub.ban(target, time, reason, world.now).unwrap();
    world.run();
    answer
}

fn refused_ban(world: &mut World, target: &str) -> String {
    let answer = world.hub.ban(target, None, "", world.now).unwrap_err();
    assert_eq!(world.hub.bans_after(None, 1), []);
    answer
}

fn unban(world: &mut World, target: &str) -> Result<String, String> {
    world.hub.unban(target, world.now)
}

fn listed(world: &World) -> Vec<String> {
    world.hub.bans_after(None, 100).iter().map(ToString::to_string).collect()
}

#[test]
fn a_banned_address_is_told_until_when_and_why_and_others_come_in() {
    let mut world = world();
    for (target, time, reason, told) in [
        ("203.0.113.7", None, "", BANNED),
        ("203.0.113.8", HOUR, "", "* you are banned until 2026-12-01 11:00 UTC\nFIN\n"),
        ("203.0.113.9", HOUR, "spam", "* you are banned until 2026-12-01 11:00 UTC: spam\nFIN\n"),
        ("203.0.113.10", None, " a\x1b[2Jb ", "* you are banned: a\u{fffd}[2Jb\nFIN\n"),
        ("2001:db8::/32", None, "", BANNED),
    ] {
        assert!(ban(&mut world, target, time, reason).starts_with("banned "));
        assert_refused(&mut world, &target.replace("/32", "1:2"), told);
    }
    assert_refused(&mut world, "::ffff:203.0.113.7", BANNED);
    for other in ["203.0.113.6", "2001:db9::1"] {
        enter(&mut world, other);
    }
    let stats = world.hub.stats().stats;
    assert_eq!(stats.reasons.iter().find(|(label, _)| *label == "banned"), Some(("banned", 6)));
}

#[test]
fn a_ban_ends_at_its_time() {
    let mut world = world();
    ban(&mut world, "203.0.113.7", HOUR, "");
    world.hub.set_clock(CLOCK + 3_599_999);
    assert_refused(&mut world, "203.0.113.7", "* you are banned until 2026-12-01 11:00 UTC\nFIN\n");
    world.hub.set_clock(CLOCK + 3_600_000);
    let client = enter(&mut world, "203.0.113.7");
    assert_eq!((listed(&world), world.hub.bans_len()), (vec![], 0), "and leaves nothing");
    leave(&mut world, &client);
    world.pass(GRACE);
    assert_eq!(world.hub.next_wake(), Wake::OnEvent, "no ban keeps the server awake");
}

#[test]
fn the_members_of_a_banned_network_are_removed_at_once() {
    let mut world = world();
    let [ana, ben] = ["203.0.113.7", "203.0.113.8"].map(|ip| enter(&mut world, ip));
    let zoe = enter(&mut world, "203.0.114.1");
    let answer = ban(&mut world, "203.0.113.0/24", HOUR, "spam");
    assert_eq!(answer, "banned 203.0.113.0/24 until 2026-12-01 11:00:00 UTC: 2 members were removed");
    for client in [&ana, &ben] {
        assert_eq!(client.received(), "* you are banned until 2026-12-01 11:00 UTC: spam\nFIN\n");
        assert!(client.is_ended());
    }
    world.says(&zoe, "/who\n");
    assert!(zoe.received().ends_with("* 1 here\n"));
    assert_eq!(ban(&mut world, "203.0.114.1", None, ""), "banned 203.0.114.1: 1 member was removed");
    assert_eq!(ban(&mut world, "203.0.114.1", HOUR, "").split(": ").last(), Some("0 members were removed"));
}

#[test]
fn a_name_is_banned_with_the_address_of_its_member() {
    let mut world = world();
    let ana = enter(&mut world, "203.0.113.7");
    world.says(&ana, "/nick Ana\n");
    let answer = ban(&mut world, "ana", HOUR, "spam");
    assert_eq!(answer, "banned 203.0.113.7 (Ana) until 2026-12-01 11:00:00 UTC: 1 member was removed");
    assert!(ana.is_ended());
    assert_refused(&mut world, "203.0.113.7", "* you are banned until 2026-12-01 11:00 UTC: spam\nFIN\n");
    // A subscriber of IPv6 changes its address within its /64.
    enter(&mut world, "2001:db8:1:2::3");
    assert_eq!(ban(&mut world, "client-2", None, ""), "banned 2001:db8:1:2::/64 (client-2): 1 member was removed");
    assert_refused(&mut world, "2001:db8:1:2:ffff::", BANNED);
    assert_eq!(
        listed(&world),
        ["203.0.113.7 (Ana) until 2026-12-01 11:00:00 UTC: spam", "2001:db8:1:2::/64 (client-2)"]
    );
    assert_eq!(unban(&mut world, "ANA"), Ok("203.0.113.7 (Ana) is no longer banned".to_owned()));
    assert_eq!(unban(&mut world, "ana"), Err("no ban was given for ana; bans lists them".to_owned()));
    enter(&mut world, "203.0.113.7");
}

#[test]
fn a_name_without_an_address_of_its_own_is_not_banned_and_the_answer_says_what_to_do() {
    let proxies = ["10.0.0.1", "unix"].iter().map(|text| text.parse().unwrap()).collect();
    let mut world = clocked(World::new(&Config { proxies, console: true, ..quiet() }));
    world.open_console();
    assert_eq!(refused_ban(&mut world, "server"), "server is the operator");
    assert_eq!(refused_ban(&mut world, "nobody"), "nobody here is called nobody");
    for ip in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        enter(&mut world, ip);
    }
    for (name, ip) in [("client-1", "127.0.0.1"), ("client-2", "::1"), ("client-3", "127.0.0.1")] {
        let answer = refused_ban(&mut world, name);
        let all = format!(
            "{name} comes from {ip}, this machine itself: ban {ip} would ban all that come from there, kick {name} \
             removes {name} alone"
        );
        assert_eq!(answer, all);
    }
    // A health check of a proxy, which enters.
    for client in [world.connect_from(at("10.0.0.1")), world.connect_locally(Endpoint::Lines)] {
        world.says(&client, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0\n");
        assert!(client.received().starts_with("* you are client-"));
    }
    assert!(refused_ban(&mut world, "client-4").starts_with("client-4 comes from 10.0.0.1, the address of a proxy"));
    let unix = "client-5 came over a Unix socket, and has no address: kick client-5 removes it";
    assert_eq!(refused_ban(&mut world, "client-5"), unix);
    // The kernel has forgotten it.
    let client = enter(&mut world, "203.0.113.7");
    client.peer.borrow_mut().address = None;
    assert_eq!(refused_ban(&mut world, "client-6"), "the address of client-6 is not known any more");
}

#[test]
fn a_member_that_is_away_has_no_address_and_comes_back_only_from_where_no_ban_is() {
    let mut world = world();
    let ana = world.connect_from(at("203.0.113.7"));
    world.says(&ana, "/track\n/nick ana\n");
    let token = ana.received().split(' ').nth(2).unwrap().to_owned();
    ana.resets();
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    let away = "ana is away, and its address is not known any more: kick ana ends its session";
    assert_eq!(refused_ban(&mut world, "ana"), away);
    ban(&mut world, "203.0.113.7", None, "");
    let back = world.connect_from(at("203.0.113.7"));
    world.says(&back, format!("/track x {token}\n"));
    assert_eq!(back.received(), BANNED);
    let elsewhere = world.connect_from(at("203.0.113.8"));
    world.says(&elsewhere, format!("/track x {token}\n"));
    assert!(elsewhere.received().contains(" as ana\n"));
}

#[test]
fn the_session_of_a_banned_member_is_over_and_its_seat_is_free() {
    let mut world = world();
    let ana = world.connect_from(at("203.0.113.7"));
    world.says(&ana, "/track\n/nick ana\n");
    let token = ana.received().split(' ').nth(2).unwrap().to_owned();
    ban(&mut world, "ana", None, "");
    assert!(ana.received().ends_with("** you are banned\nFIN\n"), "in its dialect");
    assert_eq!(world.hub.stats().clients, 0);
    let elsewhere = world.connect_from(at("203.0.113.8"));
    world.says(&elsewhere, format!("/track x {token}\n/nick ana\n"));
    let received = elsewhere.received();
    assert!(received.contains(" as client-2\n") && !received.contains(&token), "{received}");
    assert!(received.contains("client-2 is now ana"), "{received}");
}

#[test]
fn what_is_no_member_yet_is_removed_as_it_can_be_told() {
    let mut world = clocked(page::world(&quiet()));
    let banned = at("203.0.113.7");
    let entering = world.connect_from(banned);
    let handshaking = world.connect_to(Endpoint::TlsLines, banned);
    world.says(&handshaking, HELLO);
    let visitor = world.connect_to(Endpoint::Web, banned);
    let browser = world.connect_to(Endpoint::Web, banned);
    world.says(&browser, OPENING);
    browser.received_bytes();
    let other = enter(&mut world, "203.0.113.8");
    // The time has passed in which the line client would have entered, and the browser has.
    let late = world.connect_from(banned);
    let member = entering.received();
    assert!(member.starts_with("* you are client-"), "{member}");
    ban(&mut world, "203.0.113.7", None, "");
    assert_eq!(late.received(), BANNED);
    assert_eq!(entering.received(), BANNED);
    assert!(handshaking.is_closed() && handshaking.received_bytes().is_empty());
    assert!(visitor.is_ended() && visitor.received_bytes().is_empty());
    let told = frames(&browser.received_bytes());
    let texts: Vec<_> = told.iter().map(|(_, payload)| String::from_utf8_lossy(payload).into_owned()).collect();
    assert!(texts.concat().contains("* you are banned\nFIN\n"), "{texts:?}");
    assert!(told.last().is_some_and(|(first, payload)| *first == 0x88 && payload[..2] == 1008_u16.to_be_bytes()));
    assert!(!other.is_ended());
}

#[test]
fn a_browser_that_is_banned_before_it_enters_is_told_in_a_frame() {
    let mut world = clocked(page::world(&quiet()));
    let browser = world.connect_to(Endpoint::Web, at("203.0.113.7"));
    world.says(&browser, OPENING);
    browser.received_bytes();
    ban(&mut world, "203.0.113.7", None, "");
    let told = frames(&browser.received_bytes());
    assert_eq!(told[0], (0x81, b"* you are banned\n".to_vec()));
    assert_eq!(told[1], (0x81, b"FIN\n".to_vec()));
    assert_eq!(told[2].1[..2], 1008_u16.to_be_bytes());
}

#[test]
fn a_banned_visitor_reads_why_and_a_client_of_tls_nothing() {
    let mut world = clocked(page::world(&quiet()));
    ban(&mut world, "203.0.113.7", HOUR, "spam");
    let visitor = world.connect_to(Endpoint::Web, at("203.0.113.7"));
    world.run();
    let answer = visitor.received();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nyou are banned until 2026-12-01 11:00 UTC: spam\n"), "{answer}");
    let sealed = world.connect_to(Endpoint::TlsLines, at("203.0.113.7"));
    assert!(sealed.is_closed() && sealed.received_bytes().is_empty());
}

#[test]
fn the_client_behind_a_proxy_is_banned_and_not_the_proxy() {
    let proxies = ["10.0.0.1"].iter().map(|text| text.parse().unwrap()).collect();
    let mut world = clocked(page::world(&Config { proxies, ..quiet() }));
    let header = |host: u8| format!("PROXY TCP4 192.0.2.{host} 198.51.100.1 56324 46000\r\n");
    let behind = |world: &mut World, host| {
        let client = world.connect_from(at("10.0.0.1"));
        world.says(&client, header(host) + "\n");
        client
    };
    let (ana, ben) = (behind(&mut world, 7), behind(&mut world, 8));
    ben.received();
    assert_eq!(ban(&mut world, "client-1", None, ""), "banned 192.0.2.7 (client-1): 1 member was removed");
    assert!(ana.received().ends_with(BANNED));
    assert!(behind(&mut world, 7).received().ends_with(BANNED));
    assert!(behind(&mut world, 9).received().starts_with("* you are client-"));
    assert_eq!(ben.received(), "");
    // Each request names its client.
    let visitor = world.connect_to(Endpoint::Web, at("10.0.0.1"));
    let request = |host| format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 192.0.2.{host}\r\n\r\n");
    world.says(&visitor, request(8));
    assert!(visitor.received().starts_with("HTTP/1.1 200 OK\r\n"));
    world.says(&visitor, request(7));
    let answer = visitor.received();
    assert!(
        answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.ends_with("\r\n\r\nyou are banned\n"),
        "{answer}"
    );
    // A header that is under way says nothing of its client.
    let half = world.connect_from(at("10.0.0.1"));
    world.says(&half, "PROXY TCP4 192.");
    ban(&mut world, "10.0.0.1", None, "");
    assert!(half.is_closed() && ben.received().ends_with(BANNED), "all that come through the proxy");
}

#[test]
fn without_a_ban_no_address_is_asked_for() {
    let mut world = world();
    ban(&mut world, "203.0.113.7", None, "");
    assert!(unban(&mut world, "203.0.113.7").is_ok());
    let client = enter(&mut world, "203.0.113.7");
    assert_eq!(client.peer.borrow().address_asked, 0);
}

#[test]
fn a_lifted_ban_tells_a_wider_one_that_still_covers_it() {
    let mut world = world();
    for network in ["203.0.113.7", "203.0.113.0/24"] {
        ban(&mut world, network, HOUR, "x");
    }
    let still =
        "203.0.113.7 is no longer banned by itself, but 203.0.113.0/24 until 2026-12-01 11:00:00 UTC still covers it";
    assert_eq!(unban(&mut world, "203.0.113.7"), Ok(still.to_owned()));
    let covered = "203.0.113.7 is not banned by itself, but 203.0.113.0/24 until 2026-12-01 11:00:00 UTC covers it";
    assert_eq!(unban(&mut world, "203.0.113.7"), Err(covered.to_owned()));
    assert_eq!(unban(&mut world, "203.0.113.9/24"), Ok("203.0.113.0/24 is no longer banned".to_owned()));
    assert_eq!(unban(&mut world, "203.0.113.7"), Err("203.0.113.7 is not banned".to_owned()));
    assert!(unban(&mut world, "203.0.113.7/33").unwrap_err().starts_with("write an address"));
    enter(&mut world, "203.0.113.7");
}

#[test]
fn an_order_that_is_no_ban_changes_nothing() {
    let mut world = world();
    let now = world.now;
    for (target, time, reason, fault) in [
        ("0.0.0.0/0", None, "", "0.0.0.0/0 is too large"),
        ("2000::/8", None, "", "2000::/8 is too large"),
        ("203.0.113.7/x", None, "", "write an address"),
        ("203.0.113.7", Some(Duration::ZERO), "", "a ban ends within ten years"),
        ("203.0.113.7", Some(Duration::MAX), "", "a ban ends within ten years"),
        ("203.0.113.7", None, &*"x".repeat(121), "a reason has at most 120 bytes"),
    ] {
        let answer = world.hub.ban(target, time, reason, now).unwrap_err();
        assert!(answer.starts_with(fault), "{answer}");
    }
    assert_eq!(listed(&world), [""; 0]);
}

#[test]
fn bans_without_a_file_are_few_and_listed_in_parts() {
    let mut world = world();
    let now = world.now;
    for number in 0..1_000_u32 {
        let address = std::net::Ipv4Addr::from(0x0b00_0000 + number).to_string();
        world.hub.ban(&address, None, "", now).unwrap();
    }
    let full = world.hub.ban("203.0.113.7", None, "", now).unwrap_err();
    assert_eq!(full, "there are 1000 bans already: lift some, or ban larger networks");
    let (mut last, mut rows) = (None, 0);
    loop {
        let part = world.hub.bans_after(last, 64);
        let Some(end) = part.last() else { break };
        assert!(last < Some(end.network), "in order");
        (last, rows) = (Some(end.network), rows + part.len());
    }
    assert_eq!(rows, 1_000);
}

#[test]
fn among_many_connections_a_turn_does_a_part_and_none_is_forgotten() {
    let clients_max = Some(2 * BANS_CHECKED_A_TURN + 100);
    let mut world = clocked(World::new(&Config { clients_max, ..quiet() }));
    let clients: Vec<Client> = (0..2 * BANS_CHECKED_A_TURN + 50)
        .map(|number| {
            // A few in each part.
            let ip = if number % 100 == 0 { "203.0.113.7" } else { "203.0.114.1" };
            let client = world.connect_from(at(ip));
            world.says(&client, "\n");
            client
        })
        .collect();
    let now = world.now;
    let answer = world.hub.ban("203.0.113.7", None, "", now).unwrap();
    assert_eq!(answer, "banned 203.0.113.7: its members are being removed");
    assert_eq!(world.hub.next_wake(), Wake::Now);
    // A further ban goes on from there, and around.
    world.turn();
    world.hub.ban("198.51.100.0/24", None, "", now).unwrap();
    for _ in 0..4 {
        world.turn();
    }
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(client.is_ended(), number % 100 == 0, "{number}");
    }
    // Most of them: the removals of a turn are bounded, too.
    world.run();
    let before = world.hub.stats().clients;
    world.hub.ban("203.0.114.0/24", None, "", now).unwrap();
    assert_eq!(before - world.hub.stats().clients, BANNED_A_TURN);
    world.turn();
    assert_eq!(before - world.hub.stats().clients, 2 * BANNED_A_TURN);
    for _ in 0..before / BANNED_A_TURN {
        world.turn();
    }
    assert_eq!(world.hub.stats().clients, 0);
    assert!(clients.iter().all(Client::is_ended));
}
