//! Browsers and TCP clients in one room.

use crate::support::http::WebServer;
use crate::support::ws::{Frame, opcode};
use crate::support::ws_client::Browser;
use crate::support::{Client, Lines, Member, numbered};

#[test]
fn browsers_and_clients_hear_each_other_and_nobody_hears_themselves() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut ben) = (server.join(), server.join());
    let (mut cia, mut dan) = (server.browser(), server.browser());
    ana.send_line("I am on the line");
    for browser in [&mut cia, &mut dan] {
        browser.expect(ana.says("I am on the line"));
    }
    ben.expect(ana.says("I am on the line"));
    cia.say("I am in a page");
    for client in [&mut ana, &mut ben] {
        client.expect(cia.says("I am in a page"));
    }
    dan.expect(cia.says("I am in a page"));
    dan.say("me too");
    // Nobody has got anything else, and the speakers none of their own.
    ana.expect(dan.says("me too"));
    ben.expect(dan.says("me too"));
    cia.expect(dan.says("me too"));
    ben.send_line("last");
    ana.expect(ben.says("last"));
    cia.expect(ben.says("last"));
    dan.expect(ben.says("last"));
}

#[test]
fn everybody_hears_everything_in_the_same_order() {
    let server = WebServer::quiet(&["--audience", "everyone"]);
    let count = 300;
    let mut clients: [Client; 2] = server.join_many();
    let mut browsers = [(); 2].map(|()| server.browser());
    let stories: Vec<Vec<String>> = std::thread::scope(|scope| {
        let ear = |mut line: Box<dyn FnMut() -> String + Send>| move || (0..4 * count).map(|_| line()).collect();
        let mut ears: Vec<std::thread::ScopedJoinHandle<'_, Vec<String>>> = Vec::new();
        for client in &mut clients {
            client.send((0..count).map(|number| numbered(number) + "\n").collect::<String>());
            ears.push(scope.spawn(ear(Box::new(|| client.line()))));
        }
        for browser in &mut browsers {
            for number in 0..count {
                browser.say(numbered(number));
            }
            ears.push(scope.spawn(ear(Box::new(|| browser.line()))));
        }
        ears.into_iter().map(|ear| ear.join().expect("it hears all")).collect()
    });
    assert!(stories.windows(2).all(|pair| pair[0] == pair[1]), "one story");
    for talker in 1..=4 {
        let said = format!("client-{talker}> ");
        let heard = stories[0].iter().filter_map(|line| line.strip_prefix(&said));
        assert!(heard.eq((0..count).map(numbered)), "all of {said:?}, in order");
    }
}

#[test]
fn a_newcomer_is_greeted_and_shown_what_was_said() {
    let server = WebServer::quiet(&["--greeting", "be kind", "--history", "3"]);
    let mut ana = server.join();
    ana.expect("* be kind");
    ana.send("zero\none\ntwo\nthree\n");
    ana.who();
    let mut browser = Browser::upgrade(server.visit());
    // What tells a page where it is comes in one frame.
    let first = browser.wire.frame();
    assert_eq!((first.opcode, first.fin), (opcode::TEXT, true));
    let text = String::from_utf8(first.payload).expect("UTF-8");
    assert_eq!(text, "* you are client-2; /help lists what you can do\n* be kind\n* 3 earlier lines:\n");
    browser.expect_all(["one", "two", "three"].map(|text| ana.says(text)));
    browser.say("hello");
    ana.expect("client-2> hello");
}

#[test]
fn a_browser_has_all_the_commands() {
    let server = WebServer::start(&[]);
    let [mut ana] = server.join_introduced();
    let mut cia = server.browser();
    ana.rename("ana");
    cia.expect("* client-1 is now ana");
    cia.rename("cia");
    ana.expect("* cia joined");
    cia.say("/nick ana");
    cia.expect("* the name ana is taken");
    cia.say("/msg ana between us");
    cia.expect("* you told ana: between us");
    ana.expect("* cia tells you: between us");
    ana.send_line("/msg cia likewise");
    ana.expect("* you told cia: likewise");
    cia.expect("* ana tells you: likewise");
    let rows = cia.who();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows.iter().any(|row| row.starts_with("* here: cia, ")), "{rows:?}");
    cia.say("//who am I");
    ana.expect("cia> /who am I");
    cia.say("/help");
    cia.expect("* a line is relayed to the others as NAME> line");
    cia.lines_until(|line| line == "* FIN, exit or /quit: leave");
    cia.close(Some(1001));
    ana.expect("* cia left");
}

#[test]
fn the_operator_hears_and_removes_browsers() {
    let (stdin, mut keyboard) = std::io::pipe().expect("a pipe");
    let start = crate::support::Server::builder().flags(["--console", "--announce-up-to", "0"]).stdin(stdin);
    let server = WebServer::go(start);
    let (mut ana, mut cia) = (server.join(), server.browser());
    cia.say("hello up there");
    ana.expect(cia.says("hello up there"));
    crate::support::eventually("it is on the console", || server.stdout().contains(&cia.says("hello up there")));
    std::io::Write::write_all(&mut keyboard, b"order!\n/kick client-2\n").expect("it reads");
    ana.expect("server> order!");
    // What is told to one alone may overtake what is said to all.
    let mut last_words = [cia.line(), cia.line()];
    last_words.sort();
    assert_eq!(last_words, ["* you were removed by the operator", "server> order!"]);
    cia.expect_farewell(1008);
    assert_eq!(ana.present(), 2);
}

#[test]
fn what_looks_like_another_protocol_is_just_text() {
    let server = WebServer::quiet(&[]);
    let mut ana = server.join();
    for text in ["GET / HTTP/1.1", "POST /ws HTTP/1.0", "\u{16}\u{3}\u{1}", "PRI * HTTP/2.0"] {
        let mut browser = server.browser();
        browser.say(text);
        ana.expect(browser.says(text.replace(|c: char| c.is_control(), "\u{fffd}")));
        browser.close(None);
    }
    // Nor does the line port mind what a client says later on.
    let mut ben = server.join();
    ben.send("hello\nGET / HTTP/1.1\n");
    ana.expect_all([ben.says("hello"), ben.says("GET / HTTP/1.1")]);
}

#[test]
fn what_a_browser_says_is_cleaned_as_everybodys() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut cia, mut dan) = (server.join(), server.browser(), server.browser());
    for (said, heard) in [
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        ("a\u{1b}[31mred", "a\u{fffd}[31mred"),
        ("bidi \u{202e}evil", "bidi \u{fffd}evil"),
        ("nul \0 and del \u{7f}", "nul  and del \u{fffd}"),
        ("tab\tand emoji \u{1f44d}\u{1f3fd}", "tab\tand emoji \u{1f44d}\u{1f3fd}"),
    ] {
        cia.say(said);
        ana.expect(cia.says(heard));
        dan.expect(cia.says(heard));
    }
}

#[test]
fn a_hundred_browsers_hear_a_hundred_clients() {
    let server = WebServer::quiet(&[]);
    // One after another, each would have to wait for its greeting.
    let mut clients: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(Client::greeted);
    let mut browsers: Vec<Browser> = (0..100).map(|_| server.browser()).collect();
    for client in &mut clients {
        client.send_line("hello");
    }
    let mut expected: Vec<String> = clients.iter().map(|client| client.says("hello")).collect();
    expected.sort();
    for browser in &mut browsers {
        let mut heard: Vec<String> = (0..100).map(|_| browser.line()).collect();
        heard.sort();
        assert_eq!(heard, expected);
    }
    for browser in &mut browsers {
        browser.send(&Frame::text("likewise"));
    }
    let mut expected: Vec<String> = browsers.iter().map(|browser| browser.says("likewise")).collect();
    expected.sort();
    let mut heard: Vec<String> = (0..199).map(|_| clients[0].line()).collect();
    heard.retain(|line| line.ends_with("> likewise"));
    heard.sort();
    assert_eq!(heard, expected);
}
