//! Programs that play: the bot of the documentation, and a tournament of eight bots of three kinds.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use pollchat::bombards::field::{Aim, Cannon, End, Fate, GRAVITY, HEIGHT, Shell, TARGET, UNITS};
use pollchat::bombards::report::Report;

use crate::room::{Referee, member, told};
use crate::support::lines::{Lines as _, Member as _};
use crate::support::{Client, Server};

/// The bot of the documentation; killed when dropped.
struct Bot(Child);

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_bot_of_the_documentation_plays_and_hits() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bombards/bot.py");
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 18);
    let server = Server::start(&[]);
    let _referee = Referee::start(&server.address(), &[]);
    let mut eva = member(&server, "eva");
    let start = |name: &str| {
        let address = server.address();
        let mut command = Command::new("python3");
        command.args([file, &address.ip().to_string(), &address.port().to_string(), name]).stdin(Stdio::null());
        Bot(command.spawn().expect("python3 is there"))
    };
    let _gunner = start("gunner");
    told(&mut eva, "cannon gunner left ");
    let mut hits = 0;
    let mut shots = 0;
    while hits < 5 {
        let end = told(&mut eva, "end ");
        assert_eq!(end[1], "gunner");
        hits += usize::from(end[2..].first().is_some_and(|kind| kind == "hit") && end.last().unwrap() == "*target*");
        shots += 1;
        assert!(shots < 40, "{hits} hits of {shots} shots");
    }
    let _other = start("other");
    told(&mut eva, "cannon other right ");
    told(&mut eva, "end ");
}

/// A way of aiming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// At random.
    Random,
    /// By the last shot: with more power if it fell short, with less if it went too far.
    Bracketing,
    /// By the closed form of the flight, where no ally stands in the way.
    ClosedForm,
}

/// A player of a [`Kind`], who fires at the target.
struct Player {
    kind: Kind,
    name: String,
    client: Client,
    random: u64,
    /// Power for the root of a pixel of distance.
    power: f64,
    cannons: BTreeMap<String, Cannon>,
    hits: u32,
}

impl Player {
    fn fire(&mut self) {
        let (own, foe) = (&self.cannons[&self.name], &self.cannons[TARGET]);
        let aim = match self.kind {
            Kind::Random => {
                self.random =
                    self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let next = |shift: u64, count: u64| i32::try_from((self.random >> shift) % count).unwrap();
                Aim::new(next(33, 101) - 15, 10 + next(43, 91))
            }
            Kind::Bracketing => {
                let power = (self.power * f64::from(ground_behind(foe) - own.x).sqrt()).round().clamp(10.0, 100.0);
                (10..=100).find(|whole| f64::from(*whole) >= power).and_then(|power| Aim::new(70, power))
            }
            Kind::ClosedForm => closed_form(own, foe, &self.cannons),
        };
        let aim = aim.unwrap_or_default();
        self.client.send_line(format!("fire {} {}", aim.elevation(), aim.power()));
    }

    /// Takes lines until so many shots have ended, and all moves behind them are known.
    fn follow(&mut self, shots: usize) {
        let (mut ended, mut moves) = (0, 0);
        while ended < shots || moves > 0 {
            let line = self.client.line();
            match line.strip_prefix("bombards> ").and_then(Report::parse) {
                Some(Report::Cannon(cannon)) => {
                    moves -= i32::from(self.cannons.insert(cannon.name.clone(), cannon).is_some());
                }
                Some(Report::End { name, end, .. }) => {
                    ended += 1;
                    moves += 1;
                    if let Fate::Hit(victim) = &end.fate {
                        moves += i32::from(*victim != name);
                    }
                    if name == self.name {
                        self.learn(&end);
                    }
                }
                _ => {}
            }
        }
    }

    fn learn(&mut self, end: &End) {
        match &end.fate {
            Fate::Hit(victim) => self.hits += u32::from(victim == TARGET),
            Fate::Ground | Fate::Out => {
                let own = &self.cannons[&self.name];
                let (wanted, reached) = (ground_behind(&self.cannons[TARGET]) - own.x, (end.x - own.x).max(50));
                self.power *= (f64::from(wanted) / f64::from(reached)).sqrt();
            }
        }
    }
}

/// The column in which a shell reaches the ground that falls steeply through a cannon of the right camp.
fn ground_behind(cannon: &Cannon) -> i32 {
    cannon.x + (HEIGHT - cannon.y) / 3
}

/// The aim whose flight is at the height of the foe where it passes its axis, and first hits the foe.
fn closed_form(own: &Cannon, foe: &Cannon, cannons: &BTreeMap<String, Cannon>) -> Option<Aim> {
    let all: Vec<Cannon> = cannons.values().cloned().collect();
    let aims = (0..=80).step_by(5).flat_map(|elevation| (30..=100).filter_map(move |power| Aim::new(elevation, power)));
    let at_its_height = aims.filter(|aim| {
        let begin = Shell::launch(own.camp, (own.x, own.y), *aim);
        let mut first = begin;
        first.fly();
        let (vx, vy) = (first.x - begin.x, first.y - begin.y);
        let steps = (UNITS * foe.x - begin.x) / vx;
        let y = begin.y + steps * vy + GRAVITY * steps * (steps - 1) / 2;
        (y - UNITS * foe.y).abs() < 8 * UNITS
    });
    let hits = |aim: &Aim| {
        let mut shell = Shell::launch(own.camp, (own.x, own.y), *aim);
        let end = std::iter::repeat_with(|| {
            shell.fly();
            shell.end(&all)
        });
        end.flatten().next().is_some_and(|end| end.fate == Fate::Hit(foe.name.clone()))
    };
    at_its_height.into_iter().find(hits)
}

#[test]
fn the_better_bots_win_the_tournament() {
    const ROUNDS: usize = 8;
    let server = Server::start(&[]);
    let _referee = Referee::start(&server.address(), &["--seed", "3"]);
    let kinds = [Kind::Random, Kind::Bracketing, Kind::ClosedForm].into_iter().cycle().take(8);
    let mut players: Vec<Player> = Vec::new();
    for (number, kind) in (1..).zip(kinds) {
        let name = format!("bot{number}");
        let mut client = member(&server, &name);
        client.send_line("join left");
        let (random, power, cannons) = (number, 3.5, BTreeMap::new());
        players.push(Player { kind, name, client, random, power, cannons, hits: 0 });
    }
    for player in &mut players {
        for line in player.client.lines_until(|line| line.starts_with("bombards> cannons 9 ")) {
            if let Some(Report::Cannon(cannon)) = line.strip_prefix("bombards> ").and_then(Report::parse) {
                player.cannons.insert(cannon.name.clone(), cannon);
            }
        }
    }
    for _ in 0..ROUNDS {
        // The target moves when it is hit: those that hit it mostly fire last.
        for is_last in [false, true] {
            let is_due = |player: &Player| (player.kind == Kind::ClosedForm) == is_last;
            let shots = players.iter().filter(|player| is_due(player)).count();
            players.iter_mut().filter(|player| is_due(player)).for_each(Player::fire);
            players.iter_mut().for_each(|player| player.follow(shots));
        }
    }
    let hits = |kind| players.iter().filter(move |player| player.kind == kind).map(|player| player.hits);
    let mean = |kind| f64::from(hits(kind).sum::<u32>()) / hits(kind).count() as f64;
    let means = [Kind::Random, Kind::Bracketing, Kind::ClosedForm].map(mean);
    eprintln!("hits of random, bracketing and closed-form players: {means:?}");
    assert!(means[0] < means[1] && means[1] < means[2], "{means:?}");
}
