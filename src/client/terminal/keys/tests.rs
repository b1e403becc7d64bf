use std::time::Duration;

use terminput::{KeyCode, KeyModifiers};

use super::*;
use crate::client::limits::{
    ALONE_WAIT, PASTE_BYTES_MAX, PASTE_END_WAIT, PASTE_OPEN_MAX, PASTE_REST_WAIT, PASTE_WAIT, REST_WAIT,
    SWALLOW_BYTES_MAX, SWALLOW_WAIT_MAX,
};

const PASTE_END: &[u8] = b"\x1b[201~";

/// Returns the events of these pieces, followed by a timeout.
fn parsed(pieces: &[&[u8]]) -> Vec<TermEvent> {
    let (mut keys, now) = (Keys::default(), Instant::now());
    let mut all = Vec::new();
    for piece in pieces {
        keys.parse(piece, now, &mut |event| all.push(event));
    }
    keys.on_time(now + SEQUENCE_WAIT, &mut |event| all.push(event));
    assert_eq!(keys.deadline(), None, "each state ends: {pieces:?}");
    all
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> TermEvent {
    TermEvent::Key(KeyEvent::new(code).modifiers(modifiers))
}

fn plain(code: KeyCode) -> TermEvent {
    key(code, KeyModifiers::NONE)
}

/// Checks the whole, and every split into two and three pieces.
fn every_split(bytes: &[u8], expected: &[TermEvent]) {
    assert_eq!(parsed(&[bytes]), expected, "{bytes:?}");
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(parsed(&pieces), expected, "{pieces:?}");
        }
    }
}

#[test]
fn every_key_is_known_in_any_pieces() {
    let (ctrl, alt, none) = (KeyModifiers::CTRL, KeyModifiers::ALT, KeyModifiers::NONE);
    let keys: [(&[u8], KeyCode, KeyModifiers); 27] = [
        (b"a", KeyCode::Char('a'), none),
        (b"\r", KeyCode::Enter, none),
        (b"\t", KeyCode::Tab, none),
        (b"\x7f", KeyCode::Backspace, none),
        (b"\x01", KeyCode::Char('a'), ctrl),
        (b"\x1a", KeyCode::Char('z'), ctrl),
        ("é".as_bytes(), KeyCode::Char('é'), none),
        ("世".as_bytes(), KeyCode::Char('世'), none),
        ("🎉".as_bytes(), KeyCode::Char('🎉'), none),
        (b"\x1b[A", KeyCode::Up, none),
        (b"\x1b[B", KeyCode::Down, none),
        (b"\x1b[C", KeyCode::Right, none),
        (b"\x1b[D", KeyCode::Left, none),
        (b"\x1bOA", KeyCode::Up, none),
        (b"\x1b[H", KeyCode::Home, none),
        (b"\x1b[F", KeyCode::End, none),
        (b"\x1b[1~", KeyCode::Home, none),
        (b"\x1b[4~", KeyCode::End, none),
        (b"\x1b[3~", KeyCode::Delete, none),
        (b"\x1b[1;5C", KeyCode::Right, ctrl),
        (b"\x1b[1;3D", KeyCode::Left, alt),
        (b"\x1b[3;5~", KeyCode::Delete, ctrl),
        (b"\x1bb", KeyCode::Char('b'), alt),
        (b"\x1b\x7f", KeyCode::Backspace, alt),
        ("\x1bé".as_bytes(), KeyCode::Char('é'), alt),
        (b"\x1b[[A", KeyCode::F(1), none),
        (b"\x1b", KeyCode::Esc, none),
    ];
    for (bytes, code, modifiers) in keys {
        every_split(bytes, &[key(code, modifiers)]);
        if bytes != [ESCAPE] {
            every_split(&[bytes, b"x"].concat(), &[key(code, modifiers), plain(KeyCode::Char('x'))]);
        }
    }
}

fn paste(text: &str) -> TermEvent {
    TermEvent::Paste { text: text.to_owned(), dropped_bytes: 0, has_end: true, continues: false }
}

#[test]
fn a_paste_is_one_event_in_any_pieces() {
    let x = plain(KeyCode::Char('x'));
    every_split(b"x\x1b[200~a\rb\x1b[201~x", &[x.clone(), paste("a\rb"), x.clone()]);
    every_split(b"\x1b[200~\x1b[201~", &[paste("")]);
    // A part of the end, or the bytes of a key, belong to the paste.
    every_split(b"\x1b[200~\x1b\x1b[20\x1b[A~\x1b[201~x", &[paste("\x1b\x1b[20\x1b[A~"), x.clone()]);
    every_split("\x1b[200~世\x1b[201~".as_bytes(), &[paste("世")]);
    every_split("\u{9b}200~世\u{9b}201~x".as_bytes(), &[paste("世"), x.clone()]);
    every_split(b"\x9b200~a\x9b201~x", &[paste("a"), x]);
}

#[test]
fn a_paste_over_the_limit_is_cut_and_the_rest_counted() {
    let bytes = [PASTE_BEGIN, &vec![b'a'; PASTE_BYTES_MAX + 7], PASTE_END].concat();
    let text = "a".repeat(PASTE_BYTES_MAX);
    assert_eq!(parsed(&[&bytes]), [TermEvent::Paste { text, dropped_bytes: 7, has_end: true, continues: false }]);
    let bytes = &bytes[..bytes.len() - PASTE_END.len()];
    let text = "a".repeat(PASTE_BYTES_MAX);
    assert_eq!(parsed(&[bytes]), [TermEvent::Paste { text, dropped_bytes: 7, has_end: false, continues: false }]);
    let bytes = [PASTE_BEGIN, &vec![b'a'; PASTE_BYTES_MAX], PASTE_END].concat();
    assert_eq!(parsed(&[&bytes]), [paste(&"a".repeat(PASTE_BYTES_MAX))]);
}

#[test]
fn silence_ends_a_paste_and_what_comes_then_is_typed() {
    let torn: [&[u8]; 9] = [b"", b"\x1b", b"\x1b[", b"\x1b[2", b"\x1b[201", b"\xc2", b"\xc2\x9b2", b"\x9b", b"\x9b201"];
    for end in torn {
        let (mut keys, now) = (Keys::default(), Instant::now());
        let mut all = Vec::new();
        keys.parse(&[PASTE_BEGIN, b"a\rb", end].concat(), now, &mut |event| all.push(event));
        let wait = if end.is_empty() { PASTE_WAIT } else { SEQUENCE_WAIT };
        assert_eq!(keys.deadline(), Some(now + wait));
        keys.on_time(now + wait - Duration::from_millis(1), &mut |event| all.push(event));
        assert_eq!(all, []);
        keys.on_time(now + wait, &mut |event| all.push(event));
        keys.parse(b"x", now + wait, &mut |event| all.push(event));
        assert_eq!(keys.deadline(), Some(now + wait + ALONE_WAIT));
        keys.on_time(now + wait + ALONE_WAIT, &mut |event| all.push(event));
        let text = "a\rb".to_owned();
        let paste = TermEvent::Paste { text, dropped_bytes: 0, has_end: false, continues: false };
        assert_eq!(all, [paste, plain(KeyCode::Char('x'))], "{end:?}");
    }
}

#[test]
fn a_control_key_drops_a_paste_with_all_of_its_burst() {
    let x = plain(KeyCode::Char('x'));
    for key in *b"\x03\x04\x1a\x1c" {
        let begun = [PASTE_BEGIN, b"a\r", &[key], b"/nick mallory\r", &[key]].concat();
        every_split(&begun, &[TermEvent::PasteDropped]);
        every_split(&[&begun[..], PASTE_END, b"x"].concat(), &[TermEvent::PasteDropped, x.clone()]);
        let (mut keys, now) = (Keys::default(), Instant::now());
        keys.parse(&begun, now, &mut |_| {});
        assert_eq!(keys.deadline(), Some(now + PASTE_REST_WAIT));
    }
}

#[test]
fn reports_are_told_from_keys() {
    every_split(b"\x1b[24;1R", &[TermEvent::CursorColumn(0)]);
    every_split(b"\x1b[1;80Rx", &[TermEvent::CursorColumn(79), plain(KeyCode::Char('x'))]);
    // F3 of the Linux console and of xterm.
    every_split(b"\x1b[[C\x1bOR", &[plain(KeyCode::F(3)), plain(KeyCode::F(3))]);
}

#[test]
fn the_focus_is_told_and_is_no_key() {
    let x = plain(KeyCode::Char('x'));
    every_split(b"\x1b[Ox\x1b[I", &[TermEvent::Focus(false), x, TermEvent::Focus(true)]);
}

#[test]
fn unknown_sequences_are_skipped_and_the_next_key_is_parsed() {
    let x = plain(KeyCode::Char('x'));
    let long = [b"\x1b[", &[b'1'; 10_000][..], b"~x"].concat();
    let nothing: [&[u8]; 29] = [
        b"\x1b[99~x",
        b"\x1bO\x1b[99~x",
        b"\x1bO1;5Px",
        b"\xffx",
        b"\xc3x",
        b"\xe4\xb8x",
        b"\xed\xa0\x80x",
        b"\x1b[1;\xc3x",
        // Device attributes, in three forms, and the name of the terminal.
        b"\x1b[?1;2cx",
        b"\x1b[>41;354;0cx",
        b"\x1bP!|00000000\x1b\\x",
        b"\x1bP>|XTerm(367)\x1b\\x",
        // Modes, flags of the kitty keyboard, the size of the window, light or dark.
        b"\x1b[?2004;1$yx",
        b"\x1b[?31ux",
        b"\x1b[8;24;80tx",
        b"\x1b[48;24;80;600;800tx",
        b"\x1b[?997;1nx",
        b"\x1b[0nx",
        b"\x1b[?1;1Rx",
        // Mouse reports in all forms.
        b"\x1b[<0;1;1Mx",
        b"\x1b[<0;1;1mx",
        b"\x1b[32;1;1Mx",
        b"\x1b[M !!x",
        b"\x1b[M#\x7f~x",
        "\x1b[M \u{100}!x".as_bytes(),
        "\x1b[M !\u{100}x".as_bytes(),
        b"\x1b[M \xe9\xffx",
        b"\x9b?1;2cx",
        "\u{9b}?1;2c\u{8f}1;5P\u{85}x".as_bytes(),
    ];
    for bytes in nothing {
        every_split(bytes, std::slice::from_ref(&x));
    }
    assert_eq!(parsed(&[&long]), [x]);
}

#[test]
fn strings_of_the_terminal_are_swallowed() {
    let (a, x) = (plain(KeyCode::Char('a')), plain(KeyCode::Char('x')));
    let begins = ["\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\u{9d}", "\u{90}", "\u{9f}", "\u{9e}", "\u{98}"];
    let ends = ["\x07", "\x1b\\", "\u{9c}", "\x18"];
    for begin in begins {
        for end in ends {
            for text in ["11;rgb:0000/0000/0000", "", if begin == "\x1bP" { "1朝 œ\n" } else { "l朝 œ\n" }] {
                every_split(format!("a{begin}{text}{end}x").as_bytes(), &[a.clone(), x.clone()]);
            }
        }
        // Without an end, time ends it, or a control key, or the next sequence.
        every_split(format!("a{begin}11;rgb").as_bytes(), std::slice::from_ref(&a));
        every_split(format!("a{begin}11;rgb\x1b").as_bytes(), std::slice::from_ref(&a));
        every_split(format!("a{begin}11;rgb\x1b[Ax").as_bytes(), &[a.clone(), plain(KeyCode::Up), x.clone()]);
        every_split(format!("a{begin}1{begin}2\x07x").as_bytes(), &[a.clone(), x.clone()]);
    }
    every_split(b"a\x9d1\x9cx", &[a, x]);
}

#[test]
fn control_keys_work_in_every_state() {
    let begun =
        ["\x1b[", "\x1b[1;", "\x1bO", "\x1bO1", "\x1b[[", "\x1b[M!", "\x1b]11;", "\x1bP", "\x1b_", "\x1b^", "\x1bX"];
    let torn: [&[u8]; 4] = [b"\xc3", b"\xe4\xb8", b"\xf0\x9f\x98", b"\x1b\xc3"];
    let long = format!("\x1b[{}", "1".repeat(KEY_BYTES_MAX));
    let begun = begun.iter().map(|begun| begun.as_bytes()).chain(torn).chain([long.as_bytes()]);
    let ctrl_c = self::key(KeyCode::Char('c'), KeyModifiers::CTRL);
    every_split(b"\x1b\x03", &[plain(KeyCode::Esc), ctrl_c]);
    for begun in begun {
        for (key, letter) in [(0x03, 'c'), (0x04, 'd'), (0x1a, 'z'), (0x1c, '4')] {
            let bytes = [begun, &[key]].concat();
            assert_eq!(parsed(&[&bytes]), parsed(&[&[key]]), "{begun:?}");
            assert_eq!(parsed(&[&[key]]), [self::key(KeyCode::Char(letter), KeyModifiers::CTRL)]);
        }
        // Or silence ends it.
        assert_eq!(parsed(&[begun]), []);
    }
}

#[test]
fn a_string_without_an_end_is_bounded_in_bytes_and_in_time() {
    let x = plain(KeyCode::Char('x'));
    let flood = [b"\x1b]", &vec![b'1'; SWALLOW_BYTES_MAX][..], b"x"].concat();
    assert_eq!(parsed(&[&flood]), [x]);
    // Somebody types.
    let (mut keys, from) = (Keys::default(), Instant::now());
    keys.parse(b"\x1b]", from, &mut |_| {});
    let (mut now, mut is_typed) = (from, false);
    while !is_typed {
        assert!(now <= from + SWALLOW_WAIT_MAX + SEQUENCE_WAIT);
        now += SEQUENCE_WAIT / 2;
        keys.on_time(now, &mut |_| is_typed = true);
        keys.parse(b"1", now, &mut |_| is_typed = true);
    }
    assert!(now >= from + SWALLOW_WAIT_MAX);
}

#[test]
fn no_bytes_panic_or_parse_differently_in_pieces() {
    // All short sequences of the bytes that change the state.
    let alphabet = b"\x1b[O~;01]\\\x07AMm<?u\x03a\xc2\x9b";
    for code in 0..alphabet.len().pow(4) {
        let bytes: Vec<u8> = (0..4).map(|place| alphabet[code / alphabet.len().pow(place) % alphabet.len()]).collect();
        let whole = parsed(&[&bytes]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(parsed(&single), whole, "{bytes:?}");
    }
}

proptest::proptest! {
    #[test]
    fn random_bytes_parse_the_same_in_any_pieces(
        bytes in proptest::collection::vec(proptest::prop_oneof![
            proptest::sample::select(b"\x1b[O~;012345678:9ABCRMmuPZ<?I]\\_X^\x07\x03\x08 a\xc3\xa9\xe4\xb8\x96\xc2\x9b\x9c\x9d".to_vec()),
            proptest::num::u8::ANY,
        ], 0..40),
        len in 1_usize..8,
    ) {
        let pieces: Vec<&[u8]> = bytes.chunks(len).collect();
        assert_eq!(parsed(&pieces), parsed(&[&bytes]));
    }
}

/// Returns the events of pieces that come after so many milliseconds each. A timeout follows.
fn timed(pieces: &[(u64, &[u8])]) -> Vec<TermEvent> {
    let (mut keys, mut now) = (Keys::default(), Instant::now());
    let mut all = Vec::new();
    for &(pause, piece) in pieces {
        let until = now + Duration::from_millis(pause);
        while let Some(at) = keys.deadline().filter(|&at| at <= until) {
            keys.on_time(at, &mut |event| all.push(event));
        }
        now = until;
        keys.parse(piece, now, &mut |event| all.push(event));
    }
    keys.on_time(now + SEQUENCE_WAIT, &mut |event| all.push(event));
    assert_eq!(keys.deadline(), None, "each state ends: {pieces:?}");
    all
}

/// A part of a paste.
fn part(text: &str, continues: bool, has_end: bool) -> TermEvent {
    TermEvent::Paste { text: text.to_owned(), dropped_bytes: 0, has_end, continues }
}

#[test]
fn a_paste_goes_on_behind_a_pause_until_its_end_comes() {
    let x = plain(KeyCode::Char('x'));
    for pause in [400, 600, 2_000, 9_000] {
        let rest = b"yes\r/nick mallory\r/quit\r\x1b[201~";
        let begun = b"\x1b[200~first\rsecond\r";
        let whole = [part("first\rsecond\r", false, false), part("yes\r/nick mallory\r/quit\r", true, true)];
        let all = timed(&[(0, begun), (pause, rest), (0, b"x")]);
        assert_eq!(all, [&whole[..], std::slice::from_ref(&x)].concat());
        // In any two pieces, with pauses between.
        for at in 1..rest.len() {
            for between in [0, 30, 250] {
                assert_eq!(
                    timed(&[(0, begun), (pause, &rest[..at]), (between, &rest[at..])]).len(),
                    2 + usize::from(at == 1 && between > 50),
                    "{at}, {between}"
                );
            }
            let all = timed(&[(0, begun), (pause, &rest[..at]), (800, &rest[at..])]);
            let is_paste = |event: &TermEvent| matches!(event, TermEvent::Paste { .. });
            let keys: Vec<_> = all.iter().filter(|event| !is_paste(event)).collect();
            assert!(keys.is_empty() || at == 1, "{at}: {keys:?}");
        }
    }
    // The end alone says nothing, and what comes then is typed at once.
    let all = timed(&[(0, b"\x1b[200~a"), (800, PASTE_END), (0, b"x\r")]);
    assert_eq!(all, [part("a", false, false), x.clone(), plain(KeyCode::Enter)]);
    // A torn end, and a torn character.
    for at in 1..PASTE_END.len() {
        let begun = [b"\x1b[200~a", &PASTE_END[..at]].concat();
        assert_eq!(timed(&[(0, &begun), (800, &PASTE_END[at..]), (0, b"x")]), [part("a", false, false), x.clone()]);
    }
    let all = timed(&[(0, b"\x1b[200~a\xe4\xb8"), (800, b"\x96b\x1b[201~")]);
    assert_eq!(all, [part("a", false, false), part("\u{4e16}b", true, true)]);
}

#[test]
fn a_key_that_arrives_alone_is_typed_while_the_end_of_a_paste_is_owed() {
    let begun: (u64, &[u8]) = (0, b"\x1b[200~a\rb");
    let paste = part("a\rb", false, false);
    let keys: [(&[u8], KeyCode); 7] = [
        (b"y", KeyCode::Char('y')),
        (b"\r", KeyCode::Enter),
        ("é".as_bytes(), KeyCode::Char('é')),
        (b"\x1b[A", KeyCode::Up),
        (b"\x7f", KeyCode::Backspace),
        (b"\t", KeyCode::Tab),
        (b"\x1b", KeyCode::Esc),
    ];
    for (bytes, code) in keys {
        let all = timed(&[begun, (600, bytes), (700, bytes)]);
        assert_eq!(all, [paste.clone(), plain(code), plain(code)], "{bytes:?}");
        // What streams in behind it makes it paste.
        let all = timed(&[begun, (600, bytes), (20, b"es\r")]);
        assert_eq!(all.len(), 2, "{bytes:?}: {all:?}");
    }
    // Reports and strings are no paste, and keys without text repeat.
    let all = timed(&[begun, (600, b"\x1b[2;7R"), (600, b"\x1b]11;rgb:0/0/0\x07"), (600, b"\x1b[A\x1b[A")]);
    assert_eq!(all, [paste.clone(), TermEvent::CursorColumn(6), plain(KeyCode::Up), plain(KeyCode::Up)]);
    // The control keys wait for nothing.
    for key in *b"\x03\x04\x1a\x1c" {
        let (mut keys, now) = (Keys::default(), Instant::now());
        keys.parse(b"\x1b[200~a\rb", now, &mut |_| {});
        keys.on_time(now + PASTE_WAIT, &mut |_| {});
        let mut all = Vec::new();
        keys.parse(&[key, key], now + PASTE_WAIT, &mut |event| all.push(event));
        assert_eq!(all, parsed(&[&[key, key]]));
        let all = timed(&[begun, (600, b"x/quit\r"), (0, &[key])]);
        assert_eq!(all, [paste.clone(), TermEvent::PasteDropped]);
        let all = timed(&[begun, (600, b"n"), (0, &[key])]);
        assert_eq!(all[1..], [&[plain(KeyCode::Char('n'))], &parsed(&[&[key]])[..]].concat());
    }
}

#[test]
fn an_answer_and_enter_stand_alone_for_longer() {
    for (is_asked, key, wait) in
        [(true, b'y', PASTE_WAIT), (false, b'y', ALONE_WAIT), (false, b'\r', PASTE_WAIT), (false, b'\n', PASTE_WAIT)]
    {
        let (mut keys, now) = (Keys::default(), Instant::now());
        keys.parse(b"\x1b[200~a\rb", now, &mut |_| {});
        let now = now + PASTE_WAIT;
        keys.on_time(now, &mut |_| {});
        keys.set_asked(is_asked);
        keys.parse(&[key], now, &mut |_| {});
        assert_eq!(keys.deadline(), Some(now + wait), "{key}");
        // Byte by byte, on a very slow link.
        let (mut now, mut all) = (now, Vec::new());
        for byte in b"es\r/quit\r" {
            now += wait - Duration::from_millis(1);
            keys.on_time(now, &mut |event| all.push(event));
            keys.parse(&[*byte], now, &mut |event| all.push(event));
        }
        keys.on_time(now + PASTE_WAIT, &mut |event| all.push(event));
        let text = format!("{}es\r/quit\r", char::from(key));
        assert_eq!(all, [part(&text, true, false)]);
    }
}

#[test]
fn the_end_of_a_paste_is_not_owed_for_ever() {
    let typed = [plain(KeyCode::Char('a')), plain(KeyCode::Enter)];
    let end_wait = u64::try_from((PASTE_WAIT + PASTE_END_WAIT).as_millis()).unwrap();
    let all = timed(&[(0, b"\x1b[200~x"), (end_wait, b"a\r")]);
    assert_eq!(all, [&[part("x", false, false)][..], &typed].concat());
    // Bursts prolong it, but not for ever.
    let (mut pieces, mut millis) = (vec![(0, &b"\x1b[200~x"[..])], 0);
    while Duration::from_millis(millis) < PASTE_OPEN_MAX + PASTE_WAIT {
        pieces.push((5_000, b"a\r"));
        millis += 5_000;
    }
    pieces.push((5_000, b"a\r"));
    let all = timed(&pieces);
    assert!(all.ends_with(&typed), "{all:?}");
    // Another paste ends it.
    let all = timed(&[(0, b"\x1b[200~x"), (600, b"\x1b[200~y\x1b[201~a\r")]);
    assert_eq!(all, [&[part("x", false, false), paste("y")][..], &typed].concat());
}

#[test]
fn the_rest_of_a_torn_answer_is_swallowed_if_it_is_recognised() {
    let x = plain(KeyCode::Char('x'));
    let rest_wait = u64::try_from((REST_WAIT + SEQUENCE_WAIT).as_millis()).unwrap();
    for answer in ["\x1b]11;rgb:0000/0000/0000\x07", "\x1b]11;rgb:0000/0000/0000\x1b\\", "\x1bP>|XTerm(367)\x1b\\"] {
        let answer = answer.as_bytes();
        for at in 1..answer.len() - 1 {
            for pause in [100, 250, 400, 700, 1_500] {
                let mut all = timed(&[(0, &answer[..at]), (pause, &answer[at..]), (0, b"x")]);
                all.retain(|event| *event != plain(KeyCode::Esc));
                assert_eq!(all, std::slice::from_ref(&x), "{:?}, {pause}", String::from_utf8_lossy(&answer[..at]));
            }
        }
        // What is typed instead is typed.
        let typed: Vec<_> = "hello".chars().map(|c| plain(KeyCode::Char(c))).collect();
        for pause in [700, rest_wait] {
            assert_eq!(timed(&[(0, &answer[..8]), (pause, b"h"), (90, b"el"), (90, b"lo")]), typed);
            let all = timed(&[(0, &answer[..8]), (pause, b"hello\r")]);
            assert_eq!(all, [&typed[..], &[plain(KeyCode::Enter)]].concat());
        }
    }
    // A long one, and the begin of a paste.
    let long = [b"aGVs".repeat(100), b"\x07x".to_vec()].concat();
    assert_eq!(timed(&[(0, b"\x1b]52;c;"), (700, &long)]), std::slice::from_ref(&x));
    for at in 1..PASTE_BEGIN.len() {
        let rest = [&PASTE_BEGIN[at..], b"a\r/quit\r\x1b[201~x"].concat();
        let mut all = timed(&[(0, &PASTE_BEGIN[..at]), (700, &rest)]);
        all.retain(|event| *event != plain(KeyCode::Esc));
        assert_eq!(all, [paste("a\r/quit\r"), x.clone()], "{at}");
    }
}

#[test]
fn alt_with_a_letter_that_begins_strings_does_not_swallow_what_is_typed() {
    let typed = |text: &str| text.chars().map(|c| plain(KeyCode::Char(c))).collect::<Vec<_>>();
    let enter = plain(KeyCode::Enter);
    assert_eq!(parsed(&[b"\x1b]hello\r"]), [typed("hello"), vec![enter.clone()]].concat());
    assert_eq!(parsed(&[b"\x1bPhello\r"]), [typed("hello"), vec![enter.clone()]].concat());
    assert_eq!(parsed(&[b"\x1b]\r"]), std::slice::from_ref(&enter));
    // What looks like an answer ends at Enter.
    for begin in ["\x1b]4", "\x1bP1", "\x1b_a", "\x1b^a", "\x1bXa"] {
        assert_eq!(parsed(&[begin.as_bytes(), b"2\rx\r"]), [typed("x"), vec![enter.clone()]].concat(), "{begin:?}");
    }
}
