//! Settings that change at run time: the greeting, the denied addresses, the limit of an address, the rate. They come by a
//! chance of their own, so a run without them is what it would be if there were no such thing.

use pollchat::server::access::AccessRules;
use pollchat::server::config::Config;
use pollchat::server::flow::rate::Rate;

use crate::chance::Chance;
use crate::oracle::Oracle;
use crate::setting::{some_denied, some_rate};

/// The changes of a run.
#[derive(Debug)]
pub(crate) struct ReloadPlan {
    chance: Chance,
    /// A setting changes in one step of so many.
    one_in: usize,
    /// Greetings so far.
    greetings: usize,
}

/// A setting that changes.
#[derive(Debug)]
pub(crate) enum Reload {
    Greeting(String),
    Access(AccessRules),
    Rate((u32, u32)),
}

/// Settings that change, for a third of the seeds.
pub(crate) fn some_reloads(seed: u64) -> Option<ReloadPlan> {
    let mut chance = Chance::new(seed.rotate_left(40) ^ 0x7265_6c64);
    chance.one_in(3).then(|| ReloadPlan { one_in: chance.pick(&[30, 300, 1_000]), greetings: 0, chance })
}

impl ReloadPlan {
    /// Changes a setting, if it is time for that.
    pub(crate) fn change(&mut self, config: &Config) -> Option<Reload> {
        if !self.chance.one_in(self.one_in) {
            return None;
        }
        let chance = &mut self.chance;
        let lines = config.greeting.lines().count();
        match chance.below(3) {
            // As many lines as before, so a late reader knows which line is which.
            0 if lines > 0 => {
                self.greetings += 1;
                Some(Reload::Greeting(format!("greeting {}\n", self.greetings).repeat(lines)))
            }
            // Behind proxies, an address is checked at a moment that no peer sees.
            1 if config.proxies.is_empty() => {
                let is_limited = config.access.per_address_max > 0;
                let per_address_max = if is_limited { chance.up_to(2) } else { 0 };
                Some(Reload::Access(AccessRules { deny: some_denied(chance), per_address_max, allow: Vec::new() }))
            }
            2 if config.rate.is_some() => Some(Reload::Rate(some_rate(chance))),
            _ => None,
        }
    }
}

/// The rate, as the server has it.
pub(crate) fn rate_of((lines_per_second, burst_lines): (u32, u32)) -> Rate {
    Rate::new(lines_per_second, burst_lines)
}

impl Oracle {
    /// A setting changes.
    pub(crate) fn reload(&mut self, reload: &Reload) {
        match reload {
            Reload::Greeting(text) => self.greet_with(text),
            Reload::Access(rules) => self.config.access = rules.clone(),
            Reload::Rate(rate) => {
                self.rate = Some(*rate);
                self.config.rate = Some(rate_of(*rate));
                self.begin_rate();
            }
        }
    }

    /// Newcomers read this greeting from now on.
    pub(crate) fn greet_with(&mut self, text: &str) {
        self.greetings.push(text.to_owned());
        text.clone_into(&mut self.config.greeting);
    }

    /// Returns the greetings that a client may have read: the one of the moment at which it entered, and those of later
    /// ones if it asked to be greeted again.
    pub(crate) fn greetings_of(&self, member: usize, is_late: bool) -> &[String] {
        let first = self.members[member].greeting_at_entry;
        let last = if is_late { self.greetings.len() - 1 } else { first };
        &self.greetings[first..=last]
    }
}
