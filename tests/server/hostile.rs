//! Peers that do their worst, and those who must not suffer from it: the rest of the room.

mod bytes;
mod floods;
mod slow_readers;

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
