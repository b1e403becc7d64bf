//! The prompt before the typed text: our name and room, or the state of the link. Pure.

use super::editor::Question;
use super::screen::Prompt;
use super::style::Style;
use super::uplink::LinkStatus;
use crate::relay::notice::Notice;

/// Everything that the prompt tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct PromptState<'a> {
    /// The question that waits for an answer.
    pub(super) question: Option<&'a Question>,
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
        if let Some(question) = self.question {
            let (long, short) = match question {
                Question::Paste(lines) => (format!("send these {} lines? [y/n] ", lines.len()), "send? "),
                Question::ShiftedCommand(_) => ("say this to the room? [y/n] ".to_owned(), "say? "),
            };
            return vec![bold(long), bold(short.to_owned()), bold("? ".to_owned())];
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
            Some(waits) => bold(format!("({waits}; {text}) ")),
            None => bold(format!("({text}) ")),
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

    #[test]
    fn the_prompt_tells_the_room_even_in_a_narrow_window() {
        let told = |waiting, status| -> Vec<String> {
            let state =
                PromptState { question: None, status, waiting, under_way: 0, name: Some("ana"), room: Some("rust") };
            let prompts = state.prompts(Style::new(Colors::Off));
            for Prompt { plain, styled } in &prompts {
                assert_eq!(styled.replace("\x1b[1m", "").replace("\x1b[0m", ""), *plain, "what is measured is drawn");
            }
            prompts.into_iter().map(|prompt| prompt.plain).collect()
        };
        assert_eq!(told(0, LinkStatus::Connected), ["ana@rust> ", "rust> ", "rust> ", "> "]);
        assert_eq!(
            told(1, LinkStatus::Connected),
            ["(1 line waits) ana@rust> ", "(1 line waits) rust> ", "rust> ", "> "]
        );
        assert_eq!(told(0, LinkStatus::Leaving), ["(leaving) ", "~ "]);
    }

    #[test]
    fn the_prompt_tells_the_state_of_the_link() {
        let told = |question, status, waiting, name| -> Vec<String> {
            let state = PromptState { question, status, waiting, under_way: 0, name, room: None };
            let prompts = state.prompts(Style::new(Colors::Off));
            for Prompt { plain, styled } in &prompts {
                assert_eq!(styled.replace("\x1b[1m", "").replace("\x1b[0m", ""), *plain, "what is measured is drawn");
            }
            prompts.into_iter().map(|prompt| prompt.plain).collect()
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
            let state = PromptState { question: None, status, waiting, under_way, name: Some("ana"), room: None };
            assert_eq!(state.prompts(Style::new(Colors::Off))[0].plain, told);
        }
    }
}
