//! RandAugment (Cubuk et al., 1909.13719) with the operations and ranges of timm's `auto_augment.py`.

use serde::{Deserialize, Serialize};

use super::range::check_range;
use super::{affine, color};
use crate::Result;
use crate::images::draw::{Purpose, SampleKey, chance, normals};
use crate::images::image::Image;
use crate::rng::Stream;

/// The magnitude at which an operation reaches the end of its range.
const FULL: f64 = 10.0;
/// The chance that a chosen operation is applied; `prob=0.5` of timm's `rand_augment_ops`.
const APPLIED: f64 = 0.5;

/// Some operations out of fifteen, chosen anew for every sample. The default is `rand-m9-mstd0.5-inc1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandAugment {
    /// Operations chosen per sample, with repetition; each is then applied with probability 1/2. 0 switches RandAugment off.
    pub ops: usize,
    /// Mean magnitude, from 0 to 10.
    pub magnitude: f64,
    /// Standard deviation of the magnitude.
    pub magnitude_std: f64,
    /// Whether every operation changes the picture more at a higher magnitude (`inc1`); the paper's ranges do not for some.
    pub increasing: bool,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self {
            ops: 2,
            magnitude: 9.0,
            magnitude_std: 0.5,
            increasing: true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    AutoContrast,
    Equalize,
    Invert,
    Rotate,
    Posterize,
    Solarize,
    SolarizeAdd,
    Color,
    Contrast,
    Brightness,
    Sharpness,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
}

const OPS: [Op; 15] = [
    Op::AutoContrast,
    Op::Equalize,
    Op::Invert,
    Op::Rotate,
    Op::Posterize,
    Op::Solarize,
    Op::SolarizeAdd,
    Op::Color,
    Op::Contrast,
    Op::Brightness,
    Op::Sharpness,
    Op::ShearX,
    Op::ShearY,
    Op::TranslateX,
    Op::TranslateY,
];

impl RandAugment {
    pub(super) const OFF: Self = Self {
        ops: 0,
        magnitude: 0.0,
        magnitude_std: 0.0,
        increasing: true,
    };

    pub(super) fn check(&self) -> Result<()> {
        check_range("augmentation.rand_augment.magnitude", self.magnitude, 0.0, FULL)?;
        check_range(
            "augmentation.rand_augment.magnitude_std",
            self.magnitude_std,
            0.0,
            100.0,
        )
    }

    pub(super) fn apply(&self, mut image: Image, fill: &[u8], key: SampleKey) -> Image {
        let mut stream = key.stream(Purpose::RandAugment);
        for _ in 0..self.ops {
            let op = OPS[stream.below(OPS.len() as u64) as usize];
            if chance(&mut stream, APPLIED) {
                let magnitude = self.magnitude + self.magnitude_std * normals(&mut stream)[0];
                let level = magnitude.clamp(0.0, FULL) / FULL;
                image = op.apply(image, level, self.increasing, fill, &mut stream);
            }
        }
        image
    }
}

impl Op {
    /// Changes the picture; `level` is the magnitude from 0 to 1.
    fn apply(self, mut image: Image, level: f64, increasing: bool, fill: &[u8], stream: &mut Stream) -> Image {
        let mut signed = |value: f64| if chance(stream, 0.5) { -value } else { value };
        let rounded_down = |range: f64| (level * range) as u32;
        // 1 changes nothing; away from it in both directions, or the paper's range from 0.1 to 1.9.
        let mut enhance = || {
            if increasing {
                (1.0 + signed(level * 0.9)).max(0.1)
            } else {
                level * 1.8 + 0.1
            }
        };
        match self {
            Self::AutoContrast => color::auto_contrast(&mut image),
            Self::Equalize => color::equalize(&mut image),
            Self::Invert => color::invert(&mut image),
            Self::Posterize if increasing => color::posterize(&mut image, 4 - rounded_down(4.0)),
            Self::Posterize => color::posterize(&mut image, rounded_down(4.0)),
            Self::Solarize if increasing => color::solarize(&mut image, 256 - rounded_down(256.0)),
            Self::Solarize => color::solarize(&mut image, rounded_down(256.0)),
            Self::SolarizeAdd => color::solarize_add(&mut image, rounded_down(110.0) as u8),
            Self::Color => color::saturation(&mut image, enhance()),
            Self::Contrast => color::contrast(&mut image, enhance()),
            Self::Brightness => color::brightness(&mut image, enhance()),
            Self::Sharpness => color::sharpness(&mut image, enhance()),
            Self::Rotate | Self::ShearX | Self::ShearY | Self::TranslateX | Self::TranslateY => {
                let (height, width) = (image.height(), image.width());
                let matrix = match self {
                    Self::Rotate => affine::rotation(signed(level * 30.0), height, width),
                    Self::ShearX => affine::shear_x(signed(level * 0.3)),
                    Self::ShearY => affine::shear_y(signed(level * 0.3)),
                    Self::TranslateX => affine::shift(signed(level * 0.45) * width as f64, 0.0),
                    _ => affine::shift(0.0, signed(level * 0.45) * height as f64),
                };
                image = affine::transform(&image, matrix, fill);
            }
        }
        image
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::hash::sha256_hex;

    fn picture(channels: usize) -> Image {
        let at = |y: usize, x: usize, c: usize| (10 + (y * 11 + x * 7 * (c + 1) + (x * y) % 13 * c) % 170) as u8;
        let pixels = (0..24 * 24 * channels).map(|i| at(i / channels / 24, i / channels % 24, i % channels));
        Image::from_parts(24, 24, channels, pixels.collect())
    }

    /// Of streams whose first number is below and above one half, so that what has a sign is seen with both.
    const SIGNS: [u64; 2] = [3, 0];

    /// Made with Pillow 11.3.0 by `tests/fixtures/pillow_hashes.py`.
    const PILLOW: [&str; 15] = [
        "AutoContrast f6be806e2b39",
        "Equalize 9870e462b6b1",
        "Invert bb3092e54c54",
        "Rotate 17aec1519f52",
        "Posterize b4fd3101a96b",
        "Solarize c3eee5bf70ab",
        "SolarizeAdd 7b601d1c62d4",
        "Color 2d9287033174",
        "Contrast ed8ebb8dfef0",
        "Brightness 35f5ed1d7267",
        "Sharpness 194ebe42a013",
        "ShearX 130844168ab2",
        "ShearY 3f2940a71d84",
        "TranslateX 85f0b226c393",
        "TranslateY 827d3e96e101",
    ];

    #[test]
    fn every_operation_gives_the_bytes_of_pillow() {
        let mut hashes = Vec::new();
        for op in OPS {
            let seen = SIGNS.map(|key| op.apply(picture(3), 0.9, true, &[124, 116, 104], &mut Stream::new(key)));
            let bytes = [seen[0].pixels(), seen[1].pixels()].concat();
            hashes.push(format!("{op:?} {}", &sha256_hex(&bytes)[..12]));
        }
        assert_eq!(hashes, PILLOW);
    }

    #[test]
    fn every_operation_works_on_gray_and_on_tiny_pictures_and_only_color_leaves_gray_alone() {
        for (op, increasing) in OPS.into_iter().flat_map(|op| [(op, true), (op, false)]) {
            let gray = op.apply(picture(1), 0.6, increasing, &[116], &mut Stream::new(0));
            assert!((gray == picture(1)) == (op == Op::Color), "{op:?} {increasing}");
            let pixel = Image::from_parts(1, 1, 3, vec![5, 90, 200]);
            let seen = op.apply(pixel, 1.0, increasing, &[0; 3], &mut Stream::new(0));
            assert_eq!((seen.height(), seen.width()), (1, 1));
        }
    }

    #[test]
    fn magnitude_zero_keeps_what_has_a_strength_as_it_is() {
        let mut stream = Stream::new(1);
        for op in OPS {
            let seen = op.apply(picture(3), 0.0, true, &[0; 3], &mut stream);
            let strengthless = [Op::AutoContrast, Op::Equalize, Op::Invert, Op::Posterize].contains(&op);
            assert!((seen == picture(3)) != strengthless, "{op:?}");
        }
    }

    #[test]
    fn two_operations_are_chosen_and_half_of_them_applied() {
        let policy = RandAugment::default();
        let key = |sample| SampleKey {
            seed: 1,
            epoch: 2,
            sample,
            copy: 0,
        };
        let unchanged = (0..2_000).filter(|&sample| policy.apply(picture(3), &[0; 3], key(sample)) == picture(3));
        let share = unchanged.count() as f64 / 2_000.0;
        // Both skipped: 1/4. Two inversions in a row undo each other about once in a thousand.
        assert!((share - 0.25).abs() < 0.03, "{share}");
    }
}
