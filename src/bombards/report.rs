//! The lines of the referee: words and integers that people read and programs parse. Pure.

use std::fmt;
use std::str::FromStr;

use super::field::{Aim, BARREL, BOX, Camp, Cannon, End, Fate, Field, GRAVITY, HEIGHT, SPEED, STEP_MS, WIDTH};

/// A line of the referee. `Display` writes it, and [`Report::parse`] reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// `field …`: the constants of the game. A state begins with it.
    Field,
    /// `cannon NAME CAMP X Y SCORE`: a cannon came, moved, or has another score; or it is part of a state.
    Cannon(Cannon),
    /// `cannons N tick T`: the end of a state, which was whole if it had so many cannons.
    Cannons {
        /// Their number.
        count: usize,
        /// The present tick.
        tick: u64,
    },
    /// `shot T NAME A P`: a launch.
    Shot {
        /// The present tick.
        tick: u64,
        /// The cannon.
        name: String,
        /// Its aim.
        aim: Aim,
    },
    /// `end T NAME KIND X Y [TARGET]`: the end of the flight that `shot T NAME` began.
    End {
        /// The tick of the launch.
        tick: u64,
        /// The cannon, by its name at the launch.
        name: String,
        /// The end.
        end: End,
    },
    /// `score NAME POINTS …`: the players, best first.
    Score(Vec<(String, i32)>),
}

impl Report {
    /// The state of a field, as lines.
    pub fn state(field: &Field) -> impl Iterator<Item = Report> {
        let cannons = field.cannons.iter().cloned().map(Report::Cannon);
        let whole = Report::Cannons { count: field.cannons.len(), tick: field.tick };
        [Report::Field].into_iter().chain(cannons).chain([whole])
    }

    /// Reads a line; `None` if it is no report. Further fields are ignored, so that later referees may say more.
    pub fn parse(line: &str) -> Option<Report> {
        let mut words = line.split_ascii_whitespace();
        let word = words.next()?;
        let mut next = || words.next();
        match word {
            "field" => Some(Report::Field),
            "cannon" => {
                let (name, camp) = (next()?.to_owned(), Camp::parse(next()?)?);
                let [x, y, score] = [number(next()?)?, number(next()?)?, number(next()?)?];
                Some(Report::Cannon(Cannon { name, camp, x, y, score }))
            }
            "cannons" => {
                let count = number(next()?)?;
                (next()? == "tick").then_some(())?;
                Some(Report::Cannons { count, tick: number(next()?)? })
            }
            "shot" => {
                let (tick, name) = (number(next()?)?, next()?.to_owned());
                Some(Report::Shot { tick, name, aim: Aim::new(number(next()?)?, number(next()?)?)? })
            }
            "end" => {
                let (tick, name) = (number(next()?)?, next()?.to_owned());
                let (kind, x, y) = (next()?, number(next()?)?, number(next()?)?);
                let fate = match kind {
                    "hit" => Fate::Hit(next()?.to_owned()),
                    "ground" => Fate::Ground,
                    "out" => Fate::Out,
                    _ => return None,
                };
                Some(Report::End { tick, name, end: End { fate, x, y } })
            }
            "score" => {
                let mut scores = Vec::new();
                while let Some(name) = next() {
                    scores.push((name.to_owned(), number(next()?)?));
                }
                Some(Report::Score(scores))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Field => write!(
                f,
                "field {WIDTH} {HEIGHT} barrel {BARREL} box {BOX} speed {SPEED} gravity {GRAVITY} step {STEP_MS}"
            ),
            Report::Cannon(Cannon { name, camp, x, y, score }) => write!(f, "cannon {name} {camp} {x} {y} {score}"),
            Report::Cannons { count, tick } => write!(f, "cannons {count} tick {tick}"),
            Report::Shot { tick, name, aim } => write!(f, "shot {tick} {name} {} {}", aim.elevation(), aim.power()),
            Report::End { tick, name, end: End { fate, x, y } } => match fate {
                Fate::Hit(target) => write!(f, "end {tick} {name} hit {x} {y} {target}"),
                Fate::Ground => write!(f, "end {tick} {name} ground {x} {y}"),
                Fate::Out => write!(f, "end {tick} {name} out {x} {y}"),
            },
            Report::Score(scores) => {
                f.write_str("score")?;
                scores.iter().try_for_each(|(name, points)| write!(f, " {name} {points}"))
            }
        }
    }
}

fn number<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}
