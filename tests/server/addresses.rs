//! `--listen` and `--web`: each form of an address with a plain meaning, and what the server prints for it.

use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::support::{DEADLINE, Server};

/// A port that is free on the loopback address.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port()
}

/// The exit code and the output of a server that does not get as far as listening.
fn failure(flags: &[&str]) -> (Option<i32>, String) {
    let output = Server::builder().flags(flags).command().output().expect("it can be started");
    assert!(output.stdout.is_empty(), "{flags:?}: {}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

#[test]
fn a_bare_port_is_one_of_the_default_address() {
    let port = free_port();
    let server = Server::builder().listen(&port.to_string()).go();
    assert_eq!(server.address(), SocketAddr::from(([127, 0, 0, 1], port)));
    server.join();
    assert!(Server::builder().listen("0").go().address().ip().is_loopback());
}

#[test]
fn a_name_is_each_of_its_addresses() {
    let server = Server::builder().listen("localhost:0").go();
    assert!(server.address().ip().is_loopback());
    TcpStream::connect(("localhost", server.address().port())).expect("it listens on localhost");
}

#[test]
fn a_star_or_no_host_is_every_address() {
    for address in ["*:0", ":0"] {
        let mut server = Server::builder().listen(address).go();
        let port = server.address().port();
        let has_ipv6 = TcpListener::bind("[::]:0").is_ok();
        crate::support::eventually("it prints each address", || server.stdout().len() > usize::from(has_ipv6));
        let mut expected = vec![format!("listening on 0.0.0.0:{port}")];
        expected.extend(has_ipv6.then(|| format!("listening on [::]:{port}")));
        assert_eq!(server.stdout(), expected);
        server.join();
        server.signal(rustix::process::Signal::TERM);
        server.wait(DEADLINE);
    }
}

#[test]
fn an_address_that_is_given_twice_is_one() {
    let (port, localhost) = (free_port().to_string(), "localhost:");
    let server = Server::builder().listen(&port).flags(["--listen", &format!("{localhost}{port}")]).go();
    let own = format!("listening on 127.0.0.1:{port}");
    assert_eq!(server.stdout().iter().filter(|line| **line == own).count(), 1);
}

#[test]
fn line_ports_are_told_before_pages() {
    let server = Server::builder().flags(["--web", "127.0.0.1:0"]).listen("127.0.0.1:0").listen("0").go();
    crate::support::eventually("it prints each address", || server.stdout().len() == 3);
    assert!(server.stdout()[2].starts_with("the page is at http://127.0.0.1:"), "{:?}", server.stdout());
}

#[test]
fn text_without_a_plain_meaning_is_a_usage_error_with_an_example() {
    for (address, example) in [
        ("", "write 46001, 127.0.0.1:46001"),
        ("65536", "a port is a number from 0 to 65535, as in 46001"),
        ("::1:80", "write [::1]:80 for port 80, or [::1:80]"),
        ("a b c", "write 46001"),
        ("http://0.0.0.0:8080", "write --web 0.0.0.0:8080"),
        ("300.1.1.1:1", "is neither a host name nor an IP address"),
    ] {
        let (code, error) = failure(&["--listen", address]);
        assert_eq!(code, Some(2), "{address}: {error}");
        assert!(error.starts_with("error: ") && error.contains(example), "{address}: {error}");
    }
}

#[test]
fn an_address_without_its_flag_gets_a_tip() {
    for (argument, tip) in [
        ("46001", Some("tip: to listen on 46001, use '--listen 46001'")),
        ("localhost:46001", Some("use '--listen localhost:46001'")),
        ("[::]:46001", Some("use '--listen [::]:46001'")),
        ("start", None),
        ("--lisen", Some("'--listen'")),
    ] {
        let (code, error) = failure(&[argument]);
        assert_eq!(code, Some(2), "{argument}: {error}");
        assert!(error.starts_with("error: unexpected argument"), "{argument}: {error}");
        assert_eq!(error.contains("tip: "), tip.is_some(), "{argument}: {error}");
        assert!(tip.is_none_or(|tip| error.contains(tip)), "{argument}: {error}");
    }
}

#[test]
fn an_address_that_cannot_be_had_is_named_with_the_reason() {
    let (port, missing) = (free_port().to_string(), "no address of this machine");
    let all = format!("0.0.0.0:{port}");
    for (flags, parts) in [
        // No name server is asked about a name with an empty part.
        (&["--listen", "a..b:1"][..], ["cannot listen on a..b:1: ", "lookup"]),
        (&["--listen", "192.0.2.77:1"], ["cannot listen on 192.0.2.77:1: ", missing]),
        (&["--listen", &port, "--web", &port], ["another address of this server has this port", &port]),
        (&["--listen", &port, "--listen", &all], ["another address of this server has this port", &all]),
    ] {
        let (code, error) = failure(flags);
        assert_eq!((code, error.lines().count()), (Some(1), 1), "{flags:?}: {error}");
        assert!(error.starts_with("pollchat-server: cannot "), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{flags:?}: {error}");
    }
}
