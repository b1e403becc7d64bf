//! The game: its players, the effect of each order, and the reports to the room. Pure: orders and steps in, reports out.
//! The caller has the clock, and passes the time since the referee began.
//!
//! Every change of the field is told at once, so a reader of the reports in their order has the field of the referee.
//! Cannons come and move with a `cannon` line of their own. They go with a state, which lacks them. So a player who
//! leaves stays on the field until the caller [settles](Game::settle) it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::field::{Aim, CANNONS_MAX, Camp, Cannon, End, Fate, Field, Flight, TARGET};
use super::order::{Order, Refusal};
use super::report::Report;

/// Silence after which a player is taken off the field.
pub const SILENCE_MAX: Duration = Duration::from_secs(300);

/// Ended shots between two `score` lines.
const SHOTS_PER_SCORE: u64 = 20;

/// The farthest that a cannon moves behind its shot, in x and in y, in pixels.
const MOVE_MAX: i32 = 60;

/// Players, cannons and shells.
///
/// Invariant: each player has a cannon, and each cannon but the target a player.
#[derive(Debug)]
pub struct Game {
    field: Field,
    players: BTreeMap<String, Player>,
    random: Random,
    ended_shots: u64,
    /// Whether the state has to be told: cannons came or have to go since the last one, or lines of it may be lost.
    pub is_unsettled: bool,
    reports: Vec<Report>,
}

/// A member that takes part.
#[derive(Clone, Copy, Debug)]
struct Player {
    /// The last aim.
    aim: Aim,
    /// The time of the last line that it said.
    heard_at: Duration,
    /// Whether its cannon goes at the next chance.
    is_leaving: bool,
}

impl Game {
    /// A game that goes on with the field of an earlier one, or begins with an empty one. `seed` decides all moves.
    pub fn new(field: Field, seed: u64, now: Duration) -> Game {
        let player = Player { aim: Aim::default(), heard_at: now, is_leaving: false };
        let names = field.cannons.iter().map(|cannon| &cannon.name).filter(|name| *name != TARGET);
        let mut game = Game {
            players: names.map(|name| (name.clone(), player)).collect(),
            field,
            random: Random(seed),
            ended_shots: 0,
            is_unsettled: true,
            reports: Vec::new(),
        };
        // The earlier game may have ended within a step.
        game.finish_step();
        game
    }

    /// Obeys an order of a member. [`Order::Look`] and [`Order::Rules`] change nothing.
    ///
    /// # Errors
    /// The order cannot be obeyed.
    pub fn order(&mut self, name: &str, order: Order, now: Duration) -> Result<(), Refusal> {
        self.retire_silent(now);
        match order {
            Order::Join(camp) => self.join(name, camp, now).map(|_| ()),
            Order::Leave => {
                self.leave(name);
                Ok(())
            }
            Order::Fire { elevation, power } => self.fire(name, elevation, power, now),
            Order::Look | Order::Rules => Ok(()),
        }
    }

    /// Records that a member said something.
    pub fn hear(&mut self, name: &str, now: Duration) {
        if let Some(player) = self.players.get_mut(name) {
            player.heard_at = now;
        }
    }

    /// Takes a member off the field, if it takes part.
    pub fn leave(&mut self, name: &str) {
        if let Some(player) = self.players.get_mut(name) {
            (player.is_leaving, self.is_unsettled) = (true, true);
        }
    }

    /// Records that a member has another name.
    pub fn rename(&mut self, from: &str, to: &str) {
        if let Some(player) = self.players.remove(from) {
            self.players.insert(to.to_owned(), player);
            self.field.rename(from, to);
            self.is_unsettled = true;
        }
    }

    /// Moves every shell by one step.
    pub fn step(&mut self) {
        self.field.begin_step();
        self.finish_step();
    }

    fn finish_step(&mut self) {
        while let Some((flight, end)) = self.field.next_end() {
            self.on_end(flight, end);
        }
    }

    /// Whether a shell flies, so that there are steps to make.
    pub fn is_flying(&self) -> bool {
        !self.field.flights().is_empty()
    }

    /// Removes the cannons of those that leave, sees to the target, and tells the state. A player whose shell flies
    /// stays until it has landed.
    pub fn settle(&mut self, now: Duration) {
        self.retire_silent(now);
        let field = &mut self.field;
        self.players.retain(|name, player| {
            let stays = !player.is_leaving || field.has_shell_of(name);
            if !stays {
                field.cannons.retain(|cannon| cannon.name != *name);
            }
            stays
        });
        self.is_unsettled = self.players.values().any(|player| player.is_leaving);
        self.place_target();
        self.reports.extend(Report::state(&self.field));
    }

    /// The state, for a member that asks.
    pub fn state(&self) -> impl Iterator<Item = Report> {
        Report::state(&self.field)
    }

    /// Takes what the room has to be told.
    pub fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// Lets a member take part. Returns its player.
    fn join(&mut self, name: &str, camp: Option<Camp>, now: Duration) -> Result<&mut Player, Refusal> {
        if let Some(cannon) = self.field.cannon(name) {
            if camp.is_some_and(|camp| camp != cannon.camp) {
                return Err(Refusal::OtherCamp);
            }
        } else {
            let (left, right) = (self.players_in(Camp::Left), self.players_in(Camp::Right));
            let camp = camp.unwrap_or(if left <= right { Camp::Left } else { Camp::Right });
            self.place(name, camp).ok_or(Refusal::FieldFull)?;
            self.is_unsettled = true;
        }
        let newcomer = Player { aim: Aim::default(), heard_at: now, is_leaving: false };
        let player = self.players.entry(name.to_owned()).or_insert(newcomer);
        player.is_leaving = false;
        Ok(player)
    }

    fn fire(&mut self, name: &str, elevation: Option<i32>, power: Option<i32>, now: Duration) -> Result<(), Refusal> {
        let last = self.players.get(name).map_or_else(Aim::default, |player| player.aim);
        let aim = Aim::new(elevation.unwrap_or(last.elevation()), power.unwrap_or(last.power())).ok_or(Refusal::Aim)?;
        if self.field.has_shell_of(name) {
            return Err(Refusal::StillFlies);
        }
        self.join(name, None, now)?.aim = aim;
        self.field.launch(name, aim);
        self.reports.push(Report::Shot { tick: self.field.tick, name: name.to_owned(), aim });
        Ok(())
    }

    /// Counts the end of a flight. Its cannon moves, and a target that was hit does, too.
    fn on_end(&mut self, flight: Flight, end: End) {
        let Flight { tick, name, shooter, .. } = flight;
        let victim = if let Fate::Hit(victim) = &end.fate { Some(victim.clone()) } else { None };
        self.reports.push(Report::End { tick, name, end });
        if let Some(victim) = &victim {
            self.field.count_hit(&shooter, victim);
        }
        self.shift(&shooter, MOVE_MAX);
        if let Some(victim) = victim.filter(|victim| *victim != shooter) {
            // A target may turn up anywhere in its camp.
            self.shift(&victim, if victim == TARGET { i32::from(i16::MAX) } else { 0 });
        }
        self.ended_shots += 1;
        if self.ended_shots.is_multiple_of(SHOTS_PER_SCORE) {
            self.reports.push(self.scores());
        }
    }

    fn scores(&self) -> Report {
        let players = self.field.cannons.iter().filter(|cannon| cannon.name != TARGET);
        let mut scores: Vec<_> = players.map(|cannon| (cannon.name.clone(), cannon.score)).collect();
        scores.sort_by_key(|(_, points)| std::cmp::Reverse(*points));
        Report::Score(scores)
    }

    /// Has a target in a camp that is empty while the other is not, and none elsewhere.
    fn place_target(&mut self) {
        let is_wanted = |camp: &Camp| self.players_in(*camp) == 0 && !self.players.is_empty();
        let wanted = [Camp::Left, Camp::Right].into_iter().find(is_wanted);
        self.field.cannons.retain(|cannon| cannon.name != TARGET || Some(cannon.camp) == wanted);
        if let Some(camp) = wanted.filter(|_| self.field.cannon(TARGET).is_none()) {
            // A full field has no room for it.
            let _ = self.place(TARGET, camp);
        }
    }

    /// Puts a new cannon somewhere in its camp, and tells it. `None`: there is no room.
    fn place(&mut self, name: &str, camp: Camp) -> Option<()> {
        let (x, y) = Some(camp.area()).filter(|_| self.field.cannons.len() < CANNONS_MAX)?;
        let (x, y) = self.free_place(x, y, name)?;
        let cannon = Cannon { name: name.to_owned(), camp, x, y, score: 0 };
        self.reports.push(Report::Cannon(cannon.clone()));
        self.field.cannons.push(cannon);
        Some(())
    }

    /// Moves a cannon by at most `reach` within its camp, and tells it.
    fn shift(&mut self, name: &str, reach: i32) {
        let Some(&Cannon { camp, x, y, .. }) = self.field.cannon(name) else { return };
        let (xs, ys) = camp.area();
        let near =
            |at: i32, area: &RangeInclusive<i32>| (at - reach).max(*area.start())..=(at + reach).min(*area.end());
        // Its own place is free.
        let place = self.free_place(near(x, &xs), near(y, &ys), name);
        if let (Some((x, y)), Some(cannon)) = (place, self.field.cannon_mut(name)) {
            (cannon.x, cannon.y) = (x, y);
            self.reports.push(Report::Cannon(cannon.clone()));
        }
    }

    /// Returns a place in this area where a cannon overlaps no other one: a random place, or that behind it in a walk
    /// through all of them.
    fn free_place(&mut self, xs: RangeInclusive<i32>, ys: RangeInclusive<i32>, name: &str) -> Option<(i32, i32)> {
        /// A prime that divides the number of places of no area, and so leads to all of them, far from each other.
        const STRIDE: u64 = 22_501;
        let columns = u64::try_from(xs.end() - xs.start() + 1).ok()?;
        let rows = u64::try_from(ys.end() - ys.start() + 1).ok()?;
        let first = self.random.next() % (columns * rows);
        let place = |index: u64| {
            let index = (first + index * STRIDE) % (columns * rows);
            let offset = |index: u64| i32::try_from(index).unwrap_or_default();
            (xs.start() + offset(index % columns), ys.start() + offset(index / columns))
        };
        (0..columns * rows).map(place).find(|&place| self.field.is_free(place, name))
    }

    fn players_in(&self, camp: Camp) -> usize {
        self.field.cannons.iter().filter(|cannon| cannon.camp == camp && cannon.name != TARGET).count()
    }

    fn retire_silent(&mut self, now: Duration) {
        let stay = self.players.values_mut().filter(|player| !player.is_leaving);
        for player in stay.filter(|player| now.saturating_sub(player.heard_at) >= SILENCE_MAX) {
            (player.is_leaving, self.is_unsettled) = (true, true);
        }
    }
}

/// Pseudorandom numbers (SplitMix64): the same seed gives the same game.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
