//! Reasons of refusals and leaves: one enum for counters, log, notices and HTTP answers.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::bans::Ban;
use super::fields::Quoted;
use super::sniff::ForeignProtocol;
use super::web::response::Status;
use super::web::websocket::{WebSocketEnd, code};
use crate::relay::event::Event;
use crate::relay::notice::Notice;
use crate::relay::roster::MemberId;

/// Reason of a refusal, or of a leave.
#[derive(Debug)]
pub enum Reason {
    /// All seats are taken: so many.
    Full(usize),
    /// All places for visitors of the page are taken: so many.
    VisitorsFull(usize),
    /// There is no place for the room that a browser wants to enter: so many exist, `--rooms`.
    RoomsFull(usize),
    /// `--allow` or `--deny` forbids its address.
    AddressDenied,
    /// This ban holds for its address.
    Banned(Arc<Ban>),
    /// So many connections, `--max-per-address`, are open from its address.
    AddressCrowded(usize),
    /// It is a proxy, and did not begin with a header of the PROXY protocol.
    NoProxyHeader,
    /// It speaks another protocol.
    Foreign(ForeignProtocol),
    /// Its TLS handshake failed.
    TlsFailed,
    /// It gave wrong passwords only.
    PasswordWrong,
    /// Too many wrong passwords came from its address.
    PasswordCrowded,
    /// It gave no password, in time or in lines.
    PasswordMissing,
    /// It has sent nothing for so many seconds, `--idle-timeout`.
    Silent(u64),
    /// It read too slowly.
    TooSlow,
    /// An operator removed it, for this reason; empty if none was given.
    Removed(String),
    /// It said `FIN`.
    Goodbye,
    /// EOF.
    EndOfInput,
    /// The connection failed.
    Reset(io::Error),
    /// A write failed, and nothing is left to read.
    Unwritable,
    /// A browser closed its WebSocket, with this code.
    PageClosed(Option<u16>),
    /// A browser broke the WebSocket protocol; this code says how.
    ProtocolError(u16),
}

/// Counts of each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons([u64; Reason::LABELS.len()]);

impl Reason {
    /// The labels of all reasons in the log and in metrics, by [`index`](Reason::index).
    pub const LABELS: [&str; 24] = [
        "full",
        "page full",
        "rooms full",
        "denied",
        "banned",
        "crowded",
        "no PROXY header",
        "HTTP",
        "TLS",
        "STUN",
        "other protocol",
        "TLS failed",
        "password wrong",
        "password crowded",
        "password missing",
        "silent",
        "slow",
        "removed",
        "goodbye",
        "EOF",
        "reset",
        "unwritable",
        "page closed",
        "WebSocket error",
    ];

    /// The first so many [`LABELS`](Reason::LABELS) are refusals: the connection was turned away.
    const REFUSALS: usize = 15;

    /// The first so many [`LABELS`](Reason::LABELS) are refusals, and disconnects by the server.
    const OURS: usize = 18;

    /// The place of this reason in [`LABELS`](Reason::LABELS).
    pub fn index(&self) -> usize {
        match self {
            Reason::Full(_) => 0,
            Reason::VisitorsFull(_) => 1,
            Reason::RoomsFull(_) => 2,
            Reason::AddressDenied => 3,
            Reason::Banned(_) => 4,
            Reason::AddressCrowded(_) => 5,
            Reason::NoProxyHeader => 6,
            Reason::Foreign(ForeignProtocol::Http) => 7,
            Reason::Foreign(ForeignProtocol::Tls) => 8,
            Reason::Foreign(ForeignProtocol::Stun) => 9,
            Reason::Foreign(_) => 10,
            Reason::TlsFailed => 11,
            Reason::PasswordWrong => 12,
            Reason::PasswordCrowded => 13,
            Reason::PasswordMissing => 14,
            Reason::Silent(_) => 15,
            Reason::TooSlow => 16,
            Reason::Removed(_) => 17,
            Reason::Goodbye => 18,
            Reason::EndOfInput => 19,
            Reason::Reset(_) => 20,
            Reason::Unwritable => 21,
            Reason::PageClosed(_) => 22,
            Reason::ProtocolError(_) => 23,
        }
    }

    /// The label in [`LABELS`](Reason::LABELS).
    pub fn label(&self) -> &'static str {
        Reason::LABELS[self.index()]
    }

    /// Whether this is a refusal, or a disconnect by the server.
    pub fn is_ours(&self) -> bool {
        self.index() < Reason::OURS
    }

    /// Whether a session ends with it. After any other end its client may come back.
    pub fn ends_session(&self) -> bool {
        let is_closed_for_good = matches!(self, Reason::PageClosed(Some(code::NORMAL)));
        let is_by_operator = matches!(self, Reason::Removed(_) | Reason::Banned(_));
        is_closed_for_good || is_by_operator || matches!(self, Reason::Goodbye | Reason::Silent(_) | Reason::Foreign(_))
    }

    /// The event by which a room learns that a member has left the server for this reason.
    pub fn departure(&self, member: MemberId) -> Event<'static> {
        match self {
            Reason::Removed(_) | Reason::Banned(_) => Event::Removed { member },
            _ => Event::Left { member },
        }
    }

    /// The notice for the client, if it gets one.
    pub fn notice(&self) -> Option<Notice<'_>> {
        match self {
            Reason::Full(most) | Reason::VisitorsFull(most) => Some(Notice::ServerFull { clients: *most }),
            Reason::RoomsFull(most) => Some(Notice::RoomsFull { rooms: *most }),
            Reason::AddressDenied => Some(Notice::AddressDenied),
            Reason::Banned(ban) => Some(ban.notice()),
            Reason::AddressCrowded(most) => Some(Notice::AddressCrowded { most: *most }),
            Reason::NoProxyHeader => Some(Notice::ProxyExpected),
            Reason::Foreign(protocol) => Some(Notice::ForeignProtocol { protocol: protocol.name() }),
            Reason::TlsFailed => Some(Notice::TlsExpected),
            Reason::PasswordWrong => Some(Notice::PasswordRefused),
            Reason::PasswordCrowded => Some(Notice::PasswordCrowded),
            Reason::PasswordMissing => Some(Notice::PasswordMissing),
            Reason::Silent(seconds) => Some(Notice::Silent { seconds: *seconds }),
            Reason::TooSlow => Some(Notice::TooSlow),
            Reason::Removed(reason) if reason.is_empty() => Some(Notice::RemovedByOperator),
            Reason::Removed(reason) => Some(Notice::RemovedFor { reason }),
            Reason::Goodbye | Reason::EndOfInput | Reason::Reset(_) | Reason::Unwritable => None,
            Reason::PageClosed(_) | Reason::ProtocolError(_) => None,
        }
    }

    /// The answer in HTTP, for a refused visitor.
    pub fn status(&self) -> Status {
        match self {
            Reason::AddressDenied => Status::AddressNotAllowed,
            Reason::Banned(_) => Status::Banned,
            Reason::AddressCrowded(_) => Status::TooManyRequests,
            _ => Status::ServiceUnavailable,
        }
    }

    /// The close code for a browser (RFC 6455, 7.4).
    pub fn close_code(&self) -> u16 {
        match self {
            Reason::Full(_) | Reason::VisitorsFull(_) | Reason::RoomsFull(_) => code::TRY_AGAIN_LATER,
            Reason::AddressDenied | Reason::AddressCrowded(_) | Reason::PasswordCrowded => code::TRY_AGAIN_LATER,
            Reason::PasswordWrong | Reason::PasswordMissing => code::POLICY,
            Reason::Silent(_) | Reason::TooSlow | Reason::Removed(_) | Reason::Banned(_) => code::POLICY,
            _ => code::NORMAL,
        }
    }
}

impl From<WebSocketEnd> for Reason {
    fn from(end: WebSocketEnd) -> Reason {
        match end {
            WebSocketEnd::Closed(code) => Reason::PageClosed(code),
            WebSocketEnd::Broken(code) => Reason::ProtocolError(code),
        }
    }
}

/// For the log.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Full(most) => write!(f, "the server is full ({most} clients)"),
            Reason::VisitorsFull(most) => write!(f, "the page's port is full ({most} visitors)"),
            Reason::RoomsFull(most) => write!(f, "there is no place for its room ({most} rooms)"),
            Reason::AddressDenied => f.write_str("its address is not allowed"),
            Reason::Banned(ban) => write!(f, "banned: {}", ban.logged()),
            Reason::AddressCrowded(most) => write!(f, "{most} connections are open from its address"),
            Reason::NoProxyHeader => f.write_str("a proxy that sent no PROXY header"),
            Reason::Foreign(protocol) => write!(f, "spoke {}", protocol.name()),
            Reason::TlsFailed => f.write_str("its TLS handshake failed"),
            Reason::PasswordWrong => f.write_str("wrong passwords"),
            Reason::PasswordCrowded => f.write_str("too many wrong passwords from its address"),
            Reason::PasswordMissing => f.write_str("gave no password"),
            Reason::Silent(_) => f.write_str("never said anything"),
            Reason::TooSlow => f.write_str("read too slowly"),
            Reason::Removed(reason) if reason.is_empty() => f.write_str("removed by the operator"),
            Reason::Removed(reason) => write!(f, "removed by the operator: {}", Quoted(reason)),
            Reason::Goodbye => f.write_str("said goodbye"),
            Reason::EndOfInput => f.write_str("end of input"),
            Reason::Reset(error) => write!(f, "{error}"),
            Reason::Unwritable => f.write_str("writing to it failed"),
            Reason::PageClosed(_) => f.write_str("closed its page"),
            Reason::ProtocolError(code) => write!(f, "broke the rules of WebSocket: {code}"),
        }
    }
}

impl Reasons {
    /// Counts one.
    pub fn count(&mut self, reason: &Reason) {
        self.0[reason.index()] += 1;
    }

    /// Returns the counts of refusals, by label.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.iter().take(Reason::REFUSALS)
    }

    /// Returns the counts of disconnects and leaves, by label.
    pub fn disconnects(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.iter().skip(Reason::REFUSALS)
    }

    /// Counts, by label.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reason::LABELS.into_iter().zip(self.0)
    }
}

/// For the log: refusals first.
impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (label, count)) in self.iter().enumerate() {
            let separator = match index {
                0 => "refused: ",
                Reason::REFUSALS => "; left: ",
                _ => ", ",
            };
            write!(f, "{separator}{label} {count}")?;
        }
        Ok(())
    }
}
