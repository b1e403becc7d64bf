//! The addresses of the server: the look-up under way, and the newest answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};

use mio::{Registry, Token, Waker};

use super::address::ServerAddress;
use crate::net::resolve::{Answer, in_background};

/// Looks up the server's name on a thread, at most one at a time: a look-up that hangs is awaited, not repeated.
#[derive(Debug)]
pub(crate) struct Resolver {
    address: ServerAddress,
    look_up: fn(&ServerAddress) -> Answer,
    waker: Arc<Waker>,
    /// The answer of the thread, if it was not taken yet.
    pending: Option<Receiver<Answer>>,
    /// The newest addresses.
    known: Vec<SocketAddr>,
}

impl Resolver {
    /// A resolver for `address`, which wakes the poller of `registry` with `token`. A poller has one waker.
    ///
    /// # Errors
    /// The poller fails.
    pub(crate) fn new(address: ServerAddress, registry: &Registry, token: Token) -> io::Result<Resolver> {
        Resolver::with(ServerAddress::resolve, address, registry, token)
    }

    /// The same, with another function to look a name up.
    pub(super) fn with(
        look_up: fn(&ServerAddress) -> Answer,
        address: ServerAddress,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Resolver> {
        let waker = Arc::new(Waker::new(registry, token)?);
        Ok(Resolver { address, look_up, waker, pending: None, known: Vec::new() })
    }

    /// Begins a look-up, unless one is still under way. An IP address needs no thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        if let Some(pending) = &self.pending
            && matches!(pending.try_recv(), Err(TryRecvError::Empty))
        {
            return Ok(());
        }
        // An answer that was not taken in time is dropped: the name may have moved since.
        self.pending = Some(match self.address.literal() {
            Some(address) => {
                let (sender, receiver) = mpsc::sync_channel(1);
                // The receiver is in this function.
                let _ = sender.send(Ok(vec![address]));
                receiver
            }
            None => {
                let (address, look_up, waker) = (self.address.clone(), self.look_up, Arc::clone(&self.waker));
                // If waking fails, the attempt looks again at its deadline.
                in_background(move || look_up(&address), move || drop(waker.wake()))?
            }
        });
        Ok(())
    }

    /// Returns the answer of the look-up, once.
    pub(crate) fn take_answer(&mut self) -> Option<Answer> {
        let answer = match self.pending.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(io::Error::other("the look-up failed")),
            Ok(answer) => answer,
        };
        self.pending = None;
        if let Ok(addresses) = &answer
            && !addresses.is_empty()
        {
            self.known.clone_from(addresses);
        }
        Some(answer)
    }

    /// The addresses of the newest answer; none before the first.
    pub(crate) fn known(&self) -> &[SocketAddr] {
        &self.known
    }
}
