//! The lines above the input line: those of the server, our own, and the client's notes. Pure, except for the time of
//! day.

mod talk;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use jiff::Timestamp;

use super::calls::{Call, Calls};
use super::days::Days;
use super::ignore::Ignored;
use super::line_kind::LineKind;
use super::listing::Listing;
use super::log::Log;
use super::names::Names;
use super::query::Query;
use super::style::Style;
use super::unread::{self, Unread};
use super::wrap::HANG;
use crate::client::decoder::ServerLine;
use crate::client::limits::UNSENT_SHOWN_MAX;
use crate::client::link::FarewellKind;
use crate::client::timestamps::Timestamps;
use crate::client::tracking::Record;
use crate::relay::command::{without_secrets, without_token};
use crate::relay::name::{Name, fold};
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
    /// Own private lines that the server will confirm, the oldest first: their recipients, folded, and their texts.
    told: VecDeque<(Box<str>, String)>,
    /// The client's part of the answer to `/help`, until the command is shown.
    help: &'static [&'static str],
    /// Whether the last line was hidden, so that its further pieces are.
    is_hidden: bool,
    /// `--log`.
    log: Option<Log>,
    pub(super) calls: Calls,
    pub(super) ignored: Ignored,
    pub(super) query: Query,
    pub(super) unread: Unread,
    /// The answer to `/who` that has begun.
    listing: Listing,
    /// Columns of the window.
    columns: usize,
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
    pub(super) fn new(style: Style, timestamps: Timestamps, log: Option<Log>, columns: usize) -> ChatView {
        ChatView {
            style,
            timestamps,
            days: Days::new(),
            is_tracked: false,
            time_ms: None,
            names: Names::default(),
            own: None,
            echoes: VecDeque::new(),
            told: VecDeque::new(),
            help: &[],
            is_hidden: false,
            log,
            calls: Calls::default(),
            ignored: Ignored::default(),
            query: Query::default(),
            unread: Unread::default(),
            listing: Listing::default(),
            columns,
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

    /// Sets the width of the window.
    pub(super) fn resize(&mut self, columns: usize) {
        self.columns = columns;
    }

    /// The user is back, or the connection is: what was said meanwhile is unread.
    pub(super) fn on_return(&mut self) {
        self.unread.on_return(now_ms());
    }

    /// The terminal got or lost the focus.
    pub(super) fn on_focus(&mut self, has_focus: bool) {
        self.unread.on_focus(has_focus, now_ms());
    }

    /// Writes the lines for `--log`, and tells its first failure.
    pub(super) fn write_log(&mut self) {
        let Some(log) = &mut self.log else { return };
        log.write();
        if let Some(fault) = log.take_fault() {
            self.show_note(&fault);
        }
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
        self.told.clear();
        self.calls.on_earlier(0);
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
                self.calls.on_said();
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
        self.is_hidden = self.ignored.hides(&LineKind::Notice(notice));
        if self.is_hidden {
            return None;
        }
        let line = notice.to_line();
        self.show_notice(notice, line.trim_end_matches('\n'))
    }

    /// Shows that records are missing here.
    pub(super) fn show_missed(&mut self, lines: u64) {
        self.calls.on_earlier(0);
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
            if self.is_hidden {
                return None;
            }
            let head = self.style.dim(said.mark().trim_end()) + " ";
            self.log(|| format!("{}{}", said.mark(), said.text));
            self.write(&head, said.text);
            return None;
        }
        let kind = LineKind::parse(said.text);
        self.is_hidden = self.ignored.hides(&kind);
        if self.is_hidden {
            return self.hide(&kind);
        }
        match kind {
            LineKind::Talk { by, text } => {
                if !self.is_echo(by, text) {
                    self.show_talk(by, text);
                }
                None
            }
            LineKind::Notice(notice) => {
                self.rule_unread();
                self.show_notice(notice, said.text)
            }
            LineKind::Fin => {
                self.write_dim(said.text);
                None
            }
            LineKind::Other => {
                self.rule_unread();
                self.log(|| said.text.to_owned());
                self.write("", said.text);
                None
            }
        }
    }

    /// Takes a line of an ignored member.
    fn hide(&mut self, kind: &LineKind<'_>) -> Option<ServerEvent> {
        match *kind {
            LineKind::Talk { .. } => self.calls.on_said(),
            LineKind::Notice(Notice::TellsYou { .. }) => {}
            LineKind::Notice(notice) => return self.learn_notice(notice),
            LineKind::Fin | LineKind::Other => {}
        }
        None
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
        // The name of a file may have any character.
        let mut buffer = String::new();
        self.write_dim(&format!("-- {}", sanitize(text.as_bytes(), &mut buffer)));
    }

    /// Sets the notes that stand below the next `/help`.
    pub(super) fn help_with(&mut self, notes: &'static [&'static str]) {
        self.help = notes;
    }

    fn show_notice(&mut self, notice: Notice<'_>, line: &str) -> Option<ServerEvent> {
        match notice {
            Notice::TellsYou { from, text } => {
                self.rule_unread();
                self.calls.add(Call { from: from.to_owned(), text: text.to_owned(), is_private: true });
                self.log(|| line.to_owned());
                let (head, text) = (self.style.bold(format_args!("* {from} tells you: ")), self.style.bold(text));
                self.write(&head, &text);
            }
            Notice::Here { name, is_away, .. } => {
                if self.listing.add(name, is_away, line) {
                    self.show_listing();
                }
            }
            Notice::YouTold { to, text } if self.is_told(to, text) => self.log(|| without_token(line).into_owned()),
            // `Inbox` decides whether to show it.
            // The loss of the connection is told once.
            Notice::HandedOver => {}
            _ if is_unnamed(&notice) => {}
            _ => {
                if is_logged(&notice) {
                    self.log(|| without_token(line).into_owned());
                }
                self.write_dim(line);
            }
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
                self.query.on_renamed(from, to);
            }
            Notice::Earlier { lines } => self.calls.on_earlier(lines),
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

    /// Whether a name is ours, in any case.
    pub(super) fn is_ours(&self, name: &str) -> bool {
        self.own.as_ref().is_some_and(|own| own.folded == fold(name))
    }

    fn is_own(&self, name: &str) -> bool {
        self.own_name() == Some(name)
    }

    fn set_own_name(&mut self, name: &str) -> Option<ServerEvent> {
        self.own = Some(Own { shown: name.to_owned(), folded: fold(name) });
        Some(ServerEvent::Called(name.to_owned()))
    }

    /// Shows the answer to `/who` that has begun.
    fn show_listing(&mut self) {
        let columns = self.columns.saturating_sub(self.timestamps.columns());
        for line in self.listing.take(self.style, columns) {
            self.write("", &line);
        }
    }

    /// Draws the rule above the first unread line, if this line is it.
    fn rule_unread(&mut self) {
        let now = now_ms();
        if self.unread.is_due(self.time_ms.unwrap_or(now), now) {
            self.write_rule(&self.style.bold(unread::RULE));
        }
    }

    /// Adds a line to `--log`, but for those that were said before we came.
    fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log
            && !self.calls.is_earlier()
        {
            log.add(self.time_ms.unwrap_or_else(now_ms), &line());
        }
    }

    fn write_dim(&mut self, text: &str) {
        let dim = self.style.dim(text);
        self.write("", &dim);
    }

    /// Writes a line: its head, and its text, under which further rows begin.
    fn write(&mut self, head: &str, text: &str) {
        if self.listing.is_begun() {
            self.show_listing();
        }
        let time_ms = self.time_ms.unwrap_or_else(now_ms);
        if let Some(rule) = self.days.rule_before(time_ms) {
            self.write_rule(&self.style.dim(rule));
        }
        let stamp = self.timestamps.prefix_of(time_ms);
        if !stamp.is_empty() {
            self.page.push_str(&self.style.dim(stamp));
        }
        self.page.push_str(head);
        self.page.push(HANG);
        self.page.push_str(text);
        self.page.push('\n');
    }

    fn write_rule(&mut self, rule: &str) {
        if self.listing.is_begun() {
            self.show_listing();
        }
        self.page.push_str(rule);
        self.page.push('\n');
    }
}

/// Whether `--log` gets a notice: no answer to a command but those about private messages.
fn is_logged(notice: &Notice<'_>) -> bool {
    matches!(
        notice,
        Notice::Joined { .. }
            | Notice::Left { .. }
            | Notice::Removed { .. }
            | Notice::Renamed { .. }
            | Notice::Missed { .. }
            | Notice::InRoom { .. }
            | Notice::YouAre { .. }
            | Notice::Welcome { .. }
            | Notice::YouTold { .. }
            | Notice::ShuttingDown
            | Notice::CutOff
            | Notice::Together { .. }
            | Notice::LostBetween { .. }
    )
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

/// The time of day, in ms since 1970.
fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}
