//! Conversations with the servers of textbooks: they end in good order, whichever side leaves first, and neither side
//! runs away.

use super::*;
use crate::support::textbook_servers::{Heard, Textbook, echo, pair, relay, slow_turns, turns, window};

/// More output than any of these conversations has.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

fn client_at(server: &Textbook) -> Client {
    Client::start(&mut client_of(server.address))
}

/// Says `typed`, ends stdin, and returns what the client showed.
#[track_caller]
fn say(mut client: Client, typed: &str, code: i32) -> Exit {
    client.type_in(typed);
    client.end_stdin();
    let exit = client.exits(code);
    assert!(exit.stdout.len() < OUTPUT_BYTES_MAX, "{} bytes", exit.stdout.len());
    exit
}

#[track_caller]
fn over(server: Textbook) -> Heard {
    let heard = server.heard();
    assert!(heard.is_over, "{:?}", heard.texts());
    heard
}

#[test]
fn an_echo_server_gets_its_word_alone_however_the_client_leaves() {
    for typed in ["one\n", "one", "one\nexit\n", "one\nFIN\n", "one\nfin\n", "exit\n", "exit", "one\ntwo\nthree\n"] {
        let server = echo();
        let exit = say(client_at(&server), typed, 0);
        assert!(exit.stdout.ends_with("FIN\n"), "{typed:?}: {}", exit.stdout);
        assert_eq!(exit.stderr, "");
        let heard = over(server);
        assert_eq!(heard.messages.last().map(String::as_str), Some("exit"), "{typed:?}");
        let said = typed.lines().filter(|line| *line != "exit");
        assert!(
            said.eq(heard
                .texts()
                .iter()
                .map(|text| text.trim_end())
                .filter(|text| !["exit", "FIN"].contains(text) || typed.contains(text))
                .filter(|text| *text != "exit")),
            "{typed:?}: {:?}",
            heard.messages
        );
    }
}

#[test]
fn an_echo_server_answers_each_line_on_its_own() {
    let server = echo();
    let exit = say(client_at(&server), "one\ntwo\nthree\n", 0);
    let lines: Vec<&str> = exit.stdout.lines().collect();
    assert_eq!(lines[..3], ["echo : one", "echo : two", "echo : three"]);
    assert_eq!(over(server).texts()[..3], ["one\n", "two", "three"]);
}

#[test]
fn an_echo_server_is_known_by_its_echo_of_a_request_for_a_name() {
    let server = echo();
    let exit = say(Client::start(client_of(server.address).args(["--nick", "ana"])), "one\n", 0);
    assert_eq!(exit.stdout, "echo : /nick ana\necho : one\necho : FIN\nFIN\n");
    assert_eq!(over(server).texts(), ["/nick ana\n", "one", "FIN", "exit"]);
}

#[test]
fn an_echo_server_that_never_ends_is_left_within_the_bounds() {
    // It has no word to end by, and takes the end of input for one more message.
    let listener = listen("127.0.0.1:0");
    let mut client = Client::start(&mut client_of(address(&listener)));
    let mut stream = accept(&listener);
    let server = thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(len) = stream.read(&mut buffer) {
            if stream.write_all(&[b"echo : ", &buffer[..len]].concat()).is_err() {
                return;
            }
        }
    });
    let start = Instant::now();
    client.type_in("one\n");
    client.end_stdin();
    let exit = client.exits(0);
    assert!(exit.stdout.starts_with("echo : one\n"));
    assert!(exit.stdout.len() < 2 << 20, "{} bytes", exit.stdout.len());
    assert!(start.elapsed() < GRACE + Duration::from_secs(3), "{:?}", start.elapsed());
    server.join().unwrap();
}

#[test]
fn a_server_that_takes_turns_is_left_by_its_word_or_by_nothing() {
    for typed in ["one\n", "one\nfin\n", "fin\n", "", "one\ntwo\nexit\n"] {
        let server = turns(&["yes", "no", "well", "so", "and"]);
        let exit = say(client_at(&server), typed, 0);
        assert!(exit.stdout.starts_with("hello, it is your turn\n"), "{typed:?}: {}", exit.stdout);
        let heard = over(server);
        let said: Vec<&str> = typed.lines().collect();
        assert_eq!(heard.texts()[..said.len()], said, "{typed:?}");
    }
}

#[test]
fn a_server_that_thinks_before_it_answers_gets_each_line_and_word_alone() {
    for millis in [60, 300, 1_500] {
        let server = slow_turns(&["a", "b", "c"], Duration::from_millis(millis));
        let exit = say(client_at(&server), "one\ntwo\nthree\n", 0);
        assert_eq!(exit.stdout, "hello, it is your turn\na\nb\nc\n");
        assert_eq!(over(server).texts(), ["one", "two", "three", "FIN"], "{millis}");
    }
}

#[test]
fn a_server_that_hangs_in_its_turn_is_left_within_the_grace() {
    for answers in [0, 1] {
        let listener = listen("127.0.0.1:0");
        let mut client = Client::start(&mut client_of(address(&listener)));
        let mut stream = accept(&listener);
        stream.write_all(b"hello").unwrap();
        client.stdout().wait_for("hello");
        client.type_in("one\n");
        if answers > 0 {
            expect(&mut stream, "one");
            stream.write_all(b"yes").unwrap();
            client.stdout().wait_for("yes");
        }
        client.type_in("two\n");
        client.end_stdin();
        let start = Instant::now();
        client.exits(0);
        assert!(start.elapsed() < GRACE + Duration::from_secs(3), "{:?}", start.elapsed());
        drop(stream);
    }
}

#[test]
fn a_server_that_takes_turns_may_leave_first() {
    let server = turns(&["yes"]);
    let exit = say(client_at(&server), "one\ntwo\nthree\n", 1);
    assert_eq!(exit.stdout, "hello, it is your turn\nyes\nfin\n");
    assert!(exit.stderr.contains("ended the conversation; 1 line was not said, and the last of 2"), "{}", exit.stderr);
    assert_eq!(over(server).texts(), ["one", "two"]);
}

#[test]
fn a_pair_of_threads_is_left_by_exit() {
    for said in [&["hi"][..], &["hi", "you"]] {
        for typed in ["one\n", "one\ntwo\n", "one\nexit\n", "exit\n"] {
            let server = pair(said);
            let mut client = client_at(&server);
            // On a busy machine both words may come as a single text.
            client.stdout().wait_for("hi");
            say(client, typed, 0);
            assert_eq!(over(server).messages.last().map(String::as_str), Some("exit"), "{typed:?}");
        }
    }
}

#[test]
fn a_pair_of_threads_that_has_said_nothing_is_left_by_a_typed_exit() {
    let server = pair(&[]);
    say(client_at(&server), "exit\n", 0);
    assert_eq!(over(server).texts(), ["exit"]);
}

#[test]
fn the_server_of_a_window_is_left_by_fin() {
    for typed in ["", "one\n", "one\ntwo\n", "one\nexit\n", "fin\n", "FIN\n", "/quit\n"] {
        let server = window();
        let exit = say(client_at(&server), typed, 0);
        assert_eq!(exit.stdout, "connected\n");
        let heard = over(server);
        assert_eq!(heard.messages.last().map(String::as_str), Some("FIN"), "{typed:?}");
        let said: Vec<&str> = typed.lines().filter(|line| *line != "/quit").collect();
        assert_eq!(heard.texts()[..said.len()], said, "{typed:?}");
    }
}

#[test]
fn clients_of_a_threaded_relay_hear_each_other_and_leave() {
    let (address, server) = relay(2);
    let start = || Client::start(&mut client_of(address));
    let (mut ana, mut ben) = (start(), start());
    ana.wait_until_asleep();
    ben.wait_until_asleep();
    ana.type_in("hello\n");
    ben.stdout().wait_for("> hello\n");
    ben.type_in("one\ntwo\nthree\n");
    for said in ["one", "two", "three"] {
        ana.stdout().wait_for(&format!("> {said}"));
    }
    ana.type_in("Fin\n");
    let exit = ana.exits(0);
    assert!(exit.stdout.ends_with("FIN\n"), "{}", exit.stdout);
    ben.end_stdin();
    let exit = ben.exits(0);
    assert!(exit.stdout.ends_with("FIN\n"), "{}", exit.stdout);
    for heard in server.join().unwrap() {
        assert!(heard.is_over, "{heard:?}");
    }
}

#[test]
fn an_echo_of_lines_is_no_textbook() {
    let (mut client, mut server) = conversation();
    client.type_in("one\ntwo\n");
    expect(&mut server, "one\n");
    server.write_all(b"one\n").unwrap();
    expect(&mut server, "two\n");
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    drop(server);
    client.ends(0, "one\n", "");
}

#[test]
fn a_prompt_does_not_make_a_server_of_lines_a_textbook() {
    let (mut client, mut server) = conversation();
    server.write_all(b"welcome\nlogin: ").unwrap();
    client.stdout().wait_for("login: \n");
    client.type_in("ana\nsecret\n");
    expect(&mut server, "ana\nsecret\n");
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    drop(server);
    client.exits(0);
}

#[test]
fn a_server_that_is_never_silent_gets_its_lines_and_is_left() {
    for args in [&[][..], &["--flush-after", "0"]] {
        let (mut client, mut server) = conversation_with(|command| command.args(args));
        server.write_all(b"x").unwrap();
        if args.is_empty() {
            client.stdout().wait_for("x\n");
        }
        let mut heard = server.try_clone().unwrap();
        let talk = thread::spawn(move || say_until_gone(&mut server, "x", Duration::from_millis(2)));
        client.type_in("one\ntwo\n");
        client.end_stdin();
        let text = read_to_end(&mut heard);
        assert!(text.starts_with("one"), "{text}");
        assert!(text.contains("two"), "{text}");
        client.exits(0);
        talk.join().unwrap();
    }
}
