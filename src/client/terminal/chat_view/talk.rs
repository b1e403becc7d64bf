//! Said lines on the page: their looks, own lines and their echoes, actions and mentions. Pure.

use std::collections::VecDeque;

use unicode_normalization::char::is_combining_mark;

use super::{ChatView, Own};
use crate::client::limits::ECHOES_MAX;
use crate::client::terminal::calls::Call;
use crate::relay::command::{Command, action, without_secrets, without_token};
use crate::relay::name::{TYPED_BYTES_MAX, fold, is_shown_name};
use crate::relay::sanitize::sanitize;

impl ChatView {
    /// Shows a line of ours, as it is sent. If the server echoes it (`--audience everyone`), the echo is not shown.
    /// `is_text`: the server takes it for no command, whatever it says. A command is shown without its secrets.
    pub(in super::super) fn show_own(&mut self, line: &str, is_text: bool) {
        let mut buffer = String::new();
        let line = sanitize(line.as_bytes(), &mut buffer);
        let own = self.own_name().unwrap_or_default().to_owned();
        let command = if is_text { Command::Say(line) } else { Command::parse(line) };
        if let Some(text) = command.said() {
            push(&mut self.echoes, text.clone().into_owned());
            self.show_own_talk(&own, &text);
        } else if let Command::Tell { to, text } = command
            && is_shown_name(to)
            && !text.is_empty()
            // A server that has told us no name may tell it to everybody.
            && self.own.is_some()
        {
            push(&mut self.told, (fold(to), text.to_owned()));
            let head = self.style.own_name(&own, format_args!("{own} to {to}>")) + " ";
            let told = self.style.bold(without_token(text));
            self.write(&head, &told);
        } else {
            let head = self.style.own_name(&own, format_args!("{own}>")) + " ";
            let asked = self.style.dim(without_secrets(line));
            self.write(&head, &asked);
            if command == Command::Help {
                std::mem::take(&mut self.help).iter().for_each(|note| self.show_note(note));
            }
        }
    }

    /// Shows a said line of a member that may be us.
    pub(super) fn show_talk(&mut self, by: &str, text: &str) {
        let is_own = self.own.as_ref().is_some_and(|own| own.shown == by);
        if is_own {
            // A line from before a lost connection, for example, in the server's history.
            self.show_own_talk(by, text);
            self.calls.on_said();
            return;
        }
        self.names.add(by);
        self.rule_unread();
        self.log(|| format!("{by}> {text}"));
        let (marked, is_mention) = self.mark_mentions(text);
        if is_mention {
            self.calls.add(Call { from: by.to_owned(), text: text.to_owned(), is_private: false });
        }
        self.calls.on_said();
        let name = |shown: &str| self.style.name(by, shown);
        let (head, shown) = self.said(by, text, &marked, name);
        self.write(&head, &shown);
    }

    /// Shows a said line of ours.
    pub(super) fn show_own_talk(&mut self, by: &str, text: &str) {
        self.log(|| format!("{by}> {}", without_token(text)));
        let name = |shown: &str| self.style.own_name(by, shown);
        let (head, shown) = self.said(by, text, text, name);
        self.write(&head, &shown);
    }

    /// Returns the head of a said line, and its text as `marked`: without the asterisks, if it tells what `by` does.
    fn said(&self, by: &str, text: &str, marked: &str, name: impl Fn(&str) -> String) -> (String, String) {
        match action(text).filter(|_| !is_strokes(by)) {
            // The asterisks are the first and the last byte of the text, and no part of a mention.
            Some(_) => (name(by) + " ", self.style.action(&marked[1..marked.len() - 1])),
            None => (name(&format!("{by}>")) + " ", marked.to_owned()),
        }
    }

    /// Whether a line is an echo of ours. Names are unique, and echoes come in order: earlier lines that were not
    /// echoed never will be.
    pub(super) fn is_echo(&mut self, by: &str, text: &str) -> bool {
        if self.own_name() != Some(by) {
            return false;
        }
        let Some(at) = self.echoes.iter().position(|said| said == text) else { return false };
        self.echoes.drain(..=at);
        true
    }

    /// Whether the server confirms a private line of ours, which is shown already.
    pub(super) fn is_told(&mut self, to: &str, text: &str) -> bool {
        let to = fold(to);
        let Some(at) = self.told.iter().position(|told| (&told.0, told.1.as_str()) == (&to, text)) else {
            return false;
        };
        self.told.drain(..=at);
        true
    }

    /// Returns a text with our name marked in it, and whether it is in it.
    pub(super) fn mark_mentions(&self, text: &str) -> (String, bool) {
        let Some(own) = &self.own else { return (text.to_owned(), false) };
        let mut is_mention = false;
        let mut marked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_word_char) {
            let (before, from) = rest.split_at(start);
            let (word, behind) = from.split_at(from.find(|c| !is_word_char(c)).unwrap_or(from.len()));
            marked.push_str(before);
            if own.is(word) {
                is_mention = true;
                marked.push_str(&self.style.mention(word));
            } else {
                marked.push_str(word);
            }
            rest = behind;
        }
        marked.push_str(rest);
        (marked, is_mention)
    }
}

impl Own {
    /// Whether `word` is our name, by the rules of the room.
    fn is(&self, word: &str) -> bool {
        // A name may end with a dash, and so may a word: ana--
        let names = |word: &str| word.len() <= TYPED_BYTES_MAX && fold(word) == self.folded;
        names(word) || names(word.trim_matches(['-', '_']))
    }
}

/// Adds a line of ours to those that the server may send back.
fn push<T>(lines: &mut VecDeque<T>, line: T) {
    if lines.len() == ECHOES_MAX {
        lines.pop_front();
    }
    lines.push_back(line);
}

/// Whether a name has nothing but strokes. In front of an action it would look like a note (`-- `) or a rule.
fn is_strokes(name: &str) -> bool {
    name.chars().all(|c| matches!(c, '-' | '_' | '一' | 'ー' | 'ｰ' | 'ㅡ' | 'ᅳ' | '⼀'))
}

/// Whether `c` can be part of a name.
fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c) || c == '_' || c == '-'
}
