//! What the server says in its own name: the form of a notice, and the texts that do not depend on who is here.

use std::fmt::{self, Write as _};

/// The farewell: the conversation is over.
pub const FAREWELL: &str = "FIN\n";

/// What a client can do.
const HELP: [&str; 6] = [
    "a line is relayed to the others as NAME> line",
    "/nick NAME: be called NAME (1 to 24 letters, digits, _ or -)",
    "/who: who is here",
    "/msg NAME TEXT: tell TEXT to NAME alone",
    "//x: say /x",
    "FIN, exit or /quit: leave",
];

/// What the operator can do.
const HELP_OF_OPERATOR: [&str; 6] = [
    "a line is relayed to all as server> line",
    "/who: who is here",
    "/msg NAME TEXT: tell TEXT to NAME alone",
    "/kick NAME: remove NAME",
    "//x: say /x",
    "FIN, exit or /quit: stop the server; the end of input: leave it running",
];

/// What one is told who finds the house full, at `clients_max`.
pub fn full_house(clients_max: usize) -> String {
    let clients = plural(clients_max as u64, "client");
    reply(format_args!("the server is full ({} {clients})", Grouped(clients_max)))
}

/// What one is told from whose address nobody may come in.
pub fn not_allowed() -> String {
    reply(format_args!("connections from your address are not allowed here"))
}

/// What one is told from whose address `most` are in, and no more may.
pub fn too_many_from_address(most: usize) -> String {
    reply(format_args!("too many connections from your address (at most {})", Grouped(most)))
}

/// What one is told who missed lines.
pub fn missed(lines: u64) -> String {
    reply(format_args!("you missed {lines} {}", plural(lines, "line")))
}

/// What one is told whom the server lets go because it reads too slowly.
pub fn too_slow() -> String {
    reply(format_args!("you read too slowly: goodbye"))
}

/// What one is told whose first words are those of another protocol.
pub fn foreign_protocol(protocol: &str) -> String {
    reply(format_args!("this is a chat relay and speaks no {protocol}: goodbye"))
}

/// What one is told who never said anything.
pub fn never_said_anything(seconds: u64) -> String {
    reply(format_args!("you have said nothing for {seconds} {}: goodbye", plural(seconds, "second")))
}

/// What one is told whom the operator removes.
pub fn removed() -> String {
    reply(format_args!("you were removed by the operator"))
}

pub(super) fn help() -> String {
    notices(&HELP)
}

pub(super) fn help_of_operator() -> String {
    notices(&HELP_OF_OPERATOR)
}

/// What one is told who asks for a name that is another's.
pub(super) fn taken(name: &str) -> String {
    reply(format_args!("the name {name} is taken"))
}

/// A notice, as a line.
pub(super) fn reply(text: fmt::Arguments<'_>) -> String {
    let mut line = String::new();
    notice(&mut line, text);
    line
}

/// Adds a notice, as a line.
pub(super) fn notice(to: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(to, "* {text}");
}

/// `singular`, with an `s` unless it is one.
pub(super) fn plural(count: u64, singular: &'static str) -> impl fmt::Display {
    fmt::from_fn(move |f| write!(f, "{singular}{}", if count == 1 { "" } else { "s" }))
}

/// A number of people, with commas between groups of three digits.
pub(super) struct Grouped(pub(super) usize);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.char_indices() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

fn notices(lines: &[&str]) -> String {
    let mut text = String::new();
    lines.iter().for_each(|line| notice(&mut text, format_args!("{line}")));
    text
}
