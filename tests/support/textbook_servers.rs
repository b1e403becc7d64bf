//! Servers as textbooks write them: blocking sockets, a thread for each client, no newlines, one `recv` a message, and
//! an end that is a comparison of what one `recv` returned.
//!
//! Each counts its `recv`s, and stops after [`TURNS_MAX`]: a server that misses its end would turn for ever.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::DEADLINE;

/// More `recv`s than any conversation of a test needs.
const TURNS_MAX: usize = 100_000;

/// What one conversation was, from the server's side.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The messages, one a `recv`; the last ones are empty if the client closed.
    pub messages: Vec<String>,
    /// Whether the server came to its own end.
    pub is_over: bool,
}

impl Heard {
    /// The messages, without the empty ones at the end.
    pub fn texts(&self) -> Vec<&str> {
        let mut texts: Vec<&str> = self.messages.iter().map(String::as_str).collect();
        while texts.last() == Some(&"") {
            texts.pop();
        }
        texts
    }
}

/// A server for one conversation at a time.
pub struct Textbook {
    pub address: SocketAddr,
    conversation: JoinHandle<Heard>,
}

impl Textbook {
    fn start(serve: impl FnOnce(&TcpListener) -> Heard + Send + 'static) -> Textbook {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Textbook { address, conversation: thread::spawn(move || serve(&listener)) }
    }

    /// What the server heard, once it is over.
    #[track_caller]
    pub fn heard(self) -> Heard {
        super::eventually("the server is over", || self.conversation.is_finished());
        self.conversation.join().unwrap()
    }
}

/// An echo server: answers `echo : text`, ends at exactly `exit`, which it answers with `FIN`. An end of input is one
/// more message to it.
pub fn echo() -> Textbook {
    Textbook::start(|listener| {
        let mut stream = accept(listener);
        converse(&mut stream, |message, stream| {
            if message == "exit" {
                let _ = stream.write_all(b"FIN");
                return Turn::End;
            }
            let answer = format!("echo : {message}");
            if stream.write_all(answer.as_bytes()).is_ok() { Turn::Next } else { Turn::Broken }
        })
    })
}

/// A server that takes turns: it greets, and then each side says one message. It ends at `fin` or at nothing, and says
/// `fin` itself after `answers`.
pub fn turns(answers: &'static [&'static str]) -> Textbook {
    Textbook::start(move |listener| {
        let mut stream = accept(listener);
        stream.write_all(b"hello, it is your turn").unwrap();
        let mut answers = answers.iter();
        converse(&mut stream, |message, stream| {
            if message == "fin" || message.is_empty() {
                return Turn::End;
            }
            let Some(answer) = answers.next() else {
                let _ = stream.write_all(b"fin");
                return Turn::End;
            };
            if stream.write_all(answer.as_bytes()).is_ok() { Turn::Next } else { Turn::Broken }
        })
    })
}

/// The same, but it thinks that long before each answer, and does not read meanwhile.
pub fn slow_turns(answers: &'static [&'static str], thinks: Duration) -> Textbook {
    Textbook::start(move |listener| {
        let mut stream = accept(listener);
        stream.write_all(b"hello, it is your turn").unwrap();
        let mut answers = answers.iter();
        converse(&mut stream, |message, stream| {
            if matches!(message, "fin" | "FIN" | "exit" | "") {
                return Turn::End;
            }
            thread::sleep(thinks);
            let answer = answers.next().unwrap_or(&"yes");
            if stream.write_all(answer.as_bytes()).is_ok() { Turn::Next } else { Turn::Broken }
        })
    })
}

/// A pair of threads, the one sending `said` on its own, the other receiving. It ends at `exit`. It never answers.
pub fn pair(said: &'static [&'static str]) -> Textbook {
    Textbook::start(move |listener| {
        let mut stream = accept(listener);
        let mut sender = stream.try_clone().unwrap();
        let talk = thread::spawn(move || {
            for message in said {
                let _ = sender.write_all(message.as_bytes());
                // As a person types.
                thread::sleep(Duration::from_millis(150));
            }
        });
        let heard = converse(&mut stream, |message, _| if message == "exit" { Turn::End } else { Turn::Next });
        talk.join().unwrap();
        heard
    })
}

/// The server of a window client: it greets, answers nothing, and ends when it receives exactly `FIN`.
pub fn window() -> Textbook {
    Textbook::start(|listener| {
        let mut stream = accept(listener);
        stream.write_all(b"connected").unwrap();
        converse(&mut stream, |message, _| if message == "FIN" { Turn::End } else { Turn::Next })
    })
}

/// A relay that waits for `clients` and gives each a thread: sends `Thread-N> text` to the others. A client leaves with
/// `FIN` in any case, and is answered `FIN`.
pub fn relay(clients: usize) -> (SocketAddr, JoinHandle<Vec<Heard>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let streams: Vec<_> = (1..=clients).map(|number| (number, accept(&listener))).collect();
        let all = streams.iter().map(|(number, stream)| (*number, stream.try_clone().unwrap())).collect();
        let all: Arc<Mutex<Vec<(usize, TcpStream)>>> = Arc::new(Mutex::new(all));
        let serve = |(number, mut stream): (usize, TcpStream)| {
            let all = Arc::clone(&all);
            thread::spawn(move || {
                let heard = converse(&mut stream, |message, stream| {
                    if message.eq_ignore_ascii_case("fin") {
                        let _ = stream.write_all(b"FIN");
                        return Turn::End;
                    }
                    for (_, other) in all.lock().unwrap().iter().filter(|(other, _)| *other != number) {
                        let _ = (&*other).write_all(format!("Thread-{number}> {message}").as_bytes());
                    }
                    Turn::Next
                });
                all.lock().unwrap().retain(|(other, _)| *other != number);
                heard
            })
        };
        let threads: Vec<_> = streams.into_iter().map(serve).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    (address, server)
}

/// What a server does after a message.
enum Turn {
    Next,
    End,
    Broken,
}

fn converse(stream: &mut TcpStream, mut answer: impl FnMut(&str, &mut TcpStream) -> Turn) -> Heard {
    let mut heard = Heard::default();
    let mut buffer = [0; 1024];
    while heard.messages.len() < TURNS_MAX {
        let Ok(len) = stream.read(&mut buffer) else { return heard };
        let message = String::from_utf8_lossy(&buffer[..len]).into_owned();
        let turn = answer(&message, stream);
        heard.messages.push(message);
        match turn {
            Turn::Next => {}
            Turn::End => {
                heard.is_over = true;
                return heard;
            }
            Turn::Broken => return heard,
        }
    }
    heard
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}
