//! The relay of the textbooks: a thread for each client, blocking sockets, a lock around the list of clients.
//!
//! It is as good as its design lets it be, so that the I/O model is all that differs: the same decoder and cleaning,
//! the same greeting and names, no second descriptor for a client (the sockets are shared by `Arc`), no buffer that an
//! idle client would have to pay for beyond its thread's stack, the same backlog of the listener.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use pollchat::relay::line::{Framing, Line, LineDecoder, LineEnds, Overlong};
use pollchat::relay::sanitize::sanitize;

const FRAMING: Framing = Framing { line_bytes_max: 4_096, overlong: Overlong::Drop, ends: LineEnds::NewlineOrReturn };

/// Bytes of its stack that a client's thread reads into.
const READ_BYTES: usize = 4_096;

/// All clients, with their numbers. Whoever relays holds the lock for as long as it takes, as the textbooks do.
type Clients = Arc<Mutex<Vec<(u64, Arc<TcpStream>)>>>;

/// Accepts for ever.
pub(crate) fn serve(listener: &TcpListener) -> io::Result<()> {
    let clients = Clients::default();
    for number in 1.. {
        let (stream, _) = listener.accept()?;
        let clients = Arc::clone(&clients);
        // One who cannot be given a thread is not served; the others are.
        let _ = thread::Builder::new().spawn(move || {
            let stream = Arc::new(stream);
            // Its error is the end of this client, and of nobody else.
            let _ = talk(number, &stream, &clients);
            lock(&clients).retain(|(other, _)| *other != number);
        });
    }
    Ok(())
}

fn talk(number: u64, stream: &Arc<TcpStream>, clients: &Clients) -> io::Result<()> {
    stream.set_nodelay(true)?;
    lock(clients).push((number, Arc::clone(stream)));
    (&**stream).write_all(format!("* you are client-{number}\n").as_bytes())?;
    let mut buffer = [0; READ_BYTES];
    let mut decoder = LineDecoder::default();
    let mut cleaned = String::new();
    loop {
        let bytes = (&**stream).read(&mut buffer)?;
        if bytes == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..bytes];
        while let Some(line) = decoder.next(&mut rest, FRAMING) {
            if let Line::Text(raw) = line {
                let said = format!("client-{number}> {}\n", sanitize(raw, &mut cleaned));
                for (_, other) in lock(clients).iter().filter(|(other, _)| *other != number) {
                    // One who cannot be written to will find that out in its own thread.
                    let _ = (&**other).write_all(said.as_bytes());
                }
            }
        }
    }
}

fn lock(clients: &Clients) -> std::sync::MutexGuard<'_, Vec<(u64, Arc<TcpStream>)>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}
