//! `--web`, `--web-origin` and `--web-host`: what can be asked for, and what the server says when it cannot be done.

use std::net::TcpListener;
use std::process::Output;

use crate::support::http::{WebServer, Wire, handshake, head};
use crate::support::{Member, Server};

fn run(flags: &[&str], env: &[(&str, &str)]) -> Output {
    let start = Server::builder().flags(["--listen", "127.0.0.1:0"]).flags(flags);
    start.command().envs(env.iter().copied()).output().expect("it can be started")
}

#[test]
fn without_the_flag_there_is_no_page() {
    let server = Server::start(&[]);
    assert_eq!(server.stdout().len(), 1, "{:?}", server.stdout());
}

#[test]
fn a_flag_that_makes_no_sense_is_a_usage_error() {
    for flags in [
        &["--web-origin", "https://chat.example.org"][..],
        &["--web-host", "chat.example.org"],
        &["--web-path", "/chat"],
        &["--web", "127.0.0.1:0", "--web-path", "chat"],
        &["--web", "127.0.0.1:0", "--web-path", "/a b"],
        &["--web", "127.0.0.1:0", "--web-path", "/../a"],
        &["--web", "127.0.0.1:0", "--web-path", "https://chat.example.org/chat"],
        &["--web", "localhost"],
        &["--web", "https://127.0.0.1:0"],
        &["--web", "127.0.0.1"],
        &["--web", "[localhost]:8080"],
        &["--web", "127.0.0.1:99999"],
        &["--web", ""],
        &["--web", "127.0.0.1:0", "--web-origin", "chat.example.org"],
        &["--web", "127.0.0.1:0", "--web-origin", "https://"],
        &["--web", "127.0.0.1:0", "--web-origin", "https://chat.example.org/"],
        &["--web", "127.0.0.1:0", "--web-origin", "https://chat.example.org:port"],
        &["--web", "127.0.0.1:0", "--web-origin", "https://a b"],
        &["--web", "127.0.0.1:0", "--web-origin", "null"],
        &["--web", "127.0.0.1:0", "--web-origin", "*"],
        &["--web", "127.0.0.1:0", "--web-origin", ""],
        &["--web", "127.0.0.1:0", "--web-host", "https://chat.example.org"],
        &["--web", "127.0.0.1:0", "--web-host", "chat.example.org:8080"],
        &["--web", "127.0.0.1:0", "--web-host", "chat example"],
        &["--web", "127.0.0.1:0", "--web-host", "*"],
        &["--web", "127.0.0.1:0", "--web-host", ""],
    ] {
        let output = run(flags, &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {stderr}");
        assert!(output.stdout.is_empty() && stderr.starts_with("error: "), "{flags:?}: {stderr}");
    }
    let output = run(&[], &[("POLLCHAT_WEB_HOST", "chat.example.org")]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_url_of_a_page_on_all_addresses_leads_to_it() {
    let server = WebServer::go_at(Server::builder(), &["0.0.0.0:0", "http://localhost:0/"]);
    for page in server.pages() {
        assert!(!page.ip().is_unspecified(), "{page}");
        let mut visitor = Wire::connect(*page);
        visitor.send(head(&["GET / HTTP/1.1", &format!("Host: {page}")]));
        assert_eq!(visitor.response().status, 200);
    }
}

#[test]
fn a_port_that_is_taken_is_said_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = run(&["--web", &address, "--log-level", "off"], &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty(), "{:?}", String::from_utf8_lossy(&output.stdout));
    assert!(stderr.starts_with("pollchat-server: ") && stderr.contains(&address), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn the_environment_can_ask_for_it_too() {
    let server = Server::builder().env("POLLCHAT_WEB", "127.0.0.1:0,127.0.0.2:0").go();
    crate::support::eventually("it says where", || server.stdout().len() == 3);
    let lines = server.stdout();
    assert!(lines[1].starts_with("the page is at http://127.0.0.1:"), "{lines:?}");
    assert!(lines[2].starts_with("the page is at http://127.0.0.2:"), "{lines:?}");
    let origins = "https://a.example,https://b.example";
    let server = WebServer::go(
        Server::builder().env("POLLCHAT_WEB_ORIGIN", origins).env("POLLCHAT_WEB_HOST", "a.example,b.example"),
    );
    for name in ["a.example", "b.example"] {
        let mut visitor = server.visit();
        visitor.send(handshake(name, &[&format!("Origin: https://{name}")]));
        visitor.response().assert_switches(0);
    }
}

#[test]
fn the_log_says_who_came_by_the_page() {
    let server = WebServer::start(&[]);
    let ana = server.browser();
    let address = ana.wire.stream().local_addr().expect("connected");
    let came = server.expect_log(&[&format!("{} came", ana.name())]);
    assert!(came.contains(&address.to_string()), "{came}");
    let name = ana.name();
    ana.close(Some(1001));
    server.expect_log(&[&format!("{name} left")]);
}
