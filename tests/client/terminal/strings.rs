//! Input that is not typed: pastes without an end, and what a terminal answers to questions.

use std::time::{Duration, Instant};

use super::server::{hear_to_the_end, talk};
use super::window::Window;

/// A note about a paste without an end.
const NO_END: &str = "-- the terminal did not end a paste: what came so far is taken";

#[test]
fn a_paste_without_an_end_is_taken_after_a_silence() {
    let mut talk = talk(20, 80, &[]);
    talk.window.press("\x1b[200~x");
    talk.window.shows(&[NO_END, "ana> x"]);
    // Alone, each key is typed.
    talk.window.press("y");
    talk.window.shows(&["ana> xy"]);
    talk.window.press("\r");
    talk.hears("xy\n");
    // One of several lines is asked about, like any other.
    talk.window.press("\x1b[200~one\rtwo");
    talk.window.shows(&[NO_END, "| one", "| two", "send these 2 lines? [y/n]"]);
    talk.window.press("n\x03");
    assert_eq!(hear_to_the_end(&mut talk.server), "");
}

/// The note about a second paste at a question.
const ADDED: &str = "-- added to what was pasted before";

/// Waits for that long.
fn pause(window: &mut Window, millis: u64) {
    let from = Instant::now();
    window.wait_until("a pause", |_| from.elapsed() >= Duration::from_millis(millis));
}

#[test]
fn a_paste_that_pauses_answers_nothing_and_is_not_obeyed() {
    for rest in ["yes\r/nick mallory\r/quit\r", "y", "\r/quit\r", "y\r"] {
        let mut talk = talk(30, 80, &[]);
        talk.window.press("\x1b[200~first\rsecond\r");
        talk.window.shows(&[NO_END, "| first", "| second", "send these 2 lines? [y/n]"]);
        pause(&mut talk.window, 300);
        talk.window.press(&format!("{rest}\x1b[201~"));
        let lines: Vec<&str> =
            ["first", "second"].into_iter().chain(rest.split('\r').filter(|l| !l.is_empty())).collect();
        talk.window.shows(&[&format!("send these {} lines? [y/n]", lines.len())]);
        talk.window.press("y");
        for line in lines {
            let say = if line.starts_with('/') { "/say " } else { "" };
            talk.hears(&format!("{say}{line}\n"));
        }
        // All is as before.
        talk.window.press("typed\r\x04");
        assert_eq!(hear_to_the_end(&mut talk.server), "typed\n", "{rest:?}");
    }
    // One that never ends is asked about in parts, and a key alone answers.
    let mut talk = talk(30, 80, &[]);
    talk.window.press("\x1b[200~/quit");
    talk.window.shows(&[NO_END, "ana> /quit"]);
    talk.window.press("\r/quit\r");
    talk.window.shows(&["| /quit", "| /quit", "send these 2 lines? [y/n]"]);
    talk.window.press("yes\r");
    talk.window.shows(&["| yes", ADDED, "send these 3 lines? [y/n]"]);
    talk.window.press("y");
    talk.hears("/say /quit\n/say /quit\nyes\n");
    talk.window.press("\x03");
    assert_eq!(hear_to_the_end(&mut talk.server), "");
}

#[test]
fn a_second_paste_at_a_question_is_asked_about_too() {
    let mut talk = talk(30, 80, &[]);
    talk.window.press("\x1b[200~one\rtwo\x1b[201~\x1b[200~y\x1b[201~\x1b[200~three\r/quit\x1b[201~");
    talk.window.shows(&["| three", "| /quit", ADDED, "send these 5 lines? [y/n]"]);
    talk.window.press("y");
    talk.hears("one\ntwo\ny\nthree\n/say /quit\n");
    talk.window.press(" /who\r");
    talk.window.shows(&["say this to the room? [y/n]"]);
    talk.window.press("\x1b[200~y\ry\x1b[201~");
    talk.window.shows(&["-- paste dropped: first answer the question", "say this to the room? [y/n]"]);
    talk.window.press("n");
    talk.window.shows(&["ana>  /who"]);
}

#[test]
fn alt_and_a_bracket_swallow_nothing_that_is_typed() {
    let mut talk = talk(20, 80, &[]);
    talk.window.press("\x1b]hello\r");
    talk.hears("hello\n");
    talk.window.press("\x1b]4");
    talk.window.press("2\rworld\r");
    talk.hears("world\n");
    talk.window.press("\x1b]\x03");
    assert_eq!(hear_to_the_end(&mut talk.server), "");
}

#[test]
fn a_torn_answer_of_the_terminal_is_not_typed() {
    let mut talk = talk(20, 80, &[]);
    let answer = "\x1b]11;rgb:0000/0000/0000\x07";
    for (at, millis) in [(1, 400), (2, 700), (9, 700), (20, 1_200)] {
        talk.window.press(&format!("AB{}", &answer[..at]));
        pause(&mut talk.window, millis);
        talk.window.press(&format!("{}CD\r", &answer[at..]));
        talk.hears("ABCD\n");
    }
}

#[test]
fn a_control_key_drops_a_paste_without_an_end() {
    for key in ["\x03", "\x04", "\x1a", "\x1c"] {
        let mut talk = talk(20, 80, &[]);
        talk.window.press(&format!("half \x1b[200~x\r/nick mallory\r{key}/nick mallory\r{key}"));
        talk.window.shows(&["-- paste dropped at a control key", "ana> half"]);
        // The rest of a burst may come late, and is text. A key alone is typed.
        talk.window.press("a word");
        talk.window.shows(&["ana> half a word"]);
        talk.window.press("\r");
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
    let from = Instant::now();
    talk.window.wait_until("a silence", |_| from.elapsed() > Duration::from_secs(1));
    talk.window.press("CD\r");
    talk.hears("ABCD\n");
}
