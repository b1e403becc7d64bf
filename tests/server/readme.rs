//! The README is true: its flags are what the programs say of themselves, its map names the files that there are, its
//! figures are those of the kept run.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../../README.md");

fn help(program: &str) -> String {
    let output = Command::new(program).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    // Trailing blanks are nothing that one sees.
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn the_flags_of_both_programs_stand_in_the_readme_word_for_word() {
    for program in [env!("CARGO_BIN_EXE_pollchat-server"), env!("CARGO_BIN_EXE_pollchat-client")] {
        let help = help(program);
        assert!(README.contains(&help), "the README does not hold what {program} --help says:\n{help}");
    }
}

#[test]
fn the_map_names_every_source_file_and_no_other() {
    let mut files = BTreeSet::new();
    list_sources(Path::new("src"), &mut files);
    let named: BTreeSet<String> = named_in_the_map();
    assert_eq!(named, files);
}

#[test]
fn its_figures_are_those_of_the_kept_run() {
    let kept: String =
        ["idle", "fanout", "flood", "soak"].map(|name| read(&format!("benches/results/{name}.md"))).concat();
    let figures = README.split("\n## ").find(|section| section.starts_with("Figures\n")).unwrap();
    let rows: Vec<&str> = figures.lines().filter(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 12, "{rows:?}");
    for row in rows {
        assert!(kept.lines().any(|line| line == row), "not in benches/results: {row}");
    }
    for image in figures.split("](").skip(1).filter_map(|link| link.split(')').next()) {
        assert!(Path::new(image).exists(), "{image}");
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of the map; one that is indented belongs to the folder above it.
fn named_in_the_map() -> BTreeSet<String> {
    let map = README.split("```text\n").find(|block| block.starts_with("src/lib.rs")).unwrap();
    let map = map.split("```").next().unwrap();
    let mut folder = "";
    let mut named = BTreeSet::new();
    for line in map.lines() {
        let entry = line.split_whitespace().next().unwrap();
        match (line.starts_with(' '), entry.strip_suffix('/')) {
            (_, Some(path)) => folder = path,
            (true, None) => assert!(named.insert(format!("{folder}/{entry}")), "{entry} twice"),
            (false, None) => assert!(named.insert(entry.to_owned()), "{entry} twice"),
        }
    }
    named
}

fn list_sources(folder: &Path, files: &mut BTreeSet<String>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list_sources(&path, files);
        } else {
            files.insert(path.to_str().unwrap().to_owned());
        }
    }
}
