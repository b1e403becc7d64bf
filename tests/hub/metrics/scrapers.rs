//! Scrapers: their requests, their places and their time.

use super::*;
use pollchat::relay::secret::SecretHash;
use pollchat::server::hub::Wake;
use pollchat::server::limits::{REQUEST_TIME, SCRAPERS_MAX};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

fn answer(world: &mut World, request: &str) -> String {
    let scraper = scraper(world);
    world.says(&scraper, request);
    scraper.received()
}

#[test]
fn a_request_is_answered_by_method_and_path() {
    let mut world = world(&quiet());
    for (request, status, body) in [
        (HEALTH, "200 OK", "ok\n"),
        ("HEAD /healthz HTTP/1.0\r\n\r\n", "200 OK", ""),
        ("HEAD /metrics HTTP/1.0\r\n\r\n", "200 OK", ""),
        (
            "GET /metrics/ HTTP/1.0\r\n\r\n",
            "404 Not Found",
            "not found: metrics are at /metrics, and a health check is at /healthz\n",
        ),
        (
            "GET /ws HTTP/1.0\r\n\r\n",
            "404 Not Found",
            "not found: metrics are at /metrics, and a health check is at /healthz\n",
        ),
        ("POST /metrics HTTP/1.0\r\n\r\n", "405 Method Not Allowed", "use GET or HEAD\n"),
        ("hello\r\n\r\n", "400 Bad Request", "this is not a valid HTTP/1.1 request\n"),
        ("\x16\x03\x01", "400 Bad Request", "this port speaks HTTP, not HTTPS: use http://\n"),
    ] {
        let answer = answer(&mut world, request);
        let (head, rest) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request:?}: {answer:?}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?}: {head}");
        assert_eq!(rest, body, "{request:?}");
        assert!(!head.to_ascii_lowercase().contains("access-control-"), "{head}");
    }
    let opening = page::OPENING.replace("/ws", "/metrics");
    assert!(answer(&mut world, &opening).starts_with("HTTP/1.1 200 OK\r\n"), "nothing is upgraded");
}

#[test]
fn a_scraper_asks_again_over_the_same_connection_and_gets_what_it_can_read() {
    let mut world = world(&quiet());
    let scraper = scraper(&mut world);
    world.says(&scraper, format!("{REQUEST}{}", HEALTH.repeat(2)));
    let answer = scraper.received();
    assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{answer}");
    assert!(
        answer.contains("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{answer}"
    );
    world.says(&scraper, REQUEST.replace("application/openmetrics-text", "*/*"));
    let answer = scraper.received();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let plain = Scrape::of_plain(body);
    assert_eq!(plain.count("pollchat_scrapes_total"), 4);
    // It may stay for a while.
    assert_eq!(world.hub.next_wake(), Wake::At(world.now + REQUEST_TIME));
    world.pass(REQUEST_TIME);
    assert!(scraper.is_ended());
}

#[test]
fn a_scraper_that_asks_for_nothing_is_told_so_in_time() {
    let mut world = world(&quiet());
    let (silent, mute) = (scraper(&mut world), scraper(&mut world));
    mute.takes(0);
    world.says(&mute, REQUEST);
    world.pass(REQUEST_TIME);
    assert!(silent.received().starts_with("HTTP/1.1 408 "));
    world.pass(REQUEST_TIME + GRACE);
    assert!(mute.is_closed() && silent.is_closed());
}

#[test]
fn scrapers_visitors_and_clients_have_places_of_their_own() {
    let mut world = world(&Config { clients_max: Some(1), ..quiet() });
    let scrapers: Vec<_> = (0..SCRAPERS_MAX).map(|_| scraper(&mut world)).collect();
    assert!(!world.hub.can_admit_on(Endpoint::Metrics) && world.hub.can_admit());
    let further = scraper(&mut world);
    world.run();
    assert!(further.received().starts_with("HTTP/1.1 503 "), "it is told, if it is accepted at all");
    let _client = page::join(&mut world);
    let visitors: Vec<_> = (0..50).map(|_| page::visit(&mut world)).collect();
    let refused = page::visit(&mut world);
    world.run();
    assert!(refused.received().starts_with("HTTP/1.1 503 "));
    // All are answered, and make room for others.
    for scraper in &scrapers {
        world.says(scraper, REQUEST);
        let answer = scraper.received();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert!(scrapers[0].is_ended(), "the first leaves its place to others");
    leaves(&mut world, &scrapers[0]);
    assert!(world.hub.can_admit_on(Endpoint::Metrics));
    // A server that is full of everything else is scraped.
    let _waiting: Vec<_> = (0..20).map(|_| world.connect_silently()).collect();
    world.run();
    assert_counts(&scrape(&mut world), &[("clients{transport=\"tcp\"}", 1)]);
    drop(visitors);
}

#[test]
fn rules_by_address_hold_for_scrapers_and_limits_by_address_and_passwords_do_not() {
    let access = AccessRules { deny: vec![parse_prefix("10.0.0.0/8").unwrap()], ..AccessRules::default() };
    let mut world = world(&Config { access: AccessRules { per_address_max: 1, ..access }, ..quiet() });
    world.hub.set_password(Some(SecretHash::of("open sesame")));
    let denied = world.connect_to(Endpoint::Metrics, Some(SocketAddr::from(([10, 0, 0, 1], 1))));
    world.says(&denied, REQUEST);
    assert!(denied.received().starts_with("HTTP/1.1 403 "));
    let scrapers: Vec<_> = (0..5).map(|_| scraper(&mut world)).collect();
    for scraper in &scrapers {
        world.says(scraper, HEALTH);
        assert!(scraper.received().ends_with("ok\n"));
    }
    // Nor do they count for the client of that address.
    let client = world.connect_silently();
    world.says(&client, "/pass open sesame\n\n");
    assert!(client.received().starts_with("* you are client-1"));
    let local = world.connect_locally(Endpoint::Metrics);
    world.says(&local, HEALTH);
    assert!(local.received().ends_with("ok\n"));
}

#[test]
fn a_server_that_stops_says_so_to_health_checks() {
    let mut world = world(&quiet());
    let console = world.open_console();
    let check = scraper(&mut world);
    // The outer loop has the last word.
    for (client, said) in [(&console, "FIN\n"), (&check, HEALTH)] {
        client.sends(said);
        world.hub.on_ready(client.key, READABLE);
        world.turn();
    }
    assert!(world.hub.is_stop_wanted());
    let answer = check.received();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("shutting down\n"), "{answer}");
    world.hub.shut_down(world.now);
    world.run();
    assert!(check.is_ended());
}

#[test]
fn all_scrapers_of_a_turn_share_its_text() {
    let mut world = world(&quiet());
    let scrapers: Vec<_> = (0..SCRAPERS_MAX - 1).map(|_| scraper(&mut world)).collect();
    for scraper in &scrapers {
        scraper.sends(REQUEST);
        world.hub.on_ready(scraper.key, READABLE);
    }
    world.turn();
    let answers: Vec<_> = scrapers.iter().map(Client::received).collect();
    assert!(answers[0].starts_with("HTTP/1.1 200 OK\r\n"));
    // Each is counted, and a text of its own would say so.
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    world.says(&scrapers[0], REQUEST);
    let later = scrapers[0].received();
    assert_eq!(Scrape::of_open_metrics(later.split_once("\r\n\r\n").unwrap().1).count("pollchat_scrapes_total"), 16);
}

#[test]
fn a_hub_without_metrics_has_no_answer() {
    let mut world = World::new(&quiet());
    let stray = scraper(&mut world);
    world.says(&stray, REQUEST);
    assert_eq!(stray.received(), "");
    assert!(stray.is_ended());
}
