//! Readers that fall behind: nobody waits for them, and they are told what they missed.

use super::*;

#[test]
fn one_who_never_reads_delays_nobody_and_is_told_how_much_it_missed() {
    let server = Server::quiet(&SMALL);
    let [mut a, mut b] = server.join_many();
    let mut mute = server.join_narrow();
    say_numbered(&mut a, &mut b, 0, MANY);
    converse(&mut b, &mut a, 10);
    let mut heard = Follower::new(&a, 0);
    // What b said in between counts as missed as well, or is seen.
    let mut others = 0;
    while heard.seen + heard.missed + others < MANY + 20 {
        let line = mute.line();
        if line.contains("> ping ") || line.contains("> pong ") {
            others += 1;
        } else {
            heard.take(&line);
        }
    }
    assert_eq!(heard.seen + heard.missed + others, MANY + 20);
    assert!(heard.missed > 0, "the tape did not overtake it: the test is too small");
    // From here on it is like any other.
    for (talker, text) in [(&mut a, "one"), (&mut b, "two")] {
        talker.send_line(text);
        mute.expect(talker.says(text));
    }
}

#[test]
fn what_was_seen_and_what_was_missed_are_all_there_was() {
    let server = Server::quiet(&SMALL);
    let [mut a, mut b] = server.join_many();
    let mut slow = server.join_narrow();
    let mut heard = Follower::new(&a, 0);
    let mut told = 0;
    for _ in 0..3 {
        say_numbered(&mut a, &mut b, told, told + MANY);
        told += MANY;
        heard.follow(&mut slow, told);
    }
    assert!(heard.notices >= 3, "overtaken {} times", heard.notices);
    ask(&mut b, &mut slow, "marker");
}

#[test]
fn a_reader_of_37_bytes_at_a_time_gets_whole_lines_only() {
    let server = Server::quiet(&SMALL);
    let [mut a, mut b] = server.join_many();
    let mut slow = server.join_narrow();
    let mut heard = Follower::new(&a, 0);
    let total = 2 * MANY;
    for start in (0..total).step_by(100) {
        say_numbered(&mut a, &mut b, start, start + 100);
        // A tenth of what is said.
        sip(&mut slow, &mut heard, 60);
    }
    while heard.due() < total {
        sip(&mut slow, &mut heard, 1);
    }
    assert_eq!(heard.seen + heard.missed, total);
    assert!(heard.notices > 0, "the tape did not overtake it: the test is too small");
    ask(&mut b, &mut slow, "marker");
}

fn sip(reader: &mut Client, heard: &mut Follower, sips: usize) {
    for _ in 0..sips {
        assert!(reader.read_some(37).expect("there is something to read") > 0, "not disconnected");
        while let Some(line) = reader.received_line() {
            heard.take(&line);
        }
    }
}

#[test]
fn own_lines_and_notices_do_not_count_as_missed() {
    let server = Server::quiet(&SMALL);
    let [mut a, mut b] = server.join_many();
    // A first name would not be told to the others.
    ask(&mut b, &mut a, "hello");
    let mut mute = server.join_narrow();
    let mut heard = Follower::new(&a, 0);
    let mut own = Follower::new(&mute, 0);
    for start in (0..MANY).step_by(100) {
        say_numbered(&mut a, &mut b, start, start + 100);
        mute.send(format!("{}\n", numbered(start / 100)));
        own.take(&b.line());
        b.send_line(format!("/nick name-{start}"));
        b.expect_notice();
        a.lines_until(|line| line.ends_with(&format!(" is now name-{start}")));
    }
    while heard.due() < MANY {
        let line = mute.line();
        if !line.contains(" is now name-") {
            heard.take(&line);
        }
    }
    assert_eq!(heard.due(), MANY);
    assert!(heard.missed > 0, "the tape did not overtake it: the test is too small");
    a.send_line("marker");
    let rest = mute.lines_until(|line| line == a.says("marker"));
    assert!(rest[..rest.len() - 1].iter().all(|line| line.contains(" is now name-")), "{rest:?}");
}

#[test]
fn a_tape_of_the_smallest_size_does_all_this_as_well() {
    // Room for one line of 100 bytes that became three times as many, its name and its end.
    let server = Server::quiet(&["--max-line", "100", "--backlog", "620"]);
    let [mut a, mut b] = server.join_many();
    let mut slow = server.join_narrow();
    converse(&mut a, &mut b, 100);
    (0..200).for_each(|_| drop(slow.line()));
    let total = 5_000;
    let line = |index: usize| format!("{index:~>100}");
    for index in 0..total {
        a.send_line(line(index));
        b.expect(a.says(line(index)));
    }
    let (mut due, mut notices) = (0, 0);
    while due < total {
        let next = slow.line();
        if let Some(missed) = missed(&next) {
            due += missed;
            notices += 1;
        } else {
            assert_eq!(next, a.says(line(due)));
            due += 1;
        }
    }
    assert_eq!(due, total);
    assert!(notices > 0, "the tape did not overtake it: the test is too small");
    ask(&mut b, &mut slow, "marker");
}

#[test]
fn one_who_leaves_and_is_overtaken_is_told_what_it_missed_before_its_farewell() {
    let server = Server::quiet(&SMALL);
    let [mut a, mut b] = server.join_many();
    for word in ["", "FIN\n"] {
        let mut leaver = server.join_narrow();
        say_numbered(&mut a, &mut b, 0, 3000);
        leaver.send(word);
        leaver.half_close();
        eventually("it has left", || b.present() == 2);
        // The tape goes on, and what is left of the leaver's share with it.
        say_numbered(&mut a, &mut b, 3000, 6000);
        let mut heard = Follower::new(&a, 0);
        heard.follow(&mut leaver, 3000);
        assert!(heard.missed > 0, "the tape did not overtake it: the test is too small");
        leaver.expect_farewell();
    }
}

#[test]
fn one_who_gets_its_own_lines_too_is_told_of_all_that_it_missed() {
    let server = Server::quiet(&["--audience", "everyone", "--backlog", "256K"]);
    let mut b = server.join();
    let mut mute = server.join_narrow();
    say_numbered(&mut mute, &mut b, 0, MANY);
    let mut heard = Follower::new(&mute, 0);
    heard.follow(&mut mute, MANY);
    assert!(heard.missed > 0, "the tape did not overtake it: the test is too small");
    ask(&mut b, &mut mute, "marker");
}

#[test]
fn one_who_falls_behind_is_disconnected_when_that_is_the_policy() {
    let server = Server::builder().flags(SMALL).flags(["--lag", "disconnect"]).go();
    let [mut a, mut b] = server.join_introduced();
    let descriptors = server.descriptors();
    let mut mute = server.join_narrow();
    ask(&mut mute, &mut a, "hello");
    b.lines_until(|line| line == mute.says("hello"));
    let left = format!("* {} left", mute.name());
    let mut gone = false;
    for start in (0..MANY).step_by(100) {
        a.send((start..start + 100).map(|index| numbered(index) + "\n").collect::<String>());
        for index in start..start + 100 {
            let mut line = b.line();
            if line == left {
                gone = true;
                line = b.line();
            }
            assert_eq!(line, a.says(numbered(index)));
        }
    }
    assert!(gone, "it was not disconnected");
    // What it got are the first lines, whole; but the last may be torn by the end, however that comes.
    let mut due = 0;
    while let Ok(Some(line)) = mute.try_line() {
        if line.starts_with("* ") || line == "FIN" {
            continue;
        }
        assert_eq!(line, a.says(numbered(due)));
        due += 1;
    }
    assert!(due < MANY, "it got all, and was disconnected for nothing");
    a.expect(left);
    converse(&mut a, &mut b, 10);
    eventually("its descriptor is free", || server.descriptors() == descriptors);
}

#[test]
fn under_either_policy_healthy_readers_are_left_alone() {
    for policy in ["skip", "disconnect"] {
        let server = Server::builder().flags(["--announce-up-to", "0", "--lag", policy]).flags(SMALL).go();
        let [mut a, mut b] = server.join_many();
        say_numbered(&mut a, &mut b, 0, 10_000);
        converse(&mut a, &mut b, 10);
    }
}

#[test]
fn a_talker_that_never_reads_is_heard_and_is_lagging_like_any_other() {
    let server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    let mut mute = server.join_narrow();
    // More than its kernel takes; the tape, of 8 MiB, holds it.
    say_numbered(&mut a, &mut b, 0, MANY);
    // Now each of its lines is a hole in what it is still to get, apart from the last one.
    let talk = 3000;
    let mut heard_of_mute = Follower::new(&mute, 0);
    for index in 0..talk {
        mute.send_line(numbered(index));
        heard_of_mute.take(&b.line());
        a.line();
        say_numbered(&mut a, &mut b, MANY + index, MANY + index + 1);
    }
    assert_eq!(heard_of_mute.missed, 0);
    let mut heard = Follower::new(&a, 0);
    heard.follow(&mut mute, MANY + talk);
    // The tape still holds it all: but so many holes are not kept for anybody.
    assert!(heard.missed > 0, "it may have {talk} holes");
    ask(&mut b, &mut mute, "marker");
    assert_eq!(a.line(), b.says("marker"));
    converse(&mut a, &mut mute, 10);
}

#[test]
fn long_stretches_of_own_lines_are_passed_over_even_where_the_tape_ends_in_one() {
    let server = Server::quiet(&SMALL);
    let [mut a, mut b] = server.join_many();
    let mut mute = server.join_narrow();
    let mut heard_of_mute = Follower::new(&mute, 0);
    // More than its kernel takes, so that it is stuck from here on.
    let before = 10_000;
    say_numbered(&mut a, &mut b, 0, before);
    // A stretch is as much as a tenth of the tape, so that its tail mostly stands in one.
    let stretch = 100;
    for start in (0..MANY / 3).step_by(stretch) {
        mute.send((start..start + stretch).map(|index| numbered(index) + "\n").collect::<String>());
        for _ in 0..stretch {
            heard_of_mute.take(&b.line());
            a.line();
        }
        // A few of the others in between: more than none, so that stretches stay apart.
        let next = before + start / stretch;
        say_numbered(&mut a, &mut b, next, next + 1);
    }
    assert_eq!(heard_of_mute.missed, 0);
    let total = before + (MANY / 3).div_ceil(stretch);
    let mut heard = Follower::new(&a, 0);
    heard.follow(&mut mute, total);
    assert!(heard.missed > before / 2, "it was not stuck: the test is too small");
    ask(&mut b, &mut mute, "marker");
}

#[test]
fn a_reader_stopped_half_a_tape_behind_leaves_the_others_their_speed() {
    let server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    let mut stopped = server.join_narrow();
    let rounds = 2000;
    say_numbered(&mut a, &mut b, 0, MANY);
    let start = Instant::now();
    converse(&mut a, &mut b, rounds);
    // A pause of 10 ms for every line would make 40 s of this; it takes a fraction of a second.
    assert!(start.elapsed() < DEADLINE, "{rounds} rounds took {:?}", start.elapsed());
    let mut heard = Follower::new(&a, 0);
    heard.follow(&mut stopped, MANY);
    assert_eq!(heard.missed, 0, "the tape holds all that was said");
    for _ in 0..2 * rounds {
        assert_eq!(missed(&stopped.line()), None);
    }
    ask(&mut a, &mut stopped, "marker");
}
