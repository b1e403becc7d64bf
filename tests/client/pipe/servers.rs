//! Addresses, names, flags and usage.

use super::*;

#[test]
fn nobody_listening_is_told_with_the_address() {
    let nobody = address_of_nobody();
    let told = format!("pollchat-client: cannot connect to {nobody}: Connection refused (os error 111)\n");
    Client::start(&mut client_of(nobody)).ends(1, "", &told);
}

#[test]
fn a_closed_stderr_is_no_reason_to_panic() {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#""$0" "$1" 2>&-; echo "exit $?""#, env!("CARGO_BIN_EXE_pollchat-client")]);
    Client::start(shell.arg(address_of_nobody().to_string())).ends(0, "exit 1\n", "");
    let (broken, stderr) = io::pipe().unwrap();
    drop(broken);
    Client::start(client_of(address_of_nobody()).stderr(stderr)).ends(1, "", "");
}

#[test]
fn a_name_that_does_not_resolve_is_told() {
    // No name server is asked about a name with an empty part.
    let exit = Client::start(&mut client_of("a..b")).exits(1);
    assert!(exit.stderr.starts_with("pollchat-client: cannot connect to a..b:46000: "), "{}", exit.stderr);
    assert_eq!(exit.stderr.lines().count(), 1, "{}", exit.stderr);
}

#[test]
fn a_name_is_resolved() {
    // Where `localhost` is ::1 first, there is nobody at that address, and the next one is tried.
    let listener = listen("127.0.0.1:0");
    let client = Client::start(client_of(format!("localhost:{}", address(&listener).port())).stdin(Stdio::null()));
    let mut server = accept(&listener);
    assert_eq!(read_to_end(&mut server), "");
    drop(server);
    client.ends(0, "", "");
}

#[test]
fn a_server_with_an_ipv6_address_is_talked_to() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return; // A machine without IPv6 cannot tell.
    };
    let mut client = Client::start(&mut client_of(address(&listener)));
    let mut server = accept(&listener);
    client.type_in("hello\n");
    expect(&mut server, "hello\n");
    reset(server);
    assert!(client.exits(1).stderr.starts_with("pollchat-client: the connection to [::1]:"));
}

#[test]
fn a_nick_is_asked_for_before_anything_is_said() {
    for in_environment in [false, true] {
        let (mut client, mut server) = conversation_with(|command| {
            if in_environment { command.env("POLLCHAT_NICK", "Zoë") } else { command.args(["--nick", "Zoë"]) }
        });
        client.type_in("hello\n");
        client.end_stdin();
        assert_eq!(read_to_end(&mut server), "/nick Zoë\nhello\n");
        drop(server);
        client.ends(0, "", "");
    }
}

#[test]
fn wrong_usage_is_told_before_anybody_is_called() {
    let wrong: [&[&str]; 10] = [
        &["localhost:0"],
        &["localhost:65536"],
        &["localhost:http"],
        &["*:46000"],
        &["http://localhost:8080/"],
        &["[::1"],
        &["a", "b"],
        &["--nick", "two words"],
        &["--nick", "server"],
        &["--no-such-flag"],
    ];
    for args in wrong {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-client"));
        let exit = Client::start(piped(&mut command).args(args)).exits(2);
        assert!(exit.stderr.starts_with("error: ") && exit.stdout.is_empty(), "{args:?}: {}", exit.stderr);
    }
    let exit = Client::start(client_of("localhost").env("POLLCHAT_NICK", "client-7")).exits(2);
    assert!(exit.stderr.contains("that name is taken"), "{}", exit.stderr);
    assert!(exit.stderr.contains("'--nick <NAME>' (from POLLCHAT_NICK)"), "{}", exit.stderr);
}

#[test]
fn an_empty_variable_counts_as_unset_and_an_unknown_one_is_told() {
    let nobody = address_of_nobody();
    let told = format!("pollchat-client: cannot connect to {nobody}: Connection refused (os error 111)\n");
    // The address may come in two words.
    let client = |name, value| {
        let mut command = client_of(nobody.ip());
        command.arg(nobody.port().to_string()).env(name, value);
        command
    };
    Client::start(&mut client("POLLCHAT_NICK", "")).ends(1, "", &told);
    Client::start(&mut client("POLLCHAT_HISTORY", "a flag of the server")).ends(1, "", &told);
    let warning = "pollchat-client: no flag reads POLLCHAT_NIK (did you mean POLLCHAT_NICK?)\n";
    Client::start(&mut client("POLLCHAT_NIK", "ana")).ends(1, "", &format!("{warning}{told}"));
}

#[test]
fn help_tells_the_exit_codes() {
    let exit = Client::start(client_of("localhost").arg("--help")).exits(0);
    for told in [
        "[HOST[:PORT][/ROOM]]",
        "--room <NAME>",
        "127.0.0.1:46000",
        "--nick <NAME>",
        "POLLCHAT_NICK",
        "Exit codes:",
        "  2  wrong usage",
    ] {
        assert!(exit.stdout.contains(told), "{told} is not in:\n{}", exit.stdout);
    }
}
