//! The input of a WebSocket, frame by frame: valid frames of every form, and each way in which a frame can be invalid.
//! The frames come from a codec of the tests' own, and in pieces of several sizes.

use std::time::Instant;

use pollchat::server::web::websocket::{MESSAGE_BYTES_MAX, WebSocket, WebSocketEnd};

use crate::support::ws::{Frame, Length, opcode};

/// Sizes of the pieces in which bytes arrive.
const PIECES: [usize; 4] = [1, 2, 997, usize::MAX];

const PROTOCOL_ERROR: Option<WebSocketEnd> = Some(WebSocketEnd::Broken(1002));

/// The lines, the replies and the end that frames cause. They must be the same in whatever pieces the bytes arrive.
#[track_caller]
fn receive(frames: &[Frame]) -> (String, Vec<Frame>, Option<WebSocketEnd>) {
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    let mut outcomes = PIECES.iter().map(|&size| receive_pieces(bytes.chunks(size)));
    let first = outcomes.next().unwrap();
    outcomes.for_each(|other| assert!(other == first, "another outcome in pieces of another size: {frames:?}"));
    first
}

fn receive_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (String, Vec<Frame>, Option<WebSocketEnd>) {
    let now = Instant::now();
    let (mut socket, mut lines, mut bytes) = (WebSocket::new(now), Vec::new(), Vec::new());
    for piece in pieces {
        socket.receive(piece, &mut lines, &mut bytes, now);
    }
    let (mut replies, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((frame, taken)) = Frame::decode(rest) {
        replies.push(frame);
        rest = &rest[taken..];
    }
    assert!(rest.is_empty(), "replies are whole frames");
    (String::from_utf8(lines).unwrap(), replies, socket.end())
}

/// Asserts that a frame ends the WebSocket, alone and behind valid frames, which count; and as soon as its header is
/// there, or a browser could make the server keep its payload.
#[track_caller]
fn assert_ends_with(invalid: &Frame, end: Option<WebSocketEnd>) {
    let bytes = invalid.encode();
    let header = &bytes[..bytes.len() - invalid.payload.len()];
    assert_eq!(receive_pieces(header.chunks(1)).2, end, "the header of {invalid:?}");
    let (lines, replies, ended) = receive(&[invalid.clone(), Frame::ping("")]);
    assert_eq!((&*lines, replies.len(), ended), ("", 0, end), "{invalid:?}");
    let (lines, replies, ended) =
        receive(&[Frame::text("hello"), Frame::ping("x"), invalid.clone(), Frame::text("no")]);
    assert_eq!((&*lines, replies.len(), ended), ("hello\n", 1, end), "{invalid:?}");
}

#[test]
fn texts_of_every_form_of_length_are_lines() {
    for length in [0, 1, 125, 126, 127, 128, 65_535, MESSAGE_BYTES_MAX] {
        let text = "*".repeat(length);
        let (lines, replies, end) = receive(&[Frame::text(&*text), Frame::ping("")]);
        let line = if length == 0 { String::new() } else { text + "\n" };
        assert!(lines == line && replies.len() == 1 && end.is_none(), "{length}");
    }
    let too_long = Frame::text("*".repeat(MESSAGE_BYTES_MAX + 1));
    assert_eq!(receive(&[too_long]).2, Some(WebSocketEnd::Broken(1009)));
}

#[test]
fn pings_are_answered_with_their_payload_and_pongs_are_not_answered() {
    for payload in [&b""[..], b"hello", b"\x00\xff\xfe", &[0xfe; 125]] {
        let (_, replies, end) = receive(&[Frame::pong("unasked"), Frame::ping(payload), Frame::ping(payload)]);
        assert!(end.is_none());
        assert_eq!(replies.len(), 2);
        for reply in replies {
            assert_eq!((reply.opcode, &*reply.payload), (opcode::PONG, payload));
        }
    }
}

#[test]
fn reserved_bits_opcodes_and_missing_masks_are_errors() {
    let kinds = [opcode::TEXT, opcode::BINARY, opcode::CLOSE, opcode::PING, opcode::PONG, opcode::CONTINUATION];
    for frame in kinds.map(|opcode| Frame::new(opcode, "payload")) {
        for rsv in 1..8 {
            assert_ends_with(&frame.clone().rsv(rsv), PROTOCOL_ERROR);
        }
        assert_ends_with(&frame.unmasked(), PROTOCOL_ERROR);
    }
    for opcode in (3..8).chain(11..16) {
        assert_ends_with(&Frame::new(opcode, ""), PROTOCOL_ERROR);
        assert_ends_with(&Frame::new(opcode, "payload"), PROTOCOL_ERROR);
    }
    assert_ends_with(&Frame::new(opcode::BINARY, "payload"), Some(WebSocketEnd::Broken(1003)));
}

#[test]
fn control_frames_are_short_and_whole() {
    for opcode in [opcode::CLOSE, opcode::PING, opcode::PONG] {
        assert_ends_with(&Frame::new(opcode, [b'x'; 126]), PROTOCOL_ERROR);
        assert_ends_with(&Frame::new(opcode, "").unfinished(), PROTOCOL_ERROR);
    }
}

#[test]
fn a_text_is_checked_as_utf_8_wherever_it_is_cut() {
    let fragments = |bytes: &[u8], at: usize| {
        let (first, second) = bytes.split_at(at);
        [Frame::text(first).unfinished(), Frame::ping("between"), Frame::continuation(second)]
    };
    let texts = ["κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\u{10ffff}\u{fffd}\u{800}\u{7ff}"];
    for text in texts {
        for at in 0..=text.len() {
            let (lines, replies, end) = receive(&fragments(text.as_bytes(), at));
            assert_eq!((lines, replies.len(), end), (format!("{text}\n"), 1, None));
        }
    }
    // A surrogate, more than U+10FFFF, an overlong form, a continuation byte alone, half a character.
    let invalid: [&[u8]; 5] = [b"a\xed\xa0\x80b", b"a\xf4\x90\x80\x80b", b"\xc0\xaf", b"a\x80b", b"\xe2\x82"];
    for bytes in invalid {
        assert_eq!(receive(&[Frame::text(bytes)]).2, Some(WebSocketEnd::Broken(1007)), "{bytes:?}");
        for at in 0..=bytes.len() {
            let (lines, _, end) = receive(&fragments(bytes, at));
            assert_eq!((&*lines, end), ("", Some(WebSocketEnd::Broken(1007))), "{bytes:?} cut at {at}");
        }
    }
}

#[test]
fn a_length_in_more_bytes_than_it_takes_is_read_or_an_error_but_no_other_line() {
    for length in [Length::Two, Length::Eight] {
        let (lines, _, end) = receive(&[Frame::text("hello").length_as(length), Frame::text("again")]);
        assert!(lines == "hello\nagain\n" || (lines.is_empty() && end == PROTOCOL_ERROR), "{lines:?} {end:?}");
    }
    let (lines, _, end) = receive(&[Frame::text("hello").length_as(Length::Claimed(u64::MAX))]);
    assert!(lines.is_empty() && end.is_some(), "{end:?}");
}
