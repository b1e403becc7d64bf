//! Tests of the file of bans, on the disk of this machine.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::{parse_network, shown};
use super::*;

/// Time for what takes a moment.
const DEADLINE: Duration = Duration::from_secs(20);

/// A new folder, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pollchat-bans-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("bans")
    }

    /// Waits until the file of this path has these bans, and returns its text.
    #[track_caller]
    fn wait_for(&self, path: &Path, lines: &[&str]) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            let text = fs::read_to_string(path).unwrap_or_default();
            if bans_of(&text) == lines {
                return text;
            }
            assert!(Instant::now() < end, "{text:?} is not {lines:?}");
            thread::yield_now();
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bans_of(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

fn ban(line: &str) -> Arc<Ban> {
    Arc::new(Ban::parse_line(line).unwrap().unwrap())
}

fn add(changes: &Changes, line: &str) {
    let ban = ban(line);
    changes.note(ban.network, Some(ban));
}

fn lift(changes: &Changes, network: &str) {
    changes.note(parse_network(network).unwrap(), None);
}

fn networks(kept: &Kept) -> Vec<String> {
    kept.bans.keys().map(|network| shown(network).to_string()).collect()
}

#[test]
fn a_file_that_is_missing_empty_or_has_comments_has_no_bans() {
    let folder = Folder::new();
    let file = BansFile::new(folder.file());
    let kept = file.read().unwrap();
    assert!(kept.is_missing && kept.bans.is_empty());
    drop(kept);
    for text in ["", "\n\n", "# nothing\n  # yet\n", "\u{feff}# of Windows\r\n\r\n"] {
        fs::write(folder.file(), text).unwrap();
        let kept = file.read().unwrap();
        assert!(!kept.is_missing && kept.bans.is_empty(), "{text:?}");
    }
}

#[test]
fn a_bad_file_is_refused_with_its_line_and_fault() {
    let folder = Folder::new();
    let file = BansFile::new(folder.file());
    let past = "10.0.0.1 until 2020-01-01T00:00:00Z\n";
    for (text, fault) in [
        (
            "10.0.0.1\n\nana\n".as_bytes(),
            "line 3: \"ana\" is no network: write an address, or a prefix such as 10.0.0.0/8",
        ),
        (b"10.0.0.1\n10.0.0.2\xff\n", "line 2: it is not UTF-8"),
        (b"# x\n10.0.0.1\n10.0.0.1/32: again", "line 3: 10.0.0.1/32 is banned in line 2 already"),
        (b"\0\0\0", "line 1: \"\\0\\0\\0\" is no network"),
        (&vec![b'#'; BANS_FILE_BYTES_MAX + 1], "it is larger than 32768 KiB"),
        (format!("{past}{past}0.0.0.0/0").as_bytes(), "line 3: \"0.0.0.0/0\" is no network"),
    ] {
        fs::write(folder.file(), text).unwrap();
        let error = file.read().unwrap_err().to_string();
        let all = format!("cannot use the bans {}: {fault}", folder.file().display());
        assert!(error.starts_with(&all), "{error}");
    }
    let lines: String = (0..=u32::try_from(BANS_MAX).unwrap())
        .map(|n| format!("{}\n", std::net::Ipv4Addr::from(0x0a00_0000 + n)))
        .collect();
    fs::write(folder.file(), lines).unwrap();
    assert!(file.read().unwrap_err().to_string().ends_with("line 100001: there are more than 100000 bans"));
    assert!(BansFile::new(folder.0.clone()).read().unwrap_err().to_string().ends_with("it is not a regular file"));
}

#[test]
fn a_file_forgets_what_has_ended() {
    let folder = Folder::new();
    let file = BansFile::new(folder.file());
    let ended = "until 2020-01-01T00:00:00Z";
    let text = format!("10.0.0.1 {ended}\n10.0.0.1 until 2999-01-01T00:00:00Z\n10.0.0.2 {ended}\n");
    fs::write(folder.file(), text).unwrap();
    assert_eq!(networks(&file.read().unwrap()), ["10.0.0.1"]);
    add(&file.changes(), "10.0.0.3");
    folder.wait_for(&folder.file(), &["10.0.0.1 until 2999-01-01T00:00:00Z", "10.0.0.3"]);
}

#[test]
fn changes_are_written_for_the_owner_alone_and_leave_nothing_beside_the_file() {
    let folder = Folder::new();
    let file = BansFile::new(folder.file());
    let changes = file.changes();
    // Left behind by a kill.
    fs::write(folder.0.join("bans.new"), "half a li").unwrap();
    add(&changes, "10.0.0.1 by-name ana: spam");
    let text = folder.wait_for(&folder.file(), &["10.0.0.1 by-name ana: spam"]);
    assert!(text.starts_with("# NETWORK "), "{text}");
    assert_eq!(fs::metadata(folder.file()).unwrap().permissions().mode() & 0o777, 0o600);
    add(&changes, "2001:db8::/64");
    add(&changes, "10.0.0.1: more");
    folder.wait_for(&folder.file(), &["10.0.0.1: more", "2001:db8::/64"]);
    lift(&changes, "10.0.0.1");
    lift(&changes, "10.9.9.9");
    folder.wait_for(&folder.file(), &["2001:db8::/64"]);
    // The second lift may be a write of its own, which changes nothing.
    drop(file);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_write_undoes_nothing_that_a_person_has_edited() {
    let folder = Folder::new();
    let file = BansFile::new(folder.file());
    let changes = file.changes();
    add(&changes, "10.0.0.1");
    add(&changes, "10.0.0.2");
    folder.wait_for(&folder.file(), &["10.0.0.1", "10.0.0.2"]);
    fs::write(folder.file(), "10.0.0.2: edited\n10.0.0.3\n").unwrap();
    add(&changes, "10.0.0.4");
    folder.wait_for(&folder.file(), &["10.0.0.2: edited", "10.0.0.3", "10.0.0.4"]);
}

#[test]
fn a_malformed_edit_is_left_alone_and_the_changes_wait_until_it_is_mended() {
    let folder = Folder::new();
    let file = BansFile::new(folder.file());
    fs::write(folder.file(), "10.0.0.1\noops\n").unwrap();
    add(&file.changes(), "10.0.0.2");
    assert!(file.read().is_err());
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), "10.0.0.1\noops\n");
    fs::write(folder.file(), "10.0.0.1\n").unwrap();
    folder.wait_for(&folder.file(), &["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn a_failed_write_is_tried_again_and_a_reload_has_its_changes() {
    let folder = Folder::new();
    let path = folder.0.join("later/bans");
    let file = BansFile::new(path.clone());
    add(&file.changes(), "10.0.0.1");
    // Whether the first write has failed by now, or is to come.
    let kept = file.read().unwrap();
    assert!(kept.is_missing);
    assert_eq!(networks(&kept), ["10.0.0.1"]);
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, "10.0.0.2\n").unwrap();
    drop(kept);
    assert_eq!(networks(&file.read().unwrap()), ["10.0.0.1", "10.0.0.2"], "written or not");
    folder.wait_for(&path, &["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn nothing_is_written_between_a_reading_and_its_use() {
    let folder = Folder::new();
    let file = BansFile::new(folder.file());
    fs::write(folder.file(), "10.0.0.1\n").unwrap();
    let kept = file.read().unwrap();
    add(&file.changes(), "10.0.0.2");
    assert!(file.shared.lock().work == Work::Reading && !file.shared.lock().changes.is_empty());
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), "10.0.0.1\n");
    drop(kept);
    folder.wait_for(&folder.file(), &["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn a_reload_during_a_write_that_hangs_is_refused() {
    let folder = Folder::new();
    let file = BansFile::new(folder.file());
    file.shared.lock().work = Work::Writing;
    assert!(file.read().unwrap_err().to_string().contains("it is being written"));
    file.shared.lock().work = Work::None;
    assert!(file.read().is_ok());
}

#[test]
fn the_end_writes_what_is_left() {
    for _ in 0..20 {
        let folder = Folder::new();
        let file = BansFile::new(folder.file());
        add(&file.changes(), "10.0.0.1");
        add(&file.changes(), "10.0.0.2");
        drop(file);
        folder.wait_for(&folder.file(), &["10.0.0.1", "10.0.0.2"]);
    }
    // Without a change there is no thread, and no file.
    let folder = Folder::new();
    drop(BansFile::new(folder.file()));
    assert!(!folder.file().exists());
}

#[test]
fn the_end_does_not_wait_for_a_file_that_cannot_be_written() {
    let folder = Folder::new();
    let file = BansFile::new(folder.0.join("never/bans"));
    add(&file.changes(), "10.0.0.1");
    let begin = Instant::now();
    drop(file);
    assert!(begin.elapsed() < DEADLINE);
}

#[test]
fn a_symbolic_link_stays() {
    let folder = Folder::new();
    let target = folder.0.join("target");
    fs::write(&target, "10.0.0.1\n").unwrap();
    symlink(&target, folder.file()).unwrap();
    let file = BansFile::new(folder.file());
    add(&file.changes(), "10.0.0.2");
    folder.wait_for(&target, &["10.0.0.1", "10.0.0.2"]);
    assert!(fs::symlink_metadata(folder.file()).unwrap().is_symlink());
}

#[test]
fn a_file_that_is_gone_is_written_with_all_bans_by_the_next_order() {
    let folder = Folder::new();
    fs::write(folder.file(), "10.0.0.1\n10.0.0.2\n").unwrap();
    let file = BansFile::new(folder.file());
    drop(file.read().unwrap());
    let changes = file.changes();
    fs::remove_file(folder.file()).unwrap();
    add(&changes, "10.0.0.3");
    folder.wait_for(&folder.file(), &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    fs::remove_file(folder.file()).unwrap();
    changes.note(ban("10.0.0.1").network, None);
    folder.wait_for(&folder.file(), &["10.0.0.2", "10.0.0.3"]);
}
