//! The list of a directory's files with their sizes and hashes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::links::is_inside;
use crate::names::{CARD_FILE, MANIFEST_FILE, is_plain_file_name, printable};
use crate::parallel::in_parallel;
use crate::strict::{JsonFile, read_json_bytes};

/// The format version this crate writes and accepts.
pub const MANIFEST_VERSION: u64 = 1;

const FORMAT: &str = "ligo-manifest";
const READ_BLOCK: u64 = 1 << 18;

/// All files of a complete directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    version: u64,
    files: BTreeMap<String, FileEntry>,
}

/// One file of a [`Manifest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content, lower-case hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Reads a directory's manifest; checks the manifest itself, not the files.
    ///
    /// # Errors
    ///
    /// [`Error::NoManifest`], [`Error::ManifestVersion`], [`Error::BadManifest`].
    pub fn read(dir: impl AsRef<Path>) -> Result<Self, Error> {
        let dir = dir.as_ref();
        let path = dir.join(MANIFEST_FILE);
        // A damaged path component counts as absent too, for example when `dir` is a file.
        if !path.exists() {
            return Err(Error::NoManifest {
                path: dir.to_path_buf(),
            });
        }
        let bytes = read_json_bytes(&path, JsonFile::Manifest)?;
        let bad = |message: String| Error::BadManifest {
            path: path.clone(),
            message,
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        // The version comes first: another version may have other fields.
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(MANIFEST_VERSION) => {}
            Some(found) => {
                return Err(Error::ManifestVersion {
                    path,
                    expected: MANIFEST_VERSION,
                    found,
                });
            }
            None => return Err(bad("expected a number `version`, found none".to_string())),
        }
        let manifest: Manifest = serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(bad(format!(
                "expected format `{FORMAT}`, found `{}`",
                printable(&manifest.format)
            )));
        }
        if let Some(name) = manifest.files.keys().find(|name| !is_relative_inside(name)) {
            return Err(bad(format!("`{}` is not a path inside this folder", printable(name))));
        }
        // Compared with what would be written, so that no byte of the manifest can change unnoticed.
        if manifest.to_json().as_bytes() != bytes {
            return Err(bad("not in the form in which it was written".to_string()));
        }
        Ok(manifest)
    }

    /// Lists and hashes the files that are in a directory now, but for the model card, which people edit and which grows with what is measured; of those that
    /// are known only the size is looked at.
    pub(crate) fn of(dir: &Path, known: &BTreeMap<String, FileEntry>) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        for (name, path) in list(dir)?.into_iter().filter(|(name, _)| name != CARD_FILE) {
            let known = known.get(&name).filter(|entry| check_size(&path, entry).is_ok());
            let entry = match known {
                Some(entry) => entry.clone(),
                None => FileEntry::of(&path)?,
            };
            files.insert(name, entry);
        }
        Ok(Self {
            format: FORMAT.to_string(),
            version: MANIFEST_VERSION,
            files,
        })
    }

    /// The files, by path relative to the directory with `/` between components.
    pub fn files(&self) -> &BTreeMap<String, FileEntry> {
        &self.files
    }

    /// Bytes of all files together.
    pub fn total_bytes(&self) -> u64 {
        self.files
            .values()
            .map(|entry| entry.bytes)
            .fold(0, u64::saturating_add)
    }

    pub(crate) fn to_json(&self) -> String {
        // Maps with string keys and numbers always serialize.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Checks a directory against its manifest: every file there, none extra but a model card, every size and hash right.
///
/// Reads every byte.
///
/// # Errors
///
/// The errors of [`Manifest::read`]; [`Error::FileMissing`], [`Error::FileExtra`], [`Error::FileSize`],
/// [`Error::FileHash`]; [`Error::NotAFile`] for links and devices; [`Error::Io`] when a file cannot be read.
pub fn verify(dir: impl AsRef<Path>) -> Result<(), Error> {
    let dir = dir.as_ref();
    let manifest = Manifest::read(dir)?;
    let mut found = list(dir)?;
    // Everything cheap first: names, sizes, then content.
    found.remove(CARD_FILE);
    let listed: Vec<_> = manifest.files.iter().filter(|(name, _)| *name != CARD_FILE).collect();
    for (name, entry) in &listed {
        let path = dir.join(name);
        let path = found.remove(*name).ok_or(Error::FileMissing { path })?;
        check_size(&path, entry)?;
    }
    if let Some(path) = found.into_values().next() {
        return Err(Error::FileExtra { path });
    }
    check_hashes(dir, listed)
}

/// Checks files, as many at a time as there are cores; tells of the first one that is damaged.
fn check_hashes(dir: &Path, files: Vec<(&String, &FileEntry)>) -> Result<(), Error> {
    let checked = in_parallel(files, |(name, entry)| check_hash(&dir.join(name), entry));
    checked.into_iter().collect()
}

/// Checks what a model directory's manifest lists, but for the model card: people edit cards and add files, and a damaged weight, size or
/// tokenizer is what no one would notice.
///
/// # Errors
///
/// The errors of [`Manifest::read`]; [`Error::FileMissing`], [`Error::FileSize`], [`Error::FileHash`]; [`Error::Io`].
pub fn verify_model(dir: impl AsRef<Path>) -> Result<(), Error> {
    let dir = dir.as_ref();
    let manifest = Manifest::read(dir)?;
    let deciding = || manifest.files.iter().filter(|(name, _)| *name != CARD_FILE);
    for (name, entry) in deciding() {
        let path = dir.join(name);
        if !path.exists() {
            return Err(Error::FileMissing { path });
        }
        check_size(&path, entry)?;
    }
    check_hashes(dir, deciding().collect())
}

/// A hash over names and hashes of some files of a directory; those that its manifest lists are not read.
pub(crate) fn fingerprint<'a>(dir: &Path, files: impl Iterator<Item = &'a Path>) -> Result<String, Error> {
    let listed = match Manifest::read(dir) {
        Ok(manifest) => manifest.files,
        Err(Error::NoManifest { .. }) => BTreeMap::new(),
        Err(error) => return Err(error),
    };
    let hashed = in_parallel(files.collect(), |path: &Path| {
        // As a manifest lists it, on any system.
        let inside = path.strip_prefix(dir).unwrap_or(path).components();
        let parts: Vec<_> = inside.map(|part| part.as_os_str().to_string_lossy()).collect();
        let name = parts.join("/");
        let sha256 = match listed.get(&name) {
            Some(entry) => entry.sha256.clone(),
            None => FileEntry::of(path)?.sha256,
        };
        Ok(format!("{}:{name}:{sha256};", name.len()))
    });
    let mut hasher = Sha256::new();
    for line in hashed {
        hasher.update(line?);
    }
    Ok(hexadecimal(&hasher.finalize()))
}

impl FileEntry {
    /// Size and hash of a file as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn of(path: &Path) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let size = file.metadata().map_err(Error::io("open", path))?.len();
        let mut block = vec![0; size.clamp(1, READ_BLOCK) as usize];
        let mut hasher = FileHasher::default();
        loop {
            match file.read(&mut block).map_err(Error::io("read", path))? {
                0 => return Ok(hasher.finish()),
                read => hasher.update(&block[..read]),
            }
        }
    }

    /// Whether a file is the one that was hashed.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        check_size(path, self).and_then(|()| check_hash(path, self)).is_ok()
    }
}

fn check_size(path: &Path, entry: &FileEntry) -> Result<(), Error> {
    let found = std::fs::metadata(path).map_err(Error::io("open", path))?.len();
    if found == entry.bytes {
        return Ok(());
    }
    Err(Error::FileSize {
        path: path.to_path_buf(),
        expected: entry.bytes,
        found,
    })
}

fn check_hash(path: &Path, entry: &FileEntry) -> Result<(), Error> {
    let found = FileEntry::of(path)?.sha256;
    if found == entry.sha256 {
        return Ok(());
    }
    Err(Error::FileHash {
        path: path.to_path_buf(),
        expected: entry.sha256.clone(),
        found,
    })
}

/// All regular files below `dir` except its manifest.
pub(crate) fn list(dir: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut files = BTreeMap::new();
    let mut folders = vec![(String::new(), dir.to_path_buf())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
            let entry = entry.map_err(Error::io("list", &folder))?;
            let path = entry.path();
            let file_name = entry.file_name();
            let Some(name) = file_name.to_str().filter(|name| is_plain_file_name(name)) else {
                let name = printable(&file_name.to_string_lossy());
                return Err(Error::FileName { path: folder, name });
            };
            let kind = entry.file_type().map_err(Error::io("open", &path))?;
            // Snapshots of the hub's cache are made of links to what is theirs.
            let is_own_link = kind.is_symlink() && path.is_file() && is_inside(dir, &path)?;
            if kind.is_dir() {
                folders.push((format!("{prefix}{name}/"), path));
            } else if !kind.is_file() && !is_own_link {
                return Err(Error::NotAFile { path });
            } else if !(prefix.is_empty() && name == MANIFEST_FILE) {
                files.insert(format!("{prefix}{name}"), path);
            }
        }
    }
    Ok(files)
}

fn is_relative_inside(name: &str) -> bool {
    name != MANIFEST_FILE && name.split('/').all(is_plain_file_name)
}

/// Takes the hash of a file while it is written, in its order.
#[derive(Debug, Clone, Default)]
pub struct FileHasher {
    hasher: Sha256,
    bytes: u64,
}

impl FileHasher {
    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// What the file holds.
    #[must_use]
    pub fn finish(self) -> FileEntry {
        FileEntry {
            bytes: self.bytes,
            sha256: hexadecimal(&self.hasher.finalize()),
        }
    }
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
