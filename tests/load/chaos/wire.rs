//! A connection that carries lines: TCP, or a WebSocket.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use super::random::Random;
use crate::support::{DEADLINE, socket};

/// The wait of one read.
const READ_WAIT: Duration = Duration::from_millis(5);

pub(super) enum Wire {
    /// With bytes of a line that is not whole yet.
    Tcp(TcpStream, Vec<u8>),
    Socket(Box<WebSocket<TcpStream>>),
}

/// The connection is lost.
#[derive(Debug)]
pub(super) struct Lost;

impl Wire {
    pub(super) fn connect(address: SocketAddr, is_socket: bool) -> Result<Wire, Lost> {
        let stream = TcpStream::connect(address).map_err(|_| Lost)?;
        stream.set_nodelay(true).map_err(|_| Lost)?;
        stream.set_write_timeout(Some(DEADLINE)).map_err(|_| Lost)?;
        stream.set_read_timeout(Some(if is_socket { DEADLINE } else { READ_WAIT })).map_err(|_| Lost)?;
        if !is_socket {
            return Ok(Wire::Tcp(stream, Vec::new()));
        }
        let (socket, _) = tungstenite::client(format!("ws://{address}/ws?track"), stream).map_err(|_| Lost)?;
        socket.get_ref().set_read_timeout(Some(READ_WAIT)).map_err(|_| Lost)?;
        Ok(Wire::Socket(Box::new(socket)))
    }

    /// Sends whole lines.
    pub(super) fn send(&mut self, lines: &str) -> Result<(), Lost> {
        match self {
            Wire::Tcp(stream, _) => stream.write_all(lines.as_bytes()).map_err(|_| Lost),
            Wire::Socket(socket) => socket.send(Message::text(lines)).map_err(|_| Lost),
        }
    }

    /// Returns the lines that have come within a moment.
    pub(super) fn lines(&mut self) -> Result<Vec<String>, Lost> {
        match self {
            Wire::Tcp(stream, partial) => {
                let mut buffer = [0; 8 << 10];
                match stream.read(&mut buffer) {
                    Ok(0) => return Err(Lost),
                    Ok(len) => partial.extend(&buffer[..len]),
                    Err(error) if is_timeout(&error) => {}
                    Err(_) => return Err(Lost),
                }
                let whole = partial.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                let text = String::from_utf8(partial.drain(..whole).collect()).unwrap();
                Ok(text.lines().map(str::to_owned).collect())
            }
            Wire::Socket(socket) => match socket.read() {
                Ok(Message::Text(text)) => Ok(text.as_str().lines().map(str::to_owned).collect()),
                Ok(Message::Close(_)) => Err(Lost),
                Ok(_) => Ok(Vec::new()),
                Err(Error::Io(error)) if is_timeout(&error) => Ok(Vec::new()),
                Err(_) => Err(Lost),
            },
        }
    }

    /// Ends it without a goodbye: by a reset, an EOF, behind half a line, or with a code.
    pub(super) fn drop_somehow(mut self, random: &mut Random) {
        let way = random.below(4);
        match &mut self {
            Wire::Tcp(stream, _) => match way {
                0 => socket::reset(stream),
                1 => drop(stream.write_all(b"half a li")),
                2 => drop(stream.write_all(b"/track")),
                _ => {}
            },
            Wire::Socket(socket) => {
                let frame = |code| Some(CloseFrame { code, reason: "".into() });
                match way {
                    0 => socket::reset(socket.get_ref()),
                    1 => drop(socket.close(None)),
                    2 => drop(socket.close(frame(CloseCode::Away))),
                    _ => drop(socket.close(frame(CloseCode::from(4_001)))),
                }
                let _ = socket.flush();
            }
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
