//! The journal as one more reader, restarts, and clients that come back with a position.

use std::time::Duration;

use pollchat::relay::name::Name;
use pollchat::server::config::{Config, Lag};

use crate::support::hub::{READABLE, World, quiet};
use crate::support::journal::Disk;
use crate::tracking::{begin, heard};

/// 2026-01-01, in ms.
const DAY: u64 = 1_767_225_600_000;

/// Starts a hub on this disk.
fn start(config: &Config, disk: &Disk) -> World {
    let mut world = World::new(config);
    world.hub.keep(Box::new(disk.clone()), disk.kept(config.backlog_bytes), disk.numbers());
    world.hub.set_clock(DAY);
    world
}

/// Records among lines that a tracked client was sent, or that the journal was given.
fn records(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).filter(|line| !line.starts_with("@ ") && !line.starts_with("** ")).collect()
}

/// The epoch and the number of a position, which may stand at the end of a stamp.
fn stamped(line: &str) -> (&str, u64) {
    let position = line.rsplit(' ').next().unwrap();
    let (epoch, record) = position.rsplit_once('.').unwrap();
    (epoch, record.parse().unwrap())
}

/// The token and the position in `** session …`.
fn session(line: &str) -> (String, String) {
    let words: Vec<&str> = line.split(' ').collect();
    let ["**", "session", token, "heard", "0", "at", position, "as", _] = words[..] else { panic!("{line:?}") };
    (token.to_owned(), position.to_owned())
}

#[test]
fn the_journal_is_given_the_tape_of_each_kept_room_and_of_no_other() {
    let disk = Disk::new(2);
    let config = Config { rooms: vec![Name::parse("rust").unwrap()], ..quiet() };
    let mut world = start(&config, &disk);
    let (ana, bob, cia) = (world.connect(), world.connect(), world.connect());
    world.says(&bob, "/join rust\n");
    world.says(&cia, "/join go\n");
    for (client, text) in [(&ana, "in the lobby"), (&bob, "in rust"), (&cia, "in go"), (&ana, "again")] {
        world.says(client, format!("{text}\n"));
    }
    world.says(&ana, "/msg client-2 psst\n");
    assert_eq!(records(&disk.lines(0)), ["client-1> in the lobby", "client-1> again"]);
    assert_eq!(records(&disk.lines(1)), ["client-2> in rust"]);
    for room in 0..2 {
        assert!(disk.text(room).starts_with(&format!("@ {DAY} ")), "{}", disk.text(room));
    }
    world.hub.shut_down(world.now);
    world.run();
    assert_eq!(disk.lines(0).last().unwrap(), "client-1> again");
    assert!(!world.hub.has_unkept());
}

#[test]
fn a_run_in_which_nobody_came_leaves_nothing() {
    let disk = Disk::new(1);
    let mut world = start(&quiet(), &disk);
    world.hub.shut_down(world.now);
    world.run();
    assert_eq!((disk.text(0), world.hub.has_unkept()), (String::new(), false));
}

#[test]
fn a_client_goes_on_after_a_restart_with_its_position_alone() {
    let disk = Disk::new(1);
    let mut world = start(&quiet(), &disk);
    let (ana, lines) = begin(&mut world, "/track");
    let (token, at) = session(&lines[0]);
    let bob = world.connect();
    world.says(&ana, "one\n");
    world.says(&bob, "two\nthree\n");
    drop(world);
    for token in [token.as_str(), "", "x"] {
        let mut world = start(&quiet(), &disk);
        let first_number = disk.numbers_end();
        let (ana, lines) = begin(&mut world, &format!("/track {} {token}", at.replace(".0", ".1")));
        let (other, position) = session(&lines[0]);
        assert!(other != token && stamped(&position).1 == 3 && stamped(&position).0 != stamped(&at).0);
        assert_eq!(lines[1], "** resumed");
        assert!(lines[2].starts_with("** you are client-") && lines[2].ends_with(", in lobby"), "{}", lines[2]);
        assert_eq!(lines[3], format!("@ {DAY} {}", at.replace(".0", ".1")));
        assert_eq!(lines[4..], ["client-2> two", "client-2> three"]);
        assert!(disk.numbers_end() == first_number, "the numbers are reserved at the start");
        // The lines of this log follow, and their stamp names it.
        world.says(&ana, "four\n");
        let lines = heard(&ana);
        assert_eq!(lines[0], format!("@ {DAY} {position}"));
        assert!(lines[1].ends_with("> four"));
        disk.cut(0, disk.text(0).find("four").unwrap());
        disk.cut(0, disk.text(0).rfind("@ ").unwrap());
    }
}

/// The number that the records of a journal and their stamps lead to. Panics if a stamp goes back.
fn next_number(lines: &[String]) -> u64 {
    lines.iter().fold(0, |next, line| {
        if line.starts_with("@ ") {
            assert!(stamped(line).1 >= next, "{line} goes back");
            stamped(line).1
        } else {
            next + 1
        }
    })
}

fn small(lag: Lag) -> Config {
    Config { lag, stall_timeout: STALL_TIMEOUT, backlog_bytes: 64 * 1024, line_bytes_max: 100, ..quiet() }
}

const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// `count` lines, numbered from `first`.
fn numbered(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("line {number}\n")).collect()
}

#[test]
fn a_disk_that_blocks_leaves_a_gap_which_is_a_stamp_and_is_counted() {
    let disk = Disk::new(1);
    let mut world = start(&small(Lag::Skip), &disk);
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, numbered(0, 10));
    disk.takes(100);
    for first in (10..10_000).step_by(10) {
        world.says(&ana, numbered(first, 10));
    }
    assert_eq!(bob.received().lines().count(), 10_000, "no client notices");
    assert!(world.hub.has_unkept());
    disk.takes(usize::MAX);
    world.run();
    assert!(!world.hub.has_unkept());
    let lines = disk.lines(0);
    assert_eq!(next_number(&lines), 10_000, "the numbers tell the gap");
    let kept = records(&lines);
    let stats = world.hub.stats().to_string();
    let missed = 10_000 - kept.len();
    assert!(missed > 5_000 && stats.ends_with(&format!(", missed {missed}, errors 0")), "{missed}: {stats}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("@ ")).count(), 2, "one gap");
    world.says(&ana, "behind it\n");
    assert_eq!(disk.lines(0).last().unwrap(), "client-1> behind it");
}

#[test]
fn what_a_restart_finds_missing_a_client_is_told_to_the_line() {
    let disk = Disk::new(1);
    let mut world = start(&small(Lag::Skip), &disk);
    let (ana, lines) = begin(&mut world, "/track");
    let (_, at) = session(&lines[0]);
    disk.takes(200);
    for first in (0..10_000).step_by(10) {
        world.says(&ana, numbered(first, 10));
    }
    disk.takes(usize::MAX);
    world.run();
    drop(world);
    let mut world = start(&small(Lag::Skip), &disk);
    let (_, lines) = begin(&mut world, &format!("/track {at}"));
    let missed: usize = lines[1].split(' ').nth(3).unwrap().parse().unwrap();
    let read = records(&lines);
    assert_eq!(missed + read.len(), 10_000);
    assert_eq!(stamped(&lines[3]).1, missed as u64);
    assert_eq!(*read.last().unwrap(), "client-1> line 9999");
    // It may lose this connection, too, before it has read that.
    for line in ["/track {at} {token}", "/track {at}"] {
        let (token, _) = session(&lines[0]);
        let (_, again) = begin(&mut world, &line.replace("{at}", &at).replace("{token}", &token));
        assert_eq!(again[1], lines[1]);
        assert_eq!(records(&again), read);
    }
}

#[test]
fn a_position_behind_its_log_is_the_beginning_of_the_next() {
    let disk = Disk::new(1);
    let mut world = start(&quiet(), &disk);
    let (ana, lines) = begin(&mut world, "/track");
    let (_, at) = session(&lines[0]);
    world.says(&ana, "one\ntwo\nthree\n");
    drop(world);
    // The last two records were at clients, and are not on the disk.
    disk.cut(0, disk.text(0).find("client-1> two").unwrap());
    let mut world = start(&quiet(), &disk);
    let bob = world.connect();
    world.says(&bob, "after the crash\n");
    let (epoch, _) = stamped(&at);
    let (_, lines) = begin(&mut world, &format!("/track {epoch}.3"));
    assert_eq!(lines[1], "** resumed");
    assert_eq!(records(&lines), ["client-1001> after the crash"]);
    assert!(stamped(&lines[3]).0 != epoch && stamped(&lines[3]).1 == 1);
    // A position that this log has not reached is of nothing.
    let (now, _) = stamped(&lines[3]);
    let (_, lines) = begin(&mut world, &format!("/track {now}.99"));
    assert_eq!(lines[1], "** cannot resume: earlier lines follow");
}

#[test]
fn numbers_of_clients_never_come_again() {
    let disk = Disk::new(1);
    let mut highest = 0;
    for _ in 0..3 {
        let mut world = start(&quiet(), &disk);
        for _ in 0..700 {
            let client = world.connect_silently();
            world.says(&client, "/nick x y\n");
            let greeting = client.received();
            let number = greeting.strip_prefix("* you are client-").and_then(|rest| rest.split(';').next());
            let number: u64 = number.unwrap().parse().unwrap();
            assert!(number > highest && number < disk.numbers_end(), "{number}");
            highest = number;
            client.resets();
            world.hub.on_ready(client.key, READABLE);
            world.run();
        }
    }
}

#[test]
fn newcomers_are_told_that_the_room_is_kept() {
    let disk = Disk::new(2);
    let config = Config { rooms: vec![Name::parse("rust").unwrap()], greeting: "hi".into(), ..quiet() };
    let mut world = start(&config, &disk);
    let kept = "what is said here is kept\n";
    let ana = world.knock();
    assert!(ana.received().ends_with(&format!("* hi\n* {kept}")));
    world.says(&ana, "/join go\n");
    assert_eq!(ana.received(), "* you are in go, alone\n");
    world.says(&ana, "/join rust\n");
    assert_eq!(ana.received(), format!("* you are in rust, alone\n* {kept}"));
    let (_, lines) = begin(&mut world, "/track");
    assert_eq!(lines[2..4], ["** hi".to_owned(), format!("** {}", kept.trim_end())]);
    let (_, lines) = begin(&mut world, "/join go");
    assert!(!lines.iter().any(|line| line.contains("kept")));
    let plain = World::new(&config).knock().received();
    assert!(!plain.contains("kept"), "{plain}");
}

#[test]
fn a_room_that_waits_waits_for_its_journal_but_not_for_ever() {
    let disk = Disk::new(1);
    let mut world = start(&small(Lag::Wait), &disk);
    let (ana, bob) = (world.connect(), world.connect());
    disk.takes(0);
    ana.sends(numbered(0, 20_000));
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(Duration::from_secs(1));
    let first = bob.received().len();
    assert!((48 * 1024..=64 * 1024).contains(&first), "the room waits: {first}");
    disk.takes(usize::MAX);
    world.run_for(Duration::from_secs(1));
    assert_eq!(records(&disk.lines(0)).len(), 20_000, "no record is missing");
    bob.received();
    disk.takes(0);
    ana.sends(numbered(0, 20_000));
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(STALL_TIMEOUT - Duration::from_millis(1));
    assert!(bob.received().len() <= 64 * 1024, "the room waits");
    world.run_for(Duration::from_secs(1));
    let all = bob.received();
    assert!(all.ends_with("client-1> line 19999\n"), "the wait is over");
    // It is waited for again only once it was given everything.
    world.says(&ana, numbered(0, 20_000));
    assert!(bob.received().ends_with("client-1> line 19999\n"));
    disk.takes(usize::MAX);
    world.run();
    let lines = disk.lines(0);
    assert_eq!(next_number(&lines), 60_000);
    assert!(records(&lines).len() < 30_000);
    disk.takes(0);
    ana.sends(numbered(0, 20_000));
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(Duration::from_secs(1));
    assert!(bob.received().len() <= 64 * 1024, "the room waits again");
}

#[test]
fn a_client_whose_track_comes_late_goes_on_as_well() {
    let disk = Disk::new(2);
    let config = Config { rooms: vec![Name::parse("rust").unwrap()], ..quiet() };
    let mut world = start(&config, &disk);
    let bob = world.connect();
    world.says(&bob, "/join rust\n");
    world.says(&bob, "one\ntwo\n");
    drop(world);
    let mut world = start(&config, &disk);
    let epoch = stamped(&disk.lines(1)[0]).0.to_owned();
    let ana = world.connect();
    world.says(&ana, format!("/track {epoch}.1\nhello\n"));
    let lines = heard(&ana);
    assert_eq!((lines[1].as_str(), lines[4].as_str()), ("** resumed", "client-1> two"));
    assert!(lines[2].ends_with(", in rust"), "{}", lines[2]);
    let cia = world.connect();
    world.says(&cia, "/who\n");
    assert!(cia.received().ends_with("* 1 here\n"), "it is in no other room");
    world.says(&cia, format!("/track {epoch}.0\n"));
    assert!(!cia.received().contains("resumed"), "it has spoken");
}

#[test]
fn history_is_of_all_runs() {
    let disk = Disk::new(1);
    let config = Config { history_lines: 2, ..quiet() };
    let mut world = start(&config, &disk);
    let ana = world.connect();
    world.says(&ana, "one\ntwo\n");
    drop(world);
    let mut world = start(&config, &disk);
    assert!(world.knock().received().ends_with("kept\n* 2 earlier lines:\nclient-1> one\nclient-1> two\n"));
    assert_eq!(world.hub.stats().lines, 0, "they were not said in this run");
}

#[test]
fn without_a_journal_a_position_alone_counts_for_nothing() {
    let mut world = World::new(&quiet());
    world.hub.set_clock(DAY);
    let (ana, lines) = begin(&mut world, "/track");
    let (_, at) = session(&lines[0]);
    world.says(&ana, "one\n");
    let (_, lines) = begin(&mut world, &format!("/track {at}"));
    assert_eq!(lines[1], "** cannot resume: earlier lines follow");
    assert!(!world.hub.stats().to_string().contains("journal"));
}

#[test]
fn history_and_search_answer_from_the_tape() {
    let disk = Disk::new(1);
    let mut world = start(&quiet(), &disk);
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, "Hello all\n/nick ana\n");
    world.hub.set_clock(DAY + 61_500);
    world.says(&bob, "the second\nhello again\n");
    drop(world);
    let mut world = start(&quiet(), &disk);
    let cia = world.connect();
    world.says(&cia, "/history\n");
    let all = [
        "* 2026-01-01 00:00:00Z client-1> Hello all",
        "* 2026-01-01 00:01:01Z client-2> the second",
        "* 2026-01-01 00:01:01Z client-2> hello again",
    ];
    assert_eq!(cia.received(), format!("{}\n{}\n{}\n* 3 lines\n", all[0], all[1], all[2]));
    world.says(&cia, "/history 1\n");
    assert_eq!(cia.received(), format!("{}\n* 1 line\n", all[2]));
    world.says(&cia, "/search HELLO\n/search client-2\n/search it\n");
    assert_eq!(
        cia.received(),
        format!("{}\n{}\n* 2 lines\n{}\n{}\n* 2 lines\n* 0 lines\n", all[0], all[2], all[1], all[2])
    );
    world.says(&cia, "/history no\n/history 0\n/search\n");
    let (history, search) = ("/history N shows the newest N lines, at most 100", "/search WORD shows the newest lines");
    assert_eq!(cia.received(), format!("* {history}\n* {history}\n* {search} with WORD, at most 100\n"));
    let (dan, _) = begin(&mut world, "/track");
    world.says(&dan, "/search again\n");
    assert_eq!(heard(&dan), [format!("*{}", all[2]), "** 1 line".into()]);
    world.says(&cia, "/help\n");
    assert!(cia.received().contains("* /history N: the newest N lines\n* /search WORD: "));
    assert!(!disk.text(0).contains("search"), "answers are private");
}

#[test]
fn without_a_journal_there_is_neither_history_nor_search() {
    let mut world = World::new(&quiet());
    let ana = world.connect();
    world.says(&ana, "/History 7\n/search x\n/help\n");
    let answers = ana.received();
    let unknown = |word| format!("* there is no command {word}; /help lists what you can do\n");
    assert!(answers.starts_with(&(unknown("/History") + &unknown("/search"))), "{answers}");
    assert!(!answers.contains("/history"));
}

#[test]
fn an_answer_is_bounded_in_rows_and_bytes() {
    let disk = Disk::new(1);
    let mut world = start(&quiet(), &disk);
    let ana = world.connect();
    for first in (0..1_000).step_by(100) {
        world.says(&ana, numbered(first, 100));
    }
    for command in ["/history 1000", "/search line"] {
        world.says(&ana, format!("{command}\n"));
        let lines = heard(&ana);
        assert_eq!((lines.len(), lines[100].as_str()), (101, "* 100 lines"));
        assert!(lines[0].ends_with("client-1> line 900") && lines[99].ends_with("client-1> line 999"));
    }
    for _ in 0..50 {
        world.says(&ana, format!("{}\n", "\u{1f600}".repeat(1_000)));
    }
    world.says(&ana, "/history 50\n");
    let answer = ana.received();
    assert!(answer.len() < 20_000 && answer.lines().count() == 5, "{} bytes", answer.len());
}

#[test]
fn many_searches_share_turns() {
    let disk = Disk::new(1);
    let mut world = start(&quiet(), &disk);
    let ana = world.connect();
    for _ in 0..2_000 {
        world.says(&ana, format!("{}\n", "x".repeat(1_000)));
    }
    let clients: Vec<_> = (0..10).map(|_| world.connect()).collect();
    for client in &clients {
        client.sends("/search nothing\n".repeat(3));
        world.hub.on_ready(client.key, READABLE);
    }
    world.turn();
    let answered = || clients.iter().map(|client| client.received().lines().count()).sum::<usize>();
    let at_once = answered();
    assert!(at_once <= 2, "{at_once}: a search or two use up the replies of a turn");
    world.run();
    assert_eq!(at_once + answered(), 30);
}

#[test]
fn a_position_needs_a_free_seat_as_any_newcomer_does() {
    let disk = Disk::new(1);
    let config = Config { clients_max: Some(1), ..quiet() };
    let mut world = start(&config, &disk);
    let (ana, lines) = begin(&mut world, "/track");
    let (_, at) = session(&lines[0]);
    world.says(&ana, "one\n");
    drop(world);
    let mut world = start(&config, &disk);
    let bob = world.connect();
    let (_, lines) = begin(&mut world, &format!("/track {at}"));
    assert_eq!(lines, ["* the server is full (1 client)", "FIN"]);
    world.says(&bob, "FIN\n");
    let (_, lines) = begin(&mut world, &format!("/track {at}"));
    assert_eq!((lines[1].as_str(), records(&lines)), ("** resumed", vec!["client-1> one"]));
}

#[test]
fn a_stop_waits_for_the_disk_as_long_as_something_is_not_kept() {
    let disk = Disk::new(1);
    let mut world = start(&quiet(), &disk);
    let ana = world.connect();
    disk.takes(0);
    world.says(&ana, "one\n");
    world.hub.shut_down(world.now);
    world.run();
    assert!(world.hub.has_unkept());
    disk.takes(usize::MAX);
    world.run();
    assert!(!world.hub.has_unkept());
    assert_eq!(records(&disk.lines(0)), ["client-1> one"]);
}

#[test]
fn a_position_counts_after_a_crash_even_if_nothing_was_said_in_its_log() {
    let disk = Disk::new(2);
    let config = Config { rooms: vec![Name::parse("rust").unwrap()], announce_up_to: 0, ..quiet() };
    let mut world = start(&config, &disk);
    let ana = world.connect();
    world.says(&ana, "/join rust\none\n/track\n");
    let at = heard(&ana).iter().rfind(|line| line.starts_with("@ ")).map(|line| line[2..].to_owned()).unwrap();
    drop(world);
    // In this run nobody says anything.
    let mut world = start(&config, &disk);
    let (_, lines) = begin(&mut world, &format!("/track {}", at.rsplit(' ').next().unwrap()));
    let (_, at) = session(&lines[0]);
    drop(world);
    let mut world = start(&config, &disk);
    let bob = world.connect();
    world.says(&bob, "/join rust\ntwo\n");
    let (_, lines) = begin(&mut world, &format!("/track {at}"));
    assert_eq!((lines[1].as_str(), records(&lines)), ("** resumed", vec!["client-2001> two"]));
}

#[test]
fn the_last_notice_has_the_time_of_the_stop() {
    let disk = Disk::new(1);
    let mut world = start(&Config { resume_within: None, ..quiet() }, &disk);
    let ana = world.connect();
    world.says(&ana, "one\n");
    // No turn comes before the signal.
    world.hub.set_clock(DAY + 3_600_000);
    world.hub.shut_down(world.now);
    world.run();
    let [.., stamp, notice] = &disk.lines(0)[..] else { panic!("the journal has two lines") };
    assert_eq!(notice, "* the server is shutting down");
    assert!(stamp.starts_with(&format!("@ {} ", DAY + 3_600_000)), "{stamp}");
}
