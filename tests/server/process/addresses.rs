//! The addresses that a server listens on, and the errors of those that it cannot.

use super::*;

#[test]
fn stdout_carries_the_listeners_and_nothing_else() {
    let mut server = Server::start(&["--log-level", "trace"]);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    a.lines_until(|line| line.ends_with(" joined"));
    converse(&mut a, &mut b, 10);
    b.reset();
    a.send("x".repeat(10_000) + "\n/nope\nFIN\n");
    a.lines_until(|line| line == "FIN");
    server.signal(Signal::TERM);
    drop(a);
    server.wait(DEADLINE);
    server.drained();
    assert_eq!(server.stdout(), [format!("listening on {}", server.address())]);
}

#[test]
fn port_0_picks_one() {
    let server = Server::start(&[]);
    assert_eq!(server.address().ip().to_string(), "127.0.0.1");
    assert_ne!(server.address().port(), 0);
}

#[test]
fn several_listeners_serve_one_room() {
    let server = Server::builder().flags(["--announce-up-to", "0"]).listen("127.0.0.1:0").listen("127.0.0.2:0").go();
    let addresses = server.addresses();
    assert_eq!(
        addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>(),
        ["127.0.0.1", "127.0.0.2"]
    );
    let mut clients = addresses.iter().map(|&address| {
        let mut client = Client::connect(address);
        client.greeted();
        client
    });
    let (mut a, mut b) = (clients.next().expect("one"), clients.next().expect("two"));
    assert_ne!(a.number(), b.number());
    converse(&mut a, &mut b, 2);
}

#[test]
fn ipv6_is_served_too_and_it_alone() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("no IPv6 here: nothing tested");
        return;
    }
    let server = Server::builder().flags(["--announce-up-to", "0"]).listen("127.0.0.1:0").listen("[::]:0").go();
    let [v4, v6] = server.addresses() else { panic!("two listeners: {:?}", server.addresses()) };
    let mut a = Client::connect(*v4);
    a.greeted();
    let mut b = Client::connect(format!("[::1]:{}", v6.port()).parse().expect("an address"));
    b.greeted();
    converse(&mut a, &mut b, 2);
    // An address of its own, so that no other test can be found there.
    assert!(TcpStream::connect(("127.0.0.66", v6.port())).is_err(), "[::] is not to take IPv4");
}

#[test]
fn an_ipv6_loopback_address_is_told_as_such() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("no IPv6 here: nothing tested");
        return;
    }
    let server = Server::builder().listen("[::1]:0").go();
    assert!(server.stdout()[0].starts_with("listening on [::1]:"));
    server.join();
}

#[test]
fn the_same_port_can_be_taken_again_at_once_after_an_end() {
    let mut server = Server::builder().listen("127.0.0.3:0").go();
    let address = server.address().to_string();
    let mut a = server.join();
    server.signal(Signal::TERM);
    a.expect("* the server is shutting down");
    a.expect_farewell();
    drop(a);
    server.wait(DEADLINE);
    let server = Server::builder().listen(&address).go();
    server.join();
}

#[test]
fn a_port_that_is_taken_ends_it_with_1_and_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    expect_failure(&Server::builder().listen(&address), &address);
    // A listener that could be had makes it no better: nothing is said before all are bound.
    expect_failure(&Server::builder().listen("127.0.0.1:0").listen(&address), &address);
    expect_failure(&Server::builder().flags(["--log-level", "trace"]).listen("127.0.0.1:0").listen(&address), &address);
    expect_failure(&Server::builder().flags(["--log-level", "off"]).listen(&address), &address);
}

#[test]
fn an_address_that_is_not_local_ends_it_with_1_and_one_line() {
    // Of the block that is kept for documentation.
    expect_failure(&Server::builder().listen("192.0.2.1:46000"), "192.0.2.1:46000");
}

#[test]
fn a_port_that_is_not_permitted_ends_it_with_1_and_one_line() {
    let denied = TcpListener::bind("127.0.0.1:1").err();
    if denied.is_none_or(|error| error.kind() != io::ErrorKind::PermissionDenied) {
        eprintln!("this user may take any port: nothing tested");
        return;
    }
    expect_failure(&Server::builder().listen("127.0.0.1:1"), "127.0.0.1:1");
}

#[track_caller]
fn expect_failure(start: &Start, address: &str) {
    let output = run(start);
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("pollchat-server: ") && error.contains(address) && error.ends_with('\n'), "{error:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}
