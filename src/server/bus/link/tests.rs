mod tls;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use super::*;

/// A side of a connection in memory. The other side is the test's.
#[derive(Clone, Debug, Default)]
struct Wire(Rc<RefCell<Ends>>);

#[derive(Debug, Default)]
struct Ends {
    to_link: VecDeque<u8>,
    from_link: Vec<u8>,
    /// Whether a read at the end of `to_link` finds EOF.
    is_over: bool,
    /// Whether writes succeed.
    takes: bool,
    /// The error of the next call.
    error: Option<io::ErrorKind>,
    reads: usize,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ends = self.0.borrow_mut();
        ends.reads += 1;
        if let Some(error) = ends.error.take() {
            return Err(error.into());
        }
        if ends.to_link.is_empty() && !ends.is_over {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        ends.to_link.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut ends = self.0.borrow_mut();
        match ends.error.take() {
            Some(error) => Err(error.into()),
            None if ends.takes => ends.from_link.write(bytes),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Wire {
    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn peer_address(&self) -> io::Result<Option<SocketAddr>> {
        Ok(None)
    }
}

/// A link, its wire and a clock.
struct Scene {
    link: Link<Wire>,
    wire: Wire,
    now: Instant,
}

const GREETING: &str = "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$13\r\npollchat-test\r\n*1\r\n$4\r\nROLE\r\n";
const MASTER: &str = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
const READY: Readiness = Readiness { readable: true, writable: true };
const SOON: Duration = Duration::from_secs(1);

impl Scene {
    fn new() -> Scene {
        Scene::with(None, None)
    }

    fn with(user: Option<&str>, password: Option<&str>) -> Scene {
        let password = password.map(|password| Secret::new(password.to_owned()));
        let settings = LinkSettings::new("pollchat-test".to_owned(), user.map(str::to_owned), password, None);
        Scene { link: Link::new(Rc::new(settings), 7), wire: Wire::default(), now: Instant::now() }
    }

    /// A link that is up.
    fn up() -> Scene {
        let mut scene = Scene::new();
        scene.connect();
        scene.come_up();
        scene
    }

    /// Connects it to a new wire.
    fn connect(&mut self) {
        assert!(self.link.wants_connection(self.now), "{:?}", self.link);
        self.wire = Wire::default();
        self.wire.0.borrow_mut().takes = true;
        self.link.connected(Ok(self.wire.clone()), self.now);
    }

    fn come_up(&mut self) {
        self.link.flush(self.now);
        assert!(self.said().ends_with("ROLE\r\n"));
        self.reply(&format!("+OK\r\n{MASTER}"));
        assert_eq!(self.link.next_reply(self.now), None);
        assert!(self.link.is_up());
    }

    /// Returns the bytes that the link has written since the last look.
    fn said(&self) -> String {
        String::from_utf8(mem::take(&mut self.wire.0.borrow_mut().from_link)).unwrap()
    }

    fn reply(&mut self, bytes: &str) {
        self.wire.0.borrow_mut().to_link.extend(bytes.as_bytes());
        self.link.on_ready(READY);
    }

    /// Runs one turn that has nothing to read.
    fn turn(&mut self) {
        assert_eq!(self.link.next_reply(self.now), None);
        self.link.flush(self.now);
    }

    fn send(&mut self, arguments: &[&[u8]]) {
        self.link.send(arguments, SOON, self.now);
        self.link.flush(self.now);
    }

    /// Returns the pause that it is in, and lets it pass.
    #[track_caller]
    fn pass_pause(&mut self) -> Duration {
        assert!(!self.link.is_up() && self.link.due.is_empty());
        let Wake::At(until) = self.link.next_wake() else { panic!("{:?}", self.link.next_wake()) };
        assert!(!self.link.wants_connection(until - Duration::from_nanos(1)));
        let pause = until - self.now;
        self.now = until;
        assert!(self.link.wants_connection(self.now));
        pause
    }
}

#[test]
fn a_link_greets_and_is_up_once_redis_is_a_master() {
    let mut scene = Scene::new();
    assert_eq!(scene.link.next_wake(), Wake::Now);
    scene.connect();
    scene.turn();
    assert_eq!(scene.said(), GREETING);
    assert_eq!(scene.link.next_wake(), Wake::At(scene.now + GREETING_TIME));
    scene.reply("+OK\r\n");
    scene.turn();
    assert!(!scene.link.is_up());
    scene.reply(MASTER);
    scene.turn();
    assert!(scene.link.is_up());
    assert_eq!((scene.link.connects(), scene.link.next_wake()), (1, Wake::OnEvent));
}

#[test]
fn a_password_is_the_first_word() {
    for (user, expected) in [
        (None, "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"),
        (Some("ana"), "*3\r\n$4\r\nAUTH\r\n$3\r\nana\r\n$6\r\nsecret\r\n"),
    ] {
        let mut scene = Scene::with(user, Some("secret"));
        scene.connect();
        scene.turn();
        assert_eq!(scene.said(), format!("{expected}{GREETING}"));
        scene.reply(&format!("+OK\r\n+OK\r\n{MASTER}"));
        scene.turn();
        assert!(scene.link.is_up());
        assert!(!format!("{:?}", scene.link).contains("secret"));
    }
}

#[test]
fn a_refusal_is_kept_in_the_words_of_redis_and_tried_again_after_five_seconds() {
    let mut scene = Scene::with(None, Some("secret"));
    for _ in 0..3 {
        scene.connect();
        scene.turn();
        scene.reply("-WRONGPASS invalid username-password pair or user is disabled.\r\n-NOAUTH x\r\n-NOAUTH x\r\n");
        scene.turn();
        let words = "WRONGPASS invalid username-password pair or user is disabled.";
        assert_eq!(scene.link.refusal(), Some(words));
        assert_eq!(scene.pass_pause(), PAUSE_MAX);
    }
    scene.connect();
    scene.turn();
    scene.reply(&format!("+OK\r\n-NOPERM no CLIENT for you\r\n{MASTER}"));
    scene.turn();
    assert!(scene.link.is_up() && scene.link.refusal().is_none(), "the name is not needed");
}

#[test]
fn words_that_repeat_the_password_are_cut() {
    let mut scene = Scene::with(None, Some("secret"));
    scene.connect();
    scene.turn();
    scene.reply("-ERR unknown command 'AUTH', with args beginning with: 'secret' \r\n");
    scene.turn();
    assert_eq!(scene.link.refusal(), Some("ERR unknown command 'AUTH'"));
}

#[test]
fn a_redis_that_is_not_ready_or_no_master_is_no_refusal() {
    for answer in [
        "+OK\r\n-LOADING Redis is loading the dataset in memory\r\n",
        "-ERR max number of clients reached\r\n-ERR max number of clients reached\r\n",
        "+OK\r\n*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:14\r\n",
        "+OK\r\n*0\r\n",
        "+OK\r\n+OK\r\n",
        ":1\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
        "\u{15}\u{3}",
        "* welcome\n",
    ] {
        let mut scene = Scene::new();
        scene.connect();
        scene.turn();
        scene.reply(answer);
        if answer.contains("max number") {
            scene.wire.0.borrow_mut().is_over = true;
        }
        scene.turn();
        assert_eq!(scene.link.refusal(), None, "{answer:?}");
        let pause = scene.pass_pause();
        assert!(pause <= PAUSE_FIRST && pause >= PAUSE_FIRST / 2, "{answer:?}: {pause:?}");
    }
}

#[test]
fn each_state_ends_at_its_deadline() {
    // Nothing can be written.
    let mut scene = Scene::new();
    scene.connect();
    scene.wire.0.borrow_mut().takes = false;
    scene.turn();
    assert_eq!(scene.link.next_wake(), Wake::At(scene.now + CONNECT_TIME));
    scene.now += CONNECT_TIME;
    scene.turn();
    scene.pass_pause();
    // The greeting has no answer, or half of one.
    for answer in ["", "+OK\r\n*3\r\n$6\r\nmas"] {
        scene.connect();
        scene.turn();
        scene.reply(answer);
        scene.turn();
        assert_eq!(scene.link.next_wake(), Wake::At(scene.now + GREETING_TIME));
        scene.now += GREETING_TIME;
        scene.turn();
        scene.pass_pause();
    }
    // A command has no answer, or half of one.
    for answer in ["", "*3\r\n:1\r\n"] {
        scene.connect();
        scene.come_up();
        scene.send(&[b"PING"]);
        scene.reply(answer);
        scene.turn();
        assert_eq!(scene.link.next_wake(), Wake::At(scene.now + SOON));
        scene.now += SOON;
        scene.turn();
        scene.pass_pause();
    }
}

#[test]
fn a_reply_that_came_while_the_process_stood_still_counts() {
    let mut scene = Scene::up();
    scene.send(&[b"PING"]);
    scene.turn();
    // Without an event.
    scene.wire.0.borrow_mut().to_link.extend(b"+PONG\r\n");
    scene.now += 60 * SOON;
    assert_eq!(scene.link.next_reply(scene.now), Some(Reply::Simple("PONG".to_owned())));
    assert!(scene.link.is_up());
    // So do the answers to the greeting.
    let mut scene = Scene::new();
    scene.connect();
    scene.turn();
    scene.wire.0.borrow_mut().to_link.extend(format!("+OK\r\n{MASTER}").as_bytes());
    scene.now += 60 * SOON;
    scene.turn();
    assert!(scene.link.is_up());
}

#[test]
fn replies_belong_to_commands_in_their_order_and_die_with_their_connection() {
    let mut scene = Scene::up();
    scene.link.send(&[b"XREAD"], 15 * SOON, scene.now);
    scene.link.send(&[b"PING"], SOON, scene.now);
    scene.link.flush(scene.now);
    assert_eq!(scene.said(), "*1\r\n$5\r\nXREAD\r\n*1\r\n$4\r\nPING\r\n");
    assert_eq!((scene.link.due.len(), scene.link.next_wake()), (2, Wake::At(scene.now + 15 * SOON)));
    scene.reply("*-1\r\n+PO");
    assert_eq!(scene.link.next_reply(scene.now), Some(Reply::Array(None)));
    assert_eq!(scene.link.next_reply(scene.now), None);
    assert_eq!((scene.link.due.len(), scene.link.next_wake()), (1, Wake::At(scene.now + 15 * SOON)));
    scene.wire.0.borrow_mut().is_over = true;
    scene.link.on_ready(READY);
    scene.turn();
    scene.pass_pause();
    scene.send(&[b"PING"]);
    assert_eq!(scene.link.due.len(), 0, "a link that is not up takes nothing");
    scene.connect();
    scene.come_up();
    scene.send(&[b"ROLE"]);
    scene.reply("+PONG\r\n");
    assert_eq!(scene.link.next_reply(scene.now), Some(Reply::Simple("PONG".to_owned())));
    assert_eq!(scene.link.connects(), 2);
}

#[test]
fn replies_are_returned_before_the_end_behind_them() {
    let mut scene = Scene::up();
    scene.send(&[b"PING"]);
    scene.reply("+PONG\r\n");
    scene.wire.0.borrow_mut().is_over = true;
    assert_eq!(scene.link.next_reply(scene.now), Some(Reply::Simple("PONG".to_owned())));
    scene.turn();
    scene.pass_pause();
}

#[test]
fn a_reply_without_a_command_ends_the_connection() {
    let mut scene = Scene::up();
    scene.reply("+PONG\r\n");
    scene.turn();
    scene.pass_pause();
}

#[test]
fn errors_for_later_are_returned_and_all_others_end_the_connection() {
    for (words, is_returned, is_refusal) in [
        ("OOM command not allowed", true, false),
        ("MISCONF Errors writing to the AOF file", true, false),
        ("NOREPLICAS Not enough good replicas to write.", true, false),
        ("ERR no such key", true, false),
        ("READONLY You can't write against a read only replica.", false, false),
        ("UNBLOCKED force unblock", false, false),
        ("LOADING Redis is loading", false, false),
        ("NOPERM this user has no permissions", false, true),
        ("WRONGTYPE Operation against a key", false, true),
        ("MOVED 1 127.0.0.1:7000", false, true),
    ] {
        let mut scene = Scene::up();
        scene.send(&[b"XADD"]);
        scene.reply(&format!("-{words}\r\n"));
        let reply = scene.link.next_reply(scene.now);
        assert_eq!(reply, is_returned.then(|| Reply::Error(words.to_owned())), "{words}");
        assert_eq!(scene.link.is_up(), is_returned, "{words}");
        assert_eq!(scene.link.refusal(), is_refusal.then_some(words));
    }
}

#[test]
fn pauses_double_up_to_five_seconds_and_start_again_after_a_good_connection() {
    let mut scene = Scene::new();
    let refuse = |scene: &mut Scene| {
        scene.link.connected(Err(io::ErrorKind::ConnectionRefused.into()), scene.now);
        scene.pass_pause()
    };
    let pauses: Vec<Duration> = (0..8).map(|_| refuse(&mut scene)).collect();
    for (pause, nominal_ms) in pauses.iter().zip([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]) {
        let nominal = Duration::from_millis(nominal_ms);
        assert!(*pause <= nominal && *pause >= nominal / 2, "{pauses:?}");
    }
    // One that fails at once is not good.
    scene.connect();
    scene.come_up();
    scene.link.fail("a test", scene.now);
    assert!(scene.pass_pause() >= PAUSE_MAX / 2);
    scene.connect();
    scene.come_up();
    scene.now += GOOD_AFTER;
    scene.link.fail("a test", scene.now);
    assert!(scene.pass_pause() <= PAUSE_FIRST);
}

#[test]
fn pauses_of_two_links_differ() {
    let pauses = [1, 2].map(|seed| {
        let mut scene = Scene::new();
        scene.link = Link::new(Rc::clone(&scene.link.settings), seed);
        scene.link.connected(Err(io::ErrorKind::ConnectionRefused.into()), scene.now);
        scene.pass_pause()
    });
    assert_ne!(pauses[0], pauses[1]);
}

#[test]
fn a_connect_that_fails_later_is_followed_by_another() {
    let mut scene = Scene::new();
    scene.connect();
    scene.wire.0.borrow_mut().takes = false;
    scene.turn();
    scene.wire.0.borrow_mut().error = Some(io::ErrorKind::ConnectionRefused);
    scene.link.on_ready(READY);
    scene.turn();
    scene.pass_pause();
    scene.connect();
    scene.come_up();
}

#[test]
fn a_reply_that_never_ends_fails_within_its_bound() {
    let mut scene = Scene::up();
    scene.send(&[b"XREAD"]);
    scene.reply("*1000000000\r\n");
    for _ in 0..100_000 {
        if !scene.link.is_up() {
            break;
        }
        scene.reply(&":1\r\n".repeat(1_000));
        scene.turn();
    }
    scene.pass_pause();
    assert!(!scene.link.parser.is_within_reply());
}

#[test]
fn a_write_that_blocks_goes_on_with_the_next_event() {
    let mut scene = Scene::up();
    scene.wire.0.borrow_mut().takes = false;
    scene.send(&[b"PING"]);
    assert_eq!(scene.said(), "");
    assert_eq!(scene.link.next_wake(), Wake::At(scene.now + SOON), "no event, no turn");
    scene.wire.0.borrow_mut().takes = true;
    scene.link.flush(scene.now);
    assert_eq!(scene.said(), "");
    scene.link.on_ready(READY);
    assert_eq!(scene.link.next_wake(), Wake::Now);
    scene.link.flush(scene.now);
    assert_eq!(scene.said(), "*1\r\n$4\r\nPING\r\n");
}

#[test]
fn a_link_that_waits_reads_nothing_without_an_event() {
    let mut scene = Scene::up();
    scene.send(&[b"XREAD"]);
    let reads = scene.wire.0.borrow().reads;
    for _ in 0..10 {
        scene.turn();
    }
    assert!(scene.wire.0.borrow().reads <= reads + 1);
}
