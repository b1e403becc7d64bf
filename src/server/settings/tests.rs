use std::fs;

use super::*;

/// A file of settings, removed on drop.
struct TomlFile(PathBuf);

impl TomlFile {
    fn new(name: &str, text: &str) -> TomlFile {
        let path = std::env::temp_dir().join(format!("pollchat-settings-{name}-{}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        TomlFile(path)
    }

    fn read(&self, flags: &[&str]) -> Result<Settings, String> {
        let arguments = ["pollchat-server", "--config", self.0.to_str().unwrap()];
        let arguments: Vec<_> = arguments.iter().chain(flags).map(OsString::from).collect();
        Settings::read(&arguments).map_err(|error| error.to_string())
    }

    /// Returns the error about this file, without its path.
    #[track_caller]
    fn error(&self, flags: &[&str]) -> String {
        let error = self.read(flags).unwrap_err();
        let text = error.strip_prefix(&format!("error: {}", self.0.display()));
        text.unwrap_or_else(|| panic!("the file is not named: {error}")).to_owned()
    }
}

impl Drop for TomlFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_flag_wins_over_its_key_and_no_other() {
    let file = TomlFile::new("wins", "greeting = 'file'\nrate = 5\nlisten = [1, 2]\nburst = 7\n");
    let settings = file.read(&["--greeting", "flag", "--listen", "3"]).unwrap();
    let config = settings.config();
    assert_eq!((config.greeting.as_str(), config.listen.len()), ("flag", 1));
    assert!(config.rate.is_some());
    assert!(settings.to_string().contains("burst = 7  # "));
    // Behind a flag without a value, too, and before the end of the flags.
    assert_eq!(file.read(&["--console", "--greeting=", "--"]).unwrap().config().greeting, "");
}

#[test]
fn a_flag_and_a_key_may_need_each_other() {
    let file = TomlFile::new("need", "rate = 5\nweb = 8080\n");
    let settings = file.read(&["--burst", "9", "--web-host", "chat.lan"]).unwrap();
    assert!(settings.config().rate.is_some() && settings.config().has_page());
    let file = TomlFile::new("need-2", "burst = 9\nweb-host = 'chat.lan'\n");
    assert!(file.read(&["--rate", "5", "--web", "8080"]).is_ok());
}

#[test]
fn an_error_that_a_key_has_a_part_in_names_its_place() {
    for (text, flags, expected) in [
        ("\nlag = 'skp'", &[][..], ":2:7: invalid value 'skp' for '--lag <ACTION>' [possible values: "),
        ("rate = -5", &[], ":1:8: invalid value '-5' for '--rate <LINES/S>': -5 is not in 0..=1000"),
        ("allow = [\n  '10.0.0.0/8',\n  'x',\n]", &[], ":3:3: invalid value 'x' for '--allow <CIDR>': write an"),
        ("greeting = 'a'\nburst = 5", &[], ":2:1: --burst requires --rate\n"),
        ("rate = 0\nburst = 5", &[], ":2:1: --burst requires --rate\n"),
        ("tls = 46001", &[], ":1:1: --tls requires --tls-cert and --tls-key\n"),
        ("room = ['rust', 'RUST']", &[], ":1:1: --room RUST exists already\n"),
        ("max-line = 1000000", &["--backlog", "1M"], ":1:1: --backlog must be from 3000"),
        ("backlog = '1K'", &[], ":1:1: --backlog must be from "),
        ("log-level = 'loud'", &[], ":1:13: invalid value 'loud' for '--log-level <LEVEL>': "),
        ("greting = 1", &["--rate", "5"], ":1:1: there is no flag for the key greting"),
        ("lag = \"a\\nb\"", &[], ":1:7: invalid value 'a b' for '--lag <ACTION>' [possible"),
    ] {
        let error = TomlFile::new("place", text).error(flags);
        assert!(error.starts_with(expected), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn an_error_of_the_command_line_alone_does_not_blame_the_file() {
    let file = TomlFile::new("blame", "greeting = 'x'\n");
    for flags in [&["--rate", "x"][..], &["--burst", "5"], &["--nothing-like-it"]] {
        let error = file.read(flags).unwrap_err();
        assert!(!error.contains(".toml"), "{error}");
    }
    // Nor does a file that is of no use keep the manual from being read.
    let bad = TomlFile::new("bad", "[");
    assert!(bad.read(&["--generate", "man"]).is_ok_and(|settings| settings.printed().is_some()));
    assert!(bad.read(&["--help"]).unwrap_err().contains("Usage"));
    assert!(bad.read(&["--new-token", "ana"]).is_ok());
}

#[test]
fn a_reload_finds_the_keys_that_changed() {
    let file = TomlFile::new("changed", "greeting = 'a'\nrate = 5\nallow = ['::1']\n");
    let mut settings = file.read(&["--history", "3"]).unwrap();
    assert_eq!(settings.changed(&settings.again().unwrap()).count(), 0);
    fs::write(&file.0, "rate = '5'\nallow = ['::1', '::2']\nhistory = 9\nlag = 'wait'\n").unwrap();
    let newer = settings.again().unwrap();
    assert_eq!(settings.changed(&newer).collect::<Vec<_>>(), ["greeting", "lag", "allow"]);
    settings.take_over(&newer, &["allow".to_owned()]);
    assert_eq!(settings.changed(&newer).collect::<Vec<_>>(), ["greeting", "lag"]);
    fs::write(&file.0, "rate =").unwrap();
    let error = settings.again().unwrap_err();
    assert!(error.starts_with(file.0.to_str().unwrap()) && error.contains(":1:7: "), "{error}");
    fs::write(&file.0, format!("lag = '{}'", "x".repeat(100_000))).unwrap();
    assert!(settings.again().unwrap_err().len() < 500);
}

#[test]
fn texts_are_quoted_as_toml_reads_them() {
    for text in ["", "a b", "\"\\", "\n\r\t\0\u{7f}\u{85}\u{1b}", "ä\u{feff}'''\"\"\"", "#", "5"] {
        let line = format!("x = {}", quoted(text));
        assert!(!line.contains(char::is_control));
        let table: toml::Table = line.parse().unwrap();
        assert_eq!(table["x"].as_str(), Some(text), "{line}");
    }
}

#[test]
fn the_listing_reads_back_and_tells_the_origins() {
    let file = TomlFile::new("listing", "greeting = \"a\\n\\\"b\\\"\"\n\nallow = ['::1', '10.0.0.0/8']\n");
    let settings = file.read(&["--rate", "5", "--listen", "46000"]).unwrap();
    let listing = settings.to_string();
    let path = file.0.display();
    for line in [
        "listen = [\"46000\"]  # flag",
        &format!("greeting = \"a\\n\\\"b\\\"\"  # {path}:1"),
        "# history = 0",
        "rate = 5  # flag",
        &format!("allow = [\"::1\", \"10.0.0.0/8\"]  # {path}:3"),
        "# console = false",
        "# log-level = \"info\"",
    ] {
        assert!(listing.lines().any(|other| other == line), "{line}: {listing}");
    }
    let again = TomlFile::new("listed", &listing).read(&[]).unwrap();
    assert_eq!(format!("{:?}", again.config()), format!("{:?}", settings.config()));
}
