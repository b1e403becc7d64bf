//! A strict parser of the log: each line is a time, a level, a module, words, and perhaps fields.

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub level: String,
    pub words: String,
    /// Its fields in their order, of which the first is `event`; none if it is no event.
    fields: Vec<(String, String)>,
}

impl Entry {
    /// Parses a line, as it is written on stderr.
    #[track_caller]
    pub fn parse(line: &str) -> Entry {
        let (time, rest) = line.split_once(' ').unwrap_or_else(|| panic!("no time: {line:?}"));
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000Z", "the time of {line:?}");
        let (level, rest) = rest.split_once(" [").unwrap_or_else(|| panic!("no module: {line:?}"));
        let (module, message) = rest.split_once("] ").unwrap_or_else(|| panic!("no message: {line:?}"));
        assert!(module.starts_with("pollchat"), "the module of {line:?}");
        let level = level.trim_end();
        assert!(["ERROR", "WARN", "INFO", "DEBUG"].contains(&level), "the level of {line:?}");
        Entry { level: level.to_owned(), ..Entry::of_message(message) }
    }

    /// Parses a message, without what stands before it.
    #[track_caller]
    pub fn of_message(message: &str) -> Entry {
        assert!(!message.contains(char::is_control), "{message:?}");
        assert!(message.matches(" event=").count() <= 1, "forged: {message:?}");
        let (words, fields) = match message.split_once(" event=") {
            Some((words, _)) => (words, fields_of(&message[words.len()..])),
            None => (message, Vec::new()),
        };
        assert!(!words.is_empty(), "{message:?}");
        Entry { level: String::new(), words: words.to_owned(), fields }
    }

    /// The kind of event; empty if it is none.
    pub fn event(&self) -> &str {
        self.field("event").unwrap_or_default()
    }

    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.0 == key).map(|field| &*field.1)
    }

    /// The fields, as they are written.
    pub fn written(&self) -> String {
        let fields: Vec<_> = self.fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
        fields.join(" ")
    }
}

/// Takes the fields to pieces, each with a blank before it.
#[track_caller]
fn fields_of(mut text: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    while let Some(rest) = text.strip_prefix(' ') {
        let (key, rest) = rest.split_once('=').unwrap_or_else(|| panic!("no field: {text:?}"));
        assert!(!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase()), "the key of {text:?}");
        assert!(fields.iter().all(|field| field.0 != key), "twice: {text:?}");
        let len = match rest.strip_prefix('"') {
            Some(quoted) => {
                let is_end = |(at, byte): (usize, u8)| byte == b'"' && !quoted[..at].ends_with('\\');
                2 + quoted.bytes().enumerate().position(is_end).unwrap_or_else(|| panic!("no end: {text:?}"))
            }
            None => rest.find(' ').unwrap_or(rest.len()),
        };
        let value = &rest[..len];
        let is_plain = !value.is_empty() && !value.contains(['=', '\\', '"']);
        assert!(is_plain || value.starts_with('"'), "the value of {text:?}");
        fields.push((key.to_owned(), value.to_owned()));
        text = &rest[len..];
    }
    assert_eq!(text, "", "behind the fields");
    fields
}
