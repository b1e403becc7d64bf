//! Textbook clients, unchanged, in one room of a real server: they talk with each other and with `nc`, and each ends in
//! good order, whichever side leaves first.

use rustix::process::Signal;

use crate::support::textbook_clients::{Book, Ended, TextbookClient};
use crate::support::{DEADLINE, Lines, Member, Server, eventually};

fn server(flags: &[&str]) -> Server {
    Server::builder().flags(["--announce-up-to", "0"]).flags(flags).go()
}

/// Joins one client of each book, and waits until each is greeted.
fn join_all(server: &Server, ending: &'static str) -> Vec<(Book, TextbookClient)> {
    let clients = Book::ALL.map(|book| (book, TextbookClient::join(book, server.address(), ending)));
    for (_, client) in &clients {
        client.hears("* you are client-");
    }
    clients.into()
}

/// Each says something, which all others hear.
fn talk(clients: &mut [(Book, TextbookClient)], round: usize) {
    for speaker in 0..clients.len() {
        let text = format!("{round} by {:?}", clients[speaker].0);
        clients[speaker].1.types(&text);
        for (listener, (_, client)) in clients.iter().enumerate() {
            if listener != speaker {
                client.hears(&format!("> {text}"));
            }
        }
    }
}

#[track_caller]
fn ended_well(book: Book, ended: &Ended) {
    assert_eq!(ended.empty, 0, "{book:?} went on after its end: {:?}", ended.received);
}

#[test]
fn textbook_clients_without_newlines_talk_and_leave_by_their_words() {
    let server = server(&["--flush-after", "100"]);
    let mut nc = server.join();
    let mut clients = join_all(&server, "");
    for round in 0..3 {
        talk(&mut clients, round);
        nc.lines_until(|line| line.ends_with(&format!("> {round} by Window")));
        nc.send_line(format!("{round} by nc"));
        for (_, client) in &clients {
            client.hears(&format!("client-1> {round} by nc"));
        }
    }
    while let Some((book, mut client)) = clients.pop() {
        client.types(book.word());
        ended_well(book, &client.ends());
        let left = clients.len() + 1;
        eventually("it has left", || nc.present() == left);
    }
    nc.send_line("FIN");
    nc.expect_farewell();
}

#[test]
fn textbook_clients_without_newlines_end_when_the_server_stops() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = server(&["--flush-after", "100"]);
        let mut nc = server.join();
        // The others have never said a word.
        let mut clients = join_all(&server, "");
        clients[4].1.types("hello");
        nc.expect("client-6> hello");
        server.signal(signal);
        for (book, client) in clients {
            let ended = client.ends();
            match book {
                Book::Relay | Book::Window | Book::Turns => ended_well(book, &ended),
                // They compare with a word that no server says by itself.
                Book::Pair | Book::Echo => {
                    assert_eq!(ended.received.iter().filter(|message| *message == "FIN").count(), 1);
                }
            }
        }
        nc.expect("* the server is shutting down");
        nc.expect_farewell();
        assert_eq!(server.wait(DEADLINE).code(), Some(0));
    }
}

#[test]
fn textbook_clients_may_vanish_and_the_others_talk_on() {
    let server = server(&["--flush-after", "100"]);
    let mut nc = server.join();
    let mut clients = join_all(&server, "");
    while let Some((_, client)) = clients.pop() {
        client.vanishes();
        let left = clients.len() + 1;
        eventually("it has left", || nc.present() == left);
        talk(&mut clients, left);
    }
}

#[test]
fn textbook_clients_with_newlines_need_no_flag() {
    let mut server = server(&[]);
    let mut nc = server.join();
    let mut clients = join_all(&server, "\n");
    talk(&mut clients, 0);
    nc.lines_until(|line| line.ends_with("> 0 by Window"));
    // The pair needs the word that it said: without the flag, a line client is told `FIN` alone.
    clients.retain(|(book, _)| *book != Book::Pair);
    for (book, mut client) in clients.drain(..3) {
        client.types(book.word());
        ended_well(book, &client.ends());
    }
    server.signal(Signal::TERM);
    for (book, client) in clients {
        ended_well(book, &client.ends());
    }
    assert_eq!(server.wait(DEADLINE).code(), Some(0));
}

#[test]
fn an_echo_server_of_ours_serves_the_echo_client() {
    let server = server(&["--flush-after", "100", "--audience", "sender"]);
    let mut client = TextbookClient::join(Book::Echo, server.address(), "");
    client.hears("* you are client-1");
    for text in ["one", "two", "EXIT?"] {
        client.types(text);
        client.hears(&format!("client-1> {text}"));
    }
    client.types("exit");
    let ended = client.ends();
    ended_well(Book::Echo, &ended);
    assert_eq!(ended.received.last().map(String::as_str), Some("FIN"), "in the first recv after it");
    assert!(!ended.received.iter().any(|message| message == "exit"));
}

#[test]
fn a_removed_or_refused_textbook_client_ends_too() {
    let server = server(&["--flush-after", "100", "--max-clients", "1"]);
    let first = TextbookClient::join(Book::Window, server.address(), "");
    first.hears("* you are client-1");
    for book in [Book::Relay, Book::Window, Book::Turns] {
        let refused = TextbookClient::join(book, server.address(), "");
        refused.hears("* the server is full (1 client)");
        ended_well(book, &refused.ends());
    }
    first.vanishes();
}
