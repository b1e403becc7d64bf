//! The lines that plain clients are sent, compared with the tape of their room.

use super::log::{RecordPlace, Shown, author};
use super::tapes::{TapeView, Told, aside};
use crate::rule::{Rule, Verdict};

/// The lines that a plain client was sent, and its number, name and room.
#[derive(Debug)]
pub(super) struct Transcript {
    /// Its number in this world.
    id: usize,
    partial: Vec<u8>,
    /// Its number, as it was told.
    pub(super) number: Option<u64>,
    /// Its name, as it was told; empty behind a gap.
    pub(super) name: String,
    /// The place of the last renaming of its own that it has read.
    renamed_at: Option<RecordPlace>,
    /// The room that it was told to be in.
    pub(super) room: Option<String>,
    /// Whether it was told that the server is cut off, by the tape or in private.
    pub(super) told: Told,
    /// How often it came to a room.
    pub(super) moves: usize,
    /// The next line of the tape; `None` before the first, or behind a gap.
    next: Option<usize>,
    /// Lines of the history that are still to come.
    history: usize,
    /// The last rows of `/who`, and whether they are all.
    pub(super) here: Vec<String>,
    pub(super) is_over: bool,
}

impl Transcript {
    pub(super) fn new(id: usize) -> Transcript {
        Transcript {
            id,
            partial: Vec::new(),
            number: None,
            name: String::new(),
            renamed_at: None,
            room: None,
            told: Told::Together,
            moves: 0,
            next: None,
            history: 0,
            here: Vec::new(),
            is_over: false,
        }
    }

    /// Takes what was written; returns the whole lines.
    pub(super) fn lines(&mut self, bytes: &[u8]) -> Vec<String> {
        self.partial.extend_from_slice(bytes);
        let Some(end) = self.partial.iter().rposition(|&byte| byte == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.partial.drain(..=end).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }

    /// Judges a line. `view` is the tape of the room that it is in.
    pub(super) fn read(&mut self, line: &str, view: Option<&TapeView>) -> Verdict {
        if let Some(rest) = line.strip_prefix("* you are client-") {
            let number = rest.split(';').next().and_then(|number| number.parse().ok());
            self.number = number;
            self.name = format!("client-{}", number.unwrap_or(0));
            self.come_to("lobby");
            return Ok(());
        }
        if let Some((room, _)) = line.strip_prefix("* you are in ").and_then(|rest| rest.split_once(", ")) {
            self.come_to(room);
            return Ok(());
        }
        if let Some(count) = line.strip_prefix("* ").and_then(|rest| rest.split_once(" earlier line")) {
            self.history = count.0.parse().unwrap_or(0);
            return Ok(());
        }
        if line.starts_with("* you missed ") {
            self.next = None;
            // A new name may be among it.
            self.name.clear();
            return Ok(());
        }
        if line.starts_with("* the name ") && line.contains(" belongs to somebody now: you are ") {
            self.name = line.rsplit(' ').next().unwrap_or_default().to_owned();
            return Ok(());
        }
        if let Some(row) = line.strip_prefix("* here: ") {
            self.here.push(row.split(',').next().unwrap_or_default().to_owned());
            return Ok(());
        }
        if line == "FIN" {
            self.is_over = true;
            return Ok(());
        }
        self.read_shared(line, view)
    }

    fn come_to(&mut self, room: &str) {
        self.room = Some(room.to_lowercase());
        self.moves += 1;
        self.next = None;
        self.history = 0;
    }

    /// Judges a line of the tape, if it is one.
    fn read_shared(&mut self, line: &str, view: Option<&TapeView>) -> Verdict {
        let aside = aside(line);
        let is_aside = aside.is_some();
        self.told = aside.and_then(Told::by).unwrap_or(self.told);
        let is_said = !line.starts_with('*');
        if is_said {
            let text = line.split_once("> ").map_or("", |(_, text)| text);
            // What it said in another room before, or before it came back there, is history.
            if self.history > 0 {
                self.history = self.history.saturating_sub(1);
                return Ok(());
            }
            let is_own = author(text).is_some_and(|(peer, _)| peer == self.id);
            Rule::BusOwn.demands(!is_own, || format!("{line:?} is sent to its author"))?;
        }
        if let Some((from, to)) = line.strip_prefix("* ").and_then(|rest| rest.split_once(" is now ")) {
            self.read_renaming(line, (from, to), view);
        }
        let Some(view) = view else { return Ok(()) };
        if view.items.is_empty() {
            // The room was dropped and opened anew in this turn: this is the end of its earlier tape.
            self.next = None;
            return Ok(());
        }
        if self.next.is_some_and(|next| self.skip_own(view, next, line)) {
            return Ok(());
        }
        let is_notice = line.ends_with(" joined") || line.ends_with(" left");
        if !is_said && (self.next.is_none() || !is_aside && !is_notice) {
            // An answer, or what its author alone is told; or what may be on the tape more than once.
            return Ok(());
        }
        if self.next.is_some() {
            let due = self.next.and_then(|next| view.items.get(next)).map(|item| item.text.as_str());
            return Rule::BusHeard.broken(format!("it is sent {line:?}, and {due:?} is next on the tape"));
        }
        // The first line in this room, or behind a gap.
        let Some(at) = view.items.iter().rposition(|item| item.text == line) else {
            let room = &self.room;
            return Rule::BusHeard.broken(format!("it is sent {line:?}, which is not on the tape of {room:?}"));
        };
        self.next = Some(at + 1);
        Ok(())
    }

    /// Reads that a member has a new name: perhaps this one, and not by what the room tells of earlier times.
    fn read_renaming(&mut self, line: &str, (from, to): (&str, &str), view: Option<&TapeView>) {
        let items = view.map_or(&[][..], |view| &view.items);
        let of_line = || items.iter().filter(|item| item.text == line).filter_map(|item| item.renames);
        let is_news = |place: &RecordPlace| self.renamed_at.is_none_or(|last| *place > last);
        let own = of_line().filter(|(number, _)| Some(*number) == self.number);
        if let Some(place) = own.map(|(_, place)| place).find(is_news) {
            (self.name, self.renamed_at) = (to.to_owned(), Some(place));
        } else if from == self.name {
            // It alone is told, since the room does not know it yet. Or that is of earlier times, if the tape has it.
            self.name = if of_line().next().is_none() { to.to_owned() } else { String::new() };
        }
    }

    /// Goes to this line, over its own lines; whether it is there.
    fn skip_own(&mut self, view: &TapeView, next: usize, line: &str) -> bool {
        for at in next..view.items.len() {
            let item = &view.items[at];
            if item.text == line {
                self.next = Some(at + 1);
                return true;
            }
            if !self.is_own(item) {
                return false;
            }
        }
        false
    }

    fn is_own(&self, item: &Shown) -> bool {
        item.own_of.is_some() && item.own_of == self.number
    }

    /// Judges that it was sent all of its room.
    pub(super) fn judge_rest(&self, view: &TapeView) -> Verdict {
        let Some(next) = self.next else { return Ok(()) };
        let missing = view.items.iter().skip(next).find(|item| !self.is_own(item));
        Rule::BusHeard.demands(missing.is_none(), || format!("it was not sent {missing:?}"))
    }
}
