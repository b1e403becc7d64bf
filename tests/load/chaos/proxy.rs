//! A TCP proxy that cuts connections after any byte, tears what it passes on into pieces, and delays it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::random::Random;

/// A proxy before a server. Its threads end with the test program.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    random: Mutex<Random>,
    is_calm: AtomicBool,
    connections: AtomicUsize,
    cuts: AtomicUsize,
}

/// The weather of one direction of a connection.
struct Weather {
    random: Random,
    /// Bytes until it is cut.
    left: u64,
    /// The longest piece, in bytes.
    piece: u64,
    /// The longest delay of a piece, in ms.
    delay: u64,
}

impl Proxy {
    pub(super) fn start(server: SocketAddr, random: Random) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server,
            random: Mutex::new(random),
            is_calm: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
        });
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                for_thread.serve(&client);
            }
        });
        Proxy { address, shared }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes everything on as it comes from now on.
    pub(super) fn calm(&self) {
        self.shared.is_calm.store(true, Ordering::Relaxed);
    }

    /// Connections so far, and those that it has cut.
    pub(super) fn counts(&self) -> [usize; 2] {
        [&self.shared.connections, &self.shared.cuts].map(|count| count.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn serve(self: &Arc<Shared>, client: &TcpStream) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(server) = TcpStream::connect(self.server) else { return };
        for stream in [client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let mut random = self.random.lock().unwrap();
        for (from, to, is_up) in [(client, &server, true), (&server, client, false)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let (shared, weather) = (Arc::clone(self), Weather::new(&mut random, is_up));
            thread::spawn(move || shared.copy(from, to, weather));
        }
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, mut weather: Weather) {
        let mut buffer = [0; 4 << 10];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            let mut rest = &buffer[..len];
            while !rest.is_empty() {
                let is_calm = self.is_calm.load(Ordering::Relaxed);
                let piece = if is_calm { rest.len() } else { weather.next_piece(rest.len()) };
                if piece == 0 {
                    self.cuts.fetch_add(1, Ordering::Relaxed);
                    weather.cut(&from, &to);
                    return;
                }
                if to.write_all(&rest[..piece]).is_err() {
                    let _ = from.shutdown(Shutdown::Both);
                    return;
                }
                rest = &rest[piece..];
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

impl Weather {
    fn new(random: &mut Random, is_up: bool) -> Weather {
        let mut random = random.split();
        // Some end within the first words, most in the middle of the conversation.
        let most = match random.below(8) {
            0 => 60,
            1 => 400,
            _ => {
                if is_up {
                    3_000
                } else {
                    60_000
                }
            }
        };
        let left = random.between(1..=most);
        let piece = [3, 100, 4_096][random.below(3)];
        let delay = [0, 0, 1, 15][random.below(4)];
        Weather { left, piece, delay, random }
    }

    /// Waits, and returns the length of what is passed on next; 0 if the connection is to be cut.
    fn next_piece(&mut self, available: usize) -> usize {
        let piece = self.random.between(1..=self.piece).min(available as u64).min(self.left);
        if self.delay > 0 && self.random.one_in(4) {
            let delay = self.random.millis(0..=self.delay);
            thread::sleep(delay);
        }
        self.left -= piece;
        usize::try_from(piece).unwrap()
    }

    fn cut(&mut self, from: &TcpStream, to: &TcpStream) {
        // What was passed on arrives first, or does not.
        thread::sleep(Duration::from_millis(self.random.between(0..=1)));
        for stream in [from, to] {
            if self.random.one_in(2) {
                crate::support::socket::reset(stream);
            }
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
