//! Moves of the peers from room to room, beside whatever else each of them does. They come by a chance of their own, so
//! a run without rooms is what it would be if there were none.

use pollchat::relay::name::Name;
use pollchat::server::config::{Config, Lag};

use crate::chance::Chance;

/// Names of rooms that are asked for: some are the same but for case, some look like others, some are none.
const ROOMS: [&str; 22] = [
    "a",
    "a",
    "a",
    "b",
    "b",
    "B",
    "c",
    "lobby",
    "lobby",
    "LOBBY",
    "den",
    "den",
    "Rust",
    "rust",
    "1obby",
    "ruѕt",
    "server",
    "client-1",
    "a>b",
    "",
    "c d",
    "this-one-is-longer-than-24",
];

/// The rooms of a run: those that there are from the start, how many there may be, and how often peers move.
#[derive(Debug)]
pub(crate) struct RoomPlan {
    permanent: &'static [&'static str],
    rooms_max: usize,
    spare: usize,
    /// One peer in so many moves, or none.
    one_mover_in: usize,
    chance: Chance,
}

/// The moves of one peer.
#[derive(Debug)]
pub(crate) struct Mover {
    chance: Chance,
    /// It moves once in so many times that it talks.
    one_in: usize,
}

impl RoomPlan {
    pub(crate) fn of(seed: u64) -> RoomPlan {
        let mut chance = Chance::new(seed.rotate_left(8) ^ 0x726f_6f6d);
        RoomPlan {
            permanent: chance.pick(&[&[][..], &[], &["den"], &["den", "Rust"], &["a", "b", "c", "den"]]),
            rooms_max: chance.pick(&[0, 1, 2, 3, 3, 4, 100, 100, 100]),
            spare: chance.pick(&[0, 0, 50, 1_000, 20_000]),
            one_mover_in: chance.pick(&[1, 1, 1, 2]),
            chance: chance.fork(),
        }
    }

    /// Sets the rooms of a server. `smallest` is the smallest tape on which a reader that takes all at once loses
    /// nothing.
    pub(crate) fn set(&self, config: &mut Config, smallest: usize) {
        config.rooms = self.permanent.iter().map(|name| Name::parse(name).expect("a name")).collect();
        config.rooms_max = self.rooms_max;
        let least = if config.lag == Lag::Wait { config.longest_line_bytes() } else { smallest };
        config.room_backlog_bytes = least + self.spare;
    }

    /// The moves of a newcomer, if it is one that moves.
    pub(crate) fn mover(&mut self) -> Option<Mover> {
        let moves = self.chance.one_in(self.one_mover_in);
        let one_in = self.chance.pick(&[3, 10, 20, 100]);
        moves.then(|| Mover { chance: self.chance.fork(), one_in })
    }
}

impl Mover {
    /// The first line of a peer, if that is a request for a room.
    pub(crate) fn first_words(&mut self) -> Option<String> {
        self.chance.one_in(2).then(|| self.join())
    }

    /// Words to be sent between two lines, if it is time for some.
    pub(crate) fn words(&mut self) -> Option<String> {
        if !self.chance.one_in(self.one_in) {
            return None;
        }
        Some(match self.chance.below(8) {
            0 => "/rooms\n".to_owned(),
            1 => format!("{}/who\n/rooms\n", self.join()),
            2 => {
                let lines =
                    (0..self.chance.up_to(5)).map(|_| format!("{}{}\n", self.join(), self.chance.below(10_000)));
                lines.collect()
            }
            3 => format!("before\n{}behind\n{}", self.join(), self.join()),
            _ => self.join(),
        })
    }

    fn join(&mut self) -> String {
        let (verb, end) =
            (self.chance.pick(&["/join", "/join", "/join", "/JOIN"]), self.chance.pick(&["\n", "\n", "\r\n"]));
        format!("{verb} {}{end}", self.chance.pick(&ROOMS))
    }
}
