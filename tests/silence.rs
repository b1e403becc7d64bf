//! Peers that send what was typed without a newline, where silence ends a line (`--flush-after`): the hub with a time
//! that the test chooses, and the server with peers as textbooks write them.

#[path = "support/fake_hub.rs"]
mod fake_hub;
mod support;

use std::time::{Duration, Instant};

use pollchat::server::config::Config;
use pollchat::server::hub::Wake;
use pollchat::server::limits::PRIVATE_BYTES_MAX;

const MS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_millis(100);

mod hub {
    use super::*;
    use fake_hub::{READABLE, World};

    fn world() -> World {
        World::new(&Config { flush_after: Some(PATIENCE), announce_up_to: 0, line_bytes_max: 100, ..Config::default() })
    }

    /// Goes to the time that the hub asks for, which must be this one.
    #[track_caller]
    fn wait_until(world: &mut World, time: Instant) {
        assert_eq!(world.hub.next_wake(), Wake::At(time));
        world.now = time;
        world.run();
    }

    #[test]
    fn silence_ends_a_line_and_nothing_else_wakes_the_hub() {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        assert_eq!(world.hub.next_wake(), Wake::OnEvent, "nobody has begun a line");
        let start = world.now;
        world.says(&ana, "hello");
        assert_eq!(bob.received(), "");
        wait_until(&mut world, start + PATIENCE);
        assert_eq!(bob.received(), "client-1> hello\n");
        assert_eq!(world.hub.next_wake(), Wake::OnEvent);
        world.says(&ana, "whole lines\n");
        assert_eq!(bob.received(), "client-1> whole lines\n");
        assert_eq!(world.hub.next_wake(), Wake::OnEvent, "whole lines have no deadline");
    }

    #[test]
    fn without_the_flag_a_fragment_waits_for_ever() {
        let mut world = World::new(&fake_hub::quiet());
        let (ana, bob) = (world.connect(), world.connect());
        world.says(&ana, "hello");
        assert_eq!(world.hub.next_wake(), Wake::OnEvent);
        world.now += Duration::from_secs(100_000);
        world.run();
        assert_eq!(bob.received(), "");
    }

    #[test]
    fn silence_counts_from_the_last_byte() {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        let start = world.now;
        for (letter, at) in [("h", 0), ("e", 60), ("y", 150), ("!", 240)] {
            world.now = start + at * MS;
            world.says(&ana, letter);
        }
        // It was listed when it began, and is put off when that comes up.
        assert!(matches!(world.hub.next_wake(), Wake::At(time) if time <= start + 340 * MS));
        world.now = start + 339 * MS;
        world.run();
        assert_eq!(bob.received(), "");
        wait_until(&mut world, start + 340 * MS);
        assert_eq!(bob.received(), "client-1> hey!\n");
        assert_eq!(world.hub.next_wake(), Wake::OnEvent);
    }

    #[test]
    fn a_line_that_is_ended_in_time_is_one_line() {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        let start = world.now;
        world.says(&ana, "one ");
        world.now += PATIENCE - MS;
        world.says(&ana, "line\n");
        assert_eq!(bob.received(), "client-1> one line\n");
        world.now = start + PATIENCE;
        world.run();
        assert_eq!((bob.received().as_str(), world.hub.next_wake()), ("", Wake::OnEvent));
    }

    #[test]
    fn what_arrived_just_before_its_time_was_up_goes_before_it() {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        let start = world.now;
        world.says(&ana, "one ");
        // No event told of this yet: the hub finds it when it looks.
        ana.sends("line");
        world.now = start + PATIENCE;
        world.run();
        assert_eq!(bob.received(), "");
        wait_until(&mut world, start + 2 * PATIENCE);
        assert_eq!(bob.received(), "client-1> one line\n");
    }

    #[test]
    fn many_have_their_own_times() {
        let mut world = world();
        let listener = world.connect();
        let talkers: Vec<_> = (0..50).map(|_| world.connect()).collect();
        let start = world.now;
        for (index, talker) in (0u32..).zip(&talkers) {
            world.now = start + index * MS;
            world.says(talker, "a");
        }
        // Every second one goes on, so that the order is another one.
        for (index, talker) in (0u32..).zip(&talkers).step_by(2) {
            world.now = start + (50 + index / 2) * MS;
            world.says(talker, "b");
        }
        let mut heard = Vec::new();
        while let Wake::At(time) = world.hub.next_wake() {
            world.now = time;
            world.run();
            let at = world.now.duration_since(start).as_millis();
            heard.extend(listener.received().lines().map(|line| (at, line.to_owned())));
        }
        let mut expected: Vec<_> = (1..50).step_by(2).map(|i| (100 + i, format!("client-{}> a", i + 2))).collect();
        expected.extend((0..50).step_by(2).map(|i| (150 + i / 2, format!("client-{}> ab", i + 2))));
        assert_eq!(heard, expected);
    }

    #[test]
    fn a_word_of_farewell_needs_no_newline() {
        for word in ["FIN", "fin", "exit", "/quit", "fin\r"] {
            let mut world = world();
            let (ana, bob) = (world.connect(), world.connect());
            let start = world.now;
            world.says(&ana, word);
            wait_until(&mut world, start + PATIENCE);
            assert_eq!((ana.received().as_str(), ana.is_ended()), ("FIN\n", true), "{word:?}");
            assert_eq!(bob.received(), "");
        }
    }

    #[test]
    fn a_lone_cr_at_the_end_is_half_of_a_line_end() {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        let start = world.now;
        world.says(&ana, "hello\r");
        wait_until(&mut world, start + PATIENCE);
        assert_eq!(bob.received(), "client-1> hello\n");
        world.says(&ana, "\nnext\n");
        assert_eq!(bob.received(), "client-1> next\n");
    }

    #[test]
    fn half_a_character_is_given_the_same_time_again() {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        let start = world.now;
        let (first, second) = "na\u{ef}ve".as_bytes().split_at(3);
        world.says(&ana, first);
        world.now = start + PATIENCE;
        world.run();
        assert_eq!(bob.received(), "");
        world.says(&ana, second);
        wait_until(&mut world, start + 2 * PATIENCE);
        assert_eq!(bob.received(), "client-1> na\u{ef}ve\n");
        // When the other half comes early, what is whole then waits no longer than anything else.
        let start = world.now;
        world.says(&ana, first);
        world.now += MS;
        world.says(&ana, second);
        wait_until(&mut world, start + MS + PATIENCE);
        assert_eq!(bob.received(), "client-1> na\u{ef}ve\n");
        world.now = start + 2 * PATIENCE;
        world.run();
        assert_eq!((bob.received().as_str(), world.hub.next_wake()), ("", Wake::OnEvent));
        // One who does not write UTF-8 is heard all the same.
        let start = world.now;
        world.says(&ana, b"caf\xe9");
        wait_until(&mut world, start + 2 * PATIENCE);
        assert_eq!(bob.received(), "client-1> caf\u{fffd}\n");
        assert_eq!(world.hub.next_wake(), Wake::OnEvent);
    }

    #[test]
    fn a_message_that_is_too_long_is_over_with_the_silence_too() {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        let start = world.now;
        world.says(&ana, "x".repeat(300));
        assert_eq!(ana.received(), "* line too long (over 100 bytes): not relayed\n");
        wait_until(&mut world, start + PATIENCE);
        assert_eq!((ana.received().as_str(), bob.received().as_str()), ("", ""));
        let start = world.now;
        world.says(&ana, "shorter");
        wait_until(&mut world, start + PATIENCE);
        assert_eq!(bob.received(), "client-1> shorter\n");
    }

    #[test]
    fn who_is_held_by_the_brake_is_not_silent() {
        let mut world = world();
        let (slow, ana, bob) = (world.connect(), world.connect(), world.connect());
        slow.takes(0);
        let lines = format!("{}\n", "x".repeat(99)).repeat(20_000);
        ana.sends(format!("{lines}last"));
        world.hub.on_ready(ana.key, READABLE);
        let mut heard = String::new();
        while !heard.ends_with("client-2> last\n") {
            world.run();
            let received = bob.received();
            assert!(!received.contains("> x\n"));
            heard += &received;
            let Wake::At(time) = world.hub.next_wake() else { break };
            // The brake holds it longer than its patience at a time.
            world.now = time + 2 * PATIENCE;
            world.makes_room(&slow, 100_000);
        }
        let cut = heard.lines().find(|line| line.len() != "client-2> ".len() + 99 && !line.ends_with("last"));
        assert_eq!((cut, heard.lines().count()), (None, 20_001));
    }

    #[test]
    fn under_the_brake_a_fragment_waits_for_its_slice_like_any_line() {
        let mut world = world();
        let (slow, flood, ana, bob) = (world.connect(), world.connect(), world.connect(), world.connect());
        slow.takes(0);
        let start = world.now;
        world.says(&ana, "small voice");
        world.now = start + PATIENCE - MS;
        flood.sends(format!("{}\n", "x".repeat(99)).repeat(20_000));
        world.hub.on_ready(flood.key, READABLE);
        world.run();
        bob.received();
        // The flood has used up this period, and the next one has a share for whoever does not flood.
        world.now = start + PATIENCE;
        world.run();
        assert!(!bob.received().contains("small voice"));
        world.now += 10 * MS;
        world.run();
        assert!(bob.received().contains("client-3> small voice\n"));
    }

    #[test]
    fn who_takes_no_replies_is_not_silent() {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        ana.takes(0);
        let asked = PRIVATE_BYTES_MAX / 200;
        ana.sends(format!("{}hel", "/help\n".repeat(asked)));
        ana.sends("lo");
        world.hub.on_ready(ana.key, READABLE);
        world.run();
        world.now += 10 * PATIENCE;
        world.run();
        assert_eq!((bob.received().as_str(), world.hub.next_wake()), ("", Wake::OnEvent), "it is held, and not read");
        world.makes_room(&ana, usize::MAX);
        let start = world.now;
        assert_eq!(bob.received(), "", "what was not read before has just come");
        wait_until(&mut world, start + PATIENCE);
        assert_eq!(bob.received(), "client-1> hello\n");
    }

    #[test]
    fn what_one_began_ends_with_it() {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        world.says(&ana, "half");
        ana.resets();
        world.hub.on_ready(ana.key, READABLE);
        world.run();
        assert!(ana.is_closed());
        // Its heir, too, has begun a line, and later.
        world.now += PATIENCE / 2;
        let heir = world.connect();
        assert_eq!(heir.key, ana.key);
        world.says(&heir, "mine");
        let start = world.now;
        world.now += PATIENCE / 2;
        world.run();
        assert_eq!(bob.received(), "");
        wait_until(&mut world, start + PATIENCE);
        assert_eq!(bob.received(), "client-3> mine\n");
    }

    #[test]
    fn one_who_has_left_is_not_waited_for() {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        world.says(&ana, "FIN\nnot said");
        world.now += 2 * PATIENCE;
        world.run();
        assert_eq!(bob.received(), "");
        assert!(ana.is_ended());
    }

    #[test]
    fn lines_that_come_in_two_pieces_leave_no_deadlines_behind() {
        let hour = Duration::from_secs(3_600);
        let mut world = World::new(&Config { flush_after: Some(hour), ..fake_hub::quiet() });
        let (ana, bob) = (world.connect(), world.connect());
        for round in 0..10_000 {
            world.now += MS;
            world.says(&ana, format!("{round}"));
            world.says(&ana, "\n");
        }
        assert_eq!(bob.received().lines().count(), 10_000);
        // All that is left comes up, and does nothing: as often as there are deadlines.
        let mut wakes = 0;
        while let Wake::At(time) = world.hub.next_wake() {
            world.now = time;
            world.run();
            wakes += 1;
        }
        assert!(wakes < 100, "{wakes} deadlines were kept");
    }

    #[test]
    fn the_operator_needs_no_newline_either() {
        let mut world = world();
        let console = world.open_console();
        let ana = world.connect();
        let start = world.now;
        world.says(&console, "hello");
        wait_until(&mut world, start + PATIENCE);
        assert_eq!(ana.received(), "server> hello\n");
        let start = world.now;
        world.says(&console, "FIN");
        wait_until(&mut world, start + PATIENCE);
        assert!(world.hub.is_stop_wanted());
    }
}

mod peers {
    use super::*;
    use std::io::{self, Write};
    use std::net::TcpStream;
    use support::{Client, DEADLINE, Screen, Server, converse, eventually};

    /// A peer as textbooks write them: it sends what was typed as it is, and takes each `recv` for a message.
    struct ChunkPeer {
        stream: TcpStream,
        received: String,
        /// What was heard last, and what came before it.
        passed: String,
    }

    impl ChunkPeer {
        #[track_caller]
        fn join(server: &Server) -> ChunkPeer {
            let stream = TcpStream::connect(server.address()).expect("the server accepts");
            stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
            let mut peer = ChunkPeer { stream, received: String::new(), passed: String::new() };
            peer.hears("* you are client-");
            peer.hears("; /help lists what you can do\n");
            peer
        }

        #[track_caller]
        fn sends(&mut self, text: &str) {
            self.stream.write_all(text.as_bytes()).expect("the server takes it");
        }

        /// Receives until this is among what it received; what came before it is passed over.
        #[track_caller]
        fn hears(&mut self, text: &str) {
            let mut buffer = [0; 1024];
            loop {
                if let Some(at) = self.received.find(text) {
                    self.passed = self.received.drain(..at + text.len()).collect();
                    return;
                }
                let len = support::read(&mut self.stream, &mut buffer).expect("something comes in time");
                assert!(len > 0, "the end came instead of {text:?}; before it {:?}", self.received);
                self.received += str::from_utf8(&buffer[..len]).expect("UTF-8");
            }
        }

        #[track_caller]
        fn hears_the_end(&mut self) {
            self.hears("FIN\n");
            assert_eq!(support::read(&mut self.stream, &mut [0; 1]).expect("an end in good order"), 0);
        }
    }

    fn server(flags: &[&str]) -> Server {
        Server::builder().flags(["--announce-up-to", "0", "--flush-after", "20"]).flags(flags).go()
    }

    #[test]
    fn chunk_clients_talk_with_each_other_and_with_line_clients() {
        let server = server(&[]);
        let (mut ana, mut bob) = (ChunkPeer::join(&server), ChunkPeer::join(&server));
        let mut eva = server.join();
        for round in 0..20 {
            ana.sends(&format!("ana {round}"));
            bob.hears(&format!("client-1> ana {round}\n"));
            eva.expect(format!("client-1> ana {round}"));
            bob.sends(&format!("bob {round}"));
            ana.hears(&format!("client-2> bob {round}\n"));
            eva.expect(format!("client-2> bob {round}"));
            eva.send_line(format!("eva {round}"));
            ana.hears(&format!("client-3> eva {round}\n"));
            bob.hears(&format!("client-3> eva {round}\n"));
        }
        assert_eq!((ana.received.as_str(), bob.received.as_str()), ("", ""));
    }

    #[test]
    fn a_hundred_chunk_clients_are_all_heard_by_all() {
        let server = server(&[]);
        let mut peers: Vec<_> = (0..100).map(|_| ChunkPeer::join(&server)).collect();
        for (index, peer) in peers.iter_mut().enumerate() {
            peer.sends(&format!("I am {index}"));
        }
        for (listener, peer) in peers.iter_mut().enumerate() {
            // In whatever order they came, each came once; nobody hears themselves.
            let mut missing: std::collections::BTreeSet<_> = (0..100)
                .filter(|&index| index != listener)
                .map(|index| format!("client-{}> I am {index}\n", index + 1))
                .collect();
            while !missing.is_empty() {
                peer.hears("\n");
                let line = std::mem::take(&mut peer.passed);
                assert!(missing.remove(&line), "{line:?} came to {listener}");
            }
        }
    }

    #[test]
    fn a_chunk_client_leaves_by_its_word() {
        for word in ["FIN", "fin", "Fin", "exit"] {
            let server = server(&[]);
            let (mut ana, mut bob) = (ChunkPeer::join(&server), ChunkPeer::join(&server));
            ana.sends("bye");
            bob.hears("client-1> bye\n");
            ana.sends(word);
            ana.hears_the_end();
            drop(ana);
            let mut eva = server.join();
            eventually("it has left", || eva.present() == 2);
            bob.sends("who is left");
            eva.expect("client-2> who is left");
        }
    }

    #[test]
    fn commands_need_no_newline() {
        let server = server(&[]);
        let (mut ana, mut bob) = (ChunkPeer::join(&server), ChunkPeer::join(&server));
        ana.sends("/nick ana");
        ana.hears("* client-1 is now ana\n");
        bob.hears("* ana joined\n");
        bob.sends("/msg ana psst");
        ana.hears("* client-2 tells you: psst\n");
        ana.sends("/who");
        ana.hears("* 2 here\n");
    }

    #[test]
    fn an_operator_and_a_chunk_client_have_a_dialogue() {
        let (stdin, mut keyboard) = io::pipe().expect("a pipe");
        let (source, stdout) = io::pipe().expect("a pipe");
        let mut screen = Screen::new(source);
        let flags = ["--console", "--flush-after", "20", "--max-clients", "1"];
        let mut server = Server::builder().flags(flags).stdin(stdin).go_before(&mut screen, stdout);
        let mut ana = ChunkPeer::join(&server);
        for round in 0..10 {
            ana.sends(&format!("question {round}"));
            screen.lines_until(|line| line == format!("client-1> question {round}"));
            writeln!(keyboard, "answer {round}").expect("the server reads");
            ana.hears(&format!("server> answer {round}\n"));
        }
        writeln!(keyboard, "FIN").expect("the server reads");
        ana.hears_the_end();
        drop(ana);
        assert_eq!(server.wait(DEADLINE).code(), Some(0));
    }

    #[test]
    fn a_line_whose_pieces_come_in_time_is_one() {
        let server = Server::quiet(&["--flush-after", "3600000"]);
        let [mut ana, mut bob]: [Client; 2] = server.join_many();
        for piece in ["all ", "of ", "this ", "is ", "one ", "li"] {
            ana.send(piece);
            converse(&mut bob, &mut server.join(), 1);
        }
        ana.send("ne\n");
        bob.lines_until(|line| line == "client-1> all of this is one line");
    }

    #[test]
    fn an_interval_that_is_none_is_wrong_usage() {
        for interval in ["0", "-1", "3600001", "soon", ""] {
            let flags = ["--listen", "127.0.0.1:0", "--flush-after", interval];
            let output = Server::builder().flags(flags).command().output().expect("the server starts");
            assert_eq!(output.status.code(), Some(2), "{interval:?}");
        }
    }

    #[test]
    fn it_rests_when_nobody_has_begun_a_line() {
        let server = server(&[]);
        let (mut ana, mut bob) = (ChunkPeer::join(&server), ChunkPeer::join(&server));
        ana.sends("hello");
        bob.hears("client-1> hello\n");
        let is_at_rest = || {
            let before = (server.cpu_ticks(), server.voluntary_switches());
            std::thread::sleep(Duration::from_secs(1));
            before == (server.cpu_ticks(), server.voluntary_switches())
        };
        assert!((0..10).any(|_| is_at_rest()), "it does not come to rest");
    }
}
