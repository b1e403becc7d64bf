//! The answers to `/help`.

use super::notice::Notice;

/// Commands of a client.
const CLIENT: [&str; 6] = [
    "a line is relayed to the others as NAME> line",
    "/nick NAME: be called NAME (1 to 24 letters, digits, _ or -)",
    "/who: who is here",
    "/msg NAME TEXT: tell TEXT to NAME alone",
    "//x: say /x",
    "FIN, exit or /quit: leave",
];

/// Commands of the operator.
const OPERATOR: [&str; 6] = [
    "a line is relayed to all as server> line",
    "/who: who is here",
    "/msg NAME TEXT: tell TEXT to NAME alone",
    "/kick NAME: remove NAME",
    "//x: say /x",
    "FIN, exit or /quit: stop the server; the end of input: leave it running",
];

/// Returns the help for a client, as lines.
pub(super) fn for_client() -> String {
    lines(&CLIENT)
}

/// Returns the help for the operator, as lines.
pub(super) fn for_operator() -> String {
    lines(&OPERATOR)
}

fn lines(texts: &[&str]) -> String {
    let mut lines = String::new();
    texts.iter().for_each(|text| Notice::Other(text).push_line(&mut lines));
    lines
}
