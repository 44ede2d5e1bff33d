//! Pictures on disk to batches of normalized pixels with soft labels.
//!
//! [`ImageSource`] finds labeled pictures, [`ImageSet`] keeps them decoded in a memory-mapped file, and [`ImageLoader`] turns it into augmented
//! batches. Order and augmentation are pure functions of (seed, epoch, sample), as for text.

mod augment;
mod decode;
mod draw;
mod image;
mod loader;
mod preprocessor;
mod resize;
mod source;
mod store;
mod timm;

pub use augment::{
    Augmentation, AugmentationPreset, Crop, Mixing, PaddedCrop, RandAugment, RandomErasing, RandomResizedCrop,
};
pub use draw::SampleKey;
pub use image::{Image, Rect};
pub use loader::{ImageBatch, ImageLoader, ImageLoaderSettings};
pub use preprocessor::{PREPROCESSOR_CONFIG, Preprocessor};
pub use resize::{Filter, resize};
pub use source::{ImageFormat, ImagePart, ImageSource, ImageSplit};
pub use store::{DamagedImages, ImageSet, ImageSetInfo, ImageSetSettings, SkippedImage};
