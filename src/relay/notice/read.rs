//! The reading side of the grammar: text into [`Notice`]. Used by clients, so it may allocate.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Notice, PREFIX, PRIVATE_PREFIX, REMOVED};
use crate::relay::name::is_shown_name;

/// Notices without a field.
pub(super) const FIXED: [Notice<'static>; 31] = [
    Notice::HistoryUsage,
    Notice::SearchUsage,
    Notice::Kept,
    Notice::ShuttingDown,
    Notice::HandedOver,
    Notice::CutOff,
    Notice::NameMalformed,
    Notice::NameFixed,
    Notice::NickUsage,
    Notice::TellUsage,
    Notice::ActUsage,
    Notice::WhoUsage,
    Notice::SayUsage,
    Notice::RoomMalformed,
    Notice::JoinUsage,
    Notice::IndentedCommand,
    Notice::PasswordWanted,
    Notice::PasswordWrong,
    Notice::PasswordUnasked,
    Notice::PasswordRefused,
    Notice::PasswordCrowded,
    Notice::PasswordMissing,
    Notice::AddressDenied,
    Notice::ProxyExpected,
    Notice::TlsExpected,
    Notice::TooSlow,
    Notice::RemovedByOperator,
    Notice::Resumed,
    Notice::NotResumed,
    Notice::Elsewhere,
    Notice::NothingToTrack,
];

impl<'a> Notice<'a> {
    /// Reads the text of a notice, which is its line without [`PREFIX`] and LF.
    ///
    /// Text that this version of the server would not write exactly so is [`Other`](Notice::Other), so that
    /// `Notice::parse(text).to_string() == text` for every text. The operator's greeting is free text, which may look
    /// like any notice.
    pub fn parse(text: &'a str) -> Notice<'a> {
        let fixed = FIXED.into_iter().find(|notice| notice.is_written(text));
        let read = fixed.or_else(|| read_news(text)).or_else(|| read_answer(text)).or_else(|| read_refusal(text));
        read.filter(|notice| notice.is_written(text)).unwrap_or(Notice::Other(text))
    }

    /// Reads a line of the server without its LF; `None` if it is no notice. A plain client reads both prefixes.
    pub fn in_line(line: &'a str) -> Option<Notice<'a>> {
        line.strip_prefix(PREFIX).or_else(|| line.strip_prefix(PRIVATE_PREFIX)).map(Notice::parse)
    }

    /// Whether `Display` writes exactly `text`. Allocates nothing.
    fn is_written(&self, text: &str) -> bool {
        let mut rest = Rest(text);
        write!(rest, "{self}").is_ok() && rest.0.is_empty()
    }
}

/// Reads a notice that answers no command. A name has no space, so no client chooses the words right after the first
/// space.
fn read_news(text: &str) -> Option<Notice<'_>> {
    if let Some(rest) = text.strip_prefix("you missed ") {
        return Some(Notice::Missed { lines: number(first_word(rest))? });
    }
    if let Some(rest) = text.strip_prefix("you are ")
        && let Some((name, _)) = rest.split_once(';')
    {
        return is_shown_name(name).then_some(Notice::Welcome { name });
    }
    let (first, rest) = text.split_once(' ')?;
    if rest.starts_with("earlier line") {
        return Some(Notice::Earlier { lines: number(first)? });
    }
    if rest.ends_with(" lost between the servers") {
        return Some(Notice::LostBetween { lines: number(first)? });
    }
    if let Some(seconds) = between(text, "together again after ", " s") {
        return Some(Notice::Together { seconds: number(seconds)? });
    }
    let name = first;
    let notice = match rest {
        "joined" => Notice::Joined { name },
        "left" => Notice::Left { name },
        "was removed" => Notice::Removed { name },
        "is not reading: not told" => Notice::NotReading { name },
        "is away: not told" => Notice::Away { name },
        _ => {
            if let Some(text) = rest.strip_prefix("tells you: ") {
                Notice::TellsYou { from: name, text }
            } else {
                let to = rest.strip_prefix("is now ").filter(|to| is_shown_name(to))?;
                Notice::Renamed { from: name, to }
            }
        }
    };
    is_shown_name(name).then_some(notice)
}

/// Reads the answer to a command, or to a line over the limit.
fn read_answer(text: &str) -> Option<Notice<'_>> {
    if let Some(rest) = text.strip_prefix("here: ") {
        let mut parts = rest.split(", ");
        let [name, lines, minutes] = [parts.next()?, parts.next()?, parts.next()?];
        let (lines, minutes) = (number(first_word(lines))?, number(first_word(minutes))?);
        let is_away = parts.next() == Some("away");
        return is_shown_name(name).then_some(Notice::Here { name, lines, minutes, is_away });
    }
    if let Some(more) = between(text, "and ", " more") {
        return Some(Notice::More { count: grouped(more)? });
    }
    if let Some(clients) = text.strip_suffix(" here").and_then(grouped) {
        return Some(Notice::HereTotal { clients });
    }
    if let Some((found, clients)) = text.strip_suffix(" here").and_then(|rest| rest.split_once(" of "))
        && let (Some(found), Some(clients)) = (grouped(found), grouped(clients))
    {
        return Some(Notice::HereFound { found, clients });
    }
    if let Some(name) = between(text, "the name ", " is taken") {
        return Some(Notice::NameTaken { name });
    }
    if let Some(room) = between(text, "you are in ", " already") {
        return is_shown_name(room).then_some(Notice::InRoomAlready { room });
    }
    if let Some(name) = between(text, "you are ", " already") {
        return is_shown_name(name).then_some(Notice::NameUnchanged { name });
    }
    if let Some((name, room)) = text.strip_prefix("you are ").and_then(|rest| rest.split_once(", in ")) {
        return (is_shown_name(name) && is_shown_name(room)).then_some(Notice::YouAre { name, room });
    }
    if let Some(rest) = text.strip_prefix("session ") {
        let mut words = rest.split(' ');
        let [token, _, heard, _, at, _, name] = std::array::from_fn(|_| words.next().unwrap_or_default());
        return Some(Notice::Session { token, heard: number(heard)?, at, name });
    }
    if let Some(rest) = text.strip_prefix("you told ") {
        let (to, text) = rest.split_once(": ")?;
        return is_shown_name(to).then_some(Notice::YouTold { to, text });
    }
    if let Some(name) = text.strip_prefix("nobody here is called ") {
        return Some(Notice::NobodyCalled { name });
    }
    if let Some(word) = between(text, "there is no command ", "; /help lists what you can do") {
        return Some(Notice::UnknownCommand { word });
    }
    if let Some(notice) = read_owned(text).or_else(|| read_rooms(text)).or_else(|| read_earlier(text)) {
        return Some(notice);
    }
    let rest = text.strip_prefix("line too long (over ")?;
    Some(Notice::TooLong { bytes: number(first_word(rest))? })
}

/// Reads a notice about a name that belongs to somebody, or a token.
fn read_owned(text: &str) -> Option<Notice<'_>> {
    let notice = if let Some(rest) = text.strip_prefix("the name ") {
        let (name, rest) = rest.split_once(" belongs to somebody")?;
        match rest.strip_prefix(" now: you are ") {
            Some(new) if is_shown_name(new) => Notice::NameLost { owned: name, name: new },
            Some(_) => return None,
            None => Notice::NameOwned { name },
        }
    } else if let Some(name) = text.strip_prefix("that is not the token of ") {
        Notice::TokenWrong { name }
    } else if let Some(name) = between(text, "you are here a second time: this one is ", " now") {
        Notice::NameTakenOver { name }
    } else if let Some((name, owned)) = text.split_once(" looks like ") {
        Notice::NameLookalike { name, owned: owned.strip_suffix(", which belongs to somebody")? }
    } else {
        Notice::TokenUnknown { name: text.split_once(" belongs to nobody: ")?.0 }
    };
    let (name, other) = match notice {
        Notice::NameLookalike { name, owned: other } | Notice::NameLost { owned: other, name } => (name, other),
        Notice::NameOwned { name } | Notice::TokenWrong { name } | Notice::NameTakenOver { name } => (name, name),
        Notice::TokenUnknown { name } => (name, name),
        _ => return None,
    };
    (is_shown_name(name) && is_shown_name(other)).then_some(notice)
}

/// Reads the answer to `/join` or `/rooms`.
fn read_rooms(text: &str) -> Option<Notice<'_>> {
    if let Some(rest) = text.strip_prefix("you are in ") {
        let (room, others) = rest.split_once(", ")?;
        let others = if others == "alone" { 0 } else { grouped(first_word(others.strip_prefix("with ")?))? };
        return is_shown_name(room).then_some(Notice::InRoom { room, others });
    }
    if let Some(rest) = text.strip_prefix("room: ") {
        let (room, clients) = rest.strip_suffix(" here")?.split_once(", ")?;
        return is_shown_name(room).then_some(Notice::RoomHere { room, clients: grouped(clients)? });
    }
    if let Some(rest) = text.strip_prefix("there are ").and_then(|rest| rest.strip_suffix(" already")) {
        return Some(Notice::RoomsFull { rooms: grouped(first_word(rest))? });
    }
    if let Some((name, room)) = text.split_once(" looks like ") {
        return (is_shown_name(name) && is_shown_name(room)).then_some(Notice::RoomLookalike { name, room });
    }
    let (rooms, _) = text.split_once(" room")?;
    Some(Notice::RoomsTotal { rooms: grouped(rooms)? })
}

/// Reads the answer to `/history` or `/search`.
fn read_earlier(text: &str) -> Option<Notice<'_>> {
    let (number_of_lines, unit) = text.split_once(' ')?;
    if matches!(unit, "line" | "lines") {
        return Some(Notice::LinesTotal { lines: number(number_of_lines)? });
    }
    let (time, line) = text.split_at_checked(TIME_FORM.len())?;
    let is_digit = |(form, byte): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { form == byte };
    let is_time = TIME_FORM.bytes().zip(time.bytes()).all(is_digit);
    is_time.then_some(Notice::Said { time, line: line.strip_prefix(' ')? })
}

/// The form of a time, with a `0` for each digit.
const TIME_FORM: &str = "0000-00-00 00:00:00Z";

/// Reads the reason that a client gets before the server disconnects it.
fn read_refusal(text: &str) -> Option<Notice<'_>> {
    if let Some(rest) = text.strip_prefix("the server is full (") {
        return Some(Notice::ServerFull { clients: grouped(first_word(rest))? });
    }
    if let Some(most) = between(text, "too many connections from your address (at most ", ")") {
        return Some(Notice::AddressCrowded { most: grouped(most)? });
    }
    if let Some(protocol) = between(text, "this is a chat relay and speaks no ", ": goodbye") {
        return Some(Notice::ForeignProtocol { protocol });
    }
    if let Some(reason) = text.strip_prefix(REMOVED).and_then(|rest| rest.strip_prefix(": ")) {
        return Some(Notice::RemovedFor { reason });
    }
    if let Some(rest) = text.strip_prefix("you are banned") {
        let (until, reason) = rest.split_once(": ").unwrap_or((rest, ""));
        let until = if until.is_empty() { None } else { Some(minutes(between(until, " until ", " UTC")?)?) };
        return Some(Notice::Banned { until, reason });
    }
    let rest = text.strip_prefix("you have said nothing for ")?;
    Some(Notice::Silent { seconds: number(first_word(rest))? })
}

/// Reads a time to the minute as minutes since 1970.
fn minutes(text: &str) -> Option<u64> {
    let time = DateTime::strptime("%Y-%m-%d %H:%M", text).ok()?;
    let seconds = time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    u64::try_from(seconds / 60).ok()
}

fn between<'a>(text: &'a str, prefix: &str, suffix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?.strip_suffix(suffix)
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or(text)
}

fn number<N: FromStr>(digits: &str) -> Option<N> {
    digits.parse().ok()
}

fn grouped(digits: &str) -> Option<usize> {
    number(&digits.replace(',', ""))
}

/// A writer that compares what is written to it with a text, and holds the rest of that text.
struct Rest<'a>(&'a str);

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, written: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(written).ok_or(fmt::Error)?;
        Ok(())
    }
}
