//! A hub with a page, for tests with sockets that are not real: who visits it, who browses, who joins on the port for lines, and
//! the frames in both directions.

use std::net::SocketAddr;
use std::time::SystemTime;

use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::web::origin::OriginPolicy;
use pollchat::server::web::site::Site;

use super::hub::{Client, World};

pub(crate) const OPENING: &str = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A hub that has a page, at 192.0.2.1:80.
pub(crate) fn world(config: &Config) -> World {
    let mut world = World::new(config);
    world.hub.open_site(Site::new(OriginPolicy::default(), &[SocketAddr::from(([192, 0, 2, 1], 80))], || {
        SystemTime::UNIX_EPOCH
    }));
    world
}

pub(crate) fn visit(world: &mut World) -> Client {
    world.connect_to(Endpoint::Web, Some(SocketAddr::from(([127, 0, 0, 1], 1))))
}

/// Opens a WebSocket, and lets the greeting be taken.
pub(crate) fn browse(world: &mut World) -> Client {
    let browser = visit(world);
    world.says(&browser, OPENING);
    let answer = browser.received_bytes();
    let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert!(answer.starts_with(head), "{}", String::from_utf8_lossy(&answer));
    assert!(said(&answer[head.len()..]).starts_with("* you are client-"));
    browser
}

/// Connects to the port for lines, and lets the greeting be taken.
pub(crate) fn join(world: &mut World) -> Client {
    let client = world.connect_silently();
    world.says(&client, "\n");
    assert!(client.received().starts_with("* you are client-"));
    client
}

/// A masked frame of up to 125 bytes.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [7, 77, 177, 207];
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub(crate) fn text(line: &str) -> Vec<u8> {
    frame(0x81, line.as_bytes())
}

/// The frames that these bytes are, each with its first byte.
#[track_caller]
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (header, payload_bytes) = match bytes[1] {
            len @ 0..126 => (2, usize::from(len)),
            126 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
            _ => (10, usize::try_from(u64::from_be_bytes(bytes[2..10].try_into().unwrap())).unwrap()),
        };
        frames.push((bytes[0], bytes[header..header + payload_bytes].to_vec()));
        bytes = &bytes[header + payload_bytes..];
    }
    frames
}

/// What was said in the text frames that these bytes are: each holds whole lines.
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
