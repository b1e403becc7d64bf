//! How a dead peer is found: by the kernel, which asks those who are silent, and gives up those who do not answer.
//!
//! Whose host crashed, whose cable was pulled or whose router forgot the connection never says so. Three clocks of the
//! kernel see to them, one of which runs at a time:
//! - nothing is under way: *keepalive* asks now and then;
//! - something is, and is not acknowledged: *retransmission*;
//! - something is to be sent, and the peer's window is closed, as that of a suspended client is: *window probes*.
//!
//! The last two try 15 times (`net.ipv4.tcp_retries2`), each pause twice the one before, up to two minutes: so they take
//! a quarter of an hour and more. What is set here is how long a pause may become, `TCP_RTO_MAX_MS`. It is not
//! `TCP_USER_TIMEOUT`, the option that tcp(7) offers for this: that one also cuts a peer who answers every probe and
//! only keeps its window closed, though RFC 9293 (3.8.6.1) wants it kept, and so do we: who is stopped (Ctrl-Z) may stay,
//! and is told later what it missed. An answer of any kind sets the count of attempts back, so that both hold.
//!
//! The server sets all of it on its listening sockets, and accepted ones inherit it: it costs a connection neither a
//! system call nor memory, and us no timer. The client sets it on its own: a server that let it go while its network was
//! away, or its host slept, has nobody to tell.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::setsockopt_impl;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SetStruct;
use socket2::{SockRef, TcpKeepalive};

/// How long a peer with whom nothing is going on may be silent before the kernel asks it whether it is there. Less would
/// keep the radio of a telephone awake.
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// How long after that it is asked again.
pub const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// How many times it is asked before it is given up, 110 s after it was last heard of: an outage of 50 s is survived.
pub const KEEPALIVE_PROBES: u32 = 5;

/// How long the kernel's attempts to get an answer of a peer that it has something for may take together, as long as they
/// can be: with the default 15 retries that is a pause of 6.5 s, and somebody whose window is open is given up after 80 s.
pub const RETRY_TIME: Duration = Duration::from_secs(104);

/// How many times the kernel tries again, unless it is told otherwise.
pub const RETRIES: u32 = 15;

/// Where it is told.
const RETRIES_FILE: &str = "/proc/sys/net/ipv4/tcp_retries2";

/// The shortest and the longest that a pause can be made, in milliseconds.
const RETRY_PAUSE_MILLISECONDS: (u32, u32) = (1_000, 120_000);

/// `TCP_RTO_MAX_MS` of linux/tcp.h, which no crate knows yet.
const TCP_RTO_MAX_MS: libc::c_int = 44;

/// The longest pause between two attempts to get an answer, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct RetryPauseMax;

setsockopt_impl!(RetryPauseMax, libc::IPPROTO_TCP, TCP_RTO_MAX_MS, u32, SetStruct<u32>);

/// How soon the kernel gives up those who do not answer while there is something to send to them. Those with whom nothing
/// is going on are given up soon in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadPeerDetection {
    /// Within two minutes.
    Fast,
    /// As it likes, which is a quarter of an hour and more: it is older than Linux 6.15, and cannot be told.
    KernelDefault,
}

/// Has dead peers found: the one of this connection, or those of all connections that this listening socket will accept.
///
/// # Errors
/// When the kernel refuses it for another reason than that it is too old.
pub fn find_dead_peers(socket: impl AsFd) -> io::Result<DeadPeerDetection> {
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY).with_retries(KEEPALIVE_PROBES);
    SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
    match setsockopt(&socket, RetryPauseMax, &retry_pause_milliseconds(retries())) {
        Ok(()) => Ok(DeadPeerDetection::Fast),
        Err(Errno::ENOPROTOOPT) => Ok(DeadPeerDetection::KernelDefault),
        Err(error) => Err(error.into()),
    }
}

fn retries() -> u32 {
    fs::read_to_string(RETRIES_FILE).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(RETRIES)
}

/// How long a pause may become, so that all of them, and the one before the first attempt, take the [`RETRY_TIME`]. Few
/// attempts are not to be over sooner: an outage is as long for those who chose them.
fn retry_pause_milliseconds(retries: u32) -> u32 {
    let pause = RETRY_TIME / retries.saturating_add(1);
    u32::try_from(pause.as_millis()).unwrap_or(u32::MAX).clamp(RETRY_PAUSE_MILLISECONDS.0, RETRY_PAUSE_MILLISECONDS.1)
}

#[cfg(test)]
pub(crate) mod tests {
    use nix::getsockopt_impl;
    use nix::sys::socket::getsockopt;
    use nix::sys::socket::sockopt::GetStruct;

    use super::*;

    getsockopt_impl!(RetryPauseMax, libc::IPPROTO_TCP, TCP_RTO_MAX_MS, u32, GetStruct<u32>);

    /// Asserts that dead peers are found of this connection.
    pub(crate) fn assert_watched(stream: impl AsFd) {
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_EVERY);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        // It would cut whoever is suspended; and it, not the number of probes, would decide when keepalive gives up.
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
        match getsockopt(&stream, RetryPauseMax) {
            Ok(pause) => assert_eq!(pause, retry_pause_milliseconds(retries())),
            Err(error) => assert_eq!(error, Errno::ENOPROTOOPT, "before Linux 6.15 it is not known"),
        }
    }

    #[test]
    fn each_clock_runs_out_within_two_minutes() {
        let two_minutes = Duration::from_secs(120);
        assert!(KEEPALIVE_AFTER + KEEPALIVE_PROBES * KEEPALIVE_EVERY < two_minutes);
        // A peer may die right after an answer, when all pauses are as long as they can be; and with a tick of 10 ms the
        // kernel's timers may each be a tenth late.
        assert!(RETRY_TIME * 11 / 10 < two_minutes);
    }

    #[test]
    fn however_many_retries_there_are_they_take_the_same_time() {
        assert_eq!(retry_pause_milliseconds(RETRIES), 6_500);
        for retries in 1..100 {
            let together = Duration::from_millis(u64::from((1 + retries) * retry_pause_milliseconds(retries)));
            assert!(
                together <= RETRY_TIME && together > RETRY_TIME - Duration::from_secs(1),
                "{retries}: {together:?}"
            );
        }
        // Beyond what the kernel takes.
        assert_eq!(retry_pause_milliseconds(0), 104_000);
        assert_eq!(retry_pause_milliseconds(u32::MAX), 1_000);
    }
}
