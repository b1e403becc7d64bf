//! What comes over a WebSocket: the lines, the answers and the end are the same however the bytes come, and the lines are
//! lines.

use std::time::Instant;

use pollchat::server::web::websocket::{End, WebSocket};

/// The first byte is the size of the pieces; the rest is what a browser sends.
pub(crate) fn run(data: &[u8]) {
    let Some((&size, bytes)) = data.split_first() else { return };
    let whole = take_in(bytes, bytes.len().max(1));
    let pieces = take_in(bytes, usize::from(size).max(1));
    assert_eq!(whole, pieces);
    let lines = std::str::from_utf8(&whole.0).expect("text");
    assert!(lines.is_empty() || lines.ends_with('\n'));
    assert!(whole.0.len() + whole.1.len() <= bytes.len(), "more comes out than went in");
}

fn take_in(bytes: &[u8], size: usize) -> (Vec<u8>, Vec<u8>, Option<End>) {
    let now = Instant::now();
    let (mut socket, mut lines, mut answers) = (WebSocket::new(now), Vec::new(), Vec::new());
    for piece in bytes.chunks(size) {
        socket.take_in(piece, &mut lines, &mut answers, now);
    }
    (lines, answers, socket.end())
}
