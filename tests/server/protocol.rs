//! The protocol, point by point, as a client sees it over TCP.

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

mod cleaning {
    use super::*;

    #[test]
    fn invalid_utf8_is_replaced() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        let inputs: [&[u8]; 10] = [
            b"\xfe",
            b"a\xfeb\xfec",
            b"\x80\x9b",
            b"cut \xe2\x82",
            b"\xe2\x82 cut",
            b"overlong \xc0\xaf \xe0\x80\x8a",
            b"surrogates \xed\xa0\x80\xed\xb0\x80",
            b"beyond \xf4\x90\x80\x80",
            b"\xf0\x9f\x92",
            b"latin1 caf\xe9",
        ];
        for input in inputs {
            a.send_line(input);
            b.expect(a.says(String::from_utf8_lossy(input)));
        }
    }

    #[test]
    fn each_character_that_a_terminal_would_obey_is_replaced() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        // A first line with a control character would be that of a binary protocol.
        a.send_line("text");
        b.expect(a.says("text"));
        let controls = ('\0'..='\u{9f}').filter(|c| c.is_control() && !matches!(c, '\0' | '\t' | '\n' | '\r'));
        let bidi = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        let others = "\u{2028}\u{2029}";
        for c in controls.chain(bidi.chars()).chain(others.chars()) {
            a.send_line(format!("a{c}b"));
            b.expect(a.says("a\u{fffd}b"));
            a.send_line(format!("{c}x{c}{c}y"));
            b.expect(a.says("\u{fffd}x\u{fffd}\u{fffd}y"));
        }
    }

    #[test]
    fn a_carriage_return_ends_a_line() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        a.send("one\rx\n\rhello\ntwo\r\r\nthree\r\0four\n");
        b.expect_all(["one", "x", "hello", "two", "three", "four"].map(|text| a.says(text)));
    }

    #[test]
    fn padding_is_dropped() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        a.send([&b"hello\n"[..], &[0; 8_186], b"\xef\xbb\xbfn\0ext\xef\xbb\xbf\n"].concat());
        b.expect_all(["hello", "next\u{fffd}"].map(|text| a.says(text)));
    }

    #[test]
    fn what_only_looks_special_passes() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        let texts = [
            "a\tb",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "nbsp\u{a0}here",
            "soft\u{ad}hyphen",
            "e\u{301} stays as it came",
            "\u{200b}\u{200c}\u{2060}",
            "\u{202f}\u{2065}\u{2027}\u{200a}",
            "\u{10ffff}\u{e000}\u{fffd}",
            "שלום العربية",
        ];
        for text in texts {
            a.send_line(text);
            b.expect(a.says(text));
        }
    }

    #[test]
    fn private_messages_are_cleaned_as_well() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        a.send_line([format!("/msg {} ", b.name()).as_bytes(), b"\x1b[2J\xfe"].concat());
        b.expect(format!("* {} tells you: \u{fffd}[2J\u{fffd}", a.name()));
        a.expect(format!("* you told {}: \u{fffd}[2J\u{fffd}", b.name()));
    }

    #[test]
    fn what_the_server_quotes_of_a_client_is_cleaned() {
        let server = Server::quiet(&[]);
        let mut a = server.join();
        for line in ["/no\u{1b}pe", "/nick \u{1b}[2J", "/msg \u{1b}\u{202e}x hi", "/\u{9b}\u{2028}"] {
            a.send_line(line);
            let notice = a.expect_notice();
            let is_fine = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{202e}');
            assert!(notice.chars().all(is_fine), "{notice:?}");
        }
    }

    #[test]
    fn a_greeting_is_one_clean_notice_or_refused() {
        let start = Server::builder().flags(["--listen", "127.0.0.1:0", "--greeting", "a\u{1b}[2J\nFIN\nb"]);
        let mut command = start.command();
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().expect("the server starts");
        let mut first = [0; 1];
        let count = child.stdout.take().expect("a pipe").read(&mut first).expect("it listens, or ends");
        let _ = child.kill();
        let status = child.wait().expect("the child is ours");
        if count == 0 {
            assert_eq!(status.code(), Some(2), "a greeting that it will not take is a bad flag");
            return;
        }
        let server = Server::quiet(&["--greeting", "a\u{1b}[2J\nFIN\nb"]);
        let mut a = server.join();
        for line in a.who() {
            assert!(line.starts_with("* ") && !line.contains('\u{1b}'), "{line:?}");
        }
    }
}

mod leaving {
    use super::*;

    /// A newcomer that the witness was told of.
    #[track_caller]
    fn join_before(server: &Server, witness: &mut Client) -> Client {
        let mut client = server.join();
        ask(&mut client, witness, "hello");
        client
    }

    #[test]
    fn there_are_several_words_to_leave_by() {
        let server = Server::start(&[]);
        let [mut a] = server.join_introduced();
        for word in ["FIN", "fin", "Fin", "fIN", "exit", "EXIT", "Exit", "/quit"] {
            for end in ["\n", "\r\n"] {
                let mut leaver = join_before(&server, &mut a);
                leaver.send(format!("{word}{end}"));
                leaver.expect_farewell();
                a.expect(format!("* {} left", leaver.name()));
            }
        }
    }

    #[test]
    fn an_end_of_its_input_is_a_way_to_leave() {
        let server = Server::start(&[]);
        let [mut a, mut leaver] = server.join_introduced();
        leaver.send_line("last words");
        leaver.half_close();
        leaver.expect_farewell();
        a.expect_all([leaver.says("last words"), format!("* {} left", leaver.name())]);
    }

    #[test]
    fn a_client_that_leaves_before_it_entered_gets_its_farewell_and_no_number() {
        let server = Server::quiet(&[]);
        let mut leaver = server.connect();
        leaver.half_close();
        leaver.expect_farewell();
        assert_eq!(server.join().number(), 1);
    }

    #[test]
    fn nothing_after_the_farewell_is_relayed() {
        for word in ["FIN", "exit", "/quit"] {
            let server = Server::start(&[]);
            let [mut a] = server.join_introduced();
            let mut leaver = join_before(&server, &mut a);
            leaver.send(format!("before\n{word}\nafter\n/nick x\nFIN\nafter\nfragment"));
            leaver.expect_farewell();
            a.expect_all([leaver.says("before"), format!("* {} left", leaver.name())]);
            let name = leaver.name();
            drop(leaver);
            let mut marker = join_before(&server, &mut a);
            marker.send_line(format!("{name} said no more"));
            a.expect(marker.says(format!("{name} said no more")));
        }
    }

    #[test]
    fn nothing_sent_after_the_farewell_was_read_is_relayed() {
        let server = Server::start(&[]);
        let [mut a, mut leaver] = server.join_introduced();
        leaver.send_line("FIN");
        leaver.expect_farewell();
        let _ = leaver.stream().write_all(b"after\n");
        a.expect(format!("* {} left", leaver.name()));
        let mut marker = server.join();
        ask(&mut marker, &mut a, "marker");
    }

    #[test]
    fn a_fragment_that_an_end_in_good_order_closes_is_a_line() {
        let server = Server::start(&[]);
        let [mut a, mut leaver] = server.join_introduced();
        leaver.send("whole\nno newline");
        leaver.half_close();
        leaver.expect_farewell();
        a.expect_all([leaver.says("whole"), leaver.says("no newline"), format!("* {} left", leaver.name())]);
    }

    #[test]
    fn a_fragment_may_be_a_word_to_leave_by() {
        let server = Server::start(&[]);
        let [mut a, mut leaver] = server.join_introduced();
        leaver.send("FIN");
        leaver.half_close();
        leaver.expect_farewell();
        a.expect(format!("* {} left", leaver.name()));
    }

    #[test]
    fn a_fragment_over_the_limit_is_told_and_not_relayed() {
        let server = Server::start(&[]);
        let [mut a, mut leaver] = server.join_introduced();
        leaver.send("x".repeat(4097));
        leaver.half_close();
        leaver.expect_all([TOO_LONG]);
        leaver.expect_farewell();
        a.expect(format!("* {} left", leaver.name()));
    }

    #[test]
    fn a_fragment_that_a_reset_cuts_is_dropped() {
        let server = Server::start(&[]);
        let [mut a] = server.join_introduced();
        for round in 0..10 {
            let mut leaver = join_before(&server, &mut a);
            let name = leaver.name();
            leaver.send("whole\nhalf of a li");
            a.expect(leaver.says("whole"));
            if round % 2 == 0 {
                leaver.send("n");
            }
            leaver.reset();
            a.expect(format!("* {name} left"));
        }
    }

    #[test]
    fn everything_said_before_is_delivered_to_the_leaver() {
        for word in ["FIN\n", ""] {
            let server = Server::quiet(&[]);
            let [mut a, mut b] = server.join_many();
            let mut leaver = server.join_narrow();
            let total = 5000;
            say_numbered(&mut a, &mut b, 0, total);
            leaver.send(word);
            leaver.half_close();
            b.who();
            for index in 0..total {
                leaver.expect(a.says(numbered(index)));
            }
            leaver.expect_farewell();
        }
    }

    #[test]
    fn a_leaver_that_talks_on_gets_what_it_is_owed_all_the_same() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        let mut leaver = server.join_narrow();
        let total = 3000;
        say_numbered(&mut a, &mut b, 0, total);
        leaver.send_line("FIN");
        for index in 0..total {
            leaver.expect(a.says(numbered(index)));
            // Closed with this unread, the server's kernel would throw away what it still has for the leaver.
            leaver.send_line("and another thing");
        }
        leaver.expect_farewell();
        ask(&mut a, &mut b, "marker");
    }

    #[test]
    fn nothing_said_after_it_is_delivered_to_the_leaver() {
        let server = Server::start(&[]);
        let [mut a, mut leaver] = server.join_introduced();
        leaver.send_line("exit");
        a.expect(format!("* {} left", leaver.name()));
        a.send_line("after");
        a.who();
        leaver.expect_farewell();
    }

    #[test]
    fn replies_that_were_asked_for_come_before_the_farewell() {
        let server = Server::quiet(&[]);
        let mut a = server.join();
        a.send("/who\n/nope\nFIN\n");
        let lines = a.lines_until(|line| line == "FIN");
        a.expect_end();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(lines[1], "* 1 here");
    }

    #[test]
    fn all_are_told_of_the_shutdown_and_the_exit_code_is_0() {
        let mut server = Server::quiet(&[]);
        let [mut a, mut b, mut c] = server.join_many();
        a.send_line("hello");
        b.expect(a.says("hello"));
        a.send("half a line");
        server.signal(Signal::TERM);
        for client in [&mut a, &mut b] {
            client.expect("* the server is shutting down");
            client.expect_farewell();
        }
        // What was said before still comes, to one who had not read it.
        let lines = c.lines_until(|line| line == "FIN");
        assert_eq!(lines.iter().filter(|line| **line == a.says("hello")).count(), 1, "{lines:?}");
        assert_eq!(lines.iter().filter(|line| *line == "* the server is shutting down").count(), 1, "{lines:?}");
        assert_eq!(lines.len(), 3, "{lines:?}");
        c.expect_end();
        drop((a, b, c));
        assert_eq!(server.wait(DEADLINE).code(), Some(0));
    }

    #[test]
    fn what_is_owed_is_flushed_at_the_shutdown() {
        let mut server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        let mut slow = server.join_narrow();
        let total = 1000;
        say_numbered(&mut a, &mut b, 0, total);
        server.signal(Signal::TERM);
        let mut lines = slow.lines_until(|line| line == "FIN");
        slow.expect_end();
        lines.retain(|line| !line.starts_with("* ") && line != "FIN");
        assert_eq!(lines, (0..total).map(|index| a.says(numbered(index))).collect::<Vec<_>>());
        a.stream().shutdown(Shutdown::Both).expect("still ours");
        drop((a, b, slow));
        assert_eq!(server.wait(DEADLINE).code(), Some(0));
    }

    #[test]
    fn one_who_talks_through_the_shutdown_gets_the_farewell() {
        let mut server = Server::quiet(&[]);
        let mut a = server.join();
        server.signal(Signal::TERM);
        let chunk = b"still talking\n".repeat(100);
        // Until the server has closed for good; by then the farewell is on its way.
        for _ in 0..200 {
            if a.stream().write_all(&chunk).is_err() {
                break;
            }
        }
        a.expect("* the server is shutting down");
        a.expect("FIN");
        drop(a);
        assert_eq!(server.wait(DEADLINE).code(), Some(0));
    }
}
