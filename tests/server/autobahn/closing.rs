//! Section 7: close handling.

use super::cases::{Case, End, PROTOCOL_ERROR, case, echo, together};
use crate::support::ws::Frame;

pub(crate) fn cases() -> Vec<Case> {
    [handshakes(), payloads(), codes()].into_iter().flatten().collect()
}

/// 7.1: what is sent behind a close.
fn handshakes() -> Vec<Case> {
    const TEXT: &str = "Hello World!";
    const NORMAL: End = End::Answered(Some(1000));
    let close = || Frame::close(Some(1000));
    let long: String = "BAsd7&jh23".chars().cycle().take(256 * 1024).collect();
    vec![
        case("7.1.1", together([Frame::text(TEXT)]), End::Ours).hears([echo(TEXT)]),
        case("7.1.2", together([close(), Frame::close(None)]), NORMAL),
        case("7.1.3", together([close(), Frame::ping("")]), NORMAL),
        case("7.1.4", together([close(), Frame::text(TEXT)]), NORMAL),
        case(
            "7.1.5",
            together([Frame::text("fragment1").unfinished(), close(), Frame::continuation("fragment2")]),
            NORMAL,
        ),
        case("7.1.6", together([Frame::text(long), Frame::text(TEXT), close(), Frame::ping("")]), End::Fails(&[1009]))
            .instead("its 256 KiB are more than a message may have: closed with 1009 (the suite only informs)"),
    ]
}

/// 7.3 and 7.5: what is in a close.
fn payloads() -> Vec<Case> {
    let close = |id, frame, code| case(id, together([frame]), End::Answered(code));
    let because = |reason: &str| Frame::close_because(Some(1000), reason);
    vec![
        close("7.3.1", Frame::close(None), None),
        case("7.3.2", together([Frame::new(8, "a")]), PROTOCOL_ERROR),
        close("7.3.3", Frame::close(Some(1000)), Some(1000)),
        close("7.3.4", because("Hello World!"), Some(1000)),
        close("7.3.5", because(&"*".repeat(123)), Some(1000)),
        case("7.3.6", together([because(&"*".repeat(124))]), PROTOCOL_ERROR),
        case(
            "7.5.1",
            together([Frame::close_because(Some(1000), b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited")]),
            End::Fails(&[1002, 1007]),
        ),
    ]
}

/// 7.7, 7.9 and 7.13: codes that may be sent, that may not, and of which the RFC says nothing.
fn codes() -> Vec<Case> {
    const VALID: [u16; 13] = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    const INVALID: [u16; 9] = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    let close = |id, code, end| case(id, together([Frame::close(Some(code))]), end);
    let valid = (1..).zip(VALID).map(|(i, code)| close(format!("7.7.{i}"), code, End::Answered(Some(code))));
    let invalid = (1..).zip(INVALID).map(|(i, code)| close(format!("7.9.{i}"), code, PROTOCOL_ERROR));
    let undefined = (1..).zip([5000, 65_535]).map(|(i, code)| {
        let case = close(format!("7.13.{i}"), code, PROTOCOL_ERROR);
        case.instead("the RFC does not define it (the suite only informs): to the relay it is as wrong as any other")
    });
    valid.chain(invalid).chain(undefined).collect()
}
