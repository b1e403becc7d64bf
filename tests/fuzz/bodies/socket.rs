//! What comes over a WebSocket: the lines, the answers and the end are the same however the bytes come, and the lines
//! are lines.

use std::time::Instant;

use pollchat::server::web::websocket::{WebSocket, WebSocketEnd};

/// The first byte is the size of the pieces; the rest is what a browser sends.
pub(crate) fn run(data: &[u8]) {
    let Some((&size, bytes)) = data.split_first() else { return };
    let whole = receive(bytes, bytes.len().max(1));
    let pieces = receive(bytes, usize::from(size).max(1));
    assert_eq!(whole, pieces);
    let lines = std::str::from_utf8(&whole.0).expect("text");
    assert!(lines.is_empty() || lines.ends_with('\n'));
    assert!(whole.0.len() + whole.1.len() <= bytes.len(), "more comes out than went in");
}

fn receive(bytes: &[u8], size: usize) -> (Vec<u8>, Vec<u8>, Option<WebSocketEnd>) {
    let now = Instant::now();
    let (mut socket, mut lines, mut answers) = (WebSocket::new(now), Vec::new(), Vec::new());
    for piece in bytes.chunks(size) {
        socket.receive(piece, &mut lines, &mut answers, now);
    }
    (lines, answers, socket.end())
}
