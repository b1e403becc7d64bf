//! The longest turn of the loop, in CPU time, when 900 clients do the same thing at once: for each kind of thing.
//!
//! The server runs in a thread of this process. Its next turn is held up until all that the clients do has arrived, so
//! that one turn is offered all of it. Sockets are real, so the kernel's work for the server counts as well.

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use pollchat::server::access::AccessRules;
use pollchat::server::config::Config;
use socket2::SockRef;

use support::Error;
use support::browser::opening;
use support::flags::{self, Flags};
use support::gated::Gated;
use support::ledger::{Figure, Ledger, Unit};
use support::report::{Goal, Report, progress};
use support::subject::raise_open_files;

const LONGEST: Figure = Figure::new("CPU of the longest turn", Unit::Nanoseconds);
const TURNS: Figure = Figure::new("turns", Unit::Count);
const SUBJECT: &str = "pollchat";

/// Clients that do the same at once.
const CLIENTS: usize = 900;

/// Bytes that a pipe holds.
const PIPE_BYTES: usize = 64 << 10;

/// No turn may take more CPU time than this, in nanoseconds.
const TURN_NS_MAX: f64 = 10e6;

/// The server counts as done after so much time without a turn: longer than any delay of entering.
const QUIET: Duration = Duration::from_millis(150);

/// Work that takes longer than this is cut off: its longest turn has been seen.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures the longest turn when 900 clients do the same thing at once
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,

    /// Only the kinds whose name holds this
    #[arg(value_name = "NAME", default_value = "")]
    only: String,
}

/// A kind of work.
struct Kind {
    name: &'static str,
    config: fn() -> Config,
    /// The clients that are there before.
    before: fn(&mut Stage) -> Result<(), Error>,
    /// What they do while no turn begins.
    act: fn(&mut Stage) -> Result<(), Error>,
    /// The time that passes before the next turn.
    wait: Duration,
}

/// The server, and its clients.
struct Stage {
    server: Gated,
    clients: usize,
    /// A client that makes the server turn.
    poker: TcpStream,
    streams: Vec<TcpStream>,
    /// The first lines by which tracked clients resume.
    resuming: Vec<Vec<u8>>,
}

fn main() -> ExitCode {
    let Arguments { flags, only } = Arguments::parse();
    flags::run(&flags, || benchmark(&flags, &only))
}

fn benchmark(flags: &Flags, only: &str) -> Result<(), Error> {
    raise_open_files();
    log_to_file()?;
    let clients = flags.clients_max().min(if flags.quick { CLIENTS / 10 } else { CLIENTS });
    let is_wanted = |kind: &Kind| kind.name.contains(only) && !(flags.quick && kind.wait > QUIET);
    let kinds: Vec<_> = kinds().into_iter().filter(is_wanted).collect();
    let mut ledger = Ledger::default();
    let bar = progress(flags.rounds() * kinds.len());
    for _ in 0..flags.rounds() {
        for kind in &kinds {
            bar.set_message(kind.name);
            measure(&mut ledger, kind, clients).map_err(|error| format!("{}: {error}", kind.name))?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let mut report = Report::new("turns")?;
    let worst = ledger.entries().iter().filter(|entry| entry.figure == LONGEST).map(support::ledger::Entry::median);
    let worst = worst.fold(0.0, f64::max);
    report.goals(&[Goal {
        what: format!("{clients} clients at once: CPU of the longest turn, in the worst kind"),
        reach: "≤ 10 ms",
        measured: Some((Unit::Nanoseconds.show(worst), worst <= TURN_NS_MAX)),
    }]);
    let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    report.table(&format!("{clients} clients do the same at once"), &ledger, &names, &[LONGEST, TURNS]);
    report.finish(&ledger)
}

/// The log is a part of the work, as on a server that runs: it goes to a file.
fn log_to_file() -> Result<(), Error> {
    let file = File::create(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("turns.log"))?;
    rustix::stdio::dup2_stderr(&file)?;
    Ok(pollchat::logging::init(log::LevelFilter::Info)?)
}

fn measure(ledger: &mut Ledger, kind: &Kind, clients: usize) -> Result<(), Error> {
    let server = Gated::start((kind.config)())?;
    let poker = TcpStream::connect(server.lines)?;
    poker.set_nonblocking(true)?;
    let mut stage = Stage { server, clients, poker, streams: Vec::new(), resuming: Vec::new() };
    stage.settle()?;
    (kind.before)(&mut stage)?;
    stage.settle()?;
    let turns = stage.server.turns();
    stage.server.set_held(true);
    // Ends the turn that waits for events already.
    stage.poker.write_all(b"\n")?;
    while stage.server.turns() == turns {
        std::thread::yield_now();
    }
    let turns = stage.server.turns();
    (kind.act)(&mut stage)?;
    std::thread::sleep(kind.wait);
    stage.server.take_longest();
    stage.server.set_held(false);
    while stage.server.turns() == turns {
        std::thread::yield_now();
    }
    stage.settle()?;
    ledger.add(kind.name, SUBJECT, LONGEST, stage.server.take_longest() as f64);
    ledger.add(kind.name, SUBJECT, TURNS, (stage.server.turns() - turns) as f64);
    Ok(())
}

impl Stage {
    /// Reads what clients are sent, until the server makes no turn for [`QUIET`].
    fn settle(&mut self) -> Result<(), Error> {
        let (mut turns, mut since) = (self.server.turns(), Instant::now());
        let (mut buffer, start) = (vec![0; 256 * 1024], since);
        while since.elapsed() < QUIET && start.elapsed() < SETTLE {
            for stream in self.streams.iter_mut().chain([&mut self.poker]) {
                loop {
                    match stream.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(_) => break,
                    }
                }
            }
            let now = self.server.turns();
            if now != turns {
                (turns, since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Adds a client at this port that has sent `bytes`.
    fn connect(&mut self, to: SocketAddr, bytes: &[u8]) -> Result<(), Error> {
        let mut stream = TcpStream::connect(to)?;
        stream.write_all(bytes)?;
        stream.set_nonblocking(true)?;
        self.streams.push(stream);
        Ok(())
    }

    fn connect_all(&mut self, to: SocketAddr, bytes: &[u8]) -> Result<(), Error> {
        (0..self.clients).try_for_each(|_| self.connect(to, bytes))
    }

    /// The operator pastes a text for each client, as far as a pipe holds it.
    fn paste(&mut self, text: impl Fn(usize) -> String) -> Result<(), Error> {
        let paste: String = (0..self.clients).map(text).collect();
        let console = self.server.console.as_mut().ok_or("the server has no console")?;
        console.paste(&paste[..paste.len().min(PIPE_BYTES)])
    }

    /// All clients send `bytes`.
    fn send(&mut self, bytes: impl Fn(usize) -> Vec<u8>) -> Result<(), Error> {
        for (index, stream) in self.streams.iter_mut().enumerate() {
            stream.set_nonblocking(false)?;
            stream.write_all(&bytes(index))?;
            stream.set_nonblocking(true)?;
        }
        Ok(())
    }
}

/// No clients before.
fn nobody(_: &mut Stage) -> Result<(), Error> {
    Ok(())
}

/// Somebody says 16 KiB, as others hear it.
fn hear_16_kib(stage: &mut Stage) -> Result<(), Error> {
    Ok(stage.poker.write_all(&b"hello, all of you here..\n".repeat(480))?)
}

/// Clients on the line port.
fn plain(stage: &mut Stage) -> Result<(), Error> {
    stage.connect_all(stage.server.lines, b"\n")
}

/// Browsers in the room.
fn browsers(stage: &mut Stage) -> Result<(), Error> {
    stage.connect_all(stage.server.page, &opening(stage.server.page))
}

/// Tracked clients that have said a line each, so that their seats are kept.
fn tracked(stage: &mut Stage) -> Result<(), Error> {
    stage.connect_all(stage.server.lines, b"/track\nhello\n")?;
    for stream in &stage.streams {
        stream.set_nonblocking(false)?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        stream.set_nonblocking(true)?;
        // ** session TOKEN heard N at POSITION as NAME
        let words: Vec<_> = line.split(' ').collect();
        let [_, _, token, _, _, _, position, ..] = words[..] else { return Err(line.into()) };
        stage.resuming.push(format!("/track {position} {token}\n").into_bytes());
    }
    Ok(())
}

/// Tracked clients whose connections are lost.
fn lost(stage: &mut Stage) -> Result<(), Error> {
    tracked(stage)?;
    stage.settle()?;
    reset_all(stage)
}

/// New connections resume all sessions.
fn resume(stage: &mut Stage) -> Result<(), Error> {
    let to = stage.server.lines;
    std::mem::take(&mut stage.resuming).iter().try_for_each(|first| stage.connect(to, first))
}

/// A frame with an empty mask.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ 0..126) => frame.push(0x80 | short.to_be_bytes()[1]),
        Ok(len) => {
            frame.push(0x80 | 126);
            frame.extend(len.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Browsers that have sent all of a message but its last byte: `payload`, repeated up to 64 KiB.
fn begun(stage: &mut Stage, payload: &[u8]) -> Result<(), Error> {
    browsers(stage)?;
    stage.settle()?;
    let mut message = payload.repeat((64 << 10) / payload.len());
    message.pop();
    stage.send(|_| frame(0x01, &message))
}

/// Browsers end the message that they have begun.
fn end_message(stage: &mut Stage) -> Result<(), Error> {
    stage.send(|_| frame(0x80, b"\n"))
}

/// Somebody fills the tape, so that the next client is shown this many bytes.
fn fill_tape(stage: &mut Stage) -> Result<(), Error> {
    let mut line = vec![b'x'; 99];
    line.push(b'\n');
    stage.connect(stage.server.lines, &line.repeat(40_000))
}

fn with_history() -> Config {
    Config { history_lines: u64::MAX, ..Config::default() }
}

fn denying() -> Config {
    let deny = vec!["127.0.0.2/32".parse().unwrap_or_default()];
    Config { access: AccessRules { deny, ..AccessRules::default() }, ..Config::default() }
}

/// Connects from an address that is denied.
fn connect_denied(stage: &mut Stage) -> Result<(), Error> {
    for _ in 0..stage.clients {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into())?;
        socket.connect(&stage.server.lines.into())?;
        socket.set_nonblocking(true)?;
        stage.streams.push(socket.into());
    }
    Ok(())
}

/// Connects and leaves without a word.
fn reset_all(stage: &mut Stage) -> Result<(), Error> {
    for stream in stage.streams.drain(..) {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

const AT_ONCE: Duration = Duration::from_millis(2);

/// A kind of work of clients with the default settings that are there before and then send something.
const fn sends(
    name: &'static str,
    before: fn(&mut Stage) -> Result<(), Error>,
    act: fn(&mut Stage) -> Result<(), Error>,
) -> Kind {
    Kind { name, config: Config::default, before, act, wait: AT_ONCE }
}

fn kinds() -> Vec<Kind> {
    [coming(), the_page(), messages(), lines(), the_operator(), going(), sessions()].into_iter().flatten().collect()
}

fn coming() -> Vec<Kind> {
    vec![
        sends("connect, silent", nobody, |stage| stage.connect_all(stage.server.lines, b"")),
        sends("connect, with a first line", nobody, |stage| stage.connect_all(stage.server.lines, b"hello\n")),
        Kind {
            wait: Duration::from_millis(300),
            ..sends("connect, and wait to enter", nobody, |stage| stage.connect_all(stage.server.lines, b""))
        },
        Kind { config: denying, ..sends("connect, denied", nobody, connect_denied) },
        Kind {
            config: || Config { clients_max: Some(1), ..Config::default() },
            ..sends("connect to a full server", nobody, |stage| stage.connect_all(stage.server.lines, b"hello\n"))
        },
        sends("connect and reset", nobody, |stage| {
            stage.connect_all(stage.server.lines, b"")?;
            reset_all(stage)
        }),
        Kind {
            config: with_history,
            ..sends("come to a long history", fill_tape, |stage| stage.connect_all(stage.server.lines, b"\n"))
        },
        Kind {
            config: with_history,
            ..sends(
                "enter with a long history",
                |stage| {
                    fill_tape(stage)?;
                    stage.settle()?;
                    stage.connect_all(stage.server.lines, b"a")
                },
                |stage| stage.send(|_| b"\n".to_vec()),
            )
        },
    ]
}

fn the_page() -> Vec<Kind> {
    vec![
        sends(
            "get the page",
            |stage| stage.connect_all(stage.server.page, b"GET"),
            |stage| stage.send(|_| b" / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ),
        sends(
            "get the page's head",
            |stage| stage.connect_all(stage.server.page, b"HEAD"),
            |stage| stage.send(|_| b" / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ),
        sends(
            "end a head of 16 KiB",
            |stage| {
                let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}X: ", "A: b\r\n".repeat(2_600));
                stage.connect_all(stage.server.page, head.as_bytes())
            },
            |stage| stage.send(|_| b"\r\n\r\n".to_vec()),
        ),
        sends("connect to the page, and upgrade", nobody, browsers),
        sends(
            "upgrade",
            |stage| stage.connect_all(stage.server.page, b"GET"),
            |stage| {
                let opening = opening(stage.server.page);
                stage.send(|_| opening[3..].to_vec())
            },
        ),
        Kind {
            config: with_history,
            ..sends(
                "upgrade to a long history",
                |stage| {
                    fill_tape(stage)?;
                    stage.settle()?;
                    stage.connect_all(stage.server.page, b"GET")
                },
                |stage| {
                    let opening = opening(stage.server.page);
                    stage.send(|_| opening[3..].to_vec())
                },
            )
        },
        Kind {
            wait: Duration::from_millis(5_100),
            ..sends("request nothing in time", |stage| stage.connect_all(stage.server.page, b"GET"), nobody)
        },
    ]
}

fn messages() -> Vec<Kind> {
    vec![
        sends("end 64 KiB of empty lines", |stage| begun(stage, b"\n"), end_message),
        sends("end 64 KiB of short lines", |stage| begun(stage, b"word\n"), end_message),
        sends("end 64 KiB of one line", |stage| begun(stage, b"x"), end_message),
        sends("end 64 KiB of CJK lines", |stage| begun(stage, "世界世界世界世界世界\n".as_bytes()), end_message),
        sends("end 64 KiB of /who", |stage| begun(stage, b"/who\n"), end_message),
        sends("end 64 KiB, wrongly", |stage| begun(stage, b"x"), |stage| stage.send(|_| frame(0x80, b"\xff"))),
        sends("send 64 KiB at once", browsers, |stage| stage.send(|_| frame(0x81, &b"word\n".repeat(13_000)))),
        sends("send 8 KiB of tiny frames", browsers, |stage| stage.send(|_| frame(0x81, b"x").repeat(1_200))),
        sends("send 8 KiB of empty frames", browsers, |stage| {
            stage.send(|_| [frame(0x01, b""), frame(0x00, b"").repeat(1_400), frame(0x80, b"x")].concat())
        }),
        sends("send 8 KiB of pings", browsers, |stage| stage.send(|_| frame(0x89, b"").repeat(1_400))),
        sends("close", browsers, |stage| stage.send(|_| frame(0x88, &[3, 232]))),
        sends("say a line each, as browsers", browsers, |stage| stage.send(|_| frame(0x81, b"hello"))),
    ]
}

fn lines() -> Vec<Kind> {
    vec![
        sends("hear a line", plain, |stage| Ok(stage.poker.write_all(b"hello\n")?)),
        sends("hear 4 KiB", plain, |stage| Ok(stage.poker.write_all(&b"hello, all of you here..\n".repeat(117))?)),
        sends("hear 16 KiB", plain, hear_16_kib),
        sends("hear a line, as browsers", browsers, |stage| Ok(stage.poker.write_all(b"hello\n")?)),
        sends("hear 16 KiB, as browsers", browsers, hear_16_kib),
        sends("say a line each", plain, |stage| stage.send(|_| b"hello\n".to_vec())),
        sends("flood", plain, |stage| stage.send(|_| b"hello, all of you\n".repeat(1_000))),
        sends("flood with empty lines", plain, |stage| stage.send(|_| b"\n".repeat(16_000))),
        sends("flood with control bytes", plain, |stage| stage.send(|_| b"\x01\x02\xff\x03\n".repeat(3_000))),
        sends("take a name", plain, |stage| stage.send(|index| format!("/nick n{index}\n").into_bytes())),
        sends("take a look-alike name", plain, |stage| {
            stage.send(|index| format!("/nick ñandú{index}\n").into_bytes())
        }),
        sends("move to another room", plain, |stage| stage.send(|_| b"/join rust\n".to_vec())),
        sends("move to a room of its own", plain, |stage| {
            stage.send(|index| format!("/join ñandú{index}\n").into_bytes())
        }),
        sends("ask /who", plain, |stage| stage.send(|_| b"/who\n".to_vec())),
        sends("ask /who again and again", plain, |stage| stage.send(|_| b"/who\n".repeat(100))),
        sends("ask /help", plain, |stage| stage.send(|_| b"/help\n".to_vec())),
        sends("/msg one of them", plain, |stage| stage.send(|_| b"/msg client-2 hello\n".to_vec())),
        sends("/msg each other", plain, |stage| {
            stage.send(|index| format!("/msg client-{} hello\n", index + 1).into_bytes())
        }),
    ]
}

/// What the operator pastes while clients are there.
const fn pastes(name: &'static str, act: fn(&mut Stage) -> Result<(), Error>) -> Kind {
    let config = || Config { console: true, ..Config::default() };
    Kind { config, ..sends(name, plain, act) }
}

fn the_operator() -> Vec<Kind> {
    vec![
        pastes("the operator pastes lines", |stage| stage.paste(|index| format!("this is line {index} of them\n"))),
        pastes("the operator pastes empty lines", |stage| stage.paste(|_| "\n".repeat(70))),
        pastes("the operator pastes /who", |stage| stage.paste(|_| "/who\n".repeat(5))),
        pastes("the operator pastes /kick", |stage| stage.paste(|index| format!("/kick client-{}\n", index + 2))),
    ]
}

fn going() -> Vec<Kind> {
    vec![
        sends("leave", plain, |stage| stage.send(|_| b"FIN\n".to_vec())),
        Kind {
            config: || Config { announce_up_to: usize::MAX, ..Config::default() },
            ..sends(
                "leave, announced",
                |stage| {
                    plain(stage)?;
                    stage.settle()?;
                    stage.send(|_| b"hello\n".to_vec())
                },
                |stage| stage.send(|_| b"FIN\n".to_vec()),
            )
        },
        sends("end", plain, |stage| {
            Ok(stage.streams.iter().try_for_each(|stream| stream.shutdown(std::net::Shutdown::Write))?)
        }),
        sends("close both ways", plain, |stage| {
            stage.streams.clear();
            Ok(())
        }),
        sends("reset", plain, reset_all),
        sends("reset, as browsers", browsers, reset_all),
        sends("speak HTTP on the line port", nobody, |stage| {
            stage.connect_all(stage.server.lines, b"GET / HTTP/1.1\r\n\r\n")
        }),
        Kind {
            config: || Config { idle_timeout: Some(Duration::from_secs(2)), ..Config::default() },
            wait: Duration::from_secs(3),
            ..sends("are idle for too long", |stage| stage.connect_all(stage.server.lines, b""), nobody)
        },
        Kind {
            config: || Config { announce_up_to: usize::MAX, ..Config::default() },
            wait: Duration::from_secs(3),
            ..sends("are introduced", nobody, |stage| {
                stage.server.set_held(false);
                stage.connect_all(stage.server.lines, b"\n")?;
                std::thread::sleep(Duration::from_millis(300));
                stage.server.set_held(true);
                Ok(())
            })
        },
        Kind {
            wait: Duration::from_secs(6),
            ..sends("do not end what they leave", plain, |stage| {
                stage.server.set_held(false);
                stage.send(|_| b"FIN\n".to_vec())?;
                std::thread::sleep(Duration::from_millis(300));
                stage.server.set_held(true);
                Ok(())
            })
        },
    ]
}

fn sessions() -> Vec<Kind> {
    let track = |stage: &mut Stage| stage.send(|_| b"/track\n".to_vec());
    vec![
        sends("begin a session", nobody, |stage| stage.connect_all(stage.server.lines, b"/track\n")),
        Kind {
            config: with_history,
            ..sends(
                "begin a session late, with a long history",
                |stage| {
                    plain(stage)?;
                    stage.settle()?;
                    fill_tape(stage)
                },
                track,
            )
        },
        sends("ask for their session again and again", tracked, |stage| stage.send(|_| b"/track\n".repeat(1_000))),
        sends("are lost, and keep their seats", tracked, reset_all),
        sends("resume", lost, resume),
        sends("resume while they are there", tracked, resume),
        sends("hear 16 KiB, tracked", tracked, hear_16_kib),
        Kind {
            config: || Config { resume_within: Some(Duration::from_secs(2)), ..Config::default() },
            wait: Duration::from_secs(3),
            ..sends("do not come back", lost, nobody)
        },
    ]
}
