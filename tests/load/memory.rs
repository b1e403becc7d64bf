//! Memory at its limits: a real server is driven to each of them by a hundred peers, and what it takes then, in its own
//! memory and in the kernel's, is within the bounds that the limits add up to. And the manual's table is that of the
//! bounds.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, TcpStream};
use std::process::Command;
use std::sync::RwLockReadGuard;
use std::time::Duration;

use pollchat::server::bus::address::BusAddress;
use pollchat::server::certificate::TlsFiles;
use pollchat::server::config::{BusConfig, Config, TlsConfig};
use pollchat::server::limits::{BACKLOG_BYTES, PRIVATE_BYTES_MAX, RECEIVE_BUFFER_BYTES, SCRATCH_BYTES};
use pollchat::server::memory::{Bounds, PageBounds, TlsBounds};
use pollchat::server::proxy::HEADER_BYTES_MAX;
use pollchat::server::web::exchange::HEAD_BYTES_MAX;
use pollchat::server::web::site::ANSWER_BYTES_MAX;
use pollchat::server::web::websocket::MESSAGE_BYTES_MAX;
use socket2::SockRef;

use crate::support::http::{WebServer, Wire, handshake};
use crate::support::ws::Frame;
use crate::support::ws_client::Browser;
use crate::support::{
    Client, Lines, Member, Server, converse, crowd, eventually, raise_descriptor_limit, say_numbered,
};

/// So many are driven to a limit together.
const PEERS: usize = 100;

/// What the allocator may keep, for all of them together.
const SLACK_BYTES: usize = 512 * 1024;

/// So much larger is the code of a debug build than that of a release build, which the bounds are of: 11 MB of it were
/// resident, and 5 MB.
const DEBUG_CODE_BYTES: usize = if cfg!(debug_assertions) { 8 * 1024 * 1024 } else { 0 };

fn bounds() -> Bounds {
    Bounds::of(&Config::default())
}

/// Those of a server that has a page.
fn bounds_with_page() -> (Bounds, PageBounds) {
    let bounds = Bounds::of(&Config { web: vec!["127.0.0.1:0".parse().expect("an address")], ..Config::default() });
    (bounds, bounds.page.expect("there is a page"))
}

/// Those of a server that speaks TLS, on top.
fn bounds_of_tls() -> TlsBounds {
    let files = TlsFiles { certificate: "cert.pem".into(), key: "key.pem".into() };
    let tls = TlsConfig { lines: vec!["127.0.0.1:0".parse().expect("an address")], web: Vec::new(), files };
    Bounds::of(&Config { tls: Some(tls), ..Config::default() }).tls.expect("a port speaks TLS")
}

/// A server, a healthy pair, and those who are to be driven to a limit: their own kernel takes little for them.
struct Siege<P = Client> {
    _share: RwLockReadGuard<'static, ()>,
    server: WebServer,
    a: Client,
    b: Client,
    peers: Vec<P>,
    before: u64,
}

impl Siege {
    fn begin(flags: &[&str]) -> Siege {
        Siege::of(&[], flags, |server| server.join_narrow())
    }
}

impl Siege<Browser> {
    fn of_browsers() -> Siege<Browser> {
        Siege::of(&["127.0.0.1:0"], &[], WebServer::browser_narrow)
    }
}

impl Siege<Wire> {
    /// Visitors have little time: they come when all else is ready.
    fn of_visitors() -> Siege<Wire> {
        let mut siege = Siege::of(&["127.0.0.1:0"], &[], WebServer::browser);
        siege.peers.drain(..).for_each(|browser| browser.close(None));
        let peers = (0..PEERS).map(|_| Wire::connect_narrow(siege.server.page())).collect();
        let before = siege.server.resident_bytes();
        Siege { _share: siege._share, server: siege.server, a: siege.a, b: siege.b, peers, before }
    }
}

impl<P> Siege<P> {
    fn of(pages: &[&str], flags: &[&str], join: impl Fn(&WebServer) -> P) -> Siege<P> {
        raise_descriptor_limit();
        let share = crate::share_machine();
        let start = Server::builder().flags(["--announce-up-to", "0", "--log-level", "off"]).flags(flags);
        let server = WebServer::go_at(start, pages);
        let [mut a, mut b] = server.join_many();
        // The tape is warm, and so are the buffers that all share.
        say_numbered(&mut a, &mut b, 0, 2_000);
        let peers = (0..PEERS).map(|_| join(&server)).collect();
        let before = server.resident_bytes();
        Siege { _share: share, server, a, b, peers, before }
    }

    /// Fills what the kernel holds for the peers, so that they are stuck.
    fn fill_kernel(&mut self) {
        say_numbered(&mut self.a, &mut self.b, 0, 2_000);
        self.before = self.server.resident_bytes();
    }

    /// What one of them takes now in the server's memory; in the kernel's it is within bounds, too.
    #[track_caller]
    fn bytes_each(&mut self) -> usize {
        self.wait_for_rest();
        self.bytes_grown() / PEERS
    }

    /// Waits until the server has read all that it reads of them for now. Pings of idle browsers are no rest.
    #[track_caller]
    fn wait_for_rest(&self) {
        let (mut used, mut rests) = (0, 0);
        eventually("all that will be heard is heard", || {
            let now = self.server.cpu_nanoseconds();
            // One who waits for a processor does not rest.
            rests = if now == used && self.server.is_asleep() { rests + 1 } else { 0 };
            used = now;
            rests == 20
        });
    }

    /// How many bytes the server's memory has grown since [`before`](Self::before), once it has read what came till now.
    #[track_caller]
    fn bytes_grown(&mut self) -> usize {
        converse(&mut self.a, &mut self.b, 2);
        let grown = self.server.resident_bytes().saturating_sub(self.before);
        if let Some(sent) = kernel_bytes(&self.server).into_iter().map(|(sent, _)| sent).max() {
            assert!(sent <= bounds().send_buffer, "the kernel holds {sent} bytes for one");
        }
        usize::try_from(grown).expect("less than all memory")
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
fn kernel_bytes(server: &WebServer) -> Vec<(usize, usize)> {
    let ports = server.addresses().iter().chain(server.pages()).map(|address| format!("sport = :{}", address.port()));
    let ports = ports.collect::<Vec<_>>().join(" or ");
    let Ok(output) = Command::new("ss").args(["-tmnH", &ports]).output() else {
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

/// Sends as much of it as is taken within a moment; tells how much that was.
fn push(mut stream: &TcpStream, bytes: &[u8]) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(20))).expect("connected");
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("the server ended it: {error}"),
        }
    }
    sent
}

/// The same, in as large pieces as may be.
fn push_at_once(stream: &TcpStream, bytes: &[u8]) -> usize {
    SockRef::from(stream).set_send_buffer_size(bytes.len()).expect("a large buffer");
    push(stream, bytes)
}

#[test]
fn who_is_idle_takes_no_more_than_a_connection() {
    let mut siege = Siege::begin(&[]);
    let idlers: Vec<_> = (0..crowd(10_000))
        .map(|_| {
            let mut idler = siege.server.connect();
            idler.send("\n");
            // Little at a time: the test has no buffer for each.
            while !idler.received_line().is_some_and(|line| line.starts_with("* you are")) {
                assert!(idler.read_some(128).expect("a greeting") > 0);
            }
            idler
        })
        .collect();
    let each = siege.bytes_grown() / idlers.len();
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
    for peer in &siege.peers {
        push(peer.stream(), &b"/who\n".repeat(400_000 / 5));
    }
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
    assert!(resident <= bounds().all(PEERS, 0) + DEBUG_CODE_BYTES, "{resident} bytes in all");
    assert!(resident <= bounds().shared + DEBUG_CODE_BYTES, "{resident} bytes, and nobody holds anything");
}

#[test]
fn what_is_not_read_of_one_waits_in_the_kernels_buffer_and_that_does_not_grow() {
    let siege = Siege::begin(&[]);
    let (hasty, others) = siege.peers.split_at(4);
    // A buffer that may grow does so for those who were read fast.
    hasty.iter().for_each(|peer| peer.stream().write_all(&vec![b'x'; 64 * 1024 * 1024]).expect("it is read"));
    for peer in hasty {
        push(peer.stream(), b"\n");
    }
    for peer in hasty.iter().chain(others) {
        push(peer.stream(), &b"/help\n".repeat(4_000_000 / 6));
    }
    let held = kernel_bytes(&siege.server).into_iter().map(|(_, received)| received).max();
    if let Some(received) = held {
        assert!(received <= bounds().receive_buffer, "the kernel holds {received} bytes of one");
        assert!(received >= RECEIVE_BUFFER_BYTES, "{received} bytes: the limit was not reached");
    }
}

#[test]
fn an_idle_browser_takes_what_is_stated() {
    let mut siege = Siege::of_browsers();
    let opening = handshake(siege.server.page(), &[]);
    let idlers: Vec<_> = (0..crowd(5_000))
        .map(|_| {
            let mut stream = siege.server.visit().into_stream();
            // With its first line it enters at once.
            stream.write_all(&[&opening[..], &Frame::text("\n").encode()].concat()).expect("it is taken");
            let mut received = String::new();
            // Little at a time: the test has no buffer for each.
            while !received.contains("what you can do") {
                let mut buffer = [0; 128];
                let count = crate::support::read(&mut stream, &mut buffer).expect("an answer and a greeting");
                assert!(count > 0, "{received}");
                received.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            // It has shown that it is there, and is idle again.
            stream.write_all(&Frame::pong([]).encode()).expect("it is taken");
            stream
        })
        .collect();
    let each = siege.bytes_grown() / idlers.len();
    let (_, page) = bounds_with_page();
    assert!(each <= page.idle + SLACK_BYTES / idlers.len(), "{each} bytes each");
}

#[test]
fn a_message_that_does_not_end_takes_no_more_than_the_longest_and_a_frame() {
    let mut siege = Siege::of_browsers();
    let long = "x".repeat(MESSAGE_BYTES_MAX - 1);
    let next = Frame::continuation(long.as_str()).encode();
    for peer in &mut siege.peers {
        peer.send(&Frame::text(long.as_str()).unfinished());
        peer.wire.send(&next[..next.len() - 1]);
    }
    let (_, page) = bounds_with_page();
    siege.expect_within(2 * long.len() - MESSAGE_BYTES_MAX / 8, page.message);
}

#[test]
fn lines_of_a_browser_that_must_wait_are_a_buffer_full_and_a_message_at_most() {
    let mut siege = Siege::of_browsers();
    siege.fill_kernel();
    let message = Frame::text("/who\n".repeat(MESSAGE_BYTES_MAX / 5)).encode();
    let (begun, end) = message.split_at(message.len() - 1);
    siege.peers.iter_mut().for_each(|peer| peer.wire.send(begun));
    let begun_each = siege.bytes_each();
    assert!(begun_each >= MESSAGE_BYTES_MAX / 2, "{begun_each} bytes each");
    // One after another, so that each has the longest read to itself.
    for peer in &siege.peers {
        push_at_once(peer.wire.stream(), &[end, &message].concat());
    }
    let (_, page) = bounds_with_page();
    siege.expect_within(PRIVATE_BYTES_MAX + MESSAGE_BYTES_MAX + SCRATCH_BYTES / 2, page.private + page.parked);
}

#[test]
fn a_browser_that_pings_and_takes_no_answer_is_not_read_beyond_a_bound() {
    let mut siege = Siege::of_browsers();
    // More than the kernels take, in reads that are as long as may be.
    let ping = Frame::ping([b'x'; 125]).encode();
    let (pings, mut sent) = (ping.repeat(6_000), [0; PEERS]);
    eventually("so much is kept that no more is read", || {
        for (peer, sent) in siege.peers.iter().zip(&mut sent) {
            *sent += push_at_once(peer.wire.stream(), &pings[*sent % ping.len()..]);
        }
        siege.bytes_each() >= PRIVATE_BYTES_MAX
    });
    let (_, page) = bounds_with_page();
    siege.expect_within(PRIVATE_BYTES_MAX, page.private);
}

#[test]
fn a_request_that_does_not_end_takes_no_more_than_the_longest() {
    let mut siege = Siege::of_visitors();
    let begun = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
    // Piece by piece, all of them: what each has grows between what the others have.
    for piece in begun.as_bytes()[..HEAD_BYTES_MAX - 1].chunks(1_000) {
        siege.peers.iter_mut().for_each(|peer| peer.send(piece));
        converse(&mut siege.a, &mut siege.b, 1);
    }
    let (_, page) = bounds_with_page();
    siege.expect_within(HEAD_BYTES_MAX * 3 / 4, page.request);
}

#[test]
fn a_proxy_header_that_does_not_end_is_bounded_and_over_in_time() {
    let (flags, proxy) = (["--proxy-from", "127.0.0.3"], IpAddr::from([127, 0, 0, 3]));
    let mut siege = Siege::of(&[], &flags, |server| Client::connect_from(proxy, server.address()));
    // One byte less than it says of itself.
    let begun = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x02\x08"[..], &[7; HEADER_BYTES_MAX - 17]].concat();
    siege.peers.iter_mut().for_each(|peer| peer.send(&begun));
    siege.expect_within(0, 2 * HEADER_BYTES_MAX);
    for peer in &mut siege.peers {
        peer.expect("* this port expects the PROXY protocol from you: goodbye");
        peer.expect_farewell();
    }
    assert_eq!(siege.a.who().last().map(String::as_str), Some("* 2 here"), "none of them has entered");
}

#[test]
fn a_visitor_that_takes_no_answers_is_not_read_beyond_a_bound() {
    let mut siege = Siege::of_visitors();
    let request = format!("GET / HTTP/1.1\r\n{}\r\n\r\n", siege.server.host_field());
    // More than the kernels take for it.
    siege.peers.iter_mut().for_each(|peer| peer.send(request.repeat(50)));
    let (_, page) = bounds_with_page();
    siege.expect_within(ANSWER_BYTES_MAX / 2, page.request + page.answers);
}

/// The rows of the manual's table, from the bounds.
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

/// The rows of the manual's other table, of a server with a page.
fn table_with_page(bounds: Bounds, page: PageBounds) -> String {
    let kib = |bytes: usize| format!("{} KiB", bytes.div_ceil(1024));
    let rows = [
        ("nothing: it has read all, and says nothing", "", format!("{} B", page.idle)),
        ("a message without its end, and a frame of it", "thrice `MESSAGE_BYTES_MAX`", kib(page.message)),
        ("lines that were read and wait to be heard", "`SCRATCH_BYTES`, `MESSAGE_BYTES_MAX`", kib(page.parked)),
        (
            "what it is told in private and does not take, its pings answered",
            "twice `PRIVATE_BYTES_MAX` and `SCRATCH_BYTES`",
            kib(page.private),
        ),
        ("**all of that at once, with what else any client can**", "", format!("**{}**", kib(bounds.client()))),
        ("a visitor: a request without its end", "`HEAD_BYTES_MAX`", kib(page.request)),
        ("a visitor: the answer that it does not take", "`ANSWER_BYTES_MAX`", kib(page.answers)),
        ("**a visitor: all of that at once**", "", format!("**{}**", kib(bounds.visitor()))),
    ];
    rows.map(|(what, limit, bytes)| format!("| {what} | {limit} | {bytes} |\n")).concat()
}

/// The rows of the manual's table of TLS.
fn table_of_tls(tls: TlsBounds) -> String {
    let kib = |bytes: usize| format!("{} KiB", bytes.div_ceil(1024));
    let rows = [
        ("nothing: its session is idle", "", kib(tls.session)),
        ("a record without its end", "`RECORD_BYTES_MAX`", kib(tls.partial)),
        ("text that was decrypted and waits to be read", "twice `RECORD_TEXT_BYTES`", kib(tls.opened)),
        ("a record, or certificates, that it does not take", "`FILE_BYTES_MAX`", kib(tls.unsent)),
        ("**all of that at once**", "", format!("**{}**", kib(tls.all()))),
    ];
    rows.map(|(what, limit, bytes)| format!("| {what} | {limit} | {bytes} |\n")).concat()
}

#[test]
fn the_manuals_tables_are_those_of_the_limits() {
    let manual = concat!(include_str!("../../src/manual/memory.md"), include_str!("../../src/manual/operating.md"));
    let sentences = manual.split_whitespace().collect::<Vec<_>>().join(" ");
    let (with_page, page) = bounds_with_page();
    let bounds = bounds();
    let tls = bounds_of_tls();
    for table in [table(bounds), table_with_page(with_page, page), table_of_tls(tls)] {
        assert!(manual.contains(&table), "the manual does not hold these rows:\n{table}");
    }
    let kib = |bytes: usize| bytes.div_ceil(1024);
    let of_room = format!("| 99/64 × `--room-backlog` | {} KiB |", kib(bounds.room) - 1);
    assert!(manual.contains(&of_room), "the manual does not hold {of_room}");
    let operators = Bounds::of(&Config { control: Some("/control".into()), ..Config::default() }).operators;
    let of_operators = format!("| `--control` | at most {} MiB for 16 operators", operators.div_ceil(1 << 20));
    assert!(manual.contains(&of_operators), "the manual does not hold {of_operators}");
    let bus = BusConfig { address: BusAddress::parse("redis://127.0.0.1").expect("an address"), keep_bytes: 0 };
    let with_bus = Bounds::of(&Config { bus: Some(bus), ..Config::default() });
    let (all, room) = ((with_bus.shared - bounds.shared).div_ceil(1 << 20), kib(with_bus.room - bounds.room));
    let of_bus =
        format!("| `--bus` | at most {all} MiB, 275 of them for 100,000 members of other servers, and {room} KiB for");
    assert!(manual.contains(&of_bus), "the manual does not hold {of_bus}");
    let of_bus = format!("a bus {all} MiB and {room} KiB more for each room");
    assert!(sentences.contains(&of_bus), "the manual does not hold {of_bus}");
    let more = format!("N × {} KiB and V × {} KiB", kib(with_page.client()), kib(with_page.visitor()));
    assert!(sentences.contains(&more), "the manual does not hold {more:?}");
    let with_tls = format!("With TLS each connection may take {} KiB more", kib(tls.all()));
    assert!(sentences.contains(&with_tls), "the manual does not hold {with_tls:?}");
    let formula = format!(
        "{} MiB + 99/64 × `--backlog` + R × {} KiB + N × {} KiB",
        (bounds.shared - BACKLOG_BYTES * 99 / 64) >> 20,
        bounds.room.div_ceil(1024),
        bounds.client().div_ceil(1024)
    );
    assert!(sentences.contains(&formula), "the manual does not hold {formula:?}");
    for clients in [100, 1_000] {
        let example = format!("{} MiB for `--max-clients {clients}`", bounds.all(clients, 0).div_ceil(1 << 20));
        assert!(sentences.contains(&example), "the manual does not hold {example:?}");
    }
}
