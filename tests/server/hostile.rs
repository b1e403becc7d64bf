//! Peers that do their worst, and those who must not suffer from it: the rest of the room.

use std::collections::HashSet;
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::{
    Client, DEADLINE, Follower, Lines, Member, Server, ask, converse, eventually, missed, numbered,
    raise_descriptor_limit, say_numbered,
};

/// So many numbered lines, some 6 MB, are more than the kernel holds for a peer that does not read (4 MB) and a small
/// tape together.
const MANY: usize = 30_000;

/// A tape that is soon overtaken.
const SMALL: [&str; 2] = ["--backlog", "256K"];

/// What memory may grow by under attack, beside what the attack is entitled to.
const SLACK_BYTES: u64 = 8 << 20;

mod crowds {
    use super::*;

    #[test]
    fn two_hundred_talkers_get_each_others_lines_once_and_in_order() {
        const TALKERS: usize = 200;
        const LINES: usize = 20;
        raise_descriptor_limit();
        let server = Server::quiet(&[]);
        let clients: Vec<_> = (0..TALKERS).map(|_| server.join()).collect();
        let first = clients[0].number();
        let talks: Vec<_> = clients.into_iter().map(|client| thread::spawn(move || talk(client, LINES))).collect();
        let heard: Vec<_> = talks.into_iter().map(|talk| talk.join().expect("each gets all")).collect();

        // Nothing else comes: the next that each gets is this.
        let mut last = server.join();
        last.send_line("the end");
        let mut sequences = Vec::new();
        for (mut client, lines) in heard {
            client.expect(last.says("the end"));
            let spoken: Vec<_> = lines.iter().map(|line| parse(line, first)).collect();
            let mut due = vec![0; TALKERS];
            for &(talker, index) in &spoken {
                assert_eq!(index, due[talker], "client {talker} to {}", client.name());
                due[talker] += 1;
            }
            let own = usize::try_from(client.number() - first).expect("one of them");
            let expected: Vec<_> = (0..TALKERS).map(|talker| if talker == own { 0 } else { LINES }).collect();
            assert_eq!(due, expected, "to {}", client.name());
            sequences.push(spoken);
        }
        // There is one order, and all get it.
        for (other, sequence) in sequences.iter().enumerate().skip(1) {
            let common = |&&(talker, _): &&(usize, usize)| talker != 0 && talker != other;
            assert!(sequence.iter().filter(common).eq(sequences[0].iter().filter(common)), "{other} has another order");
        }
    }

    /// Says `lines` lines, and returns those of the others.
    fn talk(mut client: Client, lines: usize) -> (Client, Vec<String>) {
        for index in 0..lines {
            client.send_line(index.to_string());
        }
        let heard = (0..199 * lines).map(|_| client.line()).collect();
        (client, heard)
    }

    fn parse(line: &str, first: u64) -> (usize, usize) {
        let parsed = line.strip_prefix("client-").and_then(|rest| {
            let (number, index) = rest.split_once("> ")?;
            Some((number.parse::<u64>().ok()?.checked_sub(first)?.try_into().ok()?, index.parse().ok()?))
        });
        parsed.unwrap_or_else(|| panic!("not a line of theirs: {line:?}"))
    }

    #[test]
    fn lines_that_arrive_a_byte_at_a_time_arrive_whole() {
        let server = Server::quiet(&[]);
        let mut listener = server.join();
        let mut talkers: [Client; 5] = server.join_many();
        let texts: Vec<String> = talkers
            .iter()
            .map(|talker| (0..10).map(|index| format!("{index} of {} é名👍\n", talker.name())).collect())
            .collect();
        // They all stop in the middle of something at every step.
        for at in 0..texts.iter().map(String::len).max().expect("there are some") {
            for (talker, text) in talkers.iter_mut().zip(&texts) {
                talker.send(text.as_bytes().get(at..=at).unwrap_or_default());
            }
        }
        let mut due = [0; 5];
        for _ in 0..50 {
            let line = listener.line();
            let talker = talkers.iter().position(|talker| line.starts_with(&talker.says("")));
            let talker = talker.unwrap_or_else(|| panic!("nobody said {line:?}"));
            let text = texts[talker].lines().nth(due[talker]).expect("no more than was said");
            assert_eq!(line, talkers[talker].says(text));
            due[talker] += 1;
        }
        ask(&mut talkers[0], &mut listener, "marker");
    }

    #[test]
    fn everybody_may_leave_at_once() {
        raise_descriptor_limit();
        let server = Server::start(&["--announce-up-to", "1000"]);
        let descriptors = server.descriptors();
        let mut clients: Vec<_> = (0..100).map(|_| server.join()).collect();
        for (index, mut client) in clients.drain(..).enumerate() {
            match index % 4 {
                0 => client.send_line("FIN"),
                1 => client.half_close(),
                2 => client.reset(),
                _ => drop(client),
            }
        }
        eventually("all are gone", || server.descriptors() == descriptors);
        assert_eq!(server.join().present(), 1);
    }
}

mod slow_readers {
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
        let server = Server::quiet(&["--max-line", "100", "--backlog", "556"]);
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
}

mod floods {
    use super::*;

    /// One who says numbered lines as fast as it can, in a thread of its own, until it is stopped.
    struct Flood {
        prefix: String,
        stop: Arc<AtomicBool>,
        thread: JoinHandle<(Client, usize)>,
    }

    /// The padding makes lines long, so that a reader in a debug build still takes them faster than they come.
    fn flood_line(index: usize) -> String {
        format!("{index} {:~<1000}", "")
    }

    impl Flood {
        fn start(mut client: Client) -> Flood {
            let prefix = client.says("");
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = stop.clone();
            let thread = thread::spawn(move || {
                let mut said = 0;
                while !stopped.load(Ordering::Relaxed) {
                    client.send((said..said + 16).map(|index| flood_line(index) + "\n").collect::<String>());
                    said += 16;
                }
                (client, said)
            });
            Flood { prefix, stop, thread }
        }

        /// The flooder, and how many lines it said.
        fn stop(self) -> (Client, usize) {
            self.stop.store(true, Ordering::Relaxed);
            self.thread.join().expect("the server takes what the flooder says")
        }

        /// The number of this line, if it is the flooder's.
        fn index(&self, line: &str) -> Option<usize> {
            index_in(&self.prefix, line)
        }
    }

    fn index_in(prefix: &str, line: &str) -> Option<usize> {
        let text = line.strip_prefix(prefix)?;
        let index = text.split(' ').next().and_then(|index| index.parse().ok()).expect("a numbered line");
        assert_eq!(text.len(), flood_line(index).len(), "a whole line");
        Some(index)
    }

    /// One who hears the flood and loses no line of it.
    struct Hearer {
        client: Client,
        due: Option<usize>,
    }

    impl Hearer {
        fn new(client: Client) -> Hearer {
            Hearer { client, due: None }
        }

        /// The next line that is not the flooder's.
        fn other_line(&mut self, flood: &Flood) -> String {
            let start = Instant::now();
            loop {
                let line = self.client.line();
                let Some(index) = flood.index(&line) else {
                    return line;
                };
                assert_eq!(index, *self.due.get_or_insert(index), "{} lost lines", self.client.name());
                self.due = Some(index + 1);
                assert!(start.elapsed() < DEADLINE, "nothing of the others comes through");
            }
        }

        /// Takes one more line of the flood, if not all that was said is heard.
        fn hear_on(&mut self, prefix: &str, said: usize) {
            if self.due.unwrap_or(0) < said {
                let index = index_in(prefix, &self.client.line()).expect("only the flood is left");
                assert_eq!(index, *self.due.get_or_insert(index), "{} lost lines", self.client.name());
                self.due = Some(index + 1);
            }
        }
    }

    #[test]
    fn under_a_flood_healthy_readers_lose_no_line_and_others_are_heard() {
        let server = Server::quiet(&[]);
        let mut a = Hearer::new(server.join());
        let mut b = Hearer::new(server.join());
        let flood = Flood::start(server.join());
        let mut newcomers = Vec::new();
        for round in 0..200 {
            for text in [format!("ping {round}"), format!("pong {round}")] {
                a.client.send_line(&text);
                assert_eq!(b.other_line(&flood), a.client.says(&text));
                std::mem::swap(&mut a, &mut b);
            }
            if round % 20 == 0 {
                newcomers.push(server.join());
            }
        }
        // They have not read since they came: so whether they lag or not is theirs, but talk they can.
        let mut last = newcomers.pop().expect("some came");
        drop(newcomers);
        last.send_line("hello");
        for hearer in [&mut a, &mut b] {
            assert_eq!(hearer.other_line(&flood), last.says("hello"));
        }
        drop(last);
        let prefix = flood.prefix.clone();
        let (mut flooder, said) = flood.stop();
        // In step, for there may be more to come than a tape holds.
        for _ in 0..said {
            a.hear_on(&prefix, said);
            b.hear_on(&prefix, said);
        }
        assert_eq!([a.due, b.due], [Some(said); 2]);
        // The flooder has missed nothing of the little that the others said, and got nothing of its own.
        for round in 0..200 {
            for text in ["ping", "pong"] {
                let line = flooder.line();
                assert!(line.ends_with(&format!("> {text} {round}")), "{line:?}");
            }
        }
        assert!(flooder.line().ends_with("> hello"));
        ask(&mut flooder, &mut a.client, "sorry");
    }

    #[test]
    fn a_flood_does_not_make_the_server_grow() {
        let server = Server::quiet(&["--backlog", "1M"]);
        let [mut a, mut b] = server.join_many();
        let mute = server.join_narrow();
        say_numbered(&mut a, &mut b, 0, MANY);
        let before = server.resident_bytes();
        let mut flooders: Vec<_> = (0..4).map(|_| Flood::start(server.join())).collect();
        let mut peak = 0;
        for _ in 0..20 {
            (0..1000).for_each(|_| drop(b.line()));
            peak = peak.max(server.resident_bytes());
        }
        let flooders: Vec<_> = flooders.drain(..).map(Flood::stop).collect();
        assert!(peak < before + SLACK_BYTES, "grew from {before} to {peak} bytes");
        assert_eq!(a.present(), 7);
        drop((flooders, mute));
    }

    #[test]
    fn newcomers_get_in_under_a_flood() {
        let server = Server::quiet(&["--history", "5"]);
        let flood = Flood::start(server.join());
        for _ in 0..50 {
            let mut newcomer = server.join();
            let mut heard = 0;
            newcomer.lines_until(|line| {
                assert_eq!(missed(line), None);
                heard += usize::from(flood.index(line).is_some());
                heard == 10
            });
        }
        flood.stop();
    }

    #[test]
    fn one_who_asks_without_end_and_never_reads_is_held_back_and_loses_nothing() {
        let server = Server::quiet(&["--backlog", "1M"]);
        let [mut a, mut b] = server.join_many();
        let mut asker = server.join_narrow();
        converse(&mut a, &mut b, 10);
        let before = server.resident_bytes();
        let requests = b"/who\n/help\n/nope\n".repeat(100);
        let sent = push(&asker, &requests, 1 << 20);
        for _ in 0..20 {
            converse(&mut a, &mut b, 10);
            let now = server.resident_bytes();
            assert!(now < before + SLACK_BYTES, "grew from {before} to {now} bytes");
        }
        // What it sent was not lost meanwhile: every whole request is answered in the end. What it sent last may be
        // a part of one, which its half-close makes a line.
        let rounds = sent / b"/who\n/help\n/nope\n".len();
        asker.half_close();
        let lines = answers(&mut asker);
        let totals = lines.iter().filter(|line| *line == "* 3 here").count();
        assert!((rounds..=rounds + 1).contains(&totals), "{totals} answers to {rounds} questions");
        converse(&mut a, &mut b, 10);
    }

    fn answers(asker: &mut Client) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = asker.try_line().expect("an end in good order") {
            // A sample of what is repeated a hundred thousand times is enough, but for what is counted.
            if line == "* 3 here" || lines.len() < 100 {
                lines.push(line);
            }
        }
        lines
    }

    /// Sends `chunk` again and again until the server takes no more, or `max` bytes are sent; tells how many.
    fn push(client: &Client, chunk: &[u8], max: usize) -> usize {
        let mut stream = client.stream();
        stream.set_write_timeout(Some(Duration::from_millis(500))).expect("connected");
        let mut sent = 0;
        while sent < max {
            match stream.write(&chunk[sent % chunk.len()..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => panic!("the server ended it: {error}"),
            }
        }
        stream.set_write_timeout(Some(DEADLINE)).expect("connected");
        sent
    }

    #[test]
    fn fragments_that_are_never_finished_cost_a_line_each() {
        raise_descriptor_limit();
        let server = Server::quiet(&["--backlog", "1M"]);
        let [mut a, mut b] = server.join_many();
        let before = server.resident_bytes();
        let mut holders: Vec<_> = (0..200).map(|_| server.join()).collect();
        for holder in &mut holders {
            holder.send("x".repeat(4096));
        }
        converse(&mut a, &mut b, 10);
        let now = server.resident_bytes();
        assert!(now < before + 200 * 2 * 4096 + SLACK_BYTES, "grew from {before} to {now} bytes");
        for holder in &mut holders {
            holder.send("\n");
            b.expect(holder.says("x".repeat(4096)));
        }
    }
}

mod ends {
    use super::*;

    /// Puts a new client into a state from which it will go.
    type State = fn(&Server) -> Client;

    const STATES: [(&str, State); 9] = [
        ("before it read its greeting", |server| server.connect()),
        ("in the middle of a line", |server| {
            let mut client = server.join();
            client.send("half");
            client
        }),
        ("with everything sent and nothing read", |server| {
            let mut client = server.join();
            client.send("/who\n/help\n/nope\n".repeat(50));
            client
        }),
        ("after a line over the limit has begun", |server| {
            let mut client = server.join();
            client.send("x".repeat(100_000));
            client
        }),
        ("after it said FIN", |server| {
            let mut client = server.join();
            client.send_line("FIN");
            client
        }),
        ("after it said FIN, and went on", |server| {
            let mut client = server.join();
            client.send("FIN\nand another thing\nhalf");
            client
        }),
        ("after its farewell", |server| {
            let mut client = server.join();
            client.send_line("exit");
            client.expect_farewell();
            client
        }),
        ("half-closed", |server| {
            let client = server.join();
            client.half_close();
            client
        }),
        ("half-closed in the middle of a line", |server| {
            let mut client = server.join();
            client.send("/nope");
            client.half_close();
            client
        }),
    ];

    #[test]
    fn a_close_or_a_reset_in_any_state_ends_that_client_alone() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        let descriptors = server.descriptors();
        for (name, state) in STATES {
            for resets in [false, true] {
                for _ in 0..5 {
                    let client = state(&server);
                    client.vanish(resets);
                }
                eventually(name, || a.present() == 2);
                // The fragment of a close in good order is a line.
                let heard = b.who();
                assert!(
                    heard.iter().all(|line| line.starts_with("* ") || line.ends_with("> half")),
                    "{name}: {heard:?}"
                );
                converse(&mut a, &mut b, 2);
                eventually(name, || server.descriptors() == descriptors);
            }
        }
    }

    #[test]
    fn a_close_or_a_reset_while_blocked_ends_that_client_alone() {
        let server = Server::quiet(&SMALL);
        let [mut a, mut b] = server.join_many();
        let descriptors = server.descriptors();
        let mut blocked: Vec<_> = (0..6).map(|_| server.join_narrow()).collect();
        say_numbered(&mut a, &mut b, 0, MANY);
        blocked[2].half_close();
        blocked[3].half_close();
        blocked[4].send_line("FIN");
        blocked[5].send_line("FIN");
        converse(&mut a, &mut b, 2);
        for (index, client) in blocked.into_iter().enumerate() {
            client.vanish(index % 2 == 0);
            converse(&mut a, &mut b, 2);
        }
        eventually("all but two are gone", || a.present() == 2);
        eventually("their descriptors are free", || server.descriptors() == descriptors);
    }

    #[test]
    fn one_who_leaves_while_blocked_and_never_reads_is_closed_in_the_end() {
        let server = Server::quiet(&SMALL);
        let [mut a, mut b] = server.join_many();
        let descriptors = server.descriptors();
        let mut stuck = server.join_narrow();
        say_numbered(&mut a, &mut b, 0, MANY);
        stuck.send_line("FIN");
        eventually("it is no longer here", || a.present() == 2);
        eventually("it is closed, within the grace", || server.descriptors() == descriptors);
        converse(&mut a, &mut b, 2);
    }

    #[test]
    fn a_refused_client_may_end_as_it_likes() {
        let server = Server::quiet(&["--max-clients", "2"]);
        let [mut a, mut b] = server.join_many();
        let descriptors = server.descriptors();
        for index in 0..40 {
            let client = server.connect();
            match index % 4 {
                0 => client.reset(),
                1 => drop(client),
                2 => client.half_close(),
                _ => {
                    let _ = client.stream().write_all(b"FIN\n");
                }
            }
        }
        converse(&mut a, &mut b, 2);
        eventually("their descriptors are free", || server.descriptors() == descriptors);
    }

    #[test]
    fn refused_clients_that_stay_are_closed_in_the_end() {
        let server = Server::quiet(&["--max-clients", "2"]);
        let [mut a, mut b] = server.join_many();
        let descriptors = server.descriptors();
        let refused: Vec<_> = (0..20).map(|_| server.connect()).collect();
        eventually("their descriptors are free", || server.descriptors() == descriptors);
        converse(&mut a, &mut b, 2);
        drop(refused);
    }
}

mod keys {
    use super::*;

    #[test]
    fn a_newcomer_does_not_inherit_what_a_leaver_said() {
        let server = Server::quiet(&["--history", "1000"]);
        let mut listener = server.join();
        for round in 0..30 {
            let mut leaver = server.join();
            leaver.lines_until_shown(round);
            leaver.send_line(round.to_string());
            listener.expect(leaver.says(round));
            let said = leaver.says(round);
            leaver.vanish(round % 2 == 0);
            eventually("it is gone", || listener.present() == 1);
            // The newcomer has the leaver's place, but not its ears.
            let mut newcomer = server.join();
            let shown = newcomer.lines_until_shown(round + 1);
            assert_eq!(shown.last(), Some(&said));
            drop(newcomer);
            eventually("it is gone", || listener.present() == 1);
        }
    }

    impl Client {
        /// Takes the history, which must be of that many lines.
        fn lines_until_shown(&mut self, count: usize) -> Vec<String> {
            if count == 0 {
                return Vec::new();
            }
            let unit = if count == 1 { "line" } else { "lines" };
            self.expect(format!("* {count} earlier {unit}:"));
            (0..count).map(|_| self.line()).collect()
        }
    }

    #[test]
    fn a_newcomer_does_not_inherit_the_holes_of_one_who_was_blocked() {
        let server = Server::quiet(&["--history", "100"]);
        let [mut a, mut b] = server.join_many();
        let mut blocked = server.join_narrow();
        say_numbered(&mut a, &mut b, 0, MANY);
        let mut said = Vec::new();
        for index in 0..100 {
            let talker = if index % 2 == 0 { &mut blocked } else { &mut a };
            talker.send_line(format!("word {index}"));
            said.push(talker.says(format!("word {index}")));
            b.expect(said.last().expect("just said"));
        }
        let mut silent = server.join();
        silent.lines_until(|line| line == said[99]);
        blocked.reset();
        eventually("it is gone", || silent.present() == 3);
        let mut newcomer = server.join();
        newcomer.expect("* 100 earlier lines:");
        newcomer.expect_all(&said);
        // And it has its own: its lines go to the others and not to itself.
        newcomer.send("one\ntwo\n");
        b.expect_all([newcomer.says("one"), newcomer.says("two")]);
        b.send_line("marker");
        newcomer.expect(b.says("marker"));
    }
}

mod bytes {
    use super::*;

    /// Marsaglia's xorshift64: the same bytes in every run.
    struct Xorshift(u64);

    impl Xorshift {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, limit: usize) -> usize {
            usize::try_from(self.next() % limit as u64).expect("below the limit")
        }
    }

    /// What hostile input is put together of, beside bytes at random.
    const PIECES: [&[u8]; 39] = [
        b"\n",
        b"\n",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        b"\t",
        b" ",
        b"> ",
        b"* ",
        b"/",
        b"//",
        b"\x1b[2J",
        b"\x7f",
        b"\x1b]0;x\x07",
        b"\n/nick ",
        b"\n/nick ana\n",
        b"\n/nick \xd0\x90\xd0\xbd\xd0\xb0\n",
        b"\n/nick x>\n",
        b"\n/who\n",
        b"\n/help\n",
        b"\n/msg client-1 ",
        b"\n/msg ana ",
        b"\n/msg client-2 ",
        b"server",
        b"client-1> hi",
        b"* client-1 left",
        b"* the server is shutting down",
        b" is now ",
        b" joined",
        b"\xe2\x80\xae",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
        b"\xc2\x9b",
        b"\x9b",
        b"\xe2\x82",
        b"\xf0\x9f\x91\x8d",
        b"\xed\xa0\x80",
    ];

    /// What may end its conversation: rare, for nothing that comes after it is heard.
    const LEAVING: [&[u8]; 4] = [b"FIN\n", b"\nexit\n", b"\nFIN", b"\n/quit\r\n"];

    fn burst(random: &mut Xorshift) -> Vec<u8> {
        let mut bytes = Vec::new();
        let length = random.below(6000);
        while bytes.len() < length {
            match random.below(100) {
                0..70 => bytes.extend_from_slice(PIECES[random.below(PIECES.len())]),
                70..98 => bytes.extend_from_slice(&random.next().to_le_bytes()[..1 + random.below(8)]),
                98 => bytes.extend(b"x".repeat(random.below(5000))),
                _ => bytes.extend_from_slice(LEAVING[random.below(LEAVING.len())]),
            }
        }
        bytes
    }

    /// Whether no terminal obeys anything in it.
    fn is_clean(text: &str) -> bool {
        let is_bad = |c: char| {
            (c.is_control() && c != '\t')
                || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
        };
        !text.contains(is_bad)
    }

    fn is_name(name: &str) -> bool {
        (1..=24).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
    }

    fn is_given_name(name: &str) -> bool {
        name.strip_prefix("client-").is_some_and(|number| number.parse::<u64>().is_ok())
    }

    /// Who is here, as one who was told everything knows it.
    struct Roster {
        present: HashSet<String>,
        /// Private lines may come before the notice of the name that they are under.
        ever: HashSet<String>,
        told_by: HashSet<String>,
    }

    impl Roster {
        fn of(clients: &[&Client]) -> Roster {
            let present: HashSet<String> = clients.iter().map(|client| client.name()).collect();
            Roster { ever: present.clone(), present, told_by: HashSet::new() }
        }

        /// Every line is of a form of the protocol, and under a name that is somebody's just now.
        #[track_caller]
        fn check(&mut self, line: &str) {
            assert!(is_clean(line), "{line:?}");
            if let Some(notice) = line.strip_prefix("* ") {
                self.check_notice(notice);
                return;
            }
            let (name, _) = line.split_once("> ").unwrap_or_else(|| panic!("of no form: {line:?}"));
            assert!(self.present.contains(name), "nobody is called {name:?}: {line:?}");
        }

        /// Names hold no white space, so the words tell the forms apart, whatever the names are.
        #[track_caller]
        fn check_notice(&mut self, notice: &str) {
            match *notice.split(' ').collect::<Vec<_>>() {
                [name, "joined"] => {
                    assert!(
                        (is_given_name(name) || is_name(name)) && self.present.insert(name.to_owned()),
                        "{notice:?}"
                    );
                    self.ever.insert(name.to_owned());
                }
                [name, "left"] => assert!(self.present.remove(name), "{notice:?}"),
                [old, "is", "now", new] => {
                    assert!(self.present.remove(old), "{notice:?}");
                    assert!(is_name(new) && self.present.insert(new.to_owned()), "{notice:?}");
                    self.ever.insert(new.to_owned());
                }
                [name, "tells", "you:", ..] => {
                    self.told_by.insert(name.to_owned());
                }
                _ => panic!("a notice that this client did not ask for: {notice:?}"),
            }
        }
    }

    #[test]
    fn hostile_bytes_make_no_line_of_another_form_or_name() {
        let server = Server::start(&[]);
        let [mut observer, mut clerk]: [Client; 2] = server.join_introduced();
        let mut roster = Roster::of(&[&observer, &clerk]);
        let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
        for round in 0..100 {
            let mut hostile: [Client; 3] = server.join_many();
            for _ in 0..3 {
                hostile.iter_mut().for_each(|client| client.send_lossy(&burst(&mut random)));
            }
            hostile.iter().for_each(Client::half_close);
            for client in &mut hostile {
                check_own_lines(client);
            }
            eventually("they have left", || clerk.present() == 2);
            clerk.send_line(format!("round {round}"));
            let said = clerk.says(format!("round {round}"));
            observer.lines_until(|line| line == said).iter().for_each(|line| roster.check(line));
            assert_eq!(roster.present.len(), 2);
        }
        assert!(roster.ever.contains("ana") && !roster.told_by.is_empty(), "the bytes are too tame");
        // A client that was not introduced can send private lines under the name that it was given.
        roster.told_by.retain(|name| !is_given_name(name));
        assert!(roster.told_by.is_subset(&roster.ever), "{:?}", roster.told_by.difference(&roster.ever));
        observer.who();
    }

    /// Whatever it sent, what it gets is of the protocol's forms as well, and ends as it should.
    #[track_caller]
    fn check_own_lines(client: &mut Client) {
        let lines = client.lines_until(|line| {
            // Its own CR may have asked for CRLF.
            let line = line.strip_suffix('\r').unwrap_or(line);
            let is_notice = line.starts_with("* ");
            let is_said = line.split_once("> ").is_some_and(|(name, _)| is_name(name));
            assert!(is_clean(line) && (is_notice || is_said || line == "FIN"), "{line:?}");
            line == "FIN"
        });
        assert!(!lines.is_empty());
        client.expect_end();
    }

    impl Client {
        /// Sends it, if the server still listens: it may have been told to end the conversation.
        fn send_lossy(&mut self, bytes: &[u8]) {
            let _ = self.stream().write_all(bytes);
        }
    }
}
