//! The environment variables behind the flags: an empty one counts as unset, a bad one is named, an unknown one is
//! told.

use std::os::unix::ffi::OsStrExt as _;
use std::process::Output;

use crate::support::Server;

fn run(flags: &[&str], variables: &[(&str, &str)]) -> Output {
    let start = Server::builder().flags(["--listen", "127.0.0.1:0"]).flags(flags);
    start.command().envs(variables.iter().copied()).output().expect("it can be started")
}

/// Names in the help that begin so.
fn in_help(output: &Output) -> Vec<String> {
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = help.split(|letter: char| !(letter.is_ascii_uppercase() || letter == '_'));
    words.filter(|word| word.starts_with("POLLCHAT_")).map(str::to_owned).collect()
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let names = in_help(&run(&["--help"], &[]));
    assert!(names.len() > 15, "{names:?}");
    let mut start = Server::builder()
        .listen("127.0.0.1:0")
        .flags(["--log-level", "warn"])
        .env("LISTEN_FDS", "")
        .env("LISTEN_FDS_FIRST_FD", "");
    for name in &names {
        start = start.env(name, "");
    }
    let server = start.go();
    server.join();
    assert_eq!(server.log(), [""; 0]);
    let empty: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(in_help(&run(&["--help"], &empty)), names);
    // What needs another flag does not have it.
    let output = run(&[], &[("POLLCHAT_WEB", ""), ("POLLCHAT_WEB_HOST", "chat.lan")]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_error_names_the_variable_that_the_value_came_from() {
    for (flags, variables, expected) in [
        (
            &[][..],
            &[("POLLCHAT_HISTORY", "x")][..],
            "invalid value 'x' for '--history <LINES>' (from POLLCHAT_HISTORY)",
        ),
        (&[], &[("POLLCHAT_LAG", "maybe")], "invalid value 'maybe' for '--lag <ACTION>' (from POLLCHAT_LAG)"),
        (&[], &[("POLLCHAT_ALLOW", "::1,x")], "invalid value 'x' for '--allow <CIDR>' (from POLLCHAT_ALLOW)"),
        // An empty item is a slip. Without it, `,` would open the server to all.
        (&[], &[("POLLCHAT_ALLOW", "::1,,::2")], "invalid value '' for '--allow <CIDR>' (from POLLCHAT_ALLOW)"),
        (&[], &[("POLLCHAT_ALLOW", ",")], "invalid value '' for '--allow <CIDR>' (from POLLCHAT_ALLOW)"),
        (&[], &[("POLLCHAT_CONSOLE", "perhaps")], "'--console' (from POLLCHAT_CONSOLE)"),
        (&[], &[("POLLCHAT_BURST", "5"), ("POLLCHAT_RATE", "")], "--burst requires --rate (from POLLCHAT_BURST)\n"),
        (&[], &[("POLLCHAT_WEB_HOST", "a")], "--web-host requires --web or --web-tls (from POLLCHAT_WEB_HOST)\n"),
        (&["--backlog", "1M"], &[("POLLCHAT_MAX_LINE", "1M")], "not 1048576 (from POLLCHAT_MAX_LINE)\n"),
        (&[], &[("POLLCHAT_BACKLOG", "1K"), ("POLLCHAT_RATE", "5")], "not 1024 (from POLLCHAT_BACKLOG)\n"),
        (&[], &[("POLLCHAT_WEB", "nowhere")], "'--web <ADDRESS>' (from POLLCHAT_WEB): the port is missing"),
        // The value came from the command line.
        (&["--history", "y"], &[("POLLCHAT_HISTORY", "x")], "invalid value 'y' for '--history <LINES>': "),
        (&["--history", "y"], &[("POLLCHAT_RATE", "5")], "invalid value 'y' for '--history <LINES>': "),
    ] {
        let output = run(flags, variables);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{variables:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(expected), "{variables:?}: {error}");
    }
    let start = Server::builder().flags(["--listen", "127.0.0.1:0"]);
    let no_text = std::ffi::OsStr::from_bytes(b"\xff");
    let output = start.command().env("POLLCHAT_GREETING", no_text).output().expect("it can be started");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("(from POLLCHAT_GREETING)"), "{error}");
}

#[test]
fn a_variable_that_no_flag_reads_is_told_once() {
    let start = Server::builder().env("POLLCHAT_HISTROY", "5").env("POLLCHAT_ZZZZZZ", "");
    // Those of the client, and of a service that is called pollchat.
    let known = [("POLLCHAT_NICK", "ana"), ("POLLCHAT_PORT", "tcp://10.0.0.1:46000"), ("POLLCHAT_SERVICE_HOST", "x")];
    let server = known.into_iter().fold(start, |start, (name, value)| start.env(name, value)).go();
    server.join();
    server.expect_log(&["WARN", "no flag reads POLLCHAT_HISTROY (did you mean POLLCHAT_HISTORY?), POLLCHAT_ZZZZZZ"]);
    let told = server.log().iter().filter(|line| line.contains("no flag reads")).count();
    assert_eq!(told, 1);
    assert!(!server.log().iter().any(|line| line.contains("POLLCHAT_NICK") || line.contains("_PORT")));
}
