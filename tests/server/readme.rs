//! The documents are true: their flags are those of the programs, their figures those of the kept run, their links lead
//! to files.

use std::path::Path;
use std::process::Command;

const README_LINES_MAX: usize = 260;

/// Every document with flags in it.
const DOCUMENTS: [&str; 5] =
    ["README.md", "src/manual/client.md", "src/manual/memory.md", "src/manual/operating.md", "src/manual/protocol.md"];

fn output(program: &str, argument: &[&str]) -> String {
    let output = Command::new(program).args(argument).env_clear().output().unwrap();
    assert!(output.status.success(), "{program} {argument:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn server(arguments: &[&str]) -> String {
    output(env!("CARGO_BIN_EXE_pollchat-server"), arguments)
}

fn client(arguments: &[&str]) -> String {
    output(env!("CARGO_BIN_EXE_pollchat-client"), arguments)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The flags in what `--help` says, each with its text in one line.
fn flags(help: &str) -> Vec<(String, String)> {
    let sections = help.split("\n\n").filter(|section| section.starts_with("Options:"));
    let flags = sections.flat_map(|section| section.split("\n      --").skip(1));
    flags
        .map(|flag| {
            let (name, text) = flag.split_once(' ').unwrap();
            (name.to_owned(), text.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// The cells of a row, without what pads them.
fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

fn rows(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|-"))
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "{lines} lines");
}

#[test]
fn every_flag_in_the_documents_is_a_flag_of_a_program() {
    let help = server(&["--help"]) + &server(&["export", "--help"]) + &client(&["--help"]);
    for document in DOCUMENTS {
        let text = read(document);
        for code in text.split('`').filter(|code| code.starts_with("--") && !code.starts_with("-- ")) {
            let flag = code.split([' ', '=', '\n']).next().unwrap();
            assert!(help.contains(&format!(" {flag} ")), "{document}: {flag}");
        }
    }
}

#[test]
fn the_defaults_in_the_readme_are_those_of_the_flags() {
    let readme = read("README.md");
    let table = readme.split("| flag | effect | default |\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let flags = flags(&server(&["--help"]));
    let rows: Vec<_> = rows(table).map(cells).collect();
    assert_eq!(rows.len(), 13);
    for row in rows {
        let name = row[0].split('`').nth(1).unwrap().trim_start_matches("--");
        let (_, text) = flags.iter().find(|(flag, _)| flag == name).unwrap_or_else(|| panic!("--{name}"));
        if let Some(default) = row[2].split('`').nth(1) {
            assert!(
                text.contains("[default: ") && text.contains(&format!("{default}]")),
                "--{name}: {default}: {text}"
            );
        }
    }
}

/// Flags that are no settings of a service.
const NO_SETTINGS: [&str; 4] = ["config", "check", "generate", "new-token"];

#[test]
fn the_settings_of_the_package_are_the_flags() {
    let text = read(".package/server.toml");
    let keys = text.lines().filter_map(|line| line.trim_start_matches('#').split_once(" = ")).map(|(key, _)| key);
    let mut keys: Vec<_> = keys.filter(|key| !key.contains(' ')).collect();
    keys.sort_unstable();
    let flags = flags(&server(&["--help"]));
    let mut names: Vec<_> = flags.iter().map(|(name, _)| name.as_str()).collect();
    names.retain(|name| !NO_SETTINGS.contains(name));
    names.sort_unstable();
    assert_eq!(keys, names);
}

#[test]
fn the_man_pages_hold_the_flags_and_the_manual() {
    for (page, help, heading) in [
        (server(&["--generate", "man"]), server(&["--help"]), "SIGNALS AND EXIT CODES"),
        (client(&["--generate", "man"]), client(&["--help"]), "RECONNECTION"),
    ] {
        let flags = flags(&help);
        assert!(flags.len() > 6, "{flags:?}");
        for (flag, _) in flags {
            assert!(page.contains(&format!("\\-\\-{}", flag.replace('-', "\\-"))), "--{flag}");
        }
        assert!(
            page.contains(&format!(".SH \"{heading}\"\n")) || page.contains(&format!(".SH {heading}\n")),
            "{heading}"
        );
    }
    assert!(server(&["--generate", "man-protocol"]).contains(".SH WEBSOCKET\n"));
}

#[test]
fn completions_name_the_flags() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(server(&["--generate", shell]).contains("stall-timeout"), "{shell}");
        assert!(client(&["--generate", shell]).contains("no-reconnect"), "{shell}");
    }
}

#[test]
fn the_figures_are_those_of_the_kept_run() {
    let kept = ["idle", "fanout", "flood", "resume", "soak", "bus", "bombards"]
        .map(|name| read(&format!("benches/results/{name}.md")))
        .concat();
    let kept: Vec<_> = rows(&kept).map(cells).collect();
    for (document, first, tables) in
        [("README.md", "| what | to reach | measured |", 1), ("benches/README.md", "| what ", 7)]
    {
        let text = read(document);
        let figures: Vec<_> = text.split("\n\n").filter(|block| block.starts_with(first)).collect();
        assert_eq!(figures.len(), tables, "{document}");
        for row in figures.into_iter().flat_map(rows).map(cells) {
            assert!(kept.contains(&row), "{document}: not in benches/results: {row:?}");
        }
    }
    let text = read("benches/README.md");
    let threads = text.split("\n\n").filter(|block| block.starts_with("| case ")).flat_map(rows).map(cells);
    assert!(threads.filter(|row| kept.contains(row)).count() > 8);
}

#[test]
fn the_links_lead_to_files() {
    for document in ["README.md", "benches/README.md"] {
        let folder = Path::new(document).parent().unwrap();
        for link in read(document).split("](").skip(1).filter_map(|link| link.split(')').next()) {
            let path = folder.join(link.split('#').next().unwrap());
            assert!(link.starts_with("https://") || path.exists(), "{document}: {link}");
        }
    }
}
