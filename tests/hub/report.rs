//! The log of the hub: the first of a kind of events at once, then a count a minute; and nothing of connections that
//! the room never learned of.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Once;
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};
use pollchat::server::access::{AccessRules, parse_prefix};
use pollchat::server::config::Config;
use pollchat::server::hub::Wake;
use pollchat::server::limits::{ENTER_DELAY, GRACE, INTRODUCE_AFTER};
use pollchat::server::report::PERIOD;

use crate::support::hub::{Client, READABLE, World, quiet};
use crate::support::journal::Disk;
use crate::support::log::Entry;
use crate::support::page;

thread_local! {
    /// The lines of this thread's hub; `None` while the test does not listen.
    static LOGGED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

struct Listener;

impl Log for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info && LOGGED.with_borrow(Option::is_some)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            LOGGED.with_borrow_mut(|logged| logged.iter_mut().for_each(|lines| lines.push(record.args().to_string())));
        }
    }

    fn flush(&self) {}
}

/// Returns the words of the lines since the last call, and goes on listening.
#[track_caller]
fn logged() -> Vec<String> {
    entries().into_iter().map(|entry| entry.words).collect()
}

/// Returns the lines since the last call, and goes on listening.
#[track_caller]
fn entries() -> Vec<Entry> {
    let entries: Vec<_> = lines().iter().map(|line| Entry::of_message(line)).collect();
    assert!(entries.iter().all(|entry| !entry.event().is_empty()), "each event has fields: {entries:?}");
    entries
}

/// The same, of which some are no events.
pub(crate) fn lines() -> Vec<String> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Listener).expect("nothing else listens");
        log::set_max_level(LevelFilter::Info);
    });
    LOGGED.replace(Some(Vec::new())).unwrap_or_default()
}

#[test]
fn a_health_check_of_a_proxy_is_not_logged_and_a_missing_header_is() {
    const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let proxies = ["10.0.0.0/8"].iter().map(|text| text.parse().unwrap()).collect();
    let mut world = World::new(&Config { proxies, ..quiet() });
    let proxy = |port: u16| Some(SocketAddr::from(([10, 0, 0, 1], port)));
    logged();
    for (port, said) in [(1, &b""[..]), (2, LOCAL), (3, &LOCAL[..7])] {
        for ends in [Client::ends, Client::resets] {
            let check = world.connect_from(proxy(port));
            world.says(&check, said);
            ends(&check);
            world.hub.on_ready(check.key, READABLE);
            world.run();
        }
    }
    world.pass(GRACE);
    assert_eq!(logged(), [""; 0]);
    for port in [4, 5] {
        let rude = world.connect_from(proxy(port));
        world.says(&rude, "hello\n");
    }
    assert_eq!(logged(), ["refused 10.0.0.1:4: a proxy that sent no PROXY header"]);
    world.pass(PERIOD);
    let more = logged();
    assert_eq!(more.len(), 1, "{more:?}");
    assert!(more[0].starts_with("1 more connections were refused (no PROXY header) from 1 address"), "{more:?}");
    // Arrivals and departures have the address of the client.
    let ana = world.connect_from(proxy(6));
    world.says(&ana, "PROXY TCP4 192.0.2.7 198.51.100.1 56324 46000\r\nhello\n");
    ana.peer.borrow_mut().address = None;
    ana.ends();
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    let visit = logged();
    assert_eq!(visit.len(), 2, "{visit:?}");
    assert!(visit.iter().all(|line| line.contains("192.0.2.7:56324")), "{visit:?}");
}

fn denying() -> Config {
    let access = AccessRules { deny: vec![parse_prefix("10.0.0.0/8").unwrap()], ..AccessRules::default() };
    Config { access, ..quiet() }
}

fn knock_from(world: &mut World, host: u8) {
    let client = world.connect_from(Some(SocketAddr::from(([10, 0, 0, host], 7))));
    world.run();
    client.ends();
    world.hub.on_ready(client.key, READABLE);
    world.run();
}

#[test]
fn a_storm_of_refusals_is_one_line_and_one_with_the_count_each_minute() {
    logged();
    let mut world = World::new(&denying());
    let start = world.now;
    (0..250).for_each(|number| knock_from(&mut world, number % 3));
    assert_eq!(logged(), ["refused 10.0.0.0:7: its address is not allowed"]);
    world.pass(GRACE);
    assert_eq!(world.hub.next_wake(), Wake::At(start + PERIOD), "the rest is told without a further event");
    world.pass(PERIOD - GRACE);
    let rest = "from 3 addresses in the last minute, the last: refused 10.0.0.0:7";
    let lines = logged();
    assert!(lines.len() == 1 && lines[0].starts_with("249 more connections were refused (denied) "), "{lines:?}");
    assert!(lines[0].contains(rest), "{lines:?}");
    // The storm goes on: a line a minute.
    for minute in 2..5 {
        (0..minute).for_each(|_| knock_from(&mut world, 9));
        assert_eq!(logged(), [""; 0]);
        world.pass(PERIOD);
        let lines = logged();
        let count = format!("{minute} more connections were refused (denied) from 1 address in the last minute, ");
        assert!(lines.len() == 1 && lines[0].starts_with(&count), "{lines:?}");
    }
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
    // It is over after a quiet minute.
    world.pass(PERIOD);
    knock_from(&mut world, 9);
    assert_eq!(logged().len(), 1);
}

#[test]
fn kinds_do_not_hide_each_other_and_no_count_is_lost_at_the_end() {
    logged();
    let mut world = World::new(&Config { clients_max: Some(1), ..denying() });
    let ana = world.connect();
    world.says(&ana, "hello\n");
    assert_eq!(logged(), ["client-1 came from 127.0.0.1:1; 1 present"]);
    (0..3).for_each(|_| knock_from(&mut world, 1));
    for _ in 0..3 {
        let client = world.knock();
        client.resets();
        world.hub.on_ready(client.key, READABLE);
        world.run();
    }
    assert_eq!(logged().len(), 2, "one of each");
    let now = world.now + Duration::from_secs(9);
    world.hub.reports().end(now);
    let lines = logged();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("2 more ") && line.contains(" in the last 9 s, ")), "{lines:?}");
}

#[test]
fn a_health_check_is_counted_and_neither_announced_nor_logged() {
    logged();
    let mut world = World::new(&Config::default());
    let ana = world.connect_and_settle();
    assert_eq!(logged(), ["client-1 came from 127.0.0.1:1; 1 present"]);
    for way in 0..4 {
        let check = if way < 2 { world.connect_silently() } else { world.knock() };
        if way == 3 {
            world.pass(INTRODUCE_AFTER - Duration::from_millis(1));
        }
        if way == 1 {
            check.resets();
        } else {
            check.ends();
        }
        world.hub.on_ready(check.key, READABLE);
        world.run_on();
    }
    assert_eq!((logged(), ana.received()), (vec![], String::new()));
    assert_eq!(world.hub.stats().stats.passing, 4);
}

#[test]
fn a_client_is_logged_when_the_room_learns_of_it_and_its_departure_exactly_then() {
    logged();
    let mut world = World::new(&Config { announce_up_to: 1, ..Config::default() });
    let ana = world.connect();
    assert_eq!(logged(), [""; 0]);
    world.says(&ana, "/nick ana\n");
    assert_eq!(logged(), ["ana came from 127.0.0.1:1; 1 present"]);
    let (bob, mute) = (world.connect(), world.connect());
    world.pass(INTRODUCE_AFTER);
    assert_eq!(logged(), [""; 0], "a crowd has no timer");
    world.says(&bob, "hello\n");
    assert_eq!(logged(), ["client-2 came from 127.0.0.1:1; 3 present"]);
    for client in [&mute, &bob] {
        client.ends();
        world.hub.on_ready(client.key, READABLE);
        world.run();
    }
    assert_eq!(logged(), ["client-2 left (end of input; 127.0.0.1:1); 1 present"]);
}

#[test]
fn a_reset_client_is_logged_without_the_address_that_the_kernel_has_forgotten() {
    logged();
    let mut world = World::new(&quiet());
    let client = world.connect();
    world.says(&client, "hello\n");
    client.peer.borrow_mut().address = None;
    client.resets();
    world.hub.on_ready(client.key, READABLE);
    world.run();
    assert_eq!(logged(), ["client-1 came from 127.0.0.1:1; 1 present", "client-1 left (connection reset); 0 present"]);
}

#[test]
fn comings_and_goings_are_logged_one_by_one_as_long_as_they_are_few() {
    logged();
    let mut world = World::new(&quiet());
    for _ in 0..40 {
        let client = world.knock();
        world.says(&client, "hello\n");
        world.says(&client, "FIN\n");
    }
    let lines = logged();
    assert_eq!(lines.iter().filter(|line| line.contains(" came from ")).count(), 10, "{lines:#?}");
    assert_eq!(lines.len(), 20, "{lines:#?}");
    world.pass(PERIOD);
    let lines = logged();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].starts_with("30 more clients came from 1 address in the last minute, the last: client-40 came"));
}

#[test]
fn disconnects_by_the_server_are_logged_even_of_clients_nobody_knew() {
    logged();
    let mut world = World::new(&Config { idle_timeout: Some(Duration::from_secs(5)), ..quiet() });
    let clients: Vec<_> = (0..30).map(|_| world.connect_silently()).collect();
    world.pass(ENTER_DELAY);
    world.pass(Duration::from_secs(6));
    let lines = logged();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].starts_with("client-1 left (never said anything; "), "{lines:#?}");
    world.pass(PERIOD);
    let lines = logged();
    assert!(lines.len() == 1 && lines[0].starts_with("29 more clients were disconnected (silent) "), "{lines:#?}");
    drop(clients);
}

#[test]
fn refused_requests_are_logged_with_the_flag_that_allows_them_and_counted() {
    logged();
    let mut world = page::world(&quiet());
    let requests = [
        (20, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned()),
        (20, page::OPENING.replace("\r\n\r\n", "\r\nOrigin: http://x.example\r\n\r\n")),
        (1, page::OPENING.replace("\r\n\r\n", "\r\nOrigin: nu\x01\u{9b}ll\r\n\r\n")),
        (20, "GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        (20, "GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        (20, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
    ];
    for (times, request) in &requests {
        for _ in 0..*times {
            let visitor = page::visit(&mut world);
            world.says(&visitor, request);
            visitor.ends();
            world.hub.on_ready(visitor.key, READABLE);
            world.run();
        }
    }
    let lines = logged();
    assert_eq!(lines.len(), 3 + usize::from(lines.iter().any(|line| line.contains(" 400"))), "{lines:#?}");
    let of = |code: &str| lines.iter().find(|line| line.contains(code)).unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(of(" 421: ").contains("if that is this server, add --web-host evil.example"), "{lines:#?}");
    assert!(of(" 403: ").contains("add --web-origin http://x.example"), "{lines:#?}");
    assert!(of(" 426: ").contains("for WebSockets only"), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{lines:#?}");
    let counts: Vec<_> = world.hub.stats().stats.answers.iter().filter(|&(_, count)| count > 0).collect();
    let (refused, misdirected, upgrades) = ((404, 20), (421, 20), (426, 20));
    assert!([refused, misdirected, upgrades].iter().all(|count| counts.contains(count)), "{counts:?}");
    assert!(counts.contains(&(403, 20)) || counts.contains(&(403, 21)), "{counts:?}");
}

#[test]
fn a_journal_that_misses_records_is_told_once_a_minute_and_so_is_that_it_caught_up() {
    logged();
    let disk = Disk::new(1);
    let config = Config { backlog_bytes: 16 * 1024, line_bytes_max: 100, ..quiet() };
    let mut world = World::new(&config);
    world.hub.keep(Box::new(disk.clone()), disk.kept(0), disk.numbers());
    let ana = world.connect();
    world.says(&ana, "hello\n");
    logged();
    for _ in 0..10 {
        disk.takes(100);
        (0..100).for_each(|_| world.says(&ana, "a line like any other\n".repeat(10)));
        disk.takes(usize::MAX);
        world.run();
    }
    let lines = logged();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let missed = lines[0].strip_prefix("the journal of lobby has missed ");
    assert!(missed.is_some_and(|rest| rest.ends_with(" records: its disk does not keep up")), "{lines:?}");
    assert!(lines[1].starts_with("the journal has caught up; it has missed "), "{lines:?}");
    world.pass(PERIOD);
    let lines = logged();
    assert!(lines.len() == 2 && lines[0].contains(" more gaps are in the journal in the last minute"), "{lines:?}");
    assert!(lines[1].contains("9 more times the journal caught up in the last minute"), "{lines:?}");
}

#[test]
fn each_kind_of_event_has_its_fields() {
    let written = |entries: Vec<Entry>| entries.iter().map(Entry::written).collect::<Vec<_>>();
    logged();
    let config = Config { access: denying().access, idle_timeout: Some(Duration::from_secs(60)), ..quiet() };
    let mut world = page::world(&config);
    let (console, ana) = (world.open_console(), world.connect());
    world.says(&ana, "/nick ana\n");
    let of_ana = "name=ana address=127.0.0.1:1";
    assert_eq!(written(entries()), [format!("event=came {of_ana} transport=tcp room=lobby")]);
    world.says(&ana, "/nick emily\n/join rust\n");
    let renamed = "event=renamed name=emily was=ana address=127.0.0.1:1 room=lobby";
    assert_eq!(written(entries()), [renamed], "a move is for debugging");
    world.says(&ana, "FIN\n");
    assert_eq!(written(entries()), ["event=left name=emily address=127.0.0.1:1 room=rust reason=goodbye"]);
    let browser = page::browse(&mut world);
    world.says(&browser, page::text("hello"));
    world.says(&console, "/kick client-2\n");
    let of_browser = "name=client-2 address=127.0.0.1:1";
    let expected = [
        format!("event=came {of_browser} transport=web room=lobby"),
        format!("event=removed {of_browser} room=lobby reason=removed"),
    ];
    assert_eq!(written(entries()), expected);
    knock_from(&mut world, 1);
    assert_eq!(written(entries()), ["event=refused address=10.0.0.1:7 reason=denied"]);
    let stranger = world.connect_silently();
    world.says(&stranger, "EHLO x\r\nAUTH PLAIN x\r\n");
    assert_eq!(written(entries()), ["event=foreign address=127.0.0.1:1 protocol=smtp"]);
    let visitor = page::visit(&mut world);
    world.says(&visitor, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(written(entries()), ["event=answered address=127.0.0.1:1 status=421"]);
    let _silent = world.connect_silently();
    world.run_for(Duration::from_secs(62));
    let of_silent = "event=disconnected name=client-3 address=127.0.0.1:1 room=lobby reason=silent";
    assert_eq!(written(entries()), [of_silent]);
    // The number of others, of which the words have the last.
    (0..8).for_each(|host| knock_from(&mut world, host % 3));
    world.pass(PERIOD);
    let rest = "event=refused reason=denied more=7 addresses=3";
    assert_eq!(written(entries()).last().map(String::as_str), Some(rest));
}

#[test]
fn a_tracked_client_leaves_once_however_often_its_connection_is_lost() {
    logged();
    let mut world = World::new(&Config { resume_within: Some(Duration::from_secs(30)), ..quiet() });
    let ana = world.connect_silently();
    world.says(&ana, "/track\n/nick ana\n");
    assert_eq!(entries().len(), 1);
    ana.resets();
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    assert_eq!(logged(), [""; 0]);
    world.run_for(Duration::from_secs(31));
    let left = entries();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].written(), "event=left name=ana room=lobby reason=not_back");
}

#[test]
fn no_peer_forges_a_field_or_a_line() {
    logged();
    let mut world = page::world(&quiet());
    let forged = " event=left name=ana";
    for request in [
        format!("GET / HTTP/1.1\r\nHost: evil.example{forged}\r\n\r\n"),
        page::OPENING.replace("\r\n\r\n", &format!("\r\nOrigin: http://x.example{forged}\r\n\r\n")),
        page::OPENING.replace("\r\n\r\n", &format!("\r\nOrigin: x{forged}\r\n\r\n")),
        format!("GET /{forged} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x{forged}\r\n\r\n"),
        format!("GET /ws?room={forged} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ] {
        let visitor = page::visit(&mut world);
        world.says(&visitor, request);
    }
    let ana = world.connect();
    world.says(&ana, format!("{forged}\n/nick x{forged}\n/join{forged}\n/msg{forged}\n"));
    world.pass(PERIOD);
    let lines = lines();
    assert!(lines.len() >= 3, "{lines:#?}");
    for line in &lines {
        let entry = Entry::of_message(line);
        assert!(entry.event() != "left" && entry.field("name") != Some("ana"), "{line}");
    }
}
