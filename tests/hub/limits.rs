//! What is asked of a client: to say no more than it may, to say something at all, and to speak our protocol.

use std::io::ErrorKind;
use std::time::Duration;

use pollchat::server::config::Config;
use pollchat::server::flow::rate::Rate;
use pollchat::server::hub::Wake;
use pollchat::server::limits::{ENTER_DELAY, GRACE};

use crate::support::hub::{Client, READABLE, World, quiet};

fn rated(lines_per_second: u32, burst_lines: u32) -> Config {
    Config { rate: Some(Rate::new(lines_per_second, burst_lines)), ..quiet() }
}

/// Lets the time pass up to what the hub waits for next; tells how long that took.
fn wait(world: &mut World) -> Duration {
    let Wake::At(time) = world.hub.next_wake() else { panic!("{:?}", world.hub.next_wake()) };
    let pause = time.saturating_duration_since(world.now);
    world.now += pause;
    world.run();
    pause
}

#[test]
fn over_its_rate_a_client_is_not_read_and_nothing_is_lost() {
    let mut world = World::new(&rated(10, 5));
    let (ana, bob) = (world.connect(), world.connect());
    for number in 0..25 {
        ana.sends(format!("{number}\n"));
    }
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    let mut heard = bob.received();
    assert_eq!(heard, "client-1> 0\nclient-1> 1\nclient-1> 2\nclient-1> 3\nclient-1> 4\n");
    assert!(!ana.peer.borrow().incoming.is_empty(), "the rest was not even read: TCP holds it back");
    for number in 5..25 {
        assert_eq!(wait(&mut world), Duration::from_millis(100));
        assert_eq!(bob.received(), format!("client-1> {number}\n"));
        heard.clear();
    }
    // One look more, which finds nothing to read; and then it is quiet.
    wait(&mut world);
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn lines_that_came_in_one_piece_are_held_as_well() {
    let mut world = World::new(&rated(1, 2));
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, "a\nb\nc\nd\ne");
    assert_eq!(bob.received(), "client-1> a\nclient-1> b\n");
    ana.ends();
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    assert_eq!(bob.received(), "", "an event is no reason to hear more");
    let mut heard = String::new();
    for _ in 0..3 {
        assert_eq!(wait(&mut world), Duration::from_secs(1));
        heard += &bob.received();
    }
    assert_eq!(heard, "client-1> c\nclient-1> d\nclient-1> e\n");
    assert!(ana.received().ends_with("FIN\n"));
}

#[test]
fn commands_count_and_so_do_lines_that_are_not_relayed() {
    let asked = ["/who\n", "/help\n", "/nick eve\n", "/nonsense\n", "/msg client-2 hi\n", "\n", "\r\n"];
    for line in asked.into_iter().map(str::to_owned).chain(["x".repeat(5_000) + "\n"]) {
        let mut world = World::new(&rated(1, 3));
        let (ana, bob) = (world.connect(), world.connect());
        world.says(&ana, line.repeat(2) + "last\none too many\n");
        assert!(bob.received().ends_with("> last\n"), "{line:?}");
        assert_eq!(wait(&mut world), Duration::from_secs(1));
        assert!(bob.received().ends_with("> one too many\n"), "{line:?}");
    }
}

#[test]
fn each_has_its_own_rate_and_the_operator_has_none() {
    let mut world = World::new(&rated(1, 1));
    let console = world.open_console();
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, "1\n2\n3\n");
    world.says(&bob, "4\n5\n");
    world.says(&console, "6\n7\n8\n");
    assert_eq!(console.received(), "client-1> 1\nclient-2> 4\n");
    assert_eq!(bob.received(), "client-1> 1\nserver> 6\nserver> 7\nserver> 8\n");
}

#[test]
fn one_who_is_removed_while_it_is_held_back_is_let_go_at_once() {
    let mut world = World::new(&rated(1, 1));
    let console = world.open_console();
    let ana = world.connect();
    world.says(&ana, "1\n2\n3\n4\n");
    world.says(&console, "/kick client-1\n");
    assert_eq!(ana.received(), "* you were removed by the operator\nFIN\n");
    ana.ends();
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    assert!(ana.is_closed(), "what it had still to say is dropped, and its end is seen");
    assert_eq!(console.received(), "client-1> 1\n* client-1 was removed\n");
}

#[test]
fn one_whose_connection_is_gone_while_it_is_held_back_does_not_stay_for_what_it_had_to_say() {
    for is_written_to in [false, true] {
        let mut world = World::new(&rated(1, 1));
        let (ana, bob) = (world.connect(), world.connect());
        world.says(&ana, "1\n".repeat(10_000));
        if is_written_to {
            ana.peer.borrow_mut().write_error = Some(ErrorKind::BrokenPipe);
            world.says(&bob, "is anybody there?\n");
        } else {
            ana.peer.borrow_mut().error = Some(ErrorKind::ConnectionReset);
            world.hub.on_ready(ana.key, READABLE);
            world.run();
        }
        wait(&mut world);
        assert!(ana.is_closed());
        assert!(bob.received().lines().count() <= 2);
    }
}

#[test]
fn a_key_that_was_another_talkers_is_not_held_back() {
    let mut world = World::new(&rated(1, 1));
    let console = world.open_console();
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, "1\n2\n");
    world.says(&console, "/kick client-1\n");
    ana.ends();
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    assert!(ana.is_closed());
    let eve = world.connect();
    assert_eq!(eve.key, ana.key);
    world.says(&eve, "hello\n");
    assert!(bob.received().ends_with("client-3> hello\n"));
}

#[test]
fn who_never_said_anything_is_let_go_in_time_and_not_before() {
    let mut world = World::new(&Config { idle_timeout: Some(Duration::from_secs(60)), ..quiet() });
    let [ana, bob, eve] = [(); 3].map(|()| world.connect_silently());
    world.pass(ENTER_DELAY);
    world.says(&ana, "hello\n");
    world.says(&eve, "\n");
    world.says(&eve, "half a li");
    bob.received();
    assert_eq!(wait(&mut world), Duration::from_secs(60));
    for silent in [&bob, &eve] {
        assert!(silent.received().ends_with("* you have said nothing for 60 seconds: goodbye\nFIN\n"));
    }
    assert_eq!(wait(&mut world), GRACE, "nobody else is waited for");
    assert!(bob.is_closed() && eve.is_closed() && !ana.is_closed());
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn whatever_one_says_is_something() {
    for line in ["/who\n", "/help\n", "/nick eve\n", "/nonsense\n", "/msg client-2 hi\n", &("x".repeat(5_000) + "\n")] {
        let mut world = World::new(&Config { idle_timeout: Some(Duration::from_secs(60)), ..quiet() });
        let ana = world.connect();
        world.says(&ana, line);
        wait(&mut world);
        assert!(!ana.is_ended(), "{line:?}");
    }
}

#[test]
fn those_who_come_and_go_leave_no_deadlines_behind() {
    let mut world = World::new(&Config { idle_timeout: Some(Duration::from_secs(3_600)), ..quiet() });
    let start = world.now;
    for _ in 0..10_000 {
        let guest = world.connect_silently();
        world.turn();
        guest.resets();
        world.hub.on_ready(guest.key, READABLE);
        world.turn();
        world.now += Duration::from_millis(10);
    }
    assert_eq!(world.hub.connections(), 0);
    // Were all of them listed, the first one's time would come up first.
    let Wake::At(time) = world.hub.next_wake() else { return };
    assert!(time > start + Duration::from_secs(3_600 + 90), "the first of the deadlines are gone");
}

#[test]
fn the_first_words_of_another_protocol_are_answered_with_a_line_and_the_end() {
    let long_target = format!("POST /{} HTTP/1.1\r\nHost: x\r\n\r\nspoken by a page\n", "a".repeat(9_000));
    let cases: [(&[u8], &str); 8] = [
        (b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n", "HTTP"),
        (b"POST /x HTTP/1.1\r\nContent-Length: 18\r\n\r\nspoken by a page\r\n", "HTTP"),
        (b"\r\n\r\nBREW /pot HTTP/1.0\r\n\r\n", "HTTP"),
        (long_target.as_bytes(), "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 spoken by a page\nand more\n", "TLS"),
        (b"\x16\x03\x0a\x0a\x0aspoken by a page\n", "TLS"),
        (b"\x00\x03\x00\x24\x21\x12\xa4\x42twelve bytes\x00\x06\x00\x0aspoken:byapage\x00\x0a", "STUN"),
        (b"\x00\x26\x00\x01\x00\x24\x21\x12\xa4\x42twelve bytes\x00\x06\x00\x0aspoken:byapage\x00\x0a", "STUN"),
    ];
    for (sent, protocol) in cases {
        for piece in [sent.len(), 1, 7, 1_448] {
            let mut world = World::new(&quiet());
            let (bob, stranger) = (world.connect(), world.connect());
            for bytes in sent.chunks(piece) {
                world.says(&stranger, bytes);
            }
            let told = format!("* this is a chat relay and speaks no {protocol}: goodbye\nFIN\n");
            assert_eq!(
                stranger.received().replace("\r\n", "\n"),
                told,
                "in pieces of {piece}: {}",
                sent.escape_ascii()
            );
            assert_eq!(bob.received(), "", "in pieces of {piece}: {}", sent.escape_ascii());
            assert!(stranger.is_ended());
            stranger.ends();
            world.hub.on_ready(stranger.key, READABLE);
            world.run();
            assert!(stranger.is_closed());
        }
    }
}

#[test]
fn another_protocol_is_known_behind_padding_and_half_of_a_line_end() {
    for pieces in [[&b"\r"[..], b"\n\x16\x03"], [b"\n", b"\0\x16\0\x03"], [b"GE", b"T\0 / HTTP/1.1\0\r\0"]] {
        let mut world = World::new(&quiet());
        let stranger = world.connect();
        for piece in pieces {
            world.says(&stranger, piece);
        }
        assert!(stranger.received().contains("* this is a chat relay and speaks no "), "{pieces:?}");
    }
}

#[test]
fn a_request_whose_line_is_cut_off_is_not_relayed_either() {
    for flush_after in [None, Some(Duration::from_millis(100))] {
        let mut world = World::new(&Config { flush_after, ..quiet() });
        let (bob, stranger) = (world.connect(), world.connect());
        world.says(&stranger, "GET /spoken-by-a-page");
        world.run_on();
        if flush_after.is_none() {
            stranger.ends();
            world.hub.on_ready(stranger.key, READABLE);
            world.run();
        }
        assert_eq!(bob.received(), "");
        assert!(stranger.received().starts_with("* this is a chat relay and speaks no HTTP: goodbye\nFIN\n"));
    }
}

#[test]
fn a_first_line_without_its_end_may_look_a_little_like_a_request() {
    for words in ["I *love* it", "LOL http://example.org/cats", "PUT /etc/hosts back"] {
        let mut world = World::new(&Config { flush_after: Some(Duration::from_millis(100)), ..quiet() });
        let (bob, ana) = (world.connect(), world.connect());
        world.says(&ana, words);
        world.run_on();
        assert_eq!(bob.received(), format!("client-2> {words}\n"));
    }
}

#[test]
fn a_request_of_any_method_whose_line_is_too_long_is_not_relayed() {
    let request = format!("patch /{} HTTP/1.1\r\nHost: x\r\n\r\nspoken by a page\n", "a".repeat(9_000));
    let mut world = World::new(&quiet());
    let (bob, stranger) = (world.connect(), world.connect());
    request.as_bytes().chunks(1_448).for_each(|piece| world.says(&stranger, piece));
    assert_eq!(bob.received(), "");
    assert!(stranger.is_ended());
}

#[test]
fn who_has_said_something_may_talk_about_http() {
    let mut world = World::new(&quiet());
    let (ana, bob): (Client, Client) = (world.connect(), world.connect());
    for words in ["GET the tickets", "hello"] {
        world.says(&ana, format!("{words}\n"));
    }
    world.says(&ana, "GET / HTTP/1.1\n\u{16}\u{3}\n");
    let heard = "client-1> GET the tickets\nclient-1> hello\nclient-1> GET / HTTP/1.1\nclient-1> \u{fffd}\u{fffd}\n";
    assert_eq!(bob.received(), heard);
}

#[test]
fn the_operator_may_begin_with_what_it_likes() {
    let mut world = World::new(&quiet());
    let console = world.open_console();
    let ana = world.connect();
    world.says(&console, "GET / HTTP/1.1\n");
    assert_eq!(ana.received(), "server> GET / HTTP/1.1\n");
}

#[test]
fn who_has_something_to_say_does_not_wait_for_the_answers_of_others() {
    let mut world = World::new(&Config { clients_max: Some(3_000), ..quiet() });
    let (ana, bob) = (world.connect(), world.connect());
    let crowd: Vec<Client> = (0..2_000).map(|_| world.connect_silently()).collect();
    world.run();
    crowd.iter().for_each(|asker| drop(asker.received()));
    for asker in &crowd {
        asker.sends("/who\n".repeat(3) + "/who");
        asker.ends();
        world.hub.on_ready(asker.key, READABLE);
    }
    ana.sends("hello\n");
    world.hub.on_ready(ana.key, READABLE);
    let turns = (1..).find(|_| {
        world.turn();
        !bob.received().is_empty()
    });
    let turns = turns.unwrap();
    // All that came before it are read first, some 256 in a turn; and besides, 64 are answered in a turn.
    assert!(turns <= 2_000 / 256 + 2, "{turns} turns: it waited for answers");
    let answered = crowd.iter().filter(|asker| asker.peer.borrow().received.len() > 1_000).count();
    assert!(answered < 100 * turns, "{answered} answers in {turns} turns: a turn stays short");
    // Nor does one who talks on and on keep them from their answers.
    for number in 0..1_000 {
        ana.sends(format!("{number}\n"));
        world.hub.on_ready(ana.key, READABLE);
        // The walk over all 2,002, of which 512 are written to in a turn, ends first.
        for _ in 0..=2_002 / 512 + 2 {
            if bob.peer.borrow().received.is_empty() {
                world.turn();
            }
        }
        assert_eq!(bob.received(), format!("client-1> {number}\n"), "at once");
    }
    world.run();
    for asker in &crowd {
        let answer = asker.received();
        assert_eq!(answer.lines().filter(|line| line.ends_with(" here")).count(), 4, "all of its answers");
        assert!(answer.ends_with("FIN\n"));
    }
}

#[test]
fn an_answer_that_the_end_of_input_asks_for_waits_like_any_other() {
    for flush_after in [None, Some(Duration::from_millis(1))] {
        let mut world = World::new(&Config { clients_max: Some(3_000), flush_after, ..quiet() });
        let crowd: Vec<Client> = (0..1_000).map(|_| world.connect_silently()).collect();
        world.pass(ENTER_DELAY);
        for asker in &crowd {
            asker.received();
            asker.sends("/who");
            if flush_after.is_none() {
                asker.ends();
            }
            world.hub.on_ready(asker.key, READABLE);
        }
        let mut answered = 0;
        for turn in 0.. {
            world.turn();
            world.now += Duration::from_millis(1);
            let before = answered;
            answered = crowd.iter().map(|asker| asker.peer.borrow().received.len()).sum();
            let in_turn = answered - before;
            assert!(in_turn < 512 * 1024, "{in_turn} bytes in a turn");
            if answered > 512 * 1024 {
                break;
            }
            assert!(turn < 20, "they wait for their answers");
        }
        world.run();
        for asker in &crowd {
            assert!(asker.received().lines().any(|line| line.ends_with(" here")));
        }
    }
}

#[test]
fn who_waits_for_an_answer_is_not_overtaken_by_those_who_ask_later() {
    let mut world = World::new(&Config { clients_max: Some(3_000), ..quiet() });
    let crowd: Vec<Client> = (0..1_000).map(|_| world.connect_silently()).collect();
    world.run();
    let (first, later) = crowd.split_at(300);
    let ask = |world: &mut World, asker: &Client| {
        asker.received();
        asker.sends("/who\n");
        world.hub.on_ready(asker.key, READABLE);
    };
    first.iter().for_each(|asker| ask(&mut world, asker));
    world.turn();
    for asker in later {
        ask(&mut world, asker);
    }
    let waiting = |crowd: &[Client]| crowd.iter().filter(|asker| asker.peer.borrow().received.is_empty()).count();
    while waiting(first) > 0 {
        assert_eq!(waiting(later), later.len(), "nobody who asked later is answered before");
        world.turn();
    }
}

#[test]
fn who_waits_for_an_answer_has_it_however_many_talk_on_and_on() {
    // Empty lines cost nothing but the reading, of which each has its share at least.
    let mut world = World::new(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    let flood: Vec<Client> = (0..300).map(|_| world.connect()).collect();
    ana.sends("/who\n".repeat(100));
    world.hub.on_ready(ana.key, READABLE);
    bob.received();
    let mut turns = 0;
    while !bob.received().contains("* there is no command /now; ") {
        for talker in flood.iter().filter(|talker| talker.peer.borrow().incoming.is_empty()) {
            talker.sends("\n".repeat(256 * 1024));
            world.hub.on_ready(talker.key, READABLE);
        }
        if turns == 3 {
            bob.sends("/now\n");
            world.hub.on_ready(bob.key, READABLE);
        }
        world.turn();
        turns += 1;
        assert!(turns < 200, "no answer in {turns} turns");
    }
}
