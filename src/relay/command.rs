//! What a line asks for.

/// What a line begins with that asks for something; twice, it is said.
pub const COMMAND_BYTE: u8 = b'/';

/// A clean line, read as what it asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// An empty line: nothing.
    Nothing,
    /// Say this to the room.
    Say(&'a str),
    /// `FIN`, `exit` (any case) or `/quit`: the conversation is over.
    Leave,
    /// `/nick NAME`; the name as typed, perhaps empty.
    Nick(&'a str),
    /// `/who`
    Who,
    /// `/msg NAME TEXT`; either may be empty.
    Tell {
        /// The name as typed.
        to: &'a str,
        /// What to tell.
        text: &'a str,
    },
    /// `/help`
    Help,
    /// `/kick NAME`
    Kick {
        /// The command as typed: what one is told it is not who may not use it.
        word: &'a str,
        /// The name as typed, perhaps empty.
        name: &'a str,
    },
    /// Anything else that begins with a slash: its first word.
    Unknown(&'a str),
}

impl Command<'_> {
    /// Reads a clean line.
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

/// The first word, and what follows it with white space trimmed off.
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
