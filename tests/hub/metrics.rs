//! Metrics in a hub whose sockets and time are not real: each figure moves as it should, a scrape changes none, and
//! scrapers and clients take nothing from each other.

mod scrapers;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use pollchat::server::access::{AccessRules, parse_prefix};
use pollchat::server::config::{Config, Lag};
use pollchat::server::endpoint::Endpoint;
use pollchat::server::limits::GRACE;
use pollchat::server::metrics::{Metrics, Probes};

use crate::support::hub::{Client, READABLE, World, quiet};
use crate::support::metrics::Scrape;
use crate::support::{journal::Disk, page};

const REQUEST: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n";

fn measured(mut world: World) -> World {
    world.hub.open_metrics(Metrics::new(Probes { clock: || SystemTime::UNIX_EPOCH, open_files: || Some(7) }));
    world
}

fn world(config: &Config) -> World {
    measured(page::world(config))
}

fn scraper(world: &mut World) -> Client {
    world.connect_to(Endpoint::Metrics, Some(SocketAddr::from(([127, 0, 0, 1], 1))))
}

/// The figures that a new scraper gets, which then leaves.
#[track_caller]
fn scrape(world: &mut World) -> Scrape {
    let scraper = scraper(world);
    world.says(&scraper, REQUEST);
    let answer = scraper.received();
    scraper.ends();
    world.hub.on_ready(scraper.key, READABLE);
    world.run();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    Scrape::of_open_metrics(body)
}

#[track_caller]
fn assert_counts(scrape: &Scrape, expected: &[(&str, u64)]) {
    for &(series, count) in expected {
        assert_eq!(scrape.count(&format!("pollchat_{series}")), count, "{series}");
    }
}

fn leaves(world: &mut World, client: &Client) {
    client.ends();
    world.hub.on_ready(client.key, READABLE);
    world.run();
}

#[test]
fn a_new_server_has_counted_nothing() {
    let mut world = world(&quiet());
    let scrape = scrape(&mut world);
    for series in scrape.names() {
        let expected = match series {
            "pollchat_rooms" | "pollchat_scrapes_total" => 1.0,
            "pollchat_open_fds" => 7.0,
            "pollchat_bytes_received_total" => REQUEST.len() as f64,
            _ if series.starts_with("pollchat_build_info{version=\"") => 1.0,
            _ => 0.0,
        };
        assert_eq!(scrape.value(series), expected, "{series}");
    }
}

#[test]
fn clients_are_counted_by_transport_as_they_come_and_go() {
    let mut world = world(&quiet());
    let console = world.open_console();
    let (ana, bob, eve) = (page::join(&mut world), page::browse(&mut world), page::join(&mut world));
    world.says(&eve, "/join rust\n");
    let _passing = world.connect_silently();
    let figures = scrape(&mut world);
    let clients = |transport: &str| format!("clients{{transport=\"{transport}\"}}");
    let of = |tcp, web, console| [("tcp", tcp), ("tls", 0), ("web", web), ("console", console)];
    let check = |figures: &Scrape, counts: [(&str, u64); 4]| {
        for (transport, count) in counts {
            assert_counts(figures, &[(&clients(transport), count)]);
        }
    };
    check(&figures, of(2, 1, 1));
    assert_counts(&figures, &[("rooms", 2), ("accepted_total", 4), ("entered_total", 3)]);
    leaves(&mut world, &ana);
    eve.resets();
    world.hub.on_ready(eve.key, READABLE);
    world.run();
    let figures = scrape(&mut world);
    check(&figures, of(0, 1, 1));
    let ends = [("disconnects_total{reason=\"eof\"}", 1), ("disconnects_total{reason=\"reset\"}", 1)];
    assert_counts(&figures, &ends);
    world.says(&console, "/kick client-2\n");
    leaves(&mut world, &console);
    drop(bob);
    let figures = scrape(&mut world);
    check(&figures, of(0, 0, 0));
    assert_counts(&figures, &[("disconnects_total{reason=\"removed\"}", 1)]);
    world.hub.shut_down(world.now);
    world.run();
}

#[test]
fn lines_are_counted_when_they_are_taken_said_and_put_up_for_delivery() {
    let mut world = world(&Config { line_bytes_max: 100, ..quiet() });
    let (ana, bob, tracked) = (page::join(&mut world), page::join(&mut world), world.connect_silently());
    world.says(&tracked, "/track\n");
    let before = scrape(&mut world);
    assert_counts(&before, &[("lines_received_total", 3), ("lines_said_total", 0), ("lines_delivered_total", 0)]);
    world.says(&ana, "one\ntwo\n");
    // To the tracked reader, and to bob.
    assert_counts(&scrape(&mut world), &[("lines_said_total", 2), ("lines_delivered_total", 4)]);
    // A tracked author is sent its own line.
    world.says(&tracked, "three\n");
    assert_counts(&scrape(&mut world), &[("lines_said_total", 3), ("lines_delivered_total", 7)]);
    world.says(&bob, "/who\n/msg client-1 psst\n\n");
    world.says(&bob, "x".repeat(101) + "\n");
    let after = scrape(&mut world);
    let quiet = [("lines_received_total", 10), ("lines_said_total", 3), ("lines_delivered_total", 7)];
    assert_counts(&after, &quiet);
    // Nobody else reads that.
    world.says(&bob, "/join rust\nfour\n");
    let alone = [("lines_received_total", 12), ("lines_said_total", 4), ("lines_delivered_total", 7)];
    assert_counts(&scrape(&mut world), &alone);
    assert_eq!(bob.received().matches("> ").count(), 3, "what was put up for delivery is what it got");
}

#[test]
fn what_an_echo_or_a_relay_with_echo_gives_its_author_is_counted_alike() {
    use pollchat::relay::room::Audience;
    for (audience, said, delivered) in [(Audience::Everyone, 1, 2), (Audience::Sender, 0, 0)] {
        let mut world = world(&Config { audience, ..quiet() });
        let (ana, _bob) = (page::join(&mut world), page::join(&mut world));
        world.says(&ana, "one\n");
        assert_counts(&scrape(&mut world), &[("lines_said_total", said), ("lines_delivered_total", delivered)]);
    }
}

#[test]
fn missed_lines_and_the_slowest_reader_are_those_of_who_lags() {
    let mut world = world(&Config { backlog_bytes: 64 * 1024, line_bytes_max: 1_000, ..quiet() });
    let (ana, bob) = (page::join(&mut world), page::join(&mut world));
    bob.takes(0);
    let line = "x".repeat(900) + "\n";
    for _ in 0..20 {
        world.says(&ana, &line);
        world.pass(Duration::from_millis(10));
    }
    let figures = scrape(&mut world);
    let behind = figures.count("pollchat_slowest_reader_bytes");
    assert!((18_000..20_000).contains(&behind), "{behind}");
    assert!(figures.count("pollchat_tape_bytes") >= behind);
    for _ in 0..100 {
        world.says(&ana, &line);
        world.pass(Duration::from_millis(10));
    }
    let figures = scrape(&mut world);
    world.makes_room(&bob, usize::MAX);
    let told = bob.received();
    let missed: u64 =
        told.split("* you missed ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    let got = told.matches("client-1> ").count() as u64;
    assert_counts(&figures, &[("lags_total", 1), ("lines_missed_total", missed), ("slowest_reader_bytes", 0)]);
    assert_eq!(figures.count("pollchat_lines_delivered_total"), got + missed, "all others were sent");
}

#[test]
fn refusals_and_ends_are_counted_by_their_reasons() {
    let mut world = world(&Config { clients_max: Some(1), idle_timeout: Some(Duration::from_secs(5)), ..quiet() });
    let _ana = page::join(&mut world);
    let _refused = world.knock();
    let stranger = world.connect_silently();
    world.says(&stranger, "GET / HTTP/1.1\r\n\r\n");
    let visitor = page::visit(&mut world);
    world.says(&visitor, "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
    world.pass(Duration::from_secs(6));
    let figures = scrape(&mut world);
    let expected = [
        ("refused_total{reason=\"full\"}", 1),
        ("refused_total{reason=\"http\"}", 1),
        ("refused_total{reason=\"denied\"}", 0),
        ("requests_total", 1),
        ("refused_requests_total{code=\"404\"}", 1),
        ("scrapes_total", 1),
        ("disconnects_total{reason=\"silent\"}", 1),
    ];
    assert_counts(&figures, &expected);
}

#[test]
fn sessions_are_counted_while_they_are_away_and_when_they_go_on() {
    let mut world = world(&Config { resume_within: Some(Duration::from_secs(30)), ..quiet() });
    let ana = world.connect_silently();
    world.says(&ana, "/track\n/nick ana\n");
    let told = ana.received();
    let token = told.split_whitespace().find(|word| word.len() == 32).unwrap_or_else(|| panic!("{told:?}")).to_owned();
    ana.resets();
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    let away = [("clients_away", 1), ("clients{transport=\"tcp\"}", 0), ("resumed_total", 0), ("entered_total", 1)];
    assert_counts(&scrape(&mut world), &away);
    let again = world.connect_silently();
    world.says(&again, format!("/track 0 {token}\n"));
    let back = [("clients_away", 0), ("clients{transport=\"tcp\"}", 1), ("resumed_total", 1), ("entered_total", 1)];
    assert_counts(&scrape(&mut world), &back);
}

#[test]
fn time_counts_as_braked_while_a_client_waits_for_a_slow_reader() {
    let config = Config { lag: Lag::Wait, backlog_bytes: 64 * 1024, line_bytes_max: 100, ..quiet() };
    let mut world = world(&config);
    let (ana, bob) = (page::join(&mut world), page::join(&mut world));
    bob.takes(0);
    world.says(&ana, "a line\n".repeat(20_000));
    world.run_for(Duration::from_secs(2));
    let braked = scrape(&mut world).value("pollchat_braked_seconds_total");
    assert!((1.9..=2.0).contains(&braked), "{braked}");
    world.run_for(Duration::from_secs(3));
    let braked = scrape(&mut world).value("pollchat_braked_seconds_total");
    assert!((4.9..=5.0).contains(&braked), "{braked}");
    world.makes_room(&bob, usize::MAX);
    world.run_for(Duration::from_secs(1));
    let rest = scrape(&mut world).value("pollchat_braked_seconds_total");
    world.run_for(Duration::from_secs(9));
    assert_eq!(scrape(&mut world).value("pollchat_braked_seconds_total"), rest, "nobody waits any more");
}

#[test]
fn turns_are_counted_if_metrics_are_served_and_the_journal_if_there_is_one() {
    let disk = Disk::new(1);
    let mut world = world(&quiet());
    world.hub.keep(Box::new(disk.clone()), disk.kept(0), disk.numbers());
    for us in [5, 40, 2_000_000] {
        world.hub.note_turn(Duration::from_micros(us), world.now);
    }
    let figures = scrape(&mut world);
    let buckets = ["1e-5", "0.00001"].map(|bound| format!("pollchat_turn_seconds_bucket{{le=\"{bound}\"}}"));
    let first = buckets.iter().find(|series| figures.names().contains(&series.as_str())).expect("a bucket of 10 us");
    assert_eq!(figures.count(first), 1);
    assert_counts(
        &figures,
        &[("turn_seconds_count", 3), ("journal_errors_total", 0), ("journal_missed_records_total", 0)],
    );
    assert!(figures.value("pollchat_turn_seconds_sum") > 2.0);
}

#[test]
fn a_scrape_changes_no_figure_but_those_of_scrapes() {
    let mut world = world(&quiet());
    let (ana, _bob) = (page::join(&mut world), page::browse(&mut world));
    world.says(&ana, "hello\n");
    let (first, report) = (scrape(&mut world), world.hub.stats().to_string());
    let second = scrape(&mut world);
    second.assert_no_less_than(&first);
    let of_scrapes = ["pollchat_scrapes_total", "pollchat_bytes_received_total", "pollchat_bytes_sent_total"];
    for series in first.names().into_iter().filter(|series| !of_scrapes.contains(series)) {
        assert_eq!(first.value(series), second.value(series), "{series}");
    }
    let figure = |report: &str, label: &str| {
        report
            .split(&format!("{label} "))
            .nth(1)
            .unwrap()
            .split([',', ' ', ';'])
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let after = world.hub.stats().to_string();
    for label in ["clients", "came", "connections", "requests", "lines", "said", "lags", "EOF"] {
        assert_eq!(figure(&report, label), figure(&after, label), "{label}");
    }
    assert_eq!(figure(&after, "lines"), second.count("pollchat_lines_said_total"), "SIGUSR1 has the same counters");
}
