use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{InputModes, OptionalActions, tcgetattr, tcsetattr};

use super::*;

/// A line by which a reader knows that it has read all.
const END: &[u8] = b"!\nEND\n";

fn terminal() -> (File, File) {
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let name = ptsname(&keyboard, Vec::new()).unwrap();
    let flags = OFlags::NOCTTY.bits().cast_signed();
    let line = OpenOptions::new().read(true).write(true).custom_flags(flags).open(name.to_str().unwrap()).unwrap();
    let mut modes = tcgetattr(&line).unwrap();
    modes.input_modes |= InputModes::IUTF8;
    tcsetattr(&line, OptionalActions::Now, &modes).unwrap();
    (keyboard.into(), line)
}

/// The input that the reader of a terminal reads, with a mark for each EOF, and the text on the screen.
#[derive(Debug, PartialEq, Eq)]
struct Result {
    read: Vec<u8>,
    screen: String,
}

impl Result {
    fn new(read: Vec<u8>, echo: &[u8]) -> Result {
        let mut screen = vt100::Parser::new(NonZero::new(24).unwrap(), NonZero::new(80).unwrap(), 0);
        screen.process(echo);
        // Which blanks an erased tab leaves is of no interest.
        let screen = screen.screen().contents().lines().map(|line| format!("{}\n", line.trim_end())).collect();
        Result { read, screen }
    }

    fn of_kernel(keys: &[u8], (keyboard, line): &mut (File, File)) -> Result {
        keyboard.write_all(&[keys, END].concat()).unwrap();
        let (mut read, mut echo, mut buffer) = (Vec::new(), Vec::new(), [0; 8_192]);
        while !read.ends_with(b"END\n") {
            match line.read(&mut buffer).unwrap() {
                0 => read.push(0),
                count => read.extend(&buffer[..count]),
            }
        }
        while !echo.ends_with(b"END\r\n") {
            let count = keyboard.read(&mut buffer).unwrap();
            echo.extend(&buffer[..count]);
        }
        Result::new(read, &echo)
    }

    fn of_ours(keys: &[u8], edit_keys: &EditKeys) -> Result {
        let (mut line, mut echo, mut read) = (TypedLine::default(), Vec::new(), Vec::new());
        for &key in [keys, END].concat().iter() {
            if line.press(key, edit_keys, &mut echo, &mut read) {
                read.push(0);
            }
        }
        assert!(line.is_empty(), "{line:?}");
        let echo = String::from_utf8(echo).unwrap().replace('\n', "\r\n");
        Result::new(read, echo.as_bytes())
    }
}

#[test]
fn it_edits_as_the_kernel_does() {
    let mut terminal = terminal();
    let keys = EditKeys::of(&tcgetattr(&terminal.1).unwrap());
    for typed in [
        &b"hello\n"[..],
        b"nx\x7fo\n\x7f\n",
        b"a word, another_one --\x17\x17b\n",
        b"none of it\x15all of it\n",
        b"\x16\x03\x16\x7f\x16\x15\x16\x16x\x7f\x7f\n",
        b"half\x12 a line\n",
        b"half\x04\x7f\x7fwhole\n",
        b"half\x04\x04whole\n",
        b"\x04a\n\x04",
        b"a\tb\t\x7f\x7f\x7fc\n",
        b"\t\x01\x1b[A\x7f\x7f\x7f\n",
        "né\u{e9}\x7f\x7fe\n".as_bytes(),
        b"\x17\x7f\x15\x12\n",
        b"a\x16",
    ] {
        assert_eq!(
            Result::of_ours(typed, &keys),
            Result::of_kernel(typed, &mut terminal),
            "{:?}",
            typed.escape_ascii()
        );
    }
}

#[test]
fn it_edits_as_the_kernel_does_whatever_is_typed() {
    let mut terminal = terminal();
    let keys = EditKeys::of(&tcgetattr(&terminal.1).unwrap());
    let typed: &[&str] =
        &["a", "b_", " ", "-", "\u{e9}", "\t", "\n", "\x01", "\x7f", "\x7f", "\x17", "\x15", "\x16", "\x12", "\x04"];
    let mut random: u32 = 1;
    for _ in 0..2_000 {
        let typed: String = std::iter::repeat_with(|| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            typed[(random >> 16) as usize % typed.len()]
        })
        .take(12)
        .collect();
        // A word of the kernel's is ASCII: it takes a part of a letter for none.
        let typed = if typed.contains('\x17') { typed.replace('\u{e9}', "e") } else { typed };
        // Behind the mark of a quote, it leaves a part of the mark.
        let typed = if typed.contains('\x16') { typed.replace('\t', "t") } else { typed };
        // The kernel does not show again what it has handed over.
        let typed = if typed.contains('\x04') { typed.replace('\x12', "r") } else { typed };
        let (ours, theirs) =
            (Result::of_ours(typed.as_bytes(), &keys), Result::of_kernel(typed.as_bytes(), &mut terminal));
        assert_eq!(ours, theirs, "{typed:?}");
    }
}

#[test]
fn a_key_that_is_disabled_or_remapped_is_text_or_does_its_new_work() {
    let mut terminal = terminal();
    let mut modes = tcgetattr(&terminal.1).unwrap();
    for index in [SpecialCodeIndex::VREPRINT, SpecialCodeIndex::VWERASE, SpecialCodeIndex::VEOF] {
        modes.special_codes[index] = 0;
    }
    modes.special_codes[SpecialCodeIndex::VERASE] = 8;
    modes.special_codes[SpecialCodeIndex::VKILL] = b'@';
    modes.special_codes[SpecialCodeIndex::VEOL] = b';';
    for has_extended in [true, false] {
        modes.local_modes.set(LocalModes::IEXTEN, has_extended);
        tcsetattr(&terminal.1, OptionalActions::Now, &modes).unwrap();
        let keys = EditKeys::of(&modes);
        for typed in [&b"a\x12b\x17c\x04\n"[..], b"a\x08b\x7f\n", b"a@b\n", b"one; two;\n", b"a\x16\x08\n"] {
            let theirs = Result::of_kernel(typed, &mut terminal);
            assert_eq!(Result::of_ours(typed, &keys), theirs, "{:?}", typed.escape_ascii());
        }
    }
}

#[test]
fn wide_characters_and_broken_ones_are_erased_whole() {
    let keys = EditKeys::of(&tcgetattr(&terminal().1).unwrap());
    for (typed, left, columns) in [
        ("a\u{4e16}\x7f".as_bytes(), &b"a"[..], 2),
        ("a\u{1f44d}\x7f".as_bytes(), b"a", 2),
        (b"a\xe9\x7f", b"a", 1),
        (b"a\xe4\xb8\x7f", b"a\xe4", 1),
        ("\u{e9}\u{e8} \u{e9}t\u{e9}\x17".as_bytes(), "\u{e9}\u{e8} ".as_bytes(), 3),
    ] {
        let (mut line, mut echo) = (TypedLine::default(), Vec::new());
        typed.iter().for_each(|&key| assert!(!line.press(key, &keys, &mut echo, &mut Vec::new())));
        assert_eq!(line.bytes, left);
        assert_eq!(echo.split(|&byte| byte == 8).count() - 1, 2 * columns, "{:?}", typed.escape_ascii());
    }
}

#[test]
fn a_line_of_any_length_is_handed_over_whole_and_takes_bounded_memory() {
    let keys = EditKeys::of(&tcgetattr(&terminal().1).unwrap());
    let (mut line, mut input, mut typed) = (TypedLine::default(), Vec::new(), Vec::new());
    for number in 0..100_000 {
        let key = b'a' + u8::try_from(number % 26).unwrap();
        typed.push(key);
        line.press(key, &keys, &mut Vec::new(), &mut input);
        assert!(line.bytes.len() <= EDITED_BYTES_MAX && !line.is_empty());
    }
    line.press(b'\n', &keys, &mut Vec::new(), &mut input);
    assert_eq!(input, [&typed[..], b"\n"].concat());
    assert!(line.is_empty());
}
