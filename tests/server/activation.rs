//! Under a service manager: listening sockets that are handed over, and what the manager is told. No systemd is needed
//! here; with it, `tests/system/systemd/check` does the same.

mod names;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{self as unix, UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::{self, Output};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::support::{Client, DEADLINE, Lines, Member, Server, Start, ask, converse, eventually};

fn listening() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn join(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    client.greeted();
    client
}

/// Its output must be one line on stderr, which this is.
#[track_caller]
fn failure(start: &Start, stdin: Option<OwnedFd>) -> String {
    let mut command = start.command();
    if let Some(stdin) = stdin {
        command.stdin(stdin);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let error = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{error}");
    assert_eq!(String::from_utf8_lossy(&stdout), "");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("pollchat-server: cannot listen on "), "{error}");
    error
}

/// A server that is to find `socket` at descriptor 3.
fn with_socket_at_3() -> Start {
    Server::builder().shell(r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@" 3<&0 0</dev/null"#)
}

mod sockets {
    use super::*;

    #[test]
    fn a_socket_that_is_handed_over_takes_the_place_of_the_default() {
        let socket = listening();
        let address = socket.local_addr().unwrap();
        // One who was there before the server, too: it may be why this is started.
        let mut early = Client::connect(address);
        early.send("hello\n");
        let mut server = Server::builder().hand_over(socket, 1).flags(["--announce-up-to", "0"]).go();
        assert_eq!(server.addresses(), [address]);
        early.greeted();
        let mut late = server.join();
        converse(&mut early, &mut late, 3);
        server.signal(Signal::TERM);
        assert!(server.wait(DEADLINE).success());
        server.drained();
        assert_eq!(server.stdout(), [format!("listening on {address}")]);
    }

    #[test]
    fn where_it_is_told_to_listen_it_listens_besides() {
        let by_flag = Server::builder().hand_over(listening(), 1).listen("127.0.0.1:0").go();
        let (mut a, mut b) = (join(by_flag.addresses()[0]), join(by_flag.addresses()[1]));
        a.expect("* client-2 joined");
        converse(&mut a, &mut b, 2);
        // A helper's count knows only of flags: the second line comes a moment later.
        let by_env = Server::builder().hand_over(listening(), 1).env("POLLCHAT_LISTEN", "127.0.0.1:0").go();
        eventually("it listens on both", || by_env.stdout().len() == 2);
    }

    #[test]
    fn who_comes_between_two_servers_waits_for_the_second() {
        let socket = listening();
        for _ in 0..2 {
            // As a service manager does, this process keeps the socket.
            let mut waiting = Client::connect(socket.local_addr().unwrap());
            let mut server = Server::builder().hand_over(socket.try_clone().unwrap(), 1).go();
            waiting.greeted();
            server.signal(Signal::TERM);
            waiting.expect("* the server is shutting down");
            waiting.expect_farewell();
            assert!(server.wait(DEADLINE).success());
        }
    }

    #[test]
    fn a_socket_of_both_families_serves_both_and_the_door_knows_ipv4_as_such() {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        socket.set_only_v6(false).unwrap();
        // Nor does it matter what was set of it before.
        socket.set_nonblocking(true).unwrap();
        socket.bind(&"[::]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(1).unwrap();
        let server = Server::builder().hand_over(socket, 1).flags(["--deny", "127.0.0.2"]).go();
        let port = server.address().port();
        let mut v4 = join(SocketAddr::from(([127, 0, 0, 1], port)));
        let mut v6 = join(format!("[::1]:{port}").parse().unwrap());
        ask(&mut v6, &mut v4, "hello");
        let denied: IpAddr = "127.0.0.2".parse().unwrap();
        let mut denied = Client::connect_from(denied, SocketAddr::from(([127, 0, 0, 1], port)));
        denied.expect("* connections from your address are not allowed here");
        denied.expect_farewell();
    }

    #[test]
    fn the_same_socket_twice_is_two_ways_in() {
        let server = Server::builder().hand_over(listening(), 2).flags(["--announce-up-to", "0"]).go();
        assert_eq!(server.addresses()[0], server.addresses()[1]);
        let [mut a, mut b] = server.join_many();
        converse(&mut a, &mut b, 2);
    }

    #[test]
    fn no_descriptor_is_left_over() {
        let own = Server::start(&[]);
        let handed_over = Server::builder().hand_over(listening(), 1).go();
        assert_eq!(handed_over.descriptors(), own.descriptors());
        let stdin = fs::read_link(format!("/proc/{}/fd/0", handed_over.pid())).unwrap();
        assert_eq!(stdin, PathBuf::from("/dev/null"));
    }

    #[test]
    fn a_unix_socket_that_is_handed_over_is_a_line_port_whose_file_stays() {
        let path = std::env::temp_dir().join(format!("pollchat-{}-handed.sock", process::id()));
        let mut server = Server::builder().hand_over(UnixListener::bind(&path).unwrap(), 1).go();
        assert_eq!(server.stdout(), [format!("listening on unix:{}", path.display())]);
        let [mut ana, mut bob] = [0; 2].map(|_| Client::connect_unix(&path).join());
        converse(&mut ana, &mut bob, 2);
        server.signal(Signal::TERM);
        server.wait(DEADLINE);
        assert!(fs::remove_file(&path).is_ok(), "it is the manager's");
    }

    #[test]
    fn what_is_no_listening_socket_is_a_failure_that_names_it() {
        let listener = listening();
        let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let unbound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let unfit: [(&str, OwnedFd); 5] = [
            ("fd 3 is not a valid tcp socket", UdpSocket::bind("127.0.0.1:0").unwrap().into()),
            ("fd 3 is not a valid tcp socket", UnixDatagram::unbound().unwrap().into()),
            ("fd 3: not a listening socket (a socket unit needs Accept=no)", connected.into()),
            ("fd 3: not a listening socket (a socket unit needs Accept=no)", unbound.into()),
            ("fd 3 is not a socket", File::open("/dev/null").unwrap().into()),
        ];
        for (why, socket) in unfit {
            let error = failure(&with_socket_at_3(), Some(socket));
            assert_eq!(error, format!("pollchat-server: cannot listen on what was handed over: {why}\n"));
        }
        let announced = Server::builder().shell(r#"LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" "$@" 3<&0 4<&-"#);
        assert!(failure(&announced, Some(listener.into())).ends_with(": fd 4 is not a socket\n"));
    }

    #[test]
    fn an_address_that_was_handed_over_already_cannot_be_bound() {
        let socket = listening();
        let address = socket.local_addr().unwrap().to_string();
        let error = failure(&with_socket_at_3().flags(["--listen", &address]), Some(socket.into()));
        assert!(error.contains(&format!("cannot listen on {address}: Address already in use")), "{error}");
    }

    #[test]
    fn what_is_no_number_of_sockets_is_a_failure_that_names_it() {
        for count in ["many", "-1", "1.5", " 1", "1025", "2147483647", "18446744073709551615", "99999999999999999999"] {
            // Whether the process is named or not.
            for script in [r#"LISTEN_PID=$$ exec "$0" "$@""#, r#"exec "$0" "$@""#] {
                let error = failure(&Server::builder().env("LISTEN_FDS", count).shell(script), None);
                assert!(error.contains(&format!("LISTEN_FDS={count}: must be a number from 0 to 1024")), "{error}");
            }
        }
    }

    #[test]
    fn what_is_no_text_is_no_number_either() {
        let error = failure(&Server::builder().shell(r#"LISTEN_FDS=$(printf '\377') exec "$0" "$@""#), None);
        assert!(error.contains("LISTEN_FDS=\u{fffd}: must be a number"), "{error}");
    }

    #[test]
    fn no_other_descriptor_is_taken_for_the_first() {
        for first in ["0", "4", "-1", "2147483647", "many"] {
            let start = with_socket_at_3().env("LISTEN_FDS_FIRST_FD", first);
            let error = failure(&start, Some(listening().into()));
            assert!(error.contains(&format!("LISTEN_FDS_FIRST_FD={first}: must be 3")), "{error}");
        }
    }

    #[test]
    fn what_is_announced_to_nobody_or_to_another_is_passed_over() {
        for (count, pid) in [("", ""), ("0", ""), ("1", "1"), ("many", "1"), ("3", "nobody")] {
            let server = Server::builder().env("LISTEN_FDS", count).env("LISTEN_PID", pid).go();
            server.join();
            assert_eq!(server.stdout().len(), 1);
        }
    }
}

mod notices {
    use super::*;

    fn manager(address: &unix::SocketAddr) -> UnixDatagram {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    fn abstract_name(purpose: &str) -> (String, unix::SocketAddr) {
        let name = format!("pollchat-{}-{purpose}", process::id());
        let address = unix::SocketAddr::from_abstract_name(&name).unwrap();
        (format!("@{name}"), address)
    }

    #[track_caller]
    fn told(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 4_096];
        let len = manager.recv(&mut buffer).expect("a notice");
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[track_caller]
    fn assert_is_kept_up_to_date(name: &str, manager: &UnixDatagram) {
        let start = Server::builder().listen("127.0.0.1:0").listen("[::1]:0").env("NOTIFY_SOCKET", name);
        let mut server = start.go();
        let [v4, v6] = server.addresses() else { panic!("two addresses") };
        assert_eq!(told(manager), format!("READY=1\nSTATUS=listening on {v4}, {v6}\n"));
        [v4, v6].into_iter().for_each(|address| drop(join(*address)));
        server.signal(Signal::TERM);
        assert_eq!(told(manager), "STOPPING=1\nSTATUS=shutting down\n");
        assert!(server.wait(DEADLINE).success());
        manager.set_nonblocking(true).unwrap();
        assert_eq!(manager.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "and nothing else");
    }

    #[test]
    fn the_manager_is_told_when_it_is_ready_and_when_it_stops() {
        let path = std::env::temp_dir().join(format!("pollchat-{}-notify", process::id()));
        let by_path = manager(&unix::SocketAddr::from_pathname(&path).unwrap());
        assert_is_kept_up_to_date(path.to_str().unwrap(), &by_path);
        fs::remove_file(path).unwrap();
        let (name, address) = abstract_name("notify");
        assert_is_kept_up_to_date(&name, &manager(&address));
    }

    #[test]
    fn one_that_could_not_start_is_not_ready() {
        let (name, address) = abstract_name("failure");
        let manager = manager(&address);
        let taken = listening();
        let flags = [
            "--listen".to_owned(),
            "127.0.0.1:0".to_owned(),
            "--listen".to_owned(),
            taken.local_addr().unwrap().to_string(),
        ];
        failure(&Server::builder().flags(flags).env("NOTIFY_SOCKET", &name), None);
        manager.set_nonblocking(true).unwrap();
        assert_eq!(manager.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn a_manager_that_does_not_read_holds_up_nobody() {
        let (name, address) = abstract_name("deaf");
        let _manager = manager(&address);
        // A sender's own buffer may be full before the queue of the manager is.
        let mut fillers = Vec::new();
        loop {
            let filler = UnixDatagram::unbound().unwrap();
            filler.set_nonblocking(true).unwrap();
            if filler.send_to_addr(b"STATUS=busy", &address).is_err() {
                break;
            }
            while filler.send_to_addr(b"STATUS=busy", &address).is_ok() {}
            fillers.push(filler);
        }
        assert_goes_on_without(&name);
    }

    #[test]
    fn a_manager_that_is_not_there_is_a_warning() {
        let name = "@pollchat-nobody-is-there";
        for name in [name, "/nonexistent/notify", "vsock:2:1234", "notify", "@"] {
            assert_goes_on_without(name);
        }
        let unset = Server::builder().env("NOTIFY_SOCKET", "").go();
        unset.join();
        assert!(!unset.log().iter().any(|line| line.contains("service manager")));
    }

    #[track_caller]
    fn assert_goes_on_without(name: &str) {
        let mut server = Server::builder().env("NOTIFY_SOCKET", name).flags(["--announce-up-to", "0"]).go();
        let [mut a, mut b] = server.join_many();
        converse(&mut a, &mut b, 2);
        server.expect_log(&["WARN", &format!("cannot notify the service manager at {name}: ")]);
        drop((a, b));
        server.signal(Signal::TERM);
        assert!(server.wait(DEADLINE).success());
    }
}
