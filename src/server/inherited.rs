//! Socket activation: the descriptors that a service manager hands over, and what each is for.
//!
//! `LISTEN_FDS` counts them, from descriptor 3 on, and `LISTEN_FDNAMES` names them (sd_listen_fds(3)). A name is the
//! endpoint of a listening socket, or the operator's console. Both variables are read once, before the sockets are
//! taken, which removes `LISTEN_FDS`: flags are checked against the names when the server starts, and at each reload.
//!
//! The console is a FIFO. It takes the place of stdin, so a console is the same whatever its input is. Such a FIFO has
//! to be open for reading and writing, as systemd opens it: then it has no EOF, whatever writers come and go.
//!
//! Tests: here, in `tests/server/activation.rs`, and in `tests/system/systemd/` with programs of systemd.

use std::env;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::OnceLock;

use listenfd::ListenFd;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::stdio::dup2_stdin;

use super::config::Config;
use super::endpoint::Endpoint;
use super::limits::INHERITED_LISTENERS_MAX;
use super::listener::Listener;

/// Use of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// A listening socket.
    Listener(Endpoint),
    /// The FIFO of the operator's console.
    Console,
}

/// Names with a meaning: `FileDescriptorName=` of a socket unit.
const NAMES: [(&str, Purpose); 7] = [
    ("lines", Purpose::Listener(Endpoint::Lines)),
    ("tls", Purpose::Listener(Endpoint::TlsLines)),
    ("web", Purpose::Listener(Endpoint::Web)),
    ("web-tls", Purpose::Listener(Endpoint::TlsWeb)),
    ("metrics", Purpose::Listener(Endpoint::Metrics)),
    ("control", Purpose::Listener(Endpoint::Control)),
    ("console", Purpose::Console),
];

/// Names that managers give to descriptors without a name of their own.
const NO_NAMES: [&str; 4] = ["", "unknown", "connection", "pollchat.socket"];

/// Characters of a name that are shown in an error.
const SHOWN_CHARS_MAX: usize = 60;

/// The first descriptor that is handed over.
const FIRST_FD: RawFd = 3;

/// The announcement of the environment, or its fault.
static ANNOUNCED: OnceLock<Result<Inherited, String>> = OnceLock::new();

/// The purposes of the descriptors that are handed over, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inherited(Vec<Purpose>);

impl Inherited {
    /// Returns what the environment announces for this process. Nothing, if a variable is invalid: then the start fails.
    pub fn announced() -> Inherited {
        announced().clone().unwrap_or_default()
    }

    /// Whether a listening socket is for this endpoint.
    pub fn has(&self, endpoint: Endpoint) -> bool {
        self.0.contains(&Purpose::Listener(endpoint))
    }

    /// Whether a socket serves the page, with TLS or without.
    pub fn has_page(&self) -> bool {
        self.has(Endpoint::Web) || self.has(Endpoint::TlsWeb)
    }

    /// Whether a socket speaks TLS.
    pub fn has_tls(&self) -> bool {
        self.has(Endpoint::TlsLines) || self.has(Endpoint::TlsWeb)
    }

    /// Whether a FIFO is the operator's console.
    pub fn has_console(&self) -> bool {
        self.0.contains(&Purpose::Console)
    }

    /// Returns the purposes that `names` give to `count` descriptors.
    fn parse(names: &str, count: usize) -> Result<Inherited, String> {
        let names: Vec<&str> = names.split(':').collect();
        if names.len() != count {
            return Err(format!("LISTEN_FDNAMES has {} names, and LISTEN_FDS={count}", names.len()));
        }
        let purpose = |(name, fd): (&str, RawFd)| {
            if NO_NAMES.contains(&name) {
                return Ok(Purpose::Listener(Endpoint::Lines));
            }
            let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, purpose)| *purpose);
            known.ok_or_else(|| unknown(fd, name))
        };
        names.into_iter().zip(FIRST_FD..).map(purpose).collect::<Result<_, _>>().map(Inherited)
    }
}

fn unknown(fd: RawFd, name: &str) -> String {
    let known = NAMES.map(|(known, _)| known).join(", ");
    let shown: String = name.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    format!("fd {fd} has the name '{shown}': FileDescriptorName= of its socket unit must be one of {known}")
}

/// Takes over what the environment announces for this process, and removes `LISTEN_FDS` and `LISTEN_PID`: returns the
/// listeners, and makes a console's FIFO stdin. Call it while no other thread reads the environment.
///
/// # Errors
/// If a variable is invalid, or a descriptor does not fit its name.
pub(super) fn open(config: &Config) -> io::Result<Vec<Listener>> {
    let Inherited(purposes) = announced().as_ref().map_err(|text| invalid(text))?;
    let mut descriptors = ListenFd::from_env();
    let mut listeners = Vec::with_capacity(purposes.len());
    let mut has_console = false;
    for (index, (&purpose, fd)) in purposes.iter().zip(FIRST_FD..).enumerate() {
        match purpose {
            Purpose::Listener(endpoint) => {
                if endpoint.is_tls() && config.tls.is_none() {
                    return Err(named(fd)(invalid("TLS requires --tls-cert and --tls-key")));
                }
                listeners.extend(open_listener(&mut descriptors, index, endpoint)?);
            }
            Purpose::Console if has_console => return Err(named(fd)(invalid("there is a console already"))),
            Purpose::Console => {
                adopt_console(fd).map_err(named(fd))?;
                has_console = true;
            }
        }
    }
    Ok(listeners)
}

fn open_listener(descriptors: &mut ListenFd, index: usize, endpoint: Endpoint) -> io::Result<Option<Listener>> {
    let error = match descriptors.take_tcp_listener(index) {
        Ok(None) => return Ok(None),
        Ok(Some(socket)) => {
            let fd = socket.as_raw_fd();
            if endpoint == Endpoint::Control {
                return Err(named(fd)(invalid("orders are taken on a Unix socket only: ListenStream=/run/…")));
            }
            return Listener::adopt(socket, endpoint).map_err(named(fd)).map(Some);
        }
        Err(error) => error,
    };
    let socket = descriptors.take_unix_listener(index).ok().flatten().ok_or(error)?;
    let fd = socket.as_raw_fd();
    Listener::adopt_unix(socket, endpoint).map_err(named(fd)).map(Some)
}

/// Makes the FIFO with this number stdin.
fn adopt_console(fd: RawFd) -> io::Result<()> {
    let fifo = own(fd)?;
    nix::unistd::close(fd)?;
    let flags = fcntl_getfl(&fifo)?;
    let is_fifo = FileType::from_raw_mode(fstat(&fifo)?.st_mode) == FileType::Fifo;
    if !is_fifo || flags & OFlags::RWMODE != OFlags::RDWR {
        return Err(invalid("a console is a FIFO that is open for reading and writing (ListenFIFO= in a socket unit)"));
    }
    // It was opened for this server alone. Another reader may take the input between a poll and a read.
    fcntl_setfl(&fifo, flags | OFlags::NONBLOCK)?;
    Ok(dup2_stdin(&fifo)?)
}

/// Returns a descriptor of our own for the file behind a number: the kernel makes one when a number passes through a
/// socket. Other ways from a number to an owned descriptor are unsafe, or check the permissions of the file again.
fn own(fd: RawFd) -> io::Result<OwnedFd> {
    let (near, far) = UnixStream::pair()?;
    let rights = [ControlMessage::ScmRights(&[fd])];
    sendmsg::<()>(near.as_raw_fd(), &[IoSlice::new(b"1")], &rights, MsgFlags::empty(), None)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(far.as_fd(), &mut [IoSliceMut::new(&mut [0])], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let received = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    received.ok_or_else(|| invalid("it cannot be taken over: there is no descriptor left"))
}

/// Returns what the environment announces, as it was before [`open`].
fn announced() -> &'static Result<Inherited, String> {
    ANNOUNCED.get_or_init(|| {
        let count = announced_count()?;
        match env::var_os("LISTEN_FDNAMES").filter(|names| !names.is_empty() && count > 0) {
            Some(names) => Inherited::parse(&names.to_string_lossy(), count),
            None => Ok(Inherited(vec![Purpose::Listener(Endpoint::Lines); count])),
        }
    })
}

/// Checks the variables before `listenfd` reads them. That crate ignores invalid values, and reserves memory for any
/// number of descriptors. It also lets `LISTEN_FDS_FIRST_FD`, which is not part of the protocol, name stdin as the
/// first one.
fn announced_count() -> Result<usize, String> {
    let Some(count) = env::var_os("LISTEN_FDS").filter(|count| !count.is_empty()) else { return Ok(0) };
    if env::var_os("LISTEN_PID").is_some_and(|pid| !pid.is_empty() && *pid != *process::id().to_string()) {
        return Ok(0);
    }
    let parsed = count.to_str().and_then(|count| count.parse().ok());
    let Some(number) = parsed.filter(|&number: &usize| number <= INHERITED_LISTENERS_MAX) else {
        let count = count.display();
        return Err(format!("LISTEN_FDS={count}: must be a number from 0 to {INHERITED_LISTENERS_MAX}"));
    };
    match env::var_os("LISTEN_FDS_FIRST_FD") {
        Some(first) if first != "3" && !first.is_empty() => {
            Err(format!("LISTEN_FDS_FIRST_FD={}: must be 3", first.display()))
        }
        _ => Ok(number),
    }
}

/// Returns a change of an error that names its descriptor.
fn named(fd: RawFd) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("fd {fd}: {error}"))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_decides_on_the_endpoint() {
        let all = Inherited::parse("lines:tls:web:web-tls:metrics:control:console", 7).unwrap();
        assert_eq!(all.0, NAMES.map(|(_, purpose)| purpose));
        assert!(all.has_page() && all.has_tls() && all.has_console() && all.has(Endpoint::Metrics));
        let some = Inherited::parse("web:metrics", 2).unwrap();
        assert!(some.has_page() && !some.has_tls() && !some.has_console() && !some.has(Endpoint::Lines));
    }

    #[test]
    fn without_a_name_of_its_own_a_socket_is_a_line_port() {
        let unnamed = Inherited::parse("pollchat.socket:unknown::connection", 4).unwrap();
        assert_eq!(unnamed.0, [Purpose::Listener(Endpoint::Lines); 4]);
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
        let known = "FileDescriptorName= of its socket unit must be one of lines, tls, web, web-tls, metrics, control, \
                     console";
        for (name, shown) in [
            ("Web", "Web"),
            ("pollchat-web.socket", "pollchat-web.socket"),
            (" web", " web"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            (&"x".repeat(10_000), &"x".repeat(60)),
        ] {
            let error = Inherited::parse(&format!("lines:{name}"), 2).unwrap_err();
            assert_eq!(error, format!("fd 4 has the name '{shown}': {known}"));
        }
    }

    #[test]
    fn there_is_a_name_for_each_descriptor() {
        for (names, count) in [("web", 2), ("web:web:", 2), (":", 1), ("web", 0)] {
            let error = Inherited::parse(names, count).unwrap_err();
            assert!(error.ends_with(&format!("LISTEN_FDS={count}")), "{error}");
        }
    }
}
