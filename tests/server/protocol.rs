//! The protocol, point by point, as a client sees it over TCP.

mod cleaning;
mod leaving;

use std::io::{Read, Write};
use std::net::Shutdown;

use rustix::process::Signal;

use crate::support::{Client, DEADLINE, Lines, Member, Server, ask, eventually, numbered, say_numbered};

const TOO_LONG: &str = "* line too long (over 4096 bytes): not relayed";

mod newcomers {
    use super::*;

    #[test]
    fn the_first_line_tells_a_newcomer_its_name() {
        let server = Server::quiet(&[]);
        let [a, b] = server.join_many();
        assert!(b.number() > a.number());
    }

    #[test]
    fn a_greeting_follows_the_first_line() {
        let server = Server::quiet(&["--greeting", "Welcome, ¡amigos! > here"]);
        let [mut a, mut b] = server.join_many();
        a.expect("* Welcome, ¡amigos! > here");
        b.expect("* Welcome, ¡amigos! > here");
        a.send_line("hello");
        b.expect(a.says("hello"));
    }

    #[test]
    fn without_a_greeting_nothing_but_the_first_line_comes() {
        let server = Server::quiet(&["--history", "10"]);
        let [mut a, mut b] = server.join_many();
        a.send_line("hello");
        b.expect(a.says("hello"));
    }

    #[test]
    fn a_small_room_is_told_who_joined_with_its_first_line_or_after_two_seconds() {
        let server = Server::start(&[]);
        let mut a = server.join();
        let mut b = server.join();
        b.send_line("hello");
        a.expect_all([format!("* {} joined", b.name()), b.says("hello")]);
        let silent = server.join();
        a.expect(format!("* {} joined", silent.name()));
    }

    #[test]
    fn a_newcomer_with_a_name_is_introduced_under_it_and_alone_told_of_the_renaming() {
        let server = Server::start(&[]);
        let [mut a] = server.join_introduced();
        let mut b = server.join();
        b.rename("bob");
        a.expect("* bob joined");
        b.send_line("hello");
        a.expect("bob> hello");
    }

    #[test]
    fn a_small_room_is_told_who_left() {
        let server = Server::start(&[]);
        let [mut a, mut b, mut c] = server.join_introduced();
        c.send_line("/nick carla");
        let renamed = format!("* {} is now carla", c.name());
        a.expect(&renamed);
        b.expect(&renamed);
        drop(c);
        a.expect("* carla left");
        b.expect("* carla left");
        let name = b.name();
        b.reset();
        a.expect(format!("* {name} left"));
    }

    #[test]
    fn a_client_that_was_not_introduced_leaves_unannounced() {
        let server = Server::start(&[]);
        let [mut a, mut b] = server.join_introduced();
        for resets in [true, false] {
            server.join().vanish(resets);
        }
        eventually("they are gone", || b.present() == 2);
        ask(&mut b, &mut a, "marker");
        let mut leaver = server.join();
        leaver.send_line("FIN");
        leaver.expect_farewell();
        b.send_line("another");
        a.expect(b.says("another"));
    }

    #[test]
    fn a_larger_room_is_told_neither() {
        let server = Server::start(&["--announce-up-to", "2"]);
        let [mut a, _b] = server.join_introduced();
        let [mut c, _d]: [Client; 2] = server.join_many();
        let mut leaver = server.join();
        leaver.send_line("exit");
        leaver.expect_farewell();
        server.join().reset();
        c.send_line("marker");
        a.expect(c.says("marker"));
    }
}

mod history {
    use super::*;

    #[test]
    fn a_newcomer_is_shown_the_last_lines() {
        let server = Server::quiet(&["--history", "3"]);
        let [mut a, mut b] = server.join_many();
        for text in ["one", "two", "three", "four"] {
            a.send_line(text);
            b.expect(a.says(text));
        }
        let mut late = server.join();
        late.expect("* 3 earlier lines:");
        late.expect_all(["two", "three", "four"].map(|text| a.says(text)));
        b.send_line("five");
        late.expect(b.says("five"));
    }

    #[test]
    fn more_history_than_the_tape_holds_shows_what_it_holds() {
        let server = Server::quiet(&["--history", "1000000", "--backlog", "256K"]);
        let [mut a, mut b] = server.join_many();
        let total = 2000;
        say_numbered(&mut a, &mut b, 0, total);
        let mut late = server.join();
        let header = late.line();
        let count = header.strip_prefix("* ").and_then(|rest| rest.strip_suffix(" earlier lines:"));
        let count: usize = count.and_then(|count| count.replace(',', "").parse().ok()).expect(&header);
        assert!((200..total).contains(&count), "256 KiB of lines of some 200 bytes: {count}");
        for index in total - count..total {
            late.expect(a.says(numbered(index)));
        }
        b.send_line("marker");
        late.expect(b.says("marker"));
    }

    #[test]
    fn a_newcomer_without_history_gets_nothing_that_was_said_before() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        a.send_line("before");
        b.expect(a.says("before"));
        let mut late = server.join();
        a.send_line("after");
        late.expect(a.says("after"));
    }
}

mod saying {
    use super::*;

    #[test]
    fn a_line_goes_to_all_others_and_not_back() {
        let server = Server::quiet(&[]);
        let [mut a, mut b, mut c] = server.join_many();
        a.send_line("hello");
        b.expect(a.says("hello"));
        c.expect(a.says("hello"));
        b.send_line("hello yourself");
        a.expect(b.says("hello yourself"));
        c.expect(b.says("hello yourself"));
    }

    #[test]
    fn everyone_may_be_the_audience() {
        let server = Server::quiet(&["--audience", "everyone"]);
        let [mut a, mut b] = server.join_many();
        a.send_line("one");
        a.expect(a.says("one"));
        b.expect(a.says("one"));
        b.send("two\nthree\n");
        let said = [b.says("two"), b.says("three")];
        a.expect_all(&said);
        b.expect_all(&said);
    }

    #[test]
    fn the_sender_alone_may_be_the_audience() {
        let server = Server::quiet(&["--audience", "sender"]);
        let [mut a, mut b] = server.join_many();
        a.send_line("echo");
        a.expect(a.says("echo"));
        b.send("one\ntwo\n");
        b.expect_all([b.says("one"), b.says("two")]);
        a.send_line("again");
        a.expect(a.says("again"));
    }

    #[test]
    fn empty_lines_are_not_relayed() {
        let server = Server::quiet(&["--audience", "everyone"]);
        let [mut a, mut b] = server.join_many();
        a.send("\n\r\n\n\nhello\n\n");
        a.expect(a.says("hello") + "\r");
        b.expect(a.says("hello"));
        b.send_line("marker");
        a.expect(b.says("marker") + "\r");
    }

    #[test]
    fn lines_end_with_crlf_as_well() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        a.send("one\r\ntwo\nthree\r\n");
        b.expect_all(["one", "two", "three"].map(|text| a.says(text)));
        a.send("four\r");
        b.expect(a.says("four"));
        a.send("\nfive\n");
        b.expect(a.says("five"));
    }

    #[test]
    fn several_lines_in_one_piece_and_one_line_in_several_pieces_are_the_same() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        let bytes = "one\ntwo\nthree \u{1f469}\u{200d}\u{1f680}\nfour\n".as_bytes();
        for cut in 1..bytes.len() {
            a.send(&bytes[..cut]);
            // The reply shows that the server has had time for the first piece; lines may stand before it.
            let mut lines = b.who();
            a.send(&bytes[cut..]);
            lines.extend(b.lines_until(|line| line == a.says("four")));
            lines.retain(|line| !line.starts_with("* "));
            assert_eq!(lines, ["one", "two", "three \u{1f469}\u{200d}\u{1f680}", "four"].map(|text| a.says(text)));
        }
    }
}

mod names {
    use super::*;

    #[test]
    fn all_are_told_of_a_new_name_the_renamed_too() {
        let server = Server::quiet(&[]);
        let [mut a, mut b, mut c] = server.join_introduced();
        a.send_line("/nick ana");
        for client in [&mut a, &mut b, &mut c] {
            client.expect("* client-1 is now ana");
        }
        a.send_line("hello");
        b.expect("ana> hello");
        c.expect("ana> hello");
        a.send_line("/nick eva");
        for client in [&mut a, &mut b, &mut c] {
            client.expect("* ana is now eva");
        }
        a.send_line("again");
        b.expect("eva> again");
    }

    #[test]
    fn a_name_is_free_again_after_leaving() {
        let server = Server::start(&[]);
        let [mut a, b, c] = server.join_introduced();
        for (leaver, resets) in [(b, true), (c, false)] {
            let mut leaver = leaver;
            leaver.send_line("/nick Eva");
            leaver.lines_until(|line| line.ends_with(" is now Eva"));
            a.expect(format!("* {} is now Eva", leaver.name()));
            leaver.vanish(resets);
            a.lines_until(|line| line == "* Eva left");
        }
        a.rename("eva");
    }
}

mod commands {
    use super::*;

    #[test]
    fn messages_go_to_one_and_are_confirmed() {
        let server = Server::quiet(&[]);
        let [mut a, mut b, mut c] = server.join_many();
        b.rename("ana");
        a.send_line("/msg ana for your eyes  only");
        b.expect(format!("* {} tells you: for your eyes  only", a.name()));
        a.expect("* you told ana: for your eyes  only");
        a.send_line("marker");
        c.expect(a.says("marker"));
        b.expect(a.says("marker"));
        b.send_line(format!("/msg {} same to you", a.name()));
        a.expect("* ana tells you: same to you");
        b.expect(format!("* you told {}: same to you", a.name()));
    }
}

mod limits {
    use super::*;

    #[test]
    fn a_line_at_the_limit_is_relayed_whichever_way_it_ends() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        let text = "x".repeat(4096);
        for end in ["\n", "\r\n"] {
            a.send(format!("{text}{end}"));
            b.expect(a.says(&text));
        }
        // Its end in a piece of its own, as a full segment would have it.
        for pieces in [[&*text, "\n"], [&*text, "\r\n"]] {
            a.send(pieces[0]);
            b.who();
            a.send(pieces[1]);
            b.expect(a.says(&text));
        }
    }

    #[test]
    fn a_line_over_the_limit_is_told_once_and_the_connection_goes_on() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        for length in [4097, 4098, 10_000, 1_000_000] {
            a.send("x".repeat(length) + "\nnext\n");
            a.expect(TOO_LONG);
            b.expect(a.says("next"));
        }
        a.send("x".repeat(4097) + "\r\nnext\n");
        let with_cr = |line: &str| format!("{line}\r");
        a.expect(with_cr(TOO_LONG));
        b.expect(a.says("next"));
        b.send_line("marker");
        a.expect(with_cr(&b.says("marker")));
    }

    #[test]
    fn each_line_over_the_limit_is_told_once() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        a.send(("x".repeat(5000) + "\n").repeat(3) + "next\n");
        a.expect_all([TOO_LONG; 3]);
        b.expect(a.says("next"));
        b.send_line("marker");
        a.expect(b.says("marker"));
    }

    #[test]
    fn the_limit_can_be_chosen_and_counts_bytes_as_received() {
        let server = Server::quiet(&["--max-line", "100"]);
        let [mut a, mut b] = server.join_many();
        let fits = "\u{e9}".repeat(50);
        a.send_line(&fits);
        b.expect(a.says(&fits));
        a.send_line(fits + "x");
        a.expect("* line too long (over 100 bytes): not relayed");
        b.send_line("marker");
        a.expect(b.says("marker"));
    }

    #[test]
    fn a_line_that_grows_by_cleaning_is_relayed_whole() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        // A first line of such bytes would be that of a binary protocol.
        a.send_line("text");
        b.expect(a.says("text"));
        a.send_line([1; 4096]);
        b.expect(a.says("\u{fffd}".repeat(4096)));
        a.send_line([0xfe; 4096]);
        b.expect(a.says("\u{fffd}".repeat(4096)));
    }

    #[test]
    fn a_full_house_says_so_and_has_room_again_after_somebody_leaves() {
        let server = Server::start(&["--max-clients", "3"]);
        let [mut a, mut b, c] = server.join_introduced();
        for _ in 0..5 {
            let mut refused = server.connect();
            refused.expect("* the server is full (3 clients)");
            refused.expect_farewell();
        }
        // Nobody was told of the refused.
        ask(&mut b, &mut a, "marker");
        let left = format!("* {} left", c.name());
        drop(c);
        a.expect(&left);
        b.expect(&left);
        let mut newcomer = server.join();
        newcomer.send_line("hello");
        a.expect_all([format!("* {} joined", newcomer.name()), newcomer.says("hello")]);
        let mut refused = server.connect();
        refused.expect("* the server is full (3 clients)");
        refused.expect_farewell();
    }

    #[test]
    fn one_who_is_refused_while_talking_gets_the_reason_all_the_same() {
        let server = Server::quiet(&["--max-clients", "2"]);
        let [mut a, mut b] = server.join_many();
        for _ in 0..20 {
            let mut refused = server.connect();
            // The server may have ended it already: then there is nobody to take this.
            let _ = refused.stream().write_all(&b"hello\n".repeat(2000));
            refused.expect("* the server is full (2 clients)");
            refused.expect_farewell();
        }
        ask(&mut a, &mut b, "marker");
    }
}
