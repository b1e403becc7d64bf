//! Flags, variables of the environment, and bad values of both.

use super::*;

#[test]
fn bad_flags_end_it_with_2() {
    let bad: [&[&str]; 34] = [
        &["--bogus"],
        &["stray"],
        &["--listen"],
        &["--listen", "nonsense"],
        &["--listen", "127.0.0.1"],
        &["--listen", "127.0.0.1:99999"],
        &["--listen", "localhost:"],
        &["--history", "-1"],
        &["--history", "many"],
        &["--audience", "nobody"],
        &["--announce-up-to", "x"],
        &["--backlog", "3X"],
        &["--backlog", "99999999999999999999G"],
        &["--lag", "maybe"],
        &["--max-clients", "x"],
        &["--max-line", "0x10"],
        &["--log-level", "loud"],
        // A tape that does not hold a line of the longest, no line, no client, no size.
        &["--backlog", "100"],
        &["--max-line", "1M", "--backlog", "1M"],
        &["--max-line", "0"],
        &["--max-clients", "0"],
        &["--backlog", "K"],
        &["--backlog", ""],
        &["--console=maybe"],
        &["--flush-after", "0"],
        &["--rate", "-1"],
        &["--rate", "1000001"],
        &["--rate", "5", "--burst", "0"],
        // A burst of no rate, and a patience with nobody.
        &["--burst", "5"],
        &["--stall-timeout", "5"],
        &["--stall-timeout", "0", "--lag", "wait"],
        &["--stall-timeout", "5", "--lag", "disconnect"],
        &["--idle-timeout", "soon"],
        &["--idle-timeout", "99999999999"],
    ];
    for flags in bad {
        let output = run(&Server::builder().flags(["--listen", "127.0.0.1:0"]).flags(flags));
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {error}");
        assert!(!error.is_empty(), "{flags:?}");
        assert!(output.stdout.is_empty(), "{flags:?}");
    }
}

#[test]
fn a_bad_value_in_the_environment_ends_it_with_2() {
    let output = run(&Server::builder().flags(["--listen", "127.0.0.1:0"]).env("POLLCHAT_LAG", "maybe"));
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn help_lists_all_flags() {
    let output = run(&Server::builder().flags(["--help"]));
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0));
    let flags = "listen greeting history audience announce-up-to backlog lag stall-timeout rate burst idle-timeout max-clients \
                     max-line flush-after log-level";
    for flag in flags.split(' ') {
        assert!(help.contains(&format!("--{flag} ")), "--{flag} in {help}");
        let variable = format!("POLLCHAT_{}", flag.to_uppercase().replace('-', "_"));
        assert!(help.contains(&variable), "{variable} in {help}");
    }
}

#[test]
fn sizes_may_have_a_suffix() {
    for size in ["1000000", "256K", "256k", "16M", "1G"] {
        let server = Server::quiet(&["--backlog", size]);
        let [mut a, mut b] = server.join_many();
        converse(&mut a, &mut b, 1);
    }
}

#[test]
fn each_flag_is_also_a_variable_of_the_environment() {
    let server = Server::builder()
        .env("POLLCHAT_LISTEN", "127.0.0.4:0")
        .env("POLLCHAT_GREETING", "from the environment")
        .env("POLLCHAT_HISTORY", "1")
        .env("POLLCHAT_AUDIENCE", "everyone")
        .env("POLLCHAT_ANNOUNCE_UP_TO", "0")
        .env("POLLCHAT_BACKLOG", "256K")
        .env("POLLCHAT_LAG", "disconnect")
        .env("POLLCHAT_MAX_CLIENTS", "3")
        .env("POLLCHAT_MAX_LINE", "1000")
        .env("POLLCHAT_CONSOLE", "no")
        .env("POLLCHAT_FLUSH_AFTER", "20")
        .env("POLLCHAT_LOG_LEVEL", "error")
        .go();
    assert_eq!(server.address().ip().to_string(), "127.0.0.4");
    let [mut a, mut b] = server.join_many();
    a.expect("* from the environment");
    b.expect("* from the environment");
    a.send_line("one");
    a.expect(a.says("one"));
    b.expect(a.says("one"));
    // It has never ended a line: silence does that for it.
    let mut c = Client::connect_narrow(server.address());
    c.greeted();
    c.expect_all(["* from the environment", "* 1 earlier line:", &a.says("one")]);
    let mut refused = server.connect();
    refused.expect("* the server is full (3 clients)");
    refused.expect_farewell();
    a.send_line("x".repeat(1001));
    a.expect("* line too long (over 1000 bytes): not relayed");
    // The tape is small, and who falls off its tail is disconnected.
    c.send("no newline");
    a.expect(c.says("no newline"));
    b.expect(c.says("no newline"));
    let line = "x".repeat(1000);
    for _ in 0..800 {
        a.send(format!("{line}\n").repeat(10));
        for _ in 0..10 {
            a.expect(a.says(&line));
            b.expect(a.says(&line));
        }
    }
    eventually("the third is disconnected", || a.present() == 2);
    // Connecting and leaving are not errors.
    assert_eq!(server.log(), [""; 0]);
}

#[test]
fn a_flag_goes_before_the_environment() {
    let server = Server::builder().env("POLLCHAT_MAX_LINE", "nonsense").flags(["--max-line", "10"]).go();
    let mut a = server.join();
    a.send_line("12345678901");
    a.expect("* line too long (over 10 bytes): not relayed");
}

#[test]
fn variables_of_other_programs_do_not_matter() {
    let server = Server::builder().env("RUST_LOG", "off").env("POLLCHAT", "x").env("LISTEN", "y").go();
    let a = server.join();
    server.expect_log(&[&a.name()]);
}
