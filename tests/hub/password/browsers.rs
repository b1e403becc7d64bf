//! Browsers before they have given the password.

use pollchat::server::limits::GRACE;

use super::*;
use crate::support::hub::Incoming;
use crate::support::page::{self, OPENING, frame, frames, said, text};

/// Opens a WebSocket, and takes the answer.
fn open(world: &mut World, request: &str) -> Client {
    let browser = page::visit(world);
    world.says(&browser, request);
    assert!(browser.received().starts_with("HTTP/1.1 101 "));
    browser
}

#[test]
fn a_browser_is_asked_in_frames_and_enters_in_the_room_of_its_address() {
    let mut world = lock(page::world(&quiet()));
    let request = OPENING.replace("/ws", "/ws?room=rust");
    let browser = open(&mut world, &request);
    world.pass(ENTER_DELAY);
    assert_eq!(said(&browser.received_bytes()), ASKED);
    world.says(&browser, text("/pass open barley"));
    assert_eq!(said(&browser.received_bytes()), NOT_IT);
    world.says(&browser, text("/pass open sesame\n/who"));
    let received = said(&browser.received_bytes());
    assert!(received.starts_with(&greeting(1)) && received.contains("* you are in rust, alone\n"), "{received}");
    for (lines, code) in [(WRONG.repeat(3), 1008), ("x\n".repeat(LOCKED_LINES_MAX + 1), 1008), ("FIN".into(), 1000)] {
        let browser = open(&mut world, OPENING);
        world.says(&browser, text(&lines));
        let close = frames(&browser.received_bytes()).pop();
        assert_eq!(close, Some((0x88, u16::to_be_bytes(code).to_vec())), "{lines}");
    }
}

#[test]
fn the_end_of_a_crlf_behind_the_password_is_no_first_line() {
    let mut world = lock(page::world(&quiet()));
    let browser = open(&mut world, &OPENING.replace("/ws", "/ws?room=rust"));
    world.says(&browser, frame(0x01, b"/pass open sesame\r"));
    world.says(&browser, frame(0x80, b"\n"));
    assert_eq!(browser.received_bytes(), [0_u8; 0]);
    world.says(&browser, text("/join den"));
    let received = said(&browser.received_bytes());
    assert!(received.starts_with(&greeting(1)) && received.contains("* you are in den, alone\n"), "{received}");
}

#[test]
fn pongs_for_a_locked_browser_do_not_pile_up() {
    let mut world = lock(page::world(&quiet()));
    let browser = open(&mut world, OPENING);
    world.pass(ENTER_DELAY);
    browser.takes(0);
    for _ in 0..100 {
        browser.sends(frame(0x89, &[b'x'; 125]).repeat(1_000));
        world.hub.on_ready(browser.key, READABLE);
        world.pass(Duration::from_millis(1));
    }
    let unread: usize = browser.peer.borrow().incoming.iter().map(Incoming::len).sum();
    assert!(unread > 12_000_000, "{unread} bytes are not read");
    world.pass(PASSWORD_TIME);
    world.pass(GRACE);
    assert!(browser.is_closed());
}
