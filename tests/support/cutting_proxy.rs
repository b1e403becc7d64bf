//! A TCP proxy that breaks its connections: at a word, or after so many bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::socket::reset;

/// A proxy before a server. Its threads end with the test program.
pub struct CuttingProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: Mutex<SocketAddr>,
    /// Both streams of each open connection.
    open: Mutex<Vec<[TcpStream; 2]>>,
    /// State of the random numbers; 0: nothing is cut by itself.
    random: AtomicU64,
    /// Bytes of either direction before those that the random numbers allow.
    more_bytes: u64,
    connections: AtomicUsize,
}

impl CuttingProxy {
    /// A proxy that cuts only when it is told.
    pub fn start(server: SocketAddr) -> CuttingProxy {
        CuttingProxy::with(server, 0, 0)
    }

    /// A proxy that cuts each connection after 1 to 600 bytes of either direction, by this seed. The first one lasts
    /// until it may be tracked.
    pub fn chaotic(server: SocketAddr, seed: u64) -> CuttingProxy {
        CuttingProxy::with(server, seed | 1, 0)
    }

    /// The same, after so many bytes more: those of a handshake, say.
    pub fn chaotic_after(bytes: u64, server: SocketAddr, seed: u64) -> CuttingProxy {
        CuttingProxy::with(server, seed | 1, bytes)
    }

    fn with(server: SocketAddr, random: u64, more_bytes: u64) -> CuttingProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: Mutex::new(server),
            open: Mutex::default(),
            random: AtomicU64::new(random),
            more_bytes,
            connections: AtomicUsize::new(0),
        });
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                for_thread.serve(client);
            }
        });
        CuttingProxy { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Breaks all connections.
    pub fn cut(&self) {
        for [client, server] in self.shared.open.lock().unwrap().drain(..) {
            break_both(&client, &server);
        }
    }

    /// Leads new connections to another server.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.shared.server.lock().unwrap() = server;
    }

    /// Cuts nothing by itself from now on.
    pub fn calm(&self) {
        self.shared.random.store(0, Ordering::Relaxed);
    }
}

impl Shared {
    fn serve(self: &Arc<Shared>, client: TcpStream) {
        let to = *self.server.lock().unwrap();
        let Ok(server) = TcpStream::connect(to) else { return };
        let is_first = self.connections.fetch_add(1, Ordering::Relaxed) == 0;
        let [more_up, more_down] = if is_first { [40, 1_000] } else { [0, 0] };
        let [up, down] = [self.budget().saturating_add(more_up), self.budget().saturating_add(more_down)];
        let both = [client, server];
        self.open.lock().unwrap().push(both.each_ref().map(|stream| stream.try_clone().unwrap()));
        let [client, server] = &both;
        for ((from, to), budget) in [(client, server), (server, client)].into_iter().zip([up, down]) {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let shared = Arc::clone(self);
            thread::spawn(move || shared.copy(from, to, budget));
        }
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, mut budget: u64) {
        let mut buffer = [0; 4 << 10];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            let is_calm = self.random.load(Ordering::Relaxed) == 0;
            let passed = if is_calm { len } else { len.min(usize::try_from(budget).unwrap()) };
            if to.write_all(&buffer[..passed]).is_err() {
                break;
            }
            budget = budget.saturating_sub(passed as u64);
            if passed < len {
                // What was passed on arrives first.
                thread::sleep(std::time::Duration::from_millis(1));
                break_both(&from, &to);
                return;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    }

    fn budget(&self) -> u64 {
        let next =
            |random: u64| (random != 0).then(|| random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(2) | 1);
        let random = self.random.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        random.map_or(u64::MAX, |random| self.more_bytes + 1 + (random >> 33) % 600)
    }
}

fn break_both(a: &TcpStream, b: &TcpStream) {
    for stream in [a, b] {
        reset(stream);
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}
