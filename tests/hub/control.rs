//! Operators on the socket of `--control`: what they are answered, and that they cost nobody else anything.

mod lists;

use std::time::Duration;

use pollchat::relay::secret::SecretHash;
use pollchat::server::access::{AccessRules, parse_prefix};
use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::hub::Wake;
use pollchat::server::limits::{OPERATORS_MAX, ORDER_BYTES_MAX, ORDER_READ_BYTES};

use crate::support::hub::{Client, Incoming, READABLE, World, quiet};

/// The user of the server.
const OWN: u32 = 7;

const UNKNOWN: &str = "no there is no order nonsense; help lists them\n";
const CUT: &str = "no an order ends with a newline, and this one was cut\n";

fn world(config: &Config) -> World {
    let mut world = World::new(config);
    world.hub.trust_user(OWN);
    world
}

fn operator(world: &mut World) -> Client {
    world.connect_operator(Some(OWN))
}

/// Says it, and returns what comes.
fn answer(world: &mut World, operator: &Client, bytes: impl AsRef<[u8]>) -> String {
    world.says(operator, bytes);
    operator.received()
}

fn end(world: &mut World, operator: &Client) {
    operator.ends();
    world.hub.on_ready(operator.key, READABLE);
    world.run();
}

#[test]
fn an_order_waits_until_the_one_before_is_answered() {
    let orders = "nonsense\r\nreload\njson reload\n\n  nonsense \nstop\n";
    for size in [1, 2, 3, 7, orders.len()] {
        let mut world = world(&quiet());
        let operator = operator(&mut world);
        let mut received = String::new();
        for piece in orders.as_bytes().chunks(size) {
            received += &answer(&mut world, &operator, piece);
        }
        assert_eq!(received, UNKNOWN, "{size}");
        for (outcome, expected) in [
            (Ok("greeting: changed".to_owned()), "= greeting: changed\nok\n"),
            (Ok("\u{1b}[2Jcert\"".to_owned()), "= {\"text\":\"\\u001b[2Jcert\\\"\"}\nok\n"),
        ] {
            assert!(world.hub.is_reload_wanted(), "{size}");
            world.hub.answer_reload(&outcome);
            assert!(!world.hub.is_reload_wanted());
            world.turn();
            assert_eq!(operator.received(), expected, "{size}");
            world.turn();
            received.clear();
            received += &operator.received();
            world.run();
        }
        received += &operator.received();
        assert_eq!(received, format!("no the order is missing; help lists them\n{UNKNOWN}ok\n"), "{size}");
        assert!(world.hub.is_stop_wanted());
    }
}

#[test]
fn a_reload_that_changed_nothing_is_answered_with_the_reason_in_one_line() {
    let mut world = world(&quiet());
    let operator = operator(&mut world);
    assert_eq!(answer(&mut world, &operator, "reload\n"), "");
    world.hub.answer_reload(&Err("names:\nline 3".to_owned()));
    world.run();
    assert_eq!(operator.received(), "no names:\u{fffd}line 3\n");
    assert_eq!(answer(&mut world, &operator, "reload\n"), "");
    world.hub.answer_reload(&Ok(String::new()));
    world.run();
    assert_eq!(operator.received(), "ok\n");
}

#[test]
fn a_reload_is_done_although_its_operator_has_gone_and_the_next_with_its_key_hears_nothing_of_it() {
    let mut world = world(&quiet());
    let gone = operator(&mut world);
    assert_eq!(answer(&mut world, &gone, "reload\n"), "");
    // The end comes with the next write alone: while it waits, it is not read.
    gone.peer.borrow_mut().write_error = Some(std::io::ErrorKind::BrokenPipe);
    end(&mut world, &gone);
    assert!(world.hub.is_reload_wanted());
    world.hub.answer_reload(&Ok("all".to_owned()));
    world.run();
    assert!(gone.is_closed());
    let next = operator(&mut world);
    assert_eq!(next.key, gone.key);
    world.hub.answer_reload(&Ok("all".to_owned()));
    assert_eq!(answer(&mut world, &next, "nonsense\n"), UNKNOWN);
}

#[test]
fn orders_are_taken_of_root_and_of_the_own_user_alone() {
    let mut world = world(&quiet());
    for (user, expected) in [
        (Some(0), UNKNOWN),
        (Some(OWN), UNKNOWN),
        (Some(8), "no only root and the server's own user may give orders, and you are user 8\n"),
        (Some(u32::MAX), "no only root and the server's own user may give orders, and you are user 4294967295\n"),
        (None, "no the kernel does not say which user you are\n"),
    ] {
        let operator = world.connect_operator(user);
        assert_eq!(answer(&mut world, &operator, "nonsense\nstop\n").lines().next(), expected.lines().next());
        assert_eq!(operator.is_ended(), expected != UNKNOWN, "{user:?}");
        assert_eq!(world.hub.is_stop_wanted(), expected == UNKNOWN, "{user:?}");
        end(&mut world, &operator);
        world = self::world(&quiet());
    }
}

#[test]
fn there_are_sixteen_operators_and_a_place_when_one_has_left() {
    let mut world = world(&quiet());
    let operators: Vec<Client> = (0..OPERATORS_MAX).map(|_| operator(&mut world)).collect();
    for _ in 0..100 {
        let refused = operator(&mut world);
        world.run();
        if refused.received() == "no there are 16 operators already\n" {
            assert!(refused.is_ended());
        } else {
            assert!(refused.is_closed(), "only so many are told");
        }
    }
    assert_eq!(answer(&mut world, &operators[0], "nonsense\n"), UNKNOWN);
    end(&mut world, &operators[3]);
    assert!(operators[3].is_closed());
    let next = operator(&mut world);
    assert_eq!(answer(&mut world, &next, "nonsense\n"), UNKNOWN);
}

#[test]
fn an_operator_takes_no_place_of_a_client_and_finds_one_when_there_is_none_for_clients() {
    let deny = vec![parse_prefix("::/0").unwrap()];
    let rules = AccessRules { deny, ..AccessRules::default() };
    let mut world = world(&Config { clients_max: Some(1), access: rules, ..Config::default() });
    world.hub.set_password(Some(SecretHash::of("open sesame")));
    let first = operator(&mut world);
    let ana = world.connect_silently();
    world.says(&ana, "/pass open sesame\n\n");
    assert!(ana.received().starts_with("* you are client-1;"));
    // Until the flush, those that enter and those that are refused take all places of others.
    while world.hub.can_admit() {
        world.connect_silently();
    }
    assert!(!world.hub.can_admit_on(Endpoint::Lines) && world.hub.can_admit_on(Endpoint::Control));
    let second = operator(&mut world);
    for operator in [&first, &second] {
        assert_eq!(answer(&mut world, operator, "nonsense\n"), UNKNOWN);
    }
    world.pass(Duration::from_secs(60));
    world.says(&ana, "/who\n");
    assert_eq!(ana.received(), "* here: client-1, 0 lines, 1 min\n* 1 here\n");
}

#[test]
fn an_operator_may_be_silent_for_ever_and_costs_no_wake() {
    let mut world = world(&quiet());
    let operator = operator(&mut world);
    world.says(&operator, "nonse");
    for _ in 0..3 {
        world.pass(Duration::from_secs(3_600));
        assert_eq!(world.hub.next_wake(), Wake::OnEvent);
    }
    assert_eq!(answer(&mut world, &operator, "nse\n"), UNKNOWN);
}

#[test]
fn an_operator_that_never_reads_keeps_one_answer_and_is_read_no_further() {
    let mut world = world(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    let operator = operator(&mut world);
    operator.takes(0);
    operator.sends("nonsense\n".repeat(10_000));
    world.hub.on_ready(operator.key, READABLE);
    world.run();
    let reads = operator.peer.borrow().reads;
    assert_eq!(reads, 1, "it is read no further than its answers are taken");
    let left: usize = operator.peer.borrow().incoming.iter().map(Incoming::len).sum();
    assert_eq!(left, 90_000 - ORDER_READ_BYTES);
    for number in 0..100 {
        world.says(&ana, format!("{number}\n"));
        assert_eq!(bob.received(), format!("client-1> {number}\n"));
    }
    assert_eq!(operator.peer.borrow().reads, reads);
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
    // It gets one answer after another as it takes them.
    world.makes_room(&operator, 3 * UNKNOWN.len());
    assert_eq!(operator.received(), UNKNOWN.repeat(3));
    world.makes_room(&operator, usize::MAX);
    assert_eq!(operator.received(), UNKNOWN.repeat(10_000 - 3));
}

#[test]
fn an_operator_that_sends_without_end_keeps_nobody_waiting() {
    let mut world = world(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    let operator = operator(&mut world);
    // One line that never ends is refused once, and dropped as it comes.
    operator.sends(vec![b'x'; 10_000_000]);
    world.hub.on_ready(operator.key, READABLE);
    for number in 0..20 {
        ana.sends(format!("{number}\n"));
        world.hub.on_ready(ana.key, READABLE);
        world.turn();
        assert_eq!(bob.received(), format!("client-1> {number}\n"), "in the turn in which it came");
    }
    world.run();
    assert_eq!(operator.received(), format!("no an order has at most {ORDER_BYTES_MAX} bytes\n"));
    assert_eq!(answer(&mut world, &operator, "\nnonsense\n"), UNKNOWN);
}

#[test]
fn lines_that_are_no_orders_are_answered_in_words() {
    let mut world = world(&quiet());
    let operator = operator(&mut world);
    let long = [vec![b'x'; ORDER_BYTES_MAX], b"\n".to_vec()].concat();
    let longer = [b"x", &long[..]].concat();
    assert!(answer(&mut world, &operator, &long).starts_with("no there is no order xxx"));
    let bound = format!("no an order has at most {ORDER_BYTES_MAX} bytes\n");
    for (line, expected) in [
        (&longer[..], bound.as_str()),
        (b"st\xffop\n", "no an order is text in UTF-8\n"),
        (b"\xc3\n", "no an order is text in UTF-8\n"),
        (b"st\x1b[31mop\n", "no there is no order st\u{fffd}[31mop; help lists them\n"),
        (b"\0non\0sense\0\n", UNKNOWN),
        (b"\n", "no the order is missing; help lists them\n"),
        (b"json \n", "no there is no order json; help lists them\n"),
        (b"json nonsense\n", UNKNOWN),
        (b"/stop\n", "no there is no order /stop; help lists them\n"),
        (b"GET/HTTP\n", "no there is no order GET/HTTP; help lists them\n"),
    ] {
        assert_eq!(answer(&mut world, &operator, line), expected, "{}", line.escape_ascii());
    }
    assert!(!world.hub.is_stop_wanted());
}

#[test]
fn half_an_order_is_not_carried_out_and_answers_come_before_the_end() {
    let mut world = world(&quiet());
    for (sent, expected) in [
        ("", String::new()),
        ("stop", CUT.to_owned()),
        ("nonsense\nnonsense\n", UNKNOWN.repeat(2)),
        ("nonsense\nstop", format!("{UNKNOWN}{CUT}")),
    ] {
        let operator = operator(&mut world);
        operator.takes(1);
        operator.sends(sent);
        end(&mut world, &operator);
        world.makes_room(&operator, usize::MAX);
        assert_eq!(operator.received(), expected, "{sent:?}");
        assert!(operator.is_ended() && operator.is_closed(), "{sent:?}");
    }
    assert!(!world.hub.is_stop_wanted());
    assert_eq!(world.hub.connections(), 0);
}

#[test]
fn an_operator_that_is_reset_is_removed() {
    let mut world = world(&quiet());
    let idle = operator(&mut world);
    let stuck = operator(&mut world);
    stuck.takes(0);
    world.says(&stuck, "nonsense\n");
    idle.resets();
    world.hub.on_ready(idle.key, READABLE);
    stuck.peer.borrow_mut().write_error = Some(std::io::ErrorKind::BrokenPipe);
    world.makes_room(&stuck, 0);
    assert!(idle.is_closed() && stuck.is_closed());
    assert_eq!(world.hub.connections(), 0);
}

#[test]
fn a_stop_is_answered_before_the_socket_closes() {
    let mut world = world(&Config::default());
    let (idle, operator, waiting) = (operator(&mut world), operator(&mut world), operator(&mut world));
    assert_eq!(answer(&mut world, &waiting, "reload\n"), "");
    operator.takes(0);
    world.says(&operator, "stop\nnonsense\n");
    assert!(world.hub.is_stop_wanted());
    world.hub.shut_down(world.now);
    world.run();
    assert!(idle.is_ended() && waiting.is_ended() && !operator.is_ended());
    assert_eq!((idle.received(), waiting.received()), (String::new(), "no the server stops\n".to_owned()));
    world.makes_room(&operator, usize::MAX);
    assert_eq!(operator.received(), "ok\n");
    assert!(operator.is_ended());
    for operator in [&idle, &operator, &waiting] {
        end(&mut world, operator);
        assert!(operator.is_closed());
    }
    assert_eq!(world.hub.connections(), 0);
}
