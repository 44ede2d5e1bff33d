//! Which part of a picture a training sample shows.

use serde::{Deserialize, Serialize};

use super::range::check_range;
use crate::images::draw::{Purpose, SampleKey, uniform};
use crate::images::image::{Image, Rect};
use crate::images::resize::{Filter, resize};
use crate::rng::Stream;
use crate::{Error, Result};

/// The largest model input that DeiT crops with a border instead of a random size (`resize_im = args.input_size > 32`, `deit/datasets.py`).
pub(in crate::images) const SMALL_SIDE: usize = 32;

/// Tries before a random resized crop falls back to the middle.
const TRIES: usize = 10;

/// Which part of a picture a training sample shows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Crop {
    /// As DeiT: [`PaddedCrop`] with four pixels for models of up to 32 pixels, [`RandomResizedCrop`] above.
    #[default]
    Auto,
    /// A part of random size and shape.
    RandomResized(RandomResizedCrop),
    /// The picture, shifted.
    Padded(PaddedCrop),
    /// The middle, as in validation.
    Center,
}

/// A part of random area and proportion, stretched to the model's size (Szegedy et al., 1409.4842, section 6; timm's
/// `RandomResizedCropAndInterpolation`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomResizedCrop {
    /// Least and greatest share of the picture's area.
    pub scale: [f64; 2],
    /// Least and greatest width divided by height, drawn uniformly in the logarithm.
    pub ratio: [f64; 2],
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self {
            scale: [0.08, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
        }
    }
}

/// A black border around the picture, and a part of the picture's size cut at a random place (torchvision's `RandomCrop(size, padding)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaddedCrop {
    /// Width of the border in pixels.
    pub padding: usize,
}

impl Default for PaddedCrop {
    fn default() -> Self {
        Self { padding: 4 }
    }
}

impl Crop {
    pub(super) fn check(&self) -> Result<()> {
        let Self::RandomResized(crop) = self else { return Ok(()) };
        let [low, high] = crop.scale;
        check_range("augmentation.crop.scale", low, 0.0, high.min(1.0))?;
        check_range("augmentation.crop.scale", high, low, 1.0)?;
        let [low, high] = crop.ratio;
        if !(low > 0.0 && low <= high && high.is_finite() && crop.scale[0] > 0.0) {
            return Err(Error::BadSetting {
                name: "augmentation.crop",
                expected: "0 < least ≤ greatest for scale and ratio",
                found: format!("scale {:?}, ratio {:?}", crop.scale, crop.ratio),
            });
        }
        Ok(())
    }

    /// The crop meant for models of `side` pixels.
    pub(super) fn resolved(self, side: usize) -> Self {
        match self {
            Self::Auto if side <= SMALL_SIDE => Self::Padded(PaddedCrop::default()),
            Self::Auto => Self::RandomResized(RandomResizedCrop::default()),
            other => other,
        }
    }
}

impl RandomResizedCrop {
    /// The part of a picture of `height × width` that a sample shows; it lies inside the picture.
    pub fn rect(&self, height: usize, width: usize, key: SampleKey) -> Rect {
        let mut stream = key.stream(Purpose::Crop);
        let area = (height * width) as f64;
        let [low, high] = self.ratio;
        for _ in 0..TRIES {
            let target = uniform(&mut stream, self.scale[0], self.scale[1]) * area;
            let ratio = uniform(&mut stream, low.ln(), high.ln()).exp();
            let part_width = (target * ratio).sqrt().round_ties_even() as usize;
            let part_height = (target / ratio).sqrt().round_ties_even() as usize;
            // A picture of some pixels may ask for a part without any.
            if (1..=height).contains(&part_height) && (1..=width).contains(&part_width) {
                return Rect {
                    top: place(&mut stream, height - part_height),
                    left: place(&mut stream, width - part_width),
                    height: part_height,
                    width: part_width,
                };
            }
        }
        let ratio = width as f64 / height as f64;
        let (part_height, part_width) = if ratio < low {
            ((width as f64 / low).round_ties_even() as usize, width)
        } else if ratio > high {
            (height, (height as f64 * high).round_ties_even() as usize)
        } else {
            (height, width)
        };
        let (part_height, part_width) = (part_height.clamp(1, height), part_width.clamp(1, width));
        Rect {
            top: (height - part_height) / 2,
            left: (width - part_width) / 2,
            height: part_height,
            width: part_width,
        }
    }

    pub(super) fn apply(&self, image: &Image, side: usize, filter: Filter, key: SampleKey) -> Image {
        let rect = self.rect(image.height(), image.width(), key);
        resize(image, rect, side, side, filter)
    }
}

impl PaddedCrop {
    pub(super) fn apply(&self, image: &Image, key: SampleKey) -> Image {
        let mut stream = key.stream(Purpose::Crop);
        let top = place(&mut stream, 2 * self.padding).cast_signed() - self.padding.cast_signed();
        let left = place(&mut stream, 2 * self.padding).cast_signed() - self.padding.cast_signed();
        image.window(top, left, image.height(), image.width())
    }
}

/// Uniform in `0..=room`.
pub(super) fn place(stream: &mut Stream, room: usize) -> usize {
    stream.below(room as u64 + 1) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn key(sample: u64) -> SampleKey {
        SampleKey {
            seed: 3,
            epoch: 1,
            sample,
            copy: 0,
        }
    }

    proptest! {
        #[test]
        fn the_part_lies_inside_and_has_a_share_and_a_shape_in_range(height in 1usize..300, width in 1usize..300, sample: u64) {
            let crop = RandomResizedCrop::default();
            let rect = crop.rect(height, width, key(sample));
            prop_assert!(rect.height >= 1 && rect.width >= 1);
            prop_assert!(rect.top + rect.height <= height && rect.left + rect.width <= width);
            if height.min(width) >= 100 && height.max(width) <= height.min(width) * 5 / 4 {
                let share = (rect.height * rect.width) as f64 / (height * width) as f64;
                prop_assert!((0.07..=1.0).contains(&share), "{share}");
                let ratio = rect.width as f64 / rect.height as f64;
                prop_assert!((0.7..=1.4).contains(&ratio), "{ratio}");
            }
        }
    }

    #[test]
    fn shares_are_uniform_and_proportions_uniform_in_the_logarithm() {
        let crop = RandomResizedCrop {
            scale: [0.1, 0.5],
            ..RandomResizedCrop::default()
        };
        let rects: Vec<Rect> = (0..4_000).map(|sample| crop.rect(1_000, 1_000, key(sample))).collect();
        let mean = |value: &dyn Fn(&Rect) -> f64| rects.iter().map(value).sum::<f64>() / rects.len() as f64;
        let share = mean(&|rect| (rect.height * rect.width) as f64 / 1e6);
        let ratio = mean(&|rect| (rect.width as f64 / rect.height as f64).ln());
        let place = mean(&|rect| rect.top as f64 / (1_000 - rect.height) as f64);
        assert!((share - 0.3).abs() < 0.01, "{share}");
        assert!(ratio.abs() < 0.01, "{ratio}");
        assert!((place - 0.5).abs() < 0.02, "{place}");
    }

    #[test]
    fn a_shifted_picture_is_moved_by_at_most_its_border() {
        let mut image = Image::new(9, 9, 1, vec![0; 81]).unwrap();
        image.pixels_mut()[4 * 9 + 4] = 255;
        let mut seen = std::collections::BTreeSet::new();
        for sample in 0..2_000 {
            let moved = PaddedCrop { padding: 2 }.apply(&image, key(sample));
            let at = moved.pixels().iter().position(|&value| value == 255).unwrap();
            seen.insert((at / 9, at % 9));
        }
        let expected = (2..=6).flat_map(|y| (2..=6).map(move |x| (y, x)));
        assert!(seen.into_iter().eq(expected));
    }
}
