//! Augmentation as DeiT trains with it (Touvron et al., 2012.12877, table 9): what it does is a function of (seed, epoch, sample, copy) alone.
//!
//! The order is that of timm's `transforms_imagenet_train`: crop, flip, RandAugment, color jitter, normalization, random erasing, and then
//! Mixup or CutMix over the batch.

mod affine;
mod augmentation;
mod color;
mod crop;
mod erasing;
mod mixing;
mod rand_augment;
mod range;

pub use augmentation::{Augmentation, AugmentationPreset};
pub(super) use crop::SMALL_SIDE;
pub use crop::{Crop, PaddedCrop, RandomResizedCrop};
pub use erasing::RandomErasing;
pub use mixing::Mixing;
pub(super) use mixing::soft_targets;
pub use rand_augment::RandAugment;
