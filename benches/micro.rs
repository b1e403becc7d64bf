//! The pure parts on their own, in bytes a second: finding lines, cleaning them, putting them on the tape, and finding
//! out what a reader is owed.

use std::cell::Cell;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pollchat::relay::line::{Framing, LineDecoder, Overlong, clean};
use pollchat::relay::reader::{Reader, Slices};
use pollchat::relay::tape::Tape;
use pollchat::server::config::{Config, Port, Seats};
use pollchat::server::connection::Socket;
use pollchat::server::hub::{Hub, Readiness};

const FRAMING: Framing = Framing { line_bytes_max: 4_096, overlong: Overlong::Drop };

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
                black_box(clean(black_box(text), &mut buffer));
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
                let mut reader = Reader::at(start);
                for span in &own {
                    let _ = black_box(reader.skip_own(*span));
                }
                flush(&mut reader, &tape);
                assert_eq!(reader.cursor(), end);
            });
        });
    }
}

/// What a connection does with its reader in a turn, but for the system call.
fn flush(reader: &mut Reader, tape: &Tape) {
    let end = tape.end();
    let _ = black_box(reader.keep_up(tape, end));
    let bytes = if let Some(slice) = reader.owed_in_one(tape, end.offset) {
        black_box(slice).len()
    } else {
        let mut slices = Slices::new();
        reader.owed(tape, end.offset, &mut slices);
        black_box(slices.as_slice()).iter().map(|slice| slice.len()).sum()
    };
    reader.advance(bytes as u64);
    reader.land(tape, &mut Vec::new());
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

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for NullSocket {
    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn peer_address(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::NotConnected.into())
    }
}

/// What a delivery costs the server beside the system call: a turn of the hub in which one says a line to all others.
fn hub(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hub");
    for receivers in [100, 1_000, 10_000] {
        let now = Instant::now();
        let seats = Seats { clients_max: receivers + 1, visitors_max: 0, leavers_max: 1, refusals_max: 1 };
        let mut hub = Hub::new(&Config::default(), seats, now).unwrap_or_else(|error| panic!("{error}"));
        let incoming = Rc::new(Cell::new(&b""[..]));
        let talker = hub.next_key();
        hub.admit(NullSocket { incoming: Rc::clone(&incoming) }, Port::Lines, now);
        for _ in 0..receivers {
            hub.admit(NullSocket { incoming: Rc::default() }, Port::Lines, now);
        }
        let mut turn = |line| {
            incoming.set(line);
            hub.on_ready(talker, Readiness { readable: true, writable: false });
            hub.react(now);
            hub.settle(now);
        };
        turn(b"hello\n");
        group.throughput(Throughput::Elements(receivers as u64));
        group.bench_function(format!("one line to {receivers}"), |bencher| {
            bencher.iter(|| turn(b"the quick brown fox jumps over the lazy\n"));
        });
    }
}

fn new_tape() -> Tape {
    Tape::new(TAPE_BYTES).unwrap_or_else(|error| panic!("{TAPE_BYTES} bytes of memory: {error}"))
}

criterion_group!(benches, decode, cleaning, tape, hub);
criterion_main!(benches);
