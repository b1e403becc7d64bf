//! Secrets that the user has given: the password of a server, and the token of a name. They live in memory alone, and
//! neither messages nor `Debug` show them.
//!
//! A secret is sent only to a server that has asked for it. A server asks for the password before all else, on each
//! connection anew ([`Door`](super::door::Door)). It asks for a token by its refusal of a name that has an owner. From
//! then on the token goes with each request for that name. A server that asks for a password knows names with owners,
//! too. So no older server, and no other program at its port, is ever sent a secret.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::Config;
use super::limits::SECRET_BYTES_MAX;
use crate::relay::command::{self, Command};
use crate::relay::name::{Name, fold};
use crate::relay::notice::Notice;
use crate::relay::sanitize::{sanitize, without_marks};
use crate::variables;

/// White space around a word that is no part of it: the server takes none for one.
const BLANKS: [char; 2] = [' ', '\t'];

/// The place of a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The first line of this file.
    File(PathBuf),
    /// This variable, and its value.
    Variable(&'static str, OsString),
}

/// Error of a secret that cannot be used. It tells nothing of the secret.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {place}: {why}")]
pub struct SecretError {
    place: String,
    why: String,
}

/// The user's secrets, and the server's wish for tokens.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    password: Option<Word>,
    /// The token of the command line, with the name that it is of.
    token: Option<Token>,
    /// The last typed one, likewise.
    typed_token: Option<Token>,
    /// Whether the server has shown that it knows names with owners.
    knows_owners: bool,
}

/// A secret, and the place that it is from, if that is not the input line.
struct Word {
    text: String,
    place: Option<String>,
}

#[derive(Debug)]
struct Token {
    folded: Box<str>,
    word: Word,
}

impl SecretSource {
    /// Returns the place of a secret, if there is any: the file of the flag `file`, or the variable.
    ///
    /// # Errors
    /// Both are given.
    pub fn choose(
        (flag, file): (&str, Option<PathBuf>),
        variable: &'static str,
    ) -> Result<Option<SecretSource>, String> {
        let value = env::var_os(variable).filter(|value| !value.is_empty());
        match (file, value) {
            (Some(_), Some(_)) => Err(format!("give {flag} or {variable}, not both")),
            (Some(file), None) => Ok(Some(SecretSource::File(file))),
            (None, Some(value)) => Ok(Some(SecretSource::Variable(variable, value))),
            (None, None) => Ok(None),
        }
    }

    /// The name of the place; `kind` is that of the secret.
    fn place(&self, kind: &str) -> String {
        match self {
            SecretSource::File(path) => format!("the {kind} file {}", path.display()),
            SecretSource::Variable(name, _) => (*name).to_owned(),
        }
    }

    fn read(&self, kind: &str) -> Result<Word, SecretError> {
        let place = self.place(kind);
        let line = match self {
            SecretSource::File(path) => first_line(path).map_err(|error| error.to_string()),
            SecretSource::Variable(_, value) => Ok(value.clone().into_vec()),
        };
        match line.and_then(|line| word_of(&line).map_err(str::to_owned)) {
            Ok(text) => Ok(Word { text, place: Some(place) }),
            Err(why) => Err(SecretError { place, why }),
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place("secret"))
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Word({:?})", self.place)
    }
}

impl Secrets {
    /// Reads the secrets of the command line.
    ///
    /// # Errors
    /// A file cannot be read, or a secret has a form that no server takes.
    pub(super) fn load(config: &Config) -> Result<Secrets, SecretError> {
        let password = config.password.as_ref().map(|source| source.read("password")).transpose()?;
        let token = config.token.as_ref().map(|source| source.read("token")).transpose()?;
        if let Some(Word { text, place: Some(place) }) = &token
            && text.contains(BLANKS)
        {
            let why = "a token is one word, the first line of `pollchat-server --new-token`".to_owned();
            return Err(SecretError { place: place.clone(), why });
        }
        let token = token.zip(config.nick.as_ref()).map(|(word, name)| Token { folded: name.folded().into(), word });
        Ok(Secrets { password, token, ..Secrets::default() })
    }

    /// Whether there is a password.
    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Returns the line that gives the password to a server that asks for it.
    pub(super) fn pass_line(&self) -> Option<String> {
        self.password.as_ref().map(|word| command::pass_line(&word.text))
    }

    /// The place of the password, unless it was typed.
    pub(super) fn password_place(&self) -> Option<&str> {
        self.password.as_ref()?.place.as_deref()
    }

    /// Takes a typed password.
    pub(super) fn type_password(&mut self, word: &str) {
        self.password = Some(Word { text: word.to_owned(), place: None });
    }

    /// Forgets the password, which the server does not take.
    pub(super) fn forget_password(&mut self) {
        self.password = None;
    }

    /// Records that the server asks for a password.
    pub(super) fn on_door(&mut self) {
        self.knows_owners = true;
    }

    /// Watches the typed lines that are sent: a token among them is that of its name from now on.
    pub(super) fn on_typed(&mut self, line: &str) {
        if let Command::Nick { name, token } = Command::parse(line)
            && !token.is_empty()
            && Name::parse(name).is_ok()
        {
            let word = Word { text: token.to_owned(), place: None };
            self.typed_token = Some(Token { folded: fold(name), word });
        }
    }

    /// Returns the line that asks for a name; with its token, if the server has asked for tokens.
    pub(super) fn nick_line(&self, name: &str) -> String {
        let token = self.token_of(name).filter(|_| self.knows_owners);
        command::nick_line(name, token.map(|word| word.text.as_str()))
    }

    /// Whether there is a token of this name.
    pub(super) fn has_token_of(&self, name: &str) -> bool {
        self.token_of(name).is_some()
    }

    fn token_of(&self, name: &str) -> Option<&Word> {
        let folded = fold(name);
        let tokens = self.typed_token.iter().chain(&self.token);
        tokens.into_iter().find(|token| *token.folded == *folded).map(|token| &token.word)
    }

    /// Takes a notice about the name that was asked for, or was ours. Returns whether to ask for it again at once: with
    /// the token that the server asks for, or without the one that it does not want.
    pub(super) fn on_unnamed(&mut self, notice: &Notice<'_>) -> bool {
        match *notice {
            Notice::NameOwned { name } if !self.knows_owners && self.token_of(name).is_some() => {
                self.knows_owners = true;
                true
            }
            Notice::NameLost { owned, .. } if self.token_of(owned).is_some() => {
                self.knows_owners = true;
                true
            }
            Notice::TokenUnknown { .. } => std::mem::take(&mut self.knows_owners),
            _ => false,
        }
    }

    /// Forgets a typed token, which is another one than that of this name.
    pub(super) fn forget_typed_token(&mut self, name: &str) {
        self.typed_token.take_if(|token| *token.folded == *fold(name));
    }

    /// Returns the words for a name that was refused or lost, which say what the user can do.
    pub(super) fn words_for(&self, notice: &Notice<'_>) -> String {
        match *notice {
            Notice::NameOwned { name } => {
                let variable = variables::TOKEN;
                format!("the name {name} belongs to somebody: give its token with --token-file or {variable}")
            }
            Notice::TokenWrong { name } => match self.token_of(name).and_then(|word| word.place.as_deref()) {
                Some(place) => format!("{notice}: look into {place}"),
                None => notice.to_string(),
            },
            _ => notice.to_string(),
        }
    }
}

/// Reads the first line of a file, or more than [`SECRET_BYTES_MAX`] of it.
fn first_line(path: &Path) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let beyond = "\u{feff}\r\n".len() as u64 + 1;
    BufReader::new(File::open(path)?.take(SECRET_BYTES_MAX as u64 + beyond)).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// Returns the word of a line, as the server reads it.
fn word_of(line: &[u8]) -> Result<String, &'static str> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = without_marks(line.strip_suffix(b"\r").unwrap_or(line));
    let Ok(text) = str::from_utf8(line) else { return Err("it is not UTF-8") };
    let word = text.trim_matches(BLANKS);
    let mut buffer = String::new();
    match () {
        () if word.is_empty() => Err("its first line is empty"),
        () if word.len() > SECRET_BYTES_MAX => Err("its first line is over 1 KiB"),
        () if sanitize(word.as_bytes(), &mut buffer) != word => Err("it has a control character"),
        () => Ok(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(token: Option<&str>) -> Secrets {
        let word = |text: &str| Word { text: text.to_owned(), place: Some("the token file x".to_owned()) };
        Secrets { token: token.map(|text| Token { folded: "ana".into(), word: word(text) }), ..Secrets::default() }
    }

    #[test]
    fn a_word_is_the_first_line_as_the_server_reads_it() {
        for (line, word) in [
            (&b"word\n"[..], "word"),
            (b"word", "word"),
            (b"\xef\xbb\xbf two words \r\n", "two words"),
            ("Straße\n".as_bytes(), "Straße"),
        ] {
            assert_eq!(word_of(line).as_deref(), Ok(word), "{line:?}");
        }
        for line in [&b""[..], b"\n", b" \t\r\n", b"a\0b\n", b"a\x1bb", b"\xff\n", &[b'x'; SECRET_BYTES_MAX + 1]] {
            assert!(word_of(line).is_err(), "{line:?}");
        }
        assert!(word_of(&[b'x'; SECRET_BYTES_MAX]).is_ok());
    }

    #[test]
    fn a_token_goes_to_a_server_that_has_asked_for_one_and_with_its_name_alone() {
        let mut secrets = secrets(Some("pcn_x"));
        assert_eq!(secrets.nick_line("ana"), "/nick ana\n");
        assert!(!secrets.on_unnamed(&Notice::NameTaken { name: "ana" }), "an older server says so");
        assert!(!secrets.on_unnamed(&Notice::NameOwned { name: "bob" }));
        assert_eq!(secrets.nick_line("ana"), "/nick ana\n");
        assert!(secrets.on_unnamed(&Notice::NameOwned { name: "ANA" }));
        assert_eq!([secrets.nick_line("Ana"), secrets.nick_line("bob")], ["/nick Ana pcn_x\n", "/nick bob\n"]);
        assert!(!secrets.on_unnamed(&Notice::NameOwned { name: "ana" }), "it has the token");
        assert!(secrets.on_unnamed(&Notice::TokenUnknown { name: "ana" }));
        assert_eq!(secrets.nick_line("ana"), "/nick ana\n");
        assert!(!secrets.on_unnamed(&Notice::TokenUnknown { name: "ana" }), "nothing was shown");
        secrets.on_door();
        assert_eq!(secrets.nick_line("ana"), "/nick ana pcn_x\n");
    }

    #[test]
    fn a_typed_token_is_that_of_its_name() {
        let mut secrets = secrets(Some("pcn_x"));
        secrets.on_door();
        for line in ["/nick bob pcn_b", "/nick eve", "/say /nick ana pcn_y", "/nick a! pcn_z"] {
            secrets.on_typed(line);
        }
        assert_eq!(secrets.nick_line("bob"), "/nick bob pcn_b\n");
        assert_eq!(secrets.nick_line("ana"), "/nick ana pcn_x\n");
        secrets.on_typed("/nick ana pcn_y");
        assert_eq!(secrets.nick_line("ana"), "/nick ana pcn_y\n");
        secrets.forget_typed_token("bob");
        secrets.forget_typed_token("Ana");
        assert_eq!(secrets.nick_line("ana"), "/nick ana pcn_x\n", "that of the command line");
    }

    #[test]
    fn no_message_shows_a_secret() {
        let mut secrets = secrets(Some("pcn_hidden"));
        secrets.type_password("hidden");
        secrets.on_typed("/nick bob pcn_hidden");
        let source = SecretSource::Variable(variables::PASSWORD, "hidden".into());
        let config_of = format!("{source:?}");
        let error = SecretSource::Variable(variables::PASSWORD, "hidden\u{1}".into()).read("password").unwrap_err();
        let told = format!("{secrets:?} {config_of} {error} {error:?}");
        assert!(!told.contains("hidden"), "{told}");
        let notice = Notice::TokenWrong { name: "ana" };
        assert_eq!(secrets.words_for(&notice), "that is not the token of ana: look into the token file x");
    }
}
