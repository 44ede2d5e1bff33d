//! Numbered checkpoints: `step-100`, `step-200`, …

use std::path::{Path, PathBuf};

use crate::commit::TRASH;
use crate::{Disk, Error, verify};

/// One numbered directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The number after the prefix.
    pub number: u64,
    /// The directory.
    pub path: PathBuf,
}

/// A checkpoint that was passed over.
#[derive(Debug)]
pub struct Rejected {
    /// The checkpoint.
    pub step: Step,
    /// Why it cannot be used.
    pub error: Error,
}

/// The outcome of [`latest_valid`].
#[derive(Debug)]
pub struct Latest {
    /// The newest checkpoint that verifies.
    pub step: Option<Step>,
    /// Newer ones that do not, newest first, with the reason.
    pub rejected: Vec<Rejected>,
}

/// The newest valid checkpoint among `folder/PREFIX<number>`.
///
/// Every candidate is verified byte by byte, from the newest down to the first that holds. Run
/// [`recover_all`](crate::recover_all) on the folder first. A folder that does not exist has no checkpoints.
///
/// # Errors
///
/// [`Error::Io`] when the folder cannot be listed. A bad checkpoint is not an error: it is in [`Latest::rejected`].
pub fn latest_valid(folder: impl AsRef<Path>, prefix: &str) -> Result<Latest, Error> {
    let mut rejected = Vec::new();
    for step in steps(folder.as_ref(), prefix)? {
        match verify(&step.path) {
            Ok(()) => {
                return Ok(Latest {
                    step: Some(step),
                    rejected,
                });
            }
            Err(error) => rejected.push(Rejected { step, error }),
        }
    }
    Ok(Latest { step: None, rejected })
}

/// Removes all but the `keep` newest checkpoints, without looking into them; returns those removed.
///
/// Meant to follow a successful commit, whose checkpoint is then the newest. At least one is always kept.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Write`].
pub fn prune(disk: &Disk, folder: impl AsRef<Path>, prefix: &str, keep: usize) -> Result<Vec<Step>, Error> {
    let folder = folder.as_ref();
    let superfluous: Vec<Step> = steps(folder, prefix)?.into_iter().skip(keep.max(1)).collect();
    for Step { number, path } in &superfluous {
        // Renamed first, so that a crash does not leave a half-deleted checkpoint under a valid name.
        let trash = folder.join(format!(".{prefix}{number}.{TRASH}"));
        if trash.symlink_metadata().is_ok() {
            disk.remove_tree(&trash)?;
        }
        disk.rename(path, &trash)?;
        disk.remove_tree(&trash)?;
    }
    Ok(superfluous)
}

/// The numbered directories, newest first.
fn steps(folder: &Path, prefix: &str) -> Result<Vec<Step>, Error> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut steps = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let name = entry.file_name();
        let digits = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix))
            .unwrap_or_default();
        if digits.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(number) = digits.parse()
        {
            steps.push(Step {
                number,
                path: entry.path(),
            });
        }
    }
    steps.sort_by(|a, b| b.number.cmp(&a.number).then_with(|| a.path.cmp(&b.path)));
    Ok(steps)
}
