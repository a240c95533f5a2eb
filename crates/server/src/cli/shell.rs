//! `stepwright completions` and `stepwright man`: what shells and manuals know of the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Failure, command, print};

pub(super) const COMPLETIONS_HELP: &str = "\
Examples:
  stepwright completions bash > /etc/bash_completion.d/stepwright
  stepwright completions zsh > ~/.zfunc/_stepwright
  stepwright completions fish > ~/.config/fish/completions/stepwright.fish";

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write a page for the command and one for each verb into this folder instead
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "stepwright", &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(())
}

pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    if let Some(folder) = &args.output {
        return std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(command(), folder))
            .map_err(|error| Failure::Failed(format!("the pages cannot be written to {}: {error}", folder.display())));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command())
        .render(&mut page)
        .map_err(|error| Failure::Failed(format!("the page cannot be written: {error}")))?;
    print(&String::from_utf8_lossy(&page));
    Ok(())
}
