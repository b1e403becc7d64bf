//! TLS at a terminal: connections that break, and a server that is not trusted any more.

use std::process::Command;

use super::server::client_of;
use super::window::Window;
use crate::support::Server;
use crate::support::cutting_proxy::CuttingProxy;
use crate::support::tls_front::{Identity, TlsFront};

#[test]
fn a_session_over_tls_goes_on_after_a_cut_but_with_no_stranger() {
    let server = Server::start(&[]);
    let [mine, stranger] = ["127.0.0.1", "127.0.0.1"].map(Identity::of);
    let front = TlsFront::start(server.address(), &mine);
    let proxy = CuttingProxy::start(front.address());
    let mut window =
        Window::open(24, 110, &client_of(proxy.address(), &["--tls", "--pin", &mine.pin, "--nick", "ana"]));
    window.wait_until("the name", |window| window.rows().pop().unwrap_or_default() == "ana>");
    window.press("one\r");
    window.wait_until("the line", |window| window.rows().contains(&"ana> one".to_owned()));
    proxy.cut();
    window.press("two\r");
    window.wait_until("the next line", |window| window.rows().contains(&"ana> two".to_owned()));
    front.become_another(&stranger);
    window.press("half");
    proxy.cut();
    assert_eq!(window.ends().code(), Some(1));
    let rows = window.rows().concat();
    assert!(
        rows.contains(&format!("pollchat-client: cannot trust {}: its key has the pin ", proxy.address())),
        "{rows}"
    );
    assert!(rows.contains(&stranger.pin) && rows.contains(&mine.pin), "{rows}");
    assert_eq!((front.connections(), front.handshakes()), (3, 2));
    assert_eq!(window.rows().iter().filter(|row| *row == "ana> two").count(), 1);
    window.is_as_found();
}

#[test]
fn a_port_that_speaks_tls_is_told_to_a_plain_client() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-client"));
    let mut window = Window::open(10, 100, command.arg(at.to_string()));
    let mut server = super::server::accept(&listener);
    std::io::Write::write_all(&mut server, b"* this port speaks TLS: goodbye\n").unwrap();
    drop(server);
    assert_eq!(window.ends().code(), Some(1));
    let told = format!("pollchat-client: the server at {at} speaks TLS on this port: write tls://{at}");
    assert!(window.rows().contains(&told), "{:?}", window.rows());
}
