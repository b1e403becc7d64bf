use mio::Poll;

use super::*;

/// A line in a new pseudo-terminal, with the modes of a new terminal.
fn line(change: impl FnOnce(&mut Termios)) -> (Poll, KernelLine) {
    let poll = Poll::new().unwrap();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    let mut modes = tcgetattr(&terminal).unwrap();
    modes.input_modes |= InputModes::IUTF8;
    change(&mut modes);
    let line = KernelLine::open(poll.registry(), Token(0), &modes).unwrap();
    (poll, line)
}

/// Presses keys, and returns the input once all was answered.
fn press(line: &mut KernelLine, keys: &[u8]) -> Vec<u8> {
    let (mut input, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(10));
    line.press(keys, true);
    let mut settled = Instant::now();
    loop {
        let news = line.step(Instant::now());
        if news.is_some() || !line.is_settled() {
            settled = Instant::now();
        }
        match news {
            Some(News::Input(bytes)) => input.extend(bytes),
            Some(News::Echo(echo)) => line.note_echo(&echo),
            Some(News::CutLine) => input.extend(b"CUT\n"),
            Some(News::EndOfInput) => input.extend(b"EOF\n"),
            Some(News::Again) => input.extend(b"AGAIN\n"),
            // The kernel echoes a key that needs no answer in its own time.
            None if line.is_settled() && settled.elapsed() > Duration::from_millis(50) => return input,
            None if line.is_settled() => continue,
            None => assert!(Instant::now() < deadline, "{line:?}"),
        }
    }
}

#[test]
fn an_answer_in_pieces_is_an_answer() {
    let whole = b"kept\x08 \x08\xff\nkep\xff\nkepmore";
    for first in 0..whole.len() {
        for second in first..whole.len() {
            let (_poll, mut line) = line(|_| ());
            line.ask(Instant::now(), None);
            let mut shown = Vec::new();
            for piece in [&whole[..first], &whole[first..second], &whole[second..]] {
                line.echo.extend(piece);
                while let Some(news) = line.take_echo() {
                    let News::Echo(echo) = news else { panic!("{news:?}") };
                    line.note_echo(&echo);
                    shown.extend(echo);
                }
            }
            assert_eq!(shown, b"kept\x08 \x08more");
            assert!(line.text() == b"kepmore" && line.is_begun() && line.question.is_none(), "{line:?}");
        }
    }
}

#[test]
fn a_line_is_begun_until_the_kernel_says_that_it_is_empty() {
    let (_poll, mut line) = line(|_| ());
    for (keys, input, text) in [
        (&b"two words"[..], &b""[..], &b"two words"[..]),
        (b"\x17", b"", b"two "),
        (b"\x17", b"", b""),
        (b"x\x7f\x7f", b"", b""),
        (b"none\x15", b"", b""),
        (b"\x16\x7f", b"", b"^?"),
        (b"\x7f", b"", b""),
        (b"\x16", b"", b"^\x08"),
        (b"\x16\x7f", b"", b""),
        ("\u{e9}\u{e8}\x7f".as_bytes(), b"", "\u{e9}".as_bytes()),
        (b"\x15line\r", b"line\n", b""),
        (b"one\ntwo\nthr", b"one\ntwo\n", b"thr"),
        // What was handed over stays on the screen.
        (b"ee\x04", b"three", b"three"),
        (b" fo", b"", b"three fo"),
        (b"\x7f\x7f\x7f\x7f", b"", b"three"),
        (b"\n", b"\n", b""),
        (b"\xff\n", b"\xfe\n", b""),
        (b"a\x12", b"AGAIN\n", b"a"),
        (b"\x15\x04", b"EOF\n", b""),
    ] {
        let read = press(&mut line, keys);
        let case = keys.escape_ascii();
        assert_eq!(read.escape_ascii().to_string(), input.escape_ascii().to_string(), "{case}");
        assert_eq!(line.text().escape_ascii().to_string(), text.escape_ascii().to_string(), "{case}");
        assert_eq!(line.is_begun(), !text.is_empty(), "{case}");
    }
}

#[test]
fn a_key_that_is_disabled_or_remapped_is_text_or_does_its_new_work() {
    let (_poll, mut line) = line(|modes| {
        for index in [SpecialCodeIndex::VREPRINT, SpecialCodeIndex::VWERASE, SpecialCodeIndex::VEOF] {
            modes.special_codes[index] = 0;
        }
        modes.special_codes[SpecialCodeIndex::VERASE] = 8;
        modes.special_codes[SpecialCodeIndex::VKILL] = b'@';
        modes.special_codes[SpecialCodeIndex::VEOL] = b';';
    });
    assert_eq!(press(&mut line, b"a\x12b\x17c\x04\n"), b"a\x12b\x17c\x04\n");
    assert_eq!(press(&mut line, b"a\x08b\x7f\n"), b"b\x7f\n");
    assert_eq!(press(&mut line, b"a@b\n"), b"b\n");
    assert_eq!(press(&mut line, b"one; two;"), b"one; two;");
    assert_eq!(line.text(), b"one; two;");
}

#[test]
fn a_terminal_without_extended_keys_has_none() {
    let (_poll, mut line) = line(|modes| modes.local_modes -= LocalModes::IEXTEN);
    assert_eq!(press(&mut line, b"a\x12b\x17c\x16d\n"), b"a\x12b\x17c\x16d\n");
    assert_eq!(press(&mut line, b"a\x7fb\n"), b"b\n");
}
