//! Unix sockets to listen on: their files, from the bind to the shutdown.
//!
//! A file that nothing listens on is left from a server that was killed, and makes way. The server removes its own file
//! when it stops, unless another server has taken the place meanwhile. Tests: here, and `tests/server/unix.rs`.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net;
use std::path::{Path, PathBuf};

use mio::net::UnixListener;
use rustix::fs::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

use super::endpoint::Endpoint;
use super::limits::LISTEN_BACKLOG;

/// Rights of the file of a client's socket: for the owner and the group, which a proxy may be in.
const MODE: u32 = 0o660;

/// Rights of the file of the operators' socket: for the owner alone.
const CONTROL_MODE: u32 = 0o600;

/// File of a listening socket. Dropping it removes the file, unless the path leads to another one by now.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Listens on a path. The file has its rights from the first moment, and nothing can connect before that.
///
/// # Errors
/// Another process listens on it, a file of another kind is there, or the kernel refuses.
pub(crate) fn listen(path: &Path, endpoint: Endpoint) -> io::Result<(UnixListener, SocketFile)> {
    let mode = if endpoint == Endpoint::Control { CONTROL_MODE } else { MODE };
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // The kernel creates the file with the rights of the socket, but for those that the umask forbids.
    fchmod(&socket, Mode::from_raw_mode(mode))?;
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path, &address)?;
            socket.bind(&address)?;
        }
        result => result?,
    }
    let metadata = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok((UnixListener::from_std(net::UnixListener::from(std::os::fd::OwnedFd::from(socket))), file))
}

/// Removes a socket on which nothing listens.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        // Its server has just removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file is there, and is no socket"));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full queue must not block the start.
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Connected, or the queue is full.
        Ok(()) => Err(in_use()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(in_use()),
        Err(error) => Err(error),
    }
}

fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, "another process listens on it")
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode));
        if is_ours {
            // Without the right to remove it, the next server finds it stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs::File;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A path in a folder of its own, which is removed at the end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let folder = env::temp_dir().join(format!("pollchat-unix-{}-{name}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Place(folder.join("lines.sock"))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(self.0.parent().unwrap());
        }
    }

    #[test]
    fn the_file_has_its_rights_and_goes_with_the_listener() {
        let place = Place::new("rights");
        for (endpoint, mode) in [(Endpoint::Lines, 0o660), (Endpoint::Web, 0o660), (Endpoint::Control, 0o600)] {
            let (listener, file) = listen(&place.0, endpoint).unwrap();
            assert_eq!(fs::metadata(&place.0).unwrap().permissions().mode() & 0o777, mode, "{endpoint:?}");
            UnixStream::connect(&place.0).unwrap();
            drop((listener, file));
            assert!(!place.0.exists());
        }
    }

    #[test]
    fn a_file_that_nothing_listens_on_makes_way() {
        let place = Place::new("stale");
        // Its file stays, as after a kill.
        drop(net::UnixListener::bind(&place.0).unwrap());
        let (_listener, _file) = listen(&place.0, Endpoint::Lines).unwrap();
        UnixStream::connect(&place.0).unwrap();
    }

    #[test]
    fn a_socket_in_use_and_other_files_stay() {
        let place = Place::new("in-use");
        let other = net::UnixListener::bind(&place.0).unwrap();
        assert_eq!(listen(&place.0, Endpoint::Lines).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(other);
        fs::remove_file(&place.0).unwrap();
        File::create(&place.0).unwrap();
        assert_eq!(listen(&place.0, Endpoint::Lines).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(place.0.exists());
        fs::remove_file(&place.0).unwrap();
        std::os::unix::fs::symlink("nowhere", &place.0).unwrap();
        assert_eq!(listen(&place.0, Endpoint::Lines).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn the_file_of_a_successor_stays() {
        let place = Place::new("successor");
        let (listener, file) = listen(&place.0, Endpoint::Lines).unwrap();
        fs::remove_file(&place.0).unwrap();
        let (_successor, _its_file) = listen(&place.0, Endpoint::Lines).unwrap();
        drop((listener, file));
        UnixStream::connect(&place.0).unwrap();
    }
}
