//! The pure parts on their own, in bytes a second: finding lines, cleaning them, putting them on the tape, and finding
//! out what a reader is owed; and turns of the hub over sockets that cost nothing.

use std::cell::Cell;
use std::hint::black_box;
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pollchat::net::stream::Socket;
use pollchat::relay::cursor::{Cursor, Dialect, Slices};
use pollchat::relay::directory::RoomId;
use pollchat::relay::line::{Framing, LineDecoder, LineEnds, Overlong};
use pollchat::relay::name::Name;
use pollchat::relay::names::{Names, NewToken};
use pollchat::relay::room::Room;
use pollchat::relay::roster::Roster;
use pollchat::relay::sanitize::sanitize;
use pollchat::relay::tape::Tape;
use pollchat::server::bans::file::BansFile;
use pollchat::server::bans::{Ban, Bans, parse_network};
use pollchat::server::config::{Capacity, Config};
use pollchat::server::endpoint::Endpoint;
use pollchat::server::hub::{Hub, Readiness};
use pollchat::server::journal::store::Store;
use pollchat::server::journal::{self, KeptRoom, Settings};
use pollchat::server::limits::{JOURNAL_BUFFER_BYTES, JOURNAL_KEEP_BYTES, JOURNAL_SYNC};
use pollchat::server::metrics::{Metrics, Probes};
use pollchat::server::web::origin::OriginPolicy;
use pollchat::server::web::site::Site;
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

const FRAMING: Framing = Framing { line_bytes_max: 4_096, overlong: Overlong::Drop, ends: LineEnds::NewlineOrReturn };

/// What one `read` brings at most.
const INPUT_BYTES: usize = 64 * 1024;

/// The size of a server's tape.
const TAPE_BYTES: usize = 8 * 1024 * 1024;

/// Lines of so many bytes each, with their ends, up to what one read brings.
fn input(line_bytes: usize) -> Vec<u8> {
    let mut line = vec![b'x'; line_bytes];
    line[line_bytes - 1] = b'\n';
    line.repeat(INPUT_BYTES / line_bytes)
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("LineDecoder");
    for line_bytes in [16, 64, 1_024] {
        let input = input(line_bytes);
        group.throughput(Throughput::Bytes(input.len() as u64));
        for chunk_bytes in [INPUT_BYTES, 1_448, 7] {
            let name = format!("lines of {line_bytes} bytes in chunks of {chunk_bytes}");
            group.bench_function(name, |bencher| {
                let mut decoder = LineDecoder::default();
                bencher.iter(|| {
                    let mut lines = 0;
                    for mut chunk in input.chunks(chunk_bytes) {
                        while let Some(line) = decoder.next(&mut chunk, FRAMING) {
                            black_box(&line);
                            lines += 1;
                        }
                    }
                    assert_eq!(lines, input.len() / line_bytes);
                });
            });
        }
    }
}

fn cleaning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("clean");
    let texts = [
        ("ASCII", "the quick brown fox jumps over the lazy dog ".repeat(20).into_bytes()),
        ("UTF-8", "съешь ещё этих мягких французских булок, да выпей чаю ".repeat(10).into_bytes()),
        ("with an escape", [&b"x".repeat(400)[..], b"\x1b[2J", &b"y".repeat(400)].concat()),
        ("not UTF-8", b"\xff\xfe".repeat(400)),
    ];
    let mut buffer = String::new();
    for (name, text) in &texts {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), text, |bencher, text| {
            bencher.iter(|| {
                black_box(sanitize(black_box(text), &mut buffer));
            });
        });
    }
}

fn tape(criterion: &mut Criterion) {
    let text = "x".repeat(40);
    let parts = ["ana", "> ", &text, "\n"];
    let bytes = parts.iter().map(|part| part.len() as u64).sum();
    let mut group = criterion.benchmark_group("tape");
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("append a line", |bencher| {
        let mut tape = new_tape();
        bencher.iter(|| tape.say(black_box(&parts)));
    });
    // What one reader costs beside the write itself, which is taken to take all: without lines of its own, and with.
    for (name, own_every) in [("flush 64 lines", 65), ("flush 64 lines around 8 of its own", 8)] {
        group.throughput(Throughput::Bytes(64 * bytes));
        group.bench_function(name, |bencher| {
            let mut tape = new_tape();
            let start = tape.end();
            let spans = (1..=64).map(|line| (line, tape.say(&parts)));
            let own: Vec<_> = spans.filter(|(line, _)| line % own_every == 0).map(|(_, span)| span).collect();
            let end = tape.end();
            bencher.iter(|| {
                let mut reader = Cursor::at(start, Dialect::Plain);
                for span in &own {
                    let _ = black_box(reader.skip_own(*span));
                }
                flush(&mut reader, &tape);
                assert_eq!(reader.offset(), end.offset);
            });
        });
    }
}

/// What a plain reader costs that is far behind, which takes as much as a socket buffer holds at a time: without stamps
/// on its way, and with one for each second of a minute.
fn far_behind(criterion: &mut Criterion) {
    const TAKEN: u64 = 64 << 10;
    let text = "x".repeat(40);
    let mut group = criterion.benchmark_group("tape");
    for stamps in [0, 60] {
        let mut tape = new_tape();
        let start = tape.end();
        for line in 0..80_000_u64 {
            if stamps > 0 {
                tape.set_time(1 + line * stamps * 1_000 / 80_000);
            }
            tape.say(&["ana", "> ", &text, "\n"]);
        }
        let (end, view) = (tape.end().offset, tape.plain());
        group.throughput(Throughput::Bytes(end));
        group.bench_function(format!("catch up with a tape that has {stamps} stamps"), |bencher| {
            let mut taken = Vec::with_capacity(2 * usize::try_from(TAKEN).unwrap_or_default());
            bencher.iter(|| {
                let mut reader = Cursor::at(start, Dialect::Plain);
                while reader.offset() < end {
                    let _ = black_box(reader.catch_up(view, tape.end()));
                    let mut slices = Slices::new();
                    reader.pending(view, end.min(reader.offset() + TAKEN), &mut slices);
                    // The copy that the kernel makes.
                    taken.clear();
                    slices.as_slice().iter().for_each(|slice| taken.extend_from_slice(slice));
                    reader.advance(view, black_box(&taken).len() as u64);
                    reader.align_to_line(view, &mut Vec::new());
                }
            });
        });
    }
}

/// What a connection does with its reader in a turn, but for the system call.
fn flush(reader: &mut Cursor, tape: &Tape) {
    let end = tape.end();
    let _ = black_box(reader.catch_up(tape.plain(), end));
    let bytes = if let Some(slice) = reader.pending_in_one(tape.plain(), end.offset) {
        black_box(slice).len()
    } else {
        let mut slices = Slices::new();
        reader.pending(tape.plain(), end.offset, &mut slices);
        black_box(slices.as_slice()).iter().map(|slice| slice.len()).sum()
    };
    reader.advance(tape.plain(), bytes as u64);
    reader.align_to_line(tape.plain(), &mut Vec::new());
}

/// A socket that takes everything at no cost, and has what it was given to be read.
struct NullSocket {
    incoming: Rc<Cell<&'static [u8]>>,
}

impl Read for NullSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let incoming = self.incoming.take();
        if incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..incoming.len()].copy_from_slice(incoming);
        Ok(incoming.len())
    }
}

impl Write for NullSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(black_box(slices).iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for NullSocket {
    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn peer_address(&self) -> io::Result<Option<SocketAddr>> {
        Err(io::ErrorKind::NotConnected.into())
    }
}

/// What is said, and what everyone is given of it.
const SAID: &[u8] = b"the quick brown fox jumps over the lazy\n";
const GIVEN: &str = "client-1> the quick brown fox jumps over the lazy\n";

/// What a browser asks for.
const OPENING: &[u8] = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Clients of a room.
const ROOM_CLIENTS: usize = 10;

/// A hub without sockets, in which one talks and all others hear it.
struct Stage {
    hub: Hub<NullSocket>,
    now: Instant,
    talker: usize,
    talks: Rc<Cell<&'static [u8]>>,
}

impl Stage {
    /// A stage whose receivers say this first, on this port.
    fn new(receivers: usize, port: Endpoint, first: &'static [u8]) -> Stage {
        let now = Instant::now();
        let seats = Capacity { clients_max: receivers + 1, visitors_max: 1, leavers_max: 1, refusals_max: 1 };
        let mut hub = Hub::new(&Config::default(), seats, now).unwrap_or_else(|error| panic!("{error}"));
        if port == Endpoint::Web {
            hub.open_site(Site::new(OriginPolicy::default(), &[], || SystemTime::UNIX_EPOCH));
        }
        let talks = Rc::new(Cell::new(&b""[..]));
        let talker = hub.next_key();
        hub.admit(NullSocket { incoming: Rc::clone(&talks) }, Endpoint::Lines, now);
        let mut stage = Stage { hub, now, talker, talks };
        stage.say(b"\n");
        for _ in 0..receivers {
            let (receiver, incoming) = (stage.hub.next_key(), Rc::new(Cell::new(first)));
            stage.hub.admit(NullSocket { incoming }, port, now);
            stage.turn_of(receiver);
        }
        // Browsers enter when they have said nothing for a while, some in each turn.
        stage.now += Duration::from_secs(1);
        (0..receivers).for_each(|_| stage.say(b"\n"));
        stage.say(b"hello\n");
        assert!(
            stage.hub.stats().to_string().contains(&format!("clients {} ", receivers + 1)),
            "{}",
            stage.hub.stats()
        );
        stage
    }

    /// A stage with further clients, ten in each of so many other rooms.
    fn with_rooms(receivers: usize, rooms: usize) -> Stage {
        let now = Instant::now();
        let clients_max = receivers + 1 + ROOM_CLIENTS * rooms;
        let seats = Capacity { clients_max, visitors_max: 1, leavers_max: 1, refusals_max: 1 };
        let config = Config { rooms_max: rooms + 1, ..Config::default() };
        let hub = Hub::new(&config, seats, now).unwrap_or_else(|error| panic!("{error}"));
        let mut stage = Stage { hub, now, talker: 0, talks: Rc::default() };
        // The readers of a room lie far apart, as they do where people come and go.
        let joins: Vec<&'static [u8]> =
            (0..rooms).map(|room| &*format!("/join r{room}\n").into_bytes().leak()).collect();
        let lobby = std::iter::repeat_n(&b"\n"[..], receivers);
        let others = (0..ROOM_CLIENTS).flat_map(|_| joins.iter().copied());
        let mut firsts: Vec<_> = lobby.chain(others).collect();
        let step = firsts.len() / (receivers + 1);
        (0..receivers).for_each(|at| firsts.swap(at, at * step));
        stage.talker = stage.hub.next_key();
        stage.hub.admit(NullSocket { incoming: Rc::clone(&stage.talks) }, Endpoint::Lines, now);
        stage.say(b"\n");
        for first in firsts {
            let key = stage.hub.next_key();
            stage.hub.admit(NullSocket { incoming: Rc::new(Cell::new(first)) }, Endpoint::Lines, now);
            stage.turn_of(key);
        }
        stage.say(b"hello\n");
        let stats = stage.hub.stats().to_string();
        assert!(stats.contains(&format!("rooms {}", rooms + 1)), "{stats}");
        stage
    }

    /// A turn in which one says a line to all others.
    fn say(&mut self, line: &'static [u8]) {
        self.talks.set(line);
        self.turn_of(self.talker);
    }

    /// A turn in which there is something to be read of one.
    fn turn_of(&mut self, key: usize) {
        self.hub.on_ready(key, Readiness { readable: true, writable: false });
        self.hub.react(self.now);
        self.hub.flush(self.now);
    }
}

/// What a delivery costs the server beside the system call: to plain clients, to tracked ones, and to browsers, in
/// frames.
fn hub(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hub");
    // An empty line lets a client enter.
    let plain = [100, 1_000, 10_000].map(|receivers| (receivers, Endpoint::Lines, &b"\n"[..], ""));
    let tracked = [100, 1_000].map(|receivers| (receivers, Endpoint::Lines, &b"/track\n"[..], " tracked"));
    let browsers = [100, 1_000].map(|receivers| (receivers, Endpoint::Web, OPENING, " browsers"));
    for (receivers, port, first, kind) in plain.into_iter().chain(tracked).chain(browsers) {
        let mut stage = Stage::new(receivers, port, first);
        group.throughput(Throughput::Elements(receivers as u64));
        group.bench_function(format!("one line to {receivers}{kind}"), |bencher| {
            bencher.iter(|| stage.say(SAID));
        });
    }
}

/// What a line costs beside its system calls where many more clients are in other rooms.
fn rooms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rooms");
    for rooms in [0, 2_000] {
        let mut stage = Stage::with_rooms(ROOM_CLIENTS - 1, rooms);
        group.bench_function(format!("one line to 9, beside {rooms} rooms of 10"), |bencher| {
            bencher.iter(|| stage.say(SAID));
        });
    }
}

/// What a scrape of `/metrics` costs, beside the system calls of its connection: a whole turn in which nothing else
/// happens, with 20,000 clients, some of them in 50 other rooms.
fn scrape(criterion: &mut Criterion) {
    const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text\r\n\r\n";
    let mut group = criterion.benchmark_group("scrape");
    for (clients, rooms) in [(10, 0), (20_000, 50)] {
        let mut stage = Stage::with_rooms(clients - ROOM_CLIENTS * rooms - 1, rooms);
        stage.hub.open_metrics(Metrics::new(Probes::of_process()));
        let (scraper, asks) = (stage.hub.next_key(), Rc::new(Cell::new(&b""[..])));
        stage.hub.admit(NullSocket { incoming: Rc::clone(&asks) }, Endpoint::Metrics, stage.now);
        group.bench_function(format!("of {clients} clients in {} rooms", rooms + 1), |bencher| {
            bencher.iter(|| {
                asks.set(REQUEST);
                stage.turn_of(scraper);
            });
        });
        let scrapes = stage.hub.stats().stats.scrapes;
        assert!(scrapes > 1, "{scrapes} scrapes");
    }
}

/// The same for browsers, framed by the library: a context for each, which makes a frame of each line and writes it.
fn library(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tungstenite");
    for receivers in [100, 1_000] {
        // As small as may be, and nothing kept that could be written.
        let config = WebSocketConfig::default().read_buffer_size(1_024).write_buffer_size(0);
        let mut contexts: Vec<_> = (0..receivers).map(|_| WebSocketContext::new(Role::Server, Some(config))).collect();
        let mut socket = NullSocket { incoming: Rc::default() };
        group.throughput(Throughput::Elements(receivers as u64));
        group.bench_function(format!("one line to {receivers} browsers"), |bencher| {
            bencher.iter(|| {
                // Its bytes are shared by all.
                let message = Message::text(black_box(GIVEN));
                for context in &mut contexts {
                    let written = context.write(&mut socket, message.clone());
                    written.and_then(|()| context.flush(&mut socket)).unwrap_or_else(|error| panic!("{error}"));
                }
            });
        });
    }
}

fn new_tape() -> Tape {
    Tape::new(TAPE_BYTES).unwrap_or_else(|error| panic!("{TAPE_BYTES} bytes of memory: {error}"))
}

/// What the loop pays to hand ten lines of 64 bytes over to the journal. Its thread writes them meanwhile; a buffer that
/// is full is waited for outside the measured time.
fn journal(criterion: &mut Criterion) {
    const LINES: u64 = 10;
    const APPENDS: u64 = 800;
    let dir = std::env::temp_dir().join(format!("pollchat-bench-journal-{}", std::process::id()));
    let settings = Settings {
        dir: dir.clone(),
        keep_bytes: JOURNAL_KEEP_BYTES as u64,
        sync_every: Some(JOURNAL_SYNC),
        buffer_bytes: JOURNAL_BUFFER_BYTES,
        longest_line_bytes: JOURNAL_BUFFER_BYTES / 2,
        rooms: vec![KeptRoom { name: Name::of_lobby(), text_bytes_max: 0 }],
    };
    let opened = journal::open(&settings, || ()).unwrap_or_else(|error| panic!("{error}"));
    let mut writer = opened.writer;
    let lines = ("ana> ".to_owned() + &"x".repeat(58) + "\n").repeat(10);
    writer.append(0, [b"@ 1764166801123 0000000000007.0\n", b""]);
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Elements(LINES));
    group.bench_function("hand over 10 lines of 64 bytes", |bencher| {
        bencher.iter_custom(|iterations| {
            let (mut took, mut left) = (Duration::ZERO, iterations);
            while left > 0 {
                while writer.space(0) < JOURNAL_BUFFER_BYTES {
                    std::thread::yield_now();
                }
                let appends = left.min(APPENDS);
                let start = Instant::now();
                for _ in 0..appends {
                    assert!(black_box(writer.space(0)) >= lines.len());
                    writer.append(0, [lines.as_bytes(), b""]);
                }
                took += start.elapsed();
                left -= appends;
            }
            took
        });
    });
    group.finish();
    drop(writer);
    let _ = std::fs::remove_dir_all(dir);
}

/// What `/nick` costs before the room is told: with the token of a name that has an owner, with a wrong one, and for a name
/// of nobody, which is compared with those of owners.
fn names(criterion: &mut Criterion) {
    let [ana, others @ ..] = ["ana", "bea", "cho"].map(|name| NewToken::of(&Name::parse(name).expect("a name")));
    let many = (0..1_000).map(|number| NewToken::of(&Name::parse(&format!("pupil{number}")).expect("a name")));
    let file: Vec<_> = many.chain(others).map(|new| new.line).chain([ana.line]).collect();
    let mut roster = Roster::default();
    roster.set_names(Names::parse(&file.join("\n")).expect("a file of names"));
    let member = roster.add_client(0, RoomId::LOBBY, 0);
    let room = Room::new(RoomId::LOBBY, Rc::new(Config::default().room_options()), new_tape());
    let mut group = criterion.benchmark_group("names");
    for (name, line) in [
        ("/nick with a token", format!("/nick ana {}", ana.token)),
        ("/nick with a wrong token", "/nick ana pcn_aaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned()),
        ("/nick of nobody", "/nick zoe".to_owned()),
    ] {
        group.bench_function(format!("{name}, beside 1,000 names"), |bencher| {
            bencher.iter(|| black_box(room.decide(&roster, member, black_box(&line), 0)));
        });
    }
}

/// What a connect pays for the bans: without one, and among 100,000 networks of all usual sizes.
fn bans(criterion: &mut Criterion) {
    const MOST: usize = 100_000;
    // Steps of the golden ratio meet all parts of the range alike.
    let address = |number: u32| IpAddr::V4(number.wrapping_mul(0x9e37_79b9).into());
    let mut group = criterion.benchmark_group("bans");
    for networks in [0, MOST] {
        let mut bans = Bans::new(networks);
        let mut number = 0_u32;
        while bans.len() < networks {
            let length = 16 + number % 17;
            let network = parse_network(&format!("{}/{length}", address(number))).expect("a network");
            let ban = Ban { network, since: None, until: Some(1), name: None, reason: "".into() };
            bans.add(ban.into()).expect("there is a place");
            number += 1;
        }
        group.bench_function(format!("check an address among {networks} networks"), |bencher| {
            bencher.iter(|| {
                number = number.wrapping_add(1);
                black_box(bans.covers(black_box(address(number)), 0));
            });
        });
        if networks > 0 {
            let path = std::env::temp_dir().join(format!("pollchat-bench-bans-{}", std::process::id()));
            let lines: String = bans.after(None).map(|ban| format!("{}: a reason\n", ban.network)).collect();
            std::fs::write(&path, lines).expect("a file");
            let file = BansFile::new(path.clone());
            group.sample_size(10);
            // What a reload costs the loop.
            group.bench_function(format!("read a file of {networks}, and build the list"), |bencher| {
                bencher.iter(|| {
                    let kept = file.read().expect("a file of bans");
                    let mut bans = Bans::new(networks);
                    kept.bans.into_values().for_each(|ban| bans.add(ban).expect("there is a place"));
                    black_box(bans.len());
                });
            });
            let _ = std::fs::remove_file(path);
        }
    }
}

criterion_group!(benches, decode, cleaning, tape, far_behind, hub, rooms, scrape, journal, names, bans, library);
criterion_main!(benches);
