//! TLS of a connection: the text that waits to be read, and the ciphertext that waits to be written.
//!
//! To the write paths a sealed connection looks like a socket that takes up to one record of text at a time, and blocks
//! while ciphertext is unsent. A record is to TLS what a frame is to a WebSocket: once it is sealed, its text counts as
//! written, and the rest of the record comes first. So the outbox, frames and torn lines are text, as without TLS.
//!
//! The state is boxed with that of an active connection. A plain client pays nothing for it.

use std::io::{self, IoSlice};
use std::mem;
use std::sync::Arc;

use rustls::ServerConfig;

use super::{Connection, Phase};
use crate::net::outbox::Outbox;
use crate::net::stream::{Received, Socket, receive};
use crate::net::tls::{RECORD_BYTES_MAX, RECORD_TEXT_BYTES, Session};
use crate::relay::tape::Tape;
use crate::server::limits::SCRATCH_BYTES;

/// Ciphertext that one read may take without any text, in bytes: a client that sends more keeps the server busy with
/// nothing. The longest record is a quarter of it.
const TEXTLESS_BYTES_MAX: usize = 64 * 1024;

/// The target of the reads of all sealed connections. Owns no heap on a server without TLS.
#[derive(Debug, Default)]
pub struct SealedInput {
    scratch: Vec<u8>,
    /// Bytes of ciphertext in the last read.
    taken: usize,
}

impl SealedInput {
    /// Gets ready for sealed connections.
    pub fn open(&mut self) {
        self.scratch.resize(SCRATCH_BYTES - RECORD_BYTES_MAX, 0);
    }

    /// Returns how many bytes of ciphertext the last read took, and forgets it.
    pub fn take_taken(&mut self) -> usize {
        mem::take(&mut self.taken)
    }
}

/// TLS of one connection.
#[derive(Debug, Default)]
pub(super) struct Tls {
    /// `None` until the peer has sent something.
    session: Option<Box<Session>>,
    /// Ciphertext that came with the header of a proxy.
    early: Vec<u8>,
    /// Text that its reader had no room for.
    opened: Outbox,
    /// Ciphertext that the socket has not taken.
    unsent: Outbox,
    /// Bytes of ciphertext that the socket has taken and that were not counted.
    sent_bytes: usize,
}

/// The state of a handshake after bytes of the peer.
#[derive(Debug)]
pub enum Heard {
    /// More bytes are needed.
    Partial,
    /// A step was taken that costs time, and more bytes are needed.
    Answered,
    /// It is over: text may be read and written.
    Done,
    /// It failed. An alert may be unsent.
    Failed(String),
}

impl Tls {
    /// Reads text, as [`Connection::receive`] does: `bytes_max` limits the ciphertext. A record is opened as a whole, so
    /// the text may be longer by one that has begun to arrive before.
    fn receive(
        &mut self,
        stream: &mut impl Socket,
        buffer: &mut [u8],
        bytes_max: usize,
        input: &mut SealedInput,
    ) -> Received {
        let mut textless_bytes = 0;
        while self.opened.is_empty() {
            let Some(session) = &mut self.session else { return Received::NotYet };
            if session.is_ended() {
                return Received::End;
            }
            let scratch_bytes = input.scratch.len().min(bytes_max);
            let received = match receive(stream, &mut input.scratch[..scratch_bytes]) {
                Received::Bytes(bytes) => &mut input.scratch[..bytes],
                Received::End => return Received::Failed(io::ErrorKind::UnexpectedEof.into()),
                other => return other,
            };
            input.taken += received.len();
            textless_bytes += received.len();
            let mut filled = 0;
            let opened = &mut self.opened;
            let result = session.take_in(received, self.unsent.buffer(), |text| {
                let fitting = text.len().min(buffer.len() - filled);
                buffer[filled..filled + fitting].copy_from_slice(&text[..fitting]);
                filled += fitting;
                if fitting < text.len() {
                    opened.push(&text[fitting..]);
                }
            });
            match result {
                Err(error) => return Received::Failed(io::Error::new(io::ErrorKind::InvalidData, error)),
                Ok(()) if filled > 0 => return Received::Bytes(filled),
                Ok(()) if textless_bytes > TEXTLESS_BYTES_MAX => {
                    let what = "sends records without text";
                    return Received::Failed(io::Error::new(io::ErrorKind::InvalidData, what));
                }
                Ok(()) => {}
            }
        }
        let bytes = self.opened.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&self.opened.unsent()[..bytes]);
        self.opened.advance(bytes);
        Received::Bytes(bytes)
    }

    /// Writes text, as a socket does: seals up to one record of it, and keeps what the socket does not take.
    fn put(&mut self, stream: &mut impl Socket, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_unsent(stream)?;
        let mut sealed = Vec::new();
        let session = self.session.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let bytes = session.seal(slices, &mut sealed).map_err(io::Error::other)?;
        self.unsent.replace(sealed);
        match self.write_unsent(stream) {
            Err(error) if !is_passing(&error) => Err(error),
            _ => Ok(bytes),
        }
    }

    /// Writes unsent ciphertext until none is left.
    fn write_unsent(&mut self, stream: &mut impl Socket) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match stream.write(self.unsent.unsent())? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                bytes => {
                    self.unsent.advance(bytes);
                    self.sent_bytes += bytes;
                }
            }
        }
        Ok(())
    }

    /// Whether the socket has taken all ciphertext.
    pub(super) fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Tells the peer that no more text follows, the first time, and writes all that is unsent.
    fn end(&mut self, stream: &mut impl Socket) -> io::Result<()> {
        if let Some(session) = self.session.as_mut().filter(|session| !session.is_handshaking()) {
            session.close(self.unsent.buffer()).map_err(io::Error::other)?;
        }
        self.write_unsent(stream)
    }
}

/// Whether the same write may succeed later.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Writes `bytes` once: to the socket, or sealed if there is TLS.
pub(super) fn put_one(stream: &mut impl Socket, tls: Option<&mut Tls>, bytes: &[u8]) -> io::Result<usize> {
    match tls {
        Some(tls) => tls.put(stream, &[IoSlice::new(bytes)]),
        None => stream.write(bytes),
    }
}

/// Writes `slices` once: to the socket, or sealed if there is TLS.
pub(super) fn put(stream: &mut impl Socket, tls: Option<&mut Tls>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match tls {
        Some(tls) => tls.put(stream, slices),
        None => stream.write_vectored(slices),
    }
}

impl<S: Socket> Connection<S> {
    /// Lets it begin with a TLS handshake, whose first bytes are `early`.
    pub fn expect_tls(&mut self, early: Vec<u8>) {
        self.busy.get_or_insert_default().tls = Some(Box::new(Tls { early, ..Tls::default() }));
    }

    /// Lets it speak plain text after all: it has sent something else than a handshake.
    pub fn forget_tls(&mut self) {
        if let Some(busy) = &mut self.busy {
            busy.tls = None;
        }
    }

    /// Whether it speaks TLS.
    pub fn is_sealed(&self) -> bool {
        self.tls().is_some()
    }

    /// Whether its TLS handshake is not over.
    pub fn is_handshaking(&self) -> bool {
        self.tls().is_some_and(|tls| tls.session.as_ref().is_none_or(|session| session.is_handshaking()))
    }

    /// Whether it has sent nothing of a TLS handshake yet.
    pub fn awaits_hello(&self) -> bool {
        self.tls().is_some_and(|tls| tls.session.is_none())
    }

    /// Reads ciphertext of a handshake once, no more than the longest record. The bytes are at the front of the slice.
    pub fn receive_hello<'a>(&mut self, input: &'a mut SealedInput) -> (Received, &'a mut [u8]) {
        let early = self.tls_mut().map(|tls| mem::take(&mut tls.early)).unwrap_or_default();
        if !early.is_empty() {
            let bytes = &mut input.scratch[..early.len()];
            bytes.copy_from_slice(&early);
            return (Received::Bytes(early.len()), bytes);
        }
        let space = RECORD_BYTES_MAX.min(input.scratch.len());
        let received = receive(&mut self.stream, &mut input.scratch[..space]);
        let bytes = if let Received::Bytes(bytes) = received { bytes } else { 0 };
        (received, &mut input.scratch[..bytes])
    }

    /// Takes in bytes of a TLS handshake, which it overwrites. `config` is that of a session which begins with them.
    pub fn hear(&mut self, bytes: &mut [u8], config: &Arc<ServerConfig>) -> Heard {
        let Some(tls) = self.tls_mut() else { return Heard::Done };
        if tls.session.is_none() {
            match Session::new(config) {
                Ok(session) => tls.session = Some(Box::new(session)),
                Err(error) => return Heard::Failed(error.to_string()),
            }
        }
        let Some(session) = &mut tls.session else { return Heard::Partial };
        let unsent_before = tls.unsent.len();
        let opened = &mut tls.opened;
        match session.take_in(bytes, tls.unsent.buffer(), |text| opened.push(text)) {
            Err(error) => Heard::Failed(error.to_string()),
            Ok(()) if !session.is_handshaking() => Heard::Done,
            Ok(()) if tls.unsent.len() > unsent_before => Heard::Answered,
            Ok(()) => Heard::Partial,
        }
    }

    /// Returns how many bytes of ciphertext the socket has not taken.
    pub fn unsent_bytes(&self) -> usize {
        self.tls().map_or(0, |tls| tls.unsent.len())
    }

    /// Reads once, about `bytes_max` bytes: text, if it speaks TLS. `input` is scratch space.
    ///
    /// An EOF without a word of the peer that it ends (`close_notify`) is an error: anybody on the way could have ended
    /// a line where it suits them.
    pub fn receive(&mut self, buffer: &mut [u8], bytes_max: usize, input: &mut SealedInput) -> Received {
        match self.busy.as_mut().and_then(|busy| busy.tls.as_mut()) {
            Some(tls) => tls.receive(&mut self.stream, buffer, bytes_max, input),
            None => {
                let bytes = bytes_max.min(buffer.len());
                receive(&mut self.stream, &mut buffer[..bytes])
            }
        }
    }

    /// Reads once, and leaves the bytes as they are: they are to be dropped.
    pub fn receive_to_drop(&mut self, buffer: &mut [u8]) -> Received {
        receive(&mut self.stream, buffer)
    }

    /// Returns how many bytes the socket has taken since this was last asked, where `text_bytes` were written.
    pub(super) fn take_sent(&mut self, text_bytes: usize) -> usize {
        self.tls_mut().map_or(text_bytes, |tls| mem::take(&mut tls.sent_bytes))
    }

    /// Writes unsent ciphertext until none is left.
    pub(super) fn write_unsent(&mut self) -> io::Result<()> {
        match self.busy.as_mut().and_then(|busy| busy.tls.as_mut()) {
            Some(tls) => tls.write_unsent(&mut self.stream),
            None => Ok(()),
        }
    }

    /// Ends its output: with TLS, first with a word that it ends.
    pub(super) fn shut_down_output(&mut self) -> io::Result<()> {
        if let Some(tls) = self.busy.as_mut().and_then(|busy| busy.tls.as_mut()) {
            tls.end(&mut self.stream)?;
        }
        self.stream.shutdown_write()
    }

    /// Drops text that was opened and not read.
    pub(super) fn drop_opened(&mut self) {
        if let Some(tls) = self.tls_mut() {
            tls.opened.clear();
        }
    }

    /// Drops unsent ciphertext.
    pub(super) fn drop_unsent(&mut self) {
        if let Some(tls) = self.tls_mut() {
            tls.unsent.clear();
        }
    }

    /// Writes the pending tape of an idle sealed client in one call, if it is owed nothing else. Returns whether the
    /// socket took all of it.
    ///
    /// This is the fast path of [`flush_all`](Connection::flush_all), which decides the cost of a delivery.
    pub(super) fn flush_sealed_client(&mut self, tape: &Tape, share: usize, sent_bytes: &mut u64) -> bool {
        let view = self.view(tape);
        let Some(busy) = self.busy.as_mut().filter(|busy| busy.is_idle_client()) else { return false };
        let Some(tls) = busy.tls.as_deref_mut() else { return false };
        if !self.cursor.is_plain() || !matches!(self.phase, Phase::Present(_)) {
            return false;
        }
        let Some(lines) = self.cursor.pending_in_one(view, tape.end().offset) else { return false };
        if lines.is_empty() {
            return true;
        }
        if lines.len() > share.min(RECORD_TEXT_BYTES) {
            return false;
        }
        match tls.put(&mut self.stream, &[IoSlice::new(lines)]) {
            Ok(_) => {
                let is_whole = tls.is_sent();
                *sent_bytes += mem::take(&mut tls.sent_bytes) as u64;
                self.cursor.set_position(tape.end(), view.dialect);
                is_whole
            }
            Err(error) => {
                self.on_write_error(&error);
                false
            }
        }
    }

    fn tls(&self) -> Option<&Tls> {
        self.busy.as_ref()?.tls.as_deref()
    }

    fn tls_mut(&mut self) -> Option<&mut Tls> {
        self.busy.as_mut()?.tls.as_deref_mut()
    }
}
