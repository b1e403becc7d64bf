//! The lines above the input line: those of the server, our own, and the client's notes. Pure, except for the time of
//! day.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use jiff::Timestamp;
use unicode_normalization::char::is_combining_mark;

use super::days::Days;
use super::line_kind::LineKind;
use super::names::Names;
use super::style::Style;
use crate::client::decoder::ServerLine;
use crate::client::limits::{ECHOES_MAX, UNSENT_SHOWN_MAX};
use crate::client::link::FarewellKind;
use crate::client::timestamps::Timestamps;
use crate::client::tracking::Record;
use crate::relay::command::{Command, without_secrets};
use crate::relay::name::{Name, TYPED_BYTES_MAX, fold};
use crate::relay::notice::Notice;
use crate::relay::sanitize::sanitize;

/// Formats lines into a page, and learns names from them.
#[derive(Debug)]
pub(super) struct ChatView {
    style: Style,
    timestamps: Timestamps,
    days: Days,
    /// Whether the server tracks us: it tells our name and the time of each line.
    is_tracked: bool,
    /// The time of the line that is being shown, in ms since 1970, if the server told it.
    time_ms: Option<u64>,
    names: Names,
    /// Our name on this connection, once the server has told it.
    own: Option<Own>,
    /// Own lines that the server may echo, the oldest first.
    echoes: VecDeque<String>,
    page: String,
}

#[derive(Debug)]
struct Own {
    shown: String,
    folded: Box<str>,
}

/// Consequence of a server's line, besides being shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServerEvent {
    /// Our name is this one from now on.
    Called(String),
    /// A nick that was asked for is not ours, in these words.
    Unnamed(String),
    /// Our name has an owner, who has taken it, in these words.
    NameGone(String),
    /// The server is about to end the connection.
    Farewell(FarewellKind),
    /// The server dropped a line of ours, over this limit in bytes.
    TooLong(usize),
}

impl ChatView {
    /// An empty view.
    pub(super) fn new(style: Style, timestamps: Timestamps) -> ChatView {
        ChatView {
            style,
            timestamps,
            days: Days::new(),
            is_tracked: false,
            time_ms: None,
            names: Names::default(),
            own: None,
            echoes: VecDeque::new(),
            page: String::new(),
        }
    }

    /// The names seen.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Our name, once the server has told it.
    pub(super) fn own_name(&self) -> Option<&str> {
        self.own.as_ref().map(|own| own.shown.as_str())
    }

    /// Bytes of the page.
    pub(super) fn page_bytes(&self) -> usize {
        self.page.len()
    }

    /// Takes the page: the whole lines since the last call.
    pub(super) fn take_page(&mut self) -> String {
        std::mem::take(&mut self.page)
    }

    /// Forgets our name and the echoes of the previous connection.
    pub(super) fn on_connected(&mut self) {
        self.own = None;
        self.is_tracked = false;
        self.echoes.clear();
    }

    /// Follows our name by itself from now on, because the server does not track us.
    pub(super) fn on_untracked(&mut self) {
        self.is_tracked = false;
    }

    /// Records our place, which a server that tracks us has told.
    pub(super) fn enter(&mut self, name: &str, room: &str) {
        self.is_tracked = true;
        self.set_own_name(name);
        self.names.enter(room);
    }

    /// Records our name, which a server that tracks us has told. Returns whether it is another one.
    pub(super) fn call(&mut self, name: &str) -> bool {
        let is_other = self.own_name() != Some(name);
        if is_other {
            self.set_own_name(name);
        }
        is_other
    }

    /// Shows a line of the room. `is_own`: it repeats one of ours.
    pub(super) fn show_record(&mut self, record: &Record, is_own: bool) -> Option<ServerEvent> {
        self.time_ms = Some(record.time_ms);
        let event = match LineKind::parse(&record.line) {
            LineKind::Talk { by, text } if is_own => {
                self.show_own_talk(by, text);
                None
            }
            // A plain client is not told of it.
            LineKind::Notice(Notice::Joined { name }) if self.own_name() == Some(name) => None,
            _ => self.show(ServerLine { text: &record.line, is_continued: false, has_end: true }),
        };
        self.time_ms = None;
        event
    }

    /// Shows a notice for us alone, or one in its words.
    pub(super) fn show_private(&mut self, notice: Notice<'_>) -> Option<ServerEvent> {
        let line = notice.to_line();
        self.show_notice(notice, line.trim_end_matches('\n'))
    }

    /// Shows that records are missing here.
    pub(super) fn show_missed(&mut self, lines: u64) {
        self.show_private(Notice::Missed { lines });
    }

    /// Learns from a line that is not shown now.
    pub(super) fn learn(&mut self, line: &str) -> Option<ServerEvent> {
        match LineKind::parse(line) {
            LineKind::Notice(notice) => self.learn_notice(notice),
            _ => None,
        }
    }

    /// Shows a line of the server.
    pub(super) fn show(&mut self, said: ServerLine<'_>) -> Option<ServerEvent> {
        if said.is_continued {
            let text = format!("{}{}", self.style.dim(said.mark().trim_end()), [" ", said.text].concat());
            self.write(&text);
            return None;
        }
        match LineKind::parse(said.text) {
            LineKind::Talk { by, text } => {
                if !self.is_echo(by, text) {
                    self.show_talk(by, text);
                }
                None
            }
            LineKind::Notice(notice) => self.show_notice(notice, said.text),
            LineKind::Fin => {
                self.write_dim(said.text);
                None
            }
            LineKind::Other => {
                self.write(said.text);
                None
            }
        }
    }

    /// Shows a line of ours, as it is sent. If the server echoes it (`--audience everyone`), the echo is not shown.
    /// `is_text`: the server takes it for no command, whatever it says. A command is shown without its secrets.
    pub(super) fn show_own(&mut self, line: &str, is_text: bool) {
        let mut buffer = String::new();
        let line = sanitize(line.as_bytes(), &mut buffer);
        let own = self.own_name().unwrap_or_default().to_owned();
        let prompt = self.style.own_name(&own, format_args!("{own}>"));
        let command = if is_text { Command::Say(line) } else { Command::parse(line) };
        if let Command::Say(text) = command {
            if self.echoes.len() == ECHOES_MAX {
                self.echoes.pop_front();
            }
            self.echoes.push_back(text.to_owned());
            self.write(&format!("{prompt} {text}"));
        } else {
            let asked = self.style.dim(without_secrets(line));
            self.write(&format!("{prompt} {asked}"));
        }
    }

    /// Shows a notice, and learns nothing from it.
    pub(super) fn show_words(&mut self, notice: Notice<'_>) {
        self.write_dim(notice.to_line().trim_end_matches('\n'));
    }

    /// Shows a line of a paste before its confirmation.
    pub(super) fn show_quoted(&mut self, line: &str) {
        self.write_dim(line);
    }

    /// Records that we are in the lobby, although the server does not say so.
    pub(super) fn on_lobby(&mut self) {
        self.names.enter(Name::LOBBY);
    }

    /// Shows lines that will not be sent.
    pub(super) fn show_unsent(&mut self, lines: &[String]) {
        for line in lines.iter().take(UNSENT_SHOWN_MAX) {
            self.show_note(&format!("not sent: {}", without_secrets(line)));
        }
        if let Some(more) = lines.len().checked_sub(UNSENT_SHOWN_MAX).filter(|&more| more > 0) {
            self.show_note(&format!("and {more} more"));
        }
    }

    /// Shows lines that may have been sent or not.
    pub(super) fn show_in_doubt(&mut self, lines: &[String]) {
        lines.iter().for_each(|line| self.show_note(&format!("perhaps not sent: {}", without_secrets(line))));
    }

    /// Shows a note of the client. Its prefix differs from all lines of a pollchat server.
    pub(super) fn show_note(&mut self, text: &str) {
        self.write_dim(&format!("-- {text}"));
    }

    fn show_talk(&mut self, by: &str, text: &str) {
        let is_own = self.own.as_ref().is_some_and(|own| own.shown == by);
        if is_own {
            // A line from before a lost connection, for example, in the server's history.
            self.show_own_talk(by, text);
            return;
        }
        self.names.add(by);
        let name = self.style.name(by, format_args!("{by}>"));
        let text = self.mark_mentions(text);
        self.write(&format!("{name} {text}"));
    }

    fn show_own_talk(&mut self, by: &str, text: &str) {
        let name = self.style.own_name(by, format_args!("{by}>"));
        self.write(&format!("{name} {text}"));
    }

    fn show_notice(&mut self, notice: Notice<'_>, line: &str) -> Option<ServerEvent> {
        match notice {
            Notice::TellsYou { .. } => {
                let told = self.style.bold(line);
                self.write(&told);
            }
            // `Inbox` decides whether to show it.
            // The loss of the connection is told once.
            Notice::HandedOver => {}
            _ if is_unnamed(&notice) => {}
            _ => self.write_dim(line),
        }
        self.learn_notice(notice)
    }

    fn learn_notice(&mut self, notice: Notice<'_>) -> Option<ServerEvent> {
        match notice {
            // A history may tell of an earlier bearer of our name.
            Notice::Renamed { from, to } if self.is_tracked && [from, to].iter().any(|&name| self.is_own(name)) => {}
            Notice::Welcome { name } | Notice::NameUnchanged { name } => return self.set_own_name(name),
            Notice::Renamed { from, to } if self.is_own(from) => return self.set_own_name(to),
            Notice::Renamed { from, to } => {
                self.names.remove(from);
                self.names.add(to);
            }
            Notice::Here { name, .. } | Notice::Joined { name } if !self.is_own(name) => self.names.add(name),
            Notice::Left { name } | Notice::Removed { name } => self.names.on_left(name),
            Notice::InRoom { room, .. } | Notice::InRoomAlready { room } => self.names.enter(room),
            Notice::RoomHere { room, .. } => self.names.add_room(room),
            Notice::TellsYou { from: name, .. } => self.names.add_from_anywhere(name),
            Notice::NameTakenOver { name } | Notice::NameLost { name, .. } => {
                self.set_own_name(name);
                return Some(ServerEvent::NameGone(notice.to_string()));
            }
            _ if is_unnamed(&notice) => return Some(ServerEvent::Unnamed(notice.to_string())),
            Notice::TooLong { bytes } => return Some(ServerEvent::TooLong(bytes)),
            _ => return FarewellKind::of(&notice).map(ServerEvent::Farewell),
        }
        None
    }

    fn is_own(&self, name: &str) -> bool {
        self.own_name() == Some(name)
    }

    fn set_own_name(&mut self, name: &str) -> Option<ServerEvent> {
        self.own = Some(Own { shown: name.to_owned(), folded: fold(name) });
        Some(ServerEvent::Called(name.to_owned()))
    }

    /// Whether a line is an echo of ours. Names are unique, and echoes come in order: earlier lines that were not
    /// echoed never will be.
    fn is_echo(&mut self, by: &str, text: &str) -> bool {
        if self.own_name() != Some(by) {
            return false;
        }
        let Some(at) = self.echoes.iter().position(|said| said == text) else { return false };
        self.echoes.drain(..=at);
        true
    }

    fn mark_mentions(&self, text: &str) -> String {
        let Some(own) = &self.own else { return text.to_owned() };
        let mut marked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_word_char) {
            let (before, from) = rest.split_at(start);
            let (word, behind) = from.split_at(from.find(|c| !is_word_char(c)).unwrap_or(from.len()));
            marked.push_str(before);
            if own.is(word) {
                marked.push_str(&self.style.mention(word));
            } else {
                marked.push_str(word);
            }
            rest = behind;
        }
        marked.push_str(rest);
        marked
    }

    fn write_dim(&mut self, text: &str) {
        let dim = self.style.dim(text);
        self.write(&dim);
    }

    fn write(&mut self, line: &str) {
        let time_ms = self.time_ms.unwrap_or_else(now_ms);
        if self.is_tracked
            && let Some(rule) = self.days.rule_before(time_ms)
        {
            self.page.push_str(&self.style.dim(rule));
            self.page.push('\n');
        }
        let stamp = self.timestamps.prefix_of(time_ms);
        if !stamp.is_empty() {
            self.page.push_str(&self.style.dim(stamp));
        }
        self.page.push_str(line);
        self.page.push('\n');
    }
}

/// Whether a notice refuses a name.
fn is_unnamed(notice: &Notice<'_>) -> bool {
    matches!(
        notice,
        Notice::NameTaken { .. }
            | Notice::NameOwned { .. }
            | Notice::NameLookalike { .. }
            | Notice::TokenWrong { .. }
            | Notice::TokenUnknown { .. }
    )
}

impl Own {
    /// Whether `word` is our name, by the rules of the room.
    fn is(&self, word: &str) -> bool {
        // A name may end with a dash, and so may a word: ana--
        let names = |word: &str| word.len() <= TYPED_BYTES_MAX && fold(word) == self.folded;
        names(word) || names(word.trim_matches(['-', '_']))
    }
}

/// The time of day, in ms since 1970.
fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// Whether `c` can be part of a name.
fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c) || c == '_' || c == '-'
}
