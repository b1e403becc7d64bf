//! A server with a journal that is killed, and started again at the same addresses.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;

use super::{DEADLINE, Server, eventually};

/// The server, and the folder of its journal, which is removed when dropped.
pub struct CrashingServer {
    flags: Vec<OsString>,
    folder: PathBuf,
    pub server: Server,
}

impl CrashingServer {
    /// Starts with these flags, and the page.
    pub fn start(flags: &[&str]) -> CrashingServer {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("pollchat-crash-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let mut flags: Vec<OsString> = flags.iter().map(Into::into).collect();
        flags.extend(["--journal".into(), folder.clone().into_os_string()]);
        let server = Server::builder().flags(&flags).flags(["--web", "127.0.0.1:0"]).go();
        CrashingServer { flags, folder, server }
    }

    /// The URL of the page.
    #[track_caller]
    pub fn page(&self) -> String {
        let mut address = None;
        eventually("the server prints the page's URL", || {
            let stdout = self.server.stdout();
            address = stdout.iter().find_map(|line| line.strip_prefix("the page is at ")).map(str::to_owned);
            address.is_some()
        });
        address.expect("eventually found it")
    }

    /// Stops the server, so that it reads nothing more of what is sent to it.
    pub fn freeze(&self) {
        self.server.signal(Signal::STOP);
    }

    /// Kills the server, and starts it again.
    pub fn crash(&mut self) {
        self.server.signal(Signal::KILL);
        self.server.wait(DEADLINE);
        self.start_again();
    }

    /// Stops the server in good order, frozen or not, and starts it again.
    pub fn restart(&mut self) {
        self.server.signal(Signal::TERM);
        self.server.signal(Signal::CONT);
        assert!(self.server.wait(DEADLINE).success());
        self.start_again();
    }

    fn start_again(&mut self) {
        let (listen, page) = (self.server.address().to_string(), self.page());
        let web = page.trim_start_matches("http://").trim_end_matches('/');
        self.server = Server::builder().flags(&self.flags).listen(&listen).flags(["--web", web]).go();
    }

    /// The lines of the lobby in the journal, without their times.
    pub fn journal(&self) -> Vec<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-server"));
        let output = command.arg("export").arg(&self.folder).args(["--room", "lobby"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // `2026-11-26 14:30:01 ana> hello`
        text.lines().filter_map(|line| Some(line.splitn(3, ' ').nth(2)?.to_owned())).collect()
    }

    /// Waits until the journal has this line.
    #[track_caller]
    pub fn until_kept(&self, line: &str) {
        eventually(&format!("{line:?} is in the journal"), || self.journal().iter().any(|kept| kept == line));
    }
}

impl Drop for CrashingServer {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
