//! TCP connections with deadlines, and ends of them that few clients choose.

use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, SockRef, Socket, Type};

use super::DEADLINE;

/// The kernel's buffers of a narrow connection.
const NARROW_BYTES: usize = 16 * 1024;

/// A connection whose reads and writes have deadlines.
#[track_caller]
pub(super) fn connect(address: SocketAddr) -> TcpStream {
    with_deadlines(TcpStream::connect_timeout(&address, DEADLINE).expect("the server accepts"))
}

/// A connection from this address of ours.
#[track_caller]
pub(super) fn connect_from(source: IpAddr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(source, 0).into()).expect("an address of ours");
    socket.connect(&address.into()).expect("the server accepts");
    with_deadlines(socket.into())
}

/// A connection for which the kernel takes little: if it is not read, writes to it soon block.
#[track_caller]
pub(super) fn connect_narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(NARROW_BYTES).expect("a small buffer");
    socket.set_send_buffer_size(NARROW_BYTES).expect("a small buffer");
    socket.connect(&address.into()).expect("the server accepts");
    with_deadlines(socket.into())
}

/// A connection to a Unix socket, which is a stream like others.
#[track_caller]
pub(super) fn connect_unix(path: &Path) -> TcpStream {
    let stream = UnixStream::connect(path).expect("the server accepts");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream.set_write_timeout(Some(DEADLINE)).expect("a deadline");
    TcpStream::from(OwnedFd::from(stream))
}

fn with_deadlines(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream.set_write_timeout(Some(DEADLINE)).expect("a deadline");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Reads once, and on after an interruption: where there is a deadline, the kernel does not take a call up again after
/// this process was stopped for a moment (signal(7)).
pub fn read(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Waits for something to read, the end too, or for the time to pass; tells whether there is something.
pub(super) fn is_readable_within(source: impl AsFd, time: Duration) -> bool {
    let time = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
    loop {
        match poll(&mut [PollFd::new(&source, PollFlags::IN)], Some(&time)) {
            Err(Errno::INTR) => {}
            ready => return ready.expect("it can be waited for") > 0,
        }
    }
}

/// Makes a connection end by a reset when it is dropped.
pub fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("connected");
}
