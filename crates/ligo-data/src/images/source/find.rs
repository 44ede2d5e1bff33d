//! What a path holds.

use std::fs;
use std::path::{Path, PathBuf};

use super::entries::{Entry, entries_of};
use super::image_source::ImageSource;
use super::layout::{ImageFormat, Labels, SourceFile};
use super::split::ImagePart;
use super::{folder, idx, parquet, records};
use crate::role::Role;
use crate::{Error, Result};

pub(super) fn find(path: &Path) -> Result<ImageSource> {
    let metadata = fs::metadata(path).map_err(Error::io("open", path))?;
    let (folder, entries) = if metadata.is_dir() {
        (path.to_path_buf(), entries_of(path)?)
    } else {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let entry = Entry {
            name: name.unwrap_or_default(),
            path: path.to_path_buf(),
            is_folder: false,
            bytes: metadata.len(),
        };
        (folder, vec![entry])
    };
    let has = |kind: fn(&str) -> bool| entries.iter().any(|entry| !entry.is_folder && kind(&entry.name));
    if has(idx::is_images) {
        return from_files(path, &folder, entries, ImageFormat::Idx);
    }
    if has(records::is_records) {
        let format = records::format(&folder);
        return from_files(path, &folder, entries, format);
    }
    if has(parquet::is_parquet) {
        return from_files(path, &folder, entries, ImageFormat::Parquet);
    }
    if !metadata.is_dir() {
        return Err(unknown(path, "a file of another kind"));
    }
    // The hub's usual layout.
    if let Some(data) = entries.iter().find(|entry| entry.is_folder && entry.name == "data") {
        let inside = entries_of(&data.path)?;
        if inside
            .iter()
            .any(|entry| !entry.is_folder && parquet::is_parquet(&entry.name))
        {
            return from_files(path, &data.path, inside, ImageFormat::Parquet);
        }
    }
    from_folders(path, entries)
}

fn unknown(path: &Path, found: &str) -> Error {
    Error::UnknownImageSource {
        path: path.to_path_buf(),
        found: found.to_owned(),
    }
}

/// CIFAR, IDX or parquet files.
fn from_files(path: &Path, folder: &Path, entries: Vec<Entry>, format: ImageFormat) -> Result<ImageSource> {
    let (mut files, mut passed_over) = (Vec::new(), Vec::new());
    for entry in entries.into_iter().filter(|entry| !entry.is_folder) {
        let (mut bytes, labels) = (entry.bytes, idx::labels_beside(&entry.path));
        let labels = match (format, labels) {
            (ImageFormat::Idx, Some(labels)) => {
                bytes += fs::metadata(&labels).map_err(Error::io("open", &labels))?.len();
                Labels::Beside(labels)
            }
            (ImageFormat::Cifar10 | ImageFormat::Cifar100, _) if records::is_records(&entry.name) => Labels::Inside,
            (ImageFormat::Parquet, _) if parquet::is_parquet(&entry.name) => Labels::Inside,
            _ => {
                let known = idx::is_labels(&entry.name) || records::NAME_FILES.contains(&entry.name.as_str());
                if !known {
                    passed_over.push(entry.path);
                }
                continue;
            }
        };
        files.push(SourceFile {
            role: Role::of(&entry.name),
            path: entry.path,
            name: entry.name,
            bytes,
            labels,
        });
    }
    let names = records::class_names(folder)?;
    let class_names = match names {
        Some(names) => names,
        None if format == ImageFormat::Parquet => parquet::class_names(files.iter().map(|file| file.path.as_path()))?,
        None => {
            let mut highest = 0;
            for file in &files {
                let found = match &file.labels {
                    Labels::Beside(labels) => idx::highest_label(labels)?,
                    _ => records::highest_label(&file.path, format.label_bytes())?,
                };
                highest = highest.max(found);
            }
            (0..=highest).map(|label| label.to_string()).collect()
        }
    };
    finish(path, format, files, passed_over, class_names)
}

/// Class folders, directly or below folders for train and valid.
fn from_folders(path: &Path, entries: Vec<Entry>) -> Result<ImageSource> {
    let mut passed_over = Vec::new();
    let mut parts = Vec::new();
    for entry in entries {
        if entry.is_folder {
            let role = Role::of(&entry.name);
            let has_folders = role != Role::Unknown && entries_of(&entry.path)?.iter().any(|inner| inner.is_folder);
            parts.push((entry, if has_folders { role } else { Role::Unknown }));
        } else {
            passed_over.push(entry.path);
        }
    }
    let divided = parts.iter().any(|(_, role)| *role == Role::Train);
    // (part, class) folders; the part is empty where there is none.
    let mut classes: Vec<(Role, String, Entry)> = Vec::new();
    for (entry, role) in parts {
        if !divided {
            classes.push((Role::Unknown, entry.name.clone(), entry));
        } else if role == Role::Unknown {
            passed_over.push(entry.path);
        } else {
            for inner in entries_of(&entry.path)? {
                if inner.is_folder {
                    classes.push((role, format!("{}/{}", entry.name, inner.name), inner));
                } else {
                    passed_over.push(inner.path);
                }
            }
        }
    }
    let known = |role| move |class: &&(Role, String, Entry)| !divided || class.0 == role;
    let mut class_names: Vec<String> = Vec::new();
    for (_, _, class) in classes.iter().filter(known(Role::Train)) {
        class_names.push(class.name.clone());
    }
    class_names.sort();
    class_names.dedup();
    let mut files = Vec::new();
    for (role, prefix, class) in &classes {
        let Some(label) = class_names.iter().position(|name| *name == class.name) else {
            return Err(Error::UnknownClass {
                path: class.path.clone(),
                known: list(&class_names),
            });
        };
        let before = files.len();
        folder::find(&class.path, prefix, *role, label as u32, &mut files, &mut passed_over)?;
        if files.len() == before && (!divided || *role == Role::Train) {
            return Err(Error::EmptyImageSet {
                path: class.path.clone(),
            });
        }
    }
    if class_names.is_empty() {
        let found = if passed_over.iter().any(|path| folder::is_image(path)) {
            "pictures, but no folders of classes"
        } else if passed_over.is_empty() {
            "nothing"
        } else {
            "files of other kinds"
        };
        return Err(unknown(path, found));
    }
    finish(path, ImageFormat::ClassFolders, files, passed_over, class_names)
}

fn finish(
    path: &Path,
    format: ImageFormat,
    files: Vec<SourceFile>,
    passed_over: Vec<PathBuf>,
    class_names: Vec<String>,
) -> Result<ImageSource> {
    if files.iter().all(|file| file.bytes == 0) {
        return Err(Error::EmptyImageSet {
            path: path.to_path_buf(),
        });
    }
    if let [class] = class_names.as_slice() {
        return Err(Error::OneClass {
            path: path.to_path_buf(),
            class: class.clone(),
        });
    }
    Ok(ImageSource {
        path: path.to_path_buf(),
        format,
        files,
        passed_over,
        class_names,
        part: ImagePart::All,
    })
}

/// The first names of a list, quoted.
fn list(names: &[String]) -> String {
    let mut quoted: Vec<String> = names.iter().take(8).map(|name| format!("`{name}`")).collect();
    if names.len() > 8 {
        quoted.push(format!("and {} more", names.len() - 8));
    }
    quoted.join(", ")
}
