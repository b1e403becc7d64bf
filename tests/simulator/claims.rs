//! Names with owners: who knows which token, who tries without one, and how the file of names changes. They come by a
//! chance of their own, so a run without them is what it would be if there were no such thing.

use std::fmt::Write as _;

use pollchat::relay::names::Names;
use pollchat::relay::secret::SecretHash;

use crate::chance::Chance;
use crate::owners::File;

/// Names that peers claim. Each claim of a peer is spelled in another case, so the log tells which one came about.
const CLAIMED: [(&str, [&str; 2]); 2] = [("annabella", ["pcn_a1", "pcn_a2"]), ("bartholomew", ["pcn_b1", "pcn_b2"])];

/// Names that anybody may ask for, and that may belong to somebody later.
const OTHERS: [(&str, [&str; 2]); 4] =
    [("ana", ["pcn_1", "pcn_2"]), ("bob", ["pcn_3", "pcn_4"]), ("zoë", ["pcn_5", "pcn_6"]), ("x", ["pcn_7", "pcn_8"])];

/// Claims of a peer.
const CLAIMS_MAX: usize = 400;

/// The longest claim.
pub(crate) const CLAIM_BYTES_MAX: usize = 48;

/// The names of a run.
#[derive(Debug)]
pub(crate) struct ClaimPlan {
    chance: Chance,
    /// The odds of a peer that claims a name: one in so many.
    one_in: usize,
    /// The file changes in one step of so many; 0 if it never does.
    one_reload_in: usize,
    file: File,
}

/// The claims of one peer.
#[derive(Debug)]
pub(crate) struct Claims {
    chance: Chance,
    /// It claims a name once in so many times that it talks.
    one_in: usize,
    name: usize,
    /// The token that it knows.
    token: Option<&'static str>,
    made: usize,
}

/// Names with owners, for a third of the seeds.
pub(crate) fn some_claims(seed: u64) -> Option<ClaimPlan> {
    let mut chance = Chance::new(seed.rotate_left(12) ^ 0x6e61_6d65);
    chance.one_in(3).then(|| {
        let file = some_file(&mut chance, 0);
        ClaimPlan { one_in: chance.pick(&[1, 2, 4]), one_reload_in: chance.pick(&[0, 100, 1_000]), file, chance }
    })
}

/// A file with names, each with the one or the other token.
fn some_file(chance: &mut Chance, versions: usize) -> File {
    let mut file = File::new();
    for (name, tokens) in CLAIMED.iter().chain(&OTHERS) {
        if chance.one_in(2) {
            file.push((name, tokens[chance.below(versions + 1)]));
        }
    }
    if file.is_empty() {
        file.push((CLAIMED[0].0, CLAIMED[0].1[0]));
    }
    file
}

impl ClaimPlan {
    /// The file.
    pub(crate) fn file(&self) -> File {
        self.file.clone()
    }

    /// The same, as the server has it.
    pub(crate) fn names(&self) -> Names {
        let mut text = String::new();
        for (name, token) in &self.file {
            let _ = writeln!(text, "{name} token {}", SecretHash::of(token));
        }
        Names::parse(&text).expect("a file of names")
    }

    /// Changes the file, if it is time for that. Returns whether it is.
    pub(crate) fn change(&mut self) -> bool {
        let is_time = self.one_reload_in > 0 && self.chance.one_in(self.one_reload_in);
        if is_time {
            self.file = some_file(&mut self.chance, 1);
        }
        is_time
    }

    /// The claims of a newcomer, if it makes some.
    pub(crate) fn claims(&mut self) -> Option<Claims> {
        let makes_some = self.chance.one_in(self.one_in);
        let name = self.chance.below(CLAIMED.len());
        let token = CLAIMED[name].1[usize::from(self.chance.one_in(4))];
        let token = Some(token).filter(|_| !self.chance.one_in(3));
        let one_in = self.chance.pick(&[3, 10, 30]);
        makes_some.then(|| Claims { chance: self.chance.fork(), one_in, name, token, made: 0 })
    }
}

impl Claims {
    /// Words to be sent between two lines, if it is time for some.
    pub(crate) fn words(&mut self) -> Option<String> {
        if self.made >= CLAIMS_MAX || !self.chance.one_in(self.one_in) {
            return None;
        }
        let claim = self.claim();
        Some(match self.chance.below(6) {
            0 => format!("{claim}/who\n"),
            1 => format!("{claim}mine\n{}", self.claim()),
            _ => claim,
        })
    }

    /// A claim.
    pub(crate) fn claim(&mut self) -> String {
        self.made += 1;
        let name = self.spelled();
        match (self.token, self.chance.below(8)) {
            (Some(token), 0..6) => format!("/nick {name} {token}\n"),
            (Some(token), 6) => format!("/nick z-{} {token}\n", self.made),
            (None, 0..3) => format!("/nick {name} {}\n", self.chance.pick(&["pcn_a3", "pcn_", "pcn_A1", "a1", "x y"])),
            (None, 3..6) => format!("/nick {}\n", name.replace('a', "а").replace('A', "А")),
            _ => format!("/nick {name}\n"),
        }
    }

    /// The name, in the next case.
    fn spelled(&self) -> String {
        let letters = CLAIMED[self.name].0.chars().enumerate();
        letters.map(|(at, c)| if self.made >> at & 1 == 1 { c.to_ascii_uppercase() } else { c }).collect()
    }
}
