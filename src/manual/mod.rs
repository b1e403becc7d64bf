//! The manual: pages of prose, which rustdoc shows here and `--generate man` prints as man pages.
//!
//! | page | about | man page |
//! |---|---|---|
//! | [`operating`] | running a server | pollchat-server(1), behind its flags |
//! | [`client`] | using `pollchat-client` | pollchat-client(1), behind its flags |
//! | [`bombards`] | the game of cannons and its referee | pollchat-bombards(1), behind its flags |
//! | [`protocol`] | what server and clients send each other | pollchat(7) |
//! | [`memory`] | what the limits add up to | (rustdoc alone) |
//!
//! The flags in the man pages and the completions come from the clap types, so they cannot differ from `--help`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Command, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::net::stdio::exit_code_of_print;

mod roff;

pub mod bombards {
    #![doc = include_str!("bombards.md")]
}

pub mod client {
    #![doc = include_str!("client.md")]
}

pub mod memory {
    #![doc = include_str!("memory.md")]
}

pub mod operating {
    #![doc = include_str!("operating.md")]
}

pub mod protocol {
    #![doc = include_str!("protocol.md")]
}

/// Output of `--generate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generate {
    /// The man page of the program, in section 1.
    Man,
    /// The man page of the protocol, pollchat(7).
    ManProtocol,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
}

/// Prints `what` for the program whose flags are `command`. A reader that closes stdout early is no error.
pub fn generate(what: Generate, command: Command) -> ExitCode {
    let program = command.get_name().to_owned();
    let text = text(what, command);
    exit_code_of_print(&program, io::stdout().write_all(&text)).into()
}

fn text(what: Generate, command: Command) -> Vec<u8> {
    match what {
        Generate::Man => program_page(command),
        Generate::ManProtocol => protocol_page(),
        Generate::Bash => completions(Shell::Bash, command),
        Generate::Zsh => completions(Shell::Zsh, command),
        Generate::Fish => completions(Shell::Fish, command),
    }
}

fn completions(shell: Shell, mut command: Command) -> Vec<u8> {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    text
}

fn program_page(command: Command) -> Vec<u8> {
    let (manual, other) = match command.get_name() {
        "pollchat-server" => (include_str!("operating.md"), "pollchat-client"),
        "pollchat-bombards" => (include_str!("bombards.md"), "pollchat-client"),
        _ => (include_str!("client.md"), "pollchat-server"),
    };
    let mut text = title(command.get_name(), 1).into_bytes();
    let page = Man::new(command);
    for render in [Man::render_name_section, Man::render_synopsis_section, Man::render_options_section] {
        render(&page, &mut text).expect("a vector takes everything");
    }
    text.extend(roff::page(manual, "DESCRIPTION").into_bytes());
    text.extend(format!(".SH \"SEE ALSO\"\n.BR {other} (1),\n.BR pollchat (7)\n").into_bytes());
    text
}

fn protocol_page() -> Vec<u8> {
    let name = ".SH NAME\npollchat \\- the protocol of a TCP chat relay\n";
    let sections = roff::page(include_str!("protocol.md"), "DESCRIPTION");
    let see_also = ".SH \"SEE ALSO\"\n.BR pollchat\\-server (1),\n.BR pollchat\\-client (1)\n";
    [&title("pollchat", 7), name, &sections, see_also].concat().into_bytes()
}

/// Not `clap_mangen`'s title, whose empty date makes the version stand in the date's place.
fn title(name: &str, section: u8) -> String {
    format!(".TH {} {section} \"\" \"pollchat {}\" pollchat\n", name.to_uppercase(), env!("CARGO_PKG_VERSION"))
}
