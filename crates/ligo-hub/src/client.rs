//! Downloads and uploads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hf_hub::progress::{DownloadEvent, ProgressEvent, ProgressHandler, UploadEvent};
use hf_hub::repository::{CommitOperation, RepoTreeEntry, RepoTypeAny};
use hf_hub::{HFClient, HFClientSync, HFError, HFRepositorySync};

use crate::{Destination, Error, HubAddress, HubRepo, Missing};

const RETRIES: usize = 3;

/// Called with bytes done and bytes in all, from any thread.
pub type Heard = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// The hub, as the environment says where it is and who asks.
#[derive(Debug, Clone)]
pub struct Client {
    client: HFClientSync,
    endpoint: String,
}

impl Client {
    /// With the server and the token of the environment (`HF_ENDPOINT`, `HF_TOKEN`, the file that `huggingface-cli login` writes). Nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::Failed`] when the endpoint is no URL or the system gives no HTTP client.
    pub fn from_environment() -> Result<Self, Error> {
        let failed = |error: HFError| Error::Failed {
            address: std::env::var("HF_ENDPOINT").unwrap_or_else(|_| "hf://".to_owned()),
            reason: reasons(&error),
        };
        let builder = HFClient::builder()
            .user_agent(concat!("ligo/", env!("CARGO_PKG_VERSION")))
            .retry_max_attempts(RETRIES);
        let client = builder.build().map_err(failed)?;
        Ok(Self {
            endpoint: client.endpoint().to_owned(),
            client: HFClientSync::from_inner(client).map_err(failed)?,
        })
    }

    /// The files of an address with their sizes, sorted.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], [`Error::Failed`].
    pub fn list(&self, address: &HubAddress) -> Result<Vec<(String, u64)>, Error> {
        let files = match self.tree(address, address.folder(), true) {
            // What is meant may be a file, and those are listed by their folder.
            Err(Error::NotFound {
                what: Missing::Path, ..
            }) if !address.path.contains('*') => {
                let folder = address.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                self.tree(address, folder, false)?
            }
            other => other?,
        };
        let mut files: Vec<(String, u64)> = files.into_iter().filter(|(path, _)| address.matches(path)).collect();
        files.sort();
        if files.is_empty() {
            return Err(Error::NotFound {
                address: address.to_string(),
                what: Missing::Path,
            });
        }
        Ok(files)
    }

    fn tree(&self, address: &HubAddress, folder: &str, recursive: bool) -> Result<Vec<(String, u64)>, Error> {
        let repository = self.repository(address);
        let tree = repository
            .list_tree()
            .revision(address.revision.clone())
            .recursive(recursive);
        let folder = Some(folder.to_owned()).filter(|folder| !folder.is_empty());
        let entries = tree.maybe_path_in_repo(folder).send();
        let entries = entries.map_err(|error| self.fault(address, &error))?;
        let files = entries.into_iter().filter_map(|entry| match entry {
            RepoTreeEntry::File { path, size, .. } => Some((path, size)),
            RepoTreeEntry::Directory { .. } => None,
        });
        Ok(files.collect())
    }

    /// The local copy of a file, downloaded unless the cache has this version of it.
    ///
    /// # Errors
    /// As [`Client::list`].
    pub fn get(&self, address: &HubAddress, file: &str, heard: Heard) -> Result<PathBuf, Error> {
        let repository = self.repository(address);
        let download = repository
            .download_file()
            .filename(file)
            .revision(address.revision.clone());
        let download = download.progress(Arc::new(Follower(heard)));
        download.send().map_err(|error| self.fault(address, &error))
    }

    /// Puts files of a folder into a repository by one commit; makes the repository where it is not there. Returns the address of what was made.
    ///
    /// # Errors
    /// [`Error::MayNotWrite`], [`Error::NotSent`].
    pub fn push(&self, folder: &Path, files: &[String], to: &Destination, heard: Heard) -> Result<String, Error> {
        let refused = |error: HFError| self.not_sent(to, &error);
        let made = self.client.create_repository().repo_id(&to.repository);
        made.repo_type(RepoTypeAny::Model)
            .private(to.private)
            .exist_ok(true)
            .send()
            .map_err(refused)?;
        let (owner, name) = to.repository.split_once('/').unwrap_or(("", &to.repository));
        let repository = self.client.repository(RepoTypeAny::Model, owner, name);
        let operations = files
            .iter()
            .map(|file| CommitOperation::add_file(file, folder.join(file)));
        let message = to
            .message
            .clone()
            .unwrap_or_else(|| "Upload a model grown by ligo".to_owned());
        let commit = repository
            .create_commit()
            .operations(operations.collect())
            .commit_message(message)
            .maybe_revision(to.branch.clone())
            .create_pr(to.pull_request)
            .progress(Arc::new(Follower(heard)))
            .send()
            .map_err(refused)?;
        let page = || format!("{}/{}", self.endpoint, to.repository);
        Ok(commit.pr_url.or(commit.commit_url).unwrap_or_else(page))
    }

    fn repository(&self, address: &HubAddress) -> HFRepositorySync<RepoTypeAny> {
        let kind = match address.repo {
            HubRepo::Model => RepoTypeAny::Model,
            HubRepo::Dataset => RepoTypeAny::Dataset,
        };
        self.client.repository(kind, &address.owner, &address.name)
    }

    /// What went wrong, in this crate's words.
    fn fault(&self, address: &HubAddress, error: &HFError) -> Error {
        if let Some(status) = denied(error) {
            return Error::Denied {
                address: address.to_string(),
                status,
                endpoint: self.endpoint.clone(),
            };
        }
        let (context, guess) = match error {
            HFError::Http { context } if context.status.as_u16() == 404 => (Some(context), Missing::Repository),
            HFError::RepoNotFound { context, .. } => (context.as_ref(), Missing::Repository),
            HFError::RevisionNotFound { context, .. } => (context.as_ref(), Missing::Revision),
            HFError::EntryNotFound { context, .. } => (context.as_ref(), Missing::Path),
            _ => {
                return Error::Failed {
                    address: address.to_string(),
                    reason: reasons(error),
                };
            }
        };
        // The hub's own word counts more than what was asked for.
        let code = context.and_then(|context| context.error_code.as_deref());
        let what = match code {
            Some("RepoNotFound") => Missing::Repository,
            Some("RevisionNotFound") => Missing::Revision,
            Some("EntryNotFound") => Missing::Path,
            _ => guess,
        };
        Error::NotFound {
            address: address.to_string(),
            what,
        }
    }

    fn not_sent(&self, to: &Destination, error: &HFError) -> Error {
        let repository = to.repository.clone();
        match denied(error) {
            Some(status) => Error::MayNotWrite {
                repository,
                status,
                endpoint: self.endpoint.clone(),
            },
            None => Error::NotSent {
                repository,
                reason: reasons(error),
            },
        }
    }
}

/// The status with which the hub refuses who asks.
fn denied(error: &HFError) -> Option<u16> {
    match error {
        HFError::AuthRequired { .. } => Some(401),
        HFError::Forbidden { .. } => Some(403),
        HFError::Http { context } => Some(context.status.as_u16()).filter(|status| [401, 403].contains(status)),
        _ => None,
    }
}

struct Follower(Heard);

impl ProgressHandler for Follower {
    fn on_progress(&self, event: &ProgressEvent) {
        let (done, total) = match event {
            ProgressEvent::Download(DownloadEvent::Start { total_bytes, .. }) => (0, *total_bytes),
            ProgressEvent::Download(DownloadEvent::Progress { files }) => match files.last() {
                Some(file) => (file.bytes_completed, file.total_bytes),
                None => return,
            },
            ProgressEvent::Download(DownloadEvent::AggregateProgress {
                bytes_completed,
                total_bytes,
                ..
            })
            | ProgressEvent::Upload(UploadEvent::Progress {
                bytes_completed,
                total_bytes,
                ..
            }) => (*bytes_completed, *total_bytes),
            ProgressEvent::Upload(UploadEvent::Start { total_bytes, .. }) => (0, *total_bytes),
            _ => return,
        };
        (self.0)(done, total);
    }
}

/// An error with everything behind it: that a connection was refused is the last of several.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        source = error.source();
    }
    text
}
