//! `--proxy-from` in a hub with made-up peers: the PROXY protocol on the line port, `X-Forwarded-For` on the page's.
//! `src/server/proxy.rs` tests which bytes are a header.

use std::net::SocketAddr;

use pollchat::server::access::{AccessRules, parse_prefix};
use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::hub::Wake;
use pollchat::server::limits::{ENTER_DELAY, GRACE, HEADER_TIME};
use pollchat::server::proxy::HEADER_BYTES_MAX;

use crate::support::hub::{Client, READABLE, World};
use crate::support::page::{self, OPENING};

const EXPECTED: &str = "* this port expects the PROXY protocol from you: goodbye\nFIN\n";

/// As the proxies of these tests send it for a client at 192.0.2.7.
const FIRST: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 46000\r\n";
const SECOND: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\xb3\xb0";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn config(access: AccessRules) -> Config {
    let proxies = ["10.0.0.0/24", "unix"].iter().map(|text| text.parse().unwrap()).collect();
    Config { access, proxies, announce_up_to: 0, ..Config::default() }
}

fn world() -> World {
    World::new(&config(AccessRules::default()))
}

fn deny(text: &str) -> AccessRules {
    AccessRules { deny: vec![parse_prefix(text).unwrap()], ..AccessRules::default() }
}

fn proxy() -> Option<SocketAddr> {
    Some(SocketAddr::from(([10, 0, 0, 1], 7)))
}

fn from_proxy(world: &mut World) -> Client {
    world.connect_from(proxy())
}

#[track_caller]
fn assert_in(world: &mut World, client: &Client) {
    world.pass(ENTER_DELAY);
    let greeting = client.received();
    assert!(greeting.starts_with("* you are client-"), "{greeting:?}");
}

/// A field that names this client.
fn request(path: &str, client: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: {client}\r\n\r\n")
}

#[test]
fn a_client_enters_behind_a_header_however_it_is_cut() {
    let mut world = world();
    let ana = world.connect_from(Some(SocketAddr::from(([192, 0, 2, 1], 1))));
    assert_in(&mut world, &ana);
    for header in [FIRST, SECOND, LOCAL, b"PROXY UNKNOWN\r\n"] {
        for behind in ["hello\n", "\n"] {
            let bytes = [header, behind.as_bytes()].concat();
            for cut in 1..bytes.len() {
                let client = from_proxy(&mut world);
                world.says(&client, &bytes[..cut]);
                world.says(&client, &bytes[cut..]);
                let received = client.received();
                assert!(
                    received.starts_with("* you are client-") && received.lines().count() == 1,
                    "{cut}: {received:?}"
                );
                let said = ana.received();
                assert_eq!(said.ends_with("> hello\n"), behind == "hello\n", "{cut}: {said:?}");
                client.ends();
                world.hub.on_ready(client.key, READABLE);
                world.run();
            }
            // Byte by byte.
            let client = from_proxy(&mut world);
            bytes.iter().for_each(|byte| world.says(&client, [*byte]));
            assert!(client.received().starts_with("* you are client-"));
            assert_eq!(ana.received().ends_with("> hello\n"), behind == "hello\n");
        }
    }
}

#[test]
fn a_client_that_says_nothing_enters_after_the_delay_that_begins_with_the_header() {
    let mut world = world();
    let client = from_proxy(&mut world);
    world.pass(HEADER_TIME / 2);
    world.says(&client, FIRST);
    world.run();
    assert_eq!(client.received(), "");
    assert_in(&mut world, &client);
    world.pass(HEADER_TIME);
    world.says(&client, "/who\n");
    assert!(client.received().ends_with("* 1 here\n"), "the time for a header is over, and harms nothing");
}

#[test]
fn telnet_and_further_headers_behind_a_header_are_what_they_are_elsewhere() {
    let mut world = world();
    let telnet = from_proxy(&mut world);
    world.says(&telnet, [FIRST, b"\xff\xfd\x01hello\r\n"].concat());
    let received = telnet.received_bytes();
    assert!(
        received.starts_with(b"\xff\xfc\x01") || received.windows(3).any(|it| it == b"\xff\xfc\x01"),
        "{received:?}"
    );
    let twice = from_proxy(&mut world);
    world.says(&twice, [FIRST, FIRST].concat());
    assert_eq!(twice.received(), "* this is a chat relay and speaks no PROXY protocol: goodbye\nFIN\n");
}

#[test]
fn a_proxy_without_a_header_is_told_and_never_enters() {
    for bytes in [&b"hello\n"[..], b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", &[b"PROXY ", &[b'x'; 200][..]].concat()]
    {
        let mut world = world();
        let client = from_proxy(&mut world);
        world.says(&client, bytes);
        assert_eq!(client.received(), EXPECTED, "{}", bytes.escape_ascii());
        assert!(client.is_ended());
        client.ends();
        world.hub.on_ready(client.key, READABLE);
        world.run();
        world.pass(HEADER_TIME);
        assert_eq!((world.hub.connections(), world.hub.next_wake()), (0, Wake::OnEvent));
        let stats = world.hub.stats().stats;
        assert_eq!(
            (stats.entered, stats.reasons.iter().find(|(label, _)| *label == "no PROXY header")),
            (0, Some(("no PROXY header", 1)))
        );
    }
}

#[test]
fn a_header_without_an_end_is_bounded_and_over_in_time() {
    let mut world = world();
    let silent = from_proxy(&mut world);
    let slow = from_proxy(&mut world);
    world.says(&slow, &FIRST[..20]);
    let long = from_proxy(&mut world);
    // The length is that of 65,535 bytes.
    long.sends([&SECOND[..14], b"\xff\xff", &[7; 10 * HEADER_BYTES_MAX][..]].concat());
    world.hub.on_ready(long.key, READABLE);
    world.run();
    assert_eq!(long.received(), EXPECTED, "no more is waited for");
    assert_eq!((silent.received(), slow.received()), (String::new(), String::new()));
    world.pass(HEADER_TIME);
    assert_eq!((silent.received().as_str(), slow.received().as_str()), (EXPECTED, EXPECTED));
    world.pass(GRACE);
    assert_eq!((world.hub.connections(), world.hub.stats().stats.entered), (0, 0));
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn a_header_from_elsewhere_is_a_foreign_protocol() {
    for header in [FIRST, SECOND] {
        let mut world = world();
        let client = world.connect_from(Some(SocketAddr::from(([10, 0, 1, 1], 7))));
        world.says(&client, [header, b"hello\n"].concat());
        assert_eq!(client.received(), "* this is a chat relay and speaks no PROXY protocol: goodbye\nFIN\n");
        assert_eq!(world.hub.stats().stats.entered, 0);
    }
}

#[test]
fn rules_by_address_are_for_the_client_in_the_header() {
    const DENIED: &str = "* connections from your address are not allowed here\nFIN\n";
    let mut world = World::new(&config(deny("192.0.2.7")));
    for header in [FIRST, SECOND] {
        let client = from_proxy(&mut world);
        world.says(&client, [header, b"hello\n"].concat());
        assert_eq!(client.received(), DENIED);
    }
    let other = from_proxy(&mut world);
    world.says(&other, b"PROXY TCP4 192.0.2.8 198.51.100.1 56324 46000\r\n");
    assert_in(&mut world, &other);
    let itself = from_proxy(&mut world);
    world.says(&itself, LOCAL);
    assert_in(&mut world, &itself);
    // The proxy has to pass, too.
    let mut strict = World::new(&config(deny("10.0.0.1")));
    let client = from_proxy(&mut strict);
    strict.run();
    assert_eq!(client.received(), DENIED);
}

#[test]
fn the_clients_of_a_proxy_are_counted_by_their_own_addresses() {
    let mut world = World::new(&config(AccessRules { per_address_max: 1, ..AccessRules::default() }));
    let header = |host: usize| format!("PROXY TCP4 192.0.2.{host} 198.51.100.1 56324 46000\r\n");
    // More than may be entering from one address.
    let clients: Vec<Client> = (0..20).map(|_| from_proxy(&mut world)).collect();
    for (host, client) in clients.iter().enumerate() {
        world.says(client, header(host));
    }
    world.pass(ENTER_DELAY);
    clients.iter().for_each(|client| assert!(client.received().starts_with("* you are client-")));
    let second = from_proxy(&mut world);
    world.says(&second, header(3) + "\n");
    assert_eq!(second.received(), "* too many connections from your address (at most 1)\nFIN\n");
    clients[3].resets();
    world.hub.on_ready(clients[3].key, READABLE);
    world.run();
    let third = from_proxy(&mut world);
    world.says(&third, header(3) + "\n");
    assert!(third.received().starts_with("* you are client-"));
}

#[test]
fn a_peer_over_a_unix_socket_has_no_rules_unless_it_is_a_proxy() {
    let connect = |world: &mut World| world.connect_locally(Endpoint::Lines);
    let mut plain = World::new(&Config { announce_up_to: 0, access: deny("0.0.0.0/0"), ..Config::default() });
    let client = connect(&mut plain);
    assert_in(&mut plain, &client);
    let mut world = World::new(&config(deny("192.0.2.7")));
    let client = connect(&mut world);
    world.says(&client, [FIRST, b"hello\n"].concat());
    assert_eq!(client.received(), "* connections from your address are not allowed here\nFIN\n");
    let itself = connect(&mut world);
    world.says(&itself, LOCAL);
    assert_in(&mut world, &itself);
    let rude = connect(&mut world);
    world.says(&rude, "hello\n");
    assert_eq!(rude.received(), EXPECTED);
}

#[test]
fn each_request_of_a_proxy_is_checked_by_the_client_that_it_names() {
    let mut world = page::world(&config(deny("192.0.2.7")));
    let visitor = world.connect_to(Endpoint::Web, proxy());
    // A proxy uses one connection for several clients.
    for client in ["192.0.2.8", "192.0.2.7, 192.0.2.8, 10.0.0.2", "192.0.2.9"] {
        world.says(&visitor, request("/", client));
        assert!(visitor.received().starts_with("HTTP/1.1 200 OK\r\n"), "{client}");
    }
    world.says(&visitor, request("/", "192.0.2.8, 192.0.2.7"));
    assert!(visitor.received().starts_with("HTTP/1.1 403 Forbidden\r\n"));
    assert!(visitor.is_ended());
    // Without a name the proxy speaks for itself, and so if it is malformed.
    for client in ["", "192.0.2.7, unknown"] {
        let visitor = world.connect_to(Endpoint::Web, proxy());
        world.says(&visitor, request("/", client));
        assert!(visitor.received().starts_with("HTTP/1.1 200 OK\r\n"), "{client}");
    }
    // Others may write what they like.
    let stranger = world.connect_to(Endpoint::Web, Some(SocketAddr::from(([10, 0, 1, 1], 7))));
    world.says(&stranger, request("/", "192.0.2.7"));
    assert!(stranger.received().starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_browser_behind_a_proxy_is_counted_by_its_own_address() {
    let mut world = page::world(&config(AccessRules { per_address_max: 1, ..AccessRules::default() }));
    let open = |world: &mut World, client: &str| {
        let visitor = world.connect_to(Endpoint::Web, proxy());
        world.says(&visitor, OPENING.replace("Upgrade: w", &format!("X-Forwarded-For: {client}\r\nUpgrade: w")));
        world.pass(ENTER_DELAY);
        let received = visitor.received_bytes();
        let text = String::from_utf8_lossy(&received).into_owned();
        (visitor, text)
    };
    let browsers: Vec<_> = (0..12).map(|host| open(&mut world, &format!("192.0.2.{host}"))).collect();
    assert!(browsers.iter().all(|(_, text)| text.contains("* you are client-")));
    let (_, refused) = open(&mut world, "192.0.2.3");
    assert!(refused.contains("* too many connections from your address (at most 1)"), "{refused}");
}

#[test]
fn a_hub_without_proxies_asks_nobody_where_it_comes_from() {
    let mut world = World::new(&Config { announce_up_to: 0, ..Config::default() });
    let client = from_proxy(&mut world);
    world.says(&client, "hello\n");
    assert!(client.received().starts_with("* you are client-"));
    assert_eq!(client.peer.borrow().address_asked, 0);
}
