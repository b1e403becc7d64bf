//! Kinds of the server's lines, as far as the client acts on them. Pure.

use crate::relay::name::Name;

/// Kind of a server's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind<'a> {
    /// `NAME> TEXT`
    Talk {
        /// The sender.
        by: &'a str,
        /// The text.
        text: &'a str,
    },
    /// A notice, which begins with `* `.
    Notice(Notice<'a>),
    /// The end of the session.
    Fin,
    /// A line of a foreign server.
    Other,
}

/// Notices that a client acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice<'a> {
    /// `you are NAME; …` or `you are NAME already`: our name.
    You(&'a str),
    /// A client, perhaps this one, has a new name.
    Renamed {
        /// The old name.
        from: &'a str,
        /// The new name.
        to: &'a str,
    },
    /// A client of this name is in the room, or has joined.
    Here(&'a str),
    /// A client of this name has left.
    Left(&'a str),
    /// A private message from a client of this name.
    Told(&'a str),
    /// This name is taken.
    Taken(&'a str),
    /// The server is shutting down, perhaps to restart.
    ShuttingDown,
    /// The server has no free seat.
    Full,
    /// Any other notice.
    Other,
}

impl<'a> LineKind<'a> {
    /// Parses a clean line.
    pub(super) fn parse(line: &'a str) -> LineKind<'a> {
        if line == "FIN" {
            return LineKind::Fin;
        }
        if let Some(notice) = line.strip_prefix("* ") {
            return LineKind::Notice(Notice::parse(notice));
        }
        match line.split_once("> ") {
            Some((by, text)) if is_name(by) => LineKind::Talk { by, text },
            _ => LineKind::Other,
        }
    }
}

impl<'a> Notice<'a> {
    fn parse(text: &'a str) -> Notice<'a> {
        // A name has no blank, so no client can choose the text after the first blank.
        let named = |name: &'a str, notice: fn(&'a str) -> Notice<'a>| {
            if is_name(name) { notice(name) } else { Notice::Other }
        };
        if text == "the server is shutting down" {
            return Notice::ShuttingDown;
        }
        if text.starts_with("the server is full") {
            return Notice::Full;
        }
        if let Some(taken) = text.strip_prefix("the name ").and_then(|rest| rest.strip_suffix(" is taken")) {
            return Notice::Taken(taken);
        }
        if let Some(rest) = text.strip_prefix("you are ") {
            let name = rest.split_once(';').map(|(name, _)| name).or_else(|| rest.strip_suffix(" already"));
            return named(name.unwrap_or_default(), Notice::You);
        }
        if let Some(rest) = text.strip_prefix("here: ") {
            return named(rest.split_once(',').map_or(rest, |(name, _)| name), Notice::Here);
        }
        match text.split_once(' ') {
            Some((name, "joined")) => named(name, Notice::Here),
            Some((name, "left")) => named(name, Notice::Left),
            Some((name, rest)) if rest.starts_with("tells you: ") => named(name, Notice::Told),
            Some((from, rest)) => match rest.strip_prefix("is now ") {
                Some(to) if is_name(from) && is_name(to) => Notice::Renamed { from, to },
                _ => Notice::Other,
            },
            None => Notice::Other,
        }
    }
}

/// Whether `text` is a name that a server shows: a chosen one, `client-N` or `server`.
fn is_name(text: &str) -> bool {
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    text == "server" || text.strip_prefix("client-").is_some_and(is_number) || Name::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_is_recognised() {
        let notice = |notice| LineKind::Notice(notice);
        let lines = [
            ("ana> hello> you", LineKind::Talk { by: "ana", text: "hello> you" }),
            ("client-7> hi", LineKind::Talk { by: "client-7", text: "hi" }),
            ("日本> * x joined", LineKind::Talk { by: "日本", text: "* x joined" }),
            ("two words> hi", LineKind::Other),
            ("> hi", LineKind::Other),
            ("client-x> hi", LineKind::Other),
            ("hello", LineKind::Other),
            ("FIN", LineKind::Fin),
            ("FIN ", LineKind::Other),
            ("* you are client-7; /help lists what you can do", notice(Notice::You("client-7"))),
            ("* you are ana already", notice(Notice::You("ana"))),
            ("* client-7 is now ana", notice(Notice::Renamed { from: "client-7", to: "ana" })),
            ("* ana joined", notice(Notice::Here("ana"))),
            ("* ana left", notice(Notice::Left("ana"))),
            ("* here: ana, 12 lines, 3 min", notice(Notice::Here("ana"))),
            ("* ana tells you: ben is now eve", notice(Notice::Told("ana"))),
            ("* you told ana: x joined", notice(Notice::Other)),
            ("* the name ana is taken", notice(Notice::Taken("ana"))),
            ("* the server is shutting down", notice(Notice::ShuttingDown)),
            ("* the server is full (3 clients)", notice(Notice::Full)),
            ("* you missed 123 lines", notice(Notice::Other)),
            ("* ", notice(Notice::Other)),
        ];
        for (line, kind) in lines {
            assert_eq!(LineKind::parse(line), kind, "{line}");
        }
    }
}
