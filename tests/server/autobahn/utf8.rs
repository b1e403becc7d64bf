//! Section 6: text that is UTF-8, and text that is not, in whatever pieces.

use super::cases::{Case, End, Heard, INVALID_TEXT, Step, case, echo, one_by_one, pong, together};
use super::sequences::{Group, SEQUENCES};
use crate::support::ws::Frame;

/// `κόσμε`, a surrogate, which no UTF-8 has, and more.
pub(crate) const INVALID: [&[u8]; 3] = [KOSME, b"\xed\xa0\x80", b"edited"];

const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

/// The same with what would be U+110000.
const BEYOND: [&[u8]; 3] = [KOSME, b"\xf4\x90\x80\x80", b"edited"];

const UMLAUTS: &str = "Hello-µ@ßöäüàá-UTF-8!!";

pub(crate) fn cases() -> Vec<Case> {
    [empty(), valid(), invalid(), fail_fast(), sequences()].into_iter().flatten().collect()
}

/// A message in these fragments.
fn fragments<T: AsRef<[u8]>>(pieces: impl IntoIterator<Item = T>) -> Vec<Frame> {
    let frame = |piece: T| Frame::continuation(piece.as_ref()).unfinished();
    let mut frames: Vec<Frame> = pieces.into_iter().map(frame).collect();
    frames.first_mut().expect("a fragment").opcode = 1;
    frames.last_mut().expect("a fragment").fin = true;
    frames
}

fn octets(bytes: &[u8]) -> Vec<Frame> {
    fragments(bytes.chunks(1))
}

/// 6.1: fragments without text.
fn empty() -> Vec<Case> {
    // A ping behind it, to be sure that nothing comes.
    let nothing = |id, mut frames: Vec<Frame>| {
        frames.push(Frame::ping(""));
        let case = case(id, together(frames), End::Ours).hears([pong("")]);
        case.instead("an empty line is nothing to relay: it is taken, and nothing comes of it")
    };
    let middle = "middle frame payload";
    vec![
        nothing("6.1.1", fragments([""])),
        nothing("6.1.2", fragments(["", "", ""])),
        case("6.1.3", together(fragments(["", middle, ""])), End::Ours).hears([echo(middle)]),
    ]
}

/// 6.2: valid text, whole, cut between characters and within them.
fn valid() -> Vec<Case> {
    let kosme = str::from_utf8(KOSME).expect("it is valid");
    vec![
        case("6.2.1", together(fragments([UMLAUTS])), End::Ours).hears([echo(UMLAUTS)]),
        case("6.2.2", together(fragments(["Hello-µ@ßöä", "üàá-UTF-8!!"])), End::Ours).hears([echo(UMLAUTS)]),
        case("6.2.3", together(octets(UMLAUTS.as_bytes())), End::Ours).hears([echo(UMLAUTS)]),
        case("6.2.4", together(octets(KOSME)), End::Ours).hears([echo(kosme)]),
    ]
}

/// 6.3: invalid text, whole and cut.
fn invalid() -> Vec<Case> {
    let invalid = INVALID.concat();
    vec![
        case("6.3.1", together(fragments([&invalid])), INVALID_TEXT),
        case("6.3.2", together(octets(&invalid)), INVALID_TEXT),
    ]
}

/// 6.4: text that turns out to be invalid before it is whole. A strict server closes at once, and hears no more.
fn fail_fast() -> Vec<Case> {
    let beyond = BEYOND.concat();
    let at_the_octet = [&beyond[..12], &beyond[12..13], &beyond[13..]];
    // In three chops of one frame: its head, with the length of the whole, goes with the first.
    let chops = |pieces: [&[u8]; 3]| {
        let frame = Frame::text(&*beyond).encode();
        let head = frame.len() - beyond.len();
        let ends = [head + pieces[0].len(), head + pieces[0].len() + pieces[1].len(), frame.len()];
        let starts = [0, ends[0], ends[1]];
        starts.into_iter().zip(ends).map(|(start, end)| Step::Send(frame[start..end].to_vec(), 0)).collect()
    };
    vec![
        failing_fast("6.4.1", one_by_one(fragments(BEYOND))),
        failing_fast("6.4.2", one_by_one(fragments(at_the_octet))),
        failing_fast("6.4.3", chops(BEYOND)),
        failing_fast("6.4.4", chops(at_the_octet)),
    ]
}

fn failing_fast(id: &str, pieces: Vec<Step>) -> Case {
    // The suite waits a second each time.
    let steps = pieces.into_iter().flat_map(|piece| [piece, Step::Pause]).take(5).collect();
    case(id, steps, INVALID_TEXT).hears([Heard::Nothing]).or([Heard::Nothing, Heard::Nothing])
}

/// 6.5 to 6.23: whole texts, most of them from Markus Kuhn's UTF-8-test.txt.
fn sequences() -> Vec<Case> {
    let group = |(group, texts): &'static Group| {
        let case = move |(number, (text, is_valid)): (usize, &(&'static [u8], bool))| {
            sequence(format!("6.{group}.{number}"), text, *is_valid)
        };
        (1..).zip(*texts).map(case)
    };
    SEQUENCES.iter().flat_map(group).collect()
}

fn sequence(id: String, text: &'static [u8], is_valid: bool) -> Case {
    let steps = together([Frame::text(text)]);
    if !is_valid {
        return case(id, steps, INVALID_TEXT);
    }
    let case = case(id, steps, End::Ours);
    match str::from_utf8(text).expect("the suite calls it valid") {
        "\0" | "\u{80}" | "\u{7f}" => case
            .hears([echo("\u{fffd}")])
            .instead("no character that a terminal would obey leaves the relay: U+FFFD stands for it"),
        text => case.hears([echo(text)]),
    }
}
