//! Sections 1 to 5: framing, pings and pongs, reserved bits, opcodes, fragmentation.

use super::cases::{Case, End, PROTOCOL_ERROR, Step, case, chopped, echo, one_by_one, pong, together};
use crate::support::ws::Frame;

const HELLO: &str = "Hello, world!";

pub(crate) fn cases() -> Vec<Case> {
    let sections = [texts(), binaries(), pings(), reserved_bits(), opcodes(), fragments(), continuations()];
    sections.into_iter().flatten().collect()
}

/// 1.1: text messages.
fn texts() -> Vec<Case> {
    let mut cases = vec![
        // A ping behind it, to be sure that nothing comes.
        case("1.1.1", together([Frame::text(""), Frame::ping("")]), End::Ours)
            .hears([pong("")])
            .instead("an empty line is nothing to relay: it is taken, and nothing comes of it"),
    ];
    for (number, length) in (2..).zip([125, 126, 127, 128, 65_535, 65_536]) {
        let text = "*".repeat(length);
        cases.push(case(format!("1.1.{number}"), together([Frame::text(&*text)]), End::Ours).hears([echo(text)]));
    }
    let text = "*".repeat(65_536);
    cases.push(case("1.1.8", chopped(997, [Frame::text(&*text)]), End::Ours).hears([echo(text)]));
    cases
}

/// 1.2: binary messages.
fn binaries() -> Vec<Case> {
    let lengths = [0, 125, 126, 127, 128, 65_535, 65_536, 65_536];
    let binary = |(number, length): (usize, usize)| {
        let frame = Frame::new(2, vec![0xfe; length]);
        let steps = if number == 8 { chopped(997, [frame]) } else { together([frame]) };
        let case = case(format!("1.2.{number}"), steps, End::Fails(&[1003]));
        case.instead("lines are text: a binary message is refused with 1003")
    };
    (1..).zip(lengths).map(binary).collect()
}

/// 2: pings and pongs.
fn pings() -> Vec<Case> {
    let ping = |id, payload: &[u8]| case(id, together([Frame::ping(payload)]), End::Ours).hears([pong(payload)]);
    let ten = || (0..10).map(|i| format!("payload-{i}"));
    let unsolicited = "unsolicited pong payload";
    let close = || Frame::close(Some(1000));
    vec![
        ping("2.1", b""),
        ping("2.2", HELLO.as_bytes()),
        ping("2.3", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
        ping("2.4", &[0xfe; 125]),
        case("2.5", together([Frame::ping([0xfe; 126])]), PROTOCOL_ERROR),
        case("2.6", chopped(1, [Frame::ping([0xfe; 125])]), End::Ours).hears([pong([0xfe; 125])]),
        case("2.7", together([Frame::pong(""), close()]), End::Answered(Some(1000))),
        case("2.8", together([Frame::pong(unsolicited), close()]), End::Answered(Some(1000))),
        case("2.9", together([Frame::pong(unsolicited), Frame::ping("ping payload")]), End::Ours)
            .hears([pong("ping payload")]),
        case("2.10", together(ten().map(Frame::ping)), End::Ours).hears(ten().map(pong)),
        case("2.11", chopped(1, ten().map(Frame::ping)), End::Ours).hears(ten().map(pong)),
    ]
}

/// 3: reserved bits.
fn reserved_bits() -> Vec<Case> {
    let frames = |rsv| [Frame::text(HELLO), Frame::text(HELLO).rsv(rsv), Frame::ping("")];
    let after_one = |id, steps| case(id, steps, PROTOCOL_ERROR).hears([echo(HELLO)]).or([]);
    let binary = Frame::new(2, *b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff");
    vec![
        case("3.1", together([Frame::text(HELLO).rsv(1)]), PROTOCOL_ERROR),
        after_one("3.2", together(frames(2))),
        after_one("3.3", one_by_one(frames(3))),
        after_one("3.4", chopped(1, frames(4))),
        case("3.5", together([binary.rsv(5)]), PROTOCOL_ERROR),
        case("3.6", together([Frame::new(2, HELLO).rsv(6)]), PROTOCOL_ERROR),
        case("3.7", together([Frame::close(None).rsv(7)]), PROTOCOL_ERROR),
    ]
}

/// 4: reserved opcodes, 3 to 7 for data and 11 to 15 for control.
fn opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, first) in [("4.1", 3), ("4.2", 11)] {
        let id = |number| format!("{group}.{number}");
        let payload = "reserved opcode payload";
        cases.push(case(id(1), together([Frame::new(first, "")]), PROTOCOL_ERROR));
        cases.push(case(id(2), together([Frame::new(first + 1, payload)]), PROTOCOL_ERROR));
        let frames = |opcode, payload: &str| [Frame::text(HELLO), Frame::new(opcode, payload), Frame::ping("")];
        let after_one = |number, steps| case(id(number), steps, PROTOCOL_ERROR).hears([echo(HELLO)]).or([]);
        cases.push(after_one(3, together(frames(first + 2, ""))));
        cases.push(after_one(4, together(frames(first + 3, HELLO))));
        cases.push(after_one(5, chopped(1, frames(first + 4, HELLO))));
    }
    cases
}

/// 5.1 to 5.8: fragments, and pings between them.
fn fragments() -> Vec<Case> {
    let two = || [Frame::text("fragment1").unfinished(), Frame::continuation("fragment2")];
    let ping = "ping payload";
    let with_ping = || {
        let [first, second] = two();
        [first, Frame::ping(ping), second]
    };
    let whole = || echo("fragment1fragment2");
    let control = |opcode| [Frame::new(opcode, "fragment1").unfinished(), Frame::continuation("fragment2")];
    vec![
        case("5.1", together(control(9)), PROTOCOL_ERROR),
        case("5.2", together(control(10)), PROTOCOL_ERROR),
        case("5.3", together(two()), End::Ours).hears([whole()]),
        case("5.4", one_by_one(two()), End::Ours).hears([whole()]),
        case("5.5", chopped(1, two()), End::Ours).hears([whole()]),
        case("5.6", together(with_ping()), End::Ours).hears([pong(ping), whole()]),
        case("5.7", one_by_one(with_ping()), End::Ours).hears([pong(ping), whole()]),
        case("5.8", chopped(1, with_ping()), End::Ours).hears([pong(ping), whole()]),
    ]
}

/// 5.9 to 5.20: continuations where there is nothing to continue, or where there should be one; a long message.
fn continuations() -> Vec<Case> {
    let lonely = || Frame::continuation("non-continuation payload");
    let finished = || [lonely(), Frame::text(HELLO)];
    let unfinished = || [lonely().unfinished(), Frame::text(HELLO)];
    let two = || [Frame::text("fragment2").unfinished(), Frame::continuation("fragment3")];
    let twice = |first: Frame| [vec![first.clone()], two().into(), vec![first], two().into()].concat();
    vec![
        case("5.9", together(finished()), PROTOCOL_ERROR),
        case("5.10", one_by_one(finished()), PROTOCOL_ERROR),
        case("5.11", chopped(1, finished()), PROTOCOL_ERROR),
        case("5.12", together(unfinished()), PROTOCOL_ERROR),
        case("5.13", one_by_one(unfinished()), PROTOCOL_ERROR),
        case("5.14", chopped(1, unfinished()), PROTOCOL_ERROR),
        case(
            "5.15",
            together([
                Frame::text("fragment1").unfinished(),
                Frame::continuation("fragment2"),
                Frame::continuation("fragment3").unfinished(),
                Frame::text("fragment4"),
            ]),
            PROTOCOL_ERROR,
        )
        .hears([echo("fragment1fragment2")])
        .or([]),
        case("5.16", together(twice(Frame::continuation("fragment1").unfinished())), PROTOCOL_ERROR),
        case("5.17", together(twice(Frame::continuation("fragment1"))), PROTOCOL_ERROR),
        case("5.18", together([Frame::text("fragment1").unfinished(), Frame::text("fragment2")]), PROTOCOL_ERROR),
        long_message("5.19", together),
        long_message("5.20", one_by_one),
    ]
}

/// A message in five fragments with two pings, of which the first is answered before the rest is sent.
fn long_message(id: &str, pieces: impl Fn(Vec<Frame>) -> Vec<Step>) -> Case {
    let beginning = vec![
        Frame::text("fragment1").unfinished(),
        Frame::continuation("fragment2").unfinished(),
        Frame::ping("pongme 1!"),
    ];
    let rest = vec![
        Frame::continuation("fragment3").unfinished(),
        Frame::continuation("fragment4").unfinished(),
        Frame::ping("pongme 2!"),
        Frame::continuation("fragment5"),
    ];
    let pause = vec![Step::Await(pong("pongme 1!"))];
    let whole = echo("fragment1fragment2fragment3fragment4fragment5");
    let steps = [pieces(beginning), pause, pieces(rest)].concat();
    case(id, steps, End::Ours).hears([pong("pongme 1!"), pong("pongme 2!"), whole])
}
