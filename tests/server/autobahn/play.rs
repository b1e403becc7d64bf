//! Plays a case against a server.

use super::cases::{Case, End, Heard, Step};
use crate::support::Member as _;
use crate::support::http::WebServer;
use crate::support::ws::Frame;
use crate::support::ws_client::{Browser, Event};

/// The server that all cases of a section are played against.
pub(crate) struct Stage {
    server: WebServer,
}

impl Stage {
    #[track_caller]
    pub(crate) fn new() -> Stage {
        Stage { server: WebServer::quiet(&["--audience", "sender", "--max-line", "128K"]) }
    }

    #[track_caller]
    pub(crate) fn play(&self, case: &Case) {
        let mut player = Player { browser: self.server.browser(), heard: Vec::new() };
        for step in &case.steps {
            match step {
                Step::Send(bytes, 0) => drop(player.browser.wire.push(bytes)),
                Step::Send(bytes, size) => drop(player.browser.wire.push_chopped(bytes, *size)),
                Step::Await(expected) => {
                    let event = player.browser.next();
                    player.hear(event);
                    assert_eq!(player.heard.last(), Some(expected), "case {}", case.id);
                }
            }
        }
        player.finish(case);
        assert_eq!(player.heard, case.heard, "case {}", case.id);
    }
}

struct Player {
    browser: Browser,
    heard: Vec<Heard>,
}

impl Player {
    #[track_caller]
    fn hear(&mut self, event: Event) {
        self.heard.push(match event {
            Event::Line(line) => {
                let echo = line.strip_prefix(&self.browser.says(""));
                Heard::Echo(echo.unwrap_or_else(|| panic!("not an echo: {line:?}")).to_owned())
            }
            Event::Pong(payload) => Heard::Pong(payload),
            event => panic!("the end came too early: {event:?}, after {:?}", self.heard),
        });
    }

    /// Takes all events, up to the end of the connection.
    #[track_caller]
    fn finish(&mut self, case: &Case) {
        let mut are_we_closing = false;
        loop {
            if matches!(case.end, End::Ours) && !are_we_closing && self.heard == case.heard {
                are_we_closing = true;
                self.browser.send(&Frame::close(Some(1000)));
            }
            match self.browser.next() {
                Event::Close(code, _) => {
                    let is_right = match case.end {
                        End::Ours => are_we_closing && code == Some(1000),
                        End::Answered(expected) => code == expected,
                        End::Fails(codes) => code.is_some_and(|code| codes.contains(&code)),
                    };
                    assert!(is_right, "case {}: closed with {code:?}, after {:?}", case.id, self.heard);
                    break;
                }
                event => self.hear(event),
            }
        }
        if let End::Fails(codes) = case.end {
            self.browser.wire.push(Frame::close(Some(codes[0])).encode());
        }
        // The suite calls it a clean close if the server ends the connection, and in good order.
        assert_eq!(self.browser.next(), Event::End, "case {}", case.id);
    }
}
