//! The names with owners, as the oracle knows them: who has a right to which name, and who has lost one.

use crate::log::Kind;
use crate::member::Introduction;
use crate::oracle::{Oracle, is_same_name};
use crate::room::{Announced, Due, looks_like};
use crate::roster_log::Change;
use crate::rule::{Rule, Verdict};
use crate::said::{Asked, is_name};

use pollchat::server::config::Lag;

/// A file of names: each with its token.
pub(crate) type File = Vec<(&'static str, &'static str)>;

/// The names with owners.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// All files that there were, the last one last.
    files: Vec<File>,
    /// Members that are to lose their names, because the file has changed, and the names that belong to others.
    losers: Vec<(usize, String)>,
    /// A name that its owner is to take next, because its holder has just lost it.
    taken: Option<String>,
    /// Whether the change under way is that.
    pub(crate) is_taking: bool,
}

impl Owners {
    /// Whether a name has just been taken from its holder, and its owner is to have it next.
    pub(crate) fn is_taken(&self) -> bool {
        self.taken.is_some()
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The file changes.
    pub(crate) fn set(&mut self, file: File) {
        self.files.push(file);
    }

    /// The token of a name, if it belongs to somebody.
    pub(crate) fn token_of(&self, name: &str) -> Option<&'static str> {
        self.files.last().and_then(|file| token_in(file, name))
    }

    /// The name of another client that a name looks like.
    fn lookalike(&self, name: &str) -> Option<&'static str> {
        self.files.last().and_then(|file| lookalike_in(file, name))
    }

    /// Whether a member may be called so now that has shown this token; `own` is its name, and the token of that.
    pub(crate) fn grants(&self, name: &str, token: &str, own: (&str, Option<&str>)) -> bool {
        match self.token_of(name) {
            Some(right) => token == right || token.is_empty() && own.1 == Some(right) && is_same_name(own.0, name),
            None => token.is_empty() && self.lookalike(name).is_none(),
        }
    }

    /// Whether a name belonged to nobody at some time, and looked like none that did.
    pub(crate) fn was_free(&self, name: &str) -> bool {
        let is_free = |file: &File| token_in(file, name).is_none() && lookalike_in(file, name).is_none();
        self.is_empty() || self.files.iter().any(is_free)
    }

    /// Whether this token was that of a name at some time.
    pub(crate) fn was_token(&self, name: &str, token: &str) -> bool {
        self.files.iter().any(|file| token_in(file, name) == Some(token))
    }

    /// Whether `line` tells why a name with an owner, or one that looks like such a name, was not given.
    pub(crate) fn refuses(&self, name: &str, token: &str, line: &str) -> bool {
        self.files.iter().any(|file| match (token_in(file, name), lookalike_in(file, name)) {
            (Some(_), _) if token.is_empty() => {
                line == format!("* the name {name} belongs to somebody: /nick {name} TOKEN")
            }
            (Some(right), _) => right != token && line == format!("* that is not the token of {name}"),
            (None, Some(owned)) => line == format!("* {name} looks like {owned}, which belongs to somebody"),
            (None, None) => token.starts_with("pcn_") && line == format!("* {name} belongs to nobody: /nick {name}"),
        })
    }
}

fn token_in(file: &File, name: &str) -> Option<&'static str> {
    file.iter().find(|(owned, _)| is_same_name(owned, name)).map(|&(_, token)| token)
}

fn lookalike_in(file: &File, name: &str) -> Option<&'static str> {
    let is_like = |owned: &str| !is_same_name(owned, name) && looks_like(owned, name);
    file.iter().map(|&(owned, _)| owned).find(|owned| is_like(owned))
}

/// Whether a name is one that the server gives.
pub(crate) fn is_given(name: &str) -> bool {
    name.strip_prefix("client-").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Oracle {
    /// The file of names changes. Some members have no right to their names any more.
    pub(crate) fn change_owners(&mut self, file: File) {
        self.owners.set(file);
        let losers: Vec<usize> = self.owners.losers.iter().map(|&(loser, _)| loser).collect();
        let has_name = |(name, member): &(&String, &usize)| !is_given(name) && !losers.contains(member);
        for (name, &member) in self.holders.iter().filter(has_name) {
            let known = &mut self.members[member];
            let token = self.owners.token_of(name);
            let owned = match (token, self.owners.lookalike(name)) {
                (Some(_), _) if token == known.token => continue,
                (Some(_), _) => name.clone(),
                (None, Some(owned)) => owned.to_owned(),
                (None, None) => {
                    known.token = None;
                    continue;
                }
            };
            self.owners.losers.push((member, owned));
        }
    }

    /// Judges that a member that takes a name has a right to it.
    pub(crate) fn judge_right(&self, member: usize, name: &str) -> Verdict {
        let (wire, known) = (self.wires[member].borrow(), &self.members[member]);
        let own = (known.names.last().map_or("", String::as_str), known.token);
        let first = known.heard.max(known.answered);
        let shown = |asked: &Asked| match asked {
            Asked::Nick { name: asked, token } if asked == name => Some(self.owners.grants(name, token, own)),
            _ => None,
        };
        let mut attempts = wire.ear.asked.iter().skip(first).filter_map(shown).peekable();
        let is_right = attempts.peek().is_none() || attempts.any(|is_granted| is_granted);
        Rule::Owner.demands(is_right, || format!("it is called {name}, and has not shown the token"))
    }

    /// Judges that the name that a member has just lost goes to its owner, if this is what happens next.
    pub(crate) fn judge_taken(&mut self, change: &Change) -> Verdict {
        self.owners.is_taking = false;
        let Some(taken) = self.owners.taken.take() else { return Ok(()) };
        self.owners.is_taking = true;
        let is_taken = matches!(change, Change::Named(name) if is_same_name(name, &taken));
        Rule::Names.demands(is_taken, || format!("{taken} was taken from its holder, and nobody has it"))
    }

    /// A member loses its name: to its owner, or because the file has changed.
    pub(crate) fn lose_name(&mut self, member: usize, name: &str) -> Verdict {
        let known = &self.members[member];
        let from = known.names.last().cloned().unwrap_or_default();
        let is_its_own = known.number.is_some_and(|number| name == format!("client-{number}"));
        Rule::Names.demands(is_its_own && !is_given(&from), || format!("it is called {name}, and was {from}"))?;
        let place = self.owners.losers.iter().position(|&(loser, _)| loser == member);
        let line = if let Some(place) = place {
            let (_, owned) = self.owners.losers.swap_remove(place);
            format!("* the name {owned} belongs to somebody now: you are {name}")
        } else {
            let is_owned = self.owners.token_of(&from).is_some();
            Rule::Names.demands(is_owned, || format!("{from} belongs to nobody, and it has lost it"))?;
            self.owners.taken = Some(from.clone());
            format!("* you are here a second time: this one is {name} now")
        };
        self.holders.remove(&from);
        self.holders.insert(name.to_owned(), member);
        let may_have_spoken = self.may_have_spoken_untold(member);
        let known = &mut self.members[member];
        known.names.push(name.to_owned());
        known.token = None;
        if known.away_until.is_none() {
            known.losses.push_back(line);
        }
        if known.way.is_some() {
            return Ok(());
        }
        let room = known.seat_room();
        let is_sure = known.introduction != Introduction::Pending;
        if is_sure || known.may_be_untold || may_have_spoken {
            let line = format!("* {from} is now {name}");
            let is_next = is_sure && place.is_none() && self.config.lag != Lag::Wait;
            let room = &mut self.rooms[room];
            if is_next && room.first_announced().is_none() {
                room.due = Some(Due { line, by: member, kind: Kind::Renamed });
            } else {
                room.announced.push_back(Announced { line, by: member, kind: Kind::Renamed, is_sure });
            }
        }
        self.note_version(room);
        Ok(())
    }

    /// A member that is away loses its name.
    pub(crate) fn lose_unseen(&mut self, from: &str, to: &str) -> Verdict {
        let Some(&member) = self.holders.get(from) else { return Rule::Names.broken(format!("nobody is {from}")) };
        let is_away = self.members[member].away_until.is_some();
        Rule::Names.demands(is_away, || format!("{from} is not away"))?;
        self.lose_name(member, to)
    }

    /// Judges, at the end of a turn, that names with owners, and those that look like them, are with their owners.
    pub(crate) fn judge_owners(&self) -> Verdict {
        if self.owners.is_empty() {
            return Ok(());
        }
        for (name, &member) in self.holders.iter().filter(|(name, _)| !is_given(name) && is_name(name)) {
            let token = self.owners.token_of(name);
            let is_right = match token {
                Some(_) => self.members[member].token == token,
                None => self.owners.lookalike(name).is_none(),
            };
            Rule::Owner.demands(is_right, || self.about(member, "its name is another's"))?;
        }
        Ok(())
    }
}
