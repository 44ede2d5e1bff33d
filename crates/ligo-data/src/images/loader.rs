//! Batches of pictures: set, order and augmentation joined.

use std::sync::Arc;

use rayon::prelude::*;

use super::augment::{Augmentation, soft_targets};
use super::draw::SampleKey;
use super::image::Image;
use super::preprocessor::Preprocessor;
use super::store::ImageSet;
use crate::order::Visit;
use crate::{Cursor, Error, Result, SampleOrder, VALIDATION_SEED};

/// One batch, as host arrays ready to be turned into tensors.
///
/// Shapes: `B` = `batch_size`, `C` = `channels`, `H` = `height`, `W` = `width`, `K` = `num_classes`.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageBatch {
    /// Pictures, `B`.
    pub batch_size: usize,
    /// 3 (red, green, blue) or 1 (gray), `C`.
    pub channels: usize,
    /// Rows, `H`.
    pub height: usize,
    /// Columns, `W`.
    pub width: usize,
    /// Classes, `K`.
    pub num_classes: usize,
    /// Normalized pictures, `[B, C, H, W]`.
    pub pixels: Vec<f32>,
    /// What a picture should be taken for, `[B, K]`: rows of shares that sum to 1, in validation 1 for the label.
    pub targets: Vec<f32>,
    /// The class of each picture, `[B]`; where pictures are mixed, the class of the first of the two.
    pub labels: Vec<u32>,
}

/// How pictures are drawn and prepared.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageLoaderSettings {
    /// Seed of the order and of the augmentation.
    pub seed: u64,
    /// Whether to visit the pictures in a new random order every epoch.
    pub shuffle: bool,
    /// What happens to training pictures.
    pub augmentation: Augmentation,
    /// The model's input.
    pub preprocessor: Preprocessor,
    /// Channels of the model's input: with 3, gray pictures are repeated; with 1, color is turned into brightness. `None` keeps what the
    /// set has.
    pub channels: Option<usize>,
    /// Whether the pictures of the set may be smaller than the model's input and are then stretched.
    pub upscale: bool,
}

/// Training batches from an image set.
///
/// A batch is a pure function of (set, settings, cursor, batch size): asking twice, on another number of threads or after a restart gives the
/// same. Batches run over the end of an epoch into the next, so each has `batch_size` pictures and each epoch visits every picture once, unless
/// [`Augmentation::repeats`] asks for several copies of some.
#[derive(Debug, Clone)]
pub struct ImageLoader {
    set: Arc<ImageSet>,
    settings: ImageLoaderSettings,
    order: SampleOrder,
    channels: usize,
    /// What bytes become, for each channel.
    tables: Vec<[f32; 256]>,
}

impl ImageLoader {
    /// Joins a set with settings.
    ///
    /// # Errors
    /// [`Error::BadSetting`]; [`Error::ImagesTooSmall`] when the pictures would have to be stretched and may not be.
    pub fn new(set: Arc<ImageSet>, settings: ImageLoaderSettings) -> Result<Self> {
        settings.augmentation.check()?;
        settings.preprocessor.check()?;
        let repeats = settings.augmentation.repeats;
        if repeats > 1 && !settings.shuffle {
            // In a fixed order every epoch would show the same share of the pictures.
            return Err(Error::BadSetting {
                name: "augmentation.repeats",
                expected: "1 where pictures are not shuffled",
                found: repeats.to_string(),
            });
        }
        let channels = settings.channels.unwrap_or(set.info().channels);
        if ![1, 3].contains(&channels) {
            return Err(Error::BadSetting {
                name: "channels",
                expected: "1 (gray) or 3 (color)",
                found: channels.to_string(),
            });
        }
        let (height, width) = (set.info().height, set.info().width);
        let image_size = settings.preprocessor.image_size;
        if height.min(width) < image_size && !settings.upscale {
            return Err(Error::ImagesTooSmall {
                path: set.path().to_path_buf(),
                height,
                width,
                image_size,
            });
        }
        Ok(Self {
            order: SampleOrder::new(settings.seed, set.len(), settings.shuffle).with_repeats(repeats),
            tables: settings.preprocessor.tables(channels),
            set,
            settings,
            channels,
        })
    }

    /// Pictures in an epoch.
    pub fn epoch_len(&self) -> u64 {
        self.order.len()
    }

    /// The set.
    pub fn set(&self) -> &ImageSet {
        &self.set
    }

    /// The settings.
    pub fn settings(&self) -> &ImageLoaderSettings {
        &self.settings
    }

    /// Channels of the batches.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Checks that one batch can be filled without going through the set twice.
    ///
    /// # Errors
    /// [`Error::TooFewImages`]; [`Error::BadSetting`] for a batch of nothing.
    pub fn check_batch_size(&self, batch_size: usize) -> Result<()> {
        if batch_size == 0 {
            return Err(Error::BadSetting {
                name: "batch_size",
                expected: "at least 1",
                found: "0".to_owned(),
            });
        }
        if self.epoch_len() < batch_size as u64 {
            return Err(Error::TooFewImages {
                path: self.set.path().to_path_buf(),
                batch_size,
                found: self.epoch_len(),
            });
        }
        Ok(())
    }

    /// The (epoch, sample) pairs of the batch at a cursor, and the cursor behind it.
    ///
    /// # Errors
    /// [`Error::CursorOutOfRange`] and those of [`Self::check_batch_size`].
    pub fn samples_at(&self, cursor: Cursor, batch_size: usize) -> Result<(Vec<(u64, u64)>, Cursor)> {
        let (visits, next) = self.visits_at(cursor, batch_size)?;
        Ok((visits.iter().map(|visit| (visit.epoch, visit.sample)).collect(), next))
    }

    fn visits_at(&self, cursor: Cursor, batch_size: usize) -> Result<(Vec<Visit>, Cursor)> {
        self.check_batch_size(batch_size)?;
        if cursor.index >= self.epoch_len() {
            return Err(Error::CursorOutOfRange {
                index: cursor.index,
                samples: self.epoch_len(),
            });
        }
        Ok(self.order.visits(cursor, batch_size))
    }

    /// The batch at a cursor, and the cursor behind it.
    ///
    /// # Errors
    /// As [`Self::samples_at`].
    pub fn batch_at(&self, cursor: Cursor, batch_size: usize) -> Result<(ImageBatch, Cursor)> {
        let (visits, next) = self.visits_at(cursor, batch_size)?;
        let augmentation = &self.settings.augmentation;
        let side = self.settings.preprocessor.image_size;
        let mut batch = self.prepare(&visits, |image, pixels, key| {
            let seen = augmentation.apply(&image, &self.settings.preprocessor, key);
            self.normalize(&seen, pixels);
            augmentation.erase(pixels, side, side, key);
        });
        let first = self.key(Visit {
            epoch: cursor.epoch,
            sample: cursor.index,
            copy: 0,
        });
        let mix = augmentation.mixing.draw(side, side, first);
        mix.apply(&mut batch.pixels, self.channels * side * side, side, side);
        batch.targets = soft_targets(
            &batch.labels,
            batch.num_classes,
            augmentation.label_smoothing,
            mix.own(),
        );
        Ok((batch, next))
    }

    /// Validation batches: at most `max_batches`, always the same pictures whatever the run's seed and epoch, spread over the whole set and
    /// not augmented, with plain labels. Only whole batches are given, so the shapes stay the same.
    ///
    /// # Errors
    /// As [`Self::check_batch_size`].
    pub fn validation_batches(
        &self,
        batch_size: usize,
        max_batches: usize,
    ) -> Result<impl ExactSizeIterator<Item = ImageBatch> + '_> {
        self.check_batch_size(batch_size)?;
        let whole = usize::try_from(self.epoch_len() / batch_size as u64).unwrap_or(usize::MAX);
        let order = SampleOrder::new(VALIDATION_SEED, self.epoch_len(), true);
        Ok((0..whole.min(max_batches)).map(move |batch| {
            let cursor = Cursor {
                epoch: 0,
                index: batch as u64 * batch_size as u64,
            };
            let mut batch = self.prepare(&order.visits(cursor, batch_size).0, |image, pixels, _| {
                self.normalize(&self.settings.preprocessor.evaluation_view(&image), pixels);
            });
            batch.targets = soft_targets(&batch.labels, batch.num_classes, 0.0, 1.0);
            batch
        }))
    }

    fn key(&self, visit: Visit) -> SampleKey {
        SampleKey {
            seed: self.settings.seed,
            epoch: visit.epoch,
            sample: visit.sample,
            copy: visit.copy,
        }
    }

    /// Fills a batch, the pictures in parallel: `fill(picture, its part of the pixels, its key)`. The targets are left empty.
    fn prepare(&self, visits: &[Visit], fill: impl Fn(Image, &mut [f32], SampleKey) + Sync) -> ImageBatch {
        let side = self.settings.preprocessor.image_size;
        let sample_len = self.channels * side * side;
        let mut pixels = vec![0.0; visits.len() * sample_len];
        let places = pixels.par_chunks_exact_mut(sample_len).zip(visits);
        places.for_each(|(pixels, &visit)| {
            // The order stays below the length of the set.
            if let Some(image) = self.set.image(visit.sample) {
                fill(image.with_channels(self.channels), pixels, self.key(visit));
            }
        });
        let labels = visits.iter().map(|visit| self.set.label(visit.sample).unwrap_or(0));
        ImageBatch {
            batch_size: visits.len(),
            channels: self.channels,
            height: side,
            width: side,
            num_classes: self.set.num_classes(),
            pixels,
            targets: Vec::new(),
            labels: labels.collect(),
        }
    }

    /// Bytes `[H, W, C]` to numbers `[C, H, W]`.
    fn normalize(&self, image: &Image, pixels: &mut [f32]) {
        let planes = pixels.chunks_exact_mut(image.height() * image.width());
        for (channel, (plane, table)) in planes.zip(&self.tables).enumerate() {
            let bytes = image.pixels()[channel..].iter().step_by(self.channels);
            for (value, &byte) in plane.iter_mut().zip(bytes) {
                *value = table[usize::from(byte)];
            }
        }
    }
}
