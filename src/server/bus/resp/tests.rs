use proptest::prelude::*;

use super::*;

fn parse(pieces: &[&[u8]]) -> Result<Vec<Reply>, RespError> {
    let (mut parser, mut replies) = (Parser::default(), Vec::new());
    for piece in pieces {
        parser.feed(piece);
        while let Some(reply) = parser.next_reply()? {
            replies.push(reply);
        }
    }
    Ok(replies)
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(Some(Bytes::copy_from_slice(text.as_bytes())))
}

fn encode(reply: &Reply, out: &mut Vec<u8>) {
    match reply {
        Reply::Simple(word) => out.extend_from_slice(format!("+{word}\r\n").as_bytes()),
        Reply::Error(words) => out.extend_from_slice(format!("-{words}\r\n").as_bytes()),
        Reply::Number(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
        Reply::Bulk(None) => out.extend_from_slice(b"$-1\r\n"),
        Reply::Bulk(Some(value)) => {
            out.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        Reply::Array(None) => out.extend_from_slice(b"*-1\r\n"),
        Reply::Array(Some(parts)) => {
            out.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
            parts.iter().for_each(|part| encode(part, out));
        }
    }
}

/// Replies as Redis sends them to a read of streams, and the five types at their edges.
fn conversation() -> (Vec<u8>, Vec<Reply>) {
    let fields = Reply::Array(Some(vec![bulk("w"), bulk("00ff"), bulk("e"), bulk("s 1 ana hello\r\n")]));
    let entry = Reply::Array(Some(vec![bulk("1700-0"), fields]));
    let stream = Reply::Array(Some(vec![bulk("pollchat:room:lobby"), Reply::Array(Some(vec![entry.clone(), entry]))]));
    let replies = vec![
        Reply::Simple("OK".to_owned()),
        Reply::Simple(String::new()),
        Reply::Error("ERR no such key".to_owned()),
        Reply::Number(i64::MIN),
        Reply::Number(0),
        Reply::Array(Some(vec![stream])),
        Reply::Array(None),
        Reply::Array(Some(vec![Reply::Array(Some(vec![])), Reply::Bulk(None), Reply::Array(None), bulk("")])),
    ];
    let mut bytes = Vec::new();
    replies.iter().for_each(|reply| encode(reply, &mut bytes));
    (bytes, replies)
}

#[test]
fn replies_are_the_same_however_their_bytes_arrive() {
    let (bytes, replies) = conversation();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(parse(&pieces).as_ref(), Ok(&replies), "split at {first} and {second}");
        }
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(parse(&single), Ok(replies));
}

#[test]
fn a_reply_is_over_with_its_last_byte() {
    let (bytes, replies) = conversation();
    let mut parser = Parser::default();
    parser.feed(&bytes);
    for reply in replies {
        assert!(parser.is_within_reply());
        assert_eq!(parser.next_reply(), Ok(Some(reply)));
    }
    assert!(!parser.is_within_reply());
    assert_eq!(parser.next_reply(), Ok(None));
    parser.feed(b"*1\r\n");
    assert_eq!(parser.next_reply(), Ok(None));
    assert!(parser.is_within_reply());
}

#[test]
fn arrays_in_each_other_are_bounded_and_overflow_no_stack() {
    let nested = |depth: usize| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    assert_eq!(parse(&[&nested(DEPTH_MAX)]).map(|replies| replies.len()), Ok(1));
    assert_eq!(parse(&[&nested(DEPTH_MAX + 1)]), Err(RespError::Depth));
    assert_eq!(parse(&[&b"*1\r\n".repeat(100_000)]), Err(RespError::Depth));
}

#[test]
fn a_length_reserves_no_memory_and_one_beyond_the_limit_is_an_error_at_once() {
    for head in ["*1000000000000\r\n", "$4000000\r\n"] {
        let mut parser = Parser::default();
        parser.feed(head.as_bytes());
        assert_eq!(parser.next_reply(), Ok(None), "{head:?}");
        assert!(
            parser.received.capacity() + parser.open.iter().map(|array| array.parts.capacity()).sum::<usize>() < 4_096
        );
    }
    for head in ["$4194304\r\n", "$9223372036854775807\r\n", "*2\r\n$3000000\r\n"] {
        let rest = [head.as_bytes(), &vec![0; 3_000_000], b"\r\n$3000000\r\n"].concat();
        assert_eq!(parse(&[&rest]), Err(RespError::Size), "{head:?}");
    }
}

#[test]
fn an_entry_that_no_server_has_written_is_passed_over_and_takes_no_memory() {
    let value = |bytes: usize| [format!("${bytes}\r\n").as_bytes(), &vec![b'x'; bytes], b"\r\n"].concat();
    let fields = |values: &[Vec<u8>]| [format!("*{}\r\n", values.len()).as_bytes(), &values.concat()].concat();
    let small = fields(&[value(1)]);
    for long in [
        fields(&[value(1), value(REPLY_BYTES_MAX)]),
        fields(&[value(REPLY_BYTES_MAX / 2), value(REPLY_BYTES_MAX / 2), value(9)]),
        fields(&vec![value(1); REPLY_BYTES_MAX / size_of::<Reply>()]),
    ] {
        let bytes = [b"*2\r\n*2\r\n$1\r\n1\r\n", &long[..], b"*2\r\n$1\r\n2\r\n", &small, b":7\r\n"].concat();
        let mut parser = Parser::default();
        let mut replies = Vec::new();
        for piece in bytes.chunks(10_000) {
            parser.feed(piece);
            while let Some(reply) = parser.next_reply().expect("a reply") {
                replies.push(reply);
            }
            assert!(parser.received.len() <= FIELDS_BYTES_MAX + 10_000);
            assert!(parser.open.iter().all(|array| !array.is_dropped || array.parts.capacity() == 0));
        }
        let entry = |id, fields| Reply::Array(Some(vec![bulk(id), Reply::Array(fields)]));
        let entries = Reply::Array(Some(vec![entry("1", None), entry("2", Some(vec![bulk("x")]))]));
        assert!(replies == [entries, Reply::Number(7)], "the long one alone is dropped");
        assert_eq!((parser.used, parser.is_within_reply()), (0, false));
    }
}

#[test]
fn a_reply_that_never_ends_is_an_error_at_the_limit() {
    let mut parser = Parser::default();
    parser.feed(b"*-1\r\n*1000000000\r\n");
    assert_eq!(parser.next_reply(), Ok(Some(Reply::Array(None))));
    let parts = b":1\r\n".repeat(1_000);
    let error = (0..1_000).find_map(|_| {
        parser.feed(&parts);
        parser.next_reply().err()
    });
    assert_eq!(error, Some(RespError::Size));
    let parts = &parser.open[0].parts;
    assert!(parts.len() * size_of::<Reply>() <= REPLY_BYTES_MAX, "{} parts", parts.len());
}

#[test]
fn a_line_that_never_ends_is_an_error_at_the_limit() {
    let mut parser = Parser::default();
    parser.feed(b"+");
    for _ in 0..LINE_BYTES_MAX {
        assert_eq!(parser.next_reply(), Ok(None));
        parser.feed(b"x");
    }
    assert_eq!(parser.next_reply(), Err(RespError::Line));
    assert_eq!(parse(&[&[b"-", &b"x".repeat(LINE_BYTES_MAX)[..], b"\r\n"].concat()]), Err(RespError::Line));
}

#[test]
fn bytes_of_another_protocol_are_an_error_with_the_first() {
    for (bytes, error) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], RespError::Type(b'H')),
        (b"\x15\x03\x01\x00\x02\x02\x46", RespError::Type(0x15)),
        (b"\r\n", RespError::Type(b'\r')),
        // A line of pollchat.
        (b"* welcome, you are client-7\n", RespError::End),
        (b"* welcome, you are client-7\r\n", RespError::Number),
        // RESP3, which is not asked for.
        (b"%1\r\n+a\r\n:1\r\n", RespError::Type(b'%')),
        (b":\r\n", RespError::Number),
        (b":+1\r\n", RespError::Number),
        (b":1 \r\n", RespError::Number),
        (b":9223372036854775808\r\n", RespError::Number),
        (b"$-2\r\n", RespError::Number),
        (b"*-9\r\n", RespError::Number),
        (b"$1\r\nabc", RespError::End),
    ] {
        assert_eq!(parse(&[bytes]), Err(error), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_command_is_an_array_of_values() {
    let mut bytes = Vec::new();
    push_command(&mut bytes, &[b"XADD", b"a b", b"", b"\r\n"]);
    assert_eq!(bytes, b"*4\r\n$4\r\nXADD\r\n$3\r\na b\r\n$0\r\n\r\n$2\r\n\r\n\r\n");
    assert_eq!(parse(&[&bytes]), Ok(vec![Reply::Array(Some(vec![bulk("XADD"), bulk("a b"), bulk(""), bulk("\r\n")]))]));
}

/// An example that the test below has failed with.
#[test]
fn an_array_of_an_empty_text_is_read_in_single_bytes() {
    let reply = Reply::Array(Some(vec![Reply::Simple(String::new())]));
    let mut bytes = Vec::new();
    encode(&reply, &mut bytes);
    assert_eq!(parse(&bytes.chunks(1).collect::<Vec<_>>()), Ok(vec![reply]));
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let leaf = prop_oneof![
        "[a-zA-Z ]{0,12}".prop_map(Reply::Simple),
        "[A-Z]{1,8} [a-z ']{0,12}".prop_map(Reply::Error),
        any::<i64>().prop_map(Reply::Number),
        proptest::option::of(any::<Vec<u8>>()).prop_map(|value| Reply::Bulk(value.map(Bytes::from))),
        Just(Reply::Array(None)),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        proptest::collection::vec(inner, 0..8).prop_map(|parts| Reply::Array(Some(parts)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reply_is_read_as_it_was_written(
        replies in proptest::collection::vec(any_reply(), 1..6),
        piece_bytes in 1..200_usize,
    ) {
        let mut bytes = Vec::new();
        replies.iter().for_each(|reply| encode(reply, &mut bytes));
        let pieces: Vec<&[u8]> = bytes.chunks(piece_bytes).collect();
        prop_assert_eq!(parse(&pieces), Ok(replies));
    }

    #[test]
    fn the_outcome_of_any_bytes_does_not_depend_on_their_pieces(
        bytes in proptest::collection::vec(prop_oneof![
            proptest::sample::select(b"+-:$*0123456789\r\nab".to_vec()), any::<u8>(),
        ], 0..200),
        piece_bytes in 1..20_usize,
    ) {
        let pieces: Vec<&[u8]> = bytes.chunks(piece_bytes).collect();
        prop_assert_eq!(parse(&pieces), parse(&[&bytes]));
    }
}
