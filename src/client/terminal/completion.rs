//! Tab completion of names, rooms and commands. Pure.

use super::names::Names;

const COMMANDS: [&str; 15] = [
    "/help",
    "/history",
    "/ignore",
    "/join",
    "/me",
    "/msg",
    "/nick",
    "/pass",
    "/query",
    "/quit",
    "/rooms",
    "/say",
    "/search",
    "/unignore",
    "/who",
];

/// Commands about members that may be in another room.
const OF_ANYWHERE: [&str; 4] = ["/msg", "/query", "/ignore", "/unignore"];

/// A prefix and its completions, one for each Tab.
#[derive(Debug)]
pub(super) struct Completion {
    /// Text before the prefix.
    before: String,
    /// Text behind the prefix.
    after: String,
    /// The completions. The last one is the prefix itself.
    choices: Vec<String>,
    next: usize,
}

/// A text, and the offset of the cursor in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Completed {
    /// The text.
    pub(super) text: String,
    /// The cursor's offset.
    pub(super) cursor: usize,
}

impl Completion {
    /// Begins to complete the word that ends at `cursor`; `None` without a completion.
    pub(super) fn begin(text: &str, cursor: usize, names: &Names) -> Option<Completion> {
        let (head, after) = text.split_at(cursor);
        let start =
            head.rfind(char::is_whitespace).map_or(0, |at| at + head[at..].chars().next().map_or(1, char::len_utf8));
        let (before, word) = head.split_at(start);
        let mut choices: Vec<String> = if start == 0 && word.starts_with('/') {
            let commands = COMMANDS.iter().filter(|command| command.starts_with(&word.to_ascii_lowercase()));
            commands.map(|command| format!("{command} ")).collect()
        } else if word.is_empty() {
            Vec::new()
        } else if before.trim_end().eq_ignore_ascii_case("/join") {
            names.rooms_beginning_with(word).into_iter().map(|room| format!("{room} ")).collect()
        } else {
            // `@ana` completes like `ana`.
            let (at, beginning) = word.strip_prefix('@').map_or(("", word), |rest| ("@", rest));
            // At the start of a line, a name addresses its bearer.
            let behind = if start == 0 { ": " } else { " " };
            let verb = before.split_whitespace().next().unwrap_or_default();
            let is_message = OF_ANYWHERE.iter().any(|command| verb.eq_ignore_ascii_case(command));
            let named =
                if is_message { names.anywhere_beginning_with(beginning) } else { names.beginning_with(beginning) };
            if beginning.is_empty() {
                Vec::new()
            } else {
                named.iter().map(|name| format!("{at}{name}{behind}")).collect()
            }
        };
        if choices.is_empty() {
            return None;
        }
        choices.push(word.to_owned());
        Some(Completion { before: before.to_owned(), after: after.to_owned(), choices, next: 0 })
    }

    /// Returns the next completion. After the last one, the prefix comes again.
    pub(super) fn step(&mut self) -> Completed {
        let choice = &self.choices[self.next];
        self.next = (self.next + 1) % self.choices.len();
        let text = [self.before.as_str(), choice, &self.after].concat();
        Completed { text, cursor: self.before.len() + choice.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        ["bert", "Antje"].into_iter().for_each(|name| names.add(name));
        names.enter("Rust");
        names.add_room("rails");
        ["ben", "Anton", "ana"].into_iter().for_each(|name| names.add(name));
        names
    }

    /// Returns the text after each Tab, with `|` for the cursor.
    fn tabs(typed: &str, count: usize) -> Vec<String> {
        let cursor = typed.find('|').unwrap();
        let Some(mut completion) = Completion::begin(&typed.replace('|', ""), cursor, &names()) else {
            return Vec::new();
        };
        let step = |_| {
            let Completed { mut text, cursor } = completion.step();
            text.insert(cursor, '|');
            text
        };
        (0..count).map(step).collect()
    }

    #[test]
    fn a_name_is_completed_where_the_cursor_stands() {
        assert_eq!(tabs("an|", 4), ["ana: |", "Anton: |", "an|", "ana: |"]);
        assert_eq!(tabs("hi B|!", 1), ["hi ben |!"]);
        assert_eq!(tabs("世\u{3000}be|", 1), ["世\u{3000}ben |"]);
        assert_eq!(tabs("hi @be|", 1), ["hi @ben |"]);
        assert_eq!(tabs("/nick an|", 3), ["/nick ana |", "/nick Anton |", "/nick an|"]);
    }

    #[test]
    fn a_private_message_reaches_members_of_other_rooms() {
        assert_eq!(tabs("/msg an|", 4), ["/msg ana |", "/msg Anton |", "/msg Antje |", "/msg an|"]);
        assert_eq!(tabs("/MSG b|", 2), ["/MSG ben |", "/MSG bert |"]);
        assert_eq!(tabs("msg bert|", 1), [""; 0]);
    }

    #[test]
    fn a_room_is_completed_behind_join() {
        assert_eq!(tabs("/join r|", 4), ["/join rails |", "/join Rust |", "/join r|", "/join rails |"]);
        assert_eq!(tabs("/JOIN LO|", 1), ["/JOIN lobby |"]);
        for typed in ["/join |", "/join a|", "join r|", "/join rust r|", "r|", "/msg r|"] {
            assert_eq!(tabs(typed, 1), [""; 0], "{typed}");
        }
    }

    #[test]
    fn a_command_is_completed_at_the_beginning_alone() {
        assert_eq!(tabs("/n|", 2), ["/nick |", "/n|"]);
        assert_eq!(tabs("/R|", 2), ["/rooms |", "/R|"]);
        assert_eq!(tabs("/jo|", 1), ["/join |"]);
        assert_eq!(tabs("/p|", 1), ["/pass |"]);
        assert_eq!(tabs("x /n|", 1), [""; 0]);
    }

    #[test]
    fn where_there_is_nothing_to_complete_nothing_changes() {
        for typed in ["|", "ana |", "x|", "/x|", "@|"] {
            assert_eq!(tabs(typed, 1), [""; 0], "{typed}");
        }
    }
}
