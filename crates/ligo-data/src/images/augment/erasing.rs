//! Random erasing (Zhong et al., 1708.04896) as timm's `RandomErasing`: a rectangle of a normalized picture becomes noise.

use serde::{Deserialize, Serialize};

use super::crop::place;
use super::range::check_range;
use crate::images::draw::{Purpose, SampleKey, chance, normals, uniform};
use crate::images::image::Rect;
use crate::rng::Stream;
use crate::{Error, Result};

const TRIES: usize = 10;

/// A rectangle that is replaced by standard normal noise, every value on its own (`mode='pixel'`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomErasing {
    /// The share of the samples that lose a rectangle; 0 switches it off.
    pub probability: f64,
    /// Least and greatest share of the picture's area.
    pub area: [f64; 2],
    /// The least height divided by width; the greatest is its inverse. Drawn uniformly in the logarithm.
    pub min_aspect: f64,
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self {
            probability: 0.25,
            area: [0.02, 1.0 / 3.0],
            min_aspect: 0.3,
        }
    }
}

impl RandomErasing {
    pub(super) const OFF: Self = Self {
        probability: 0.0,
        area: [0.02, 1.0 / 3.0],
        min_aspect: 0.3,
    };

    pub(super) fn check(&self) -> Result<()> {
        check_range("augmentation.erasing.probability", self.probability, 0.0, 1.0)?;
        let [low, high] = self.area;
        check_range("augmentation.erasing.area", high, low.max(0.0), 1.0)?;
        if !(low >= 0.0 && self.min_aspect > 0.0 && self.min_aspect <= 1.0) {
            return Err(Error::BadSetting {
                name: "augmentation.erasing",
                expected: "0 ≤ least ≤ greatest area and 0 < min_aspect ≤ 1",
                found: format!("area {:?}, min_aspect {}", self.area, self.min_aspect),
            });
        }
        Ok(())
    }

    /// The rectangle that a sample of `height × width` loses, if it does; it lies inside the picture.
    pub fn rect(&self, height: usize, width: usize, key: SampleKey) -> Option<Rect> {
        self.draw(height, width, &mut key.stream(Purpose::Erasing))
    }

    fn draw(&self, height: usize, width: usize, stream: &mut Stream) -> Option<Rect> {
        if !chance(stream, self.probability) {
            return None;
        }
        let longest = -self.min_aspect.ln();
        for _ in 0..TRIES {
            let area = uniform(stream, self.area[0], self.area[1]) * (height * width) as f64;
            let aspect = uniform(stream, -longest, longest).exp();
            let rect_height = (area * aspect).sqrt().round_ties_even() as usize;
            let rect_width = (area / aspect).sqrt().round_ties_even() as usize;
            if rect_height < height && rect_width < width {
                return Some(Rect {
                    top: place(stream, height - rect_height),
                    left: place(stream, width - rect_width),
                    height: rect_height,
                    width: rect_width,
                });
            }
        }
        None
    }

    /// Erases in `[channels, height, width]`.
    pub(super) fn apply(&self, pixels: &mut [f32], height: usize, width: usize, key: SampleKey) {
        let mut stream = key.stream(Purpose::Erasing);
        let Some(rect) = self.draw(height, width, &mut stream) else {
            return;
        };
        for channel in pixels.chunks_exact_mut(height * width) {
            for row in channel.chunks_exact_mut(width).skip(rect.top).take(rect.height) {
                for pair in row[rect.left..rect.left + rect.width].chunks_mut(2) {
                    for (value, noise) in pair.iter_mut().zip(normals(&mut stream)) {
                        *value = noise as f32;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(sample: u64) -> SampleKey {
        SampleKey {
            seed: 8,
            epoch: 0,
            sample,
            copy: 0,
        }
    }

    proptest! {
        #[test]
        fn what_is_erased_lies_inside_and_nothing_else_changes(height in 1usize..40, width in 1usize..40, sample: u64) {
            let erasing = RandomErasing { probability: 1.0, ..RandomErasing::default() };
            let mut pixels = vec![100.0; 3 * height * width];
            erasing.apply(&mut pixels, height, width, key(sample));
            let rect = erasing.rect(height, width, key(sample));
            for (at, &value) in pixels.iter().enumerate() {
                let (y, x) = (at / width % height, at % width);
                let erased = rect.is_some_and(|r| {
                    (r.top..r.top + r.height).contains(&y) && (r.left..r.left + r.width).contains(&x)
                });
                prop_assert_eq!(value != 100.0, erased);
            }
            if let Some(rect) = rect {
                prop_assert!(rect.top + rect.height <= height && rect.left + rect.width <= width);
            }
        }
    }

    #[test]
    fn a_quarter_of_the_samples_lose_about_a_sixth_of_their_area_to_standard_normal_noise() {
        let erasing = RandomErasing::default();
        let (mut erased, mut area, mut sum, mut squares) = (0.0, 0.0, 0.0, 0.0);
        for sample in 0..4_000 {
            let mut pixels = vec![100.0; 32 * 32];
            erasing.apply(&mut pixels, 32, 32, key(sample));
            let noise: Vec<f64> = pixels.iter().filter(|&&v| v != 100.0).map(|&v| f64::from(v)).collect();
            erased += f64::from(u8::from(!noise.is_empty()));
            area += noise.len() as f64;
            sum += noise.iter().sum::<f64>();
            squares += noise.iter().map(|v| v * v).sum::<f64>();
        }
        assert!((erased / 4_000.0 - 0.25_f64).abs() < 0.02, "{erased}");
        assert!(
            (area / erased / 1024.0 - 0.17_f64).abs() < 0.01,
            "{}",
            area / erased / 1024.0
        );
        assert!((sum / area).abs() < 0.01 && (squares / area - 1.0_f64).abs() < 0.02);
    }
}
