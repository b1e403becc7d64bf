//! Messages: what is a line in them, how long they may be, and in which pieces they may come.

use crate::support::http::WebServer;
use crate::support::ws::{Frame, Length};
use crate::support::ws_client::{Browser, FRAME_BYTES_MAX};
use crate::support::{Client, Lines, Member, numbered};

/// The longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

fn pair(server: &WebServer) -> (Client, Browser) {
    (server.join(), server.browser())
}

#[test]
fn the_end_of_a_message_ends_a_line_and_so_does_each_newline() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut cia) = pair(&server);
    for (said, lines) in [
        ("plain", &["plain"][..]),
        ("with LF\n", &["with LF"]),
        ("with CRLF\r\n", &["with CRLF"]),
        ("one\ntwo\r\nthree", &["one", "two", "three"]),
        ("four\n\n\nfive\n\r\n", &["four", "five"]),
        ("\n\nsix", &["six"]),
        (" spaces ", &[" spaces "]),
        ("ends with CR\r", &["ends with CR"]),
    ] {
        cia.say(said);
        ana.expect_all(lines.iter().map(|line| cia.says(line)));
    }
    for nothing in ["", "\n", "\r\n", "\n\n\n"] {
        cia.say(nothing);
    }
    cia.say("done");
    ana.expect(cia.says("done"));
}

#[test]
fn a_line_never_goes_on_in_the_next_message() {
    let server = WebServer::quiet(&["--flush-after", "60000"]);
    let (mut ana, mut cia) = pair(&server);
    cia.wire
        .send([Frame::text("half").encode(), Frame::text("whole\nhal").encode(), Frame::text("f").encode()].concat());
    ana.expect_all(["half", "whole", "hal", "f"].map(|text| cia.says(text)));
}

#[test]
fn a_message_may_come_in_fragments_with_pings_between_them() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut cia) = pair(&server);
    let text = "sch\u{f6}n \u{1f600}\nzwei";
    for size in 1..=text.len() {
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        let mut bytes = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            let frame = if number == 0 { Frame::text(*piece) } else { Frame::continuation(*piece) };
            bytes.extend(Frame { fin: number + 1 == pieces.len(), ..frame }.encode());
            bytes.extend(Frame::ping([u8::try_from(number).unwrap()]).encode());
        }
        cia.wire.send(bytes);
        for number in 0..pieces.len() {
            cia.expect_pong([u8::try_from(number).unwrap()]);
        }
        ana.expect_all([cia.says("sch\u{f6}n \u{1f600}"), cia.says("zwei")]);
    }
    // Of no bytes at all, too.
    let empty = || Frame::continuation("").unfinished();
    for frame in [
        Frame::text("").unfinished(),
        empty(),
        Frame::continuation("late").unfinished(),
        empty(),
        Frame::continuation(""),
    ] {
        cia.send(&frame);
    }
    ana.expect(cia.says("late"));
}

#[test]
fn frames_may_come_in_any_segments() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut cia) = pair(&server);
    let long = "x".repeat(300);
    let frames: Vec<u8> = [
        Frame::text("first").masked_with([0; 4]),
        Frame::ping("p"),
        Frame::text(&*long),
        Frame::pong("unasked"),
        Frame::text("la").unfinished(),
        Frame::continuation("st").masked_with([255; 4]),
    ]
    .iter()
    .flat_map(Frame::encode)
    .collect();
    for size in [1, 2, 3, 5, 127, usize::MAX] {
        cia.wire.push_chopped(&frames, size);
        ana.expect_all(["first", &long, "last"].map(|text| cia.says(text)));
        cia.expect_pong("p");
    }
}

#[test]
fn a_length_may_be_written_longer_than_it_has_to_be() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut cia) = pair(&server);
    for length in [Length::Two, Length::Eight] {
        // RFC 6455, 5.2, forbids it to who sends, but it does no harm.
        cia.send(&Frame::text("short").length_as(length));
        ana.expect(cia.says("short"));
    }
}

#[test]
fn a_message_of_64_kib_is_heard_and_a_longer_one_is_too_big() {
    let server = WebServer::quiet(&["--max-line", "128K"]);
    let (mut ana, mut cia) = pair(&server);
    let longest = "x".repeat(MESSAGE_BYTES_MAX);
    cia.say(&longest);
    ana.expect(cia.says(&longest));
    let half = MESSAGE_BYTES_MAX / 2;
    cia.send(&Frame::text(&longest[..half]).unfinished());
    cia.send(&Frame::continuation(&longest[half..]));
    ana.expect(cia.says(&longest));
    let too_long = longest + "x";
    let fragments = [Frame::text(&too_long[..half]).unfinished(), Frame::continuation(&too_long[half..])];
    for frames in [
        vec![Frame::text(&*too_long)],
        fragments.to_vec(),
        vec![Frame::text("x").length_as(Length::Claimed(u64::MAX >> 1))],
        vec![Frame::text("x").length_as(Length::Claimed(1 << 32))],
        vec![Frame::text(too_long.repeat(20))],
    ] {
        let mut cia = server.browser();
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        cia.wire.push(bytes);
        cia.expect_close(1009);
    }
    // A length that no length can be (RFC 6455, 5.2: its first bit is 0).
    let mut cia = server.browser();
    cia.send(&Frame::text("x").length_as(Length::Claimed(u64::MAX)));
    match cia.next() {
        crate::support::ws_client::Event::Close(Some(1002 | 1009), _) => {}
        event => panic!("{event:?}"),
    }
    assert_eq!(ana.present(), 2);
}

#[test]
fn a_line_that_is_too_long_is_told_and_the_rest_of_its_message_is_heard() {
    let server = WebServer::quiet(&["--max-line", "100"]);
    let (mut ana, mut cia) = pair(&server);
    let (longest, longer) = ("x".repeat(100), "y".repeat(101));
    cia.say(&longest);
    ana.expect(cia.says(&longest));
    cia.say(format!("before\n{longer}\nafter"));
    cia.expect("* line too long (over 100 bytes): not relayed");
    ana.expect_all([cia.says("before"), cia.says("after")]);
    cia.say(&longer);
    cia.expect("* line too long (over 100 bytes): not relayed");
    cia.say("next");
    ana.expect(cia.says("next"));
    cia.say(longer.repeat(600));
    cia.expect("* line too long (over 100 bytes): not relayed");
    cia.say("and on");
    ana.expect(cia.says("and on"));
}

#[test]
fn what_a_browser_gets_is_what_a_client_gets_in_frames_that_are_not_long() {
    let server = WebServer::quiet(&["--max-line", "128K", "--audience", "everyone"]);
    let (mut ana, mut cia) = pair(&server);
    let long = "z".repeat(100_000);
    let lines: Vec<String> = (0..400).map(numbered).chain([long]).chain((0..50).map(numbered)).collect();
    ana.send(lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    for line in &lines {
        ana.expect(ana.says(line));
    }
    for line in &lines {
        cia.expect(ana.says(line));
    }
    // 100 KB of lines and one that is as long: what comes at once comes together.
    assert!(cia.frames < lines.len(), "{} frames of at most {FRAME_BYTES_MAX} bytes", cia.frames);
}

#[test]
fn a_message_of_many_lines_is_heard_line_by_line() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut cia) = pair(&server);
    let lines: Vec<String> = (0..MESSAGE_BYTES_MAX / 8).map(|number| format!("{number:07}")).collect();
    for _ in 0..5 {
        cia.say(lines.join("\n"));
        for line in &lines {
            ana.expect(cia.says(line));
        }
    }
}

#[test]
fn commands_in_one_message_are_done_one_after_another() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut cia) = pair(&server);
    cia.say("/nick cia\nhello\n/nick eva\nand hello again\n/who");
    ana.expect_all(["cia> hello", "* cia is now eva", "eva> and hello again"]);
    let lines = cia.lines_until(|line| line == "* 2 here");
    assert!(lines.iter().any(|line| line.starts_with("* here: eva, 2 lines, ")), "{lines:?}");
}
