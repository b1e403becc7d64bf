//! Browsers that come straight into a room.

use pollchat::relay::name::Name;
use pollchat::server::config::Config;
use pollchat::server::limits::ENTER_DELAY;

use crate::support::hub::{Client, World, quiet};
use crate::support::page::{OPENING, frames, join, text, visit, world};

/// Asks for the WebSocket of a room.
fn ask(world: &mut World, room: &str) -> Client {
    let browser = visit(world);
    world.says(&browser, OPENING.replace("/ws", &format!("/ws?room={room}")));
    world.pass(ENTER_DELAY);
    browser
}

/// The text in the frames behind the answer 101, and the code of the Close frame, if there is one.
#[track_caller]
fn heard(browser: &Client) -> (String, Option<u16>) {
    let answer = browser.received_bytes();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    assert!(head == 0 || answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    let (mut said, mut code) = (String::new(), None);
    for (first, payload) in frames(&answer[head..]) {
        match first {
            0x81 => said.push_str(std::str::from_utf8(&payload).unwrap()),
            0x88 => code = Some(u16::from_be_bytes([payload[0], payload[1]])),
            _ => panic!("{first:x}"),
        }
    }
    (said, code)
}

#[test]
fn a_browser_enters_in_its_room_and_was_never_in_the_lobby() {
    let mut world = world(&Config { history_lines: 9, greeting: "hi".into(), ..Config::default() });
    let ana = join(&mut world);
    world.says(&ana, "/nick ana\nsaid in the lobby\n");
    ana.received();
    let bob = ask(&mut world, "rust");
    let greeting = "* you are client-2; /help lists what you can do\n* hi\n* you are in rust, alone\n";
    assert_eq!(heard(&bob), (greeting.to_owned(), None));
    world.says(&bob, text("/nick bob"));
    world.says(&bob, text("said in rust"));
    let cho = ask(&mut world, "RUST");
    let (greeting, _) = heard(&cho);
    assert!(
        greeting.ends_with("* you are in rust, with 1 other\n* 1 earlier line:\nbob> said in rust\n"),
        "{greeting}"
    );
    world.says(&cho, text("/nick cho"));
    assert_eq!(heard(&bob).0, "* client-2 is now bob\n* cho joined\n");
    world.says(&cho, text("FIN"));
    assert_eq!(heard(&bob).0, "* cho left\n");
    assert_eq!(ana.received(), "", "the lobby is told nothing");
}

#[test]
fn frames_behind_the_handshake_are_said_in_the_room() {
    let mut world = world(&quiet());
    let (ana, bob) = (join(&mut world), ask(&mut world, "rust"));
    heard(&bob);
    let cho = visit(&mut world);
    world.says(&cho, [OPENING.replace("/ws", "/ws?room=rust").into_bytes(), text("hello")].concat());
    assert_eq!(heard(&bob).0, "client-3> hello\n");
    assert_eq!(ana.received(), "");
}

#[test]
fn a_browser_for_whose_room_there_is_no_place_is_refused_and_heard_nowhere() {
    let mut world = world(&Config { rooms_max: 2, ..quiet() });
    let (ana, bob) = (join(&mut world), ask(&mut world, "rust"));
    heard(&bob);
    let cho = visit(&mut world);
    world.says(&cho, [OPENING.replace("/ws", "/ws?room=go").into_bytes(), text("hello")].concat());
    assert_eq!(heard(&cho), ("* there are 2 rooms already\nFIN\n".to_owned(), Some(1013)));
    assert!(cho.is_ended());
    assert_eq!((ana.received().as_str(), heard(&bob).0.as_str()), ("", ""));
    let stats = world.hub.stats().to_string();
    assert!(stats.contains("rooms full 1") && stats.contains("rooms 2"), "{stats}");
    // It used no number, and its room may come to be when there is a place.
    world.says(&bob, text("/join lobby"));
    let (greeting, _) = heard(&ask(&mut world, "go"));
    assert!(
        greeting.starts_with("* you are client-3; ") && greeting.ends_with("* you are in go, alone\n"),
        "{greeting}"
    );
    world.says(&ana, "/who\n");
    assert!(ana.received().contains("* here: client-2, "));
}

#[test]
fn a_refused_client_opens_no_room_and_drops_none() {
    let mut world = world(&Config { rooms_max: 2, history_lines: 9, clients_max: Some(1), ..quiet() });
    let ana = join(&mut world);
    world.says(&ana, "/join kept\nremembered\n/join lobby\n");
    let (said, code) = heard(&ask(&mut world, "other"));
    assert_eq!((said.as_str(), code), ("* the server is full (1 client)\nFIN\n", Some(1013)));
    let on_the_line = world.connect_silently();
    world.says(&on_the_line, "/join other\n");
    assert_eq!(on_the_line.received(), "* the server is full (1 client)\nFIN\n");
    ana.received();
    world.says(&ana, "/join kept\n");
    assert_eq!(ana.received(), "* you are in kept, alone\n* 1 earlier line:\nclient-1> remembered\n");
}

#[test]
fn a_room_that_cannot_be_is_not_found() {
    let rooms = vec![Name::parse("help").unwrap()];
    for (config, found, missing) in [
        (Config { rooms, ..quiet() }, ["lobby", "help", "HELP", "rust"], ["1obby", "he1p", "server", "a%20b"]),
        (Config { rooms_max: 1, ..quiet() }, ["lobby", "LOBBY", "%6cobby", "Lobby"], ["rust", "1obby", "", "server"]),
        (Config { rooms_max: 0, ..quiet() }, ["lobby", "LOBBY", "%6cobby", "Lobby"], ["rust", "1obby", "", "server"]),
    ] {
        let mut world = world(&config);
        let page = |world: &mut World, room: &str| {
            let visitor = visit(world);
            world.says(&visitor, format!("GET /r/{room} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
            visitor.received()[9..12].to_owned()
        };
        for room in found {
            assert_eq!(page(&mut world, room), "200", "{room}");
            assert!(heard(&ask(&mut world, room)).0.starts_with("* you are client-"), "{room}");
        }
        for room in missing {
            assert_eq!(page(&mut world, room), "404", "{room}");
            assert!(ask(&mut world, room).received().starts_with("HTTP/1.1 404 Not Found\r\n"), "{room}");
        }
    }
}
