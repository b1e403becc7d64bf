//! The referee: hears the lines of a room, has a [`Game`] obey them, and says what comes of it.
//!
//! [`Referee`] is pure: lines and the time in, lines out. [`run`] makes it a client like any other. The relay knows
//! nothing of the game, and the referee nothing of sockets.
//!
//! An order is that of the member who says it, by its name at that moment. A private order may overtake the news of a
//! name, and then begins a cannon of its own, which goes when the news comes.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use super::field::STEP_MS;
use super::follow::Follower;
use super::game::Game;
use super::order::Order;
use super::report::Report;
use crate::client::{ClientError, Config, Heard, ProgramClient, Stay};
use crate::net::backoff::jitter;
use crate::relay::name::is_shown_name;
use crate::relay::notice::Notice;

/// The name of a referee and of its room, unless flags say otherwise.
pub const NAME: &str = "bombards";

/// Time of a step.
const STEP: Duration = Duration::from_millis(STEP_MS);

/// Pause between two states: 34 lines each, when players come and go in a crowd.
const STATE_PAUSE: Duration = Duration::from_secs(2);

/// Pause between two answers to one member.
const ANSWER_PAUSE: Duration = Duration::from_secs(1);

/// Members that are answered within an [`ANSWER_PAUSE`]. Further ones get no answer.
const ANSWERED_MAX: usize = 64;

/// Free bytes for lines to the relay, below which orders are dropped: what 32 shells and a state may still say fits in.
const FREE_BYTES_MIN: usize = 64 << 10;

/// The answer to `rules`.
const RULES: [&str; 7] = [
    "say these words in the room, or with /msg to me alone: join, fire 45 85, fire 45, fire, look, leave",
    "fire A P: A is the elevation, -15 to 85 degrees towards the foe; P is the power, 10 to 100; at first 45 and 85",
    "the field has 700 x 400 px, y grows downwards; a step is 20 ms; units are thousandths of a px",
    "a shell begins 30 px from the axis of its cannon with 200 units a step for each P, and falls by 400 more each step",
    "it hits a cannon within 15 px of its axis, in x and in y, even its own; there is one shell for each cannon",
    "a foe hit: +1; an ally or yourself: -2; the cannon that is hit: -1; behind its shot a cannon moves",
    "I say: cannon NAME CAMP X Y SCORE; shot TICK NAME A P; end TICK NAME hit|ground|out X Y TARGET",
];

/// A game and its room. The time is that since the referee began.
#[derive(Debug)]
pub struct Referee {
    /// The name by which an earlier referee said its lines.
    name: String,
    seed: u64,
    stage: Stage,
    /// The time of the next step, if a shell flies.
    step_at: Duration,
    /// The time at which a state may be told again.
    state_at: Duration,
    /// The times of the last answers.
    answered: BTreeMap<String, Duration>,
    /// Whether the relay takes lines too slowly, so that orders are dropped.
    pub is_busy: bool,
    lines: Vec<String>,
}

/// State of a [`Referee`].
#[derive(Debug)]
enum Stage {
    /// It reads the history of the room.
    Reading(Follower),
    /// It plays.
    Playing(Box<Game>),
}

impl Referee {
    /// A referee that reads the history of its room first.
    pub fn new(name: &str, seed: u64) -> Referee {
        Referee {
            name: name.to_owned(),
            seed,
            stage: Stage::Reading(Follower::default()),
            step_at: Duration::ZERO,
            state_at: Duration::ZERO,
            answered: BTreeMap::new(),
            is_busy: false,
            lines: Vec::new(),
        }
    }

    /// Takes a line that was said before the referee came.
    pub fn on_earlier_line(&mut self, line: &str) {
        let Stage::Reading(follower) = &mut self.stage else { return };
        if let Some(Notice::Renamed { from, to }) = Notice::in_line(line) {
            follower.rename(from, to);
        }
        let said = line.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix("> "));
        if let Some(report) = said.and_then(Report::parse)
            && follower.take(report).is_err()
        {
            follower.forget_flights();
        }
    }

    /// Records that the referee is in the room, and that lines which it said may be lost.
    pub fn on_present(&mut self, now: Duration) {
        match &mut self.stage {
            Stage::Reading(follower) => {
                let field = std::mem::take(follower).into_field();
                self.stage = Stage::Playing(Box::new(Game::new(field, self.seed, now)));
                self.step_at = now + STEP;
            }
            Stage::Playing(game) => game.is_unsettled = true,
        }
    }

    /// Takes a line of the room.
    pub fn on_line(&mut self, line: &str, now: Duration) {
        let Stage::Playing(game) = &mut self.stage else { return };
        match Notice::in_line(line) {
            Some(Notice::Left { name } | Notice::Removed { name }) => game.leave(name),
            Some(Notice::Renamed { from, to }) => game.rename(from, to),
            Some(_) => {}
            None => {
                if let Some((name, text)) = line.split_once("> ").filter(|(name, _)| is_shown_name(name)) {
                    self.on_words(name, text, now);
                }
            }
        }
    }

    /// Takes a line for the referee alone, without its prefix.
    pub fn on_private(&mut self, text: &str, now: Duration) {
        if let Notice::TellsYou { from, text } = Notice::parse(text) {
            self.on_words(from, text, now);
        }
    }

    /// Makes the steps that are due, and tells the state if it is due.
    pub fn advance(&mut self, now: Duration) {
        let Stage::Playing(game) = &mut self.stage else { return };
        while game.is_flying() && self.step_at <= now {
            game.step();
            self.step_at += STEP;
        }
        if game.is_unsettled && self.state_at <= now {
            game.settle(now);
            self.state_at = now + STATE_PAUSE;
        }
        self.lines.extend(game.take_reports().iter().map(Report::to_string));
    }

    /// The time at which [`Referee::advance`] has something to do; `None` if nothing flies and nothing has changed.
    pub fn deadline(&self) -> Option<Duration> {
        let Stage::Playing(game) = &self.stage else { return None };
        let step_at = game.is_flying().then_some(self.step_at);
        let state_at = game.is_unsettled.then_some(self.state_at);
        step_at.into_iter().chain(state_at).min()
    }

    /// Takes the lines to say, `/msg` among them.
    pub fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn on_words(&mut self, name: &str, text: &str, now: Duration) {
        let Stage::Playing(game) = &mut self.stage else { return };
        game.hear(name, now);
        let Some(order) = Order::parse(text).filter(|_| !self.is_busy) else { return };
        let was_flying = game.is_flying();
        let obeyed = order.and_then(|order| game.order(name, order, now).map(|()| order));
        if !was_flying {
            self.step_at = now + STEP;
        }
        let answers: Vec<String> = match obeyed {
            Ok(Order::Look) => game.state().map(|report| report.to_string()).collect(),
            Ok(Order::Rules) => RULES.map(str::to_owned).to_vec(),
            Ok(Order::Join(_) | Order::Leave | Order::Fire { .. }) => Vec::new(),
            Err(refusal) => vec![refusal.to_string()],
        };
        // What it did to the field is told before all else.
        self.lines.extend(game.take_reports().iter().map(Report::to_string));
        if !answers.is_empty() && self.may_answer(name, now) {
            self.lines.extend(answers.iter().map(|answer| format!("/msg {name} {answer}")));
        }
    }

    /// Whether a member may be answered now. Counts the answer.
    fn may_answer(&mut self, name: &str, now: Duration) -> bool {
        self.answered.retain(|_, at| now < *at + ANSWER_PAUSE);
        let may = self.answered.len() < ANSWERED_MAX && !self.answered.contains_key(name);
        if may {
            self.answered.insert(name.to_owned(), now);
        }
        may
    }
}

/// Referees the game in the room of `config`, until a signal ends it. `seed` decides all moves.
///
/// # Errors
/// The server cannot be connected to, does not let the referee into the room or have its name, or has ended the
/// conversation for good.
pub fn run(config: &Config, seed: Option<u64>) -> Result<(), ClientError> {
    let name = config.nick.as_ref().map_or(NAME, |name| name.as_str());
    let mut client = ProgramClient::connect(config, "pollchat-bombards")?;
    let mut referee = Referee::new(name, seed.unwrap_or_else(jitter));
    let mut room = config.room.as_ref();
    let begin = Instant::now();
    while client.turn(referee.deadline().map(|at| begin + at))? == Stay::On {
        let now = begin.elapsed();
        // Shells fly as far as they were when the orders came.
        referee.advance(now);
        while let Some(heard) = client.next_heard() {
            referee.is_busy = client.free_bytes() < FREE_BYTES_MIN;
            match heard {
                Heard::Earlier(line) => referee.on_earlier_line(&line),
                Heard::Present => {
                    referee.on_present(now);
                    if let Some(room) = room.take() {
                        // Nobody may read it.
                        let _ = writeln!(io::stdout(), "{name} referees in {room} at {}", config.server);
                    }
                }
                Heard::Line(line) => referee.on_line(&line, now),
                Heard::Private(text) => referee.on_private(&text, now),
            }
            referee.take_lines().iter().for_each(|line| client.say(line));
        }
        referee.advance(now);
        referee.take_lines().iter().for_each(|line| client.say(line));
    }
    Ok(())
}
