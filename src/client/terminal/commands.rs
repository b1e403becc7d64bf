//! The client's own commands: `/query`, `/ignore`, `/unignore`, and its part of `/help`. A server never gets the first
//! three, unless it is a foreign one, which may have commands of these names.

use std::time::Instant;

use super::chat_view::ChatView;
use super::ignore::Added;
use super::{InputRow, TerminalClient};
use crate::client::outbox::entered::{Entered, Intent};
use crate::relay::name::is_shown_name;
use crate::relay::sanitize::sanitize;

/// The client's part of the answer to `/help`.
const HELP: [&str; 8] = [
    "/query NAME: all that you type goes to NAME alone, until /query",
    "/ignore NAME: hide the lines of NAME; /ignore: list the ignored names",
    "/unignore NAME: show the lines of NAME again",
    "Tab completes; Up, Down and Ctrl-R find what you sent",
    "Ctrl-A, Ctrl-E, Alt-B, Alt-F and the arrows move",
    "Ctrl-U, Ctrl-K and Ctrl-W cut, Ctrl-Y pastes; Ctrl-L clears the screen",
    "Ctrl-Z suspends, fg goes on; Ctrl-C clears the line",
    "on an empty line Ctrl-C and Ctrl-D leave; Ctrl-\\ leaves at once",
];

impl TerminalClient {
    /// Takes entered lines: obeys the commands of the client itself, and queues the others.
    pub(super) fn say(&mut self, lines: Vec<Entered>, now: Instant) {
        let (uplink, chat) = (&mut self.uplink, &mut self.chat);
        let is_foreign = uplink.is_foreign();
        let mut sent = Vec::with_capacity(lines.len());
        for line in lines {
            if !uplink.take_pass(&line, chat, now) && (is_foreign || !obey(&line, chat)) {
                sent.push(line);
            }
        }
        if chat.query.name().is_some() && is_foreign {
            chat.show_note("not sent: this server knows no private messages; /query ends the conversation");
            chat.query.end();
            return self.take_back(sent);
        }
        let aimed = sent.into_iter().filter_map(|line| chat.query.aim(line)).collect();
        if let Err(lines) = uplink.queue(aimed) {
            chat.show_note("too many lines wait to be sent already");
            self.take_back(lines);
        }
    }

    /// Gives lines over the server's limit back for editing.
    pub(super) fn give_back_refused(&mut self) {
        for refused in self.uplink.take_refused() {
            let is_below = self.editor.give_back(&refused.line);
            self.chat.show_note(&refused.note(is_below));
            self.input_row = InputRow::Dirty;
        }
    }

    /// Gives a typed line back into the editor. A paste can be pasted again.
    fn take_back(&mut self, mut lines: Vec<Entered>) {
        if let (Some(line), true) = (lines.pop(), lines.is_empty()) {
            self.editor.take_back(line.text);
        }
    }
}

/// Obeys a command of the client. Returns whether the server gets nothing of it.
fn obey(line: &Entered, chat: &mut ChatView) -> bool {
    if line.intent != Intent::Line {
        return false;
    }
    let mut buffer = String::new();
    let text = sanitize(line.text.as_bytes(), &mut buffer);
    let (verb, name) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let name = name.trim_matches([' ', '\t']);
    let is_name = name.is_empty() || is_shown_name(name);
    match verb.to_ascii_lowercase().as_str() {
        "/help" => {
            chat.help_with(&HELP);
            return false;
        }
        "/query" if is_name => query(name, chat),
        "/query" => chat.show_note("/query NAME: all that you type goes to NAME alone; /query: it goes to the room"),
        "/ignore" if is_name => ignore(name, chat),
        "/ignore" => chat.show_note("/ignore NAME hides the lines of NAME; /ignore lists who is ignored"),
        "/unignore" if is_name && !name.is_empty() => unignore(name, chat),
        "/unignore" => chat.show_note("/unignore NAME shows the lines of NAME again"),
        _ => return false,
    }
    true
}

fn query(name: &str, chat: &mut ChatView) {
    if chat.is_ours(name) {
        return chat.show_note("that is you");
    }
    let ended = chat.query.end();
    if !name.is_empty() {
        chat.query.begin(name);
        chat.show_note(&format!("all that you type goes to {name} alone now; /query ends it"));
    } else if let Some(name) = ended {
        chat.show_note(&format!("no longer to {name} alone: all that you type goes to the room now"));
    } else {
        chat.show_note("all that you type goes to the room; /query NAME: to NAME alone");
    }
}

fn ignore(name: &str, chat: &mut ChatView) {
    if name.is_empty() {
        let names: Vec<&str> = chat.ignored.names().collect();
        let told = match names.is_empty() {
            true => "nobody is ignored".to_owned(),
            false => format!("ignored: {}", names.join(", ")),
        };
        return chat.show_note(&told);
    }
    if chat.is_ours(name) {
        return chat.show_note("that is you");
    }
    let told = match chat.ignored.add(name) {
        Added::New => format!("{name} is ignored, until you leave or /unignore {name}"),
        Added::Known => format!("{name} is ignored already"),
        Added::Full => "too many names are ignored already; /ignore lists them".to_owned(),
    };
    chat.show_note(&told);
}

fn unignore(name: &str, chat: &mut ChatView) {
    let told = match chat.ignored.remove(name) {
        true => format!("{name} is shown again"),
        false => format!("{name} is not ignored"),
    };
    chat.show_note(&told);
}
