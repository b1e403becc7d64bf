//! The bare floor: what the kernel alone charges for passing on what one socket sends to all the others.
//!
//! No names, no framing, no loop, no bookkeeping: one blocking `recv`, then one blocking `send` for each of the others.
//! Whatever relays the same bytes over the same sockets can at best do with fewer sends.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Bytes that one `recv` takes: as many as the relay's own.
const READ_BYTES: usize = 64 * 1024;

/// Accepts `clients`, of whom the first one talks and the others hear it, until the first one leaves.
pub(crate) fn serve(listener: &TcpListener, clients: usize) -> io::Result<()> {
    let accepted = |_| {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let mut streams = (0..clients).map(accepted).collect::<io::Result<Vec<TcpStream>>>()?;
    let (talker, others) = streams.split_first_mut().ok_or(io::ErrorKind::InvalidInput)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let bytes = talker.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(());
        }
        for other in &mut *others {
            other.write_all(&buffer[..bytes])?;
        }
    }
}
