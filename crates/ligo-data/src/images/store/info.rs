//! `images.json`: what an image set says about itself.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::hash::{BlockHashes, Promise};
use crate::images::source::ImageFormat;
use crate::sealed::{Promised, Sealed};
use crate::{Error, Result};

/// The version of the layout described in [`crate::ImageSet`].
pub(super) const FORMAT_VERSION: u32 = 2;
/// The layout without hashes of blocks and of the description itself. Its sets are still read.
const FORMAT_WITHOUT_BLOCKS: u32 = 1;

/// A picture that could not be read and was left out, as the settings asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkippedImage {
    /// The file below the source, or the file and the record.
    pub name: String,
    /// What was wrong with it.
    pub reason: String,
}

/// The contents of `images.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSetInfo {
    /// Version of the layout; 2, or 1 in sets of earlier versions.
    pub format_version: u32,
    /// Pictures in `images.bin`.
    pub images: u64,
    /// Rows of every picture.
    pub height: usize,
    /// Columns of every picture.
    pub width: usize,
    /// 3 (red, green, blue) or 1 (gray).
    pub channels: usize,
    /// What they were made of.
    pub source: ImageFormat,
    /// Names of the classes; a label is an index into them.
    pub class_names: Vec<String>,
    /// Pictures of each class.
    pub class_counts: Vec<u64>,
    /// Pictures that could not be read.
    pub skipped: Vec<SkippedImage>,
    /// SHA-256 over the SHA-256 of every picture as it lay in the source (the file, or the pixels of its record) with its label behind it.
    pub source_sha256: String,
    /// SHA-256 of `images.bin`.
    pub images_sha256: String,
    /// SHA-256 of `labels.bin`.
    pub labels_sha256: String,
    /// SHA-256 of the blocks of `images.bin`; none in version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_blocks: Option<BlockHashes>,
    /// SHA-256 of this description without this field; none in version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description_sha256: Option<String>,
}

impl ImageSetInfo {
    /// Bytes of one picture.
    pub(super) fn image_bytes(&self) -> usize {
        self.height.saturating_mul(self.width).saturating_mul(self.channels)
    }

    /// Cross-entropy, in nats per picture, of the labels of `of` under the class frequencies of `self`: what a model reaches that knows how
    /// frequent the classes are and looks at no picture.
    ///
    /// ```text
    /// loss = - Σ_k e_k ln((c_k + 1) / (C + K)) / Σ_k e_k
    /// ```
    ///
    /// with `c` the counts here, `C` their sum, `K` the number of classes and `e` the counts of `of`. Returns `None` when the classes differ in
    /// number or `of` is empty.
    pub fn class_prior_loss(&self, of: &Self) -> Option<f64> {
        if self.class_counts.len() != of.class_counts.len() {
            return None;
        }
        let sum = |counts: &[u64]| counts.iter().map(|&count| count as f64).sum::<f64>();
        let (total, measured) = (
            sum(&self.class_counts) + self.class_counts.len() as f64,
            sum(&of.class_counts),
        );
        let losses = self.class_counts.iter().zip(&of.class_counts);
        let loss: f64 = losses
            .map(|(&c, &e)| -(e as f64) * ((c as f64 + 1.0) / total).ln())
            .sum();
        (measured > 0.0).then(|| loss / measured)
    }

    /// What `images.bin` must be.
    pub(super) fn images_promise(&self) -> Promise<'_> {
        Promise {
            whole: &self.images_sha256,
            blocks: self.images_blocks.as_ref(),
        }
    }

    /// What `labels.bin` must be.
    pub(super) fn labels_promise(&self) -> Promise<'_> {
        Promise {
            whole: &self.labels_sha256,
            blocks: None,
        }
    }

    pub(super) fn from_json(path: &Path, json: &[u8]) -> Result<Self> {
        let bad = |reason: String| Error::BadStore {
            path: path.to_path_buf(),
            reason,
        };
        let info: Self = serde_json::from_slice(json).map_err(|error| bad(error.to_string()))?;
        if let Some(damage) = info.damage_of_hashes() {
            return Err(bad(damage));
        }
        if info.class_counts.len() != info.class_names.len() {
            return Err(bad(format!(
                "{} class names, but {} class counts",
                info.class_names.len(),
                info.class_counts.len()
            )));
        }
        if info
            .class_counts
            .iter()
            .try_fold(0_u64, |sum, &count| sum.checked_add(count))
            != Some(info.images)
        {
            return Err(bad(format!(
                "the class counts do not sum to the {} images",
                info.images
            )));
        }
        if info.height == 0 || info.width == 0 || ![1, 3].contains(&info.channels) {
            return Err(bad(format!(
                "expected pictures of at least one pixel with 1 or 3 channels, found {}×{}×{}",
                info.height, info.width, info.channels
            )));
        }
        Ok(info)
    }
}

impl Sealed for ImageSetInfo {
    fn promised(&self) -> Promised<'_> {
        Promised {
            format_version: self.format_version,
            formats: [FORMAT_WITHOUT_BLOCKS, FORMAT_VERSION],
            bytes: self.images.saturating_mul(self.image_bytes() as u64),
            blocks: self.images_blocks.as_ref(),
            seal: self.description_sha256.as_deref(),
        }
    }

    fn seal_mut(&mut self) -> &mut Option<String> {
        &mut self.description_sha256
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::hash::FileHasher;

    fn info(counts: &[u64]) -> ImageSetInfo {
        ImageSetInfo {
            format_version: 1,
            images: counts.iter().sum(),
            height: 1,
            width: 1,
            channels: 1,
            source: ImageFormat::Idx,
            class_names: (0..counts.len()).map(|class| class.to_string()).collect(),
            class_counts: counts.to_vec(),
            skipped: Vec::new(),
            source_sha256: String::new(),
            images_sha256: String::new(),
            labels_sha256: String::new(),
            images_blocks: None,
            description_sha256: None,
        }
    }

    #[test]
    fn equal_classes_give_the_logarithm_of_their_number_and_unequal_ones_less() {
        let even = info(&[20, 20, 20, 20, 20]);
        assert!((even.class_prior_loss(&even).unwrap() - 5_f64.ln()).abs() < 1e-12);
        let uneven = info(&[97, 0, 1]);
        // -(97 ln(98/101) + ln(2/101)) / 98.
        let expected = -(97.0 * (98.0_f64 / 101.0).ln() + (2.0_f64 / 101.0).ln()) / 98.0;
        assert!((uneven.class_prior_loss(&uneven).unwrap() - expected).abs() < 1e-12);
        assert!(even.class_prior_loss(&uneven).is_none());
        assert!(uneven.class_prior_loss(&info(&[0, 0, 0])).is_none());
        assert!(uneven.class_prior_loss(&info(&[0, 5, 0])).unwrap().is_finite());
    }

    #[test]
    fn a_description_that_contradicts_itself_is_refused() {
        let read =
            |info: &ImageSetInfo| ImageSetInfo::from_json(Path::new("images.json"), &serde_json::to_vec(info).unwrap());
        let good = info(&[2, 3]);
        assert_eq!(read(&good).unwrap(), good);
        let mut hasher = FileHasher::default();
        hasher.update(&[0; 5]);
        let sealed = ImageSetInfo {
            format_version: FORMAT_VERSION,
            images_blocks: Some(hasher.blocks()),
            ..good.clone()
        }
        .sealed();
        assert_eq!(read(&sealed).unwrap(), sealed);
        let bad = [
            ImageSetInfo {
                format_version: 3,
                ..good.clone()
            },
            ImageSetInfo {
                format_version: 2,
                ..good.clone()
            },
            ImageSetInfo {
                format_version: 1,
                ..sealed.clone()
            },
            ImageSetInfo {
                class_names: vec!["a".to_owned(), "b".to_owned()],
                ..sealed.clone()
            },
            ImageSetInfo {
                images: 6,
                ..good.clone()
            },
            ImageSetInfo {
                class_names: vec!["a".to_owned()],
                ..good.clone()
            },
            ImageSetInfo {
                class_counts: vec![u64::MAX, 6],
                ..good.clone()
            },
            ImageSetInfo {
                height: 0,
                ..good.clone()
            },
            ImageSetInfo {
                channels: 4,
                ..good.clone()
            },
        ];
        for info in bad {
            assert!(matches!(read(&info), Err(Error::BadStore { .. })));
        }
    }
}
