//! The physics: flights in integers, the same in every language.

use std::process::Command;

use pollchat::bombards::field::{Aim, Camp, Cannon, End, Fate, Field, GRAVITY, Shell, UNITS, WIDTH};

/// Steps and end of a flight without cannons.
fn fly(mut shell: Shell) -> (u32, Shell, End) {
    for steps in 1.. {
        shell.fly();
        if let Some(end) = shell.end(&[]) {
            return (steps, shell, end);
        }
    }
    unreachable!("every shell falls")
}

/// All elevations with some powers, from some places of the left camp.
fn launches() -> impl Iterator<Item = ((i32, i32), Aim)> {
    let places = [(20, 160), (280, 160), (150, 270), (20, 380), (280, 380)];
    let aims = (-15..=85).flat_map(|elevation| [10, 11, 57, 85, 99, 100].map(|power| Aim::new(elevation, power)));
    aims.flatten().flat_map(move |aim| places.map(|place| (place, aim)))
}

#[test]
fn a_shell_begins_at_the_end_of_the_barrel() {
    for elevation in -15..=85 {
        let shell = Shell::launch(Camp::Left, (100, 300), Aim::new(elevation, 85).unwrap());
        let angle = f64::from(elevation).to_radians();
        let (x, y) = (100_000.0 + 30_000.0 * angle.cos(), 300_000.0 - 30_000.0 * angle.sin());
        assert!(
            (x - f64::from(shell.x)).abs() <= 1.5 && (y - f64::from(shell.y)).abs() <= 1.5,
            "{elevation}: {shell:?}"
        );
    }
}

#[test]
fn left_and_right_mirror_exactly() {
    for ((x, y), aim) in launches() {
        let (steps, left, end) = fly(Shell::launch(Camp::Left, (x, y), aim));
        let (mirrored_steps, right, mirrored_end) = fly(Shell::launch(Camp::Right, (WIDTH - x, y), aim));
        assert_eq!((steps, left.x, left.y), (mirrored_steps, WIDTH * UNITS - right.x, right.y), "{aim:?}");
        assert_eq!(end.fate, mirrored_end.fate, "{aim:?}");
    }
}

#[test]
fn each_step_is_where_the_closed_form_has_it() {
    for (place, aim) in launches() {
        let begin = Shell::launch(Camp::Left, place, aim);
        let mut shell = begin;
        shell.fly();
        let (vx, vy) = (shell.x - begin.x, shell.y - begin.y);
        for steps in 2..=120 {
            shell.fly();
            let falls = GRAVITY * steps * (steps - 1) / 2;
            assert_eq!((shell.x, shell.y), (begin.x + steps * vx, begin.y + steps * vy + falls));
        }
    }
}

#[test]
fn a_shell_of_no_power_falls_back_on_its_own_cannon() {
    let mut field = Field::default();
    field.cannons.push(Cannon { name: "ana".into(), camp: Camp::Left, x: 100, y: 300, score: 0 });
    assert!(field.launch("ana", Aim::new(85, 10).unwrap()));
    let (flight, end) = loop {
        field.begin_step();
        if let Some(ended) = field.next_end() {
            break ended;
        }
    };
    assert_eq!((flight.name.as_str(), end.fate), ("ana", Fate::Hit("ana".into())));
    field.count_hit("ana", "ana");
    assert_eq!(field.cannons[0].score, -3);
}

/// Fingerprint of 200,000 flights. The tests of the bot (Python) and of the page (JavaScript) compute the same.
const CHECKSUM: u32 = 0x991f_0885;

#[test]
fn the_flights_are_the_same_in_every_language() {
    let mut seed = 1_i64;
    let mut next = |count: i64| {
        seed = (seed * 1_103_515_245 + 12_345) % (1 << 31);
        i32::try_from((seed >> 8) % count).unwrap()
    };
    let mut hash = 2_166_136_261_u32;
    let mut longest = 0;
    for _ in 0..200_000 {
        let camp = [Camp::Left, Camp::Right][usize::try_from(next(2)).unwrap()];
        let x = camp.area().0.start() + next(261);
        let y = 160 + next(221);
        let aim = Aim::new(next(101) - 15, 10 + next(91)).unwrap();
        let (steps, shell, end) = fly(Shell::launch(camp, (x, y), aim));
        longest = longest.max(steps);
        for word in [steps, shell.x.cast_unsigned(), shell.y.cast_unsigned(), u32::from(end.fate == Fate::Out)] {
            hash = (hash ^ word).wrapping_mul(16_777_619);
        }
    }
    assert_eq!(format!("{hash:08x}"), format!("{CHECKSUM:08x}"));
    assert_eq!(longest, 113, "the steps of the longest flight");
}

#[test]
fn python_computes_the_same_flights() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bombards/flights.py");
    let output = Command::new("python3").arg(file).output().expect("python3 is there");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{CHECKSUM:08x}\n"));
}
