//! Browsers that do their worst, and those who must not suffer from it.

use std::io::{ErrorKind, Write};
use std::thread;
use std::time::Duration;

use crate::support::http::WebServer;
use crate::support::ws::{Frame, Length, opcode};
use crate::support::ws_client::Event;
use crate::support::{Client, Lines, Member, converse, eventually};

/// A close of a browser with this code, for what it has sent; and nobody else notices.
#[track_caller]
fn assert_fails(server: &WebServer, bytes: &[u8], code: u16) {
    let mut browser = server.browser();
    browser.wire.push(bytes);
    match browser.next() {
        Event::Close(given, _) => assert_eq!(given, Some(code), "{:x?}", &bytes[..bytes.len().min(40)]),
        event => panic!("{event:?} for {:x?}", &bytes[..bytes.len().min(40)]),
    }
    assert_eq!(browser.next(), Event::End);
}

#[test]
fn what_the_protocol_does_not_allow_ends_the_connection_with_1002() {
    let server = WebServer::quiet(&[]);
    let mut ana = server.join();
    let frames: Vec<Vec<Frame>> = vec![
        vec![Frame::text("unmasked").unmasked()],
        vec![Frame::text("").unmasked()],
        vec![Frame::ping("unmasked").unmasked()],
        vec![Frame::close(Some(1000)).unmasked()],
        vec![Frame::text("rsv1").rsv(4)],
        vec![Frame::text("rsv2").rsv(2)],
        vec![Frame::text("rsv3").rsv(1)],
        vec![Frame::ping("rsv1").rsv(4)],
        vec![Frame::new(3, "opcode")],
        vec![Frame::new(7, "opcode")],
        vec![Frame::new(11, "opcode")],
        vec![Frame::new(15, "opcode")],
        vec![Frame::ping("fragmented").unfinished()],
        vec![Frame::close(Some(1000)).unfinished()],
        vec![Frame::ping([b'x'; 126])],
        vec![Frame::pong([b'x'; 126])],
        vec![Frame::close_because(Some(1000), [b'x'; 124])],
        vec![Frame::new(opcode::CLOSE, "x")],
        vec![Frame::close(Some(0))],
        vec![Frame::close(Some(1005))],
        vec![Frame::close(Some(1006))],
        vec![Frame::close(Some(1015))],
        vec![Frame::close(Some(2999))],
        vec![Frame::close(Some(5000))],
        vec![Frame::continuation("of nothing")],
        vec![Frame::continuation("of nothing").unfinished()],
        vec![Frame::text("one").unfinished(), Frame::text("two")],
        vec![Frame::text("one").unfinished(), Frame::text("two").unfinished()],
        vec![Frame::text("one").unfinished(), Frame::continuation("two").rsv(4)],
        // An extension that was offered was not agreed upon.
        vec![Frame::text([0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]).rsv(4)],
    ];
    for frames in frames {
        assert_fails(&server, &frames.iter().flat_map(Frame::encode).collect::<Vec<u8>>(), 1002);
    }
    // Text on a wire that was upgraded is a frame with reserved bits, or one without a mask.
    assert_fails(&server, b"hello there\n", 1002);
    assert_fails(&server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 1002);
    let mut bob = server.join();
    bob.send_line("the first thing that is said");
    ana.expect(bob.says("the first thing that is said"));
}

#[test]
fn what_is_no_text_ends_the_connection_with_its_own_code() {
    let server = WebServer::quiet(&[]);
    let mut ana = server.join();
    let encoded = |frames: &[Frame]| frames.iter().flat_map(Frame::encode).collect::<Vec<u8>>();
    for frames in [
        &[Frame::new(opcode::BINARY, "hello")][..],
        &[Frame::new(opcode::BINARY, "")],
        &[Frame::new(opcode::BINARY, "hello").unfinished()],
    ] {
        assert_fails(&server, &encoded(frames), 1003);
    }
    for text in [&b"\xff"[..], b"abc\x80", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"line\n\xfe\n"]
    {
        assert_fails(&server, &encoded(&[Frame::text(text)]), 1007);
        let (first, rest) = text.split_at(text.len() / 2);
        assert_fails(&server, &encoded(&[Frame::text(first).unfinished(), Frame::continuation(rest)]), 1007);
    }
    assert_fails(&server, &encoded(&[Frame::close_because(Some(1000), b"\xff")]), 1007);
    assert_eq!(ana.who().len(), 2, "nothing of it is heard, not even its first line");
}

#[test]
fn what_came_before_a_mistake_is_heard() {
    let server = WebServer::quiet(&[]);
    let mut ana = server.join();
    let mut cia = server.browser();
    cia.wire
        .send([Frame::text("a good line").encode(), Frame::new(3, "").encode(), Frame::text("late").encode()].concat());
    ana.expect(cia.says("a good line"));
    cia.expect_close(1002);
    assert_eq!(ana.who().len(), 2);
}

#[test]
fn the_log_takes_nothing_that_a_terminal_would_obey_however_much_it_tells() {
    let server = WebServer::start(&["--log-level", "trace"]);
    let mut cia = server.browser();
    cia.say("a \x1b[31mred\x07 line\r\n2026-11-21T00:00:00Z INFO an entry that looks like ours");
    cia.send(&Frame::close_because(Some(1000), "\x1b[2J"));
    cia.expect_close(1000);
    server.expect_log(&["left (closed its page"]);
    for line in server.log() {
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        assert!(!line.starts_with("2026-11-21T00:00:00Z"), "{line}");
    }
}

#[test]
fn a_flood_of_pings_whose_pongs_nobody_reads_is_bounded_and_harms_nobody() {
    let server = WebServer::quiet(&[]);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    converse(&mut a, &mut b, 10);
    let before = server.resident_bytes();
    let flooder = server.browser_narrow();
    let pings = Frame::ping([b'p'; 125]).encode().repeat(500);
    let mut stream = flooder.wire.stream().try_clone().expect("a second descriptor");
    stream.set_write_timeout(Some(Duration::from_millis(200))).expect("connected");
    let flood = thread::spawn(move || {
        let mut sent = 0_usize;
        // Until it is held back, let go, or has sent far more than anybody holds for it.
        while sent < 100 << 20 {
            match stream.write(&pings[sent % pings.len()..]) {
                Ok(bytes) => sent += bytes,
                Err(error) => return (sent, Some(error.kind())),
            }
        }
        (sent, None)
    });
    converse(&mut a, &mut b, 300);
    let (sent, end) = flood.join().expect("it does not panic");
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} bytes more, after {sent} of pings ({end:?})");
    converse(&mut a, &mut b, 10);
    drop(flooder);
    eventually("it is gone", || a.present() == 2);
}

#[test]
fn all_pings_are_answered_to_one_who_reads() {
    let server = WebServer::quiet(&[]);
    let mut cia = server.browser();
    let count = 3_000_u32;
    let pings: Vec<u8> = (0..count).flat_map(|number| Frame::ping(number.to_be_bytes()).encode()).collect();
    let mut stream = cia.wire.stream().try_clone().expect("a second descriptor");
    thread::scope(|scope| {
        scope.spawn(move || stream.write_all(&pings).expect("they are taken"));
        for number in 0..count {
            cia.expect_pong(number.to_be_bytes());
        }
    });
}

#[test]
fn fragments_without_end_are_bounded() {
    let server = WebServer::quiet(&[]);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    let before = server.resident_bytes();
    // Of no bytes: never too big, never over.
    let mut empty = server.browser();
    empty.send(&Frame::text("").unfinished());
    empty.wire.push(Frame::continuation("").unfinished().encode().repeat(200_000));
    // Of a byte each: too big some time.
    let mut tiny = server.browser();
    tiny.send(&Frame::text("x").unfinished());
    tiny.wire.push(Frame::continuation("x").unfinished().encode().repeat(70_000));
    tiny.expect_close(1009);
    converse(&mut a, &mut b, 10);
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} bytes more");
    empty.send(&Frame::continuation("the end"));
    a.expect(empty.says("the end"));
}

#[test]
fn a_frame_that_never_ends_costs_what_a_message_may_and_disturbs_nobody() {
    let server = WebServer::quiet(&[]);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    let before = server.resident_bytes();
    let halves: Vec<_> = (0..20)
        .map(|_| {
            let mut browser = server.browser();
            browser.send(&Frame::text("x".repeat(60_000)).length_as(Length::Claimed(65_536)));
            browser
        })
        .collect();
    converse(&mut a, &mut b, 50);
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 20 * 2 * 65_536 + (1 << 20), "{grown} bytes more");
    drop(halves);
    eventually("they are gone", || a.present() == 2);
    let left = server.resident_bytes().saturating_sub(before);
    assert!(left < 2 << 20, "{left} bytes left");
}

#[test]
fn tiny_frames_of_many_browsers_let_everybody_else_talk() {
    let server = WebServer::quiet(&[]);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let browser = server.browser();
            let mut stream = browser.wire.stream().try_clone().expect("a second descriptor");
            let frames = Frame::text("").encode().repeat(10_000);
            let thread = thread::spawn(move || {
                // Until its browser is dropped.
                loop {
                    match stream.write_all(&frames) {
                        Ok(()) => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(_) => return,
                    }
                }
            });
            (browser, thread)
        })
        .collect();
    converse(&mut a, &mut b, 25);
    for (browser, thread) in floods {
        browser.wire.stream().shutdown(std::net::Shutdown::Both).expect("connected");
        thread.join().expect("it does not panic");
    }
    eventually("they are gone", || a.present() == 2);
}

#[test]
fn random_bytes_end_a_browser_and_nothing_else() {
    let server = WebServer::quiet(&[]);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    // Xorshift: any bytes will do, but the same each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..200 {
        let mut browser = server.browser();
        let length = random() % 300;
        let bytes: Vec<u8> = (0..length).map(|_| random().to_le_bytes()[0]).collect();
        browser.wire.push(bytes);
        browser.wire.half_close();
        assert!(browser.wire.ends());
    }
    let mut cia = server.join();
    cia.send_line("after all that");
    // What was text by chance may have been said.
    a.lines_until(|line| line == cia.says("after all that"));
    b.lines_until(|line| line == cia.says("after all that"));
    assert_eq!(a.present(), 3);
}
