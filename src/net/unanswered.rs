//! Detection of dead peers without the kernel's help: `TCP_INFO`, for Linux before 6.15.
//!
//! There the kernel retries for a quarter of an hour and more while data is in flight (see
//! [`keepalive`](super::keepalive)). But it tells how long no acknowledgement has come, and a server can ask from time
//! to time.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::getsockopt_impl;
use nix::libc;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;

/// Time without any acknowledgement after which a peer counts as dead. The kernel sends window probes to a suspended
/// peer every two minutes, and such a peer answers each.
pub(crate) const UNANSWERED_MAX: Duration = Duration::from_secs(150);

/// The part of the kernel's `struct tcp_info` that is read. Newer kernels append to the struct.
type Info = [u8; 60];

/// Socket option: the state of a TCP connection.
#[derive(Clone, Copy, Debug)]
struct TcpInfo;

getsockopt_impl!(TcpInfo, libc::IPPROTO_TCP, libc::TCP_INFO, Info, GetStruct<Info>);

/// Whether data or probes are in flight and the peer has acknowledged nothing for [`UNANSWERED_MAX`].
pub(crate) fn is_unanswered(socket: impl AsFd) -> bool {
    getsockopt(&socket, TcpInfo).is_ok_and(|info| is_dead(&info))
}

fn is_dead(info: &Info) -> bool {
    let number = |at: usize| info[at..].first_chunk().map_or(0, |&bytes| u32::from_ne_bytes(bytes));
    // tcpi_probes, tcpi_unacked and tcpi_last_ack_recv, in milliseconds.
    let (probes, unacked, last_ack) = (info[3], number(24), number(56));
    (probes > 0 || unacked > 0) && Duration::from_millis(last_ack.into()) >= UNANSWERED_MAX
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn info(probes: u8, unacked: u32, last_ack_seconds: u32) -> Info {
        let mut info = [0; 60];
        info[3] = probes;
        info[24..28].copy_from_slice(&unacked.to_ne_bytes());
        info[56..60].copy_from_slice(&(last_ack_seconds * 1_000).to_ne_bytes());
        info
    }

    #[test]
    fn a_peer_that_acknowledges_nothing_is_dead_if_something_is_in_flight() {
        assert!(is_dead(&info(0, 1, 150)) && is_dead(&info(1, 0, 1_000)));
        assert!(!is_dead(&info(0, 0, 1_000)), "keepalive takes care of it");
        assert!(!is_dead(&info(1, 3, 149)));
    }

    #[test]
    fn the_kernel_tells_the_state_of_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"hello\n").unwrap();
        let info = getsockopt(&client, TcpInfo).unwrap();
        // tcpi_state: TCP_ESTABLISHED
        assert_eq!(info[0], 1);
        assert!(!is_unanswered(&client));
    }
}
