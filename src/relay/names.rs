//! Names with owners (`--names`), and the names that look like one of them.
//!
//! A file has a line for each name, `ana token sha256:…`. The client that knows the token is the owner. Blank lines and
//! lines that begin with `#` count for nothing.

use std::collections::HashMap;
use std::fmt;

use super::lookalike;
use super::name::{Name, NameError};
use super::secret::{SecretHash, new_token};

/// The names that belong to somebody.
///
/// Invariants: `by_folded` has each name once, under its folded form; `by_outline` leads from both outlines of each to
/// its folded form, and no two names share one.
#[derive(Debug, Default)]
pub struct Names {
    by_folded: HashMap<Box<str>, Owned>,
    by_outline: HashMap<Box<str>, Box<str>>,
}

/// A name and the hash of its token.
#[derive(Debug)]
struct Owned {
    name: Name,
    token: SecretHash,
}

/// The right of a client to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right<'a> {
    /// The name belongs to nobody: the first client that takes it has it.
    Free,
    /// The client has shown the token.
    Owner,
    /// The name belongs to somebody, and the client has shown no token.
    Unproven,
    /// The name belongs to somebody, and the client has shown another token.
    WrongToken,
    /// The name belongs to nobody, and looks like this one.
    LooksLike(&'a Name),
}

/// The first bad line of a file of names.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct NamesError {
    /// Its number, from 1 on.
    pub line: usize,
    /// Its fault. It says nothing of a token.
    pub fault: Fault,
}

/// The fault of a line of a file of names.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It has another form.
    #[error("it is not `NAME token sha256:…`; `pollchat-server --new-token NAME` prints such a line")]
    Form,
    /// Its first word is no name.
    #[error("{0:?} is no name: {1}")]
    Name(String, NameError),
    /// A line above has the same name.
    #[error("the name {0} is on line {1} already")]
    Twice(Name, usize),
    /// A line above has a name that looks like it.
    #[error("{0} looks like {1} on line {2}")]
    LooksLike(Name, Name, usize),
}

impl Names {
    /// Reads a file of names. Cost: two skeletons a name, about 10 µs.
    ///
    /// # Errors
    /// The first bad line.
    pub fn parse(text: &str) -> Result<Names, NamesError> {
        let mut names = Names::default();
        let mut lines: HashMap<Box<str>, usize> = HashMap::new();
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (name, token) = parse_line(text).map_err(|fault| NamesError { line, fault })?;
            if let Some(other) = names.lookalike(&name) {
                let above = lines[other.folded()];
                let fault = if other.folded() == name.folded() {
                    Fault::Twice(name, above)
                } else {
                    Fault::LooksLike(name, other.clone(), above)
                };
                return Err(NamesError { line, fault });
            }
            lines.insert(name.folded().into(), line);
            names.insert(name, token);
        }
        Ok(names)
    }

    /// Whether no name belongs to anybody.
    pub fn is_empty(&self) -> bool {
        self.by_folded.is_empty()
    }

    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.by_folded.len()
    }

    /// Returns the right of a client to a name; `token` is the one that it has shown, perhaps empty. Cost: a hash for an
    /// owned name, two skeletons for another one; nothing while no name has an owner.
    pub fn right_to(&self, name: &Name, token: &str) -> Right<'_> {
        if self.is_empty() {
            return Right::Free;
        }
        match self.by_folded.get(name.folded()) {
            Some(_) if token.is_empty() => Right::Unproven,
            Some(owned) if owned.token.is_of(token) => Right::Owner,
            Some(_) => Right::WrongToken,
            None => self.lookalike(name).map_or(Right::Free, Right::LooksLike),
        }
    }

    /// Whether a name belongs to somebody.
    pub fn has(&self, name: &Name) -> bool {
        self.by_folded.contains_key(name.folded())
    }

    /// Whether a name has the same owner in `other`: the same token.
    pub fn has_same_owner(&self, name: &Name, other: &Names) -> bool {
        let token = |names: &Names| names.by_folded.get(name.folded()).map(|owned| owned.token);
        token(self).zip(token(other)).is_some_and(|(token, other)| token.is_same(&other))
    }

    /// Returns the hash of the token of a name's owner, as text; `None` if it has no owner.
    pub fn owner(&self, name: &Name) -> Option<String> {
        self.by_folded.get(name.folded()).map(|owned| owned.token.to_string())
    }

    /// Returns the name that is this one, or that it looks like.
    fn lookalike(&self, name: &Name) -> Option<&Name> {
        let outlines = lookalike::outlines(name.as_str());
        let folded = outlines.iter().find_map(|outline| self.by_outline.get(outline))?;
        Some(&self.by_folded[folded].name)
    }

    fn insert(&mut self, name: Name, token: SecretHash) {
        let folded: Box<str> = name.folded().into();
        for outline in lookalike::outlines(name.as_str()) {
            self.by_outline.insert(outline, folded.clone());
        }
        self.by_folded.insert(folded, Owned { name, token });
    }
}

fn parse_line(text: &str) -> Result<(Name, SecretHash), Fault> {
    let mut words = text.split_whitespace();
    let words = [words.next(), words.next(), words.next(), words.next()];
    let [Some(name), Some("token"), Some(hash), None] = words else { return Err(Fault::Form) };
    let hash = SecretHash::parse(hash).ok_or(Fault::Form)?;
    let name = Name::parse(name).map_err(|error| Fault::Name(name.to_owned(), error))?;
    Ok((name, hash))
}

/// A new token, and the line of a file that gives its name to the client that knows it.
#[derive(Debug)]
pub struct NewToken {
    /// The token, which nothing else keeps.
    pub token: String,
    /// The line.
    pub line: String,
}

impl NewToken {
    /// Makes a token for a name.
    pub fn of(name: &Name) -> NewToken {
        let token = new_token();
        let line = format!("{name} token {}", SecretHash::of(&token));
        NewToken { token, line }
    }
}

impl fmt::Display for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.token, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn a_name_belongs_to_the_one_who_knows_its_token() {
        let ana = NewToken::of(&name("Ana"));
        let names =
            Names::parse(&format!("# the class of 2027\n\n{}\r\n  zoe  token  {}", ana.line, SecretHash::of("z")))
                .unwrap();
        assert_eq!(names.len(), 2);
        for typed in ["ana", "Ana", "ANA"] {
            assert_eq!(names.right_to(&name(typed), ""), Right::Unproven);
            assert_eq!(names.right_to(&name(typed), &ana.token), Right::Owner);
            for other in ["z", "pcn_", &ana.token[..29], &ana.token.to_uppercase()] {
                assert_eq!(names.right_to(&name(typed), other), Right::WrongToken, "{other}");
            }
        }
        assert_eq!(names.right_to(&name("bob"), ""), Right::Free);
        assert_eq!(names.right_to(&name("bob"), &ana.token), Right::Free);
        let other = Names::parse(&format!("ana token {}", SecretHash::of("z"))).unwrap();
        assert!(names.has_same_owner(&name("ANA"), &names) && !names.has_same_owner(&name("ana"), &other));
        assert!(!names.has_same_owner(&name("zoe"), &other) && !names.has_same_owner(&name("bob"), &names));
    }

    #[test]
    fn a_name_that_looks_like_an_owned_one_is_free_for_nobody() {
        let names = Names::parse(&NewToken::of(&name("emily")).line).unwrap();
        for typed in ["ernily", "еmіlу", "ｅｍｉｌｙ", "emiIy", "Emílу", "EMlLY"] {
            assert_eq!(names.right_to(&name(typed), ""), Right::LooksLike(&name("emily")), "{typed}");
        }
        for typed in ["emil", "emilya", "amily"] {
            assert_eq!(names.right_to(&name(typed), ""), Right::Free, "{typed}");
        }
        assert_eq!(Names::default().right_to(&name("emily"), "x"), Right::Free);
    }

    #[test]
    fn a_bad_line_is_named() {
        let line = |name: &str| format!("{name} token {}\n", SecretHash::of("x"));
        for (text, fault) in [
            ("ana".to_owned(), "line 1: it is not `NAME token sha256:…`"),
            ("ana key sha256:00".to_owned(), "line 1: it is not `NAME token"),
            ("ana token pcn_secret".to_owned(), "line 1: it is not `NAME token"),
            (line("ana") + "zoe token sha256:12", "line 2: it is not"),
            (line("ana").trim_end().to_owned() + " x", "line 1: it is not"),
            (line("server"), "line 1: \"server\" is no name: that name is taken"),
            (line("client-7"), "line 1: \"client-7\" is no name: that name is taken"),
            (line("a.b"), "line 1: \"a.b\" is no name: a name is 1 to 24 letters"),
            (line("ana") + "\n" + &line("ANA"), "line 3: the name ANA is on line 1 already"),
            (line("ana") + &line("bob") + &line("аnа"), "line 3: аnа looks like ana on line 1"),
        ] {
            let error = Names::parse(&text).unwrap_err().to_string();
            assert!(error.starts_with(fault), "{text}: {error}");
            assert!(!error.contains("pcn_"), "{error}");
        }
    }
}
