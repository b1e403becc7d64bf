//! `--proxy-from` in a real server: headers over the kernel's streams, the log, and wrong values.

use std::net::{IpAddr, Ipv4Addr};

use crate::support::http::{WebServer, Wire, handshake, head};
use crate::support::ws_client::Browser;
use crate::support::{Client, Lines, Member, Server, converse};

/// The other address of ours, which is no proxy.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

fn header(client: &str) -> String {
    let family = if client.contains(':') { "TCP6" } else { "TCP4" };
    let own = if client.contains(':') { "::1" } else { "127.0.0.1" };
    format!("PROXY {family} {client} {own} 56324 46000\r\n")
}

/// A client that this proxy says is at this address.
fn from(server: &Server, client: &str) -> Client {
    let mut connection = server.connect();
    connection.send(header(client));
    connection
}

#[test]
fn the_log_and_the_rules_have_the_addresses_that_the_proxy_gives() {
    let flags = ["--proxy-from", "127.0.0.1", "--deny", "192.0.2.66", "--max-per-address", "1"];
    let server = Server::start(&flags);
    let mut ana = from(&server, "192.0.2.7").join();
    let mut bob = from(&server, "2001:db8::7").join();
    converse(&mut ana, &mut bob, 2);
    server.expect_log(&["came from 192.0.2.7:56324"]);
    server.expect_log(&["came from [2001:db8::7]:56324"]);
    let mut denied = from(&server, "192.0.2.66");
    denied.expect("* connections from your address are not allowed here");
    server.expect_log(&["refused 192.0.2.66:56324: its address is not allowed"]);
    let mut crowded = from(&server, "2001:db8::8");
    crowded.send_line("hello");
    crowded.expect("* too many connections from your address (at most 1)");
    drop(ana);
    server.expect_log(&["left (end of input; 192.0.2.7:56324)"]);
    let mut rude = server.connect();
    rude.send_line("hello");
    rude.expect("* this port expects the PROXY protocol from you: goodbye");
    rude.expect_farewell();
    server.expect_log(&["refused 127.0.0.1:", "a proxy that sent no PROXY header"]);
    let mut stranger = Client::connect_from(ELSEWHERE, server.address());
    stranger.send(header("192.0.2.9"));
    stranger.expect("* this is a chat relay and speaks no PROXY protocol: goodbye");
    let mut plain = Client::connect_from(ELSEWHERE, server.address()).join();
    plain.send_line("hello");
    bob.lines_until(|line| line.ends_with("> hello"));
}

#[test]
fn the_page_has_the_addresses_that_the_proxy_gives() {
    let server = WebServer::start(&["--proxy-from", "127.0.0.1", "--deny", "192.0.2.66"]);
    let page = server.page();
    let open = |client: &str, mut wire: Wire| {
        wire.send(handshake(page, &[&format!("X-Forwarded-For: {client}")]));
        wire
    };
    let mut wire = open("192.0.2.66, 192.0.2.7", server.visit());
    wire.response().assert_switches(0);
    let mut ana = Browser::over(wire);
    ana.greeted();
    ana.say("hello");
    server.expect_log(&["came from 192.0.2.7 with a browser"]);
    let denied = open("192.0.2.66", server.visit()).response();
    assert_eq!(denied.status, 403);
    server.expect_log(&["refused 192.0.2.66: its address is not allowed"]);
    let mut stranger = open("192.0.2.66", Wire::connect_from(ELSEWHERE, page));
    stranger.response().assert_switches(0);
    let mut visitor = server.visit();
    for client in ["192.0.2.8", "192.0.2.9"] {
        visitor.send(head(&["GET / HTTP/1.1", &server.host_field(), &format!("x-forwarded-for: {client}")]));
        assert_eq!(visitor.response().status, 200);
    }
}

#[test]
fn a_wide_range_is_warned_of_and_a_wrong_one_is_a_usage_error() {
    let server = Server::start(&["--proxy-from", "10.0.0.0/8,127.0.0.0/8", "--proxy-from", "unix"]);
    server.expect_log(&["WARN", "--proxy-from 10.0.0.0/8: each host in it can name any address as its own"]);
    assert_eq!(server.log().iter().filter(|line| line.contains("--proxy-from")).count(), 1);
    for value in ["localhost", "10.0.0.0/33", "unix:/run/x", ""] {
        let output = Server::builder().flags(["--proxy-from", value]).command().output().expect("it can be started");
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{value}: {error}");
    }
}
