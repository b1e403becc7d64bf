//! Ports that speak TLS: their flags and files, the line port and the page, and certificates that are replaced under
//! load.
//!
//! `tests/system/tls` lets other implementations of TLS talk with the server.

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::tls_client::{Certificates, TlsClient, tls_address, tls_page};
use crate::support::{Client, Lines, Member, Screen, Server, Start, ask, converse, eventually};

/// Clients that talk while certificates are replaced.
const PAIRS: usize = 4;

/// Replacements of the certificate under load.
const RELOADS: usize = 20;

/// The end of the load if the test fails meanwhile.
const LOAD_DEADLINE: Duration = Duration::from_secs(60);

fn builder(certificates: &Certificates) -> Start {
    Server::builder().flags(["--announce-up-to", "0"]).flags(certificates.both_ports())
}

/// The exit code and the output of a server that does not get as far as listening.
fn failure<T: AsRef<str>>(flags: &[T]) -> (Option<i32>, String) {
    let start = Server::builder().flags(["--listen", "127.0.0.1:0"]).flags(flags.iter().map(AsRef::as_ref));
    let output = start.command().output().expect("it can be started");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

/// Reloads the certificate, and waits until the log says that the server has done so this many times.
fn reload(server: &Server, times: usize) {
    server.signal(Signal::HUP);
    eventually("the certificate is replaced", || {
        // The first is logged at the start.
        server.log().iter().filter(|line| line.contains("TLS with the certificate")).count() > times
    });
}

#[test]
fn clients_with_tls_and_without_are_in_one_room() {
    let certificates = Certificates::new();
    let server = builder(&certificates).go();
    let (mut encrypted, mut plain) = (certificates.join(&server), server.join());
    converse(&mut encrypted, &mut plain, 20);
    let mut other = certificates.join(&server);
    converse(&mut encrypted, &mut other, 20);
    encrypted.send_line("/quit");
    assert_eq!(encrypted.rest(), "FIN\n");
}

#[test]
fn the_pin_is_told_beside_the_port() {
    let certificates = Certificates::new();
    let server = builder(&certificates).go();
    let expected = format!("listening on {} with TLS (pin {})", tls_address(&server), certificates.pin());
    assert_eq!(server.stdout()[1], expected);
    server.expect_log(&["TLS with the certificate ", "valid until 2099-01-01T00:00:00Z", &certificates.pin()]);
    assert_eq!(server.stdout()[2], format!("the page is at https://{}/", tls_page(&server)));
}

#[test]
fn a_server_with_a_line_port_over_tls_opens_no_other_by_default() {
    let certificates = Certificates::new();
    let start = Server::builder().flags(["--tls", "127.0.0.1:0"]).flags(certificates.flags());
    let mut command = start.command();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it can be started");
    let mut stdout = Screen::new(OwnedFd::from(child.stdout.take().expect("a pipe")));
    assert!(stdout.line().ends_with(&format!(" with TLS (pin {})", certificates.pin())));
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    assert_eq!(stdout.try_line(), None);
}

#[test]
fn a_browser_gets_the_page_and_joins_over_tls() {
    let certificates = Certificates::new();
    let server = builder(&certificates).go();
    let page = tls_page(&server);
    let ask_for = |head: String| {
        let mut visitor = TlsClient::connect(page, certificates.trust(&["h2", "http/1.1"])).expect("a handshake");
        assert_eq!(visitor.protocol().as_deref(), Some("http/1.1"));
        visitor.send(head);
        visitor
    };
    let answer = ask_for(format!("GET / HTTP/1.1\r\nHost: {page}\r\nConnection: close\r\n\r\n")).rest();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("</html>\n"), "{answer}");
    for (origin, expected) in [
        (format!("https://{page}"), "HTTP/1.1 101 Switching Protocols"),
        ("https://evil.example".to_owned(), "HTTP/1.1 403 Forbidden"),
    ] {
        let mut browser = ask_for(format!(
            "GET /ws HTTP/1.1\r\nHost: {page}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ));
        assert_eq!(browser.line(), format!("{expected}\r"), "{origin}");
    }
}

#[test]
fn a_browser_on_the_plain_line_port_is_sent_to_https() {
    let certificates = Certificates::new();
    let server = builder(&certificates).go();
    let mut lost = server.connect();
    lost.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let expected = format!("the page is at https://{}/", tls_page(&server));
    lost.lines_until(|line| line.contains(&expected));
}

#[test]
fn a_peer_with_another_protocol_is_refused() {
    let certificates = Certificates::new();
    let server = builder(&certificates).go();
    let (lines, page) = (tls_address(&server), tls_page(&server));
    for (address, protocols, expected) in [
        (lines, &["pollchat"][..], Some(Some("pollchat"))),
        (lines, &["h2", "pollchat"], Some(Some("pollchat"))),
        (lines, &[], Some(None)),
        (lines, &["http/1.1"], None),
        (lines, &["h2"], None),
        (page, &["http/1.1"], Some(Some("http/1.1"))),
        (page, &[], Some(None)),
        (page, &["pollchat"], None),
        (page, &["h2"], None),
    ] {
        let client = TlsClient::connect(address, certificates.trust(protocols));
        let agreed = client.as_ref().map(TlsClient::protocol);
        assert_eq!(agreed.ok(), expected.map(|protocol| protocol.map(str::to_owned)), "{address} {protocols:?}");
        if let Err(error) = client {
            assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
        }
    }
    converse(&mut certificates.join(&server), &mut server.join(), 5);
}

#[test]
fn plain_text_on_a_port_with_tls_is_answered_in_plain_words() {
    let certificates = Certificates::new();
    let server = builder(&certificates).go();
    let mut lost = Client::connect(tls_address(&server));
    lost.send("hello\n");
    lost.expect("* this port speaks TLS: goodbye");
    lost.lines_until(|line| line == "FIN");
    let mut lost = Client::connect(tls_page(&server));
    lost.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    lost.expect("HTTP/1.1 400 Bad Request\r");
}

#[test]
fn half_of_the_flags_is_a_usage_error_that_says_what_is_missing() {
    for (flags, expected) in [
        (&["--tls", "46001"][..], "error: --tls requires --tls-cert and --tls-key\n"),
        (&["--web-tls", "8443", "--tls-cert", "c"], "error: --tls-cert requires --tls-key, the file"),
        (&["--tls-cert", "c", "--tls-key", "k"], "add --tls 0.0.0.0:46001 for clients, or --web-tls 0.0.0.0:8443"),
        (&["--listen", "tls://0.0.0.0:46001"], "tls:// is encrypted: write --tls 0.0.0.0:46001"),
        (&["--web", "https://0.0.0.0"], "https:// is for browsers, and encrypted: write --web-tls 0.0.0.0:8443"),
    ] {
        let (code, error) = failure(flags);
        assert_eq!(code, Some(2), "{flags:?}: {error}");
        assert!(error.contains(expected), "{flags:?}: {error}");
    }
    let start = Server::builder().env("POLLCHAT_TLS", "127.0.0.1:0").env("POLLCHAT_TLS_CERT", "c");
    let output = start.command().output().expect("it can be started");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("--tls-cert requires --tls-key") && error.contains("POLLCHAT_TLS_CERT"), "{error}");
}

#[test]
fn a_file_of_no_use_ends_the_start_with_its_name_and_its_fault() {
    let certificates = Certificates::new();
    let [_, certificate, _, key] = certificates.flags();
    let missing = certificates.path("missing.pem");
    for (certificate, key, expected) in [
        (&missing, &key, format!("cannot use the certificate {missing}: No such file or directory (os error 2)")),
        (&certificate, &missing, format!("cannot use the key {missing}: No such file or directory (os error 2)")),
        (
            &key,
            &certificate,
            format!(
                "cannot use the certificate {key}: there is no certificate, but a private key, in it: are --tls-cert \
                 and --tls-key swapped?"
            ),
        ),
    ] {
        let (code, error) = failure(&["--tls", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key]);
        assert_eq!((code, error), (Some(1), format!("pollchat-server: {expected}\n")));
    }
}

#[test]
fn an_expired_certificate_is_served_with_a_warning() {
    let certificates = Certificates::new();
    certificates.issue_for_years(2020, 2021);
    let server = builder(&certificates).go();
    server.expect_log(&["WARN", "the certificate ", " expired at 2021-01-01T00:00:00Z"]);
    let error = TlsClient::connect(tls_address(&server), certificates.trust(&[])).err().expect("rustls checks it");
    assert!(error.to_string().contains("xpired"), "the server shows it: {error}");
}

#[test]
fn a_reload_takes_effect_for_new_handshakes_alone() {
    let certificates = Certificates::new();
    let server = builder(&certificates).go();
    let (mut ana, mut bob) = (certificates.join(&server), certificates.join(&server));
    let first = ana.certificate();
    certificates.issue();
    reload(&server, 1);
    server.expect_log(&["the pin has changed"]);
    let mut newcomer = certificates.join(&server);
    assert_ne!(newcomer.certificate(), first);
    assert_eq!(newcomer.certificate(), certificates.certificate());
    ask(&mut ana, &mut bob, "still here");
    ask(&mut bob, &mut newcomer, "still here");
}

#[test]
fn a_handshake_that_is_under_way_at_a_reload_succeeds() {
    let certificates = Certificates::new();
    let server = builder(&certificates).go();
    let old = certificates.certificate();
    certificates.issue();
    let trust = Certificates::trust_in([old, certificates.certificate()], &["pollchat"]);
    let pause = || reload(&server, 1);
    let mut client = TlsClient::connect_pausing(tls_address(&server), trust, pause).expect("a handshake");
    client.send("\n");
    client.greeted();
    ask(&mut client, &mut certificates.join(&server), "still here");
}

#[test]
fn a_reload_of_bad_files_keeps_the_old_ones_with_one_error() {
    let certificates = Certificates::new();
    let server = builder(&certificates).go();
    let (old, trust) = (certificates.certificate(), certificates.trust(&[]));
    let key = certificates.read("key.pem");
    certificates.issue();
    for (key, fault) in [(&*key, "it does not belong to the certificate"), ("", "it is empty")] {
        certificates.write("key.pem", key);
        server.signal(Signal::HUP);
        server.expect_log(&["ERROR", "cannot use the key ", fault, "goes on with all that it has read before"]);
    }
    let client = TlsClient::connect(tls_address(&server), trust).expect("a handshake with the old certificate");
    assert_eq!(client.certificate(), old);
    assert_eq!(server.log().iter().filter(|line| line.contains("ERROR")).count(), 2);
}

#[test]
fn a_reload_without_tls_changes_nothing() {
    let server = Server::quiet(&[]);
    let (mut ana, mut bob) = (server.join(), server.join());
    server.signal(Signal::HUP);
    converse(&mut ana, &mut bob, 5);
    assert!(!server.log().iter().any(|line| line.contains("ERROR") || line.contains("WARN")));
}

#[test]
fn certificates_are_replaced_under_load_and_nobody_is_dropped() {
    let certificates = Certificates::new();
    let server = builder(&certificates).go();
    let (is_over, start) = (AtomicBool::new(false), Instant::now());
    let mut pairs: Vec<_> = (0..PAIRS).map(|_| (certificates.join(&server), certificates.join(&server))).collect();
    thread::scope(|scope| {
        let talks: Vec<_> = pairs
            .iter_mut()
            .map(|(ana, bob)| {
                scope.spawn(|| {
                    let mut rounds = 0;
                    while !is_over.load(Ordering::Relaxed) && start.elapsed() < LOAD_DEADLINE {
                        // Neither misses a line of the other, among those of all pairs.
                        converse(ana, bob, 1);
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        for times in 1..=RELOADS {
            certificates.issue();
            reload(&server, times);
            assert_eq!(certificates.join(&server).certificate(), certificates.certificate());
        }
        is_over.store(true, Ordering::Relaxed);
        for talk in talks {
            assert!(talk.join().expect("no client is dropped") > 0, "it talked meanwhile");
        }
    });
    let count = |text: &str| server.log().iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("ERROR"), 0, "{:?}", server.log());
}
