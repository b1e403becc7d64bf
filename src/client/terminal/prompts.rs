//! The prompt before the typed text: our name and room, or the state of the link. Pure.

use super::editor::Question;
use super::screen::Prompt;
use super::search::Search;
use super::style::Style;
use super::uplink::LinkStatus;
use crate::relay::notice::Notice;

/// Characters of a member's name for which a narrow window has room: so many tell most members apart.
const BEGIN_CHARS: usize = 8;

/// Everything that the prompt tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct PromptState<'a> {
    /// The question that waits for an answer.
    pub(super) question: Option<&'a Question>,
    /// The search under way.
    pub(super) search: Option<&'a Search>,
    /// The member to whom alone lines go.
    pub(super) query: Option<&'a str>,
    /// The state of the link.
    pub(super) status: LinkStatus,
    /// The number of typed lines that wait to be sent.
    pub(super) waiting: usize,
    /// The number of lines that are sent, and without a record for long.
    pub(super) under_way: usize,
    /// Our name on the server.
    pub(super) name: Option<&'a str>,
    /// Our room, unless it is the lobby.
    pub(super) room: Option<&'a str>,
}

impl PromptState<'_> {
    /// Returns the prompts, from the longest to the one for a narrow window.
    pub(super) fn prompts(&self, style: Style) -> Vec<Prompt> {
        let bold = |plain: String| Prompt { styled: style.bold(&plain), plain };
        let to = self.query.map_or_else(String::new, |name| format!(" to {name} alone"));
        if let Some(question) = self.question {
            let (long, short) = match question {
                Question::Paste(lines) => (format!("send these {} lines{to}? [y/n] ", lines.len()), "send? "),
                Question::ShiftedCommand(_) if to.is_empty() => ("say this to the room? [y/n] ".to_owned(), "say? "),
                Question::ShiftedCommand(_) => (format!("say this{to}? [y/n] "), "say? "),
            };
            return vec![bold(long), bold(short.to_owned()), bold("? ".to_owned())];
        }
        if let Some(search) = self.search {
            let word = if search.has_failed() { "not found" } else { "search" };
            let long = format!("({word}: {}){to} ", search.wanted());
            return vec![bold(long), bold(format!("({word}) ")), bold("? ".to_owned())];
        }
        let waits = match (self.under_way, self.waiting) {
            (0, 0) => None,
            (0, 1) => Some("1 line waits".to_owned()),
            (0, lines) => Some(format!("{lines} lines wait")),
            (1, 0) => Some("1 line under way".to_owned()),
            (lines, 0) => Some(format!("{lines} lines under way")),
            (lines, waiting) => Some(format!("{lines} under way, {waiting} waiting")),
        };
        let state = |text: &str| match &waits {
            Some(waits) => bold(format!("({waits}; {text}){to} ")),
            None => bold(format!("({text}){to} ")),
        };
        match self.status {
            LinkStatus::Connecting => vec![state("connecting"), bold("~ ".to_owned())],
            LinkStatus::Leaving => vec![state("leaving"), bold("~ ".to_owned())],
            LinkStatus::Waiting(seconds) => vec![
                state(&format!("no connection, again in {seconds} s")),
                bold(format!("({seconds} s) ")),
                bold("! ".to_owned()),
            ],
            LinkStatus::Locked => {
                vec![state(&Notice::PasswordWanted.to_string()), state("/pass WORD"), bold("! ".to_owned())]
            }
            LinkStatus::Connected => {
                let waits = waits.map_or_else(String::new, |waits| format!("({waits}) "));
                let name = self.name.unwrap_or_default();
                let own = |shown: &str| {
                    let styled = format!("{waits}{} ", style.own_name(name, format_args!("{shown}>")));
                    Prompt { styled, plain: format!("{waits}{shown}> ") }
                };
                let narrowest = bold("> ".to_owned());
                if let Some(to) = self.query {
                    let alone = |waits: &str, shown: String| Prompt {
                        styled: format!("{waits}{} ", style.alone(&shown)),
                        plain: format!("{waits}{shown} "),
                    };
                    let begin: String = to.chars().take(BEGIN_CHARS).collect();
                    return vec![
                        alone(&waits, format!("{name} to {to} alone>")),
                        alone(&waits, format!("to {to} alone>")),
                        alone("", format!("to {to}>")),
                        alone("", format!("to {begin}…>")),
                        alone("", "alone>".to_owned()),
                        alone("", "!".to_owned()),
                    ];
                }
                match self.room {
                    None => vec![own(name), own(""), narrowest],
                    Some(room) => vec![own(&format!("{name}@{room}")), own(room), bold(format!("{room}> ")), narrowest],
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Colors;

    /// The prompts of a state, the widest first. The text that is drawn is the one that is measured.
    fn plain(state: &PromptState<'_>) -> Vec<String> {
        let prompts = state.prompts(Style::new(Colors::Off));
        for Prompt { plain, styled } in &prompts {
            let drawn =
                ["\x1b[1m", "\x1b[7m", "\x1b[0m"].iter().fold(styled.clone(), |text, sgr| text.replace(sgr, ""));
            assert_eq!(drawn, *plain);
        }
        prompts.into_iter().map(|prompt| prompt.plain).collect()
    }

    #[test]
    fn the_prompt_tells_the_room_even_in_a_narrow_window() {
        let told = |waiting, status| -> Vec<String> {
            let state = PromptState {
                question: None,
                search: None,
                query: None,
                status,
                waiting,
                under_way: 0,
                name: Some("ana"),
                room: Some("rust"),
            };
            plain(&state)
        };
        assert_eq!(told(0, LinkStatus::Connected), ["ana@rust> ", "rust> ", "rust> ", "> "]);
        assert_eq!(
            told(1, LinkStatus::Connected),
            ["(1 line waits) ana@rust> ", "(1 line waits) rust> ", "rust> ", "> "]
        );
        assert_eq!(told(0, LinkStatus::Leaving), ["(leaving) ", "~ "]);
    }

    #[test]
    fn every_prompt_tells_of_a_conversation_with_one_member() {
        let question = Question::Paste(vec![String::new(); 3]);
        let search = Search::begin("");
        let told = |question, search, status| {
            let (query, name, room) = (Some("benjamin-of-berlin"), Some("ana"), Some("rust"));
            let state = PromptState { question, search, query, status, waiting: 1, under_way: 0, name, room };
            plain(&state)
        };
        assert_eq!(
            told(None, None, LinkStatus::Connected),
            [
                "(1 line waits) ana to benjamin-of-berlin alone> ",
                "(1 line waits) to benjamin-of-berlin alone> ",
                "to benjamin-of-berlin> ",
                "to benjamin…> ",
                "alone> ",
                "! "
            ]
        );
        assert_eq!(
            told(None, None, LinkStatus::Connecting)[0],
            "(1 line waits; connecting) to benjamin-of-berlin alone "
        );
        assert_eq!(told(None, Some(&search), LinkStatus::Connected)[0], "(search: ) to benjamin-of-berlin alone ");
        assert_eq!(
            told(Some(&question), None, LinkStatus::Connected)[0],
            "send these 3 lines to benjamin-of-berlin alone? [y/n] "
        );
    }

    #[test]
    fn the_prompt_tells_the_state_of_the_link() {
        let told = |question, status, waiting, name| -> Vec<String> {
            let state =
                PromptState { question, search: None, query: None, status, waiting, under_way: 0, name, room: None };
            plain(&state)
        };
        assert_eq!(told(None, LinkStatus::Connected, 0, Some("ana")), ["ana> ", "> ", "> "]);
        assert_eq!(told(None, LinkStatus::Connected, 0, None), ["> ", "> ", "> "]);
        assert_eq!(
            told(None, LinkStatus::Connected, 2, Some("ana")),
            ["(2 lines wait) ana> ", "(2 lines wait) > ", "> "]
        );
        assert_eq!(told(None, LinkStatus::Connecting, 0, None), ["(connecting) ", "~ "]);
        assert_eq!(told(None, LinkStatus::Connecting, 1, None), ["(1 line waits; connecting) ", "~ "]);
        assert_eq!(told(None, LinkStatus::Leaving, 0, Some("ana")), ["(leaving) ", "~ "]);
        assert_eq!(told(None, LinkStatus::Waiting(3), 0, None), ["(no connection, again in 3 s) ", "(3 s) ", "! "]);
        let asked = "(this server asks for a password: /pass WORD) ";
        assert_eq!(told(None, LinkStatus::Locked, 0, Some("ana")), [asked, "(/pass WORD) ", "! "]);
        let paste = Question::Paste(vec![String::new(); 3]);
        assert_eq!(told(Some(&paste), LinkStatus::Connected, 0, Some("ana"))[0], "send these 3 lines? [y/n] ");
        let shifted = Question::ShiftedCommand(" /x".to_owned());
        assert_eq!(
            told(Some(&shifted), LinkStatus::Connected, 0, None)[..2],
            ["say this to the room? [y/n] ", "say? "]
        );
    }

    #[test]
    fn the_prompt_tells_of_lines_under_way() {
        for (under_way, waiting, told) in [
            (1, 0, "(1 line under way) ana> "),
            (2, 0, "(2 lines under way) ana> "),
            (2, 1, "(2 under way, 1 waiting) ana> "),
        ] {
            let status = LinkStatus::Connected;
            let state = PromptState {
                question: None,
                search: None,
                query: None,
                status,
                waiting,
                under_way,
                name: Some("ana"),
                room: None,
            };
            assert_eq!(plain(&state)[0], told);
        }
    }
}
