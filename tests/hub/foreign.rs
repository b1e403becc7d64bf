//! Peers that speak another protocol: they are turned away by their first line, and the room reads none of it.

use std::time::Duration;

use pollchat::server::config::Config;
use pollchat::server::limits::{ENTER_DELAY, ENTER_TIMEOUT};

use crate::support::hub::{World, quiet};

/// What a peer sends first, and the beginning of the answer.
const HELLOS: &[(&[u8], &str)] = &[
    (b"PASS hunter2\r\nNICK b\r\nUSER a 0 * :b\r\n", "ERROR :this is a chat relay and speaks no IRC: goodbye\r\n"),
    (b"PASS :hunter2 with blanks\r\nNICK b\r\n", "ERROR :"),
    (b"NICK b\r\nUSER a 0 * :b\r\nPASS hunter2\r\n", "ERROR :"),
    (b"CAP LS 302\r\nPASS hunter2\r\n", "ERROR :"),
    (b"USER a 0 * :b\n", "ERROR :"),
    (b"\r\nNICK b\r\n", "ERROR :"),
    (b"EHLO x\r\nAUTH PLAIN hunter2\r\n", "554 this is a chat relay and speaks no SMTP: goodbye\r\n"),
    (b"HELO mail.example.org\r\n", "554 "),
    (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "* this is a chat relay and speaks no SSH: goodbye\n"),
    (b"*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n", "-ERR this is a chat relay and speaks no Redis: goodbye\r\n"),
    (b"a1 LOGIN ana hunter2\r\n", "* BYE this is a chat relay and speaks no IMAP: goodbye\r\n"),
    (b"CONNECT\nlogin:ana\npasscode:hunter2\n\n\0", "* this is a chat relay and speaks no STOMP: goodbye\n"),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nhello\r\n", "* this is a chat relay and speaks no PROXY protocol"),
    (b"OPTIONS sip:nm SIP/2.0\r\nVia: hunter2\r\n", "* this is a chat relay and speaks no SIP"),
    (b"OPTIONS rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\n", "* this is a chat relay and speaks no RTSP"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "* this is a chat relay and speaks no HTTP"),
    (b"<?xml version='1.0'?><stream:stream to='x'>", "* this is a chat relay and speaks no XMPP"),
    (b"0032git-upload-pack /p.git\0host=x\0", "* this is a chat relay and speaks no git"),
    (
        b"{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"u\",\"hunter2\"]}\n",
        "* this is a chat relay and speaks no Stratum",
    ),
    (b"<34>1 2003-10-11T22:14:15.003Z h su - - - hunter2\n", "* this is a chat relay and speaks no syslog"),
    (b"\x10\x1a\0\x04MQTT\x04\xc2\0\x3c\0\x01a\0\x03ana\0\x07hunter2", "* this is a chat relay and speaks no binary"),
    (b"\0\0\0\x29\0\x03\0\0user\0ana\0database\0ana\0\0", "* this is a chat relay and speaks no binary"),
    (b"\0\0\0\x08\x04\xd2\x16\x2f", "* this is a chat relay and speaks no binary"),
    (b"\x05\x01\0", "* this is a chat relay and speaks no binary"),
    (b"\x04\x01\0\x50\xc0\0\x02\x01ana\0", "* this is a chat relay and speaks no binary"),
    (b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0", "* this is a chat relay and speaks no binary"),
    (b"USER bob\r\nPASS hunter2\r\n", "* this is a chat relay and speaks no login protocol: goodbye"),
    (b"user bob\npass hunter2\n", "* this is a chat relay and speaks no login protocol: goodbye"),
    (b"nick b\nuser b 0 * :b\npass hunter2\n", "ERROR :"),
    (b"pass hunter2\nnick b\nuser b 0 * :b\n", "ERROR :"),
    (b"pass it\r\nnick b\r\nuser b 0 * :b\r\n", "ERROR :"),
    (b"AUTH hunter2\r\n", "-ERR "),
    (b"AUTH ana hunter2\r\n", "-ERR "),
    (b"CONNECT {\"user\":\"ana\",\"pass\":\"hunter2\"}\r\n", "* this is a chat relay and speaks no NATS"),
    (b"{\"id\":1,\"jsonrpc\":\"2.0\",\"params\":[\"hunter2\"]}\n", "* this is a chat relay and speaks no JSON-RPC"),
    (b"Action: Login\r\nUsername: ana\r\nSecret: hunter2\r\n\r\n", "* this is a chat relay and speaks no Asterisk"),
    (b"AUTHENTICATE \"hunter2\"\r\n", "* this is a chat relay and speaks no login protocol"),
    (b"init password=hunter2\n", "* this is a chat relay and speaks no WeeChat"),
    (b"set k 0 0 7\r\nhunter2\r\n", "* this is a chat relay and speaks no memcached"),
    (b"RFB 003.008\n", "* this is a chat relay and speaks no VNC"),
    (b"get / http/1.1\r\nauthorization: hunter2\r\n\r\n", "* this is a chat relay and speaks no HTTP"),
    (b"POST /login?pass=hunter2\r\n", "* this is a chat relay and speaks no HTTP"),
    (b"a1 login ana hunter2\r\n", "* BYE "),
    (b"AMQP\0\0\x09\x01", "* this is a chat relay and speaks no binary"),
    (b"8=FIX.4.2\x019=99\x01554=hunter2\x01", "* this is a chat relay and speaks no binary"),
];

/// Sends a hello in pieces of this size. Returns all that the peer was told.
fn greeted(world: &mut World, hello: &[u8], size: usize) -> (crate::support::hub::Client, String) {
    let peer = world.connect_silently();
    for piece in hello.chunks(size) {
        if !peer.is_ended() {
            world.says(&peer, piece);
        }
    }
    world.pass(ENTER_DELAY);
    world.pass(ENTER_DELAY);
    let told = peer.received();
    (peer, told)
}

#[test]
fn other_protocols_are_turned_away_before_they_enter_however_their_bytes_come() {
    for flush_after in [None, Some(Duration::from_millis(100))] {
        for &(hello, answer) in HELLOS {
            for size in [1, 2, 5, hello.len()] {
                let mut world = World::new(&Config { flush_after, ..Config::default() });
                let ana = world.connect_and_settle();
                let (peer, told) = greeted(&mut world, hello, size);
                let shown = String::from_utf8_lossy(hello);
                // An empty line lets a connection enter; then it is greeted.
                let told = told.strip_prefix("* you are client-2; /help lists what you can do").unwrap_or(&told);
                let told = told.trim_start();
                let is_over = told.ends_with("goodbye\r\nFIN\r\n") || told.ends_with("\nFIN\n");
                assert!(told.starts_with(answer) && is_over, "{shown:?} by {size}: {told:?}");
                assert!(peer.is_ended(), "{shown:?} by {size}");
                world.pass(ENTER_TIMEOUT);
                assert_eq!(ana.received(), "", "{shown:?} by {size}");
                let next = world.connect();
                world.says(&next, "/who\n");
                let number = if hello.starts_with(b"\r\n") { 3 } else { 2 };
                assert!(
                    next.received().contains(&format!("* here: client-{number}, ")),
                    "it used no number: {shown:?}"
                );
            }
        }
    }
}

#[test]
fn a_binary_signature_behind_empty_lines_is_not_said() {
    let hello = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x30\x39\xb3\xb0";
    // Behind empty lines the rest is one piece: `QUIT` alone is chat.
    let rest = &hello[7..];
    for (hello, size) in [(&hello[..], hello.len()), (hello, 12), (rest, rest.len()), (rest, 5), (rest, 1)] {
        let mut world = World::new(&Config::default());
        let ana = world.connect_and_settle();
        let (peer, told) = greeted(&mut world, hello, size);
        let told = told.replace("\r\n", "\n");
        assert!(told.ends_with("* this is a chat relay and speaks no PROXY protocol: goodbye\nFIN\n"), "{told:?}");
        assert!(peer.is_ended());
        assert_eq!(ana.received(), "");
        assert!(told.starts_with("* this is"), "it does not even enter");
    }
}

#[test]
fn a_slow_stranger_is_turned_away_too() {
    // It has entered: its first bytes came late, or its first line took too long.
    for (early, late) in [("", "PASS hunter2\r\n"), ("PASS hun", "ter2\r\n"), ("", "SSH-2.0-x\r\n"), ("", "*1\r\n")] {
        let mut world = World::new(&quiet());
        let ana = world.connect();
        let peer = world.connect_silently();
        if !early.is_empty() {
            world.says(&peer, early);
        }
        world.pass(ENTER_TIMEOUT);
        world.pass(ENTER_TIMEOUT);
        assert!(peer.received().starts_with("* you are client-2"));
        world.says(&peer, late);
        assert!(peer.is_ended() && peer.received().contains("goodbye"), "{late:?}");
        assert_eq!(ana.received(), "");
    }
    // Its line has no end.
    for hello in ["PASS hunter2", "a1 LOGIN ana hunter2", "\x05\x01x"] {
        let mut world = World::new(&Config::default());
        let ana = world.connect_and_settle();
        let peer = world.connect_silently();
        peer.sends(hello);
        peer.ends();
        world.says(&peer, "");
        assert!(peer.received().contains("goodbye"), "{hello:?}");
        world.pass(ENTER_TIMEOUT);
        assert_eq!(ana.received(), "");
    }
}

#[test]
fn chat_that_looks_like_a_protocol_is_said() {
    for line in [
        "PASS me the salt",
        "NICK is here",
        "USER error",
        "HELP",
        "PING",
        "stats",
        "* ana left",
        "helo world",
        "CAP LS is a command of IRC",
        "SSH is down",
        "PROXY is down",
        "<3",
        "{\"id\":1,\"name\":\"ping\"}",
        "nick bob",
        "pass it",
        "QUIT",
        "AUTH failed",
        "tab\there, and there",
        "caf\u{e9}",
    ] {
        for size in [1, line.len() + 1] {
            let mut world = World::new(&quiet());
            let ana = world.connect();
            let bob = world.connect_silently();
            for piece in format!("{line}\n").as_bytes().chunks(size) {
                world.says(&bob, piece);
            }
            // A line that may be the first of a login waits for the second, until the client may enter.
            world.pass(ENTER_DELAY);
            world.pass(ENTER_TIMEOUT);
            assert_eq!(ana.received(), format!("client-2> {line}\n"));
        }
    }
    // A person at a raw terminal: an arrow key, a key to erase.
    let keys = ["hello\x15hello, all", "helloo\x17hello", "hel\x03", "hello\x01\x0bhello", "hel\x0c"];
    let erased = ["hel\x1b[Dlo, all of you", "helo\x08\x08llo, all", "hello\x7f, all of you"];
    for line in keys.into_iter().chain(erased) {
        let mut world = World::new(&quiet());
        let ana = world.connect();
        let bob = world.connect_silently();
        world.says(&bob, format!("{line}\n"));
        assert!(ana.received().starts_with("client-2> hel"), "{line:?}");
    }
    // After a first line, all of it is text.
    let mut world = World::new(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&bob, "hello\nPASS hunter2\nNICK b\n*1\nCONNECT\nQUIT\n\x01\x02\x03\n");
    assert_eq!(ana.received().lines().count(), 7);
    assert!(!bob.is_ended());
}
