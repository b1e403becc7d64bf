//! Clients of the servers: talkers and listeners, each over one connection.

use crate::chance::Chance;
use crate::net::Wire;

/// Names that clients ask for.
const NAMES: [&str; 6] = ["ana", "Ana", "bob", "cia", "dora", "eve"];

/// Rooms that clients go to.
pub(super) const ROOMS: [&str; 4] = ["lobby", "den", "rust", "attic"];

/// The way in which a client takes what is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    AtOnce,
    Slowly(usize),
}

/// The course of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    Here,
    /// It has said goodbye, in words or by the end of its input.
    Leaving,
    /// It has torn its connection down, or its server is gone.
    Gone,
}

/// A client.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its number in this world: the beginning of its lines.
    pub(super) id: usize,
    chance: Chance,
    reading: Reading,
    talks_in: usize,
    outbox: Vec<u8>,
    /// Lines that it has said so far.
    pub(super) said: usize,
    pub(super) course: Course,
    line_bytes_max: usize,
}

/// The next line that a client says.
pub(super) fn said_line(id: usize, said: &mut usize, chance: &mut Chance, line_bytes_max: usize) -> String {
    *said += 1;
    let text = format!("p{id}.{said}");
    let padding = if chance.one_in(6) { chance.below(line_bytes_max - text.len()) } else { 0 };
    text + &"~".repeat(padding)
}

impl Peer {
    pub(super) fn new(id: usize, mut chance: Chance, line_bytes_max: usize) -> Peer {
        let is_listener = chance.one_in(4);
        let mut outbox = Vec::new();
        if chance.one_in(3) {
            outbox.extend(format!("/join {}\n", chance.pick(&ROOMS)).bytes());
        }
        Peer {
            id,
            reading: chance.pick(&[Reading::AtOnce, Reading::AtOnce, Reading::Slowly(200), Reading::Slowly(2_000)]),
            talks_in: if is_listener { 0 } else { chance.pick(&[2, 5, 20]) },
            outbox,
            said: 0,
            course: Course::Here,
            line_bytes_max,
            chance,
        }
    }

    /// Takes, and perhaps says, something.
    pub(super) fn act(&mut self, wire: &mut Wire, may_reset: bool) {
        match self.reading {
            Reading::AtOnce => wire.take(usize::MAX),
            Reading::Slowly(bytes) => wire.take(self.chance.up_to(bytes)),
        }
        if self.course == Course::Here && self.talks_in > 0 && self.chance.one_in(self.talks_in) {
            for _ in 0..self.chance.pick(&[1, 1, 1, 2, 9]) {
                self.think(wire, may_reset);
            }
        }
        let sent = wire.send(&self.outbox);
        self.outbox.drain(..sent);
        if self.course == Course::Leaving && self.outbox.is_empty() {
            wire.end();
        }
    }

    fn think(&mut self, wire: &mut Wire, may_reset: bool) {
        if self.course != Course::Here || self.outbox.len() > 20_000 {
            return;
        }
        let line = match self.chance.below(150) {
            0..4 => format!("/nick {}", self.chance.pick(&NAMES)),
            4..7 => format!("/join {}", self.chance.pick(&ROOMS)),
            7..9 => "/who".to_owned(),
            9 => "/rooms".to_owned(),
            10 => format!("/msg {} hello", self.chance.pick(&NAMES)),
            11 => {
                self.course = Course::Leaving;
                self.chance.pick(&["FIN", "exit", "/quit"]).to_owned()
            }
            12 if may_reset => {
                self.course = Course::Gone;
                return wire.tear_down();
            }
            _ => said_line(self.id, &mut self.said, &mut self.chance, self.line_bytes_max),
        };
        self.outbox.extend(line.bytes().chain(*b"\n"));
    }

    /// Sends the rest, and takes everything.
    pub(super) fn calm_down(&mut self, wire: &mut Wire) {
        wire.take(usize::MAX);
        let sent = wire.send(&self.outbox);
        self.outbox.drain(..sent);
        if self.course == Course::Leaving && self.outbox.is_empty() {
            wire.end();
        }
    }

    /// Asks something.
    pub(super) fn ask(&mut self, line: &str) {
        self.outbox.extend(line.bytes().chain(*b"\n"));
    }

    /// Leaves.
    pub(super) fn farewell(&mut self) {
        if self.course == Course::Here {
            self.course = Course::Leaving;
            self.outbox.extend(b"FIN\n");
        }
    }
}
