//! What happens to a training picture, in which order.

use serde::{Deserialize, Serialize};

use super::color;
use super::crop::{Crop, PaddedCrop};
use super::erasing::RandomErasing;
use super::mixing::Mixing;
use super::rand_augment::RandAugment;
use super::range::check_range;
use crate::images::draw::{Purpose, SampleKey, chance};
use crate::images::image::Image;
use crate::images::preprocessor::Preprocessor;
use crate::{Error, Result};

/// A named set of augmentations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AugmentationPreset {
    /// What DeiT trains with.
    #[default]
    Deit,
    /// A shifted and perhaps mirrored picture, for small sets and short runs.
    Light,
    /// The validation picture.
    None,
}

/// What happens to a training picture and its label.
///
/// As a table it may begin from a preset, and anything it names replaces what the preset says:
///
/// ```
/// let json = r#"{"preset": "light", "flip": 0.0, "erasing": {"probability": 0.5}}"#;
/// let augmentation: ligo_data::Augmentation = serde_json::from_str(json)?;
/// assert_eq!(augmentation.rand_augment.ops, 0);
/// assert_eq!(augmentation.erasing.probability, 0.5);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "AugmentationTable")]
pub struct Augmentation {
    /// Which part of the picture is shown.
    pub crop: Crop,
    /// The share of the samples that are mirrored left to right.
    pub flip: f64,
    /// Random changes of color and shape.
    pub rand_augment: RandAugment,
    /// Brightness, contrast and saturation change by factors from `1 − color_jitter` to `1 + color_jitter`. timm leaves it out beside
    /// RandAugment, and so does [`Self::deit`]; with RandAugment off DeiT's value is 0.3 (its first version 0.4).
    pub color_jitter: f64,
    /// Rectangles of noise.
    pub erasing: RandomErasing,
    /// Mixup and CutMix.
    pub mixing: Mixing,
    /// The share of every label that is spread over all classes.
    pub label_smoothing: f64,
    /// How many copies of a picture follow each other in an epoch, each augmented in its own way; 1 for none.
    ///
    /// Repeated augmentation (Hoffer et al., 1901.09335; Berman et al., 1902.05509): a step sees several views of the same picture. DeiT has 3. As in its sampler, an epoch stays
    /// as long as the set, so it shows a third of the pictures three times, another third in every epoch.
    pub repeats: u64,
}

/// [`Augmentation`] as it is written: a preset and what differs from it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AugmentationTable {
    #[serde(default)]
    preset: AugmentationPreset,
    crop: Option<Crop>,
    flip: Option<f64>,
    rand_augment: Option<RandAugment>,
    color_jitter: Option<f64>,
    erasing: Option<RandomErasing>,
    mixing: Option<Mixing>,
    label_smoothing: Option<f64>,
    repeats: Option<u64>,
}

impl From<AugmentationTable> for Augmentation {
    fn from(table: AugmentationTable) -> Self {
        let preset = Self::preset(table.preset);
        Self {
            crop: table.crop.unwrap_or(preset.crop),
            flip: table.flip.unwrap_or(preset.flip),
            rand_augment: table.rand_augment.unwrap_or(preset.rand_augment),
            color_jitter: table.color_jitter.unwrap_or(preset.color_jitter),
            erasing: table.erasing.unwrap_or(preset.erasing),
            mixing: table.mixing.unwrap_or(preset.mixing),
            label_smoothing: table.label_smoothing.unwrap_or(preset.label_smoothing),
            repeats: table.repeats.unwrap_or(preset.repeats),
        }
    }
}

impl Default for Augmentation {
    fn default() -> Self {
        Self::deit()
    }
}

impl Augmentation {
    /// The augmentations of a preset.
    pub fn preset(preset: AugmentationPreset) -> Self {
        match preset {
            AugmentationPreset::Deit => Self::deit(),
            AugmentationPreset::Light => Self::light(),
            AugmentationPreset::None => Self::none(),
        }
    }

    /// DeiT's: `rand-m9-mstd0.5-inc1`, random erasing 0.25, Mixup 0.8, CutMix 1.0, label smoothing 0.1 (`deit/main.py`). Its three copies of a
    /// picture are asked for with [`Self::repeats`].
    pub fn deit() -> Self {
        Self {
            crop: Crop::Auto,
            flip: 0.5,
            rand_augment: RandAugment::default(),
            color_jitter: 0.0,
            erasing: RandomErasing::default(),
            mixing: Mixing::default(),
            label_smoothing: 0.1,
            repeats: 1,
        }
    }

    /// Padded crop and flip, plain labels.
    pub fn light() -> Self {
        Self {
            crop: Crop::Padded(PaddedCrop::default()),
            flip: 0.5,
            ..Self::none()
        }
    }

    /// Nothing: training pictures look like validation pictures.
    pub fn none() -> Self {
        Self {
            crop: Crop::Center,
            flip: 0.0,
            rand_augment: RandAugment::OFF,
            color_jitter: 0.0,
            erasing: RandomErasing::OFF,
            mixing: Mixing::OFF,
            label_smoothing: 0.0,
            repeats: 1,
        }
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`Error::BadSetting`].
    pub fn check(&self) -> Result<()> {
        self.crop.check()?;
        self.rand_augment.check()?;
        self.erasing.check()?;
        self.mixing.check()?;
        if self.repeats == 0 {
            return Err(Error::BadSetting {
                name: "augmentation.repeats",
                expected: "at least 1",
                found: "0".to_owned(),
            });
        }
        check_range("augmentation.flip", self.flip, 0.0, 1.0)?;
        check_range("augmentation.color_jitter", self.color_jitter, 0.0, 1.0)?;
        check_range("augmentation.label_smoothing", self.label_smoothing, 0.0, 1.0)
    }

    /// Everything that happens before normalization. The result has the model's size.
    pub(in crate::images) fn apply(&self, image: &Image, preprocessor: &Preprocessor, key: SampleKey) -> Image {
        let side = preprocessor.image_size;
        let mut seen = match self.crop.resolved(side) {
            Crop::RandomResized(crop) => crop.apply(image, side, preprocessor.filter, key),
            Crop::Padded(crop) => crop.apply(&preprocessor.fit(image), key),
            Crop::Center | Crop::Auto => preprocessor.evaluation_view(image),
        };
        if chance(&mut key.stream(Purpose::Flip), self.flip) {
            seen = seen.flipped();
        }
        if self.rand_augment.ops > 0 {
            let fill = preprocessor.mean_color(seen.channels());
            seen = self.rand_augment.apply(seen, &fill, key);
        }
        if self.color_jitter > 0.0 {
            color::jitter(&mut seen, self.color_jitter, key);
        }
        seen
    }

    /// What happens after normalization, to `[channels, height, width]`.
    pub(in crate::images) fn erase(&self, pixels: &mut [f32], height: usize, width: usize, key: SampleKey) {
        self.erasing.apply(pixels, height, width, key);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::crop::RandomResizedCrop;
    use super::*;
    use crate::hash::sha256_hex;

    fn picture() -> Image {
        let at = |y: usize, x: usize, c: usize| (40 + (y * 5 + x * 3 * (c + 1) + (x * y) % 17 * c) % 170) as u8;
        let pixels = (0..40 * 48 * 3).map(|i| at(i / 3 / 48, i / 3 % 48, i % 3));
        Image::from_parts(40, 48, 3, pixels.collect())
    }

    fn key(sample: u64) -> SampleKey {
        SampleKey {
            seed: 11,
            epoch: 4,
            sample,
            copy: 0,
        }
    }

    #[test]
    fn every_augmentation_has_its_golden_hash() {
        let none = Augmentation::none();
        let cases = [
            ("none", none),
            (
                "padded crop",
                Augmentation {
                    crop: Crop::Padded(PaddedCrop::default()),
                    ..none
                },
            ),
            (
                "random resized crop",
                Augmentation {
                    crop: Crop::RandomResized(RandomResizedCrop::default()),
                    ..none
                },
            ),
            ("flip", Augmentation { flip: 1.0, ..none }),
            (
                "rand augment",
                Augmentation {
                    rand_augment: RandAugment::default(),
                    ..none
                },
            ),
            (
                "color jitter",
                Augmentation {
                    color_jitter: 0.4,
                    ..none
                },
            ),
            ("deit", Augmentation::deit()),
        ];
        let preprocessor = Preprocessor::imagenet(36);
        let mut hashes: Vec<String> = Vec::new();
        for (name, augmentation) in cases {
            let seen: Vec<u8> = (0..8)
                .flat_map(|s| augmentation.apply(&picture(), &preprocessor, key(s)).pixels().to_vec())
                .collect();
            hashes.push(format!("{name}: {}", &sha256_hex(&seen)[..16]));
        }
        let mut erased = vec![0.0; 3 * 32 * 32];
        RandomErasing {
            probability: 1.0,
            ..RandomErasing::default()
        }
        .apply(&mut erased, 32, 32, key(0));
        // Logarithms and sines may differ in the last bit between systems; thousandths do not.
        let rounded: Vec<u8> = erased
            .iter()
            .flat_map(|v: &f32| ((v * 1e3).round() as i32).to_le_bytes())
            .collect();
        hashes.push(format!("erasing: {}", &sha256_hex(&rounded)[..16]));
        let shares: Vec<String> = (0..4)
            .map(|s| format!("{:.6}", Mixing::default().draw(224, 224, key(s)).own()))
            .collect();
        hashes.push(format!("mixing: {}", shares.join(" ")));
        assert_eq!(hashes, GOLDEN);
    }

    const GOLDEN: [&str; 9] = [
        "none: 981e7051b6569ff6",
        "padded crop: eac3b210a455c390",
        "random resized crop: a29a4687e43bf386",
        "flip: 340d72f301158db9",
        "rand augment: ca4fb706372704a0",
        "color jitter: 684176facd1e4854",
        "deit: 9701ffd533330626",
        "erasing: 18d4d82b71445370",
        "mixing: 0.868813 0.850359 0.915816 0.902344",
    ];

    #[test]
    fn switching_one_augmentation_off_leaves_the_others_as_they_were() {
        let preprocessor = Preprocessor::imagenet(36);
        let crop = Augmentation {
            crop: Crop::RandomResized(RandomResizedCrop::default()),
            ..Augmentation::none()
        };
        let both = Augmentation { flip: 1.0, ..crop };
        for sample in 0..20 {
            let flipped = both.apply(&picture(), &preprocessor, key(sample));
            assert_eq!(flipped.flipped(), crop.apply(&picture(), &preprocessor, key(sample)));
        }
    }

    #[test]
    fn a_sample_differs_between_epochs_and_seeds() {
        let preprocessor = Preprocessor::imagenet(36);
        let seen = |key| Augmentation::deit().apply(&picture(), &preprocessor, key);
        assert_eq!(seen(key(1)), seen(key(1)));
        assert_ne!(seen(key(1)), seen(SampleKey { epoch: 5, ..key(1) }));
        assert_ne!(seen(key(1)), seen(SampleKey { seed: 12, ..key(1) }));
        assert_ne!(seen(key(1)), seen(key(2)));
    }

    #[test]
    fn a_table_takes_what_it_does_not_name_from_its_preset_and_refuses_unknown_names() {
        let read = |json: &str| serde_json::from_str::<Augmentation>(json);
        assert_eq!(read("{}").unwrap(), Augmentation::deit());
        assert_eq!(read(r#"{"preset": "none"}"#).unwrap(), Augmentation::none());
        let light = read(r#"{"preset": "light", "crop": {"padded": {"padding": 2}}, "mixing": {"cutmix_alpha": 0.0}}"#)
            .unwrap();
        assert_eq!(light.crop, Crop::Padded(PaddedCrop { padding: 2 }));
        assert_eq!(
            light.mixing,
            Mixing {
                cutmix_alpha: 0.0,
                ..Mixing::default()
            }
        );
        assert_eq!((light.label_smoothing, light.repeats), (0.0, 1));
        assert_eq!(read(r#"{"repeats": 3}"#).unwrap().repeats, 3);
        for json in [
            r#"{"flipp": 1}"#,
            r#"{"preset": "heavy"}"#,
            r#"{"crop": {"padded": {"pad": 2}}}"#,
            r#"{"erasing": {"p": 1}}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
        for preset in [Augmentation::deit(), Augmentation::light(), Augmentation::none()] {
            preset.check().unwrap();
            assert_eq!(read(&serde_json::to_string(&preset).unwrap()).unwrap(), preset);
        }
    }

    #[test]
    fn numbers_outside_their_range_are_named() {
        let deit = Augmentation::deit();
        let bad = [
            (Augmentation { flip: 1.5, ..deit }, "augmentation.flip"),
            (Augmentation { repeats: 0, ..deit }, "augmentation.repeats"),
            (
                Augmentation {
                    label_smoothing: f64::NAN,
                    ..deit
                },
                "augmentation.label_smoothing",
            ),
            (
                Augmentation {
                    crop: Crop::RandomResized(RandomResizedCrop {
                        scale: [0.5, 0.2],
                        ..Default::default()
                    }),
                    ..deit
                },
                "augmentation.crop.scale",
            ),
            (
                Augmentation {
                    crop: Crop::RandomResized(RandomResizedCrop {
                        ratio: [0.0, 1.0],
                        ..Default::default()
                    }),
                    ..deit
                },
                "augmentation.crop",
            ),
            (
                Augmentation {
                    erasing: RandomErasing {
                        min_aspect: 0.0,
                        ..deit.erasing
                    },
                    ..deit
                },
                "augmentation.erasing",
            ),
            (
                Augmentation {
                    mixing: Mixing {
                        mixup_alpha: -1.0,
                        ..deit.mixing
                    },
                    ..deit
                },
                "augmentation.mixing.mixup_alpha",
            ),
            (
                Augmentation {
                    rand_augment: RandAugment {
                        magnitude: 11.0,
                        ..deit.rand_augment
                    },
                    ..deit
                },
                "augmentation.rand_augment.magnitude",
            ),
        ];
        for (augmentation, expected) in bad {
            match augmentation.check() {
                Err(Error::BadSetting { name, .. }) => assert_eq!(name, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }
}
