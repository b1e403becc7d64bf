//! A terminal and the servers of textbooks: each talk ends in good order, whichever side leaves first.

use super::server::client_of;
use super::window::Window;
use crate::support::textbook_servers::{
    Heard, Textbook, echo, pair, relay, slow_turns, turns, window as window_server,
};

/// The ways to leave: Ctrl-D, and the command.
const WAYS: [&str; 2] = ["\x04", "/quit\r"];

fn open(server: &Textbook) -> Window {
    Window::open(20, 60, &client_of(server.address, &[]))
}

/// Whether a row of the window is this.
fn sees(window: &mut Window, row: &str) {
    window.wait_until(row, |window| window.rows().iter().any(|seen| seen == row));
}

#[track_caller]
fn ends(mut window: Window, server: Textbook) -> Heard {
    assert_eq!(window.ends().code(), Some(0));
    assert!(window.written.len() < 64 << 10, "{} bytes", window.written.len());
    let heard = server.heard();
    assert!(heard.is_over, "{:?}", heard.texts());
    heard
}

#[test]
fn an_echo_server_is_left_by_its_word() {
    for leave in WAYS {
        let server = echo();
        let mut window = open(&server);
        for message in ["one", "two", "three"] {
            window.press(&format!("{message}\r"));
            sees(&mut window, &format!("echo : {message}"));
        }
        window.press(leave);
        let heard = ends(window, server);
        assert_eq!(heard.texts(), ["one\n", "two", "three", "FIN", "exit"], "{leave:?}");
    }
}

#[test]
fn a_server_that_takes_turns_is_left_by_nothing_and_leaves_with_its_own_word() {
    for leave in WAYS {
        let server = turns(&["yes", "no", "well"]);
        let mut window = open(&server);
        sees(&mut window, "hello, it is your turn");
        window.press("one\r");
        sees(&mut window, "yes");
        window.press(leave);
        assert_eq!(ends(window, server).texts()[0], "one", "{leave:?}");
    }
    let server = turns(&["yes"]);
    let mut window = open(&server);
    sees(&mut window, "hello, it is your turn");
    window.press("one\r");
    sees(&mut window, "yes");
    window.press("two\r");
    assert_eq!(ends(window, server).texts(), ["one", "two"]);
}

#[test]
fn a_server_that_thinks_before_it_answers_gets_each_line_alone() {
    for leave in WAYS {
        let server = slow_turns(&["yes", "no"], std::time::Duration::from_millis(400));
        let mut window = open(&server);
        sees(&mut window, "hello, it is your turn");
        window.press("one\rtwo\r");
        window.press(leave);
        assert_eq!(ends(window, server).texts(), ["one", "two", "FIN"], "{leave:?}");
    }
}

#[test]
fn a_pair_of_threads_is_left_by_exit_and_a_window_by_fin() {
    for leave in WAYS {
        let server = pair(&["hi"]);
        let mut window = open(&server);
        sees(&mut window, "hi");
        window.press("one\r");
        window.press(leave);
        assert_eq!(ends(window, server).texts(), ["one", "FIN", "exit"], "{leave:?}");
        let server = window_server();
        let mut window = open(&server);
        sees(&mut window, "connected");
        window.press("one\r");
        window.press(leave);
        assert_eq!(ends(window, server).texts(), ["one", "FIN"], "{leave:?}");
    }
}

#[test]
fn windows_at_a_threaded_relay_read_each_other_and_leave() {
    for leave in WAYS.into_iter().chain(["fin\r"]) {
        let (address, server) = relay(2);
        let mut windows = [(); 2].map(|()| Window::open(20, 60, &client_of(address, &[])));
        let numbers: Vec<usize> = (0..2).map(|index| meet(&mut windows, index)).collect();
        for message in ["two", "three"] {
            for (index, number) in numbers.iter().enumerate() {
                windows[index].press(&format!("{message} {index}\r"));
                sees(&mut windows[1 - index], &format!("Thread-{number}> {message} {index}"));
            }
        }
        for mut window in windows {
            window.press(leave);
            assert_eq!(window.ends().code(), Some(0), "{leave:?}");
            assert!(window.written.len() < 64 << 10, "{} bytes", window.written.len());
        }
        for heard in server.join().unwrap() {
            assert!(heard.is_over, "{leave:?}: {:?}", heard.texts());
            assert!(heard.texts().last().unwrap().eq_ignore_ascii_case("fin"), "{leave:?}: {:?}", heard.texts());
        }
    }
}

/// Says a first line in a window until the other shows it. Returns the number of its thread.
fn meet(windows: &mut [Window; 2], index: usize) -> usize {
    windows[index].press(&format!("one {index}\r"));
    let said = format!("> one {index}");
    let other = &mut windows[1 - index];
    let row =
        |window: &Window| window.rows().into_iter().find(|row| row.starts_with("Thread-") && row.ends_with(&said));
    other.wait_until(&said, |window| row(window).is_some());
    row(other).unwrap()["Thread-".len()..].split('>').next().unwrap().parse().unwrap()
}
