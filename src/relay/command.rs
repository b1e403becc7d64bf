//! The meaning of a line that a client or the operator sends: text for the room, or a command.

/// First byte of a command. A line that begins with two of them is said with one.
pub const COMMAND_BYTE: u8 = b'/';

/// A sanitized line, parsed.
#[derive(Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Nothing: an empty line.
    Nothing,
    /// Text for the room: a line that is no command, or what follows `/say` and a single blank, verbatim. Empty only
    /// for `/say` without text.
    Say(&'a str),
    /// `FIN` or `exit` in any case, or `/quit`: the end of the session.
    Leave,
    /// `/nick NAME`; the name as typed, perhaps empty.
    Nick(&'a str),
    /// `/who`
    Who,
    /// `/msg NAME TEXT`; either may be empty.
    Tell {
        /// The name as typed.
        to: &'a str,
        /// The message.
        text: &'a str,
    },
    /// `/help`
    Help,
    /// `/kick NAME`
    Kick {
        /// The command as typed. For a client, `/kick` is an unknown command.
        word: &'a str,
        /// The name as typed, perhaps empty.
        name: &'a str,
    },
    /// Any other line that begins with a slash: its first word.
    Unknown(&'a str),
}

impl Command<'_> {
    /// Parses a sanitized line. Borrows from it and allocates only for the verb.
    pub fn parse(line: &str) -> Command<'_> {
        if line.is_empty() {
            return Command::Nothing;
        }
        if line.eq_ignore_ascii_case("fin") || line.eq_ignore_ascii_case("exit") {
            return Command::Leave;
        }
        if !line.starts_with('/') {
            return Command::Say(line);
        }
        if line.starts_with("//") {
            return Command::Say(&line[1..]);
        }
        let (verb, rest) = split_word(line);
        if verb.eq_ignore_ascii_case("/say") {
            return Command::Say(line.get(verb.len() + 1..).unwrap_or_default());
        }
        match verb.to_ascii_lowercase().as_str() {
            "/nick" => Command::Nick(rest),
            "/who" => Command::Who,
            "/msg" => {
                let (to, text) = split_word(rest);
                Command::Tell { to, text }
            }
            "/help" => Command::Help,
            "/kick" => Command::Kick { word: verb, name: rest },
            "/quit" => Command::Leave,
            _ => Command::Unknown(verb),
        }
    }
}

/// Returns the first word, and the rest without the white space around it.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_slash_is_said() {
        for line in ["hello", " /who", "fin.", "FIN ", "exit now", " ", "\t"] {
            assert_eq!(Command::parse(line), Command::Say(line));
        }
    }

    #[test]
    fn a_doubled_slash_says_one() {
        assert_eq!(Command::parse("//who"), Command::Say("/who"));
        assert_eq!(Command::parse("//"), Command::Say("/"));
        assert_eq!(Command::parse("///"), Command::Say("//"));
    }

    #[test]
    fn say_takes_everything_behind_one_blank() {
        for text in ["hello", "exit", "FIN", "/quit", "/usr/bin", "//x", "/say x", " /who", "  a  b\t", " "] {
            for verb in ["/say ", "/say\t", "/SAY "] {
                assert_eq!(Command::parse(&format!("{verb}{text}")), Command::Say(text));
            }
        }
        for line in ["/say", "/say ", "/SAY\t"] {
            assert_eq!(Command::parse(line), Command::Say(""));
        }
        assert_eq!(Command::parse("/saying x"), Command::Unknown("/saying"));
    }

    #[test]
    fn there_are_several_words_to_leave_by() {
        for line in ["FIN", "fin", "Fin", "exit", "EXIT", "/quit", "/QUIT", "/quit bye"] {
            assert_eq!(Command::parse(line), Command::Leave);
        }
    }

    #[test]
    fn commands_take_their_words() {
        assert_eq!(Command::parse(""), Command::Nothing);
        assert_eq!(Command::parse("/nick  ana "), Command::Nick("ana"));
        assert_eq!(Command::parse("/nick"), Command::Nick(""));
        assert_eq!(Command::parse("/who"), Command::Who);
        assert_eq!(Command::parse("/help me"), Command::Help);
        assert_eq!(Command::parse("/Kick ana "), Command::Kick { word: "/Kick", name: "ana" });
        assert_eq!(Command::parse("/msg ana  a b "), Command::Tell { to: "ana", text: "a b" });
        assert_eq!(Command::parse("/msg ana"), Command::Tell { to: "ana", text: "" });
        assert_eq!(Command::parse("/"), Command::Unknown("/"));
        assert_eq!(Command::parse("/whoami x"), Command::Unknown("/whoami"));
    }
}
