//! The grammar of the server's lines: [`LineKind`] for all of them, [`Notice`] for those in the server's own name.
//!
//! The server writes notices with [`Notice::push_line`], a client reads them with [`LineKind::parse`]; no other file
//! spells their texts. The page has a reader of its own, which a test here holds to this grammar.

use std::fmt::{self, Write as _};

use super::name::{Name, NameError};

/// The line that ends a session.
pub const FIN: &str = "FIN";

/// [`FIN`] with its newline.
pub const FIN_LINE: &str = "FIN\n";

/// First bytes of every session with this server: those of [`Notice::Welcome`].
pub const FIRST_BYTES: &[u8] = b"* you are ";

/// First characters of a notice.
const MARK: &str = "* ";

/// Between the author of a line and the text.
const SAYS: &str = "> ";

/// The end of two notices.
const SEE_HELP: &str = "/help lists what you can do";

/// A line of the server, as a client reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind<'a> {
    /// `NAME> TEXT`
    Said {
        /// The name of the author.
        from: &'a str,
        /// The text.
        text: &'a str,
    },
    /// A notice, which begins with `* `.
    Notice(Notice<'a>),
    /// The end of the session.
    Fin,
    /// A line of a foreign server.
    Other(&'a str),
}

/// A notice: a line that the server says in its own name.
///
/// Names are as shown: a chosen one, `client-N` or `server`. Those that a client typed may be any text of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// To a client that entered: its name.
    Welcome {
        /// Its name.
        name: &'a str,
    },
    /// To a client that entered: the history that follows.
    Earlier {
        /// Lines of history.
        lines: u64,
    },
    /// To a slow client: lines that it was not sent.
    Missed {
        /// Lines missed.
        lines: u64,
    },
    /// To all: a client joined.
    Joined {
        /// Its name.
        name: &'a str,
    },
    /// To all: a client left.
    Left {
        /// Its name.
        name: &'a str,
    },
    /// To all: a client has a new name.
    Renamed {
        /// Its name so far.
        from: &'a str,
        /// Its new name.
        to: &'a str,
    },
    /// To all: the server stops, perhaps to restart.
    ShuttingDown,
    /// Refusal of `/nick`: the client has this name already.
    NameUnchanged {
        /// That name.
        name: &'a str,
    },
    /// Refusal of `/nick`: the name belongs to another client, or to the server.
    NameTaken {
        /// That name, as typed.
        name: &'a str,
    },
    /// Refusal of `/nick`: the text is no name.
    NameMalformed,
    /// Refusal of `/nick` to the operator.
    NameFixed {
        /// The operator's name.
        name: &'a str,
    },
    /// Usage of `/nick`.
    NickUsage,
    /// A row of `/who`.
    Here {
        /// The name of a member.
        name: &'a str,
        /// Lines that it said.
        lines: u64,
        /// Whole minutes since it entered.
        minutes: u64,
    },
    /// In place of the rows of `/who` over the limit.
    HereMore {
        /// Members without a row.
        clients: u64,
    },
    /// The last row of `/who`.
    HereTotal {
        /// All members.
        clients: u64,
    },
    /// A private message, to its recipient.
    TellsYou {
        /// The name of the sender.
        from: &'a str,
        /// The message.
        text: &'a str,
    },
    /// A private message, to its sender.
    YouTold {
        /// The name of the recipient.
        to: &'a str,
        /// The message.
        text: &'a str,
    },
    /// Refusal of `/msg`: the recipient has too many bytes to read.
    NotReading {
        /// The name of the recipient.
        name: &'a str,
    },
    /// Refusal of `/msg` and `/kick`: no member has this name.
    NotHere {
        /// That name, as typed.
        name: &'a str,
    },
    /// Usage of `/msg`.
    MsgUsage,
    /// To the operator: a member was removed.
    WasRemoved {
        /// Its name.
        name: &'a str,
    },
    /// Refusal of `/kick`: that is the operator.
    KickSelf,
    /// Usage of `/kick`.
    KickUsage,
    /// Refusal of a command that does not exist, or not for this member.
    NoCommand {
        /// Its first word, as typed.
        word: &'a str,
    },
    /// Refusal of a line over `--max-line`.
    TooLong {
        /// `--max-line`, in bytes.
        bytes: u64,
    },
    /// Refusal of a connection: the server is full.
    Full {
        /// Its capacity.
        clients: u64,
    },
    /// Refusal of a connection: `--allow` or `--deny` forbids its address.
    AddressDenied,
    /// Refusal of a connection: too many are open from its address.
    AddressCrowded {
        /// `--max-per-address`.
        connections: u64,
    },
    /// Last notice to a client that speaks a foreign protocol.
    Foreign {
        /// The name of that protocol.
        protocol: &'a str,
    },
    /// Last notice to a client that has sent nothing.
    Silent {
        /// `--idle-timeout`, in seconds.
        seconds: u64,
    },
    /// Last notice to a client that reads too slowly.
    TooSlow,
    /// Last notice to a client that the operator removed.
    Removed,
    /// Free text: the greeting, the help, or a notice that this version does not know.
    Other(&'a str),
}

impl<'a> LineKind<'a> {
    /// Reads a sanitized line, without its newline.
    pub fn parse(line: &'a str) -> LineKind<'a> {
        if line == FIN {
            return LineKind::Fin;
        }
        if let Some(text) = line.strip_prefix(MARK) {
            return LineKind::Notice(Notice::parse(text));
        }
        match line.split_once(SAYS) {
            Some((from, text)) if is_name(from) => LineKind::Said { from, text },
            _ => LineKind::Other(line),
        }
    }
}

impl<'a> Notice<'a> {
    /// Reads the text of a notice: a line without its `* ` and its newline.
    ///
    /// Numbers may be grouped by commas. A text that is almost a known one is [`Notice::Other`].
    pub fn parse(text: &'a str) -> Notice<'a> {
        // A name has no blank and no colon, so no client can choose a text that passes for another notice.
        parse_exact(text)
            .or_else(|| parse_to_one(text))
            .or_else(|| parse_of_member(text))
            .or_else(|| parse_number(text))
            .unwrap_or(Notice::Other(text))
    }

    /// Appends the whole line: `* TEXT` and a newline.
    pub fn push_line(&self, to: &mut String) {
        // Writing to a String does not fail.
        let _ = writeln!(to, "{MARK}{self}");
    }

    /// Returns the whole line: `* TEXT` and a newline.
    pub fn to_line(&self) -> String {
        let mut line = String::new();
        self.push_line(&mut line);
        line
    }
}

/// Writes the text, without `* ` and newline.
impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Notice::Welcome { name } => write!(f, "you are {name}; {SEE_HELP}"),
            Notice::Earlier { lines } => write!(f, "{}:", Counted(lines, "earlier line")),
            Notice::Missed { lines } => write!(f, "you missed {}", Counted(lines, "line")),
            Notice::Joined { name } => write!(f, "{name} joined"),
            Notice::Left { name } => write!(f, "{name} left"),
            Notice::Renamed { from, to } => write!(f, "{from} is now {to}"),
            Notice::ShuttingDown => f.write_str("the server is shutting down"),
            Notice::NameUnchanged { name } => write!(f, "you are {name} already"),
            Notice::NameTaken { name } => write!(f, "the name {name} is taken"),
            Notice::NameMalformed => write!(f, "{}", NameError::Form),
            Notice::NameFixed { name } => write!(f, "you are {name}, and nobody else"),
            Notice::NickUsage => write!(f, "/nick NAME: {}", NameError::Form),
            Notice::Here { name, lines, minutes } => {
                write!(f, "here: {name}, {}, {minutes} min", Counted(lines, "line"))
            }
            Notice::HereMore { clients } => write!(f, "and {} more", Grouped(clients)),
            Notice::HereTotal { clients } => write!(f, "{} here", Grouped(clients)),
            Notice::TellsYou { from, text } => write!(f, "{from} tells you: {text}"),
            Notice::YouTold { to, text } => write!(f, "you told {to}: {text}"),
            Notice::NotReading { name } => write!(f, "{name} is not reading: not told"),
            Notice::NotHere { name } => write!(f, "nobody here is called {name}"),
            Notice::MsgUsage => f.write_str("/msg NAME TEXT tells TEXT to NAME alone"),
            Notice::WasRemoved { name } => write!(f, "{name} was removed"),
            Notice::KickSelf => f.write_str("that is you; FIN stops the server"),
            Notice::KickUsage => f.write_str("/kick NAME removes NAME"),
            Notice::NoCommand { word } => write!(f, "there is no command {word}; {SEE_HELP}"),
            Notice::TooLong { bytes } => write!(f, "line too long (over {bytes} bytes): not relayed"),
            Notice::Full { clients } => {
                write!(f, "the server is full ({} {})", Grouped(clients), Plural(clients, "client"))
            }
            Notice::AddressDenied => f.write_str("connections from your address are not allowed here"),
            Notice::AddressCrowded { connections } => {
                write!(f, "too many connections from your address (at most {})", Grouped(connections))
            }
            Notice::Foreign { protocol } => write!(f, "this is a chat relay and speaks no {protocol}: goodbye"),
            Notice::Silent { seconds } => {
                write!(f, "you have said nothing for {}: goodbye", Counted(seconds, "second"))
            }
            Notice::TooSlow => f.write_str("you read too slowly: goodbye"),
            Notice::Removed => f.write_str("you were removed by the operator"),
            Notice::Other(text) => f.write_str(text),
        }
    }
}

/// Reads a notice without fields.
fn parse_exact(text: &str) -> Option<Notice<'_>> {
    Some(match text {
        "the server is shutting down" => Notice::ShuttingDown,
        "/msg NAME TEXT tells TEXT to NAME alone" => Notice::MsgUsage,
        "that is you; FIN stops the server" => Notice::KickSelf,
        "/kick NAME removes NAME" => Notice::KickUsage,
        "connections from your address are not allowed here" => Notice::AddressDenied,
        "you read too slowly: goodbye" => Notice::TooSlow,
        "you were removed by the operator" => Notice::Removed,
        _ if text.starts_with("a name is 1 to ") => Notice::NameMalformed,
        _ if text.starts_with("/nick NAME: a name is 1 to ") => Notice::NickUsage,
        _ => return None,
    })
}

/// Reads a notice that begins with words of the server and quotes a client.
fn parse_to_one(text: &str) -> Option<Notice<'_>> {
    if let Some(rest) = text.strip_prefix("you told ") {
        let (to, text) = rest.split_once(": ")?;
        return is_name(to).then_some(Notice::YouTold { to, text });
    }
    if let Some(rest) = text.strip_prefix("you are ") {
        let (name, notice): (_, fn(_) -> _) = if let Some((name, _)) = rest.split_once("; ") {
            (name, |name| Notice::Welcome { name })
        } else if let Some(name) = rest.strip_suffix(" already") {
            (name, |name| Notice::NameUnchanged { name })
        } else {
            (rest.strip_suffix(", and nobody else")?, |name| Notice::NameFixed { name })
        };
        return is_name(name).then(|| notice(name));
    }
    if let Some(name) = between(text, "the name ", " is taken") {
        return (!name.is_empty() && !name.contains(char::is_whitespace)).then_some(Notice::NameTaken { name });
    }
    if let Some(name) = text.strip_prefix("nobody here is called ") {
        return Some(Notice::NotHere { name });
    }
    if let Some(rest) = text.strip_prefix("there is no command ") {
        return rest.strip_suffix(SEE_HELP)?.strip_suffix("; ").map(|word| Notice::NoCommand { word });
    }
    between(text, "this is a chat relay and speaks no ", ": goodbye").map(|protocol| Notice::Foreign { protocol })
}

/// Reads a notice about a member.
fn parse_of_member(text: &str) -> Option<Notice<'_>> {
    if let Some(row) = text.strip_prefix("here: ") {
        let mut fields = row.split(", ");
        let (name, lines, minutes) = (fields.next()?, fields.next()?, fields.next()?);
        let (lines, minutes) = (counted(lines, "line")?, number(minutes.strip_suffix(" min")?)?);
        return (fields.next().is_none() && is_name(name)).then_some(Notice::Here { name, lines, minutes });
    }
    let (name, rest) = text.split_once(' ').filter(|(name, _)| is_name(name))?;
    match rest {
        "joined" => Some(Notice::Joined { name }),
        "left" => Some(Notice::Left { name }),
        "was removed" => Some(Notice::WasRemoved { name }),
        "is not reading: not told" => Some(Notice::NotReading { name }),
        _ => match rest.strip_prefix("tells you: ") {
            Some(text) => Some(Notice::TellsYou { from: name, text }),
            None => {
                let to = rest.strip_prefix("is now ").filter(|to| is_name(to))?;
                Some(Notice::Renamed { from: name, to })
            }
        },
    }
}

/// Reads a notice with a number and nothing else.
fn parse_number(text: &str) -> Option<Notice<'_>> {
    if let Some(clients) = text.strip_suffix(" here") {
        return number(clients).map(|clients| Notice::HereTotal { clients });
    }
    if let Some(clients) = between(text, "and ", " more") {
        return number(clients).map(|clients| Notice::HereMore { clients });
    }
    if let Some(lines) = text.strip_prefix("you missed ") {
        return counted(lines, "line").map(|lines| Notice::Missed { lines });
    }
    if let Some(bytes) = between(text, "line too long (over ", " bytes): not relayed") {
        return number(bytes).map(|bytes| Notice::TooLong { bytes });
    }
    if let Some(clients) = between(text, "the server is full (", ")") {
        return counted(clients, "client").map(|clients| Notice::Full { clients });
    }
    if let Some(connections) = between(text, "too many connections from your address (at most ", ")") {
        return number(connections).map(|connections| Notice::AddressCrowded { connections });
    }
    if let Some(seconds) = between(text, "you have said nothing for ", ": goodbye") {
        return counted(seconds, "second").map(|seconds| Notice::Silent { seconds });
    }
    counted(text.strip_suffix(':')?, "earlier line").map(|lines| Notice::Earlier { lines })
}

/// Whether `text` is a name that the server shows: a chosen one, `client-N` or `server`.
fn is_name(text: &str) -> bool {
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    text == "server" || text.strip_prefix("client-").is_some_and(is_number) || Name::parse(text).is_ok()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.strip_suffix(after)
}

/// Reads a number, grouped by commas or not.
fn number(text: &str) -> Option<u64> {
    if text.contains(',') { text.replace(',', "").parse().ok() } else { text.parse().ok() }
}

/// Reads a number and its unit, in the singular or the plural.
fn counted(text: &str, unit: &str) -> Option<u64> {
    number(text.strip_suffix('s').unwrap_or(text).strip_suffix(unit)?.strip_suffix(' ')?)
}

/// A number and its unit, with an `s` unless the number is one.
struct Counted(u64, &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, Plural(self.0, self.1))
    }
}

/// A unit, with an `s` unless its number is one.
struct Plural(u64, &'static str);

impl fmt::Display for Plural {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)?;
        f.write_str(if self.0 == 1 { "" } else { "s" })
    }
}

/// A number with commas between groups of three digits.
struct Grouped(u64);

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

#[cfg(test)]
mod tests;
