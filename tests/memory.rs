//! Memory at its limits: a real server is driven to each of them by a hundred peers, and what it takes then, in its own
//! memory and in the kernel's, is within the bounds that the limits add up to. And the README's table is that of the bounds.

mod support;

use std::io::{ErrorKind, Write};
use std::process::Command;
use std::time::Duration;

use pollchat::server::bounds::Bounds;
use pollchat::server::config::{BACKLOG_BYTES, Config, PRIVATE_BYTES_MAX, RECEIVE_BUFFER_BYTES, SCRATCH_BYTES};
use support::{Client, Server, converse, crowd, eventually, raise_descriptor_limit, say_numbered};

/// So many are driven to a limit together.
const PEERS: usize = 100;

/// What the allocator may keep, and a counter of the kernel's may be off by, for all of them together.
const SLACK_BYTES: usize = 512 * 1024;

fn bounds() -> Bounds {
    Bounds::of(&Config::default())
}

/// A server, a healthy pair, and those who are to be driven to a limit: their own kernel takes little for them.
struct Siege {
    server: Server,
    a: Client,
    b: Client,
    peers: Vec<Client>,
    before: u64,
}

impl Siege {
    fn begin(flags: &[&str]) -> Siege {
        raise_descriptor_limit();
        let server = Server::builder().flags(["--announce-up-to", "0", "--log-level", "off"]).flags(flags).go();
        let [mut a, mut b] = server.join_many();
        // The tape is warm, and so are the buffers that all share.
        say_numbered(&mut a, &mut b, 0, 2_000);
        let peers = (0..PEERS).map(|_| server.join_narrow()).collect();
        let before = server.resident_bytes();
        Siege { server, a, b, peers, before }
    }

    /// Fills what the kernel holds for the peers, so that they are stuck.
    fn fill_kernel(&mut self) {
        say_numbered(&mut self.a, &mut self.b, 0, 2_000);
        self.before = self.server.resident_bytes();
    }

    /// What one of them takes now in the server's memory; in the kernel's it is within bounds, too.
    #[track_caller]
    fn bytes_each(&mut self) -> usize {
        converse(&mut self.a, &mut self.b, 2);
        let (mut used, mut rests) = (0, 0);
        eventually("all that will be heard is heard", || {
            let now = self.server.cpu_nanoseconds();
            rests = if now == used { rests + 1 } else { 0 };
            used = now;
            rests == 20
        });
        let grown = self.server.resident_bytes().saturating_sub(self.before);
        if let Some(sent) = kernel_bytes(&self.server).into_iter().map(|(sent, _)| sent).max() {
            assert!(sent <= bounds().send_buffer, "the kernel holds {sent} bytes for one");
        }
        usize::try_from(grown).expect("less than all memory") / PEERS
    }

    /// Checks that it is within a bound, and that it got so far that the bound means something.
    #[track_caller]
    fn expect_within(&mut self, least: usize, bound: usize) {
        let each = self.bytes_each();
        assert!(each <= bounds().bookkeeping + bound + SLACK_BYTES / PEERS, "{each} bytes each, of at most {bound}");
        assert!(each >= least, "{each} bytes each, of {bound}: the limit was not reached");
    }
}

/// What the kernel holds of each of the server's connections, sent and received, in bytes of its own memory. It is left
/// out where there is no `ss` to ask.
fn kernel_bytes(server: &Server) -> Vec<(usize, usize)> {
    let port = format!(":{}", server.address().port());
    let Ok(output) = Command::new("ss").args(["-tmnH", "sport", "=", &port]).output() else {
        eprintln!("there is no ss (iproute2): what the kernel holds is not looked at");
        return Vec::new();
    };
    let text = String::from_utf8(output.stdout).expect("plain text");
    let field = |of: &str, name: &str| -> Option<usize> {
        of.split(',').find_map(|field| field.strip_prefix(name)?.trim_end_matches(')').parse().ok())
    };
    let sockets = text.split("skmem:(").skip(1).map(|of| of.split(')').next().unwrap_or_default());
    let sockets: Vec<_> = sockets.filter_map(|of| field(of, "w").zip(field(of, "r"))).collect();
    assert!(!sockets.is_empty(), "ss tells of no socket: {text}");
    sockets
}

/// Sends as much of it as is taken within a moment.
fn push(client: &Client, bytes: &[u8]) {
    let mut stream = client.stream();
    stream.set_write_timeout(Some(Duration::from_millis(20))).expect("connected");
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
            Err(error) => panic!("the server ended it: {error}"),
        }
    }
}

#[test]
fn who_is_idle_takes_no_more_than_a_connection() {
    let mut siege = Siege::begin(&[]);
    let idlers: Vec<_> = (0..crowd(10_000))
        .map(|_| {
            let mut idler = siege.server.connect();
            // Little at a time: the test has no buffer for each.
            while !idler.received_line().is_some_and(|line| line.starts_with("* you are")) {
                assert!(idler.read_some(128).expect("a greeting") > 0);
            }
            idler
        })
        .collect();
    let each = siege.bytes_each() * PEERS / idlers.len();
    assert!(each <= bounds().idle + SLACK_BYTES / idlers.len(), "{each} bytes each");
}

#[test]
fn a_line_without_its_end_takes_no_more_than_the_longest() {
    let mut siege = Siege::begin(&[]);
    let longest = Config::default().line_bytes_max;
    for _ in 0..16 {
        siege.peers.iter_mut().for_each(|peer| peer.send("x".repeat(longest / 16)));
    }
    siege.expect_within(longest, bounds().fragment);
}

#[test]
fn who_provokes_replies_and_takes_none_is_not_read_beyond_a_bound() {
    let mut siege = Siege::begin(&[]);
    // Few questions and long answers, so that it is the answers that are kept.
    siege.peers.iter_mut().for_each(|peer| peer.send("/who\n".repeat(300)));
    siege.expect_within(PRIVATE_BYTES_MAX, bounds().private);
}

#[test]
fn what_was_read_of_one_and_must_wait_is_a_buffer_full_at_most() {
    let mut siege = Siege::begin(&[]);
    // One after another, so that each has the longest read to itself.
    siege.peers.iter().for_each(|peer| push(peer, &b"/who\n".repeat(400_000 / 5)));
    siege.expect_within(PRIVATE_BYTES_MAX + SCRATCH_BYTES / 2, bounds().private + bounds().parked);
}

#[test]
fn others_can_fill_only_a_part_of_what_one_may_be_told() {
    let mut siege = Siege::begin(&[]);
    siege.fill_kernel();
    let text = "x".repeat(4_000);
    let Siege { b, peers, .. } = &mut siege;
    for name in peers.iter().map(Client::name) {
        loop {
            b.send_line(format!("/msg {name} {text}"));
            if b.line() == format!("* {name} is not reading: not told") {
                break;
            }
        }
    }
    siege.expect_within(bounds().private_of_others - 2 * text.len(), bounds().private_of_others);
}

#[test]
fn who_talks_and_never_reads_has_so_many_own_lines_ahead_and_no_more() {
    let mut siege = Siege::begin(&[]);
    siege.fill_kernel();
    // Each says a line in turn, so that no two of one are neighbours; and more of them than are kept.
    for _ in 0..2_500 {
        let Siege { a, b, peers, .. } = &mut siege;
        peers.iter_mut().for_each(|peer| peer.send("x\n"));
        for listener in [a, b] {
            (0..PEERS).for_each(|_| drop(listener.line()));
        }
    }
    // What was said is on the tape, once for all.
    let said = 2_500 * "client-123> x\n".len();
    siege.expect_within(bounds().holes / 2, bounds().holes + said);
}

#[test]
fn who_leaves_and_takes_nothing_keeps_a_place_and_no_copy() {
    let mut siege = Siege::begin(&[]);
    siege.fill_kernel();
    siege.peers.iter_mut().for_each(|peer| peer.send_line("FIN"));
    eventually("they are leaving", || siege.b.present() == 2);
    // The rest of one line each, in which the kernel would take no more.
    siege.expect_within(0, Config::default().longest_line_bytes());
}

#[test]
fn the_tape_takes_what_it_was_given() {
    let mut siege = Siege::begin(&["--backlog", "8M"]);
    say_numbered(&mut siege.a, &mut siege.b, 0, 60_000);
    let grown = siege.bytes_each() * PEERS;
    assert!(grown >= BACKLOG_BYTES / 2, "{grown} bytes: the tape is not full");
    let resident = usize::try_from(siege.server.resident_bytes()).expect("less than all memory");
    assert!(resident <= bounds().all(PEERS), "{resident} bytes in all");
    assert!(resident <= bounds().shared, "{resident} bytes, and nobody holds anything");
}

#[test]
fn what_is_not_read_of_one_waits_in_the_kernels_buffer_and_that_does_not_grow() {
    let siege = Siege::begin(&[]);
    let (hasty, others) = siege.peers.split_at(4);
    // A buffer that may grow does so for those who were read fast.
    hasty.iter().for_each(|peer| peer.stream().write_all(&vec![b'x'; 64 * 1024 * 1024]).expect("it is read"));
    hasty.iter().for_each(|peer| push(peer, b"\n"));
    for peer in hasty.iter().chain(others) {
        push(peer, &b"/help\n".repeat(4_000_000 / 6));
    }
    let held = kernel_bytes(&siege.server).into_iter().map(|(_, received)| received).max();
    if let Some(received) = held {
        assert!(received <= bounds().receive_buffer, "the kernel holds {received} bytes of one");
        assert!(received >= RECEIVE_BUFFER_BYTES, "{received} bytes: the limit was not reached");
    }
}

/// The rows of the README's table, from the bounds.
fn table(bounds: Bounds) -> String {
    let kib = |bytes: usize| format!("{} KiB", bytes.div_ceil(1024));
    let rows = [
        ("nothing: it has read all, and says nothing", "", format!("{} B", bounds.idle)),
        ("that something is going on, and a chosen name", "", kib(bounds.bookkeeping)),
        ("a line without its end", "twice `--max-line`", kib(bounds.fragment)),
        ("input that was read and waits to be heard", "`SCRATCH_BYTES`", kib(bounds.parked)),
        ("what it is told in private and does not take", "twice `PRIVATE_BYTES_MAX` and a reply", kib(bounds.private)),
        ("of this, by others' messages", "half of `PRIVATE_BYTES_MAX`", kib(bounds.private_of_others)),
        ("own lines ahead of it, to be passed over", "`HOLES_MAX`", kib(bounds.holes)),
        ("**all of that at once**", "", format!("**{}**", kib(bounds.client()))),
        ("in the kernel: what it does not take", "twice `SEND_BUFFER_BYTES`, a segment", kib(bounds.send_buffer)),
        (
            "in the kernel: what is not read of it",
            "twice `RECEIVE_BUFFER_BYTES`, a segment",
            kib(bounds.receive_buffer),
        ),
    ];
    rows.map(|(what, limit, bytes)| format!("| {what} | {limit} | {bytes} |\n")).concat()
}

#[test]
fn the_readmes_table_is_that_of_the_limits() {
    let readme = include_str!("../README.md");
    let bounds = bounds();
    let table = table(bounds);
    assert!(readme.contains(&table), "the README does not hold these rows:\n{table}");
    let formula = format!(
        "{} MiB + 129/128 × `--backlog` + N × {} KiB",
        (bounds.shared - BACKLOG_BYTES - BACKLOG_BYTES / 128) >> 20,
        bounds.client().div_ceil(1024)
    );
    assert!(readme.contains(&formula), "the README does not hold {formula:?}");
    for clients in [100, 1_000] {
        let example = format!("{} MiB for `--max-clients {clients}`", bounds.all(clients).div_ceil(1 << 20));
        assert!(readme.contains(&example), "the README does not hold {example:?}");
    }
}
