//! Input that is not typed: pastes without an end, and what a terminal answers to questions.

use super::server::{hear_to_the_end, talk};

/// A note about a paste without an end.
const NO_END: &str = "-- the terminal did not end a paste: what came so far is taken";

#[test]
fn a_paste_without_an_end_is_taken_after_a_silence() {
    let mut talk = talk(20, 80, &[]);
    talk.window.press("\x1b[200~x");
    talk.window.shows(&[NO_END, "ana> x"]);
    talk.window.press("y\r");
    talk.hears("xy\n");
    // One of several lines is asked about, like any other.
    talk.window.press("\x1b[200~one\rtwo");
    talk.window.shows(&[NO_END, "| one", "| two", "send these 2 lines? [y/n]"]);
    talk.window.press("n\x03");
    assert_eq!(hear_to_the_end(&mut talk.server), "");
}

#[test]
fn a_control_key_drops_a_paste_without_an_end() {
    for key in ["\x03", "\x04", "\x1a", "\x1c"] {
        let mut talk = talk(20, 80, &[]);
        talk.window.press(&format!("half \x1b[200~x\r/nick mallory\r{key}/nick mallory\r{key}"));
        talk.window.shows(&["-- paste dropped at a control key", "ana> half"]);
        talk.window.press("a word\r");
        talk.hears("half a word\n");
        talk.window.press("\x04");
        assert_eq!(hear_to_the_end(&mut talk.server), "");
    }
}

#[test]
fn control_keys_work_whatever_was_begun() {
    let begun =
        ["\x1b", "\x1b[", "\x1b[1;", "\x1bO", "\x1b[M!", "\x1b]11;rgb:", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\u{9d}"];
    for begun in begun {
        let mut talk = talk(20, 80, &[]);
        talk.window.press(&format!("{begun}\x03"));
        assert_eq!(hear_to_the_end(&mut talk.server), "", "{begun:?}");
    }
}

#[test]
fn what_a_terminal_answers_is_not_typed() {
    let mut talk = talk(20, 80, &[]);
    let answers = [
        "\x1b]11;rgb:0000/0000/0000\x07",
        "\x1b]11;rgb:0000/0000/0000\x1b\\",
        "\u{9d}11;rgb:0000/0000/0000\u{9c}",
        "\x1b]52;c;aGVsbG8K\x07",
        "\x1b]lthe title\x1b\\",
        "\x1bP1+r544e=787465726d\x1b\\",
        "\x1bP>|XTerm(367)\x1b\\",
        "\x1b_Gi=31;OK\x1b\\",
        "\x1b^note\x1b\\",
        "\x1bXtext\x1b\\",
        "\x1b[?62;22c",
        "\x1b[>41;354;0c",
        "\x1b[12;7R",
        "\x1b[?2004;1$y",
        "\x1b[?31u",
        "\x1b[I\x1b[O",
        "\x1b[<0;10;12M\x1b[<0;10;12m",
        "\x1b[M !!",
        "\x1b[32;10;12M",
        "\x1b[8;24;80t",
        "\x1b[97;1:3u",
    ];
    for answer in answers {
        talk.window.press(&format!("AB{answer}CD\r"));
        talk.hears("ABCD\n");
    }
    // One that is torn is over after a silence.
    talk.window.press("AB\x1b]11;rgb:00");
    talk.window.shows(&["ana> AB"]);
    let from = std::time::Instant::now();
    talk.window.wait_until("a silence", |_| from.elapsed() > std::time::Duration::from_secs(1));
    talk.window.press("CD\r");
    talk.hears("ABCD\n");
}
