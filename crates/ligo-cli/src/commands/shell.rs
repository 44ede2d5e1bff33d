//! `ligo completions` and `ligo man`: what a shell and `man` need to know of the program.

use std::io::Write;
use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

use crate::Failure;

/// Arguments of `ligo completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo completions bash > ~/.local/share/bash-completion/completions/ligo\n  ligo completions zsh > ~/.zfunc/_ligo\n  ligo completions fish > ~/.config/fish/completions/ligo.fish"
)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

/// Arguments of `ligo man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ligo man --out ~/.local/share/man/man1 && man ligo-grow")]
pub struct ManArgs {
    /// The folder that the pages are written to, one for each command.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Prints the completions.
///
/// # Errors
/// Standard output is closed.
pub fn completions(args: &CompletionsArgs, mut program: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "ligo", &mut script);
    let mut out = std::io::stdout().lock();
    out.write_all(&script)
        .and_then(|()| out.flush())
        .map_err(Failure::io("write", "standard output".as_ref()))
}

/// Writes the pages of the program and its commands.
///
/// # Errors
/// The folder cannot be written.
pub fn man(args: &ManArgs, program: Command) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.out).map_err(Failure::io("create", &args.out))?;
    clap_mangen::generate_to(program, &args.out).map_err(Failure::io("write to", &args.out))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_command_that_people_see_has_a_page_and_is_completed() {
        let program = crate::args::command();
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_path_buf();
        man(&ManArgs { out: out.clone() }, program.clone()).unwrap();
        let mut script = Vec::new();
        clap_complete::generate(Shell::Bash, &mut program.clone(), "ligo", &mut script);
        let script = String::from_utf8(script).unwrap();
        for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
            let page = out.join(format!("ligo-{}.1", command.get_name()));
            assert!(page.is_file(), "{} is missing", page.display());
            assert!(script.contains(command.get_name()), "{}", command.get_name());
        }
        assert!(!out.join("ligo-__job.1").exists(), "a hidden command has a page");
    }
}
