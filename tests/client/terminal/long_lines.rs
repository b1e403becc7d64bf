//! Lines that are longer than the window, or than the server's limit.

use super::server::{Relay, client_of, talk};
use super::window::Window;

#[test]
fn the_rest_of_a_line_never_looks_like_a_line_of_its_own() {
    // In fewer columns there is no prompt to wait for.
    for columns in 5..70_u16 {
        let mut talk = talk(200, columns, &[]);
        let wide = format!("ben> {}ana> I resign", "世".repeat(30));
        let marks = format!("ben> {}ana> I resign", "e\u{301}".repeat(60));
        let tabs = format!("ben> {}\tana> I resign", "\t".repeat(usize::from(columns) / 8));
        let blanks = format!("ben> {}ana> I resign", " ".repeat(usize::from(columns).saturating_sub(5)));
        let emoji = format!("ben> {}ana> I resign", "👩\u{200d}👩\u{200d}👧👍🏽❤\u{fe0f}".repeat(9));
        for line in [&wide, &marks, &tabs, &blanks, &emoji] {
            talk.say(&format!("{line}\n"));
        }
        talk.say("ben> done\n");
        talk.window.wait_until("all of it", |window| {
            let rows = window.rows();
            let above = rows.len().saturating_sub(2);
            rows[above..].first().is_some_and(|row| row.ends_with("done")) && rows[above + 1].ends_with('>')
        });
        let mut rows = talk.window.rows();
        rows.pop();
        let begin = rows.iter().filter(|row| row.starts_with("ana")).count();
        assert_eq!(begin, 0, "in {columns}: {rows:#?}");
        let text: String = rows.concat().replace(' ', "");
        assert_eq!(text.matches("ana>Iresign").count(), 5, "in {columns}: {text}");
    }
}

#[test]
fn a_character_that_is_wider_than_counted_wraps_nothing() {
    let mut talk = talk(20, 40, &[]);
    talk.say("ben> hello\n");
    talk.window.shows(&["ben> hello", "ana>"]);
    let page = memchr::memmem::rfind(&talk.window.written, b" hello").unwrap();
    let off = memchr::memmem::rfind(&talk.window.written[..page], b"\x1b[?7l").unwrap();
    assert!(memchr::memmem::find(&talk.window.written[off..page], b"\x1b[?7h").is_none());
}

#[test]
fn a_line_over_the_usual_limit_comes_back_to_be_edited() {
    let relay = Relay::start("127.0.0.1:0", &[]);
    let mut window = Window::open(40, 150, &client_of(relay.address, &["--nick", "ana"]));
    window.shows(&["ana>"]);
    let line = format!("begin {} end", "x".repeat(5000));
    window.press_in_pieces(&format!("\x1b[200~{line}\x1b[201~\r"));
    let note = "-- not sent: “begin xxxxxxxxxxxxxx…” is long (5010 bytes; most servers take 4096); here it is, to be \
                edited (unchanged, Enter sends it)";
    window.wait_until(note, |window| {
        let rows = window.rows().join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        rows.contains(note) && rows.ends_with("x end")
    });
    assert!(!window.rows().iter().any(|row| row.starts_with("ana> begin")), "it looks as said");
    // Entered again, it goes to the server, which refuses it.
    window.press("\r");
    let refused = "is too long (5010 bytes; the server takes 4096); here it is, to be edited";
    window.wait_until(refused, |window| {
        let rows = window.rows();
        let text = rows.join(" ");
        text.contains("* line too long (over 4096 bytes): not relayed")
            && text.contains("-- not sent: “begin")
            && text.contains(refused)
            && rows.last().unwrap().ends_with("x end")
    });
    // Shortened, it is said.
    window.press("\x01\x0bshort\r");
    window.shows(&["ana> short", "ana>"]);
}

#[test]
fn the_server_teaches_a_smaller_limit() {
    let relay = Relay::start("127.0.0.1:0", &["--max-line", "100"]);
    let mut window = Window::open(40, 150, &client_of(relay.address, &["--nick", "ana"]));
    window.shows(&["ana>"]);
    let line = "y".repeat(120);
    window.press(&format!("{line}\r"));
    let begin = "-- not sent: “yyyyyyyyyyyyyyyyyyyy…” is too long";
    let note = format!("{begin} (120 bytes; the server takes 100); here it is, to be edited");
    let prompt = format!("ana> {line}");
    window.shows(&["* line too long (over 100 bytes): not relayed", &note, &prompt]);
    // It is not sent again. What is being typed is not replaced.
    window.press("\r");
    window.shows(&[&note, &note, &prompt]);
    window.press("\rtyped");
    window.shows(&[&format!("{begin} (120 bytes; the server takes 100); Up brings it back"), "ana> typed"]);
    window.press(&format!("\x15\x1b[200~one\r{line}\rtwo\x1b[201~y"));
    let later = format!("{begin} (120 bytes; the server takes 100); here it is, to be edited");
    window.wait_until("all", |window| {
        let rows = window.rows();
        let shows = |row: &str| rows.iter().any(|seen| seen == row);
        shows("ana> one") && shows("ana> two") && shows(&later) && *rows.last().unwrap() == prompt
    });
}

#[test]
fn a_long_pasted_line_is_still_text_when_it_comes_back() {
    let mut talk = talk(60, 150, &[]);
    let line = format!("/nick {}", "x".repeat(5000));
    talk.window.press_in_pieces(&format!("\x1b[200~a\r{line}\rb\x1b[201~"));
    talk.window.shows(&["send these 3 lines? [y/n]"]);
    talk.window.press("y");
    talk.hears("a\nb\n");
    talk.window.wait_until("the line", |window| window.rows().pop().unwrap().ends_with("xxx"));
    talk.window.press("\r");
    talk.hears(&format!("/say {line}\n"));
}

#[test]
fn a_paste_that_does_not_fit_into_the_line_is_told() {
    let mut talk = talk(20, 80, &[]);
    talk.window.press_in_pieces(&format!("\x1b[200~{}\x1b[201~", "x".repeat(9000)));
    talk.window.wait_until("the note", |window| {
        window.rows().contains(&"-- the line is full: the end of the paste is missing".to_owned())
    });
}

#[test]
fn lines_are_wrapped_for_the_window_as_it_is_now() {
    let mut talk = talk(40, 60, &[]);
    talk.window.press("typed");
    for (columns, rows) in [
        (20, &["ben> one two three", "     four five six", "     seven", "ana> typed"][..]),
        (40, &["ben> one two three four five six seven", "ana> typed"]),
        (12, &["ben> one two", "  three four", "  five six", "  seven", "ana> typed"]),
        (60, &["ben> one two three four five six seven", "ana> typed"]),
    ] {
        talk.window.resize(40, columns);
        talk.say("ben> one two three four five six seven\n");
        talk.window.shows(rows);
    }
}
