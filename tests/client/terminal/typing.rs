//! The typed line: what becomes of it while others talk, in windows of any size, and what the keys do.

use std::io::Write;

use super::server::talk;
use super::window::Answers;

#[test]
fn half_a_typed_sentence_survives_500_incoming_lines() {
    // So high that nothing scrolls out.
    let mut talk = talk(1000, 60, &[]);
    let sentence = "half a sentence, wide 世界 and 👍, that is being typed";
    let mut said = String::new();
    let mut typed = sentence.chars();
    for number in 0..500 {
        let line = format!("ben> line {number} {}\n", "x".repeat(number % 70));
        // Torn at a place that is never the same.
        let (first, second) = line.as_bytes().split_at(number % line.len());
        talk.server.write_all(first).unwrap();
        if number % 10 == 0 {
            talk.window.press(&typed.next().map(String::from).unwrap_or_default());
        }
        talk.server.write_all(second).unwrap();
        said.push_str(&line);
    }
    talk.window.press(&typed.collect::<String>());
    talk.window.wait_until("all of it", |window| {
        window.screen().contents().ends_with(&format!("\nana> {sentence}"))
            && window.screen().contents().contains("line 499")
    });
    // Everything else, in order, once, and nothing between; a line that does not fit is wrapped and indented.
    let contents = talk.window.screen().contents();
    let (_, from_first) = contents.split_once("now ana\n").unwrap();
    assert_eq!(from_first.replace("\n     ", ""), format!("{said}ana> {sentence}"));
    talk.window.press("!\r");
    talk.hears(&format!("{sentence}!\n"));
}

#[test]
fn what_scrolls_out_is_in_the_scrollback_once() {
    let mut talk = talk(8, 40, &[]);
    talk.window.press("half");
    for number in 0..100 {
        talk.say(&format!("ben> {number}\n"));
    }
    talk.window.shows(&["ben> 98", "ben> 99", "ana> half"]);
    let rows = talk.window.scrollback();
    let numbers: Vec<&str> = rows.iter().filter_map(|row| row.strip_prefix("ben> ")).collect();
    assert_eq!(numbers, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(rows.iter().filter(|row| row.contains("half")).count(), 1);
}

#[test]
fn a_window_resized_in_the_middle_of_a_word_loses_neither_the_word_nor_a_line() {
    for answers in [Answers::Yes, Answers::No] {
        let mut talk = talk(10, 60, &[]);
        talk.window.set_answers(answers);
        talk.say("ben> one\nben> two\n");
        talk.window.press("a sentence with 世界 in it that will be resized in the mid");
        talk.window.wait_until("the end of it", |window| window.rows().pop().unwrap().ends_with("the mid"));
        for columns in [30, 20, 80, 7, 60] {
            // The emulator does not know that a line is not to be wrapped, so a frame for the old width would tear it:
            // the next size has to wait for the frame for this one.
            let before = talk.window.written.len();
            talk.window.resize(10, columns);
            let room = usize::from(columns);
            talk.window.wait_until("the line in its new width", |window| {
                let is_drawn = memchr::memmem::find(&window.written[before..], b"\x1b[?7h").is_some();
                let row = window.rows().pop().unwrap();
                let prompt = if room > 12 { "ana> " } else { "> " };
                is_drawn && row.starts_with(prompt) && row.ends_with("id") && row.len() <= room + 4
            });
        }
        talk.window.press("dle\r");
        talk.hears("a sentence with 世界 in it that will be resized in the middle\n");
        // The emulator cuts off what does not fit; what was short enough is all there, and nothing else.
        talk.window.wait_until("an empty line", |window| window.rows().pop().unwrap() == "ana>");
        let rows = talk.window.rows();
        assert!(
            rows.ends_with(&[
                "ana> a sentence with 世界 in it that will be resized in the".into(),
                "     middle".into(),
                "ana>".into()
            ]),
            "{rows:#?}"
        );
        assert_eq!(rows.iter().filter(|row| row.starts_with("ben>")).count(), 2, "{rows:#?}");
    }
}

#[test]
fn a_storm_of_resizes_leaves_one_line() {
    let mut talk = talk(12, 60, &[]);
    talk.window.press("some text that is longer than the narrow windows are");
    for round in 0..200_u16 {
        talk.window.resize(4 + round % 9, 1 + round * 37 % 70);
        if round % 20 == 0 {
            talk.say("ben> hello\n");
        }
    }
    talk.window.resize(30, 70);
    talk.say("ben> done\n");
    talk.window.shows(&["ben> done", "ana> some text that is longer than the narrow windows are"]);
    talk.window.press("!\r");
    talk.hears("some text that is longer than the narrow windows are!\n");
}

#[test]
fn a_window_of_one_column_can_be_typed_in() {
    let mut talk = talk(5, 20, &[]);
    for columns in [1, 2, 3, 4, 5] {
        talk.window.resize(5, columns);
        talk.say("ben> wide 世界\n");
        talk.window.press("x世");
    }
    talk.window.press("\r");
    talk.hears(&format!("{}\n", "x世".repeat(5)));
    talk.window.resize(5, 40);
    talk.window.wait_until("the prompt", |window| window.rows().pop().unwrap() == "ana>");
}

#[test]
fn wide_text_is_edited_by_what_one_sees_as_one_character() {
    let mut talk = talk(5, 30, &[]);
    talk.window.press("世界 e\u{301}👍🏽 end");
    talk.window.shows(&["ana> 世界 e\u{301}👍🏽 end"]);
    // To the beginning of the thumb, and away with what stands before it.
    talk.window.press("\x02\x02\x02\x02\x02\x7f");
    talk.window.shows(&["ana> 世界 👍🏽 end"]);
    assert_eq!(talk.window.screen().cursor_position().1, 10);
    talk.window.press("\x1b[3~\x01\x1b[3~\x1b[F!");
    talk.window.shows(&["ana> 界  end!"]);
    talk.window.press("\r");
    talk.hears("界  end!\n");
}

#[test]
fn a_line_longer_than_the_window_scrolls_sideways_in_its_one_row() {
    let mut talk = talk(6, 20, &[]);
    talk.say("ben> above\n");
    let text = "one two three four five six seven eight nine ten";
    talk.window.press(text);
    talk.window.wait_until("its end", |window| window.rows().pop().unwrap().ends_with("ten"));
    talk.window.press("\x01");
    talk.window.shows(&["ben> above", "ana> one two three"]);
    assert_eq!(talk.window.screen().cursor_position().1, 5);
    talk.window.press("\r");
    talk.hears(&format!("{text}\n"));
}

#[test]
fn a_paste_of_several_lines_is_shown_and_sent_only_if_asked_for() {
    let mut talk = talk(20, 60, &[]);
    talk.window.press("half a sen\x1b[200~first\rsecond\r\r/third\r\x1b[201~");
    talk.window.shows(&["| first", "| second", "| /third", "send these 3 lines? [y/n]"]);
    talk.window.press("\rn");
    talk.window.shows(&["| /third", "ana> half a sen"]);
    talk.window.press("\x1b[200~first\nsecond\x1b[201~");
    talk.window.shows(&["| first", "| second", "send these 2 lines? [y/n]"]);
    talk.window.press("y");
    talk.window.shows(&["ana> first", "ana> second", "ana> half a sen"]);
    talk.hears("first\nsecond\n");
    // One of one line goes on with the line.
    talk.window.press("\x1b[200~tence\r\x1b[201~");
    talk.window.shows(&["ana> half a sentence"]);
    talk.window.press("\r");
    talk.hears("half a sentence\n");
}

#[test]
fn a_paste_that_is_too_long_is_cut_and_that_is_told() {
    let mut talk = talk(20, 60, &[]);
    let line = format!("{}\r", "x".repeat(999));
    talk.window.press_in_pieces(&format!("\x1b[200~{}\x1b[201~", line.repeat(70)));
    talk.window.shows(&["| … and 56 more", "send these 66 lines? [y/n]"]);
    talk.window.press("n");
    talk.window.shows(&["ana>"]);
    let told = "-- paste too long: dropped its last 4464 bytes";
    assert!(talk.window.scrollback().iter().any(|row| row == told));
}

#[test]
fn lines_typed_before_come_back_and_names_are_completed() {
    let mut talk = talk(20, 60, &[]);
    talk.say("benedict> hi\n* berta joined\n");
    talk.window.shows(&["benedict> hi", "* berta joined", "ana>"]);
    for line in ["first", "second"] {
        talk.types(line);
    }
    talk.window.press("dra\x1b[A\x1b[A");
    talk.window.shows(&["ana> second", "ana> first"]);
    talk.window.press("\x1b[B\x1b[B");
    talk.window.shows(&["ana> second", "ana> dra"]);
    talk.window.press("\x15be\t");
    talk.window.shows(&["ana> berta:"]);
    talk.window.press("\thello\r");
    talk.hears("benedict: hello\n");
}

#[test]
fn ctrl_l_clears_the_screen_and_keeps_the_scrollback() {
    let mut talk = talk(6, 40, &[]);
    talk.say("ben> one\n");
    talk.window.press("half");
    talk.window.shows(&["ben> one", "ana> half"]);
    talk.window.press("\x0c");
    talk.window.wait_until("an empty screen", |window| {
        window.rows().iter().filter(|row| !row.is_empty()).collect::<Vec<_>>() == ["ana> half"]
    });
    assert!(talk.window.scrollback().contains(&"ben> one".to_owned()));
}

#[test]
fn escape_sequences_that_are_torn_apart_are_still_keys() {
    let mut talk = talk(6, 40, &[]);
    talk.window.press("ac");
    for byte in ["\x1b", "[", "D", "b"] {
        talk.window.press(byte);
    }
    talk.window.shows(&["ana> abc"]);
}
