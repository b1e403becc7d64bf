//! The decoder and the cleaner, against a naive model that looks at all of the input at once.
//!
//! Input: the limit (a byte), how many pieces are told (a byte), their sizes (a byte each), the stream. The stream
//! comes in those pieces again and again; and, for comparison, at once and byte by byte.

use std::iter;

use pollchat::relay::line::{Framing, Line, LineDecoder, LineEnds, Overlong};
use pollchat::relay::sanitize::{is_terminal_unsafe, sanitize};
use pollchat::relay::telnet::Telnet;

/// What a decoder said, owned.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Text(Vec<u8>),
    More(Vec<u8>),
    TooLong,
}

/// Reads `data` as said above, and panics if something does not hold.
pub(crate) fn run(data: &[u8]) {
    let [limit, pieces, rest @ ..] = data else { return };
    let (sizes, stream) = rest.split_at(usize::from(*pieces).min(rest.len()));
    // A limit of nothing cannot be asked for.
    let line_bytes_max = usize::from(*limit).max(1);
    check_telnet(stream, sizes);
    // The model knows no padding; `check_padding` compares it.
    let padded = stream;
    let stream = &without_nuls(stream)[..];
    let of_ends = |ends| [Overlong::Drop, Overlong::Cut].map(|overlong| Framing { line_bytes_max, overlong, ends });
    for framing in [LineEnds::Newline, LineEnds::NewlineOrReturn].into_iter().flat_map(of_ends) {
        check_padding(padded, sizes, framing);
        let expected = naive(stream, framing);
        assert_eq!(decode(stream, &[stream.len()], framing), expected, "at once, {framing:?}");
        assert_eq!(decode(stream, &[1], framing), expected, "byte by byte, {framing:?}");
        assert_eq!(decode(stream, &as_sizes(sizes), framing), expected, "in pieces of {sizes:?}, {framing:?}");
        // One buffer for all lines, as the relay has.
        let mut buffer = String::new();
        expected.iter().for_each(|line| check_cleaning(line, &mut buffer));
    }
}

fn without_nuls(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|&byte| byte != 0).collect()
}

/// Whether NULs change nothing but which empty lines there are.
fn check_padding(stream: &[u8], sizes: &[u8], framing: Framing) {
    let words = |lines: Vec<Said>| -> Vec<Said> {
        let clean = lines.into_iter().map(|line| match line {
            Said::Text(bytes) => Said::Text(without_nuls(&bytes)),
            Said::More(bytes) => Said::More(without_nuls(&bytes)),
            Said::TooLong => Said::TooLong,
        });
        clean.filter(|line| *line != Said::Text(Vec::new())).collect()
    };
    let mut decoder = LineDecoder::default();
    let (mut all, mut rest) = (Vec::new(), stream);
    for size in as_sizes(sizes).iter().cycle() {
        let (mut piece, left) = rest.split_at(rest.len().min(*size));
        while let Some(line) = decoder.next(&mut piece, framing) {
            all.push(said(&line));
        }
        rest = left;
        if rest.is_empty() {
            break;
        }
    }
    all.extend(decoder.finish(framing).map(|line| said(&line)));
    assert_eq!(words(all), words(naive(&without_nuls(stream), framing)), "{framing:?}");
}

/// Whether telnet commands are removed in the same way in any pieces, and no 0xFF is left.
fn check_telnet(stream: &[u8], sizes: &[u8]) {
    let strip = |sizes: &[usize]| {
        let (mut telnet, mut text, mut refusals) = (Telnet::default(), Vec::new(), Vec::new());
        let mut rest = stream;
        for size in sizes.iter().cycle() {
            let (piece, left) = rest.split_at(rest.len().min(*size));
            telnet.receive(piece, &mut text, &mut refusals);
            rest = left;
            if rest.is_empty() {
                break;
            }
        }
        text
    };
    let text = strip(&[stream.len().max(1)]);
    assert!(!text.contains(&0xff) && text.len() <= stream.len());
    assert_eq!(strip(&[1]), text);
    assert_eq!(strip(&as_sizes(sizes)), text);
}

/// The sizes of the pieces. Any may be 0, but not all, or the stream would not end.
fn as_sizes(sizes: &[u8]) -> Vec<usize> {
    sizes.iter().map(|&size| usize::from(size)).chain([7]).collect()
}

/// Decodes `stream` in pieces of these sizes, again and again.
fn decode(stream: &[u8], sizes: &[usize], framing: Framing) -> Vec<Said> {
    let mut decoder = LineDecoder::default();
    let mut all = Vec::new();
    let mut taken = 0;
    for size in sizes.iter().cycle() {
        let mut piece = &stream[taken..stream.len().min(taken + size)];
        taken += piece.len();
        while let Some(line) = decoder.next(&mut piece, framing) {
            all.push(said(&line));
        }
        assert!(piece.is_empty(), "all of a piece is taken in");
        check_fragment(&decoder, &stream[..taken], framing);
        if taken == stream.len() {
            break;
        }
    }
    all.extend(decoder.finish(framing).map(|line| said(&line)));
    assert!(decoder.is_empty(), "nothing is left of a stream that has ended");
    all
}

/// Whether a decoder that took in `taken` keeps no more than it may.
fn check_fragment(decoder: &LineDecoder, taken: &[u8], framing: Framing) {
    let is_end = |last| last == b'\n' || (last == b'\r' && framing.ends == LineEnds::NewlineOrReturn);
    let is_between_lines = taken.last().is_none_or(|&last| is_end(last));
    assert_eq!(decoder.is_empty(), is_between_lines);
    assert!(!is_between_lines || decoder.heap_bytes() == 0, "between two lines nothing is kept");
    // One byte more may be a CR; and a vector doubles, from eight.
    assert!(decoder.heap_bytes() <= 2 * (framing.line_bytes_max + 1).max(4), "a fragment is bounded");
}

fn said(line: &Line<'_>) -> Said {
    match line {
        Line::Text(bytes) => Said::Text(bytes.to_vec()),
        Line::More(bytes) => Said::More(bytes.to_vec()),
        Line::TooLong(_) => Said::TooLong,
    }
}

/// The lines of all of a stream.
fn naive(stream: &[u8], framing: Framing) -> Vec<Said> {
    let mut all = Vec::new();
    let mut text = Vec::new();
    for (at, &byte) in stream.iter().enumerate() {
        match byte {
            b'\r' if framing.ends == LineEnds::NewlineOrReturn => text.push(b'\n'),
            b'\n' if framing.ends == LineEnds::NewlineOrReturn && at > 0 && stream[at - 1] == b'\r' => {}
            _ => text.push(byte),
        }
    }
    let mut lines = text.split(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let is_ended = lines.peek().is_some();
        if is_ended || !line.is_empty() {
            match framing.overlong {
                Overlong::Drop => all.push(whole_or_dropped(line, is_ended, framing.line_bytes_max)),
                Overlong::Cut => all.extend(cut(line, is_ended, framing.line_bytes_max)),
            }
        }
    }
    all
}

fn whole_or_dropped(line: &[u8], is_ended: bool, limit: usize) -> Said {
    let text = if is_ended { without_cr(line) } else { line };
    if text.len() > limit { Said::TooLong } else { Said::Text(text.to_vec()) }
}

fn cut(mut line: &[u8], is_ended: bool, limit: usize) -> Vec<Said> {
    let mut pieces = Vec::new();
    while without_cr(line).len() > limit {
        let (piece, rest) = line.split_at(last_boundary(line, limit));
        pieces.push(piece);
        line = rest;
    }
    pieces.push(if is_ended { without_cr(line) } else { line });
    let more = pieces[1..].iter().map(|piece| Said::More(piece.to_vec()));
    iter::once(Said::Text(pieces[0].to_vec())).chain(more).collect()
}

/// The last place within `limit` at which a character may begin; the limit itself if none is near.
fn last_boundary(line: &[u8], limit: usize) -> usize {
    let nearest = (0..4.min(limit)).map(|back| limit - back).find(|&at| !(0x80..0xc0).contains(&line[at]));
    nearest.unwrap_or(limit)
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn check_cleaning(line: &Said, buffer: &mut String) {
    let (Said::Text(raw) | Said::More(raw)) = line else { return };
    let text = sanitize(raw, buffer);
    let raw = &without_nuls(raw);
    let unmarked = String::from_utf8_lossy(raw);
    let expected: String = unmarked.trim_start_matches('\u{feff}').chars().map(shown).collect();
    assert_eq!(text, expected, "{raw:?}");
    assert!(text.len() <= 3 * raw.len());
    assert!(!text.chars().any(is_terminal_unsafe));
    assert_eq!(sanitize(text.as_bytes(), &mut String::new()), text, "what is clean stays as it is");
}

/// What is shown of a character: itself, unless a terminal would do something else with it.
fn shown(c: char) -> char {
    let is_of_direction = matches!(u32::from(c), 0x61c | 0x200e | 0x200f | 0x202a..=0x202e | 0x2066..=0x2069);
    let is_separator = matches!(u32::from(c), 0x2028 | 0x2029 | 0xfeff);
    if (c.is_control() && c != '\t') || is_of_direction || is_separator { '\u{fffd}' } else { c }
}
