//! The field: cannons, shells in the air, and the physics of both, in integers. Pure.
//!
//! A pixel has 1,000 units, and `y` grows downwards. Any language with integers computes the same flights: there is no
//! rounding but one truncating division at the launch, and signs are set behind it, so left and right mirror exactly.

use std::fmt;
use std::ops::RangeInclusive;

/// Width of the field in pixels. A shell beyond it is out.
pub const WIDTH: i32 = 700;

/// Height of the field in pixels. A shell below it has hit the ground. There is no ceiling.
pub const HEIGHT: i32 = 400;

/// Length of a barrel in pixels. A shell begins at its end.
pub const BARREL: i32 = 30;

/// Half the side of a cannon's box in pixels. A shell nearer to the axis than that, in x and y, hits.
pub const BOX: i32 = 15;

/// Units that a shell moves in its first step, for each unit of power.
pub const SPEED: i32 = 200;

/// Units a step that each step adds to the speed downwards.
pub const GRAVITY: i32 = 400;

/// Time of a step in milliseconds.
pub const STEP_MS: u64 = 20;

/// Units of a pixel.
pub const UNITS: i32 = 1_000;

/// Cannons on the field, the target included. Their boxes never overlap, and 32 find room even in one camp.
pub const CANNONS_MAX: usize = 32;

/// Name of the cannon in an empty camp, which never fires. No member can be called so.
pub const TARGET: &str = "*target*";

/// The sine of 90 degrees in [`SINES`].
const ONE: i32 = 10_000;

/// `round(10,000 · sin d)` for each whole degree `d` from 0 to 90.
const SINES: [i32; 91] = [
    0, 175, 349, 523, 698, 872, 1_045, 1_219, 1_392, 1_564, 1_736, 1_908, 2_079, 2_250, 2_419, 2_588, 2_756, 2_924,
    3_090, 3_256, 3_420, 3_584, 3_746, 3_907, 4_067, 4_226, 4_384, 4_540, 4_695, 4_848, 5_000, 5_150, 5_299, 5_446,
    5_592, 5_736, 5_878, 6_018, 6_157, 6_293, 6_428, 6_561, 6_691, 6_820, 6_947, 7_071, 7_193, 7_314, 7_431, 7_547,
    7_660, 7_771, 7_880, 7_986, 8_090, 8_192, 8_290, 8_387, 8_480, 8_572, 8_660, 8_746, 8_829, 8_910, 8_988, 9_063,
    9_135, 9_205, 9_272, 9_336, 9_397, 9_455, 9_511, 9_563, 9_613, 9_659, 9_703, 9_744, 9_781, 9_816, 9_848, 9_877,
    9_903, 9_925, 9_945, 9_962, 9_976, 9_986, 9_994, 9_998, 10_000,
];

/// The side of a cannon. It fires towards the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Camp {
    /// Fires to the right.
    Left,
    /// Fires to the left.
    Right,
}

impl Camp {
    /// Reads `left` or `right`.
    pub fn parse(word: &str) -> Option<Camp> {
        [Camp::Left, Camp::Right].into_iter().find(|camp| camp.to_string() == word)
    }

    /// Columns and rows where its cannons may stand, in pixels.
    pub fn area(self) -> (RangeInclusive<i32>, RangeInclusive<i32>) {
        let columns = if self == Camp::Left { 20..=280 } else { 420..=680 };
        (columns, 160..=380)
    }
}

impl fmt::Display for Camp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Camp::Left { "left" } else { "right" })
    }
}

/// Elevation and power of a shot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    elevation: i32,
    power: i32,
}

impl Aim {
    /// Returns the aim, if a cannon can take it: -15 to 85 degrees towards the foe, and a power of 10 to 100.
    pub fn new(elevation: i32, power: i32) -> Option<Aim> {
        let is_possible = (-15..=85).contains(&elevation) && (10..=100).contains(&power);
        is_possible.then_some(Aim { elevation, power })
    }

    /// Degrees above the horizontal.
    pub fn elevation(self) -> i32 {
        self.elevation
    }

    /// Units of power.
    pub fn power(self) -> i32 {
        self.power
    }
}

impl Default for Aim {
    fn default() -> Aim {
        Aim { elevation: 45, power: 85 }
    }
}

/// A cannon, as a `cannon` line tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cannon {
    /// The name of its member, or [`TARGET`].
    pub name: String,
    /// Its side.
    pub camp: Camp,
    /// Its axis, in pixels.
    pub x: i32,
    /// Its axis, in pixels.
    pub y: i32,
    /// Its points.
    pub score: i32,
}

/// A shell in the air: its place in units, and its speed in units a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shell {
    /// Its place from the left.
    pub x: i32,
    /// Its place from the top.
    pub y: i32,
    vx: i32,
    vy: i32,
}

impl Shell {
    /// A shell at the muzzle of a cannon at `x`, `y`.
    pub fn launch(camp: Camp, (x, y): (i32, i32), aim: Aim) -> Shell {
        let angle = aim.elevation.unsigned_abs() as usize;
        let (cosine, sine) = (SINES[90 - angle], SINES[angle] * aim.elevation.signum());
        let direction = if camp == Camp::Left { 1 } else { -1 };
        let barrel = BARREL * UNITS / ONE;
        // A division truncates towards zero, whatever the sign.
        let speed = |part: i32| SPEED * aim.power * part / ONE;
        Shell {
            x: UNITS * x + direction * barrel * cosine,
            y: UNITS * y - barrel * sine,
            vx: direction * speed(cosine),
            vy: -speed(sine),
        }
    }

    /// Moves it by one step.
    pub fn fly(&mut self) {
        self.x += self.vx;
        self.y += self.vy;
        self.vy += GRAVITY;
    }

    /// Returns its end, if the last step led there.
    pub fn end(&self, cannons: &[Cannon]) -> Option<End> {
        let is_near = |at: i32, axis: i32| (at - UNITS * axis).abs() < UNITS * BOX;
        let is_hit = |cannon: &&Cannon| is_near(self.x, cannon.x) && is_near(self.y, cannon.y);
        let fate = if let Some(cannon) = cannons.iter().find(is_hit) {
            Fate::Hit(cannon.name.clone())
        } else if self.y > HEIGHT * UNITS {
            Fate::Ground
        } else if self.x < 0 || self.x > WIDTH * UNITS {
            Fate::Out
        } else {
            return None;
        };
        Some(End { fate, x: self.x.div_euclid(UNITS), y: self.y.div_euclid(UNITS) })
    }
}

/// The end of a flight. Its place is in pixels, rounded down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Its kind.
    pub fate: Fate,
    /// Its place from the left.
    pub x: i32,
    /// Its place from the top.
    pub y: i32,
}

/// Kind of an [`End`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It hit the cannon of this name.
    Hit(String),
    /// It fell to the ground.
    Ground,
    /// It left the field at a side.
    Out,
}

/// A shell on its way, and its cannon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The tick of the launch.
    pub tick: u64,
    /// The name of the cannon at the launch, by which lines tell the flight.
    pub name: String,
    /// The present name of the cannon.
    pub shooter: String,
    shell: Shell,
}

/// Cannons and flights at a tick.
///
/// In a step each shell, in the order of the launches, moves and is tested against the cannons where they are at that
/// moment. Between two shells of a step the caller may move cannons.
///
/// Invariant: the flights before `turn` stand at `tick`, the others one step before it.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// Steps so far. Time stands still while nothing flies.
    pub tick: u64,
    /// The cannons, in the order in which they came. Their names differ.
    pub cannons: Vec<Cannon>,
    flights: Vec<Flight>,
    turn: usize,
}

impl Field {
    /// Returns the cannon of this name.
    pub fn cannon(&self, name: &str) -> Option<&Cannon> {
        self.cannons.iter().find(|cannon| cannon.name == name)
    }

    /// Returns the cannon of this name.
    pub fn cannon_mut(&mut self, name: &str) -> Option<&mut Cannon> {
        self.cannons.iter_mut().find(|cannon| cannon.name == name)
    }

    /// Whether a cannon at `x`, `y` would overlap none, but perhaps that of `name` itself.
    pub fn is_free(&self, (x, y): (i32, i32), name: &str) -> bool {
        let is_clear = |cannon: &Cannon| (cannon.x - x).abs() >= 2 * BOX || (cannon.y - y).abs() >= 2 * BOX;
        self.cannons.iter().all(|cannon| cannon.name == name || is_clear(cannon))
    }

    /// Gives the cannon `from` another name. A cannon that had that name is removed: a member has it alone.
    pub fn rename(&mut self, from: &str, to: &str) {
        if self.cannon(from).is_none() || from == to {
            return;
        }
        self.cannons.retain(|cannon| cannon.name != to);
        let names = self.cannons.iter_mut().map(|cannon| &mut cannon.name);
        let shooters = self.flights.iter_mut().map(|flight| &mut flight.shooter);
        names.chain(shooters).filter(|name| *name == from).for_each(|name| to.clone_into(name));
    }

    /// Launches a shell of the cannon `name`, between two steps. Returns whether there is such a cannon.
    pub fn launch(&mut self, name: &str, aim: Aim) -> bool {
        let Some(cannon) = self.cannon(name) else { return false };
        let shell = Shell::launch(cannon.camp, (cannon.x, cannon.y), aim);
        self.flights.push(Flight { tick: self.tick, name: name.to_owned(), shooter: name.to_owned(), shell });
        self.turn = self.flights.len();
        true
    }

    /// The flights, in the order of the launches.
    pub fn flights(&self) -> &[Flight] {
        &self.flights
    }

    /// Whether a shell of the cannon `name` is in the air.
    pub fn has_shell_of(&self, name: &str) -> bool {
        self.flights.iter().any(|flight| flight.shooter == name)
    }

    /// Forgets all shells.
    pub fn clear_flights(&mut self) {
        self.flights.clear();
        self.turn = 0;
    }

    /// Begins a step. [`Field::next_end`] moves the shells.
    pub fn begin_step(&mut self) {
        self.tick += 1;
        self.turn = 0;
    }

    /// Moves shells until a flight ends, and removes that. `None`: all have moved, and the step is over.
    pub fn next_end(&mut self) -> Option<(Flight, End)> {
        while let Some(flight) = self.flights.get_mut(self.turn) {
            flight.shell.fly();
            if let Some(end) = flight.shell.end(&self.cannons) {
                return Some((self.flights.remove(self.turn), end));
            }
            self.turn += 1;
        }
        None
    }

    /// Counts a hit: a foe is worth 1 point, an ally or oneself costs 2, and the victim loses 1 in any case.
    pub fn count_hit(&mut self, shooter: &str, victim: &str) {
        let camp_of = |name| self.cannon(name).map(|cannon| cannon.camp);
        let points = if camp_of(shooter) == camp_of(victim) { -2 } else { 1 };
        for (name, points) in [(shooter, points), (victim, -1)] {
            if let Some(cannon) = self.cannon_mut(name) {
                cannon.score = cannon.score.saturating_add(points);
            }
        }
    }
}
