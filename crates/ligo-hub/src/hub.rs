use std::path::{Path, PathBuf};

use crate::helper::Helper;
use crate::message::Message;
use crate::{Error, HubAddress, cache, model_files};

/// Called with bytes done and bytes in all; `false` to stop.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// The hub, seen from a program without a network stack: what is cached it finds itself, everything else the program `ligo-hub` does.
#[derive(Clone, Debug)]
pub struct Hub {
    /// The folder of the cache.
    pub cache: PathBuf,
    /// Read the cache only.
    pub offline: bool,
    /// The program that talks to the hub.
    pub helper: Option<Helper>,
}

/// Files of an address, on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where they are, sorted by their paths in the repository.
    pub files: Vec<PathBuf>,
    /// Why the hub was not asked whether there are newer ones, where it was not.
    pub not_asked: Option<String>,
}

impl Fetched {
    /// The folder of the first file, which is that of all where `choose` took them from one.
    fn folder(&self) -> PathBuf {
        let folder = self.files.first().and_then(|file| file.parent());
        folder.unwrap_or(Path::new(".")).to_path_buf()
    }
}

/// Where files are sent to.
#[derive(Clone, Debug, Default)]
pub struct Destination {
    /// `OWNER/NAME`; made if it is not there.
    pub repository: String,
    /// The branch, `main` by default.
    pub branch: Option<String>,
    /// Whether a repository that is made is private.
    pub private: bool,
    /// What the commit says.
    pub message: Option<String>,
    /// Open a pull request instead of writing to the branch.
    pub pull_request: bool,
}

impl Hub {
    /// As the environment says it (`HF_HUB_CACHE`, `HF_HOME`, `HF_HUB_OFFLINE`), with the program that lies beside this one or in `PATH`.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let offline = variable("HF_HUB_OFFLINE").unwrap_or_default();
        Self {
            cache: cache::folder(variable),
            offline: ["1", "true", "yes", "on"].contains(&offline.to_ascii_lowercase().as_str()),
            helper: Helper::find(),
        }
    }

    /// The local files of an address, downloaded unless they are cached.
    ///
    /// `choose` picks from the paths in the repository; nothing where what is `wanted` is not among them. Where the hub cannot be asked and the cache holds it, that is taken.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn fetch(
        &self,
        address: &HubAddress,
        wanted: &str,
        choose: &dyn Fn(&[String]) -> Vec<String>,
        progress: Progress<'_>,
    ) -> Result<Fetched, Error> {
        let from_cache = || {
            let (names, paths): (Vec<_>, Vec<_>) = cache::files(&self.cache, address).into_iter().unzip();
            let chosen = choose(&names);
            let files = names.iter().zip(paths).filter(|(name, _)| chosen.contains(name));
            let files: Vec<PathBuf> = files.map(|(_, path)| path).collect();
            files.iter().try_for_each(|file| cache::check_there(address, file))?;
            Ok(files)
        };
        let cached = |not_asked: String, error: Error| match from_cache()? {
            files if files.is_empty() => Err(error),
            files => Ok(Fetched {
                files,
                not_asked: Some(not_asked),
            }),
        };
        if self.offline {
            let missing = Error::NotCached {
                address: address.to_string(),
                cache: self.cache.clone(),
            };
            return cached("HF_HUB_OFFLINE is set".into(), missing);
        }
        let Some(helper) = &self.helper else {
            let missing = Error::NoHelper {
                wanted: address.to_string(),
            };
            return cached("the program ligo-hub is not there".into(), missing);
        };
        match download(helper, address, wanted, choose, progress) {
            Ok(files) => Ok(Fetched { files, not_asked: None }),
            // As Python's library does: who is not connected works with what is there.
            Err(error @ Error::Failed { .. }) => cached(error.to_string(), error),
            Err(error) => Err(error),
        }
    }

    /// The folder of a model: its weights, configuration and tokenizer, see [`model_files`].
    ///
    /// # Errors
    /// As [`Hub::fetch`].
    pub fn model(&self, address: &HubAddress, progress: Progress<'_>) -> Result<(PathBuf, Option<String>), Error> {
        let choose = |names: &[String]| model_files(names, &address.path);
        let wanted = "model (config.json with safetensors or pytorch_model.bin)";
        let fetched = self.fetch(address, wanted, &choose, progress)?;
        Ok((fetched.folder(), fetched.not_asked))
    }

    /// The folder with those of the named files that lie right in the folder of an address.
    ///
    /// # Errors
    /// As [`Hub::fetch`].
    pub fn named(
        &self,
        address: &HubAddress,
        wanted: &str,
        names: &[&str],
        progress: Progress<'_>,
    ) -> Result<(PathBuf, Option<String>), Error> {
        let choose = |all: &[String]| {
            let wanted = |name: &&String| {
                let (folder, name) = name.rsplit_once('/').unwrap_or(("", name));
                folder == address.path && names.contains(&name)
            };
            all.iter().filter(wanted).cloned().collect()
        };
        let fetched = self.fetch(address, wanted, &choose, progress)?;
        Ok((fetched.folder(), fetched.not_asked))
    }

    /// Sends files of a folder, by their paths in it, in one commit. Returns where they can be looked at.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn push(
        &self,
        folder: &Path,
        files: &[String],
        to: &Destination,
        progress: Progress<'_>,
    ) -> Result<String, Error> {
        let repository = || to.repository.clone();
        if self.offline {
            return Err(Error::Offline {
                repository: repository(),
            });
        }
        let helper = self
            .helper
            .as_ref()
            .ok_or_else(|| Error::NoHelper { wanted: repository() })?;
        let mut url = None;
        helper.run(&to.arguments(folder), files, &mut |message| match message {
            Some(Message::Sent { url: sent }) => {
                url = Some(sent);
                true
            }
            Some(Message::Progress { done, total }) => progress(done, total),
            _ => progress(0, 0),
        })?;
        url.ok_or_else(|| helper.silent())
    }
}

impl Destination {
    fn arguments(&self, folder: &Path) -> Vec<std::ffi::OsString> {
        let mut arguments = vec!["push".into(), folder.into(), self.repository.clone().into()];
        let values = [("--branch", &self.branch), ("--message", &self.message)];
        for (name, value) in values {
            if let Some(value) = value {
                arguments.push(format!("{name}={value}").into());
            }
        }
        let flags = [("--private", self.private), ("--pull-request", self.pull_request)];
        arguments.extend(flags.iter().filter(|(_, set)| *set).map(|(name, _)| name.into()));
        arguments
    }
}

fn download(
    helper: &Helper,
    address: &HubAddress,
    wanted: &str,
    choose: &dyn Fn(&[String]) -> Vec<String>,
    progress: Progress<'_>,
) -> Result<Vec<PathBuf>, Error> {
    let text = address.to_string();
    let mut listed = Vec::new();
    helper.run(&["list".into(), text.clone().into()], &[], &mut |message| {
        if let Some(Message::Listed { path, bytes }) = message {
            listed.push((path, bytes));
        }
        progress(0, 0)
    })?;
    listed.retain(|(path, _)| address.matches(path));
    listed.sort();
    let names: Vec<String> = listed.iter().map(|(path, _)| path.clone()).collect();
    let chosen = choose(&names);
    if chosen.is_empty() {
        let more = if names.len() > 8 { ", …" } else { "" };
        return Err(Error::NothingWanted {
            address: text,
            wanted: wanted.to_owned(),
            found: format!("{}{more}", names[..names.len().min(8)].join(", ")),
        });
    }
    let total = listed.iter().filter(|(path, _)| chosen.contains(path));
    let total: u64 = total.map(|(_, bytes)| bytes).sum();
    let (mut files, mut before) = (Vec::new(), 0);
    helper.run(&["get".into(), text.into()], &chosen, &mut |message| match message {
        Some(Message::Local { path }) => {
            let name = chosen.get(files.len());
            before += listed
                .iter()
                .find(|(path, _)| Some(path) == name)
                .map_or(0, |(_, bytes)| *bytes);
            files.push(path);
            progress(before, total)
        }
        Some(Message::Progress { done, .. }) => progress((before + done).min(total), total),
        _ => progress(before, total),
    })?;
    if files.len() < chosen.len() {
        return Err(helper.silent());
    }
    Ok(files)
}
