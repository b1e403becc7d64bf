//! Pipes before a server that asks for a password or a token: the secrets go to a server that asks for them, and to no
//! other; no line is lost at the door.

use super::*;
use crate::support::tracked_server::{Peer, TrackedServer};

const WELCOME: &str = "* you are client-1; /help lists what you can do\n";
const WANTED: &str = "* this server asks for a password: /pass WORD\n";
const WRONG: &str = "* that is not the password\n";
const OWNED: &str = "* the name ana belongs to somebody: /nick ana TOKEN\n";

/// A file with this text, for as long as the tests run.
fn file_with(text: impl AsRef<[u8]>) -> PathBuf {
    let path = temporary_path();
    fs::write(&path, text).unwrap();
    path
}

/// A client that knows the password `sesame`, and the token of `ana`.
fn knowing(server: impl Display) -> Command {
    let mut command = client_of(server);
    command.env("POLLCHAT_PASSWORD", "sesame").env("POLLCHAT_TOKEN", "pcn_x").args(["--nick", "ana"]);
    command
}

#[test]
fn the_password_opens_the_door_and_the_connection_begins_anew() {
    for (args, first, again) in [
        (&[][..], "", ""),
        (&["--room", "rust"], "/join rust\n", "* you are in rust, alone\n"),
        (&["--nick", "ana"], "/nick ana\n", "* client-1 is now ana\n"),
        (&["--nick", "ana", "--text"], "/nick ana\n", "* client-1 is now ana\n"),
    ] {
        let listener = listen("127.0.0.1:0");
        let password = file_with("two words \r\nand a comment\n");
        let mut command = client_of(address(&listener));
        let mut client = Client::start(command.arg("--password-file").arg(&password).args(args));
        client.type_in("hello\n");
        client.end_stdin();
        let mut server = accept(&listener);
        expect(&mut server, first);
        // A client that has sent nothing is asked after a moment.
        let from = Instant::now();
        wait_until("a server asks", || from.elapsed() > Duration::from_millis(100));
        // The second one answers a line that came before the password.
        server.write_all([WANTED, WANTED].concat().as_bytes()).unwrap();
        expect(&mut server, &format!("/pass two words\n{first}"));
        server.write_all([WELCOME, again].concat().as_bytes()).unwrap();
        assert_eq!(read_to_end(&mut server), "hello\n", "{args:?}");
        server.write_all(b"FIN\n").unwrap();
        client.ends(0, &format!("{WELCOME}{again}FIN\n"), "");
    }
}

#[test]
fn a_run_without_the_right_password_ends_and_is_not_tried_again() {
    for args in [&[][..], &["--reconnect"], &["--json"], &["--nick", "ana", "--reconnect"]] {
        for (password, told) in [
            ("", "asks for a password: give it with --password-file or POLLCHAT_PASSWORD"),
            ("wrong", "has another password than POLLCHAT_PASSWORD"),
        ] {
            let listener = listen("127.0.0.1:0");
            let at = address(&listener);
            let client = Client::start_with(client_of(at).env("POLLCHAT_PASSWORD", password).args(args), "hello\n");
            let mut server = accept(&listener);
            server.write_all(WANTED.as_bytes()).unwrap();
            if !password.is_empty() {
                let heard = if args.contains(&"ana") { "/nick ana\n/pass wrong\n" } else { "/pass wrong\n" };
                expect(&mut server, heard);
                server.write_all([WRONG, WANTED].concat().as_bytes()).unwrap();
            }
            let told = format!("pollchat-client: the server at {at} {told}; 1 line was not said\n");
            client.ends(1, "", &told);
        }
    }
    let (client, mut server) = conversation_with(|command| command.args(["--send", "hello"]));
    server.write_all(WANTED.as_bytes()).unwrap();
    assert!(client.exits(1).stderr.contains("asks for a password: give it with --password-file or"));
}

#[test]
fn a_crowded_or_closed_door_is_told_in_the_words_of_the_server() {
    for words in [
        "that is not the password either: goodbye",
        "too many wrong passwords from your address: wait a minute",
        "you have not given the password: goodbye",
    ] {
        let listener = listen("127.0.0.1:0");
        let client = Client::start_with(knowing(address(&listener)).arg("--reconnect"), "a\nb\n");
        let mut server = accept(&listener);
        server.write_all(WANTED.as_bytes()).unwrap();
        expect(&mut server, "/nick ana\n/pass sesame\n");
        server.write_all(format!("* {words}\nFIN\n").as_bytes()).unwrap();
        client.ends(1, &format!("* {words}\nFIN\n"), &format!("pollchat-client: {words}; 2 lines were not said\n"));
    }
}

#[test]
fn a_server_that_does_not_ask_is_sent_no_secret() {
    // It never says anything.
    let listener = listen("127.0.0.1:0");
    let silent = Client::start_with(&mut knowing(address(&listener)), "hello\n");
    let mut server = accept(&listener);
    assert_eq!(read_to_end(&mut server), "/nick ana\nhello\n");
    drop((server, silent));
    // It asks too late, as the greeting of an operator, or not in these words.
    for (greeting, heard) in [
        ([WELCOME, WANTED, "* client-1 is now ana\n"].concat(), "hello\n"),
        ([WELCOME, "* the name ana is taken\n"].concat(), ""),
        (["hello\n", WANTED].concat(), "hello\n"),
        ("* this server asks for a password\n".to_owned(), "hello\n"),
        ([OWNED, "what?\n"].concat(), ""),
    ] {
        let listener = listen("127.0.0.1:0");
        let client = Client::start_with(&mut knowing(address(&listener)), "hello\n");
        let mut server = accept(&listener);
        expect(&mut server, "/nick ana\n");
        server.write_all(greeting.as_bytes()).unwrap();
        assert_eq!(read_to_end(&mut server), heard, "{greeting}");
        drop((server, client));
    }
}

/// Asks a client with a session for the password, which it gives.
#[track_caller]
fn ask(peer: &mut Peer, first: &str) {
    assert_eq!(peer.line(), first);
    peer.say(WANTED);
    assert_eq!(peer.line(), "/pass sesame");
}

#[test]
fn a_restarted_server_that_asks_again_has_each_line_once() {
    let mut server = TrackedServer::start();
    let mut client = Client::start(client_of(server.address()).env("POLLCHAT_PASSWORD", "sesame").args([
        "--nick",
        "ana",
        "--reconnect",
    ]));
    client.type_in("one\n");
    let mut peer = server.accept();
    ask(&mut peer, "/nick ana");
    assert_eq!(peer.line(), "/nick ana");
    peer.greet();
    peer.say("* client-1 is now ana\n");
    server.name = "ana".to_owned();
    server.begin(&mut peer);
    assert_eq!(server.take_said(&mut peer), "one");
    client.type_in("two\n");
    // It is not taken.
    assert_eq!(peer.line(), "two");
    peer.reset();
    server.restart("b2", "client-9");
    let mut peer = server.accept();
    client.type_in("three\n");
    ask(&mut peer, "/track e7f3.1 c0ffee");
    server.read_on(&mut peer, "e7f3.1", 0);
    server.rename(&mut peer);
    for line in ["two", "three"] {
        assert_eq!(server.take_said(&mut peer), line);
    }
    client.end_stdin();
    server.end(peer);
    let exit = client.exits(0);
    assert!(!exit.stdout.contains("password") && !exit.stdout.contains("missed"), "{}", exit.stdout);
    assert!(exit.stderr.ends_with("; trying again\npollchat-client: connected again\n"), "{}", exit.stderr);
}

/// A tracked client that has shown its token.
fn owner(args: &[&str]) -> (Client, TrackedServer, Peer) {
    let mut server = TrackedServer::start();
    let token = file_with("pcn_x\n");
    let mut command = client_of(server.address());
    let client = Client::start(command.args(["--nick", "ana", "--token-file"]).arg(&token).args(args));
    let mut peer = server.accept();
    assert_eq!(peer.line(), "/nick ana");
    peer.greet();
    peer.say(OWNED);
    assert_eq!(peer.line(), "/nick ana pcn_x");
    peer.say("* client-1 is now ana\n");
    server.name = "ana".to_owned();
    server.begin(&mut peer);
    (client, server, peer)
}

#[test]
fn a_token_is_shown_once_it_was_asked_for_and_again_after_a_restart() {
    let (mut client, mut server, mut peer) = owner(&["--reconnect"]);
    server.record(&mut peer, "eve> hi");
    client.stdout().wait_for("hi");
    peer.reset();
    server.restart("b2", "client-9");
    let mut peer = server.accept();
    server.read_on(&mut peer, "e7f3.1", 0);
    assert_eq!(server.take(&mut peer), "/nick ana pcn_x");
    peer.say("** client-9 is now ana\n");
    server.name = "ana".to_owned();
    client.type_in("one\n");
    assert_eq!(server.take_said(&mut peer), "one");
    client.end_stdin();
    server.end(peer);
    let exit = client.exits(0);
    assert!(!exit.stdout.contains("pcn_") && !exit.stderr.contains("pcn_"), "{}{}", exit.stdout, exit.stderr);
}

#[test]
fn a_name_that_its_owner_has_taken_with_another_connection_is_not_asked_for_again() {
    let (client, mut server, mut peer) = owner(&["--reconnect"]);
    server.record(&mut peer, "* ana is now client-1");
    peer.say("** you are here a second time: this one is client-1 now\n");
    assert_eq!(server.take(&mut peer), "FIN");
    // Also if the end is none in good order.
    peer.reset();
    let told = "pollchat-client: you are here a second time: this one is client-1 now\n";
    assert_eq!(client.exits(1).stderr, told);
}

#[test]
fn a_name_that_was_taken_while_the_client_was_away_is_not_asked_for_either() {
    let (client, mut server, peer) = owner(&["--reconnect"]);
    peer.reset();
    server.name = "client-1".to_owned();
    server.log.push("* ana is now client-1".to_owned());
    let mut peer = server.accept();
    server.resume(&mut peer);
    server.end(peer);
    let exit = client.exits(1);
    assert!(exit.stderr.ends_with("you are here a second time: this one is client-1 now\n"), "{}", exit.stderr);
}

#[test]
fn a_name_that_belongs_to_somebody_ends_the_run() {
    let owned = "the name ana belongs to somebody: give its token with --token-file or POLLCHAT_TOKEN";
    for args in [&[][..], &["--reconnect"], &["--json"]] {
        for (token, notice, told) in [
            ("", OWNED, owned),
            (
                "",
                "* ana looks like anna, which belongs to somebody\n",
                "ana looks like anna, which belongs to somebody",
            ),
            ("pcn_x", "* that is not the token of ana\n", "that is not the token of ana: look into POLLCHAT_TOKEN"),
        ] {
            let listener = listen("127.0.0.1:0");
            let mut command = client_of(address(&listener));
            let client =
                Client::start_with(command.env("POLLCHAT_TOKEN", token).args(["--nick", "ana"]).args(args), "hello\n");
            let mut server = accept(&listener);
            expect(&mut server, "/nick ana\n");
            server.write_all(WELCOME.as_bytes()).unwrap();
            if !token.is_empty() {
                server.write_all(OWNED.as_bytes()).unwrap();
                expect(&mut server, "/nick ana pcn_x\n");
            }
            server.write_all(notice.as_bytes()).unwrap();
            assert_eq!(read_to_end(&mut server), "", "{args:?}");
            server.write_all(b"FIN\n").unwrap();
            let told = format!("pollchat-client: {told}; 1 line was not said\n");
            assert_eq!(client.exits(1).stderr, told, "{args:?}");
        }
    }
}

#[test]
fn a_token_that_is_not_needed_is_not_shown_again() {
    let listener = listen("127.0.0.1:0");
    let client = Client::start_with(&mut knowing(address(&listener)), "hello\n");
    let mut server = accept(&listener);
    expect(&mut server, "/nick ana\n");
    server.write_all(WANTED.as_bytes()).unwrap();
    expect(&mut server, "/pass sesame\n/nick ana pcn_x\n");
    server.write_all([WELCOME, "* ana belongs to nobody: /nick ana\n"].concat().as_bytes()).unwrap();
    expect(&mut server, "/nick ana\n");
    server.write_all(b"* client-1 is now ana\n").unwrap();
    assert_eq!(read_to_end(&mut server), "hello\n");
    server.write_all(b"FIN\n").unwrap();
    client.exits(0);
}

#[test]
fn a_secret_that_cannot_be_used_ends_the_run_before_the_connect() {
    let at = address_of_nobody();
    let long = "x".repeat(1025);
    for (text, why) in [
        ("", "its first line is empty"),
        ("\nsesame\n", "its first line is empty"),
        ("ses\0ame", "it has a control character"),
        (long.as_str(), "its first line is over 1 KiB"),
    ] {
        let path = file_with(text);
        let told = format!("file {}: {why}\n", path.display());
        let mut with_password = client_of(at);
        let client = Client::start(with_password.arg("--password-file").arg(&path));
        client.ends(1, "", &format!("pollchat-client: cannot use the password {told}"));
        let mut with_token = client_of(at);
        let client = Client::start(with_token.args(["--nick", "ana", "--token-file"]).arg(&path));
        client.ends(1, "", &format!("pollchat-client: cannot use the token {told}"));
    }
    let mut missing = client_of(at);
    let exit = Client::start(missing.args(["--password-file", "/nowhere/at/all"])).exits(1);
    let told =
        "pollchat-client: cannot use the password file /nowhere/at/all: No such file or directory (os error 2)\n";
    assert_eq!(exit.stderr, told);
    let mut two_lines = client_of(at);
    let client = Client::start(two_lines.env("POLLCHAT_TOKEN", "ana token sha256:00").args(["--nick", "ana"]));
    let told = "a token is one word, the first line of `pollchat-server --new-token`\n";
    client.ends(1, "", &format!("pollchat-client: cannot use POLLCHAT_TOKEN: {told}"));
}

#[test]
fn secrets_that_contradict_are_wrong_usage_and_no_message_shows_them() {
    for (args, variable, told) in [
        (&["--password-file", "x"][..], "POLLCHAT_PASSWORD", "give --password-file or POLLCHAT_PASSWORD, not both"),
        (&["--nick", "ana", "--token-file", "x"], "POLLCHAT_TOKEN", "give --token-file or POLLCHAT_TOKEN, not both"),
        (&[], "POLLCHAT_TOKEN", "--token-file and POLLCHAT_TOKEN require --nick"),
        (&["--history", "5"], "POLLCHAT_PASSWORD", "unexpected argument '--history'"),
    ] {
        let mut command = client_of(address_of_nobody());
        let exit = Client::start(command.env(variable, "hidden").args(args)).exits(2);
        assert!(exit.stderr.contains(told) && !exit.stderr.contains("hidden"), "{}", exit.stderr);
    }
    let help = Client::start(knowing(address_of_nobody()).arg("--help")).exits(0);
    assert!(help.stdout.contains("POLLCHAT_TOKEN") && !help.stdout.contains("pcn_x"), "{}", help.stdout);
    assert!(!help.stdout.contains("sesame") && help.stderr.is_empty());
}
