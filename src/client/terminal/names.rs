//! The names that were seen, and who said what: a server's line read as far as a client needs it. Pure.

use crate::client::limits::NAMES_MAX;
use crate::relay::name::{Name, fold};

/// The names that were seen, the latest last.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// As shown, and folded.
    seen: Vec<(Box<str>, Box<str>)>,
}

/// What a line of the server's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind<'a> {
    /// `NAME> TEXT`
    Talk {
        /// Who said it.
        by: &'a str,
        /// What.
        text: &'a str,
    },
    /// A notice that begins with `* `, and what it tells.
    Notice(Notice<'a>),
    /// The end of the session.
    Fin,
    /// Anything else: the server is none of pollchat's.
    Other,
}

/// What a notice tells, as far as a client needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice<'a> {
    /// `you are NAME; …`, or `you are NAME already`: that is what we are called.
    You(&'a str),
    /// Somebody, perhaps us, is called otherwise from now on.
    Renamed {
        /// The name before.
        from: &'a str,
        /// The name from now on.
        to: &'a str,
    },
    /// That one is here, or has come.
    Here(&'a str),
    /// That one has left.
    Left(&'a str),
    /// That one tells us something in private.
    Told(&'a str),
    /// That name is taken.
    Taken(&'a str),
    /// The server goes, perhaps to come back.
    ShuttingDown,
    /// The server has no place for us now.
    Full,
    /// Anything else.
    Other,
}

impl Names {
    /// Takes note of a name, as the latest one.
    pub(super) fn add(&mut self, name: &str) {
        let folded = fold(name);
        self.remove_folded(&folded);
        if self.seen.len() == NAMES_MAX {
            self.seen.remove(0);
        }
        self.seen.push((name.into(), folded));
    }

    /// Forgets a name: nobody is called so any more.
    pub(super) fn remove(&mut self, name: &str) {
        self.remove_folded(&fold(name));
    }

    fn remove_folded(&mut self, folded: &str) {
        // Who talks has mostly talked a short while ago.
        if let Some(at) = self.seen.iter().rposition(|(_, seen)| &**seen == folded) {
            self.seen.remove(at);
        }
    }

    /// The names that begin with `typed` in any case, the latest first.
    pub(super) fn beginning_with(&self, typed: &str) -> Vec<String> {
        let typed = fold(typed);
        let matching = self.seen.iter().rev().filter(|(_, folded)| folded.starts_with(&*typed));
        matching.map(|(shown, _)| shown.to_string()).collect()
    }
}

impl<'a> LineKind<'a> {
    /// Reads a clean line.
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
        // A name has no blank in it, so what follows the first one was not chosen by anybody.
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

/// Whether `text` is a name that a server may show: one that was chosen, or one of its own.
fn is_name(text: &str) -> bool {
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    text == "server" || text.strip_prefix("client-").is_some_and(is_number) || Name::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_what_they_are() {
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

    #[test]
    fn names_are_completed_in_any_case_the_latest_first() {
        let mut names = Names::default();
        for name in ["ana", "Anton", "ben", "ANA"] {
            names.add(name);
        }
        assert_eq!(names.beginning_with("an"), ["ANA", "Anton"]);
        assert_eq!(names.beginning_with("AN"), ["ANA", "Anton"]);
        names.remove("ana");
        assert_eq!(names.beginning_with(""), ["ben", "Anton"]);
        assert!(names.beginning_with("x").is_empty());
    }

    #[test]
    fn no_more_names_are_kept_than_the_limit() {
        let mut names = Names::default();
        for number in 0..NAMES_MAX + 5 {
            names.add(&format!("client-{number}"));
        }
        assert_eq!(names.beginning_with("").len(), NAMES_MAX);
    }
}
