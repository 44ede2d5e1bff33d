//! Class folders of JPEG and PNG files.

use std::path::{Path, PathBuf};

use super::entries::entries_of;
use super::layout::{Content, Labels, Sample, SourceFile};
use crate::Result;
use crate::role::Role;

const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// Whether a file's extension is that of a picture. What it holds is seen when it is decoded.
pub(super) fn is_image(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// The pictures of one class, in the order of their names, folders below it included.
pub(super) fn find(
    folder: &Path,
    prefix: &str,
    role: Role,
    label: u32,
    files: &mut Vec<SourceFile>,
    passed_over: &mut Vec<PathBuf>,
) -> Result<()> {
    for entry in entries_of(folder)? {
        let name = format!("{prefix}/{}", entry.name);
        if entry.is_folder {
            find(&entry.path, &name, role, label, files, passed_over)?;
        } else if is_image(&entry.path) {
            files.push(SourceFile {
                path: entry.path,
                name,
                bytes: entry.bytes,
                role,
                labels: Labels::One(label),
            });
        } else {
            passed_over.push(entry.path);
        }
    }
    Ok(())
}

pub(super) fn sample(file: &SourceFile) -> Sample {
    Sample {
        name: file.name.clone(),
        label: if let Labels::One(label) = file.labels { label } else { 0 },
        content: Content::File(file.path.clone()),
    }
}
