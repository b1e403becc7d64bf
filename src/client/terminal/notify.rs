//! `--notify-command`: a program that is started for a mention or a private message. Owns the processes until they end.
//!
//! No shell is between: the words of the command, a title and the text are arguments of the program. So nothing that a
//! member says is ever interpreted. The text is in the environment, too.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use super::calls::Call;
use crate::client::limits::{NOTIFIER_TIME_MAX, NOTIFIERS_MAX};
use crate::variables;

/// The program, and its processes.
#[derive(Debug)]
pub(super) struct Notifier {
    /// The program, and its first arguments.
    words: Vec<String>,
    running: Vec<Running>,
    /// Whether a failure was told.
    is_fault_told: bool,
}

#[derive(Debug)]
struct Running {
    child: Child,
    since: Instant,
}

impl Notifier {
    /// A notifier that runs nothing yet; `None` without words. Blanks separate the words of `command`.
    pub(super) fn new(command: &str) -> Option<Notifier> {
        let words: Vec<String> = command.split_ascii_whitespace().map(str::to_owned).collect();
        (!words.is_empty()).then(|| Notifier { words, running: Vec::new(), is_fault_told: false })
    }

    /// Starts the program for a call, unless too many of its processes run. Returns the first failure, to be told.
    pub(super) fn notify(&mut self, call: &Call, room: &str, now: Instant) -> Option<String> {
        for running in &mut self.running {
            if now.saturating_duration_since(running.since) >= NOTIFIER_TIME_MAX {
                // It has ended, or ends now with all that it has started: the signal of its end reaps it.
                let _ = kill_process_group(Pid::from_child(&running.child), Signal::KILL);
            }
        }
        if self.running.len() >= NOTIFIERS_MAX {
            return None;
        }
        match self.command(call, room).spawn() {
            Ok(child) => {
                self.running.push(Running { child, since: now });
                None
            }
            Err(error) => self.tell(&error.to_string()),
        }
    }

    /// Reaps the processes that have ended. Returns the first failure, to be told.
    pub(super) fn reap(&mut self) -> Option<String> {
        let mut failed = None;
        self.running.retain_mut(|running| match running.child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                failed = failed.or(Some(status).filter(|status| !status.success()));
                false
            }
            Err(_) => false,
        });
        failed.and_then(|status: ExitStatus| self.tell(&status.to_string()))
    }

    fn command(&self, call: &Call, room: &str) -> Command {
        let kind = if call.is_private { "private" } else { "mention" };
        let title = match call.is_private {
            true => format!("{} tells you", call.from),
            false => format!("{} in {room}", call.from),
        };
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .args([no_flag(title), no_flag(call.text.clone())])
            .env("NOTIFY_KIND", kind)
            .env("NOTIFY_FROM", &call.from)
            .env("NOTIFY_ROOM", room)
            .env("NOTIFY_TEXT", &call.text)
            .env_remove(variables::PASSWORD)
            .env_remove(variables::TOKEN)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-Z of the client does not stop it, and it can be killed with all that it has started.
            .process_group(0);
        command
    }

    fn tell(&mut self, why: &str) -> Option<String> {
        let is_first = !std::mem::replace(&mut self.is_fault_told, true);
        is_first.then(|| format!("--notify-command {}: {why}", self.words[0]))
    }
}

/// Returns an argument that no program takes for a flag.
fn no_flag(text: String) -> String {
    if text.starts_with('-') { format!(" {text}") } else { text }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn what_is_said_is_an_argument_and_no_flag() {
        let notifier = Notifier::new(" notify-send  -u critical ").unwrap();
        let args = |from: &str, text: &str, is_private| -> Vec<String> {
            let call = Call { from: from.to_owned(), text: text.to_owned(), is_private };
            let command = notifier.command(&call, "rust");
            assert!(command.get_envs().any(|(key, value)| key == "NOTIFY_TEXT" && value == Some(OsStr::new(text))));
            command.get_args().skip(2).map(|arg| arg.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(args("ben", "$(reboot); 'x'", false), ["ben in rust", "$(reboot); 'x'"]);
        assert_eq!(args("-ben", "--hint=x", true), [" -ben tells you", " --hint=x"]);
        assert!(Notifier::new(" \t").is_none());
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_all_that_it_has_started() {
        let call = Call { from: "ben".to_owned(), text: String::new(), is_private: true };
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut notifier = Notifier::new("/bin/true").unwrap();
        // The pipe is open as long as the last of both processes lives.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 1000 & sleep 1000"]).stdout(writer).process_group(0);
        let begun = Instant::now();
        notifier.running.push(Running { child: command.spawn().unwrap(), since: begun });
        drop(command);
        assert_eq!(notifier.notify(&call, "lobby", begun + NOTIFIER_TIME_MAX), None);
        assert_eq!(std::io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
        while !notifier.running.is_empty() {
            notifier.reap();
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_failure_is_told_once() {
        let call = Call { from: "ben".to_owned(), text: String::new(), is_private: true };
        let mut notifier = Notifier::new("/nowhere/at-all x").unwrap();
        let told = notifier.notify(&call, "lobby", Instant::now()).unwrap();
        assert!(told.starts_with("--notify-command /nowhere/at-all: No such file"), "{told}");
        assert_eq!(notifier.notify(&call, "lobby", Instant::now()), None);
    }
}
