//! Games without a room: orders and steps in, reports out, and everything that follows them.

use std::time::Duration;

use pollchat::bombards::check::check;
use pollchat::bombards::field::{CANNONS_MAX, Camp, Field, TARGET};
use pollchat::bombards::follow::Follower;
use pollchat::bombards::game::{Game, SILENCE_MAX};
use pollchat::bombards::order::{Order, Refusal};
use pollchat::bombards::report::Report;

const START: Duration = Duration::ZERO;

fn new_game(seed: u64) -> Game {
    Game::new(Field::default(), seed, START)
}

fn order(game: &mut Game, name: &str, line: &str) -> Result<(), Refusal> {
    game.order(name, Order::parse(line).expect("no talk")?, START)
}

fn lines(game: &mut Game) -> Vec<String> {
    game.take_reports().iter().map(Report::to_string).collect()
}

/// Steps until nothing flies.
fn land(game: &mut Game) {
    while game.is_flying() {
        game.step();
    }
}

/// Takes all reports, and adds them to a transcript.
fn tell(game: &mut Game, transcript: &mut Vec<String>) {
    transcript.extend(lines(game).iter().map(|line| format!("bombards> {line}")));
}

/// A game of `seed` with many players, who come, go, fire and change their names in any order. Returns its transcript.
fn random_game(seed: u64) -> Vec<String> {
    let mut random = seed;
    let mut next = move |count: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % count
    };
    let mut game = new_game(seed);
    let mut transcript = Vec::new();
    game.settle(START);
    for turn in 0..3_000 {
        let name = format!("p{}", next(12));
        match next(40) {
            0 => drop(order(&mut game, &name, "leave")),
            1 => drop(order(&mut game, &name, "join right")),
            2 => {
                let to = format!("p{}", 100 + turn);
                tell(&mut game, &mut transcript);
                game.rename(&name, &to);
                game.rename(&to, &name);
                transcript.extend([format!("* {name} is now {to}"), format!("* {to} is now {name}")]);
            }
            3 if game.is_unsettled => game.settle(START),
            4..=9 => drop(order(&mut game, &name, &format!("fire {} {}", next(101), 10 + next(91)))),
            _ => game.step(),
        }
        tell(&mut game, &mut transcript);
    }
    transcript
}

#[test]
fn a_first_shot_is_told_from_the_launch_to_the_score() {
    let mut game = new_game(1);
    game.settle(START);
    assert_eq!(lines(&mut game), ["field 700 400 barrel 30 box 15 speed 200 gravity 400 step 20", "cannons 0 tick 0"]);
    order(&mut game, "ana", "fire").unwrap();
    let told = lines(&mut game);
    assert!(told[0].starts_with("cannon ana left ") && told[0].ends_with(" 0"), "{told:?}");
    assert_eq!(told[1..], ["shot 0 ana 45 85"]);
    assert_eq!(order(&mut game, "ana", "fire 10"), Err(Refusal::StillFlies));
    for line in ["fire 86", "fire -16", "fire 45 9", "fire 45 101", "fire 2147483647 -2147483648"] {
        assert_eq!(order(&mut game, "ana", line), Err(Refusal::Aim), "{line}");
    }
    game.settle(START);
    let state = lines(&mut game);
    assert!(state.iter().any(|line| line.starts_with("cannon *target* right ")), "{state:?}");
    assert_eq!(state.last().unwrap(), "cannons 2 tick 0");
    land(&mut game);
    let told = lines(&mut game);
    assert!(told[0].starts_with("end 0 ana "), "{told:?}");
    assert!(told[1].starts_with("cannon ana left "), "she moves behind her shot: {told:?}");
    order(&mut game, "ana", "fire 10").unwrap();
    let told = lines(&mut game);
    assert!(told[0].starts_with("shot ") && told[0].ends_with(" ana 10 85"), "the power is that of the last shot");
}

#[test]
fn hits_count_as_the_book_has_it() {
    let mut game = new_game(3);
    for name in ["ana", "bob", "cia"] {
        order(&mut game, name, if name == "cia" { "join right" } else { "join left" }).unwrap();
    }
    let mut hits = [0; 3];
    // Each aim in turn, from places that change with each shot, hits everything in the end.
    for turn in 0..20_000 {
        let before = scores(&game);
        let _ = order(&mut game, "ana", &format!("fire {} {}", turn * 7 % 101 - 15, 10 + turn * 13 % 91));
        land(&mut game);
        let told = lines(&mut game);
        let Some(target) = told.iter().find_map(|line| line.split_once(" hit ")?.1.split(' ').nth(2)) else { continue };
        let gained: Vec<i32> = scores(&game).iter().zip(before).map(|(after, before)| after - before).collect();
        let (who, expected) = match target {
            "ana" => (0, [-3, 0, 0]),
            "bob" => (1, [-2, -1, 0]),
            _ => (2, [1, 0, -1]),
        };
        assert_eq!(gained, expected, "{told:?}");
        hits[who] += 1;
    }
    assert!(hits.iter().all(|hits| *hits > 0), "{hits:?}");
}

fn scores(game: &Game) -> Vec<i32> {
    let score = |report| if let Report::Cannon(cannon) = report { Some(cannon.score) } else { None };
    game.state().filter_map(score).collect()
}

#[test]
fn newcomers_go_to_the_smaller_camp_and_a_target_stands_in_an_empty_one() {
    let mut game = new_game(5);
    let camps = |game: &mut Game| {
        game.settle(START);
        game.take_reports();
        let cannons = game.state().filter_map(|report| match report {
            Report::Cannon(cannon) => Some((cannon.name, cannon.camp)),
            _ => None,
        });
        cannons.collect::<Vec<_>>()
    };
    let (left, right) = (Camp::Left, Camp::Right);
    assert_eq!(camps(&mut game), []);
    order(&mut game, "ana", "join right").unwrap();
    assert_eq!(camps(&mut game), [("ana".into(), right), (TARGET.into(), left)]);
    order(&mut game, "bob", "join").unwrap();
    order(&mut game, "cia", "join").unwrap();
    assert_eq!(camps(&mut game), [("ana".into(), right), ("bob".into(), left), ("cia".into(), left)]);
    assert_eq!(order(&mut game, "ana", "join left"), Err(Refusal::OtherCamp));
    game.leave("ana");
    assert_eq!(camps(&mut game), [("bob".into(), left), ("cia".into(), left), (TARGET.into(), right)]);
}

#[test]
fn the_field_takes_thirty_two_cannons_even_in_one_camp_and_no_more() {
    for seed in 0..50 {
        let mut game = new_game(seed);
        for player in 0..CANNONS_MAX {
            order(&mut game, &format!("p{player}"), "join left").unwrap();
        }
        assert_eq!(order(&mut game, "late", "fire 45"), Err(Refusal::FieldFull));
        game.settle(START);
        assert_eq!(lines(&mut game).last().unwrap(), "cannons 32 tick 0", "no room for a target either");
    }
}

#[test]
fn a_player_that_leaves_stays_until_its_shell_has_landed() {
    let mut game = new_game(1);
    order(&mut game, "ana", "fire 45").unwrap();
    game.leave("ana");
    game.settle(START);
    assert!(game.is_unsettled && lines(&mut game).iter().any(|line| line.starts_with("cannon ana ")));
    land(&mut game);
    game.settle(START);
    let state = lines(&mut game);
    assert!(!game.is_unsettled && !state[3..].iter().any(|line| line.starts_with("cannon ana ")), "{state:?}");
    // An order before that keeps it.
    order(&mut game, "ana", "join").unwrap();
    game.leave("ana");
    order(&mut game, "ana", "fire").unwrap();
    game.settle(START);
    assert!(!game.is_unsettled);
}

#[test]
fn a_player_is_taken_off_after_five_minutes_of_silence() {
    let mut game = new_game(1);
    order(&mut game, "ana", "join").unwrap();
    order(&mut game, "bob", "join").unwrap();
    game.hear("ana", SILENCE_MAX / 2);
    game.settle(SILENCE_MAX - Duration::from_millis(1));
    assert!(lines(&mut game).contains(&"cannons 2 tick 0".to_owned()));
    // The next order of any player shows it.
    game.order("ana", Order::Fire { elevation: None, power: None }, SILENCE_MAX).unwrap();
    assert!(game.is_unsettled);
    game.settle(SILENCE_MAX);
    let state = lines(&mut game);
    assert!(state.iter().any(|line| line.starts_with("cannon *target* ")), "bob has gone: {state:?}");
}

#[test]
fn a_renamed_player_keeps_cannon_and_score_and_its_shot_ends_under_the_old_name() {
    let mut game = new_game(1);
    order(&mut game, "ana", "fire 45 30").unwrap();
    game.rename("ana", "eva");
    assert_eq!(order(&mut game, "eva", "fire"), Err(Refusal::StillFlies));
    game.settle(START);
    lines(&mut game);
    land(&mut game);
    let told = lines(&mut game);
    assert!(told[0].starts_with("end 0 ana ") && told[1].starts_with("cannon eva left "), "{told:?}");
    // Her order came before the news of her name, as one of a stranger.
    order(&mut game, "zoe", "join").unwrap();
    game.rename("eva", "zoe");
    game.settle(START);
    assert_eq!(lines(&mut game).iter().filter(|line| line.starts_with("cannon zoe left ")).count(), 1);
}

#[test]
fn scores_are_told_every_twenty_shots_best_first() {
    let mut game = new_game(9);
    for shot in 0..40 {
        order(&mut game, ["ana", "bob"][shot % 2], "fire -15 100").unwrap();
        land(&mut game);
        let told = lines(&mut game);
        let score = told.iter().find(|line| line.starts_with("score "));
        assert_eq!(score.is_some(), shot % 20 == 19, "{told:?}");
        if let Some(score) = score {
            let points: Vec<i32> = score.split(' ').skip(2).step_by(2).map(|points| points.parse().unwrap()).collect();
            assert_eq!(points.len(), 2);
            assert!(points[0] >= points[1], "{score}");
        }
    }
}

#[test]
fn whoever_follows_the_reports_has_the_field_of_the_referee() {
    for seed in 0..40 {
        let transcript = random_game(seed);
        let held = check(transcript.join("\n").as_bytes(), "bombards").unwrap_or_else(|why| panic!("{seed}: {why}"));
        let ends = transcript.iter().filter(|line| line.contains("> end ")).count();
        assert!(ends > 100 && held == ends as u64, "{held} of {ends}");
    }
}

#[test]
fn a_check_begins_anywhere_and_finds_what_is_wrong() {
    let transcript = random_game(7);
    for from in [1, 10, 101, 1_000] {
        let rest = transcript[from..].join("\n");
        check(rest.as_bytes(), "bombards").unwrap_or_else(|why| panic!("from {from}: {why}"));
    }
    let ends: Vec<usize> = (0..transcript.len()).filter(|&at| transcript[at].contains("> end ")).collect();
    for &at in ends.iter().step_by(10) {
        let mut forged = transcript.clone();
        let words: Vec<&str> = transcript[at].split(' ').collect();
        let x: i32 = words[5].parse().unwrap();
        forged[at] = [&words[..5], &[(x + 1).to_string().as_str()], &words[6..]].concat().join(" ");
        let wrong = check(forged.join("\n").as_bytes(), "bombards").unwrap_err();
        assert!(wrong.starts_with(&format!("line {}: ", at + 1)), "{wrong}");
        // A hit that is kept quiet shows at the next line that tells the time or the score.
        forged.remove(at);
        assert!(check(forged.join("\n").as_bytes(), "bombards").is_err(), "{}", transcript[at]);
    }
}

#[test]
fn a_check_reads_what_clients_print() {
    let transcript = random_game(11);
    let ends = transcript.iter().filter(|line| line.contains("> end ")).count() as u64;
    for time in ["", "09:20:31 ", "2026-11-28 09:20:31Z ", "2026-11-28T09:20:31.123Z "] {
        let print = |line: &String| format!("{time}{line}\r\n{time}ana> bombards> end 0 ana hit 1 1 bob\n\n\u{7}\n");
        let printed: String = transcript.iter().map(print).collect();
        assert_eq!(check(printed.as_bytes(), "bombards").unwrap(), ends);
    }
    assert_eq!(
        check(&b"hello\n\xff\xfe> cannon\nbombards> cannons 1 tick 99999999999999999999"[..], "bombards").unwrap(),
        0
    );
    assert_eq!(check(transcript.join("\n").as_bytes(), "another").unwrap(), 0);
}

#[test]
fn an_earlier_game_goes_on_from_its_reports_with_its_shells_in_the_air() {
    for seed in 0..20 {
        let mut game = new_game(seed);
        let mut follower = Follower::default();
        let mut told = Vec::new();
        for turn in 0..200 {
            let _ = order(&mut game, ["ana", "bob", "cia"][turn % 3], &format!("fire {} 70", turn * 31 % 86));
            (0..7).for_each(|_| game.step());
            if game.is_unsettled {
                game.settle(START);
            }
            told.extend(game.take_reports());
        }
        told.iter().for_each(|report| follower.take(report.clone()).unwrap());
        assert!(game.is_flying());
        // The launch is the last that was told: the shells fly from there.
        let mut resumed = Game::new(follower.into_field(), 0, START);
        assert!(resumed.is_flying());
        land(&mut resumed);
        let first_end = |game: &mut Game| lines(game).into_iter().find(|line| line.starts_with("end "));
        let resumed_end = first_end(&mut resumed);
        land(&mut game);
        assert_eq!(resumed_end, first_end(&mut game), "the moves behind it may differ");
    }
}

#[test]
fn the_game_of_the_manual_is_played_so() {
    let manual = include_str!("../../src/manual/bombards.md");
    let written = manual.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let mut game = new_game(1);
    let mut played = String::new();
    for line in written.lines() {
        let Some(said) = line.strip_prefix("ana> ") else { continue };
        played += &format!("{line}\n");
        order(&mut game, "ana", said).unwrap();
        if game.is_unsettled {
            game.settle(START);
        }
        land(&mut game);
        lines(&mut game).iter().for_each(|line| played += &format!("bombards> {line}\n"));
    }
    assert_eq!(played, written);
    assert_eq!(check(written.as_bytes(), "bombards"), Ok(1));
}
