//! `--metrics`: the figures of a real server, while it is at work.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use pollchat::server::limits::SCRAPERS_MAX;
use rustix::process::Signal;

use crate::support::http::{Response, WebServer, Wire, head};
use crate::support::metrics::Scrape;
use crate::support::{Lines, Member, Server, eventually, say_numbered};

const OPEN_METRICS: &str = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3";

/// Starts a server with these flags whose metrics are on a port that the kernel picks. Returns where they are.
fn start(flags: &[&str]) -> (Server, SocketAddr) {
    let server = Server::quiet(&[&["--metrics", "127.0.0.1:0"][..], flags].concat());
    let address = metrics_of(&server);
    (server, address)
}

fn metrics_of(server: &Server) -> SocketAddr {
    let told = || {
        let lines = server.stdout();
        let line = lines.iter().find_map(|line| line.strip_prefix("metrics are at http://")?.strip_suffix("/metrics"));
        line.map(|address| address.parse().expect("an address"))
    };
    eventually("the server says where its metrics are", || told().is_some());
    told().expect("an address")
}

fn ask(address: SocketAddr, line: &str, field: &str) -> Response {
    let mut wire = Wire::connect(address);
    wire.send(head(&[line, "Host: x", field]));
    wire.response()
}

fn scrape(address: SocketAddr) -> Scrape {
    let response = ask(address, "GET /metrics HTTP/1.1", OPEN_METRICS);
    assert_eq!(response.status, 200, "{response:?}");
    response.assert_field("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8");
    Scrape::of_open_metrics(response.text())
}

#[test]
fn the_figures_are_those_of_the_process() {
    let (server, address) = start(&[]);
    let [mut ana, mut bob, _eve] = server.join_many();
    ana.send_line("hello");
    bob.expect(ana.says("hello"));
    let figures = scrape(address);
    for (series, count) in [
        ("clients{transport=\"tcp\"}", 3),
        ("clients{transport=\"console\"}", 0),
        ("entered_total", 3),
        ("accepted_total", 3),
        ("lines_said_total", 1),
        ("lines_delivered_total", 2),
        ("scrapes_total", 1),
    ] {
        assert_eq!(figures.count(&format!("pollchat_{series}")), count, "{series}");
    }
    assert!(figures.count("pollchat_turn_seconds_count") > 3);
    assert!(figures.value("process_start_time_seconds") > 1.6e9);
    // Before Linux 6.2, the number is unknown.
    if figures.names().contains(&"pollchat_open_fds") {
        let open = figures.count("pollchat_open_fds");
        assert!(open.abs_diff(server.descriptors() as u64) <= 2, "{open} and {}", server.descriptors());
    }
    let plain = ask(address, "GET /metrics HTTP/1.1", "Accept: */*");
    plain.assert_field("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(Scrape::of_plain(plain.text()).count("pollchat_scrapes_total"), 2);
    assert_eq!(ask(address, "GET /healthz HTTP/1.1", "Accept: */*").text(), "ok\n");
}

#[test]
fn no_counter_falls_while_clients_talk_come_and_go() {
    let (server, address) = start(&["--backlog", "64K"]);
    let is_over = AtomicBool::new(false);
    let scrapes = thread::scope(|scope| {
        let talk = |number: usize| {
            while !is_over.load(Ordering::Relaxed) {
                let mut client = server.join();
                (0..20).for_each(|line| client.send_line(format!("line {line} of {number}")));
            }
        };
        (0..3).for_each(|number| drop(scope.spawn(move || talk(number))));
        let mut scrapes = vec![scrape(address)];
        while scrapes.len() < 200 {
            let next = scrape(address);
            next.assert_no_less_than(&scrapes[scrapes.len() - 1]);
            assert_eq!(next.names(), scrapes[0].names(), "the series are fixed");
            scrapes.push(next);
        }
        is_over.store(true, Ordering::Relaxed);
        scrapes
    });
    let said = |scrape: &Scrape| scrape.count("pollchat_lines_said_total");
    assert!(said(scrapes.last().unwrap()) > said(&scrapes[0]));
}

#[test]
fn more_scrapers_than_places_are_all_answered_in_their_turn() {
    let (_server, address) = start(&[]);
    let wires: Vec<_> = (0..4 * SCRAPERS_MAX)
        .map(|_| {
            let mut wire = Wire::connect(address);
            wire.send(head(&["GET /metrics HTTP/1.1", "Host: x", OPEN_METRICS]));
            wire
        })
        .collect();
    for mut wire in wires {
        let response = wire.response();
        assert_eq!(response.status, 200);
        Scrape::of_open_metrics(response.text());
    }
}

#[test]
fn a_hundred_scrapers_at_once_cost_no_client_a_line() {
    let (server, address) = start(&[]);
    let [mut talker, mut listener] = server.join_many();
    let storm = move || {
        for _ in 0..5 {
            let wires: Vec<_> = (0..100)
                .map(|_| {
                    let mut wire = Wire::connect(address);
                    wire.send(head(&["GET /metrics HTTP/1.1", "Host: x"]));
                    wire
                })
                .collect();
            wires.into_iter().for_each(|mut wire| drop(Scrape::of_plain(wire.response().text())));
        }
    };
    thread::scope(|scope| {
        let storm = scope.spawn(storm);
        let mut said = 0;
        while !storm.is_finished() {
            say_numbered(&mut talker, &mut listener, said, said + 100);
            said += 100;
        }
    });
    let figures = scrape(address);
    assert_eq!(figures.count("pollchat_scrapes_total"), 501);
    assert_eq!((figures.count("pollchat_lags_total"), figures.count("pollchat_lines_missed_total")), (0, 0));
}

#[test]
fn the_ports_of_the_page_and_of_metrics_have_nothing_in_common() {
    let server = WebServer::start(&["--metrics", "127.0.0.1:0"]);
    let metrics = metrics_of(&server);
    for path in ["/metrics", "/healthz"] {
        assert_eq!(server.ask(&format!("GET {path} HTTP/1.1")).status, 404, "{path}");
    }
    for path in ["/", "/ws", "/r/lobby"] {
        let refused = ask(metrics, &format!("GET {path} HTTP/1.1"), "Origin: http://evil.example");
        assert_eq!(refused.status, 404, "{path}");
        assert!(refused.text().starts_with("not found: metrics are at /metrics"), "{refused:?}");
        assert_eq!(refused.field("Access-Control-Allow-Origin"), None);
    }
    let refused = ask(metrics, "DELETE /metrics HTTP/1.1", "Accept: */*");
    assert_eq!((refused.status, refused.field("Allow")), (405, Some("GET, HEAD")));
    // Line clients are told that it is no port of theirs.
    let mut stray = TcpStream::connect(metrics).unwrap();
    stray.write_all(b"hello\n\n").unwrap();
    assert!(std::io::read_to_string(stray).unwrap().starts_with("HTTP/1.1 400 "));
}

#[test]
fn metrics_are_served_over_a_unix_socket() {
    // The server removes it when it stops.
    let path = std::env::temp_dir().join(format!("pollchat-metrics-{}.sock", std::process::id()));
    let server = Server::quiet(&["--metrics", &format!("unix:{}", path.display())]);
    eventually("the server says where its metrics are", || {
        server.stdout().iter().any(|line| *line == format!("metrics are at unix:{}", path.display()))
    });
    let mut wire = Wire::connect_unix(&path);
    wire.send(head(&["GET /metrics HTTP/1.1", "Host: localhost", OPEN_METRICS]));
    Scrape::of_open_metrics(wire.response().text());
    server.signal(Signal::TERM);
    wire.expect_end();
}
