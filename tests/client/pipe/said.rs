//! Exit codes with a real server: 0 means that it took every line of stdin, in the room, under the wanted name.

use super::*;
use crate::support::{Lines, Member as _, Server};

fn client_at(server: &Server, args: &[&str]) -> Client {
    Client::start(client_of(server.address()).args(args))
}

/// Says `typed` to its end. Returns what the client told on stderr.
#[track_caller]
fn say(server: &Server, args: &[&str], typed: &str, code: i32) -> String {
    Client::start_with(client_of(server.address()).args(args), typed).exits(code).stderr
}

#[track_caller]
fn told(server: &Server, args: &[&str], typed: &str) -> String {
    let told = say(server, args, typed, 1);
    let line = told.strip_prefix("pollchat-client: ").and_then(|told| told.strip_suffix('\n')).expect(&told);
    assert!(!line.contains('\n'), "{told}");
    line.to_owned()
}

#[test]
fn everything_was_said() {
    let server = Server::start(&["--announce-up-to", "0"]);
    let mut listener = server.join();
    for (typed, said) in [
        ("a\nb\n", &["a", "b"][..]),
        ("a\nb", &["a", "b"]),
        ("a\n\n\nb\nFIN\n", &["a", "b"]),
        ("a\nexit", &["a"]),
        ("a\n/quit\n\n", &["a"]),
        ("//x\n/who\n/help\n", &["/x"]),
        ("", &[]),
    ] {
        assert_eq!(say(&server, &["--nick", "ana"], typed, 0), "", "{typed:?}");
        for text in said {
            listener.expect(format!("ana> {text}"));
        }
    }
}

#[test]
fn a_client_that_is_refused_has_said_nothing() {
    let server = Server::start(&["--deny", "127.0.0.1"]);
    let denied = "connections from your address are not allowed here";
    assert_eq!(told(&server, &[], "hi\n"), format!("{denied}; 1 line was not said"));
    assert_eq!(told(&server, &["--nick", "ana"], "a\nb\nc"), format!("{denied}; 3 lines were not said"));
    assert_eq!(told(&server, &[], ""), denied);
    let server = Server::start(&["--max-clients", "1"]);
    let _member = server.join();
    assert_eq!(told(&server, &[], "a\nb\n"), "the server is full (1 client); 2 lines were not said");
    let server = Server::start(&["--max-per-address", "1"]);
    let _member = server.join();
    let crowded = "too many connections from your address (at most 1)";
    assert_eq!(told(&server, &[], "a\nb\n"), format!("{crowded}; 2 lines were not said"));
    let server = Server::start(&[]);
    let foreign = told(&server, &[], "GET / HTTP/1.1\na\n");
    assert_eq!(foreign, "this is a chat relay and speaks no HTTP: goodbye; 2 lines were not said");
}

#[test]
fn nothing_is_said_under_another_name() {
    let server = Server::start(&[]);
    let mut ana = server.join();
    ana.send("/nick ana\n");
    ana.lines_until(|line| line == "* client-1 is now ana");
    assert_eq!(told(&server, &["--nick", "Ana"], "a\nb\n"), "the name Ana is taken; 2 lines were not said");
    assert_eq!(told(&server, &["--nick", "ana"], ""), "the name ana is taken");
    // With stdin open, it does not wait for more.
    let exit = client_at(&server, &["--nick", "ana"]).exits(1);
    assert_eq!(exit.stderr, "pollchat-client: the name ana is taken\n");
    say(&server, &["--nick", "ben"], "hello\n", 0);
    let heard = ana.lines_until(|line| line == "ben> hello");
    assert!(!heard.iter().any(|line| line.ends_with("> a") || line.ends_with("> b")), "{heard:?}");
}

#[test]
fn a_command_that_fails_is_a_line_that_was_not_said() {
    let server = Server::start(&[]);
    for (line, why) in [
        ("/msg nobody hi", "nobody here is called nobody"),
        ("/msg", "/msg NAME TEXT tells TEXT to NAME alone"),
        ("/foo", "there is no command /foo; /help lists what you can do"),
        ("/kick ana", "there is no command /kick; /help lists what you can do"),
        ("/nick", "/nick NAME: a name is 1 to 24 letters, digits, _ or -"),
        ("/nick a b", "a name is 1 to 24 letters, digits, _ or -"),
    ] {
        assert_eq!(told(&server, &[], &format!("a\n{line}\nb\n")), format!("{why}; 1 line was not said"));
    }
    let two = told(&server, &[], "/msg nobody hi\n/foo\n");
    assert_eq!(two, "nobody here is called nobody; 2 lines were not said");
    let long = format!("a\n{}\nb\n", "x".repeat(5000));
    let too_long = "line too long (over 4096 bytes): not relayed; 1 line was not said";
    assert_eq!(told(&server, &[], &long), too_long);
    assert_eq!(told(&server, &["--text"], &format!("/{}\n", "x".repeat(4095))), too_long);
}

#[test]
fn lines_behind_a_goodbye_are_told() {
    let server = Server::start(&[]);
    for goodbye in ["Fin", "exit", "/quit", "/QUIT bye"] {
        assert_eq!(
            told(&server, &[], &format!("a\n{goodbye}\nb\n\nc")),
            "stdin goes on after the goodbye; 2 lines were not said"
        );
    }
    let many = format!("a\nfin\n{}", "more\n".repeat(100_000));
    assert_eq!(
        Client::start(client_of(server.address()).stdin(temporary_file(many.as_bytes()))).exits(1).stderr,
        "pollchat-client: stdin goes on after the goodbye; 100000 lines were not said\n"
    );
}

#[test]
fn a_goodbye_is_seen_as_the_server_sees_it() {
    let server = Server::start(&[]);
    let quit = format!("/quit {}", "x".repeat(100));
    for goodbye in [
        &b"FIN\xff\xf1"[..],
        b"\xff\xfd\x01\xff\xfb\x1fFI\xff\xf1N",
        b"\xff\xfa\x1f\x00\n\x00\n\xff\xf0exit",
        b"\xff\xfa\x18\x00xterm\rx\xff\xf0exit",
        b"\xff\xfd\nexit",
        b"\xffexit",
        b"F\0I\0N",
        &[&b"fin"[..], &[0; 100]].concat(),
        b"fin\r\0",
        b"\xef\xbb\xbfexit\r",
        &["\u{feff}".repeat(40).as_bytes(), b"/QUIT\tbye"].concat(),
        quit.as_bytes(),
    ] {
        let (stdin, mut typist) = io::pipe().unwrap();
        let client = Client::start(client_of(server.address()).stdin(stdin));
        typist.write_all(&[b"a\n", goodbye, b"\nb\n"].concat()).unwrap();
        drop(typist);
        let told = "pollchat-client: stdin goes on after the goodbye; 1 line was not said\n";
        assert_eq!(client.exits(1).stderr, told, "{goodbye:?}");
    }
    // Padding behind a goodbye is no line, and these are text for the server.
    for typed in ["a\nFIN\r\0\n\u{feff}\n", "FIN\u{7f}\nFIN \n exit\nb\u{feff}\n\u{1b}FIN\n"] {
        assert_eq!(say(&server, &[], typed, 0), "", "{typed:?}");
    }
}

#[test]
fn half_a_line_is_told_to_nobody_before_its_end() {
    for (args, is_known) in [(&["--nick", "eva"][..], true), (&["--reconnect"], true), (&[], false)] {
        let server = Server::start(&["--announce-up-to", "0", "--flush-after", "100"]);
        let (mut ana, mut ben) = (server.join(), server.connect());
        ben.lines_until(|line| line.starts_with("* you are client-2; "));
        let mut client = client_at(&server, args);
        if is_known {
            client.stdout().wait_for("* you are ");
        }
        // The silence that ends each line of ben's would end the client's, too.
        for (half, said) in [("/msg client-1 ", "one"), ("sec", "two")] {
            client.type_in(half);
            client.wait_until("the half is read", Client::has_taken_typed);
            ben.send(said);
            ana.lines_until(|line| line == format!("client-2> {said}"));
        }
        client.type_in("ret\n");
        let told = ana.lines_until(|line| line.ends_with("tells you: secret"));
        assert_eq!(told.len(), 1, "{told:?}");
        client.end_stdin();
        assert_eq!(client.exits(0).stderr, "");
        let heard = ben.who();
        assert!(!heard.iter().any(|line| line.contains("sec") || line.contains("/msg")), "{heard:?}");
    }
}

#[test]
fn a_server_that_stops_or_removes_a_client_has_not_taken_all() {
    let mut server = Server::start(&[]);
    let mut client = client_at(&server, &[]);
    client.type_in("a\n");
    client.stdout().wait_for("* you are");
    server.signal(Signal::TERM);
    let exit = client.exits(1);
    assert_eq!(exit.stderr, "pollchat-client: the server is shutting down; 1 line may not have been said\n");
    assert!(server.wait(DEADLINE).success());

    let (stdin, mut operator) = io::pipe().unwrap();
    let server = Server::builder().flags(["--console"]).stdin(stdin).go();
    let mut client = client_at(&server, &["--nick", "ana"]);
    client.stdout().wait_for("is now ana");
    operator.write_all(b"/kick ana\n").unwrap();
    assert_eq!(client.exits(1).stderr, "pollchat-client: you were removed by the operator\n");
}

#[test]
fn a_silent_client_is_told_why_it_was_disconnected() {
    let server = Server::start(&["--idle-timeout", "1"]);
    let exit = client_at(&server, &[]).exits(1);
    assert_eq!(exit.stderr, "pollchat-client: you have said nothing for 1 second: goodbye\n");
}

#[test]
fn lines_that_the_server_throttles_are_waited_for() {
    let server = Server::start(&["--rate", "10", "--burst", "5"]);
    let mut listener = server.join();
    assert_eq!(say(&server, &[], &(0..80).map(|n| format!("{n}\n")).collect::<String>(), 0), "");
    for n in 0..80 {
        listener.lines_until(|line| line == format!("client-2> {n}"));
    }
}

#[test]
fn without_a_reader_of_stdout_stdin_is_said_as_far_as_it_goes() {
    let server = Server::start(&[]);
    let mut listener = server.join();
    let (reader, stdout) = io::pipe().unwrap();
    drop(reader);
    let typed = temporary_file(numbered_lines(50_000).as_bytes());
    Client::start(client_of(server.address()).stdin(typed).stdout(stdout)).ends(0, "", "");
    let lines = numbered_lines(50_000);
    let last = lines.lines().next_back().unwrap();
    listener.lines_until(|line| line == format!("client-2> {last}"));
}

#[test]
fn a_stdout_that_fails_is_told_with_the_lines() {
    let server = Server::start(&[]);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut client = Client::start(client_of(server.address()).stdout(full));
    client.type_in("a\n");
    let told = "cannot write to stdout: No space left on device (os error 28); 1 line may not have been said";
    assert_eq!(client.exits(1).stderr, format!("pollchat-client: {told}\n"));
}

#[test]
fn a_pollchat_server_that_closes_without_fin_has_not_taken_all() {
    let (mut client, mut server) = conversation();
    let at = server.local_addr().unwrap();
    server.write_all(b"* you are client-1; /help lists what you can do\n").unwrap();
    client.type_in("a\nb\n");
    expect(&mut server, "a\nb\n");
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    // A pollchat server says FIN.
    drop(server);
    let told = format!("the server at {at} closed the connection; the last of 2 lines may not have been said");
    assert_eq!(client.exits(1).stderr, format!("pollchat-client: {told}\n"));
}
