//! What a benchmark leaves behind: tables on stdout and as Markdown, the raw figures as JSON, charts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Error;
use super::ledger::{Entry, Figure, Ledger};
use super::process::machine;

/// One sentence of what is to be reached, and what was.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) reach: &'static str,
    /// What was measured, and whether it reaches that; `None` if it was not measured in this run.
    pub(crate) measured: Option<(String, bool)>,
}

/// A report under way: the text of the tables, and where it goes.
pub(crate) struct Report {
    name: &'static str,
    folder: PathBuf,
    text: String,
}

#[derive(Serialize)]
struct Raw<'a> {
    benchmark: &'a str,
    command: String,
    commit: String,
    date: String,
    machine: String,
    compiler: String,
    figures: &'a [Entry],
}

impl Report {
    /// Begins the report of the benchmark `name`, under the target folder.
    pub(crate) fn new(name: &'static str) -> Result<Report, Error> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        fs::create_dir_all(&folder)?;
        Ok(Report { name, folder, text: String::new() })
    }

    /// Where a chart of this name goes.
    pub(crate) fn chart_path(&self, name: &str) -> PathBuf {
        self.folder.join(name).with_extension("svg")
    }

    /// Adds a paragraph.
    pub(crate) fn say(&mut self, paragraph: &str) {
        self.text += paragraph;
        self.text += "\n\n";
    }

    /// Adds a table: a row for each case and subject that has one of these figures.
    pub(crate) fn table(&mut self, title: &str, ledger: &Ledger, cases: &[&str], figures: &[Figure]) {
        let mut table = markdown();
        table.set_header(["case", "subject"].into_iter().chain(figures.iter().map(|figure| figure.name)));
        for case in cases {
            for subject in ledger.subjects(case) {
                let show = |figure: &Figure| ledger.entry(case, subject, *figure).map(ToString::to_string);
                let cells: Vec<_> = figures.iter().map(show).collect();
                if cells.iter().any(Option::is_some) {
                    let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned()));
                    table.add_row([(*case).to_owned(), subject.to_owned()].into_iter().chain(cells));
                }
            }
        }
        self.say(&format!("**{title}**"));
        self.say(&lines(&table));
    }

    /// Adds the table of what was to be reached.
    pub(crate) fn goals(&mut self, goals: &[Goal]) {
        let mut table = markdown();
        table.set_header(["what", "to reach", "measured"]);
        for Goal { what, reach, measured } in goals {
            let measured = match measured {
                None => "not measured".to_owned(),
                Some((value, true)) => value.clone(),
                Some((value, false)) => format!("{value}: **not reached**"),
            };
            table.add_row([what, &(*reach).to_owned(), &measured]);
        }
        self.say(&lines(&table));
    }

    /// Prints all that was said, and writes it and the raw figures to files.
    pub(crate) fn finish(self, ledger: &Ledger) -> Result<(), Error> {
        let raw = Raw {
            benchmark: self.name,
            command: command_line(),
            commit: said_by("git", &["describe", "--always", "--dirty", "--exclude=*"]),
            date: said_by("date", &["-u", "+%FT%TZ"]),
            machine: machine(),
            compiler: said_by("rustc", &["--version"]),
            figures: ledger.entries(),
        };
        let head =
            format!("`{}`, commit {}, {}; {}; {}\n\n", raw.command, raw.commit, raw.date, raw.machine, raw.compiler);
        let text = head + self.text.trim_end() + "\n";
        println!("\n{text}");
        fs::write(self.folder.join(self.name).with_extension("md"), text)?;
        let json = self.folder.join(self.name).with_extension("json");
        fs::write(&json, serde_json::to_string_pretty(&raw)? + "\n")?;
        println!("Raw figures: {}", json.display());
        Ok(())
    }
}

/// A benchmark in which the server lost lines has failed, whatever it measured.
pub(crate) fn no_line_is_lost(lines: f64) -> Result<(), Error> {
    if lines == 0.0 { Ok(()) } else { Err(format!("pollchat lost {lines} lines").into()) }
}

/// Progress on a terminal; nothing elsewhere.
pub(crate) fn progress(steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} {msg} (about {eta} left)");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

fn markdown() -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table
}

fn lines(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>().trim_end().to_owned()
}

/// How this run can be repeated.
fn command_line() -> String {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_stem().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    // Behind the last dash is the hash that cargo adds.
    let name = name.rsplit_once('-').map_or(name.as_str(), |(name, _)| name);
    let quoted = |argument: String| if argument.contains(' ') { format!("'{argument}'") } else { argument };
    let rest: Vec<String> = arguments.filter(|argument| argument != "--bench").map(quoted).collect();
    let dashes = if rest.is_empty() { "" } else { " -- " };
    format!("cargo bench --bench {name}{dashes}{}", rest.join(" "))
}

/// The first line that a program prints; what it could not say is unknown.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let said = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    said.and_then(|said| Some(said.lines().next()?.to_owned())).unwrap_or_else(|| "unknown".to_owned())
}
