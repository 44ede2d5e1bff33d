//! Downloads from the hub.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use hf_hub::progress::{DownloadEvent, ProgressEvent, ProgressHandler};
use hf_hub::repository::{RepoTreeEntry, RepoTypeAny};
use hf_hub::{HFClient, HFClientSync, HFError, HFRepositorySync};

use super::{HubAddress, HubRepo, cache};
use crate::{Error, Result, TOKENIZER_FILES, Watch};

/// How often progress is reported and a wish to stop is looked for.
const TICK: Duration = Duration::from_millis(100);
const RETRIES: usize = 3;

// What can be missing.
const REPOSITORY: &str = "repository";
const REVISION: &str = "revision";
const PATH: &str = "path";

/// Where the hub is and how it is asked; what is `None` comes from the environment (`HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_CACHE`, `HF_HOME`).
#[derive(Clone, Default)]
pub struct HubSettings {
    /// The server, such as `https://huggingface.co`.
    pub endpoint: Option<String>,
    /// The access token.
    pub token: Option<String>,
    /// The folder of the cache.
    pub cache: Option<PathBuf>,
    /// Read the cache only.
    pub offline: bool,
}

impl std::fmt::Debug for HubSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is nobody's business.
        f.debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// The hub.
#[derive(Debug, Clone)]
pub struct Hub {
    client: HFClientSync,
    endpoint: String,
    cache: PathBuf,
    offline: bool,
}

impl Hub {
    /// As the environment says: the variables of [`HubSettings`], and `HF_HUB_OFFLINE`, which is on when it is `1`, `true`, `yes` or `on`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn from_environment() -> Result<Self> {
        let offline = std::env::var("HF_HUB_OFFLINE").unwrap_or_default();
        Self::new(HubSettings {
            offline: ["1", "true", "yes", "on"].contains(&offline.to_ascii_lowercase().as_str()),
            ..HubSettings::default()
        })
    }

    /// With these settings. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::HubFailed`] when the endpoint is no URL or the system gives no HTTP client.
    pub fn new(settings: HubSettings) -> Result<Self> {
        let mut builder = HFClient::builder()
            .user_agent(concat!("ligo/", env!("CARGO_PKG_VERSION")))
            .retry_max_attempts(RETRIES);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.endpoint(endpoint);
        }
        if let Some(token) = &settings.token {
            builder = builder.token(token);
        }
        if let Some(cache) = &settings.cache {
            builder = builder.cache_dir(cache);
        }
        let failed = |error: HFError| Error::HubFailed {
            address: settings.endpoint.clone().unwrap_or_else(|| "hf://".to_owned()),
            reason: reasons(&error),
        };
        let client = builder.build().map_err(failed)?;
        Ok(Self {
            endpoint: client.endpoint().to_owned(),
            cache: client.cache_dir().to_path_buf(),
            client: HFClientSync::from_inner(client).map_err(failed)?,
            offline: settings.offline,
        })
    }

    /// The local files that an address means and `keep` wants, in sorted order, downloaded unless they are in the cache. Progress is in bytes.
    ///
    /// # Errors
    /// [`Error::HubNotFound`], [`Error::HubDenied`], [`Error::HubNotCached`], [`Error::HubFailed`], [`Error::Interrupted`].
    pub fn fetch(&self, address: &HubAddress, keep: &dyn Fn(&str) -> bool, watch: Watch<'_>) -> Result<Vec<PathBuf>> {
        if self.offline {
            let found = cache::find(&self.cache, address, keep);
            if found.is_empty() {
                return Err(Error::HubNotCached {
                    address: address.to_string(),
                    cache: self.cache.clone(),
                });
            }
            return Ok(found);
        }
        watch.check()?;
        let repository = self.repository(address);
        if !address.path.is_empty() && !address.path.contains('*') && keep(&address.path) {
            // Most likely a file, which needs no list; a folder is no file of that name.
            match self.download(&repository, address, &address.path, (0, 0), watch) {
                Err(Error::HubNotFound { what: PATH, .. }) => {}
                result => return result.map(|file| vec![file]),
            }
        }
        let files = self.list(&repository, address, keep, watch)?;
        let total = files.iter().map(|(_, bytes)| bytes).sum();
        let (mut local, mut before) = (Vec::with_capacity(files.len()), 0);
        for (file, bytes) in files {
            local.push(self.download(&repository, address, &file, (before, total), watch)?);
            before += bytes;
            watch.report(before, total.max(before));
        }
        Ok(local)
    }

    /// The local folder with the files of the tokenizer that lie right in the folder of an address, and the model's `config.json`, which tells
    /// whose tokenizer it is. To be given to [`crate::Tokenizer::open`].
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn fetch_tokenizer(&self, address: &HubAddress, watch: Watch<'_>) -> Result<PathBuf> {
        let keep = |file: &str| {
            let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
            folder == address.path && (TOKENIZER_FILES.contains(&name) || name == "config.json")
        };
        let files = self.fetch(address, &keep, watch)?;
        let folder = files.first().and_then(|file| file.parent());
        folder.map(PathBuf::from).ok_or_else(|| Error::HubNotFound {
            address: address.to_string(),
            what: "tokenizer",
        })
    }

    fn repository(&self, address: &HubAddress) -> HFRepositorySync<RepoTypeAny> {
        let kind = match address.repo {
            HubRepo::Model => RepoTypeAny::Model,
            HubRepo::Dataset => RepoTypeAny::Dataset,
        };
        self.client.repository(kind, &address.owner, &address.name)
    }

    /// Files of the repository with their sizes.
    fn list(
        &self,
        repository: &HFRepositorySync<RepoTypeAny>,
        address: &HubAddress,
        keep: &dyn Fn(&str) -> bool,
        watch: Watch<'_>,
    ) -> Result<Vec<(String, u64)>> {
        let (repository, revision) = (repository.clone(), address.revision.clone());
        let folder = Some(address.folder().to_owned()).filter(|folder| !folder.is_empty());
        let entries = waiting(
            watch,
            || {},
            move || {
                let tree = repository.list_tree().revision(revision).recursive(true);
                tree.maybe_path_in_repo(folder).send()
            },
        )?
        .map_err(|error| self.fault(address, &error))?;
        let mut files: Vec<(String, u64)> = entries
            .into_iter()
            .filter_map(|entry| match entry {
                RepoTreeEntry::File { path, size, .. } => Some((path, size)),
                RepoTreeEntry::Directory { .. } => None,
            })
            .filter(|(path, _)| address.matches(path) && keep(path))
            .collect();
        files.sort();
        if files.is_empty() {
            return Err(Error::HubNotFound {
                address: address.to_string(),
                what: "file of the kind wanted",
            });
        }
        Ok(files)
    }

    fn download(
        &self,
        repository: &HFRepositorySync<RepoTypeAny>,
        address: &HubAddress,
        file: &str,
        (before, total): (u64, u64),
        watch: Watch<'_>,
    ) -> Result<PathBuf> {
        let counter = Arc::new(Counter::default());
        let (repository, revision, file) = (repository.clone(), address.revision.clone(), file.to_owned());
        let seen = Arc::clone(&counter);
        let report = || {
            let of = total.max(before + counter.total.load(Ordering::Relaxed));
            watch.report((before + counter.done.load(Ordering::Relaxed)).min(of), of);
        };
        waiting(watch, report, move || {
            let download = repository.download_file().filename(file).revision(revision);
            download.progress(seen).send()
        })?
        .map_err(|error| self.fault(address, &error))
    }

    /// What went wrong, in this crate's words.
    fn fault(&self, address: &HubAddress, error: &HFError) -> Error {
        let denied = |status| Error::HubDenied {
            address: address.to_string(),
            status,
            endpoint: self.endpoint.clone(),
        };
        let (context, guess) = match error {
            HFError::AuthRequired { .. } => return denied(401),
            HFError::Forbidden { .. } => return denied(403),
            HFError::Http { context } => match context.status.as_u16() {
                status @ (401 | 403) => return denied(status),
                404 => (Some(context), REPOSITORY),
                _ => return self.failed(address, error),
            },
            HFError::RepoNotFound { context, .. } => (context.as_ref(), REPOSITORY),
            HFError::RevisionNotFound { context, .. } => (context.as_ref(), REVISION),
            HFError::EntryNotFound { context, .. } => (context.as_ref(), PATH),
            _ => return self.failed(address, error),
        };
        // The hub's own word counts more than what was asked for.
        let code = context.and_then(|context| context.error_code.as_deref());
        let what = match code {
            Some("RepoNotFound") => REPOSITORY,
            Some("RevisionNotFound") => REVISION,
            Some("EntryNotFound") => PATH,
            _ => guess,
        };
        Error::HubNotFound {
            address: address.to_string(),
            what,
        }
    }

    fn failed(&self, address: &HubAddress, error: &HFError) -> Error {
        Error::HubFailed {
            address: address.to_string(),
            reason: reasons(error),
        }
    }
}

/// Bytes of the file that is being downloaded.
#[derive(Default)]
struct Counter {
    done: AtomicU64,
    total: AtomicU64,
}

impl ProgressHandler for Counter {
    fn on_progress(&self, event: &ProgressEvent) {
        let ProgressEvent::Download(event) = event else { return };
        let (done, total) = match event {
            DownloadEvent::Start { total_bytes, .. } => (0, *total_bytes),
            DownloadEvent::Progress { files } => match files.last() {
                Some(file) => (file.bytes_completed, file.total_bytes),
                None => return,
            },
            DownloadEvent::AggregateProgress {
                bytes_completed,
                total_bytes,
                ..
            } => (*bytes_completed, *total_bytes),
            _ => return,
        };
        self.done.fetch_max(done, Ordering::Relaxed);
        self.total.fetch_max(total, Ordering::Relaxed);
    }
}

/// Runs `work` on another thread and calls `report` on this one until it is done. When the caller wants to stop, the thread is left behind: what it
/// still downloads goes to the cache, and the process usually ends.
fn waiting<T: Send + 'static>(
    watch: Watch<'_>,
    report: impl Fn(),
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = channel();
    // Nobody listens any more after an interruption.
    std::thread::spawn(move || drop(sender.send(work())));
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => {
                watch.check()?;
                report();
            }
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Interrupted),
        }
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
