//! `ligo push`: a model onto the Hugging Face hub.

use std::path::{Path, PathBuf};

use ligo_cost::format;
use ligo_experiment::Listener;
use ligo_experiment::hub;
use ligo_hub::{Destination, Hub};
use ligo_pretrained::open_model;

use crate::{Failure, Ui};

/// Arguments of `ligo push`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo push bigger me/bigger --private\n  ligo push runs/demo/methods/ligo/model me/bert-grown --branch trained\n  ligo push bigger me/bigger --dry-run\n\nThe token of HF_TOKEN, or the one that `huggingface-cli login` left, says who you are. The model is read and checked before anything is sent; all files\ngo in one commit."
)]
pub struct PushArgs {
    /// The model's directory.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The repository; made if it is not there.
    #[arg(value_name = "OWNER/NAME")]
    pub repository: String,
    /// Make the repository a private one.
    #[arg(long)]
    pub private: bool,
    /// The branch, main by default.
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// What the commit says.
    #[arg(long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Open a pull request instead of writing to the branch.
    #[arg(long)]
    pub pull_request: bool,
    /// List what would be sent, and send nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Runs the command.
///
/// # Errors
/// The directory is no whole model, or the hub does not take it.
pub fn run(args: &PushArgs, ui: &Ui) -> Result<(), Failure> {
    let repository = named(&args.repository)?;
    // Whoever downloads it should be able to read it.
    open_model(&args.dir)?;
    let mut files = Vec::new();
    list(&args.dir, "", &mut files)?;
    files.sort();
    let total: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    let count = files.len();
    if args.dry_run {
        for (name, bytes) in &files {
            ui.result(&format!("{:>10}  {name}", format::bytes(*bytes as f64)));
        }
        ui.result(&format!(
            "{count} files, {}, would go to {repository}",
            format::bytes(total as f64)
        ));
        return Ok(());
    }
    ui.say(&format!(
        "{count} files, {}, go to {repository}",
        format::bytes(total as f64)
    ));
    let names: Vec<String> = files.into_iter().map(|(name, _)| name).collect();
    let to = Destination {
        repository: repository.to_owned(),
        branch: args.branch.clone(),
        private: args.private,
        message: args.message.clone(),
        pull_request: args.pull_request,
    };
    let url = hub::followed("uploading", ui, |progress| {
        Hub::from_environment().push(&args.dir, &names, &to, progress)
    })?;
    ui.result(&format!("uploaded: {url}"));
    Ok(())
}

/// `OWNER/NAME`, with or without `hf://` before it.
fn named(repository: &str) -> Result<&str, Failure> {
    let name = repository.strip_prefix("hf://").unwrap_or(repository);
    let address = ligo_hub::HubAddress::parse(&format!("hf://{name}"))?;
    let plain = address.is_some_and(|address| format!("{}/{}", address.owner, address.name) == name);
    plain.then_some(name).ok_or_else(|| {
        Failure::other(
            format!("`{repository}` names no repository for a model"),
            "expected OWNER/NAME; --branch says which branch",
        )
    })
}

/// Every file below a folder by its path from there, with its size. What is hidden is somebody's own, or unfinished.
fn list(folder: &Path, prefix: &str, files: &mut Vec<(String, u64)>) -> Result<(), Failure> {
    for entry in std::fs::read_dir(folder).map_err(Failure::io("list", folder))? {
        let path = entry.map_err(Failure::io("list", folder))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let file = std::fs::metadata(&path).map_err(Failure::io("open", &path))?;
        let name = format!("{prefix}{name}");
        if file.is_dir() {
            list(&path, &format!("{name}/"), files)?;
        } else if file.is_file() {
            files.push((name, file.len()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_repository_has_an_owner_and_a_name() {
        assert_eq!(named("me/bigger").unwrap(), "me/bigger");
        assert_eq!(named("hf://me/bigger").unwrap(), "me/bigger");
        for wrong in [
            "bigger",
            "me/bigger@v2",
            "me/bigger/model",
            "datasets/me/x",
            "me/",
            "me/big ger",
        ] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_go_with_their_folders_and_hidden_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["config.json", "1_Pooling/config.json", ".git/HEAD", ".hidden"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "12").unwrap();
        }
        let mut files = Vec::new();
        list(folder.path(), "", &mut files).unwrap();
        files.sort();
        assert_eq!(files, [("1_Pooling/config.json".into(), 2), ("config.json".into(), 2)]);
    }
}
