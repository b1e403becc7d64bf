//! `LISTEN_FDNAMES`: the name of a socket decides what it serves.

use std::os::unix::net::UnixListener;

use super::*;
use crate::support::http::{Wire, head};
use crate::support::tls_client::{Certificates, TlsClient, tls_address, tls_page};
use crate::support::ws_client::Browser;

/// A server that is to find `socket` at descriptor 3, with this name.
fn handed_over(socket: impl Into<OwnedFd>, name: &str) -> Start {
    Server::builder().hand_over(socket, 1).env("LISTEN_FDNAMES", name)
}

#[test]
fn the_page_by_name_is_the_page_by_flag() {
    let socket = listening();
    let address = socket.local_addr().unwrap();
    let start = handed_over(socket, "web").listen("127.0.0.1:0");
    let server = start.flags(["--announce-up-to", "0", "--web-host", "chat.lan", "--web-path", "/chat"]).go();
    assert_eq!(server.stdout()[0], format!("the page is at http://{address}/chat/"));
    server.expect_log(&["visitors of the page"]);
    let mut visitor = Wire::connect(address);
    visitor.send(head(&["GET /chat/ HTTP/1.1", &format!("Host: chat.lan:{}", address.port())]));
    assert!(visitor.response().text().contains("</html>"));
    let mut strange = Wire::connect(address);
    strange.send(head(&["GET /chat/ HTTP/1.1", "Host: other.lan"]));
    assert_eq!(strange.response().status, 421);
    let mut at_line_port = Wire::connect(server.address());
    at_line_port.send(head(&["GET / HTTP/1.1", "Host: chat.lan"]));
    assert!(at_line_port.response().text().contains(&format!("the page is at http://{address}/chat/")));
}

#[test]
fn a_page_alone_opens_no_line_port() {
    let socket = listening();
    let address = socket.local_addr().unwrap();
    let server = handed_over(socket, "web").flags(["--announce-up-to", "0"]).go();
    let [mut a, mut b] = [0; 2].map(|_| Browser::join(Wire::connect(address)));
    converse(&mut a, &mut b, 2);
    assert_eq!(server.stdout(), [format!("the page is at http://{address}/")]);
}

#[test]
fn a_socket_with_tls_by_name_needs_the_flags_of_the_certificate_alone() {
    let certificates = Certificates::new();
    let lines = handed_over(listening(), "tls").flags(certificates.flags()).go();
    certificates.join(&lines);
    assert_eq!(tls_address(&lines).port(), lines.addresses()[0].port());
    assert_eq!(lines.stdout().len(), 1);
    let page = handed_over(listening(), "web-tls").flags(certificates.flags()).flags(["--web-host", "chat.lan"]).go();
    let mut browser = TlsClient::connect(tls_page(&page), certificates.trust(&["http/1.1"])).unwrap();
    browser.send("GET / HTTP/1.1\r\nHost: chat.lan\r\nConnection: close\r\n\r\n");
    assert!(browser.rest().starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn without_a_certificate_a_socket_with_tls_is_a_failure() {
    for name in ["tls", "web-tls"] {
        let error = failure(&with_socket_at_3().env("LISTEN_FDNAMES", name), Some(listening().into()));
        assert!(error.ends_with(": fd 3: TLS requires --tls-cert and --tls-key\n"), "{error}");
    }
}

#[test]
fn sockets_of_operators_leave_the_default_line_port_alone() {
    let socket = listening();
    let address = socket.local_addr().unwrap();
    let server = handed_over(socket, "metrics").listen("127.0.0.1:0").go();
    assert_eq!(server.stdout()[0], format!("metrics are at http://{address}/metrics"));
    let path = std::env::temp_dir().join(format!("pollchat-{}-control.sock", process::id()));
    let server = handed_over(UnixListener::bind(&path).unwrap(), "control").listen("127.0.0.1:0").go();
    assert_eq!(server.stdout()[0], format!("operators are obeyed at unix:{}", path.display()));
    fs::remove_file(&path).unwrap();
}

#[test]
fn orders_are_taken_on_a_unix_socket_only() {
    let error = failure(&with_socket_at_3().env("LISTEN_FDNAMES", "control"), Some(listening().into()));
    assert!(error.ends_with(": fd 3: orders are taken on a Unix socket only: ListenStream=/run/…\n"), "{error}");
}

#[test]
fn a_name_that_says_nothing_is_a_line_port() {
    for name in ["pollchat.socket", "unknown", "lines", ""] {
        let server = handed_over(listening(), name).go();
        server.join();
    }
}

#[test]
fn any_other_name_is_a_failure_that_lists_the_known_ones() {
    for (names, expected) in [
        ("page", "fd 3 has the name 'page': FileDescriptorName= of its socket unit must be one of lines, tls, web,"),
        ("web:web", "LISTEN_FDNAMES has 2 names, and LISTEN_FDS=1"),
        (":", "LISTEN_FDNAMES has 2 names, and LISTEN_FDS=1"),
    ] {
        let error = failure(&with_socket_at_3().env("LISTEN_FDNAMES", names), Some(listening().into()));
        assert!(error.contains(&format!("cannot listen on what was handed over: {expected}")), "{error}");
    }
    // Names of another process.
    let server = Server::builder().env("LISTEN_FDS", "1").env("LISTEN_PID", "1").env("LISTEN_FDNAMES", "page").go();
    server.join();
}
