//! The password of a run: which peers know it from the start, learn it late, guess, or never give it. They come by a
//! chance of their own.

use crate::chance::Chance;

/// The password.
pub(crate) const PASSWORD: &str = "open sesame";

/// Words that are not the password.
const GUESSES: [&str; 5] = ["open", "Open sesame", "open sesame.", "opensesame", "x"];

/// The password of a run.
#[derive(Debug)]
pub(crate) struct KnockPlan {
    chance: Chance,
    /// The odds of a peer that does not give the password at once: one in so many.
    one_other_in: usize,
}

/// The way in which a peer gives the password.
#[derive(Debug)]
pub(crate) struct Knock {
    /// Its first lines.
    pub(crate) first: String,
    /// The chance by which it gives the password later, if it does so.
    late: Option<Chance>,
}

/// A password, for a third of the seeds.
pub(crate) fn some_knocks(seed: u64) -> Option<KnockPlan> {
    let mut chance = Chance::new(seed.rotate_left(20) ^ 0x7061_7373);
    chance.one_in(3).then(|| KnockPlan { one_other_in: chance.pick(&[1, 2, 3, 6]), chance: chance.fork() })
}

impl KnockPlan {
    /// The way of a newcomer.
    pub(crate) fn knock(&mut self) -> Knock {
        let right = format!("{} {PASSWORD}{}", self.verb(), self.chance.pick(&["\n", "\n", "\r\n", "  \n"]));
        if !self.chance.one_in(self.one_other_in) {
            return Knock { first: right, late: None };
        }
        let late = Some(self.chance.fork());
        let wrong: String = (0..self.chance.up_to(4)).map(|_| self.guess()).collect();
        match self.chance.below(8) {
            0 => Knock { first: String::new(), late: None },
            1 | 2 => Knock { first: String::new(), late },
            // Its guess and the password in one packet would not tell by which of them it was let in.
            3 => Knock { first: wrong, late },
            4 | 5 => Knock { first: format!("\nhello\n{right}"), late: None },
            6 => Knock { first: format!("/pass\n{wrong}/who\n"), late: None },
            _ => Knock { first: wrong, late: None },
        }
    }

    /// The way of a connection of a tracked client: the token of its session may be enough.
    pub(crate) fn tracked_knock(&mut self) -> Knock {
        let knows = !self.chance.one_in(3);
        Knock { first: if knows { format!("/pass {PASSWORD}\n") } else { String::new() }, late: None }
    }

    fn guess(&mut self) -> String {
        format!("{} {}\n", self.verb(), self.chance.pick(&GUESSES))
    }

    fn verb(&mut self) -> &'static str {
        self.chance.pick(&["/pass", "/pass", "/PASS", "/pass\t"])
    }
}

impl Knock {
    /// The password, if it is time to give it.
    pub(crate) fn words(&mut self) -> Option<String> {
        self.late.take_if(|chance| chance.one_in(6)).map(|_| format!("/pass {PASSWORD}\n"))
    }
}
