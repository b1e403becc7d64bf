//! Detection of dead peers by the kernel: socket options for keepalive and retransmission.
//!
//! A peer whose host crashed, whose network is gone or whose NAT entry was lost sends nothing, not even a reset. The
//! kernel has three timers for such a peer, one of which runs at a time:
//! - nothing is in flight: *keepalive* probes;
//! - data is in flight and not acknowledged: *retransmission*;
//! - data is pending and the peer's window is closed, as with a suspended client: *window probes*.
//!
//! The last two try 15 times (`net.ipv4.tcp_retries2`), with pauses that double up to two minutes, so they take a
//! quarter of an hour and more. `TCP_RTO_MAX_MS` limits a single pause and shortens both. `TCP_USER_TIMEOUT` (tcp(7))
//! is the usual option, but it also disconnects a peer that answers every window probe and keeps its window closed. RFC
//! 9293 (3.8.6.1) requires that such a connection stays open, so that a suspended client (Ctrl-Z) can go on later. With
//! `TCP_RTO_MAX_MS`, any answer resets the count of tries, which achieves both.
//!
//! The server sets the options on its listening sockets, and accepted sockets inherit them. That costs a connection no
//! system call, no memory and no timer. Where the kernel lacks `TCP_RTO_MAX_MS`, the server asks it now and then
//! (`net::unanswered`). The client sets them as well: a server that disconnected it while its network
//! was down, or its host asleep, cannot tell it.
//!
//! Tests are here, and in `tests/system/links` with real packet loss.

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::setsockopt_impl;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SetStruct;
use socket2::{SockRef, TcpKeepalive};

/// Silence of an idle peer after which the kernel sends a keepalive probe. A shorter time would keep the radio of a
/// phone awake.
pub(crate) const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// Time between two keepalive probes.
pub(crate) const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// Unanswered keepalive probes after which the kernel resets the connection: 110 s after the last sign of life. The
/// connection survives an outage of 50 s.
pub(crate) const KEEPALIVE_PROBES: u32 = 5;

/// Longest time of all retransmissions or window probes together. With the default of 15 retries it makes the longest
/// pause 6.5 s; a peer whose window is open is given up after 80 s.
pub(crate) const RETRY_TIME: Duration = Duration::from_secs(104);

/// Default of the kernel for its number of retries.
pub(crate) const RETRIES: u32 = 15;

/// Setting of the kernel for its number of retries.
const RETRIES_FILE: &str = "/proc/sys/net/ipv4/tcp_retries2";

/// Values that the kernel accepts for the longest pause, in milliseconds.
const RETRY_PAUSE_MILLISECONDS: RangeInclusive<u32> = 1_000..=120_000;

/// `TCP_RTO_MAX_MS` of linux/tcp.h; no crate has it yet.
const TCP_RTO_MAX_MS: libc::c_int = 44;

/// Socket option: longest pause between two retries, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct RetryPauseMax;

setsockopt_impl!(RetryPauseMax, libc::IPPROTO_TCP, TCP_RTO_MAX_MS, u32, SetStruct<u32>);

/// Speed at which the kernel detects a dead peer while data is in flight. An idle peer is detected in 110 s either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeadPeerDetection {
    /// Within two minutes.
    Fast,
    /// In a quarter of an hour and more: before Linux 6.15 the kernel has no option for it. The server looks for
    /// itself.
    KernelDefault,
}

/// Sets the options on a connection, or on a listening socket for all connections that it accepts.
///
/// # Errors
/// If the kernel refuses an option for another reason than its age.
pub(crate) fn find_dead_peers(socket: impl AsFd) -> io::Result<DeadPeerDetection> {
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

/// Returns the longest pause with which all retries, and the pause before the first, take [`RETRY_TIME`]. Fewer retries
/// get longer pauses: an outage is no shorter for an administrator that chose fewer.
fn retry_pause_milliseconds(retries: u32) -> u32 {
    let pause = RETRY_TIME / retries.saturating_add(1);
    u32::try_from(pause.as_millis())
        .unwrap_or(u32::MAX)
        .clamp(*RETRY_PAUSE_MILLISECONDS.start(), *RETRY_PAUSE_MILLISECONDS.end())
}

#[cfg(test)]
pub(crate) mod tests {
    use nix::getsockopt_impl;
    use nix::sys::socket::getsockopt;
    use nix::sys::socket::sockopt::GetStruct;

    use super::*;

    getsockopt_impl!(RetryPauseMax, libc::IPPROTO_TCP, TCP_RTO_MAX_MS, u32, GetStruct<u32>);

    /// Asserts that the options are set on this connection.
    pub(crate) fn assert_watched(stream: impl AsFd) {
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_EVERY);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        // It would disconnect suspended clients, and override the number of keepalive probes.
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
        match getsockopt(&stream, RetryPauseMax) {
            Ok(pause) => assert_eq!(pause, retry_pause_milliseconds(retries())),
            Err(error) => assert_eq!(error, Errno::ENOPROTOOPT, "unknown before Linux 6.15"),
        }
    }

    #[test]
    fn each_timer_expires_within_two_minutes() {
        let two_minutes = Duration::from_secs(120);
        assert!(KEEPALIVE_AFTER + KEEPALIVE_PROBES * KEEPALIVE_EVERY < two_minutes);
        // A peer may die right after an answer, when all pauses have their longest length. With a tick of 10 ms each
        // timer of the kernel may be a tenth late.
        assert!(RETRY_TIME * 11 / 10 < two_minutes);
    }

    #[test]
    fn any_number_of_retries_takes_the_same_time() {
        assert_eq!(retry_pause_milliseconds(RETRIES), 6_500);
        for retries in 1..100 {
            let together = Duration::from_millis(u64::from((1 + retries) * retry_pause_milliseconds(retries)));
            assert!(
                together <= RETRY_TIME && together > RETRY_TIME - Duration::from_secs(1),
                "{retries}: {together:?}"
            );
        }
        // Clamped to what the kernel accepts.
        assert_eq!(retry_pause_milliseconds(0), 104_000);
        assert_eq!(retry_pause_milliseconds(u32::MAX), 1_000);
    }
}
