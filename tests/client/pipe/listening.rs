//! Clients that only listen, and clients that reconnect.

use super::*;
use crate::support::Server;

const WELCOME: &str = "* you are client-1; /help lists what you can do\n";

fn listener(args: &[&str]) -> (Client, TcpStream) {
    conversation_with(|command| command.arg("--listen").args(args).stdin(Stdio::null()))
}

#[test]
fn a_listener_stays_until_the_server_ends() {
    let mut server = Server::start(&[]);
    let stdin = temporary_file(b"never said\nFIN\n");
    let mut client = Client::start(client_of(server.address()).args(["--listen", "--nick", "log"]).stdin(stdin));
    client.stdout().wait_for("is now log\n");
    let mut ana = server.join();
    ana.send("hello\n");
    client.stdout().wait_for("client-2> hello\n");
    server.signal(Signal::TERM);
    let exit = client.exits(0);
    assert!(exit.stdout.ends_with("* the server is shutting down\nFIN\n"), "{}", exit.stdout);
    assert_eq!(exit.stderr, "");
    assert!(server.wait(DEADLINE).success());
}

#[test]
fn the_end_of_a_listener_tells_what_happened() {
    let (client, mut server) = listener(&[]);
    server.write_all(format!("{WELCOME}FIN\n").as_bytes()).unwrap();
    client.ends(0, &format!("{WELCOME}FIN\n"), "");
    let removed = "* you were removed by the operator\nFIN\n";
    let (client, mut server) = listener(&[]);
    server.write_all(format!("{WELCOME}{removed}").as_bytes()).unwrap();
    client.ends(1, &format!("{WELCOME}{removed}"), "pollchat-client: you were removed by the operator\n");
    let (client, mut server) = listener(&[]);
    let at = server.local_addr().unwrap();
    server.write_all(WELCOME.as_bytes()).unwrap();
    drop(server);
    client.ends(1, WELCOME, &format!("pollchat-client: the server at {at} closed the connection\n"));
    // Other servers say no FIN.
    let (client, mut server) = listener(&[]);
    server.write_all(b"hello\n").unwrap();
    drop(server);
    client.ends(0, "hello\n", "");
    let (client, server) = listener(&[]);
    let at = server.local_addr().unwrap();
    drop(server);
    client.ends(1, "", &format!("pollchat-client: the server at {at} closed the connection\n"));
}

#[test]
fn a_listener_ends_quietly_with_the_reader_of_its_stdout() {
    let (mut client, mut server) = listener(&[]);
    server.write_all(WELCOME.as_bytes()).unwrap();
    client.stdout().wait_for(WELCOME);
    client.close_stdout();
    client.ends(0, "", "");
}

#[test]
fn a_stdin_that_is_open_for_writing_alone_is_an_empty_one() {
    // As `nohup` opens it.
    let null = || OpenOptions::new().write(true).open("/dev/null").unwrap();
    let (client, mut server) = conversation_with(|command| command.stdin(null()));
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "FIN\n", "");
    let (_reader, writer) = io::pipe().unwrap();
    let (client, mut server) = conversation_with(|command| command.stdin(writer));
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "FIN\n", "");
    let (client, mut server) = conversation_with(|command| command.stdin(null()).arg("--listen"));
    server.write_all(format!("{WELCOME}* the server is shutting down\nFIN\n").as_bytes()).unwrap();
    assert!(client.exits(0).stdout.ends_with("FIN\n"));
}

#[test]
fn closed_descriptors_are_empty_ones() {
    for closed in ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"] {
        let listener = listen("127.0.0.1:0");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!(r#"exec "$0" "$1" {closed}"#), env!("CARGO_BIN_EXE_pollchat-client")]);
        let mut client = Client::start(shell.arg(address(&listener).to_string()));
        let mut server = accept(&listener);
        client.end_stdin();
        assert_eq!(read_to_end(&mut server), "");
        server.write_all(b"FIN\n").unwrap();
        client.exits(0);
    }
}

#[test]
fn a_lost_connection_is_made_again_and_what_was_not_sent_is_sent_then() {
    let listener = listen("127.0.0.1:0");
    let mut client = Client::start(client_of(address(&listener)).args(["--reconnect", "--nick", "ana"]));
    let mut server = accept(&listener);
    expect(&mut server, "/nick ana\n");
    server.write_all(format!("{WELCOME}* client-1 is now ana\n").as_bytes()).unwrap();
    refuse_track(&mut server);
    client.type_in("one\n");
    expect(&mut server, "one\n");
    reset(server);
    client.stderr().wait_for("; trying again\n");
    client.type_in("two\n");
    let mut server = accept(&listener);
    // The name may still be held by the lost connection.
    for _ in 0..2 {
        expect(&mut server, "/nick ana\n");
        server.write_all(format!("{WELCOME}* the name ana is taken\n").as_bytes()).unwrap();
    }
    expect(&mut server, "/nick ana\n");
    server.write_all(b"* client-1 is now ana\n").unwrap();
    expect(&mut server, "two\n");
    client.stderr().wait_for("connected again; ");
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    let exit = client.exits(1);
    assert!(exit.stderr.ends_with(" was lost in between; 1 line may not have been said\n"), "{}", exit.stderr);
}

#[test]
fn a_line_that_was_torn_ends_the_run_and_its_rest_is_never_said() {
    let listener = listen("127.0.0.1:0");
    let mut client = Client::start(client_of(address(&listener)).arg("--reconnect"));
    let mut server = accept(&listener);
    server.write_all(WELCOME.as_bytes()).unwrap();
    refuse_track(&mut server);
    client.stdout().wait_for(WELCOME);
    let begun = "x".repeat(40 << 10);
    client.type_in(&begun);
    expect(&mut server, &begun[..16 << 10]);
    reset(server);
    let exit = client.exits(1);
    assert!(exit.stderr.ends_with(" not said\n"), "{}", exit.stderr);
}

#[test]
fn a_listener_that_reconnects_survives_a_restart_and_a_full_server() {
    let listener = listen("127.0.0.1:0");
    let mut client = Client::start(client_of(address(&listener)).args(["--reconnect", "--listen"]));
    for (index, (said, why)) in [
        (&*format!("{WELCOME}* the server is shutting down\nFIN\n"), "the server is shutting down; trying again\n"),
        ("* the server is full (3 clients)\nFIN\n", ""),
        ("", ""),
        (&format!("{WELCOME}ana> hello\n"), "connected again; what was said in these "),
    ]
    .into_iter()
    .enumerate()
    {
        let mut server = accept(&listener);
        if index == 0 {
            server.write_all(WELCOME.as_bytes()).unwrap();
            refuse_track(&mut server);
        }
        let said = if index == 0 { said.strip_prefix(WELCOME).unwrap() } else { said };
        server.write_all(said.as_bytes()).unwrap();
        client.stdout().wait_for(said);
        client.stderr().wait_for(why);
    }
    let mut server = accept(&listener);
    server.write_all(format!("{WELCOME}* you were removed by the operator\nFIN\n").as_bytes()).unwrap();
    let exit = client.exits(1);
    assert!(exit.stderr.ends_with("pollchat-client: you were removed by the operator\n"), "{}", exit.stderr);
}

#[test]
fn a_first_connection_that_fails_is_told_even_if_one_would_reconnect() {
    let told = format!("pollchat-client: cannot connect to {}: ", address_of_nobody());
    let exit = Client::start(client_of(address_of_nobody()).args(["--reconnect", "--listen"])).exits(1);
    assert!(exit.stderr.starts_with(&told), "{}", exit.stderr);
    // So is a server that is full at first.
    let (client, mut server) = listener(&["--reconnect"]);
    server.write_all(b"* the server is full (3 clients)\nFIN\n").unwrap();
    assert_eq!(client.exits(1).stderr, "pollchat-client: the server is full (3 clients)\n");
}

#[test]
fn flags_that_contradict_each_other_are_wrong_usage() {
    for args in [&["--listen", "--text"][..], &["--reconnect", "--no-reconnect"]] {
        Client::start(client_of("localhost").args(args)).exits(2);
    }
}

#[test]
fn the_end_of_stdin_ends_the_attempts_if_nothing_is_left_to_say() {
    let listener = listen("127.0.0.1:0");
    let mut client = Client::start(client_of(address(&listener)).arg("--reconnect"));
    let server = accept(&listener);
    drop(listener);
    reset(server);
    client.stderr().wait_for("; trying again\n");
    client.end_stdin();
    client.exits(0);
    // A line waits for a connection.
    let listener = listen("127.0.0.1:0");
    let mut client = Client::start(client_of(address(&listener)).arg("--reconnect"));
    reset(accept(&listener));
    client.stderr().wait_for("; trying again\n");
    client.type_in("one\n");
    client.end_stdin();
    let mut server = accept(&listener);
    assert_eq!(read_to_end(&mut server), "one\n");
    server.write_all(b"FIN\n").unwrap();
    client.exits(0);
}

#[test]
fn a_slow_stdout_gets_everything_though_stdin_ends_without_a_connection() {
    for is_read in [true, false] {
        let (reader, writer) = io::pipe().unwrap();
        let listener = listen("127.0.0.1:0");
        let mut client = Client::start(client_of(address(&listener)).arg("--reconnect").stdout(writer));
        let mut server = accept(&listener);
        drop(listener);
        // More than a pipe takes.
        let said = format!("{WELCOME}{}", numbered_lines(100_000));
        server.write_all(WELCOME.as_bytes()).unwrap();
        refuse_track(&mut server);
        server.write_all(&said.as_bytes()[WELCOME.len()..]).unwrap();
        drop(server);
        client.stderr().wait_for("; trying again\n");
        client.end_stdin();
        if is_read {
            assert!(Output::of(reader).whole() == said);
            assert!(client.exits(0).stderr.ends_with("; trying again\n"));
        } else {
            let told = client.exits(0).stderr;
            assert!(told.contains("; trying again\npollchat-client: stdout did not take the last "), "{told}");
        }
    }
}

#[test]
fn lines_that_wait_for_the_name_survive_another_lost_connection() {
    for is_taken in [false, true] {
        let listener = listen("127.0.0.1:0");
        let mut client = Client::start(client_of(address(&listener)).args(["--reconnect", "--nick", "ana"]));
        reset(accept(&listener));
        client.stderr().wait_for("; trying again\n");
        client.type_in("one\ntwo\n");
        client.end_stdin();
        for _ in 0..2 {
            let mut server = accept(&listener);
            expect(&mut server, "/nick ana\n");
            reset(server);
        }
        let mut server = accept(&listener);
        expect(&mut server, "/nick ana\n");
        if is_taken {
            server.write_all(format!("{WELCOME}* the name ana is taken\nFIN\n").as_bytes()).unwrap();
            let told = client.exits(1).stderr;
            assert!(told.ends_with("pollchat-client: the name ana is taken; 2 lines were not said\n"), "{told}");
        } else {
            server.write_all(format!("{WELCOME}* client-1 is now ana\n").as_bytes()).unwrap();
            refuse_track(&mut server);
            assert_eq!(read_to_end(&mut server), "one\ntwo\n");
            server.write_all(b"FIN\n").unwrap();
            client.exits(0);
        }
    }
}

#[test]
fn a_line_that_was_refused_counts_once_in_each_connection() {
    let listener = listen("127.0.0.1:0");
    let mut client = Client::start(client_of(address(&listener)).arg("--reconnect"));
    let nobody = "* nobody here is called bob\n";
    for (index, lines) in ["/msg bob 1\n/msg bob 2\n", "/msg bob 3\n", "a\n"].into_iter().enumerate() {
        let mut server = accept(&listener);
        server.write_all(WELCOME.as_bytes()).unwrap();
        if index == 0 {
            refuse_track(&mut server);
        }
        client.type_in(lines);
        expect(&mut server, lines);
        server.write_all(nobody.repeat(lines.matches("/msg").count()).as_bytes()).unwrap();
        server.write_all(b"ana> answered\n").unwrap();
        client.stdout().wait_for("ana> answered\n");
        client.stdout().seen.clear();
        drop(server);
    }
    let mut server = accept(&listener);
    server.write_all(WELCOME.as_bytes()).unwrap();
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    let told = client.exits(1).stderr;
    assert!(told.ends_with("; 3 lines were not said, and 1 line before may not have been\n"), "{told}");
}

#[test]
fn a_line_that_was_refused_is_told_though_stdin_ends_without_a_connection() {
    let listener = listen("127.0.0.1:0");
    let mut client = Client::start(client_of(address(&listener)).arg("--reconnect"));
    let mut server = accept(&listener);
    drop(listener);
    server.write_all(WELCOME.as_bytes()).unwrap();
    refuse_track(&mut server);
    client.type_in("/msg bob 1\n");
    expect(&mut server, "/msg bob 1\n");
    server.write_all(b"* nobody here is called bob\n").unwrap();
    drop(server);
    client.stderr().wait_for("; trying again\n");
    client.end_stdin();
    let told = client.exits(1).stderr;
    assert!(told.ends_with("pollchat-client: nobody here is called bob; 1 line was not said\n"), "{told}");
}
