//! The meaning of a line that a client or the operator sends: text for the room, or a command.

use std::borrow::Cow;

use super::secret::TOKEN_PREFIX;

/// First byte of a command. A line that begins with two of them is said with one.
pub const COMMAND_BYTE: u8 = b'/';

/// The command that says what follows it verbatim.
pub const SAY: &str = "/say ";

/// The character at both ends of a text that tells what a member does.
const ACTION_MARK: char = '*';

/// Returns the line that asks for a name, with its token if it belongs to the client.
pub fn nick_line(name: &str, token: Option<&str>) -> String {
    token.map_or_else(|| format!("/nick {name}\n"), |token| format!("/nick {name} {token}\n"))
}

/// Returns the line that gives the server's password.
pub fn pass_line(word: &str) -> String {
    format!("/pass {word}\n")
}

/// Returns a line without its secrets, fit to be logged, shown or kept: `…` stands for a password, a token, and all that
/// follows them.
///
/// ```
/// use pollchat::relay::command::without_secrets;
///
/// assert_eq!(without_secrets("/nick ana pcn_secret"), "/nick ana …");
/// assert_eq!(without_secrets("/nick ana"), "/nick ana");
/// assert_eq!(without_secrets("/nick pcn_secret"), "/nick …");
/// assert_eq!(without_secrets(" /PASS word"), "/pass …");
/// assert_eq!(without_secrets("hello"), "hello");
/// ```
pub fn without_secrets(line: &str) -> Cow<'_, str> {
    let command = line.trim_start_matches(|c: char| c == '/' || is_blank(c));
    let (verb, rest) = command.split_once(is_blank).unwrap_or((command, ""));
    let rest = rest.trim_matches(is_blank);
    let verb = verb.to_ascii_lowercase();
    match verb.as_str() {
        "pass" | "track" if !rest.is_empty() => format!("/{verb} …").into(),
        "nick" => match rest.split_once(is_blank) {
            Some((name, _)) if !name.contains(TOKEN_PREFIX) => format!("/nick {name} …").into(),
            _ => without_token(line),
        },
        _ => without_token(line),
    }
}

/// Returns a said line without its tokens, fit to be kept: a word like `pass` is no command in it.
pub fn without_token(line: &str) -> Cow<'_, str> {
    match line.find(TOKEN_PREFIX) {
        Some(place) => format!("{}…", &line[..place]).into(),
        None => line.into(),
    }
}

/// Returns the line that asks for a room.
pub fn join_line(room: &str) -> String {
    format!("/join {room}\n")
}

/// A sanitized line, parsed.
#[derive(Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Nothing: an empty line.
    Nothing,
    /// Text for the room: a line that is no command, or what follows `/say` and a single blank, verbatim. Empty only
    /// for `/say` without text.
    Say(&'a str),
    /// Blanks, then a word like a command: hardly meant for all to read.
    Indented,
    /// `FIN` or `exit` in any case, or `/quit`: the end of the session.
    Leave,
    /// `/nick NAME` or `/nick NAME TOKEN`
    Nick {
        /// The name as typed, perhaps empty.
        name: &'a str,
        /// The rest: the token of a name that belongs to the client, perhaps empty.
        token: &'a str,
    },
    /// `/pass WORD`: the server's password. Its word is perhaps empty.
    Pass(&'a str),
    /// `/me TEXT`: what the client does. Its text is perhaps empty.
    Act(&'a str),
    /// `/who`, `/who NAME` or `/who page N`: what follows the command, perhaps nothing.
    Who(&'a str),
    /// `/msg NAME TEXT`; either may be empty.
    Tell {
        /// The name as typed.
        to: &'a str,
        /// The message.
        text: &'a str,
    },
    /// `/join NAME`
    Join {
        /// The command as typed. On a server with one room, `/join` is an unknown command.
        word: &'a str,
        /// The name of the room as typed, perhaps empty.
        name: &'a str,
    },
    /// `/rooms`
    Rooms,
    /// `/track`, or `/track POSITION TOKEN`; both are perhaps empty.
    Track {
        /// The position to go on at.
        position: &'a str,
        /// The token of the session.
        token: &'a str,
    },
    /// `/history N`
    History {
        /// The command as typed. Without a journal, it is an unknown command.
        word: &'a str,
        /// The number of lines as typed, perhaps empty.
        count: &'a str,
    },
    /// `/search TEXT`
    Search {
        /// The command as typed. Without a journal, it is an unknown command.
        word: &'a str,
        /// The text to look for, perhaps empty.
        text: &'a str,
    },
    /// `/help`
    Help,
    /// Any other line that begins with a slash: its first word. The operator's may be an
    /// [order](super::order::Order).
    Unknown(&'a str),
}

impl<'a> Command<'a> {
    /// Parses a sanitized line. Borrows from it and allocates only for the verb.
    pub fn parse(line: &'a str) -> Command<'a> {
        if line.is_empty() {
            return Command::Nothing;
        }
        if line.eq_ignore_ascii_case("fin") || line.eq_ignore_ascii_case("exit") {
            return Command::Leave;
        }
        if !line.starts_with('/') {
            return if is_indented(line) { Command::Indented } else { Command::Say(line) };
        }
        if line.starts_with("//") {
            return Command::Say(&line[1..]);
        }
        let (verb, rest) = split_word(line);
        if verb.eq_ignore_ascii_case("/say") {
            return Command::Say(line.get(verb.len() + 1..).unwrap_or_default());
        }
        match verb.to_ascii_lowercase().as_str() {
            "/nick" => {
                let (name, token) = split_word(rest);
                Command::Nick { name, token }
            }
            "/pass" => Command::Pass(rest),
            "/me" => Command::Act(rest.trim_matches(is_blank)),
            "/who" => Command::Who(rest),
            "/msg" => {
                let (to, text) = split_word(rest);
                Command::Tell { to, text }
            }
            "/join" => Command::Join { word: verb, name: rest },
            "/rooms" => Command::Rooms,
            "/track" => {
                let (position, token) = split_word(rest);
                Command::Track { position, token }
            }
            "/history" => Command::History { word: verb, count: rest },
            "/search" => Command::Search { word: verb, text: rest },
            "/help" => Command::Help,
            "/quit" => Command::Leave,
            _ => Command::Unknown(verb),
        }
    }

    /// Returns the text that the room is told, if the line is said.
    pub fn said(&self) -> Option<Cow<'a, str>> {
        match *self {
            Command::Say(text) if !text.is_empty() => Some(text.into()),
            Command::Act(text) if !text.is_empty() => Some(format!("{ACTION_MARK}{text}{ACTION_MARK}").into()),
            _ => None,
        }
    }
}

/// Returns what a member does, if a said text tells it: all of it stands between two asterisks, as `/me` writes it.
/// A text with an asterisk or a blank within them at either end is an ordinary one.
///
/// ```
/// use pollchat::relay::command::action;
///
/// assert_eq!(action("*waves to all*"), Some("waves to all"));
/// assert_eq!(action("**bold**"), None);
/// assert_eq!(action("* joined *"), None);
/// ```
pub fn action(text: &str) -> Option<&str> {
    let act = text.strip_prefix(ACTION_MARK)?.strip_suffix(ACTION_MARK)?;
    let is_open = |c: char| c == ACTION_MARK || is_blank(c);
    (!act.is_empty() && !act.starts_with(is_open) && !act.ends_with(is_open)).then_some(act)
}

/// Whether blanks precede a word that looks like a command: `/`, and then ASCII letters alone. So ` /msg` and the typo
/// ` /mgs` are indented commands; ` /usr/bin`, ` //x`, ` / ` and ` FIN` are text.
fn is_indented(line: &str) -> bool {
    let rest = line.trim_start_matches(is_blank);
    rest.len() < line.len()
        && rest.strip_prefix(COMMAND_BYTE as char).is_some_and(|rest| {
            let word = rest.split(|c| is_blank(c) && !is_accent(c)).next().unwrap_or_default();
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic())
        })
}

/// Whether a reader does not see `c` before a command: white space, an accent without a letter, a letter or pattern
/// without ink, and all that Unicode calls default ignorable. U+FFFD is what a control character became, such as an
/// arrow key of a raw terminal.
///
/// The page has the same table (`typed.js`).
pub fn is_blank(c: char) -> bool {
    match c {
        '!'..='~' => false,
        _ if is_accent(c) => true,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' => true,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' => true,
        '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' => true,
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => true,
        char::REPLACEMENT_CHARACTER => true,
        _ => c.is_whitespace() || c.is_control(),
    }
}

/// Whether `c` belongs to the letter before it.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
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
        for line in ["hello", "fin.", "FIN ", "exit now", " ", "\t"] {
            assert_eq!(Command::parse(line), Command::Say(line));
        }
    }

    #[test]
    fn a_command_behind_blanks_is_not_said() {
        let blanks = [
            " ",
            "  ",
            "\t",
            "\u{a0}",
            "\u{3000}",
            "\u{2003}",
            "\u{200b}",
            "\u{85}",
            "\u{2800}",
            "\u{fffd}",
            "\u{301}",
            "\u{3164}",
            "\u{feff}",
            " \t\u{3000}",
        ];
        for blank in blanks {
            for command in
                ["/msg ana secret", "/MSG ana", "/mgs ana secret", "/who", "/quit", "/say x", "/nick\u{a0}ana"]
            {
                assert_eq!(Command::parse(&format!("{blank}{command}")), Command::Indented, "{blank:?}{command}");
            }
            for text in [
                "/usr/bin",
                "/etc/hosts is",
                "//x",
                "/",
                "/ x",
                "/2",
                "/* x */",
                "FIN",
                "exit",
                "x /msg",
                "\\/nick",
                ".nick",
            ] {
                let line = format!("{blank}{text}");
                assert_eq!(Command::parse(&line), Command::Say(&line));
            }
        }
        assert_eq!(Command::parse("/say  /msg ana x"), Command::Say(" /msg ana x"), "/say takes it as it is");
        assert_eq!(Command::parse("// /msg ana x"), Command::Say("/ /msg ana x"));
    }

    /// Ranges of blanks: tests/browser/pure holds the page's table to the same file.
    const BLANKS_OF_THE_PAGE: &str = include_str!("../../tests/browser/pure/blanks.json");

    #[test]
    fn the_page_has_the_same_blanks() {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for c in ('\0'..=char::MAX).filter(|&c| is_blank(c)) {
            let code = u32::from(c);
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == code => *last = code,
                _ => ranges.push((code, code)),
            }
        }
        let listed: Vec<(u32, u32)> = serde_json::from_str(BLANKS_OF_THE_PAGE).unwrap();
        assert_eq!(ranges, listed, "{}", serde_json::to_string(&ranges).unwrap());
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
    fn what_a_client_does_is_said_between_asterisks() {
        for (line, said) in [
            ("/me waves", Some("*waves*")),
            ("/ME  \u{3000}waves to all\t", Some("*waves to all*")),
            ("/me * joined", Some("** joined*")),
            ("/me", None),
            ("/me \u{200b} ", None),
            ("/say /me x", Some("/me x")),
            ("//me x", Some("/me x")),
            ("/mew x", None),
            ("/who", None),
        ] {
            assert_eq!(Command::parse(line).said().as_deref(), said, "{line}");
        }
    }

    #[test]
    fn an_action_is_all_between_two_asterisks() {
        for text in ["waves", "a", "says *this* and *that", "世界", "\u{202a}", "b* c"] {
            let said = Command::Act(text).said().unwrap();
            assert_eq!(action(&said), Some(text).filter(|text| !text.contains('\u{202a}')));
        }
        for text in ["", "*", "**", "***", "* a*", "*a *", "*\u{a0}a*", "**a*", "*a**", "a*", "*a", " *a*", "*a*."] {
            assert_eq!(action(text), None, "{text}");
        }
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
        assert_eq!(Command::parse("/nick  ana "), Command::Nick { name: "ana", token: "" });
        assert_eq!(Command::parse("/NICK ana \tpcn_x "), Command::Nick { name: "ana", token: "pcn_x" });
        assert_eq!(Command::parse("/nick"), Command::Nick { name: "", token: "" });
        assert_eq!(Command::parse("/pass  two words "), Command::Pass("two words"));
        assert_eq!(Command::parse("/pass"), Command::Pass(""));
        assert_eq!(Command::parse("/who"), Command::Who(""));
        assert_eq!(Command::parse("/who  page 2 "), Command::Who("page 2"));
        assert_eq!(Command::parse("/help me"), Command::Help);
        assert_eq!(Command::parse("/Kick ana "), Command::Unknown("/Kick"));
        assert_eq!(Command::parse("/msg ana  a b "), Command::Tell { to: "ana", text: "a b" });
        assert_eq!(Command::parse("/msg ana"), Command::Tell { to: "ana", text: "" });
        assert_eq!(Command::parse("/HISTORY  7 "), Command::History { word: "/HISTORY", count: "7" });
        assert_eq!(Command::parse("/search two words"), Command::Search { word: "/search", text: "two words" });
        assert_eq!(Command::parse("/"), Command::Unknown("/"));
        assert_eq!(Command::parse("/whoami x"), Command::Unknown("/whoami"));
    }
}
