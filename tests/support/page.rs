//! A hub in memory that serves the page: its visitors, its browsers with their frames, and clients on the line port.

use std::net::SocketAddr;
use std::time::SystemTime;

use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::limits::ENTER_DELAY;
use pollchat::server::web::origin::OriginPolicy;
use pollchat::server::web::site::Site;

use super::hub::{Client, World};
use super::ws::Frame;

pub(crate) const OPENING: &str = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A hub that has a page, at 192.0.2.1:80.
pub(crate) fn world(config: &Config) -> World {
    let mut world = World::new(config);
    let page = (Endpoint::Web, SocketAddr::from(([192, 0, 2, 1], 80)));
    world.hub.open_site(Site::new(OriginPolicy::default(), &[page], || SystemTime::UNIX_EPOCH));
    world
}

pub(crate) fn visit(world: &mut World) -> Client {
    world.connect_to(Endpoint::Web, Some(SocketAddr::from(([127, 0, 0, 1], 1))))
}

/// Opens a WebSocket, and takes the greeting.
pub(crate) fn browse(world: &mut World) -> Client {
    let browser = visit(world);
    world.says(&browser, OPENING);
    world.now += ENTER_DELAY;
    world.turn();
    let answer = browser.received_bytes();
    let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert!(answer.starts_with(head), "{}", String::from_utf8_lossy(&answer));
    assert!(said(&answer[head.len()..]).starts_with("* you are client-"));
    browser
}

/// Connects to the line port, and takes the greeting.
pub(crate) fn join(world: &mut World) -> Client {
    let client = world.connect_silently();
    world.says(&client, "\n");
    assert!(client.received().starts_with("* you are client-"));
    client
}

/// A masked frame with this first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    Frame { fin: first & 0x80 != 0, rsv: first >> 4 & 7, ..Frame::new(first & 0xf, payload) }.encode()
}

pub(crate) fn text(line: &str) -> Vec<u8> {
    Frame::text(line).encode()
}

/// The frames that these bytes are, each as its first byte and its payload.
#[track_caller]
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (frame, taken) = Frame::decode(bytes).expect("whole frames");
        frames.push((u8::from(frame.fin) << 7 | frame.opcode, frame.payload));
        bytes = &bytes[taken..];
    }
    frames
}

/// The lines in the text frames that these bytes are: each frame holds whole lines.
#[track_caller]
pub(crate) fn said(bytes: &[u8]) -> String {
    let mut said = String::new();
    for (first, payload) in frames(bytes) {
        assert_eq!(first, 0x81);
        assert!(payload.ends_with(b"\n"), "{:?}", String::from_utf8_lossy(&payload));
        said.push_str(std::str::from_utf8(&payload).unwrap());
    }
    said
}
