//! Kinds of the server's lines. Pure.

use crate::relay::name::is_shown_name;
use crate::relay::notice::Notice;

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

impl<'a> LineKind<'a> {
    /// Parses a clean line.
    pub(super) fn parse(line: &'a str) -> LineKind<'a> {
        if line == "FIN" {
            return LineKind::Fin;
        }
        if let Some(notice) = Notice::in_line(line) {
            return LineKind::Notice(notice);
        }
        match line.split_once("> ") {
            Some((by, text)) if is_shown_name(by) => LineKind::Talk { by, text },
            _ => LineKind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_is_recognised() {
        for (line, kind) in [
            ("ana> hello> you", LineKind::Talk { by: "ana", text: "hello> you" }),
            ("client-7> hi", LineKind::Talk { by: "client-7", text: "hi" }),
            ("日本> * x joined", LineKind::Talk { by: "日本", text: "* x joined" }),
            ("two words> hi", LineKind::Other),
            ("> hi", LineKind::Other),
            ("client-x> hi", LineKind::Other),
            ("hello", LineKind::Other),
            ("FIN", LineKind::Fin),
            ("FIN ", LineKind::Other),
            ("* ana joined", LineKind::Notice(Notice::Joined { name: "ana" })),
            ("* ", LineKind::Notice(Notice::Other(""))),
        ] {
            assert_eq!(LineKind::parse(line), kind, "{line}");
        }
    }
}
