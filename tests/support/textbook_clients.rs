//! Clients as textbooks write them: blocking sockets, no framing, one `recv` a message, and an end that is a comparison
//! of what one `recv` returned. Each runs in threads of its own, and counts its turns: a client that misses its end
//! would turn for ever.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The textbook that a client follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Book {
    /// The client of a threaded relay: a thread prints each `recv`, and ends on `FIN` in any case.
    Relay,
    /// The client of an echo server: sends and receives in turn, and ends once it has said `exit` and received exactly
    /// `FIN`.
    Echo,
    /// Turn by turn: ends on `fin` in any case, or on nothing, received or said.
    Turns,
    /// A thread sends, another one receives, and ends on exactly `exit`.
    Pair,
    /// A window: a thread receives until it receives exactly `FIN`.
    Window,
}

impl Book {
    pub const ALL: [Book; 5] = [Book::Relay, Book::Echo, Book::Turns, Book::Pair, Book::Window];

    /// The word by which its user leaves.
    pub fn word(self) -> &'static str {
        match self {
            Book::Relay => "fin",
            Book::Turns => "fin",
            Book::Echo | Book::Pair => "exit",
            Book::Window => "FIN",
        }
    }

    /// Whether a message that was received ends the client.
    fn ends_on(self, message: &str, last_sent: &str) -> bool {
        match self {
            Book::Relay => message.eq_ignore_ascii_case("fin"),
            Book::Echo => message == "FIN" && last_sent == "exit",
            Book::Turns => message.eq_ignore_ascii_case("fin") || message.is_empty(),
            Book::Pair => message == "exit",
            Book::Window => message == "FIN",
        }
    }
}

/// How a client ended.
#[derive(Debug)]
pub struct Ended {
    /// All that it received, one message a `recv`, the last of which ended it.
    pub received: Vec<String>,
    /// Empty messages, each an end of input that the textbook takes for a message.
    pub empty: usize,
}

/// Empty messages after which a client is said to spin.
const EMPTY_MAX: usize = 3;

/// A running client.
pub struct TextbookClient {
    stream: TcpStream,
    ending: &'static str,
    heard: Receiver<String>,
    sent: Sender<String>,
    thread: JoinHandle<Ended>,
}

impl TextbookClient {
    /// Connects; `ending` is put behind each message that it sends: nothing, or a newline as some textbooks have it.
    /// With a newline, it takes off the white space of what it receives, too.
    pub fn join(book: Book, address: SocketAddr, ending: &'static str) -> TextbookClient {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a deadline");
        let (tell, heard) = channel();
        let (sent, said) = channel::<String>();
        let mut reader = stream.try_clone().expect("a second handle");
        let thread = std::thread::spawn(move || {
            let (mut buffer, mut ended, mut last_sent) =
                ([0; 1024], Ended { received: Vec::new(), empty: 0 }, String::new());
            loop {
                let len = reader.read(&mut buffer).unwrap_or(0);
                last_sent = said.try_iter().last().unwrap_or(last_sent);
                let mut message = String::from_utf8_lossy(&buffer[..len]).into_owned();
                if !ending.is_empty() {
                    message.truncate(message.trim_end().len());
                }
                // With a newline, several lines may come in one `recv`: such a textbook reads them by `readline`.
                let messages: Vec<_> = if ending.is_empty() { vec![message] } else { split(&message) };
                for message in messages {
                    let is_end = book.ends_on(&message, &last_sent);
                    ended.empty += usize::from(message.is_empty());
                    let _ = tell.send(message.clone());
                    ended.received.push(message);
                    if is_end {
                        let _ = reader.shutdown(Shutdown::Both);
                        return ended;
                    }
                }
                if ended.empty > EMPTY_MAX {
                    return ended;
                }
            }
        });
        TextbookClient { stream, ending, heard, sent, thread }
    }

    /// Sends what its user typed.
    pub fn types(&mut self, text: &str) {
        let _ = self.sent.send(text.to_owned());
        self.stream.write_all(format!("{text}{}", self.ending).as_bytes()).expect("the server takes it");
    }

    /// Waits until a message holds this.
    #[track_caller]
    pub fn hears(&self, text: &str) {
        loop {
            let message = self.heard.recv_timeout(Duration::from_secs(20));
            if message.unwrap_or_else(|_| panic!("{text:?} never came")).contains(text) {
                return;
            }
        }
    }

    /// The user closes the window without a word.
    pub fn vanishes(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        let _ = self.thread.join();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ends(self) -> Ended {
        self.thread.join().expect("it ends")
    }
}

fn split(text: &str) -> Vec<String> {
    if text.is_empty() { vec![String::new()] } else { text.lines().map(str::to_owned).collect() }
}
