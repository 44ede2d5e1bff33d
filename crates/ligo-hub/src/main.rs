//! `ligo-hub`: talks to the Hugging Face hub for `ligo`, one JSON object a line. It is started by `ligo`; people can use it too.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use ligo_hub::client::{Client, Heard};
use ligo_hub::message::Message;
use ligo_hub::{Destination, Error, HubAddress};

/// Downloads from and uploads to the Hugging Face hub, for `ligo`: a JSON object a line on standard output.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "HF_TOKEN opens private and gated repositories, HF_ENDPOINT names another server, HF_HUB_CACHE or HF_HOME the folder of the cache.\n\nExamples:\n  ligo-hub list hf://Qwen/Qwen3-0.6B\n  echo config.json | ligo-hub get hf://Qwen/Qwen3-0.6B\n  (cd bigger; ls) | ligo-hub push bigger me/bigger --private"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The files of an address, with their sizes.
    List {
        /// hf://OWNER/NAME[@REVISION][/PATH], or hf://datasets/…
        address: String,
    },
    /// Download files, whose paths in the repository are read from standard input, unless they are cached.
    Get {
        /// hf://OWNER/NAME[@REVISION], or hf://datasets/…
        address: String,
    },
    /// Upload files, whose paths in the folder are read from standard input, in one commit.
    Push {
        /// The folder.
        folder: PathBuf,
        /// OWNER/NAME; made if it is not there.
        repository: String,
        /// The branch.
        #[arg(long)]
        branch: Option<String>,
        /// What the commit says.
        #[arg(long)]
        message: Option<String>,
        /// Make the repository a private one.
        #[arg(long)]
        private: bool,
        /// Open a pull request.
        #[arg(long)]
        pull_request: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&Message::Failed { error });
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    let client = Client::from_environment()?;
    match command {
        Command::List { address } => {
            for (path, bytes) in client.list(&understood(&address)?)? {
                say(&Message::Listed { path, bytes });
            }
        }
        Command::Get { address } => {
            let address = understood(&address)?;
            for file in lines() {
                let path = client.get(&address, &file, heard())?;
                say(&Message::Local { path });
            }
        }
        Command::Push {
            folder,
            repository,
            branch,
            message,
            private,
            pull_request,
        } => {
            let files: Vec<String> = lines().collect();
            let to = Destination {
                repository,
                branch,
                private,
                message,
                pull_request,
            };
            let url = client.push(&folder, &files, &to, heard())?;
            say(&Message::Sent { url });
        }
    }
    Ok(())
}

fn understood(address: &str) -> Result<HubAddress, Error> {
    HubAddress::parse(address)?.ok_or_else(|| Error::BadAddress {
        address: address.to_owned(),
        expected: "hf://OWNER/NAME or hf://datasets/OWNER/NAME, then a path".into(),
    })
}

fn lines() -> impl Iterator<Item = String> {
    let lines = std::io::stdin().lock().lines().map_while(Result::ok);
    lines.filter(|line| !line.is_empty())
}

fn heard() -> Heard {
    Arc::new(|done, total| say(&Message::Progress { done, total }))
}

/// Who does not listen any more has ended, or wants this to end.
fn say(message: &Message) {
    let Ok(line) = serde_json::to_string(message) else {
        return;
    };
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        std::process::exit(1);
    }
}
