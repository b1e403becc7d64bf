//! The journal of a server, and `pollchat-server export`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use pollchat::relay::name::Name;
use pollchat::server::journal::store::Store;
use pollchat::server::journal::{self, KeptRoom, OpenError, Opened, Settings};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use crate::support::{DEADLINE, Server, eventually};

/// A folder, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pollchat-kept-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    /// The path of the journal, which does not exist at first.
    fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a server that is not to start, and returns what it says.
#[track_caller]
fn refused(dir: &Path) -> String {
    let start = Server::builder().listen("127.0.0.1:0").flags(["--journal".as_ref(), dir.as_os_str()]);
    let output = start.command().output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), text.lines().count(), output.stdout.len()), (Some(1), 1, 0), "{text}");
    text.trim_end().to_owned()
}

/// Writes texts of the lobby and of `rust` to a journal, as a server would.
fn write(dir: &Path, lobby: &str, rust: &str) {
    let room = |name| KeptRoom { name, text_bytes_max: 1 << 20 };
    let settings = Settings {
        dir: dir.to_owned(),
        keep_bytes: 8 << 20,
        sync_every: None,
        buffer_bytes: 1 << 20,
        longest_line_bytes: 10_000,
        rooms: vec![room(Name::of_lobby()), room(Name::parse("Rust").unwrap())],
    };
    let mut writer = unlocked(&settings).writer;
    writer.append(0, [lobby.as_bytes(), b""]);
    writer.append(1, [b"", rust.as_bytes()]);
}

/// Opens a journal that nobody uses. Children that other tests start have its lock, too, until they run their program.
#[track_caller]
fn unlocked(settings: &Settings) -> Opened {
    let mut opened = None;
    eventually("the journal is not locked", || {
        opened = match journal::open(settings, || ()) {
            Err(OpenError::Locked(_)) => None,
            result => Some(result.unwrap()),
        };
        opened.is_some()
    });
    opened.expect("it is open")
}

fn export(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-server"));
    command.arg("export").args(arguments).env("TZ", "UTC").stdin(Stdio::null());
    command
}

#[track_caller]
fn exported(arguments: &[&str]) -> String {
    let output = export(arguments).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

const LOBBY: &str = "@ 1764166801123 0000000000007.0\nana> hello\n* bob joined\n\
                     @ 1764166861000 0000000000007.14\nbob> hi, ana\n";

const RUST: &str = "@ 1764166802000 0000000000008.3\nana> \"is it safe?\"\n";

#[test]
fn a_journal_is_for_its_owner_alone() {
    let scratch = Scratch::new();
    let server = Server::builder().flags(["--journal".as_ref(), scratch.journal().as_os_str()]).go();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&scratch.journal()), 0o700);
    drop(server);
    write(&scratch.journal(), LOBBY, RUST);
    for entry in fs::read_dir(scratch.journal()).unwrap().map(|entry| entry.unwrap().path()) {
        assert_eq!(mode(&entry), if entry.is_dir() { 0o700 } else { 0o600 }, "{}", entry.display());
        for file in fs::read_dir(&entry).into_iter().flatten() {
            assert_eq!(mode(&file.unwrap().path()), 0o600);
        }
    }
}

#[test]
fn a_second_server_does_not_write_to_the_same_journal() {
    let scratch = Scratch::new();
    let dir = scratch.journal();
    let mut server = Server::builder().flags(["--journal".as_ref(), dir.as_os_str()]).go();
    let expected = format!("cannot keep the journal in {}: another server writes there", dir.display());
    assert_eq!(refused(&dir), format!("pollchat-server: {expected}"));
    // Without the first one it does, also after a crash.
    server.signal(Signal::KILL);
    server.wait(DEADLINE);
    Server::builder().flags(["--journal".as_ref(), dir.as_os_str()]).go();
}

#[test]
fn a_path_that_is_no_journal_is_told_and_left_as_it_is() {
    let scratch = Scratch::new();
    let dir = scratch.journal();
    let missing = refused(&dir.join("below"));
    assert!(missing.contains(&format!("{}/below: No such file or directory", dir.display())), "{missing}");
    fs::write(&dir, "text").unwrap();
    assert!(refused(&dir).contains(&format!("{}: Not a directory", dir.display())));
    fs::remove_file(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("photo.jpg"), "x").unwrap();
    assert!(refused(&dir).ends_with(&format!("{}: it is not empty, and not a journal", dir.display())));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    // A journal of a later version.
    fs::write(dir.join("pollchat.lock"), "the journal of a pollchat-server, version 2\n").unwrap();
    assert!(refused(&dir).ends_with(": it is not empty, and not a journal"));
}

#[test]
fn a_symbolic_link_leads_to_a_journal_but_to_nothing_in_it() {
    let scratch = Scratch::new();
    let (dir, link, elsewhere) = (scratch.journal(), scratch.0.join("link"), scratch.0.join("elsewhere"));
    fs::create_dir(&dir).unwrap();
    symlink(&dir, &link).unwrap();
    drop(Server::builder().flags(["--journal".as_ref(), link.as_os_str()]).go());
    assert!(dir.join("pollchat.lock").exists());
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, dir.join("lobby")).unwrap();
    assert!(refused(&dir).ends_with("journal/lobby: not a directory"));
    fs::remove_file(dir.join("pollchat.lock")).unwrap();
    symlink(elsewhere.join("lock"), dir.join("pollchat.lock")).unwrap();
    assert!(refused(&dir).ends_with(": it is not empty, and not a journal"));
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn what_is_no_regular_file_is_told_with_its_name_and_neither_waited_for_nor_followed() {
    let scratch = Scratch::new();
    let (dir, precious) = (scratch.journal(), scratch.0.join("precious"));
    write(&dir, LOBBY, RUST);
    fs::write(&precious, "text").unwrap();
    let fifo = |path: &Path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let segment = "0000000009.0000000000009.00000000000000000000";
    for (file, expected) in [
        (format!("lobby/{segment}"), format!("journal/lobby: {segment}: not a regular file")),
        ("pollchat.numbers".to_owned(), "journal/pollchat.numbers: not a regular file".to_owned()),
        ("pollchat.numbers.new".to_owned(), "journal: No such device or address (os error 6)".to_owned()),
    ] {
        let path = dir.join(file);
        let _ = fs::remove_file(&path);
        fifo(&path);
        assert!(refused(&dir).ends_with(&expected), "{}", refused(&dir));
        fs::remove_file(&path).unwrap();
        symlink(&precious, &path).unwrap();
        assert!(refused(&dir).ends_with("(os error 40)"), "{}", refused(&dir));
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(fs::read(&precious).unwrap(), b"text");
    Server::builder().flags(["--journal".as_ref(), dir.as_os_str()]).go();
}

#[test]
fn a_journal_is_exported_for_people() {
    let scratch = Scratch::new();
    let dir = scratch.journal();
    write(&dir, LOBBY, RUST);
    let dir = dir.to_str().unwrap();
    assert_eq!(
        exported(&[dir, "--room", "lobby"]),
        "2025-11-26 14:20:01 ana> hello\n2025-11-26 14:20:01 * bob joined\n\
         2025-11-26 14:21:01 * 12 lines are missing here\n2025-11-26 14:21:01 bob> hi, ana\n"
    );
    assert_eq!(
        exported(&[dir, "--since", "2025-11-26 14:20:02"]),
        "2025-11-26 14:21:01 lobby: * 12 lines are missing here\n2025-11-26 14:21:01 lobby: bob> hi, ana\n\
         2025-11-26 14:20:02 rust: ana> \"is it safe?\"\n"
    );
    assert_eq!(exported(&[dir, "--room", "RUST", "--since", "2025-11-27"]), "");
}

#[test]
fn a_journal_is_exported_for_programs() {
    let scratch = Scratch::new();
    let dir = scratch.journal();
    write(&dir, LOBBY, RUST);
    let json = exported(&[dir.to_str().unwrap(), "--json"]);
    let lines: Vec<_> = json.lines().collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(
        lines[0],
        r#"{"room":"lobby","position":"0000000000007.0","time":"2025-11-26T14:20:01.123Z","kind":"said","name":"ana","text":"hello"}"#
    );
    let missed = r#""kind":"missed","name":null,"text":"12 lines are missing here","missed":12}"#;
    assert!(lines[2].contains(r#""position":"0000000000007.2""#) && lines[2].ends_with(missed), "{}", lines[2]);
    assert!(lines[4].ends_with(r#""kind":"said","name":"ana","text":"\"is it safe?\""}"#), "{}", lines[4]);
}

#[test]
fn several_logs_are_exported_one_after_the_other_while_a_server_runs() {
    let scratch = Scratch::new();
    let dir = scratch.journal();
    write(&dir, LOBBY, RUST);
    // A torn record is not shown, and is cut at the next start.
    let segment = fs::read_dir(dir.join("lobby")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&segment).unwrap();
    fs::write(&segment, [&whole[..], b"ana> to"].concat()).unwrap();
    assert!(exported(&[dir.to_str().unwrap(), "--room", "lobby"]).ends_with("bob> hi, ana\n"));
    write(&dir, "@ 1764166861000 000000000000a.1\nana> again\n", "@ 1764166861000 000000000000b.1\nana> here\n");
    let _server = Server::builder().flags(["--journal".as_ref(), dir.as_os_str()]).go();
    let lobby = exported(&[dir.to_str().unwrap(), "--room", "lobby"]);
    assert!(lobby.ends_with("14:21:01 bob> hi, ana\n2025-11-26 14:21:01 ana> again\n"), "{lobby}");
    assert_eq!(fs::read(&segment).unwrap(), whole);
}

#[test]
fn a_damaged_segment_is_told_and_the_rest_is_exported() {
    let scratch = Scratch::new();
    let dir = scratch.journal();
    write(&dir, LOBBY, RUST);
    let segment = fs::read_dir(dir.join("lobby")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[3] ^= 4;
    fs::write(&segment, bytes).unwrap();
    let Output { status, stdout, stderr } = export(&[dir.to_str().unwrap()]).output().unwrap();
    assert_eq!((status.code(), text(&stdout)), (Some(1), "2025-11-26 14:20:02 rust: ana> \"is it safe?\"\n"));
    assert_eq!(
        text(&stderr),
        format!("pollchat-server export: {}: its head is damaged, so none of it is read\n", segment.display())
    );
    // A server tells it, too, and goes on.
    let server = Server::builder().flags(["--journal".as_ref(), dir.as_os_str()]).go();
    server.expect_log(&["WARN", &segment.display().to_string(), "its head is damaged"]);
}

#[test]
fn what_cannot_be_exported_is_told_in_one_line() {
    let scratch = Scratch::new();
    let dir = scratch.journal();
    let dir = dir.to_str().unwrap();
    write(dir.as_ref(), LOBBY, RUST);
    let other = scratch.0.to_str().unwrap();
    for (arguments, code, expected) in [
        (&[dir, "--room", "go"][..], 1, format!("pollchat-server export: no room go is kept in {dir}\n")),
        (&[other], 1, format!("pollchat-server export: {other} is not a journal\n")),
        (&["/none"], 1, "pollchat-server export: cannot read /none: No such file or directory (os error 2)\n".into()),
    ] {
        let output = export(arguments).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(code), &*expected));
    }
    for arguments in [&[][..], &[dir, "--since", "yesterday"], &[dir, "--room", "a b"], &[dir, dir]] {
        assert_eq!(export(arguments).output().unwrap().status.code(), Some(2), "{arguments:?}");
    }
    assert!(exported(&["--help"]).starts_with("Prints the journal of a server"));
}

#[test]
fn a_reader_of_an_export_may_close_it_early() {
    let scratch = Scratch::new();
    let line = "ana> ".to_owned() + &"x".repeat(1_000) + "\n";
    write(&scratch.journal(), &format!("@ 1764166801123 0000000000007.0\n{}", line.repeat(900)), RUST);
    let mut child =
        export(&[scratch.journal().to_str().unwrap()]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    assert!(reader.read_line(&mut String::new()).unwrap() > 1_000);
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn client_numbers_never_come_again_even_if_their_file_is_lost() {
    let scratch = Scratch::new();
    let dir = scratch.journal();
    let settings = Settings {
        dir: dir.clone(),
        keep_bytes: 8 << 20,
        sync_every: None,
        buffer_bytes: 1 << 20,
        longest_line_bytes: 10_000,
        rooms: vec![KeptRoom { name: Name::of_lobby(), text_bytes_max: 1 << 20 }],
    };
    let open = || unlocked(&settings);
    assert_eq!(open().numbers, 1..1_001);
    let mut second = open();
    assert_eq!(second.numbers, 1_001..2_001);
    second.writer.reserve_numbers(5_000);
    second.writer.append(0, [b"@ 1764166801123 0000000000007.0\nclient-4321> hello\n", b""]);
    drop(second);
    let third = open();
    assert_eq!((third.numbers, third.warnings.len()), (5_000..6_000, 0));
    drop(third.writer);
    for torn in [Some("client numbers bel"), None] {
        match torn {
            Some(text) => fs::write(dir.join("pollchat.numbers"), text).unwrap(),
            None => fs::remove_file(dir.join("pollchat.numbers")).unwrap(),
        }
        let next = open();
        assert_eq!((next.numbers, next.warnings.len()), (4_322..5_322, usize::from(torn.is_some())));
    }
}
