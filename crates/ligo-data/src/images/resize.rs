//! Resampling with the filters and the arithmetic of Pillow.
//!
//! A filter is stretched by the scale when the picture shrinks, so that every input pixel counts. Weights are fixed-point numbers of 22 bits and
//! the picture between the two passes has bytes again (Pillow, `libImaging/Resample.c`), so the result is the same on every machine. Rows are
//! always resampled before columns, as in Pillow up to version 11; Pillow 13 turns that round where a picture grows wider and less high.

use serde::{Deserialize, Serialize};

use super::image::{Image, Rect};

const PRECISION_BITS: u32 = 22;
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// How a picture is resampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Triangle of radius 1.
    Bilinear,
    /// Cubic convolution of radius 2 with `a = -1/2`; what DeiT trains and measures with.
    #[default]
    Bicubic,
    /// Windowed sinc of radius 3; the sharpest.
    Lanczos,
}

impl Filter {
    fn radius(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// The kernel at a distance of `x` pixels.
    fn kernel(self, x: f64) -> f64 {
        let x = x.abs();
        if x >= self.radius() {
            return 0.0;
        }
        match self {
            Self::Bilinear => 1.0 - x,
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic => ((2.5 - 0.5 * x) * x - 4.0) * x + 2.0,
            Self::Lanczos => sinc(x) * sinc(x / 3.0),
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

/// Which inputs make up one output, and with which weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn taps(input: usize, output: usize, filter: Filter) -> Vec<Taps> {
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0);
    let radius = filter.radius() * stretch;
    (0..output)
        .map(|at| {
            let center = (at as f64 + 0.5) * scale;
            let first = (center - radius + 0.5).max(0.0) as usize;
            let last = ((center + radius + 0.5) as usize).min(input);
            let weights = (first..last).map(|x| filter.kernel((x as f64 - center + 0.5) / stretch));
            let weights: Vec<f64> = weights.collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| (weight / sum * f64::from(1u32 << PRECISION_BITS)).round() as i32;
            Taps {
                first,
                weights: weights.iter().map(fixed).collect(),
            }
        })
        .collect()
}

fn byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Stretches a part of a picture to `height × width`. Pixels outside `rect` have no influence.
pub fn resize(image: &Image, rect: Rect, height: usize, width: usize, filter: Filter) -> Image {
    let channels = image.channels();
    let part = if rect == image.rect() {
        None
    } else {
        Some(image.window(rect.top.cast_signed(), rect.left.cast_signed(), rect.height, rect.width))
    };
    let part = part.as_ref().unwrap_or(image);
    if (part.height(), part.width()) == (height, width) {
        return part.clone();
    }
    let narrow = columns(part, width, filter);
    let row_len = width * channels;
    let mut pixels = Vec::with_capacity(height * row_len);
    let mut sums = vec![HALF; row_len];
    for taps in taps(part.height(), height, filter) {
        sums.fill(HALF);
        let rows = narrow[taps.first * row_len..].chunks_exact(row_len);
        for (row, &weight) in rows.zip(&taps.weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        pixels.extend(sums.iter().copied().map(byte));
    }
    Image::from_parts(height, width, channels, pixels)
}

/// The pass along the rows: `[height, width, channels]` with the new width.
fn columns(image: &Image, width: usize, filter: Filter) -> Vec<u8> {
    let channels = image.channels();
    if image.width() == width {
        return image.pixels().to_vec();
    }
    let taps = taps(image.width(), width, filter);
    let mut pixels = Vec::with_capacity(image.height() * width * channels);
    for row in image.pixels().chunks_exact(image.width() * channels) {
        for taps in &taps {
            let mut sums = [HALF; 3];
            let inputs = row[taps.first * channels..].chunks_exact(channels);
            for (pixel, &weight) in inputs.zip(&taps.weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * weight;
                }
            }
            pixels.extend(sums[..channels].iter().copied().map(byte));
        }
    }
    pixels
}

/// Shrinks or stretches so that the shorter side has `side` pixels and the longer one keeps its proportion, rounded down as torchvision does.
pub fn resize_shorter(image: &Image, side: usize, filter: Filter) -> Image {
    let (height, width) = (image.height(), image.width());
    let long = |long: usize, short: usize| (side as u64 * long as u64 / short as u64) as usize;
    let (height, width) = if height <= width {
        (side, long(width, height))
    } else {
        (long(height, width), side)
    };
    resize(image, image.rect(), height, width, filter)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::hash::sha256_hex;

    const FILTERS: [Filter; 3] = [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos];

    #[test]
    fn a_plain_picture_stays_plain_and_a_ramp_stays_a_ramp() {
        for filter in FILTERS {
            let plain = Image::from_parts(9, 7, 3, vec![201; 9 * 7 * 3]);
            for (height, width) in [(3, 3), (20, 31), (1, 1), (9, 4)] {
                let small = resize(&plain, plain.rect(), height, width, filter);
                assert!(small.pixels().iter().all(|&value| value == 201), "{filter:?}");
            }
            let ramp: Vec<u8> = (0..64).map(|x| (x * 4) as u8).collect();
            let ramp = Image::from_parts(1, 64, 1, ramp);
            let half = resize(&ramp, ramp.rect(), 1, 32, filter);
            for (x, &value) in half.pixels().iter().enumerate().skip(3).take(26) {
                assert!(value.abs_diff((x * 8 + 2) as u8) <= 1, "{filter:?} {x} {value}");
            }
        }
    }

    #[test]
    fn halving_a_step_gives_the_weights_of_the_cubic() {
        // By hand: scale 2, so the cubic is sampled at 0.25, 0.75, 1.25, 1.75, with the weights 222, 58, -18, -6 of 512 on either side.
        let step = Image::from_parts(1, 16, 1, [[0; 8], [200; 8]].concat());
        let half = resize(&step, step.rect(), 1, 8, Filter::Bicubic);
        // Only the taps right of the edge count.
        let right = |taps: &[i32]| {
            (200.0 * f64::from(taps.iter().sum::<i32>()) / 512.0)
                .round()
                .clamp(0.0, 255.0) as u8
        };
        assert_eq!(half.pixels()[2], right(&[-6]));
        assert_eq!(half.pixels()[3], right(&[58, -18, -6]));
        assert_eq!(half.pixels()[4], right(&[222, 222, 58, -18, -6]));
        assert_eq!(half.pixels()[5], right(&[-18, 58, 222, 222, 58, -18, -6]));
        assert_eq!(half.pixels()[7], 200);
    }

    /// Made with Pillow 11.3.0 by `tests/fixtures/pillow_hashes.py`.
    const PILLOW: [&str; 3] = ["6cb21edc32cd", "333a50438a91", "6e56d4c63938"];

    #[test]
    fn parts_are_resampled_to_the_bytes_of_pillow() {
        let at = |y: usize, x: usize, c: usize| (10 + (y * 11 + x * 7 * (c + 1) + (x * y) % 13 * c) % 170) as u8;
        let pixels = (0..37 * 53 * 3).map(|i| at(i / 3 / 53, i / 3 % 53, i % 3));
        let image = Image::from_parts(37, 53, 3, pixels.collect());
        let part = Rect {
            top: 3,
            left: 5,
            height: 30,
            width: 40,
        };
        let sizes = [(13, 9), (40, 24), (30, 61), (7, 100)];
        let hashes = FILTERS.map(|filter| {
            let outputs = sizes.map(|(height, width)| resize(&image, part, height, width, filter).pixels().to_vec());
            sha256_hex(&outputs.concat())[..12].to_owned()
        });
        assert_eq!(hashes, PILLOW);
    }

    #[test]
    fn the_shorter_side_is_the_one_that_is_set() {
        let wide = Image::from_parts(10, 25, 1, vec![0; 250]);
        let small = resize_shorter(&wide, 4, Filter::Bicubic);
        assert_eq!((small.height(), small.width()), (4, 10));
        let tall = Image::from_parts(25, 10, 1, vec![0; 250]);
        let large = resize_shorter(&tall, 12, Filter::Lanczos);
        assert_eq!((large.height(), large.width()), (30, 12));
    }

    proptest! {
        #[test]
        fn nothing_outside_the_part_has_influence(seed: u8, filter in 0usize..3) {
            let pixels: Vec<u8> = (0..12 * 12).map(|at| (at as u8).wrapping_mul(91).wrapping_add(seed)).collect();
            let image = Image::from_parts(12, 12, 1, pixels);
            let rect = Rect { top: 3, left: 2, height: 5, width: 7 };
            let mut other = image.clone();
            for (at, value) in other.pixels_mut().iter_mut().enumerate() {
                let (y, x) = (at / 12, at % 12);
                if !(3..8).contains(&y) || !(2..9).contains(&x) {
                    *value = !*value;
                }
            }
            prop_assert_eq!(resize(&image, rect, 9, 4, FILTERS[filter]), resize(&other, rect, 9, 4, FILTERS[filter]));
        }
    }
}
