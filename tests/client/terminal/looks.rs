//! How things look: colours, own lines, notices, mentions, times; and that nothing hostile shows otherwise.

use super::server::{Relay, client_of, hear, talk};
use super::window::Window;

/// The look of the first cell of the last row that begins so.
fn look_of(window: &Window, row: &str) -> (vt100::Color, bool, bool, bool) {
    let at = window.rows().iter().rposition(|seen| seen.starts_with(row)).expect(row);
    let cell = window.screen().cell(at.try_into().unwrap(), 0).unwrap();
    (cell.fgcolor(), cell.bold(), cell.dim(), cell.inverse())
}

#[test]
fn names_have_colours_notices_are_dim_and_own_lines_are_bold() {
    let mut talk = talk(20, 60, &[]);
    talk.say("ben> one\neve> two\nben> three\n* ben tells you: psst\n");
    talk.window.shows(&["* ben tells you: psst", "ana>"]);
    talk.types("mine");
    talk.window.shows(&["* ben tells you: psst", "ana> mine", "ana>"]);
    let (plain, window) = (vt100::Color::Default, &talk.window);
    let (one, two, three) = (look_of(window, "ben> one"), look_of(window, "eve>"), look_of(window, "ben> three"));
    assert_eq!(one, three);
    assert_ne!(one.0, two.0);
    assert_ne!(one.0, plain);
    assert_eq!((one.1, one.2, one.3), (false, false, false));
    assert_eq!(look_of(window, "* client-1 is"), (plain, false, true, false));
    assert_eq!(look_of(window, "* ben tells"), (plain, true, false, false));
    let mine = look_of(window, "ana> mine");
    assert!(mine.1 && mine.0 != plain);
}

#[test]
fn a_mention_of_our_name_stands_out() {
    let mut talk = talk(20, 60, &[]);
    talk.say("ben> Ana: banana, ana\n");
    talk.window.shows(&["ben> Ana: banana, ana", "ana>"]);
    let row = (talk.window.rows().len() - 2).try_into().unwrap();
    let reversed = |column| talk.window.screen().cell(row, column).unwrap().inverse();
    let marked: String = (0..21).map(|column| if reversed(column) { '#' } else { '.' }).collect();
    assert_eq!(marked, ".....###..........###");
}

#[test]
fn no_color_and_never_leave_the_colours_out() {
    for (args, env) in [(&["--color", "never"][..], None), (&[], Some(("NO_COLOR", "1")))] {
        let relay = Relay::start("127.0.0.1:0", &[]);
        let mut command = client_of(relay.address, &[&["--nick", "ana"], args].concat());
        command.envs(env);
        let mut window = Window::open(20, 60, &command);
        window.shows(&["* you are ana, in lobby; /help lists what you can do", "ana>"]);
        window.press("hello\r");
        window.shows(&["ana> hello", "ana>"]);
        let (color, bold, ..) = look_of(&window, "ana> hello");
        assert_eq!((color, bold), (vt100::Color::Default, true));
        for color in 30..=107 {
            let sequence = format!("{color}m");
            assert!(memchr::memmem::find(&window.written, sequence.as_bytes()).is_none(), "{sequence}");
        }
    }
}

#[test]
fn timestamps_show_the_local_time() {
    let mut talk = talk_with_times();
    talk.say("ben> hello\n");
    talk.window.wait_until("a time before the line", |window| {
        window.rows().iter().any(|row| {
            let (time, line) = row.split_at(row.len().min(9));
            line == "ben> hello"
                && time
                    .bytes()
                    .map(|byte| byte.is_ascii_digit())
                    .eq([1, 1, 0, 1, 1, 0, 1, 1, 0].map(|digit| digit == 1))
        })
    });
}

fn talk_with_times() -> super::server::Talk {
    talk(20, 60, &["--timestamps"])
}

#[test]
fn a_server_that_sends_own_lines_back_does_not_make_one_see_them_twice() {
    let relay = Relay::start("127.0.0.1:0", &["--audience", "everyone"]);
    let mut window = Window::open(30, 60, &client_of(relay.address, &["--nick", "ana"]));
    window.press("one\rtwo\rone\r/who\r");
    window.wait_until("the answer", |window| window.rows().iter().any(|row| row == "* 1 here"));
    let rows = window.rows();
    // The answer may overtake what the room is told.
    let (commands, said): (Vec<&str>, Vec<&str>) =
        rows.iter().filter_map(|row| row.strip_prefix("ana> ")).partition(|own| own.starts_with('/'));
    assert_eq!((commands, said), (vec!["/who"], vec!["one", "two", "one"]));
}

#[test]
fn what_a_hostile_server_sends_moves_neither_the_line_nor_its_looks() {
    let mut talk = talk(12, 40, &[]);
    talk.window.press("typed");
    let hostile = [
        "\x1b[2J\x1b[H\x1b[31m\x1b]0;title\x07\x1b[?1049h\x1b[6n\x1bc\n",
        "\r\u{9b}2J\u{85}\u{2028}\u{202e}abc\n",
        "\u{301}\u{301}\u{301} begins with marks\n",
        "\u{200d}\u{200b}\u{2060}\u{fe0f}\n",
        "👩\u{200d}👩\u{200d}👧\u{200d}👦👍🏽🇩🇪 zero\u{200d}\u{200d}\u{200d}width\n",
        "tab\t\t\tand\x08\x08\x08more\n",
    ];
    for line in hostile {
        talk.say(line);
    }
    talk.say(&format!("{}\n", "世".repeat(100)));
    talk.say(&format!("{}\n", "e\u{301}\u{302}\u{303}".repeat(100)));
    talk.say("ben> done\n");
    talk.window.shows(&["ben> done", "ana> typed"]);
    let row = (talk.window.rows().len() - 1).try_into().unwrap();
    for column in 5..10 {
        let cell = talk.window.screen().cell(row, column).unwrap();
        assert_eq!(cell.fgcolor(), vt100::Color::Default);
    }
    assert!(!talk.window.screen().alternate_screen());
    talk.window.press("\r");
    hear(&mut talk.server, "typed\n");
}
