//! Characters that are replaced, dropped or passed.

use super::*;

#[test]
fn invalid_utf8_is_replaced() {
    let server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    let inputs: [&[u8]; 10] = [
        b"\xfe",
        b"a\xfeb\xfec",
        b"\x80\x9b",
        b"cut \xe2\x82",
        b"\xe2\x82 cut",
        b"overlong \xc0\xaf \xe0\x80\x8a",
        b"surrogates \xed\xa0\x80\xed\xb0\x80",
        b"beyond \xf4\x90\x80\x80",
        b"\xf0\x9f\x92",
        b"latin1 caf\xe9",
    ];
    for input in inputs {
        a.send_line(input);
        b.expect(a.says(String::from_utf8_lossy(input)));
    }
}

#[test]
fn each_character_that_a_terminal_would_obey_is_replaced() {
    let server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    // A first line with a control character would be that of a binary protocol.
    a.send_line("text");
    b.expect(a.says("text"));
    let controls = ('\0'..='\u{9f}').filter(|c| c.is_control() && !matches!(c, '\0' | '\t' | '\n' | '\r'));
    let bidi = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
    let others = "\u{2028}\u{2029}";
    for c in controls.chain(bidi.chars()).chain(others.chars()) {
        a.send_line(format!("a{c}b"));
        b.expect(a.says("a\u{fffd}b"));
        a.send_line(format!("{c}x{c}{c}y"));
        b.expect(a.says("\u{fffd}x\u{fffd}\u{fffd}y"));
    }
}

#[test]
fn a_carriage_return_ends_a_line() {
    let server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    a.send("one\rx\n\rhello\ntwo\r\r\nthree\r\0four\n");
    b.expect_all(["one", "x", "hello", "two", "three", "four"].map(|text| a.says(text)));
}

#[test]
fn padding_is_dropped() {
    let server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    a.send([&b"hello\n"[..], &[0; 8_186], b"\xef\xbb\xbfn\0ext\xef\xbb\xbf\n"].concat());
    b.expect_all(["hello", "next\u{fffd}"].map(|text| a.says(text)));
}

#[test]
fn what_only_looks_special_passes() {
    let server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    let texts = [
        "a\tb",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "nbsp\u{a0}here",
        "soft\u{ad}hyphen",
        "e\u{301} stays as it came",
        "\u{200b}\u{200c}\u{2060}",
        "\u{202f}\u{2065}\u{2027}\u{200a}",
        "\u{10ffff}\u{e000}\u{fffd}",
        "שלום العربية",
    ];
    for text in texts {
        a.send_line(text);
        b.expect(a.says(text));
    }
}

#[test]
fn private_messages_are_cleaned_as_well() {
    let server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    a.send_line([format!("/msg {} ", b.name()).as_bytes(), b"\x1b[2J\xfe"].concat());
    b.expect(format!("* {} tells you: \u{fffd}[2J\u{fffd}", a.name()));
    a.expect(format!("* you told {}: \u{fffd}[2J\u{fffd}", b.name()));
}

#[test]
fn what_the_server_quotes_of_a_client_is_cleaned() {
    let server = Server::quiet(&[]);
    let mut a = server.join();
    for line in ["/no\u{1b}pe", "/nick \u{1b}[2J", "/msg \u{1b}\u{202e}x hi", "/\u{9b}\u{2028}"] {
        a.send_line(line);
        let notice = a.expect_notice();
        let is_fine = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{202e}');
        assert!(notice.chars().all(is_fine), "{notice:?}");
    }
}

#[test]
fn a_greeting_is_one_clean_notice_or_refused() {
    let start = Server::builder().flags(["--listen", "127.0.0.1:0", "--greeting", "a\u{1b}[2J\nFIN\nb"]);
    let mut command = start.command();
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().expect("the server starts");
    let mut first = [0; 1];
    let count = child.stdout.take().expect("a pipe").read(&mut first).expect("it listens, or ends");
    let _ = child.kill();
    let status = child.wait().expect("the child is ours");
    if count == 0 {
        assert_eq!(status.code(), Some(2), "a greeting that it will not take is a bad flag");
        return;
    }
    let server = Server::quiet(&["--greeting", "a\u{1b}[2J\nFIN\nb"]);
    let mut a = server.join();
    for line in a.who() {
        assert!(line.starts_with("* ") && !line.contains('\u{1b}'), "{line:?}");
    }
}
