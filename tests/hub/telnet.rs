//! Telnet and CRLF: commands are no text, and clients that use CRLF are sent CRLF.

use pollchat::server::config::Config;
use pollchat::server::limits::ENTER_DELAY;

use crate::support::hub::{READABLE, World, quiet};

#[test]
fn a_telnet_client_that_only_negotiated_enters_as_if_silent() {
    let mut world = World::new(&quiet());
    let client = world.connect_silently();
    world.says(&client, b"\xff\xfb\x1f\xff\xfd");
    world.pass(ENTER_DELAY);
    let received = String::from_utf8_lossy(&client.received_bytes()).into_owned();
    assert!(received.ends_with("do\r\n"));
}

#[test]
fn a_command_behind_padding_is_obeyed() {
    for before in [&b"\xff\xfb\x1f"[..], b"\0\0", b"\xef\xbb\xbf", b"\0\xef\xbb\xbf\0"] {
        let mut world = World::new(&quiet());
        let (ana, bob) = (world.connect(), world.connect());
        world.says(&ana, [before, b"/nick ana\nhello\r\0"].concat());
        assert!(bob.received().ends_with("ana> hello\n"), "{before:?}");
        world.says(&ana, [before, b"FIN\r\0"].concat());
        assert!(String::from_utf8_lossy(&ana.received_bytes()).ends_with("FIN\r\n") && ana.is_ended(), "{before:?}");
    }
}

#[test]
fn a_client_that_uses_crlf_is_sent_crlf_and_no_other() {
    let mut world = World::new(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    for end in ["\r\n", "\r\0", "\r"] {
        world.says(&ana, format!("hello{end}"));
        assert!(bob.received().ends_with("client-1> hello\n"), "{end:?}");
        world.says(&bob, "hi\n");
        assert!(ana.received().ends_with("client-2> hi\r\n"), "{end:?}");
    }
}

#[test]
fn where_there_are_many_a_client_that_uses_crlf_gets_a_share_at_a_time_and_all_in_the_end() {
    let mut world = World::new(&Config { history_lines: u64::MAX, ..quiet() });
    let ana = world.connect();
    world.says(&ana, format!("{}\n", "x".repeat(99)).repeat(700));
    let _others: Vec<_> = (0..511).map(|_| world.connect_silently()).collect();
    world.run_on();
    let client = world.connect_silently();
    client.sends("\r\n");
    world.hub.on_ready(client.key, READABLE);
    world.turn();
    let shown = client.received_bytes().len();
    assert!((16 * 1024..18 * 1024).contains(&shown), "{shown} bytes were written in a turn");
    world.run();
    let rest = client.received_bytes();
    assert!(rest.ends_with(b"x\r\n") && shown + rest.len() > 70_000, "in the end it has all of it");
}
