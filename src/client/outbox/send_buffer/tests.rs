use super::*;
use crate::client::limits::LEAVE_LINE_BYTES_MAX;

const GOODBYE: Released = Released::Goodbye { end: Vec::new() };

/// Returns the bytes for the server when `typed` comes in pieces of `len` bytes, and the last result.
fn release_in_pieces(mut buffer: SendBuffer, typed: &[u8], len: usize, manner: Manner) -> (Vec<u8>, Released) {
    let mut last = Released::Nothing;
    for piece in typed.chunks(len) {
        buffer.push(piece);
        match buffer.release(manner, Input::Open) {
            Released::Nothing => {}
            released => last = released,
        }
    }
    (buffer.released.unsent().to_vec(), last)
}

#[test]
fn a_line_that_leaves_is_the_last_however_it_arrives() {
    for leave in ["FIN\n", "fin\r", "Exit\n", "/quit\n", "/QUIT see you\r\n"] {
        let before = "hello\n\nFIN.\n FIN\nfin \nexit now\n//quit\n\u{1}FIN\n";
        let typed = format!("{before}{leave}this is not said\nexit\n");
        let passed = format!("{before}{leave}");
        for len in 1..=typed.len() {
            let (sent, last) = release_in_pieces(SendBuffer::default(), typed.as_bytes(), len, Manner::Pollchat);
            // The CR of a CRLF ends the line already, so its LF may be left.
            let sent = String::from_utf8(sent).unwrap();
            let is_all = sent == passed || passed.strip_suffix('\n') == Some(&*sent) && sent.ends_with('\r');
            assert!(is_all && last == GOODBYE, "{len}: {sent:?}, {last:?}");
        }
    }
}

#[test]
fn lines_behind_a_goodbye_are_counted() {
    for (typed, dropped) in [
        ("a\nfin\n", 0),
        ("a\nfin\r\0\n\u{feff}\n\r\n", 0),
        ("fin\0\nb\n", 1),
        ("\u{feff}/quit\r\0b\n", 1),
        ("a\nfin\nb", 1),
        ("a\nfin\r\nb\nc\n", 2),
        ("fin\nb\n\nFIN\nd\n", 3),
    ] {
        for len in 1..=typed.len() {
            let mut buffer = SendBuffer::default();
            for piece in typed.as_bytes().chunks(len) {
                buffer.push(piece);
                buffer.release(Manner::Pollchat, Input::Open);
            }
            assert_eq!(buffer.dropped_lines(), dropped, "{typed:?} by {len}");
        }
    }
}

#[test]
fn bytes_of_any_kind_pass_unchanged() {
    let mut typed: Vec<u8> = (0..=255).collect();
    typed.extend(b"x".repeat(LEAVE_LINE_BYTES_MAX + 1));
    typed.extend(b"exit.\r\r\n\xffexit.\nexit"); // The last line has no end yet: it may become `exits`.
    for len in 1..=typed.len() {
        // A pollchat server gets whole lines only, unless one is very long.
        for (manner, passed) in [(Manner::Pollchat, &typed[..typed.len() - 4]), (Manner::Lines, &typed)] {
            assert_eq!(release_in_pieces(SendBuffer::default(), &typed, len, manner).0, passed, "{len}");
        }
    }
}

#[test]
fn only_the_first_line_goes_to_a_server_that_is_not_known() {
    let mut buffer = SendBuffer::default();
    buffer.push(b"\none\ntwo\n");
    assert_eq!(buffer.release(Manner::Unknown, Input::Open), Released::Text);
    assert_eq!(buffer.release(Manner::Unknown, Input::Ended), Released::Nothing);
    assert_eq!(buffer.released.unsent(), b"\none\n");
    assert_eq!((buffer.sent_lines(), buffer.unsent_lines()), (0, 2));
    buffer.write_to(&mut io::sink()).unwrap();
    assert_eq!((buffer.sent_lines(), buffer.unsent_lines()), (1, 1));
    buffer.release(Manner::Lines, Input::Open);
    assert_eq!(buffer.released.unsent(), b"two\n");
}

#[test]
fn a_request_for_a_name_is_no_typed_line_and_goes_first() {
    let mut buffer = SendBuffer::default();
    buffer.push_own(b"/nick ana\n");
    buffer.push(b"one\n");
    assert_eq!(buffer.release(Manner::Unknown, Input::Open), Released::Nothing);
    assert_eq!((buffer.sent_lines(), buffer.unsent_lines()), (0, 1));
    buffer.release(Manner::Pollchat, Input::Open);
    assert_eq!((buffer.sent_lines(), buffer.unsent_lines()), (0, 1));
    buffer.write_to(&mut io::sink()).unwrap();
    assert_eq!((buffer.sent_lines(), buffer.unsent_lines()), (1, 0));
}

#[test]
fn bare_lines_go_one_at_a_time_without_their_ends() {
    let mut buffer = SendBuffer::default();
    buffer.push(b"one\r\n\ntwo\nthr");
    for line in [&b"one"[..], b"two"] {
        assert_eq!(buffer.release(Manner::Bare, Input::Open), Released::Text);
        assert_eq!(buffer.released.unsent(), line);
        buffer.write_to(&mut io::sink()).unwrap();
    }
    assert_eq!(buffer.release(Manner::Bare, Input::Open), Released::Nothing, "a part is no message");
    assert_eq!(buffer.release(Manner::Bare, Input::Ended), Released::Text);
    assert_eq!(buffer.released.unsent(), b"thr");
}

#[test]
fn a_goodbye_is_sent_alone_unless_the_server_reads_lines() {
    for (manner, sent, end) in [
        (Manner::Pollchat, &b"exit\r\n"[..], &b""[..]),
        (Manner::Lines, b"exit", b"\r\n"),
        (Manner::Unknown, b"exit", b"\r\n"),
        (Manner::Relay, b"exit", b"\r\n"),
        (Manner::Bare, b"exit", b"\r\n"),
    ] {
        let mut buffer = SendBuffer::default();
        buffer.push(b"exit\r\n");
        assert_eq!(buffer.release(manner, Input::Open), Released::Goodbye { end: end.to_vec() });
        assert_eq!((buffer.released.unsent(), buffer.last_line().len()), (sent, if end.is_empty() { 0 } else { 4 }));
    }
}

#[test]
fn text_is_never_a_goodbye() {
    let mut buffer = SendBuffer::default();
    buffer.push_text(b"exit\n");
    buffer.push(b"FIN\n");
    assert_eq!(buffer.release(Manner::Pollchat, Input::Open), GOODBYE);
    assert_eq!(buffer.released.unsent(), b"exit\nFIN\n");
}

#[test]
fn with_text_every_line_is_said_as_it_is() {
    let interpreted = [
        "FIN",
        "exit",
        "Fin",
        "/quit",
        "/usr/bin",
        "//x",
        "/",
        " /msg ana x",
        "  indented",
        "\tx",
        " ",
        "* x",
        "\u{a0}/msg ana x",
        "\u{200b}/x",
        "\u{1b}[A/x",
        "fin\u{7}",
    ];
    for text in interpreted {
        let typed = format!("hello\n{text}\n");
        for len in 1..=typed.len() {
            let buffer = || SendBuffer::new(true, false);
            let (sent, _) = release_in_pieces(buffer(), typed.as_bytes(), len, Manner::Pollchat);
            assert_eq!(String::from_utf8(sent).unwrap(), format!("hello\n/say {text}\n"));
            let (sent, _) = release_in_pieces(buffer(), typed.as_bytes(), len, Manner::Lines);
            assert_eq!(String::from_utf8(sent).unwrap(), typed);
        }
    }
    for text in ["hello", "fin.", "exit now", "a /x", "GET / HTTP/1.1", "42", "世界", "émile"] {
        let typed = format!("hello\n{text}\n");
        let (sent, _) = release_in_pieces(SendBuffer::new(true, false), typed.as_bytes(), 99, Manner::Pollchat);
        assert_eq!(String::from_utf8(sent).unwrap(), typed);
    }
}

#[test]
fn with_text_a_line_goes_without_the_bytes_that_the_server_drops() {
    for (text, said) in [
        (&b"\0FIN"[..], "/say FIN"),
        (b"F\0IN", "/say FIN"),
        (b"\xef\xbb\xbfexit", "/say exit"),
        (b"\xef\xbb\xbfhello", "/say hello"),
        (b"\0\xef\xbb\xbf\xef\xbb\xbf/x", "/say /x"),
        (b"\xff\xf1\xef\xbb\xbf/x\xff\xf1", "/say /x"),
        (b"\xff\xfd\n/x", "/say /x"),
        (b"a\xef\xbb\xbfb", "a\u{feff}b"),
    ] {
        for len in 1..=text.len() + 1 {
            let typed = [text, b"\nFIN\n"].concat();
            let (sent, _) = release_in_pieces(SendBuffer::new(true, false), &typed, len, Manner::Pollchat);
            assert_eq!(String::from_utf8(sent).unwrap(), format!("{said}\n/say FIN\n"), "by {len}");
        }
    }
    for nothing in [&b"\0"[..], b"\xef\xbb\xbf", b"\xff\xf1"] {
        let typed = [nothing, b"\n"].concat();
        let (sent, _) = release_in_pieces(SendBuffer::new(true, false), &typed, 9, Manner::Pollchat);
        assert_eq!(sent, typed, "an empty line is no bare /say");
    }
}

#[test]
fn with_text_a_first_line_that_any_server_takes_in_the_same_way_does_not_wait() {
    for (text, waits) in [
        ("hello", false),
        ("Hello world", false),
        ("caf\u{e9}", false),
        ("exit", true),
        ("/x", true),
        ("GET / HTTP/1.1", true),
        ("PASS x", true),
        ("a1 LOGIN me pw", true),
        ("ehlo there", true),
        ("get / HTTP/1.1", true),
        ("SSH-2.0-x", true),
        ("{}", true),
        ("*1", true),
        ("\u{16}\u{3}\u{1}", true),
    ] {
        let mut buffer = SendBuffer::new(true, false);
        buffer.push(format!("{text}\n").as_bytes());
        let released = buffer.release(Manner::Unknown, Input::Open);
        assert_eq!(released == Released::Nothing, waits, "{text}");
    }
}

#[test]
fn a_long_line_without_its_end_does_not_fill_the_buffer() {
    for manner in [Manner::Pollchat, Manner::Bare] {
        let mut buffer = SendBuffer::new(true, true);
        let line = [b"/", "x".repeat(HELD_BYTES_MAX).as_bytes()].concat();
        buffer.push(&line);
        assert_eq!(buffer.release(manner, Input::Open), Released::Text);
        assert!(!buffer.has_typed());
        assert_eq!(buffer.released.unsent().starts_with(b"/say /x"), manner == Manner::Pollchat);
    }
}

#[test]
fn a_lost_connection_gives_back_the_lines_it_did_not_send_whole() {
    let mut buffer = SendBuffer::new(true, true);
    buffer.push_own(b"/nick ana\n");
    buffer.push(b"one\n/two\nthree\nfo");
    buffer.release(Manner::Pollchat, Input::Open);
    let mut taken = vec![0; b"/nick ana\none\n/say /t".len()];
    buffer.write_to(&mut taken.as_mut_slice()).unwrap();
    assert_eq!((buffer.sent_lines(), buffer.unsent_lines()), (1, 3));
    assert_eq!(buffer.take_back(), b"/two\nthree\nfo");
    assert!(buffer.is_empty());
}

#[test]
fn a_short_write_leaves_the_rest() {
    let mut buffer = SendBuffer::default();
    buffer.push(b"hello");
    buffer.release(Manner::Lines, Input::Open);
    let mut three = [0; 3];
    assert_eq!(buffer.write_to(&mut &mut three[..]).unwrap(), 3);
    assert_eq!((&three, buffer.len(), buffer.free_bytes()), (b"hel", 2, OUTBOX_BYTES_MAX - 2));
    let mut all = Vec::new();
    buffer.push(b"!");
    buffer.release(Manner::Lines, Input::Open);
    while !buffer.is_empty() {
        buffer.write_to(&mut all).unwrap();
    }
    assert_eq!(all, b"lo!");
}
