//! The field as the reports of a referee tell it, computed again: shots fly here, and must end as they are told to. Pure.
//!
//! Two readers need it: `--check`, and a referee that was restarted and reads the history of its room.

use super::field::{CANNONS_MAX, Cannon, End, Fate, Field, Flight, TARGET};
use super::report::Report;
use crate::relay::name::is_shown_name;

/// Ticks that a referee can count to: 2^53, the integers of JavaScript. That is five million years of flight.
const TICK_MAX: u64 = 1 << 53;

/// Takes the reports in their order.
#[derive(Clone, Debug, Default)]
pub struct Follower {
    field: Field,
    /// Cannons that came since the last report with a tick. A shell may have passed their places before that.
    newcomers: Vec<Cannon>,
    /// Cannons since the `field` that began a state; `None` outside of a state.
    state: Option<Vec<String>>,
    /// The number of shots that ended as they must.
    pub held: u64,
}

impl Follower {
    /// The field behind the last report.
    pub fn into_field(mut self) -> Field {
        self.field.cannons.append(&mut self.newcomers);
        self.field
    }

    /// Takes the next report. Shots and ends of cannons that are not known are not checked.
    ///
    /// # Errors
    /// The report contradicts those before it. The error tells why.
    pub fn take(&mut self, report: Report) -> Result<(), String> {
        match report {
            Report::Field => self.state = Some(Vec::new()),
            Report::Cannon(cannon) => self.on_cannon(cannon)?,
            Report::Cannons { count, tick } => {
                self.advance_to(tick)?;
                self.on_state(count)?;
            }
            Report::Shot { tick, name, aim } => {
                self.advance_to(tick)?;
                if self.field.has_shell_of(&name) {
                    return Err(format!("the last shell of {name} still flies"));
                }
                self.field.launch(&name, aim);
            }
            Report::End { tick, name, end } => self.on_end(tick, &name, &end)?,
            Report::Score(_) => {}
        }
        Ok(())
    }

    /// Takes a change of a member's name.
    pub fn rename(&mut self, from: &str, to: &str) {
        self.admit_newcomers(|newcomer| newcomer.name == from);
        self.newcomers.retain(|newcomer| newcomer.name != to);
        self.field.rename(from, to);
    }

    /// Forgets everything: reports are missing here.
    pub fn forget(&mut self) {
        *self = Follower { held: self.held, ..Follower::default() };
    }

    /// Forgets the shells and the time: the referee, or another one, may not know them here.
    pub fn forget_flights(&mut self) {
        self.field.clear_flights();
        self.field.tick = 0;
    }

    fn on_cannon(&mut self, cannon: Cannon) -> Result<(), String> {
        let Cannon { name, camp, x, y, score } = &cannon;
        let (xs, ys) = camp.area();
        let is_in_camp = xs.contains(x) && ys.contains(y);
        let has_room =
            self.field.cannons.len() + self.newcomers.len() < CANNONS_MAX || self.field.cannon(name).is_some();
        let is_member = name == TARGET || is_shown_name(name);
        if !is_in_camp || !has_room || !is_member || !self.field.is_free((*x, *y), name) {
            return Err(format!("there is no room for {name} at {x} {y}"));
        }
        if let Some(names) = &mut self.state {
            names.push(name.clone());
        }
        self.newcomers.retain(|newcomer| newcomer.name != *name);
        match self.field.cannon_mut(name) {
            Some(known) if known.camp != *camp || known.score != *score => {
                return Err(format!("{name} is in the {} camp with {} points", known.camp, known.score));
            }
            Some(known) => (known.x, known.y) = (*x, *y),
            None => self.newcomers.push(cannon),
        }
        Ok(())
    }

    fn on_end(&mut self, tick: u64, name: &str, end: &End) -> Result<(), String> {
        let is_it = |flight: &Flight| flight.tick == tick && flight.name == name;
        let mut shooter = name.to_owned();
        let is_known = self.field.flights().iter().any(is_it);
        if is_known {
            if let Fate::Hit(victim) = &end.fate {
                self.admit_newcomers(|newcomer| newcomer.name == *victim);
            }
            let (flight, computed) = self.fly_to_next_end();
            if !is_it(&flight) || computed != *end {
                let right = Report::End { tick: flight.tick, name: flight.name, end: computed };
                return Err(format!("not what follows: {right}"));
            }
            shooter = flight.shooter;
            self.held += 1;
        }
        if let Fate::Hit(victim) = &end.fate {
            self.field.count_hit(&shooter, victim);
        }
        Ok(())
    }

    /// Takes the end of a state. A cannon that is not in it has gone.
    fn on_state(&mut self, count: usize) -> Result<(), String> {
        let Some(names) = self.state.take() else { return Ok(()) };
        if names.len() != count {
            return Err(format!("{} cannons were told", names.len()));
        }
        self.field.cannons.retain(|cannon| names.contains(&cannon.name));
        Ok(())
    }

    /// Steps up to a tick, at which no shell has ended before it is told.
    fn advance_to(&mut self, tick: u64) -> Result<(), String> {
        if tick < self.field.tick || tick > TICK_MAX {
            return Err(format!("the last tick was {}", self.field.tick));
        }
        if self.field.flights().is_empty() {
            self.field.tick = tick;
        }
        while self.field.next_end().is_none() {
            if self.field.tick == tick {
                self.admit_newcomers(|_| true);
                return Ok(());
            }
            self.field.begin_step();
        }
        Err("a shell has ended before, and no line told it".to_owned())
    }

    /// Steps until a shell ends. There is one in the air.
    fn fly_to_next_end(&mut self) -> (Flight, End) {
        loop {
            if let Some(ended) = self.field.next_end() {
                return ended;
            }
            self.field.begin_step();
        }
    }

    fn admit_newcomers(&mut self, which: impl Fn(&Cannon) -> bool) {
        self.field.cannons.extend(self.newcomers.extract_if(.., |newcomer| which(newcomer)));
    }
}
