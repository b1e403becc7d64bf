//! Section 5: fragmentation.

use super::cases::{Case, End, PROTOCOL_ERROR, Step, case, chopped, echo, one_by_one, pong, together};
use crate::support::ws::Frame;

const HELLO: &str = "Hello, world!";

pub(crate) fn cases() -> Vec<Case> {
    [fragments(), continuations()].into_iter().flatten().collect()
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
        .hears([echo("fragment1fragment2")]),
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
