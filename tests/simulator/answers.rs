//! Answers: a client is told in private what it asked for, each answer once, in order, and right.

use pollchat::relay::room::Audience;

use crate::member::FirstName;
use crate::oracle::{Oracle, between, is_same_name};
use crate::rule::{Rule, Verdict, Violation};
use crate::said::{Asked, is_name, is_reserved};

/// The answer to `/help`.
const HELP: [&str; 15] = [
    "* a line is relayed to the others as NAME> line",
    "* /nick NAME: be called NAME (1 to 24 letters, digits, _ or -)",
    "* /who: who is here",
    "* /who NAME: the names here that begin with NAME",
    "* /who page 2: the second hundred of the names",
    "* /msg NAME TEXT: tell TEXT to NAME alone",
    "* /me TEXT: say what you do, as *TEXT*",
    "* /say TEXT: say TEXT as it is, even exit or /x",
    "* /nick NAME TOKEN: be called NAME, which belongs to you",
    "* /rooms: which rooms there are",
    "* /join NAME: go to the room NAME",
    "* /history N: the newest N lines",
    "* /search WORD: the newest lines with WORD",
    "* //x: say /x",
    "* FIN, exit or /quit: leave",
];

const NAME_FORM: &str = "a name is 1 to 24 letters, digits, _ or -";

impl Oracle {
    /// Checks a line that answers something.
    pub(crate) fn receive_answer(&mut self, member: usize, line: &str) -> Verdict {
        loop {
            let place = self.members[member].answered;
            let asked = self.wires[member].borrow().ear.asked.get(place).cloned();
            let Some(asked) = asked else { return Rule::Answers.broken("it answers nothing") };
            if self.is_answered(member, place, &asked) || self.is_move_put_off(member, place, line) {
                let is_over = self.judge_answer(member, &asked, line)?;
                let known = &mut self.members[member];
                known.answer_lines += 1;
                if is_over {
                    known.answer_lines = 0;
                    known.answered += 1;
                    known.lines_said += usize::from(matches!(asked, Asked::Say(_)));
                }
                return Ok(());
            }
            let known = &mut self.members[member];
            known.answered += 1;
            known.lines_said += usize::from(matches!(asked, Asked::Say(_)));
        }
    }

    /// Judges that all requests of a client were answered.
    pub(crate) fn all_answered(&self, member: usize) -> Verdict {
        let wire = self.wires[member].borrow();
        let first = self.members[member].answered;
        let mut has_spare = self.members[member].tracked.as_ref().is_some_and(|tracked| tracked.pending.is_some());
        for (place, asked) in wire.ear.asked.iter().enumerate().skip(first) {
            if self.is_answered(member, place, asked) {
                if matches!(asked, Asked::Track { .. }) && std::mem::take(&mut has_spare) {
                    continue;
                }
                return Rule::Answers.broken(format!("{asked:?} was not answered"));
            }
        }
        Ok(())
    }

    /// The first name that a request brought.
    fn first_name(&self, member: usize, place: usize) -> Option<&FirstName> {
        self.members[member].first_names.iter().find(|first| first.place == place)
    }

    /// Whether a request is answered in private.
    fn is_answered(&self, member: usize, place: usize, asked: &Asked) -> bool {
        match asked {
            Asked::Nothing | Asked::Leave => false,
            // A first one is answered by what begins the session.
            Asked::Track { .. } => {
                place > 0 || self.members[member].tracked.as_ref().is_none_or(|tracked| tracked.first != 1)
            }
            // In its own protocol, if there is a page.
            Asked::Foreign("HTTP") if self.page_hint.is_some() => false,
            Asked::Say(_) => self.config.audience == Audience::Sender,
            Asked::Nick { .. } => {
                let known = &self.members[member];
                !known.won.contains(&place) || self.first_name(member, place).is_some()
            }
            // A first one is answered by the greeting; and one that left on its way is told nothing more.
            Asked::Join { .. } => {
                let known = &self.members[member];
                let is_lost = known.has_left && known.way.is_some() && known.moved_by == place;
                !is_lost && (place > 0 || !known.entered_by_join)
            }
            Asked::Who
            | Asked::Page(_)
            | Asked::Find(_)
            | Asked::WhoMalformed
            | Asked::Rooms
            | Asked::Help
            | Asked::Tell { .. }
            | Asked::SayNothing
            | Asked::ActNothing
            | Asked::Pass(_)
            | Asked::Unknown(_)
            | Asked::Indented
            | Asked::TooLong
            | Asked::Foreign(_) => true,
        }
    }

    /// Whether `line` ends the answer to what was asked for; an error if it is none.
    fn judge_answer(&mut self, member: usize, asked: &Asked, line: &str) -> Result<bool, Violation> {
        let lines = self.members[member].answer_lines;
        let names = &self.members[member].names;
        let expected = match asked {
            Asked::Say(text) => {
                let is_own = names.iter().any(|name| line.strip_prefix(name) == Some(&format!("> {text}")));
                return if is_own { Ok(true) } else { Rule::Answers.broken(format!("not the echo of {text:?}")) };
            }
            Asked::Nick { name, token } => match self.first_name(member, self.members[member].answered) {
                Some(first) => first.line.clone(),
                _ => return self.judge_refusal(member, (name, token), line).map(|()| true),
            },
            Asked::Pass(_) => "* no password is asked of you".to_owned(),
            Asked::Track { .. } if self.config.audience != Audience::Sender => {
                return if line.starts_with("** session ") {
                    Ok(true)
                } else {
                    Rule::Answers.broken("it asked to be tracked")
                };
            }
            Asked::Track { .. } => "* nothing to track: only you hear your echo".to_owned(),
            Asked::Who => return self.judge_who(member, line),
            Asked::Page(page) => return self.judge_page(member, *page, line),
            Asked::Find(begin) => return self.judge_found(member, begin, line),
            Asked::WhoMalformed => "* /who, /who NAME or /who page N lists who is here".to_owned(),
            Asked::Join { name, .. } if self.config.rooms_max > 1 => {
                return self.judge_join(member, self.members[member].answered, name, line).map(|()| true);
            }
            Asked::Rooms => return self.judge_rooms(member, self.members[member].answered, line),
            Asked::Help => self.help(lines).to_owned(),
            Asked::Tell { to, text } if to.is_empty() || text.is_empty() => {
                "* /msg NAME TEXT tells TEXT to NAME alone".to_owned()
            }
            Asked::SayNothing => "* /say TEXT says TEXT as it is".to_owned(),
            Asked::ActNothing => "* /me TEXT says what you do".to_owned(),
            Asked::Tell { to, text } => return self.judge_told_answer(to, text, line),
            Asked::Unknown(word) | Asked::Join { word, .. } => {
                format!("* there is no command {word}; /help lists what you can do")
            }
            Asked::Indented => "* a command begins at the start of the line; /say says it as it is".to_owned(),
            Asked::TooLong => {
                format!("* line too long (over {} bytes): not relayed", self.config.line_bytes_max)
            }
            Asked::Foreign(protocol) => format!("* this is a chat relay and speaks no {protocol}: goodbye"),
            Asked::Nothing | Asked::Leave => return Rule::Answers.broken("it has no answer"),
        };
        if line == expected {
            Ok(*asked != Asked::Help || line == HELP[HELP.len() - 1])
        } else {
            Rule::Answers.broken(format!("not the answer to {asked:?}: {expected:?}"))
        }
    }

    /// A line of the answer to `/help`.
    fn help(&self, line: usize) -> &'static str {
        self.help_lines().nth(line).unwrap_or_default()
    }

    /// The answer to `/help` of this server.
    pub(crate) fn help_lines(&self) -> impl Iterator<Item = &'static str> {
        let is_there = |text: &&str| self.config.rooms_max > 1 || !(text.contains("/rooms") || text.contains("/join"));
        let is_of_journal = |text: &&str| text.contains("/history") || text.contains("/search");
        let has_journal = !self.kept.is_empty();
        let is_of_owners = |text: &&str| !self.owners.is_empty() || !text.contains("TOKEN");
        HELP.into_iter().filter(is_there).filter(is_of_owners).filter(move |text| has_journal || !is_of_journal(text))
    }

    /// Checks why a rename did not come about. The answer may have waited long, so that what held then may be over.
    fn judge_refusal(&self, member: usize, (name, token): (&str, &str), line: &str) -> Verdict {
        let is_held = |names: &[String]| names.iter().any(|held| is_same_name(held, name));
        let others = self.members.iter().enumerate().filter(|&(other, _)| other != member);
        let may_be_taken = others.into_iter().any(|(_, known)| is_held(&known.names));
        let is_right = if name.is_empty() {
            line == format!("* /nick NAME: {NAME_FORM}")
        } else if !is_name(name) {
            line == format!("* {NAME_FORM}")
        } else if is_reserved(name) {
            line == format!("* the name {name} is taken")
        } else if line == format!("* you are {name} already") {
            let may_ask = token.is_empty() || self.owners.was_token(name, token);
            may_ask && self.members[member].names.iter().any(|own| own == name)
        } else if line == format!("* the name {name} is taken") {
            may_be_taken && token.is_empty() && self.owners.was_free(name)
        } else if line == format!("* {NAME_FORM}") {
            !token.is_empty() && !token.starts_with("pcn_") && self.owners.was_free(name)
        } else {
            self.owners.refuses(name, token, line)
        };
        if is_right { Ok(()) } else { Rule::Names.broken(format!("no reason not to be called {name:?}")) }
    }

    fn judge_told_answer(&mut self, to: &str, text: &str, line: &str) -> Result<bool, Violation> {
        if line == format!("* nobody here is called {to}") {
            return Ok(true);
        }
        let Some(told) = self.told.get_mut(text) else { return Rule::Messages.broken("nothing of that kind was told") };
        let name = between(line, "* you told ", &format!(": {text}"));
        let untold = between(line, "* ", " is not reading: not told").or(between(line, "* ", " is away: not told"));
        match (name, untold) {
            (Some(name), _) | (_, Some(name)) if is_same_name(name, to) => {
                told.is_told = Some(untold.is_none());
                Ok(true)
            }
            _ => Rule::Messages.broken(format!("not the answer to telling {to:?} {text:?}")),
        }
    }
}
