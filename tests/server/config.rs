//! The file of `--config`, and `--check`, in a real process. `src/server/settings` tests how file and flags go together,
//! `src/server/cli/file.rs` what a file may hold.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use clap::{Arg, ArgAction, CommandFactory as _};
use pollchat::server::cli::Flags;

use crate::support::tls_client::Certificates;
use crate::support::{Client, Folder, Lines as _, Member as _, Server, Start};

mod reload;

/// Flags that no file has.
const COMMAND_LINE_ONLY: [&str; 4] = ["config", "check", "generate", "new-token"];

fn with(file: &str) -> Start {
    Server::builder().flags(["--announce-up-to", "0", "--config", file])
}

/// Runs a server that does not get as far as listening.
fn run<T: AsRef<str>>(flags: &[T], variables: &[(&str, &str)]) -> Output {
    let start = Server::builder().flags(flags.iter().map(AsRef::as_ref));
    start.command().envs(variables.iter().copied()).output().expect("it can be started")
}

/// The lines of `--check` that are set, by their keys.
#[track_caller]
fn checked<T: AsRef<str>>(flags: &[T], variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    let flags: Vec<&str> = flags.iter().map(AsRef::as_ref).chain(["--check"]).collect();
    let output = run(&flags, variables);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*error), (Some(0), ""));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(" = ").unwrap()).map(|(key, rest)| (key.to_owned(), rest.to_owned())).collect()
}

/// A client that has read its greeting, which is this.
#[track_caller]
fn greeted_with(server: &Server, greeting: &str) -> Client {
    let mut client = server.join();
    client.expect(format!("* {greeting}"));
    client
}

#[test]
fn a_server_does_what_its_file_says() {
    let folder = Folder::new("does");
    let file = folder.settings("\u{feff}greeting = \"be kind\"\r\nhistory = 1 # line\r\nmax-per-address = 2\r\n");
    let server = with(&file).go();
    let mut ana = server.join();
    ana.expect("* be kind");
    ana.send_line("hello");
    ana.who();
    let mut bob = server.connect();
    bob.greeted();
    bob.expect("* be kind");
    bob.lines_until(|line| line == "client-1> hello");
    let mut third = server.connect();
    third.expect("* too many connections from your address (at most 2)");
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let folder = Folder::new("wins");
    for (key, of_file, of_variable, of_flag) in [
        ("greeting", "\"f\"", ("v", "\"v\""), (&["--greeting", "x"][..], "\"x\"")),
        ("rate", "1", ("2", "2"), (&["--rate", "3"], "3")),
        ("backlog", "\"1M\"", ("2M", "\"2M\""), (&["--backlog", "3M"], "\"3M\"")),
        ("allow", "[\"::1\"]", ("::2,::3", "[\"::2\", \"::3\"]"), (&["--allow", "::4"], "[\"::4\"]")),
        ("lag", "\"disconnect\"", ("wait", "\"wait\""), (&["--lag", "skip"], "\"skip\"")),
        ("log-level", "\"warn\"", ("error", "\"error\""), (&["--log-level", "off"], "\"off\"")),
        ("console", "true", ("false", "false"), (&["--console"], "true")),
    ] {
        let file = folder.settings(format!("{key} = {of_file}\n"));
        let name = format!("POLLCHAT_{}", key.replace('-', "_").to_uppercase());
        let config = ["--config", &file];
        let of = |flags: &[&str], variables: &[(&str, &str)]| {
            checked(&[&config[..], flags].concat(), variables).get(key).cloned()
        };
        assert_eq!(checked(&[""; 0], &[]).get(key), None, "a default is a comment");
        assert_eq!(of(&[], &[]), Some(format!("{of_file}  # {file}:1")));
        assert_eq!(of(&[], &[(&name, "")]), Some(format!("{of_file}  # {file}:1")), "an empty variable is unset");
        assert_eq!(of(&[], &[(&name, of_variable.0)]), Some(format!("{}  # {name}", of_variable.1)));
        assert_eq!(of(of_flag.0, &[(&name, of_variable.0)]), Some(format!("{}  # flag", of_flag.1)));
        assert_eq!(of(of_flag.0, &[]), Some(format!("{}  # flag", of_flag.1)));
    }
    let file = folder.settings("greeting = 'x'\n");
    assert!(checked(&[""; 0], &[("POLLCHAT_CONFIG", &file)])["greeting"].ends_with(&format!("{file}:1")));
}

#[test]
fn each_broken_file_is_a_usage_error_that_names_it() {
    let folder = Folder::new("broken");
    fs::create_dir(folder.path("dir")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(folder.path("fifo")).status().expect("coreutils");
    assert!(fifo.success());
    let whole = "cannot use the configuration file FILE: ";
    for (file, fault) in [
        (folder.path("missing"), format!("{whole}No such file or directory")),
        (folder.path("dir"), format!("{whole}it is not a regular file")),
        (folder.path("fifo"), format!("{whole}it is not a regular file")),
        ("/dev/zero".into(), format!("{whole}it is not a regular file")),
        (folder.write("empty", ""), format!("{whole}it is empty")),
        (folder.write("large", "#\n".repeat(1 << 19)), format!("{whole}it is larger than 256 KiB")),
        (folder.write("toml", "rate = 5\ngreeting = be kind\n"), "FILE:2:12: ".into()),
        (folder.write("text", b"greeting = '\xff'"), "FILE:1:13: it is not UTF-8".into()),
        (folder.write("nul", b"\0\0\0\0"), "FILE:1:5: ".into()),
        (
            folder.write("key", "rate = 1\nburts = 1\n"),
            "FILE:2:1: there is no flag for the key burts (did you mean burst?)".into(),
        ),
        (folder.write("type", "rate = true\n"), "FILE:1:8: rate takes a number, or text in quotes, not true".into()),
        (folder.write("value", "\n\n  rate = 'x'\n"), "FILE:3:10: invalid value 'x' for '--rate <LINES/S>': ".into()),
        (folder.write("other", "greeting = 'x'\nburst = 5\n"), "FILE:2:1: --burst requires --rate\n".into()),
        (folder.write("config", "config = 'x'\n"), "FILE:1:1: config belongs on the command line".into()),
    ] {
        let output = run(&["--listen", "127.0.0.1:0", "--config", &file], &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{error}");
        let expected = format!("error: {}", fault.replace("FILE", &file));
        assert!(error.starts_with(&expected), "{expected}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn an_error_of_a_variable_and_a_key_together_names_both() {
    let folder = Folder::new("both");
    let file = folder.settings("max-line = '1M'\n");
    let output = run(&["--config", &file], &[("POLLCHAT_BACKLOG", "1M")]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with(&format!("error: {file}:1:1: --backlog must be from ")), "{error}");
    assert!(error.contains(" (from POLLCHAT_BACKLOG)"), "{error}");
}

/// Flags that contradict `--bus`.
const ALONE: [&str; 5] = ["journal", "journal-keep", "journal-sync", "lag", "stall-timeout"];

/// Flags that contradict those.
const SHARED: [&str; 2] = ["bus", "bus-keep"];

/// A value for each flag that has one, other than its default; all but [`ALONE`] or [`SHARED`] are a configuration.
fn sample(flag: &str, folder: &Folder, certificates: &Certificates) -> Vec<String> {
    let values: &[&str] = match flag {
        "listen" => &["127.0.0.1:0", "unix:/nonexistent/\"quoted\" # name.sock"],
        "web" | "metrics" => &["127.0.0.1:0"],
        "tls" | "web-tls" => &["127.0.0.1:0", "[::1]:0"],
        "tls-cert" => &[&certificates.path("cert.pem")],
        "tls-key" => &[&certificates.path("key.pem")],
        "web-host" => &["chat.lan", "b.lan"],
        "web-origin" => &["https://chat.example.org"],
        "web-path" => &["/chat"],
        "control" => &[&folder.path("control")],
        "greeting" => &["be \"kind\"\n\tto\u{7f} \\all ☕"],
        "audience" => &["everyone"],
        "lag" => &["wait"],
        "log-level" => &["warn"],
        "backlog" => &["1000001"],
        "room-backlog" => &["64K"],
        "max-line" => &["12K"],
        "journal-keep" => &["1G"],
        "room" => &["rust", "go"],
        "allow" => &["127.0.0.0/8", "::1"],
        "deny" => &["10.0.0.0/8"],
        "proxy-from" => &["unix", "10.0.0.1"],
        "names" => &[&folder.write("names", "# nobody\n")],
        "password-file" => &[&folder.write("password", "word\n")],
        "bans" => &[&folder.write("bans", "# nobody\n")],
        "journal" => &[&folder.path("journal")],
        "bus" => &["rediss://redis.lan:6380/chat"],
        "bus-keep" => &["1G"],
        "announce-up-to" | "history" | "rooms" | "stall-timeout" | "rate" | "burst" | "idle-timeout"
        | "resume-within" | "max-clients" | "max-per-address" | "flush-after" | "journal-sync" => &["7"],
        _ => panic!("--{flag} is new: it needs a value here"),
    };
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn each_flag_is_a_key_and_what_is_checked_reads_back_as_it_was() {
    reads_back(&SHARED);
    reads_back(&ALONE);
}

fn reads_back(left_out: &[&str]) {
    let (folder, certificates) = (Folder::new("round"), Certificates::new());
    let command = Flags::command();
    let is_tried = |flag: &&str| !COMMAND_LINE_ONLY.contains(flag) && !left_out.contains(flag);
    let settings = || command.get_arguments().filter_map(Arg::get_long).filter(is_tried);
    let mut flags: Vec<String> = Vec::new();
    for arg in command.get_arguments().filter(|arg| settings().any(|flag| arg.get_long() == Some(flag))) {
        let flag = arg.get_long().unwrap();
        match arg.get_action() {
            ArgAction::SetTrue => flags.push(format!("--{flag}")),
            _ => flags.extend(sample(flag, &folder, &certificates).iter().map(|value| format!("--{flag}={value}"))),
        }
    }
    let by_flags = checked(&flags, &[]);
    assert!(by_flags.keys().map(String::as_str).eq({
        let mut keys: Vec<&str> = settings().collect();
        keys.sort_unstable();
        keys
    }));
    let mut text = String::new();
    for (key, rest) in &by_flags {
        let value = rest.strip_suffix("  # flag").unwrap_or_else(|| panic!("{key} = {rest}"));
        text += &format!("{key} = {value}\n");
    }
    let file = folder.settings(&text);
    let by_file = checked(&["--config", &file], &[]);
    for (index, (key, rest)) in by_flags.iter().enumerate() {
        assert_eq!(by_file[key], rest.replace("  # flag", &format!("  # {file}:{}", index + 1)), "{key}");
    }
    // As it was printed, too.
    let args: Vec<&str> = flags.iter().map(String::as_str).chain(["--check"]).collect();
    let printed = run(&args, &[]);
    let file = folder.settings(printed.stdout);
    assert_eq!(checked(&["--config", &file], &[]).len(), by_flags.len());
    for path in ["journal", "control"] {
        assert!(!fs::exists(folder.path(path)).unwrap(), "nothing is created");
    }
}

#[test]
fn a_check_hides_the_password_of_the_bus_wherever_it_comes_from() {
    let (url, shown) = ("redis://ana:secret@redis.lan/chat", "\"redis://ana:…@redis.lan/chat\"");
    let folder = Folder::new("bus");
    let file = folder.settings(format!("greeting = 'a'\nbus = '{url}'\n"));
    for (flags, variables, origin) in [
        (&["--bus", url][..], &[][..], "flag".to_owned()),
        (&[], &[("POLLCHAT_BUS", url)], "POLLCHAT_BUS".to_owned()),
        (&["--config", &file], &[], format!("{file}:2")),
    ] {
        assert_eq!(checked(flags, variables)["bus"], format!("{shown}  # {origin}"));
    }
    // An error names the place, and hides it, too.
    let file = folder.settings("greeting = 'a'\nbus = 'redis://secret@redis.lan'\n");
    for (flags, variables, place) in [
        (&["--config", &file][..], &[][..], format!("{file}:2:1: --bus is no address of Redis: write user and ")),
        (&[], &[("POLLCHAT_BUS", "redis://secret@redis.lan")], "--bus is no address of Redis: ".to_owned()),
    ] {
        let output = run(flags, variables);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.starts_with(&format!("error: {place}")) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn a_check_tells_files_that_are_of_no_use_as_a_start_would() {
    let folder = Folder::new("check");
    let names = folder.write("names", "ana\n");
    let file = folder.settings(format!("names = '{names}'\n"));
    let started = run(&["--listen", "127.0.0.1:0", "--config", &file], &[]);
    let output = run(&["--config", &file, "--check"], &[]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with(&format!("pollchat-server: cannot use the names {names}: line 1: ")), "{error}");
    assert_eq!(error.as_bytes(), started.stderr);
    assert_eq!((output.status.code(), started.status.code()), (Some(1), Some(1)));
    assert!(String::from_utf8(output.stdout).unwrap().contains(&format!("names = \"{names}\"  # {file}:1\n")));
    // What contradicts itself is a usage error here, too.
    folder.settings("burst = 5");
    assert_eq!(run(&["--config", &file, "--check"], &[]).status.code(), Some(2));
    // A port that is taken is none of its business.
    let server = Server::start(&[]);
    let address = server.address().to_string();
    assert_eq!(run(&["--listen", &address, "--check"], &[]).status.code(), Some(0));
}

#[test]
fn the_file_in_the_manual_is_one() {
    let manual = include_str!("../../src/manual/operating.md");
    let block = manual.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let folder = Folder::new("manual");
    let output = run(&["--config", &folder.settings(block), "--check"], &[]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("pollchat-server: cannot use the certificate /etc/pollchat/tls/cert.pem"), "{error}");
    let keys = block.lines().filter(|line| line.contains(" = ")).count();
    let listed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(listed.lines().filter(|line| line.contains("server.toml:")).count(), keys - 1, "one is false");
}
