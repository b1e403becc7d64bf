//! Ways to leave, and what a leaver is still owed.

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
