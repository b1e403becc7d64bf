//! What one is told in private, for what it asked: each answer once, in order, and right.

use pollchat::relay::room::Audience;

use crate::oracle::{Oracle, Verdict, between, is_same_name};
use crate::said::{Asked, is_name, is_reserved};

/// What `/help` tells.
pub(crate) const HELP: [&str; 6] = [
    "* a line is relayed to the others as NAME> line",
    "* /nick NAME: be called NAME (1 to 24 letters, digits, _ or -)",
    "* /who: who is here",
    "* /msg NAME TEXT: tell TEXT to NAME alone",
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
            let Some(asked) = asked else { return Err("it answers nothing".to_owned()) };
            if self.is_answered(member, place, &asked) {
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

    /// Whether all that one asked for so far was answered.
    pub(crate) fn all_answered(&self, member: usize) -> Verdict {
        let wire = self.wires[member].borrow();
        let first = self.members[member].answered;
        for (place, asked) in wire.ear.asked.iter().enumerate().skip(first) {
            if self.is_answered(member, place, asked) {
                return Err(format!("{asked:?} was not answered"));
            }
        }
        Ok(())
    }

    /// Whether what was asked for is answered in private.
    fn is_answered(&self, member: usize, place: usize, asked: &Asked) -> bool {
        match asked {
            Asked::Nothing | Asked::Leave => false,
            // In its own protocol, if there is a page.
            Asked::Foreign("HTTP") if self.page_hint.is_some() => false,
            Asked::Say(_) => self.config.audience == Audience::Sender,
            Asked::Nick(_) => !self.members[member].won.contains(&place),
            Asked::Who | Asked::Help | Asked::Tell { .. } | Asked::Unknown(_) | Asked::TooLong | Asked::Foreign(_) => {
                true
            }
        }
    }

    /// Whether `line` ends the answer to what was asked for; an error if it is none.
    fn judge_answer(&mut self, member: usize, asked: &Asked, line: &str) -> Result<bool, String> {
        let lines = self.members[member].answer_lines;
        let names = &self.members[member].names;
        let expected = match asked {
            Asked::Say(text) => {
                let is_own = names.iter().any(|name| line.strip_prefix(name) == Some(&format!("> {text}")));
                return if is_own { Ok(true) } else { Err(format!("not the echo of {text:?}")) };
            }
            Asked::Nick(name) => return self.judge_refusal(member, name, line).map(|()| true),
            Asked::Who => return self.judge_who(member, line),
            Asked::Help => HELP[lines].to_owned(),
            Asked::Tell { to, text } if to.is_empty() || text.is_empty() => {
                "* /msg NAME TEXT tells TEXT to NAME alone".to_owned()
            }
            Asked::Tell { to, text } => return self.judge_told_answer(to, text, line),
            Asked::Unknown(word) => format!("* there is no command {word}; /help lists what you can do"),
            Asked::TooLong => {
                format!("* line too long (over {} bytes): not relayed", self.config.line_bytes_max)
            }
            Asked::Foreign(protocol) => format!("* this is a chat relay and speaks no {protocol}: goodbye"),
            Asked::Nothing | Asked::Leave => return Err("it has no answer".to_owned()),
        };
        if line == expected {
            Ok(*asked != Asked::Help || lines + 1 == HELP.len())
        } else {
            Err(format!("not the answer to {asked:?}: {expected:?}"))
        }
    }

    /// Checks why a rename did not come about. The answer may have waited long, so that what held then may be over.
    fn judge_refusal(&self, member: usize, name: &str, line: &str) -> Verdict {
        let is_held = |names: &[String]| names.iter().any(|held| is_same_name(held, name));
        let others = self.members.iter().enumerate().filter(|&(other, _)| other != member);
        let may_be_taken = is_reserved(name) || others.into_iter().any(|(_, known)| is_held(&known.names));
        let is_right = if name.is_empty() {
            line == format!("* /nick NAME: {NAME_FORM}")
        } else if !is_name(name) {
            line == format!("* {NAME_FORM}")
        } else if line == format!("* you are {name} already") {
            !is_reserved(name) && self.members[member].names.iter().any(|own| own == name)
        } else {
            may_be_taken && line == format!("* the name {name} is taken")
        };
        if is_right { Ok(()) } else { Err(format!("no reason not to be called {name:?}")) }
    }

    fn judge_who(&self, member: usize, line: &str) -> Result<bool, String> {
        let known = &self.members[member];
        let Some(row) = line.strip_prefix("* here: ") else {
            let rows = known.answer_lines;
            let is_end = line == format!("* {rows} here") && rows > 0;
            return if is_end { Ok(true) } else { Err(format!("not the end of /who, after {rows} rows")) };
        };
        let (name, rest) = row.split_once(", ").ok_or("no row of /who")?;
        let (lines, _) = rest.split_once(' ').ok_or("no row of /who")?;
        if !self.members.iter().any(|other| other.names.iter().any(|held| held == name)) {
            return Err("nobody was ever called so".to_owned());
        }
        let is_own = name == known.names[0] || (known.names.last().is_some_and(|own| own == name));
        let is_only_own = self.members.iter().filter(|other| other.names.iter().any(|held| held == name)).count() == 1;
        if is_own && is_only_own && lines != known.lines_said.to_string() {
            return Err(format!("it said {} lines", known.lines_said));
        }
        Ok(false)
    }

    fn judge_told_answer(&mut self, to: &str, text: &str, line: &str) -> Result<bool, String> {
        if line == format!("* nobody here is called {to}") {
            return Ok(true);
        }
        let Some(told) = self.told.get_mut(text) else { return Err("nothing of that kind was told".to_owned()) };
        let name = between(line, "* you told ", &format!(": {text}"));
        let untold = between(line, "* ", " is not reading: not told");
        match (name, untold) {
            (Some(name), _) | (_, Some(name)) if is_same_name(name, to) => {
                told.is_told = Some(untold.is_none());
                Ok(true)
            }
            _ => Err(format!("not the answer to telling {to:?} {text:?}")),
        }
    }
}
