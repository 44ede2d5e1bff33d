//! Writing an image set: the pool decodes and resizes, the caller's thread reads and writes.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::info::{FORMAT_VERSION, ImageSetInfo, SkippedImage};
use super::{IMAGES_BIN, IMAGES_JSON, ImageSet, LABELS_BIN};
use crate::hash::{FileHasher, hex};
use crate::images::decode::decode;
use crate::images::image::Image;
use crate::images::resize::{Filter, resize_shorter};
use crate::images::source::{Content, ImagePart, ImageSource, Sample};
use crate::sealed::Sealed;
use crate::store::{in_new_folder, write_synced};
use crate::{Error, Result, Watch, input};

/// Samples handed to the pool at once, which bounds the memory.
const CHUNK: usize = 128;
/// The longest side that is stored.
const MAX_SIDE: usize = 4_096;

/// What becomes of a picture that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DamagedImages {
    /// The first one ends the build with [`Error::BadImage`].
    #[default]
    Fail,
    /// Each is named in [`ImageSetInfo::skipped`] and left out.
    Skip,
}

/// How pictures are stored. CIFAR and IDX pictures are stored as they are; only `damaged` concerns them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageSetSettings {
    /// Height and width: the shorter side is brought to this length and the middle of the longer one kept.
    pub side: usize,
    /// How pictures are resampled.
    pub filter: Filter,
    /// 3 for color, 1 for gray.
    pub channels: usize,
    /// What becomes of a picture that cannot be decoded.
    pub damaged: DamagedImages,
}

impl Default for ImageSetSettings {
    fn default() -> Self {
        Self {
            side: 256,
            filter: Filter::Bicubic,
            channels: 3,
            damaged: DamagedImages::Fail,
        }
    }
}

impl ImageSetSettings {
    fn check(&self) -> Result<()> {
        if !(1..=MAX_SIDE).contains(&self.side) {
            return Err(Error::BadSetting {
                name: "images.side",
                expected: "between 1 and 4096",
                found: self.side.to_string(),
            });
        }
        if ![1, 3].contains(&self.channels) {
            return Err(Error::BadSetting {
                name: "images.channels",
                expected: "1 (gray) or 3 (color)",
                found: self.channels.to_string(),
            });
        }
        Ok(())
    }
}

impl ImageSet {
    /// Decodes the pictures of a source into a new folder. The folder appears by one rename when everything is written; a build that is
    /// interrupted leaves nothing and simply begins again. What is written does not depend on the number of threads.
    ///
    /// # Errors
    /// Those of reading the source; [`Error::BadImage`] for a picture that cannot be decoded, unless damaged ones are skipped;
    /// [`Error::EmptyImageSet`] when no picture is left; [`Error::StoreExists`]; [`Error::BadSetting`]; [`Error::Interrupted`].
    pub fn build(folder: &Path, source: &ImageSource, settings: &ImageSetSettings, watch: Watch<'_>) -> Result<Self> {
        settings.check()?;
        in_new_folder(folder, |temporary| {
            let mut writer = Writer::create(temporary, source)?;
            writer.write(source, settings, watch)?;
            let info = writer.finish(source)?;
            let path = temporary.join(IMAGES_JSON);
            let json = serde_json::to_vec_pretty(&info).map_err(|error| Error::BadStore {
                path: folder.join(IMAGES_JSON),
                reason: error.to_string(),
            })?;
            write_synced(&path, &json)?;
            watch.check()
        })?;
        Self::open(folder)
    }
}

/// What became of a sample.
enum Outcome {
    Stored {
        image: Image,
        label: u32,
        digest: [u8; 32],
    },
    /// It belongs to the other part.
    LeftOut,
    Damaged(SkippedImage),
}

/// Decodes one sample. `Err` is for what no policy may pass over.
fn prepare(sample: Sample, part: ImagePart, settings: &ImageSetSettings) -> Result<(Outcome, u64)> {
    let Sample { name, label, content } = sample;
    match content {
        Content::Pixels(image) => {
            if !part.keeps(image.pixels()) {
                return Ok((Outcome::LeftOut, 0));
            }
            let digest = Sha256::digest(image.pixels()).into();
            Ok((Outcome::Stored { image, label, digest }, 0))
        }
        Content::Encoded(bytes) => {
            // Its bytes were counted when they were read.
            let outcome = if part.keeps(&bytes) {
                decoded(name, label, &bytes, settings)
            } else {
                Outcome::LeftOut
            };
            Ok((outcome, 0))
        }
        Content::File(path) => {
            if !part.keeps(name.as_bytes()) {
                let length = fs::metadata(&path).map_err(Error::io("open", &path))?.len();
                return Ok((Outcome::LeftOut, length));
            }
            let bytes = input::read(&path, input::IMAGE)?;
            Ok((decoded(name, label, &bytes, settings), bytes.len() as u64))
        }
    }
}

/// Decodes a file and brings it to the stored size.
fn decoded(name: String, label: u32, bytes: &[u8], settings: &ImageSetSettings) -> Outcome {
    let image = match decode(bytes) {
        Ok(image) => image.with_channels(settings.channels),
        Err(reason) => return Outcome::Damaged(SkippedImage { name, reason }),
    };
    let side = settings.side;
    let resized = (image.height().min(image.width()) != side).then(|| resize_shorter(&image, side, settings.filter));
    Outcome::Stored {
        image: resized.as_ref().unwrap_or(&image).center(side, side),
        label,
        digest: Sha256::digest(bytes).into(),
    }
}

/// A file that is hashed while it is written.
struct HashedFile {
    path: PathBuf,
    file: BufWriter<File>,
    hash: FileHasher,
}

impl HashedFile {
    fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        Ok(Self {
            path,
            file: BufWriter::with_capacity(1 << 20, file),
            hash: FileHasher::default(),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(Error::io("write", &self.path))
    }

    fn finish(self) -> Result<FileHasher> {
        let file = self
            .file
            .into_inner()
            .map_err(|error| Error::io("write", &self.path)(error.into_error()))?;
        file.sync_all().map_err(Error::io("write", &self.path))?;
        Ok(self.hash)
    }
}

struct Writer {
    images: HashedFile,
    labels: HashedFile,
    source_hash: Sha256,
    /// Height, width and channels of the first picture, and so of all.
    shape: Option<[usize; 3]>,
    class_counts: Vec<u64>,
    skipped: Vec<SkippedImage>,
}

impl Writer {
    fn create(folder: &Path, source: &ImageSource) -> Result<Self> {
        Ok(Self {
            images: HashedFile::create(folder.join(IMAGES_BIN))?,
            labels: HashedFile::create(folder.join(LABELS_BIN))?,
            source_hash: Sha256::new(),
            shape: None,
            class_counts: vec![0; source.class_names().len()],
            skipped: Vec::new(),
        })
    }

    fn write(&mut self, source: &ImageSource, settings: &ImageSetSettings, watch: Watch<'_>) -> Result<()> {
        let total = source.total_bytes();
        let bytes_read = Arc::new(AtomicU64::new(0));
        let mut samples = source.samples(&bytes_read);
        loop {
            watch.check()?;
            let chunk: Vec<Sample> = samples.by_ref().take(CHUNK).collect::<Result<_>>()?;
            if chunk.is_empty() {
                break;
            }
            let prepare = |sample| prepare(sample, source.part(), settings);
            let outcomes: Vec<Result<(Outcome, u64)>> = chunk.into_par_iter().map(prepare).collect();
            for outcome in outcomes {
                let (outcome, read) = outcome?;
                bytes_read.fetch_add(read, Ordering::Relaxed);
                match outcome {
                    Outcome::Stored { image, label, digest } => self.sample(source, &image, label, digest)?,
                    Outcome::LeftOut => {}
                    Outcome::Damaged(skipped) if settings.damaged == DamagedImages::Skip => self.skipped.push(skipped),
                    Outcome::Damaged(SkippedImage { name, reason }) => {
                        return Err(Error::BadImage {
                            path: source.path().to_path_buf(),
                            image: name,
                            reason,
                        });
                    }
                }
            }
            watch.report(bytes_read.load(Ordering::Relaxed).min(total), total);
        }
        watch.report(total, total);
        Ok(())
    }

    fn sample(&mut self, source: &ImageSource, image: &Image, label: u32, digest: [u8; 32]) -> Result<()> {
        let found = [image.height(), image.width(), image.channels()];
        let expected = *self.shape.get_or_insert(found);
        if found != expected {
            return Err(Error::BadImage {
                path: source.path().to_path_buf(),
                image: format!("picture {}", self.class_counts.iter().sum::<u64>()),
                reason: format!("{found:?} pixels and channels, but those before it have {expected:?}"),
            });
        }
        let classes = self.class_counts.len();
        let Some(count) = self.class_counts.get_mut(label as usize) else {
            return Err(Error::ImageLabelOutOfRange {
                path: source.path().to_path_buf(),
                position: self.class_counts.iter().sum(),
                label: i64::from(label),
                classes,
            });
        };
        *count += 1;
        self.source_hash.update(digest);
        self.source_hash.update(label.to_le_bytes());
        self.images.write(image.pixels())?;
        self.labels.write(&label.to_le_bytes())
    }

    fn finish(self, source: &ImageSource) -> Result<ImageSetInfo> {
        let Some([height, width, channels]) = self.shape else {
            return Err(Error::EmptyImageSet {
                path: source.path().to_path_buf(),
            });
        };
        let images = self.images.finish()?;
        let info = ImageSetInfo {
            format_version: FORMAT_VERSION,
            images: self.class_counts.iter().sum(),
            height,
            width,
            channels,
            source: source.format(),
            class_names: source.class_names().to_vec(),
            class_counts: self.class_counts,
            skipped: self.skipped,
            source_sha256: hex(&self.source_hash.finalize()),
            images_sha256: images.whole(),
            labels_sha256: self.labels.finish()?.whole(),
            images_blocks: Some(images.blocks()),
            description_sha256: None,
        };
        Ok(info.sealed())
    }
}
