//! How somebody goes: why, what it is still owed, how long it may take for that, and when it is removed.

use std::fmt;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::time::Instant;

use log::{Level, log};

use super::{Hub, known, known_mut};
use crate::net::stream::Socket;
use crate::relay::notice;
use crate::relay::tape::Position;
use crate::server::connection::{Farewell, Output, Phase};
use crate::server::sniff::ForeignProtocol;
use crate::server::web::websocket::{WebSocketEnd, code};

/// Why somebody who was in the room left it.
#[derive(Debug)]
pub(super) enum Why {
    Farewell,
    EndOfInput,
    Reset(io::Error),
    /// A write failed, and nothing is left to read.
    Unwritable,
    TooSlow,
    NeverSaidAnything,
    ForeignProtocol(ForeignProtocol),
    /// A browser closed its WebSocket, or broke its rules.
    SocketEnd(WebSocketEnd),
    /// The operator wished it.
    Removed,
}

impl<S: Socket> Hub<S> {
    /// Takes one out of the room. It is owed what was said before; one whom nothing can reach any more is gone.
    pub(super) fn depart(&mut self, key: usize, why: &Why, now: Instant) {
        let connection = &mut self.connections[key];
        let Phase::Present(seat) = connection.phase else { return };
        let left = self.room.leave(seat, !self.brake.is_at_wall());
        self.brake.spend(left.announced);
        let present = self.room.clients();
        let peer = if self.console == Some(key) { Peer::Console } else { Peer::of(connection.stream()) };
        let level = if let Why::ForeignProtocol(_) = why { Level::Debug } else { Level::Info };
        log!(level, "{} left ({why}; {peer}); {present} present", left.name);
        match why {
            Why::TooSlow => self.figures.refused.slow += 1,
            Why::NeverSaidAnything => self.figures.refused.silent += 1,
            Why::ForeignProtocol(stranger) => self.figures.count_stranger(*stranger),
            Why::Removed => self.figures.refused.removed += 1,
            Why::Farewell | Why::EndOfInput | Why::SocketEnd(_) | Why::Reset(_) | Why::Unwritable => {}
        }
        match why {
            Why::Farewell | Why::EndOfInput => self.see_off(key, left.stop, Farewell::Fin(code::NORMAL), now),
            Why::SocketEnd(WebSocketEnd::Closed(code)) => {
                connection.reader.forgo(left.stop);
                self.see_off(key, left.stop, Farewell::Close(*code), now);
            }
            Why::SocketEnd(WebSocketEnd::Broken(code)) => {
                connection.reader.forgo(left.stop);
                self.see_off(key, left.stop, Farewell::Close(Some(*code)), now);
            }
            Why::TooSlow => {
                connection.reader.give_up(left.stop);
                connection.tell(&notice::too_slow());
                self.see_off(key, left.stop, Farewell::Fin(code::POLICY), now);
            }
            Why::NeverSaidAnything => {
                let idle_timeout = self.limits.idle_timeout.unwrap_or_default();
                connection.tell(&notice::never_said_anything(idle_timeout.as_secs()));
                self.see_off(key, left.stop, Farewell::Fin(code::POLICY), now);
            }
            Why::ForeignProtocol(stranger) => {
                let farewell = self.tell_stranger(key, *stranger, left.stop);
                self.see_off(key, left.stop, farewell, now);
            }
            Why::Removed => {
                // One who takes nothing is owed no more of what was said, or it could make its removal last.
                if connection.output == Output::Blocked {
                    connection.reader.give_up(left.stop);
                }
                connection.tell(&notice::removed());
                self.see_off(key, left.stop, Farewell::Fin(code::POLICY), now);
            }
            Why::Reset(_) | Why::Unwritable => self.lists.remove(key, connection),
        }
    }

    /// Begins the farewell of one who is owed what comes before `stop`.
    pub(super) fn see_off(&mut self, key: usize, stop: Position, farewell: Farewell, now: Instant) {
        let connection = &mut self.connections[key];
        connection.leave(stop, farewell, now);
        self.lists.touch(key, connection);
        if let Some(deadline) = connection.deadline() {
            self.due.graces.push(deadline, connection.handle(key));
        }
    }

    /// Gives up those who were let go and have taken nothing for the grace time.
    pub(super) fn end_graces(&mut self, now: Instant) {
        while let Some((_, handle)) = self.due.graces.pop_due(now) {
            let Some(connection) = known_mut(&mut self.connections, handle) else { continue };
            match connection.deadline() {
                Some(deadline) if deadline > now => self.due.graces.push(deadline, handle),
                Some(_) => self.lists.remove(handle.key, connection),
                None => {}
            }
        }
    }

    /// Removes those who are gone, wherever they are listed or counted. Returns how many they were.
    pub(super) fn remove_gone(&mut self) -> usize {
        let gone = mem::take(&mut self.lists.gone);
        for &key in &gone {
            let is_visitor = self.connections.remove(key).is_visitor();
            let was_refused = self.refused.contains(&key);
            self.refused.retain(|&refused| refused != key);
            self.visitors -= usize::from(is_visitor && !was_refused);
            if self.console == Some(key) {
                self.console = None;
            }
            if let Some(door) = &mut self.door {
                door.release(key);
            }
        }
        // Entries of those who did not need their grace are not looked for one by one.
        let connections = &self.connections;
        self.due.graces.tidy(connections.len(), |_, handle| known(connections, handle).is_some());
        gone.len()
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Farewell => f.write_str("said goodbye"),
            Why::EndOfInput => f.write_str("end of input"),
            Why::Reset(error) => write!(f, "{error}"),
            Why::Unwritable => f.write_str("writing to it failed"),
            Why::TooSlow => f.write_str("read too slowly"),
            Why::NeverSaidAnything => f.write_str("never said anything"),
            Why::ForeignProtocol(stranger) => write!(f, "spoke {stranger}"),
            Why::SocketEnd(WebSocketEnd::Closed(_)) => f.write_str("closed its page"),
            Why::SocketEnd(WebSocketEnd::Broken(code)) => write!(f, "broke the rules of WebSocket: {code}"),
            Why::Removed => f.write_str("removed by the operator"),
        }
    }
}

/// The address of the other side, for the log: asked of the kernel when it is wanted, and kept nowhere.
pub(super) enum Peer {
    Client(Option<SocketAddr>),
    Console,
}

impl Peer {
    pub(super) fn of<S: Socket>(stream: &S) -> Peer {
        Peer::Client(stream.peer_address().ok())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Client(Some(address)) => write!(f, "{address}"),
            Peer::Client(None) => f.write_str("address unknown by now"),
            Peer::Console => f.write_str("the console"),
        }
    }
}
