//! Lines in every split of every short input.

use super::*;

/// An owned [`Line`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Text(Vec<u8>),
    More(Vec<u8>),
    TooLong,
}

fn said(line: &Line<'_>) -> Said {
    match line {
        Line::Text(bytes) => Said::Text(bytes.to_vec()),
        Line::More(bytes) => Said::More(bytes.to_vec()),
        Line::TooLong(_) => Said::TooLong,
    }
}

fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, framing: Framing) -> Vec<Said> {
    let mut decoder = LineDecoder::default();
    let mut all = Vec::new();
    for mut chunk in chunks {
        while let Some(line) = decoder.next(&mut chunk, framing) {
            all.push(said(&line));
        }
        assert!(chunk.is_empty(), "all of a chunk is taken in");
        assert!(decoder.fragment.len() <= framing.line_bytes_max + 1, "a fragment is bounded");
    }
    all.extend(decoder.finish(framing).map(|line| said(&line)));
    all
}

/// The same by looking at all of the input at once. It must hold no NUL.
fn naive(input: &[u8], framing: Framing) -> Vec<Said> {
    let mut text = String::from_utf8(input.to_vec()).unwrap();
    if framing.ends == LineEnds::NewlineOrReturn {
        text = text.replace("\r\n", "\n").replace('\r', "\n");
    }
    let mut all = Vec::new();
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let is_last = lines.peek().is_none();
        if is_last && line.is_empty() {
            break;
        }
        let text = if is_last { line } else { line.strip_suffix('\r').unwrap_or(line) };
        all.push(if text.len() > framing.line_bytes_max { Said::TooLong } else { Said::Text(text.into()) });
    }
    all
}

fn framing(line_bytes_max: usize, overlong: Overlong) -> Framing {
    Framing { line_bytes_max, overlong, ends: LineEnds::Newline }
}

/// Every way to cut `input` into chunks.
fn every_split(input: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let cuts = input.len().saturating_sub(1);
    (0..1_u32 << cuts).map(move |mask| {
        let mut chunks = Vec::new();
        let mut start = 0;
        for end in (1..input.len()).filter(|end| mask >> (end - 1) & 1 == 1).chain([input.len()]) {
            chunks.push(&input[start..end]);
            start = end;
        }
        chunks
    })
}

#[test]
fn every_split_of_every_short_input_gives_the_same_lines() {
    let alphabet = [b'a', b'\n', b'\r'];
    for ends in [LineEnds::Newline, LineEnds::NewlineOrReturn] {
        let framing = Framing { ends, ..framing(2, Overlong::Drop) };
        for len in 0..=7_u32 {
            for code in 0..3_usize.pow(len) {
                let input: Vec<u8> = (0..len).map(|i| alphabet[code / 3_usize.pow(i) % 3]).collect();
                let expected = naive(&input, framing);
                for chunks in every_split(&input) {
                    assert_eq!(decode(chunks.iter().copied(), framing), expected, "{input:?} as {chunks:?}");
                }
            }
        }
    }
}

#[test]
fn nuls_are_padding_wherever_they_stand() {
    let alphabet = [b'a', b'\n', b'\r', 0];
    for overlong in [Overlong::Drop, Overlong::Cut] {
        let framing = Framing { ends: LineEnds::NewlineOrReturn, ..framing(2, overlong) };
        for code in 0..4_usize.pow(6) {
            let input: Vec<u8> = (0..6).map(|i| alphabet[code / 4_usize.pow(i) % 4]).collect();
            let without: Vec<u8> = input.iter().copied().filter(|&byte| byte != 0).collect();
            let expected = decode([&without[..]], framing);
            for chunks in every_split(&input) {
                let mut lines = decode(chunks.iter().copied(), framing);
                for line in &mut lines {
                    if let Said::Text(bytes) | Said::More(bytes) = line {
                        bytes.retain(|&byte| byte != 0);
                    }
                }
                // Whether a CR NUL LF is one end or two is not seen: an empty line says nothing.
                let words = |lines: &[Said]| lines.iter().filter(|l| **l != Said::Text(vec![])).cloned().collect();
                let (lines, expected): (Vec<Said>, Vec<Said>) = (words(&lines), words(&expected));
                assert_eq!(lines, expected, "{input:?} as {chunks:?}");
            }
        }
    }
}

#[test]
fn a_buffer_of_padding_is_no_line_and_keeps_no_memory() {
    let framing = Framing { ends: LineEnds::NewlineOrReturn, ..framing(16, Overlong::Drop) };
    let mut decoder = LineDecoder::default();
    let message = [&b"hello\n"[..], &[0; 8_000]].concat();
    for _ in 0..3 {
        let mut input = &message[..];
        assert_eq!(decoder.next(&mut input, framing), Some(Line::Text(b"hello")));
        assert_eq!(decoder.next(&mut input, framing), None);
        assert!(decoder.is_unused());
    }
    // So does the padding behind a line without an end, and it does not count toward the limit.
    let message = [&b"hello"[..], &[0; 8_000]].concat();
    assert_eq!(decoder.next(&mut &message[..], framing), None);
    assert_eq!(decoder.finish(framing), Some(Line::Text(b"hello")));
}

#[test]
fn the_first_byte_of_a_line_is_the_one_that_is_obeyed() {
    let framing = Framing { ends: LineEnds::NewlineOrReturn, ..framing(16, Overlong::Drop) };
    let first_byte = |mut before: &[u8], input: &[u8]| {
        let mut decoder = LineDecoder::default();
        while decoder.next(&mut before, framing).is_some() {}
        decoder.first_byte(input)
    };
    for (before, input) in [
        (&b""[..], &b"/who"[..]),
        (b"", b"\0\0/who"),
        (b"/", b"who"),
        (b"\xef\xbb", b"\xbf\0/who"),
        (b"", b"\xef\xbb\xbf\xef\xbb\xbf/who"),
        (b"hello\r", b"\0\n\0/who"),
    ] {
        assert_eq!(first_byte(before, input), Some(b'/'), "{before:?} {input:?}");
    }
    assert_eq!(first_byte(b"hello\r", b"\n"), None);
    assert_eq!(first_byte(b"", b"\xef\xbb/who"), Some(0xef));
}

#[test]
fn a_line_at_the_limit_is_whole_with_either_end() {
    let framing = framing(4, Overlong::Drop);
    for input in ["abcd\n", "abcd\r\n", "abcd"] {
        for chunks in every_split(input.as_bytes()) {
            assert_eq!(decode(chunks, framing), [Said::Text(b"abcd".to_vec())]);
        }
    }
    for input in ["abcde\n", "abcde\r\n", "abcde", "abcd\r", "abcd\rx\n"] {
        for chunks in every_split(input.as_bytes()) {
            assert_eq!(decode(chunks, framing), [Said::TooLong], "{input:?}");
        }
    }
}

#[test]
fn an_endless_line_is_told_once_and_keeps_nothing() {
    let framing = framing(4, Overlong::Drop);
    let mut decoder = LineDecoder::default();
    let mut told = 0;
    for _ in 0..1_000 {
        let mut chunk = &b"abc"[..];
        while decoder.next(&mut chunk, framing).is_some() {
            told += 1;
        }
    }
    assert_eq!((told, decoder.heap_bytes()), (1, 0));
    let mut chunk = &b"\nok\n"[..];
    assert_eq!(decoder.next(&mut chunk, framing), Some(Line::Text(b"ok")));
}

#[test]
fn the_beginning_of_a_dropped_line_is_handed_out_however_it_came() {
    let framing = framing(4, Overlong::Drop);
    let line: Vec<u8> = (0..200).map(|at| b'a' + at % 26).collect();
    for first in 0..=4 {
        let mut decoder = LineDecoder::default();
        let (mut head, mut tail) = line.split_at(first);
        assert_eq!(decoder.next(&mut head, framing), None);
        let Some(Line::TooLong(beginning)) = decoder.next(&mut tail, framing) else { panic!("cut at {first}") };
        assert!(beginning.len() >= BEGINNING_BYTES && line.starts_with(beginning), "cut at {first}");
        assert_eq!(decoder.next(&mut &b"\n"[..], framing), None);
        assert_eq!(decoder.heap_bytes(), 0);
    }
}

#[test]
fn a_decoder_between_two_lines_keeps_no_memory() {
    let framing = framing(4_096, Overlong::Drop);
    let mut decoder = LineDecoder::default();
    for mut chunk in [&b"hel"[..], b"lo\n", b""] {
        while decoder.next(&mut chunk, framing).is_some() {}
    }
    assert!(decoder.is_empty());
    assert_eq!(decoder.heap_bytes(), 0);
}

#[test]
fn a_cut_line_comes_in_pieces_and_loses_nothing() {
    let framing = framing(3, Overlong::Cut);
    let text = |bytes: &[u8]| Said::Text(bytes.to_vec());
    let more = |bytes: &[u8]| Said::More(bytes.to_vec());
    for chunks in every_split(b"abcdefgh\nxyz\r\nuv") {
        let expected = [text(b"abc"), more(b"def"), more(b"gh"), text(b"xyz"), text(b"uv")];
        assert_eq!(decode(chunks, framing), expected);
    }
    // A character of three bytes does not fit behind one of two: it is not split.
    for chunks in every_split("é…é\n".as_bytes()) {
        let expected = [text("é".as_bytes()), more("…".as_bytes()), more("é".as_bytes())];
        assert_eq!(decode(chunks, framing), expected);
    }
}

#[test]
fn bytes_that_are_no_characters_are_cut_at_the_limit() {
    let framing = framing(5, Overlong::Cut);
    let pieces = decode([&[0x80; 12][..]], framing);
    let bytes: usize =
        pieces.iter().map(|piece| if let Said::Text(b) | Said::More(b) = piece { b.len() } else { 0 }).sum();
    assert_eq!((pieces.len(), bytes), (3, 12));
}

#[test]
fn a_line_that_is_broken_off_is_one_and_the_next_is_another() {
    let framing = Framing { ends: LineEnds::NewlineOrReturn, ..framing(4, Overlong::Drop) };
    let broken_off = |mut input: &[u8]| {
        let mut decoder = LineDecoder::default();
        let mut all = Vec::new();
        while let Some(line) = decoder.next(&mut input, framing) {
            all.push(said(&line));
        }
        all.extend(decoder.finish(framing).map(|line| said(&line)));
        assert!(decoder.is_empty());
        let mut next: &[u8] = b"\nnext\n";
        while let Some(line) = decoder.next(&mut next, framing) {
            all.push(said(&line));
        }
        all
    };
    let text = |text: &str| Said::Text(text.into());
    assert_eq!(broken_off(b""), [text(""), text("next")]);
    assert_eq!(broken_off(b"abc"), [text("abc"), text(""), text("next")]);
    assert_eq!(broken_off(b"abc\r"), [text("abc"), text("next")], "half of a CRLF");
    assert_eq!(broken_off(b"abcd\r"), [text("abcd"), text("next")]);
    assert_eq!(broken_off(b"\r"), [text(""), text("next")]);
    assert_eq!(broken_off(b"one\ntwo"), [text("one"), text("two"), text(""), text("next")]);
    // A line that is too long was told of, and is over.
    assert_eq!(broken_off(b"abcdef"), [Said::TooLong, text(""), text("next")]);
}

#[test]
fn a_line_that_stops_in_the_middle_of_a_character_is_known() {
    let framing = framing(100, Overlong::Drop);
    let is_amid = |mut input: &[u8]| {
        let mut decoder = LineDecoder::default();
        assert_eq!(decoder.next(&mut input, framing), None);
        decoder.ends_mid_char()
    };
    for text in ["", "a", "é", "a€", "😀", "aé😀"] {
        assert!(!is_amid(text.as_bytes()), "{text}");
    }
    for c in ['é', '€', '😀'] {
        let bytes = c.to_string().into_bytes();
        for cut in 1..bytes.len() {
            assert!(is_amid(&bytes[..cut]), "{c} cut at {cut}");
            assert!(is_amid(&[b"ab", &bytes[..cut]].concat()), "{c} cut at {cut}");
            assert!(!is_amid(&[&bytes[..cut], b"a"].concat()), "{c} cut at {cut}, and no other half can follow");
        }
    }
    for never in [&b"\x80"[..], b"\xff", b"a\x80\x80\x80", b"\xc0", b"\xe0\x80", b"\xf0\x9f\x98\x80\x80"] {
        assert!(!is_amid(never), "{never:?}");
    }
}

#[test]
fn a_line_that_was_returned_is_no_part_of_the_next_one() {
    let framing = Framing { line_bytes_max: 4, overlong: Overlong::Drop, ends: LineEnds::Newline };
    let mut decoder = LineDecoder::default();
    assert!(decoder.next(&mut &b"ab"[..], framing).is_none());
    assert!(matches!(decoder.next(&mut &b"cd\n"[..], framing), Some(Line::Text(b"abcd"))));
    assert!(!decoder.is_over(b"efgh", 4) && decoder.is_over(b"efghi", 4));
}
