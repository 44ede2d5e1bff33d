//! How a picture becomes the numbers a model expects.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::augment::SMALL_SIDE;
use super::image::Image;
use super::resize::{Filter, resize_shorter};
use super::timm;
use crate::{Error, Result, input};

/// The file of a model directory that says how its pictures are prepared.
pub const PREPROCESSOR_CONFIG: &str = "preprocessor_config.json";

/// The mean color of ImageNet (timm's `IMAGENET_DEFAULT_MEAN`).
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Its standard deviation (timm's `IMAGENET_DEFAULT_STD`).
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
/// The share of the resized picture that validation shows; `--eval-crop-ratio` of DeiT.
const CENTER_SHARE: f64 = 0.875;
/// The largest model input; beyond it the numbers of a file are a mistake.
const MAX_SIDE: usize = 4_096;

/// Size and normalization of a model's input: `x = (v · scale − mean) / std` for a byte `v`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessor {
    /// Height and width of the model's input.
    pub image_size: usize,
    /// The length to which the shorter side is brought in validation before the middle is cut out.
    pub resize_side: usize,
    /// How pictures are resampled.
    pub filter: Filter,
    /// What bytes are multiplied by; 1/255 but for models that take bytes.
    pub scale: f32,
    /// Subtracted, one number for each channel or one for all.
    pub mean: Vec<f32>,
    /// Divided by, one number for each channel or one for all.
    pub std: Vec<f32>,
}

impl Preprocessor {
    /// The same for another size of the model's input; what is cut away keeps its share.
    #[must_use]
    pub fn at(self, image_size: usize) -> Self {
        if image_size == self.image_size {
            return self;
        }
        let share = self.resize_side as f64 / self.image_size as f64;
        Self {
            image_size,
            resize_side: (image_size as f64 * share).round() as usize,
            ..self
        }
    }

    /// ImageNet's mean and standard deviation, and DeiT's sizes: validation resizes to `image_size / 0.875` first, but models of up to 32
    /// pixels see the whole picture.
    pub fn imagenet(image_size: usize) -> Self {
        let resize_side = if image_size > SMALL_SIDE {
            (image_size as f64 / CENTER_SHARE) as usize
        } else {
            image_size
        };
        Self {
            image_size,
            resize_side,
            filter: Filter::Bicubic,
            scale: 1.0 / 255.0,
            mean: IMAGENET_MEAN.to_vec(),
            std: IMAGENET_STD.to_vec(),
        }
    }

    /// Reads a `preprocessor_config.json`, or the one in a model directory; else what `timm` says in its `config.json`. `None` when the directory has
    /// neither.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadPreprocessor`].
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let file = if path.is_dir() {
            path.join(PREPROCESSOR_CONFIG)
        } else {
            path.to_path_buf()
        };
        if path.is_dir() && !file.exists() {
            return Self::of_timm(&path.join("config.json"));
        }
        Self::from_json(&input::read_text(&file, input::CONFIG)?)
            .map(Some)
            .map_err(|reason| Error::BadPreprocessor { path: file, reason })
    }

    /// What a `config.json` of `timm`'s says; `None` where there is no file, or another one.
    fn of_timm(file: &Path) -> Result<Option<Self>> {
        if !file.is_file() {
            return Ok(None);
        }
        let said = timm::preprocessor(&input::read_text(file, input::CONFIG)?).transpose();
        said.map_err(|reason| Error::BadPreprocessor {
            path: file.to_path_buf(),
            reason,
        })
    }

    /// The file's keys as `transformers` defines them for `ViTImageProcessor` and `DeiTImageProcessor`.
    fn from_json(text: &str) -> std::result::Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let Value::Object(config) = value else {
            return Err("expected a JSON object".to_owned());
        };
        let flag = |name: &str, default: bool| match config.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(format!("`{name}`: expected true or false, found {other}")),
        };
        let size = config.get("size").map(|size| side("size", size)).transpose()?;
        let crop = match config.get("crop_size") {
            Some(crop) if flag("do_center_crop", false)? => Some(side("crop_size", crop)?),
            _ => None,
        };
        let resize_side = size.or(crop).ok_or("no `size`")?;
        let image_size = crop.unwrap_or(resize_side);
        let filter = match config.get("resample").map(|value| (value, value.as_u64())) {
            None | Some((Value::Null, _)) | Some((_, Some(2))) => Filter::Bilinear,
            Some((_, Some(3))) => Filter::Bicubic,
            Some((_, Some(1))) => Filter::Lanczos,
            Some((other, _)) => {
                return Err(format!(
                    "`resample`: expected 1, 2 or 3 (Lanczos, bilinear, bicubic), found {other}"
                ));
            }
        };
        let scale = match config.get("rescale_factor") {
            _ if !flag("do_rescale", true)? => 1.0,
            None | Some(Value::Null) => 1.0 / 255.0,
            Some(factor) => match factor.as_f64() {
                Some(factor) if factor.is_finite() && factor > 0.0 => factor as f32,
                _ => return Err(format!("`rescale_factor`: expected a number above 0, found {factor}")),
            },
        };
        let normalize = flag("do_normalize", true)?;
        let numbers = |name: &str, off: f32, default: [f32; 3]| match config.get(name) {
            _ if !normalize => Ok(vec![off]),
            None | Some(Value::Null) => Ok(default.to_vec()),
            Some(value) => channel_numbers(name, value),
        };
        let mean = numbers("image_mean", 0.0, IMAGENET_MEAN)?;
        let std = numbers("image_std", 1.0, IMAGENET_STD)?;
        if let Some(bad) = std.iter().find(|&&std| std <= 0.0) {
            return Err(format!("`image_std`: expected numbers above 0, found {bad}"));
        }
        Ok(Self {
            image_size,
            resize_side: resize_side.max(image_size),
            filter,
            scale,
            mean,
            std,
        })
    }

    /// What a `preprocessor_config.json` says of it, so that `transformers` shows a model what validation showed it: the shorter side resized,
    /// the middle cut out, by `CLIPImageProcessor`. The processors of ViT and DeiT would squeeze pictures into a square. Pictures of three channels
    /// are those that everything else is turned into.
    pub fn to_json(&self, channels: usize) -> Value {
        let resample = match self.filter {
            Filter::Lanczos => 1,
            Filter::Bilinear => 2,
            Filter::Bicubic => 3,
        };
        let [side, size] = [self.resize_side, self.image_size];
        json!({
            "image_processor_type": "CLIPImageProcessor",
            "do_convert_rgb": channels == 3,
            "do_resize": true,
            "size": {"shortest_edge": side},
            "resample": resample,
            "do_center_crop": true,
            "crop_size": {"height": size, "width": size},
            "do_rescale": true,
            "rescale_factor": self.scale,
            "do_normalize": true,
            "image_mean": self.mean,
            "image_std": self.std,
        })
    }

    /// Checks the sizes and the numbers for each channel.
    ///
    /// # Errors
    /// [`Error::BadSetting`].
    pub fn check(&self) -> Result<()> {
        let bad = |name, expected, found| Err(Error::BadSetting { name, expected, found });
        if !(1..=MAX_SIDE).contains(&self.image_size) {
            return bad("image_size", "between 1 and 4096", self.image_size.to_string());
        }
        if !(self.image_size..=4 * MAX_SIDE).contains(&self.resize_side) {
            return bad(
                "resize_side",
                "at least image_size and at most 16384",
                self.resize_side.to_string(),
            );
        }
        let usable =
            |numbers: &[f32]| [1, 3].contains(&numbers.len()) && numbers.iter().all(|number| number.is_finite());
        if !usable(&self.mean) {
            return bad("mean", "one finite number or three", format!("{:?}", self.mean));
        }
        if !usable(&self.std) || self.std.iter().any(|&std| std <= 0.0) {
            return bad("std", "one number above 0 or three", format!("{:?}", self.std));
        }
        Ok(())
    }

    /// The picture as validation shows it: its shorter side brought to `resize_side`, and the middle of that, as `transformers` cuts it out with
    /// the file that is written.
    pub(super) fn evaluation_view(&self, image: &Image) -> Image {
        let resized = self.resized(image, self.resize_side);
        let resized = resized.as_ref().unwrap_or(image);
        resized.processed_center(self.image_size, self.image_size)
    }

    /// The whole picture (its middle, where it is not square) in the model's size.
    pub(super) fn fit(&self, image: &Image) -> Image {
        let resized = self.resized(image, self.image_size);
        resized
            .as_ref()
            .unwrap_or(image)
            .center(self.image_size, self.image_size)
    }

    /// With a shorter side of so many pixels, unless it has that.
    fn resized(&self, image: &Image, side: usize) -> Option<Image> {
        let (height, width) = (image.height(), image.width());
        (height.min(width) != side).then(|| resize_shorter(image, side, self.filter))
    }

    /// The byte that normalization turns into 0, for each channel.
    pub(super) fn mean_color(&self, channels: usize) -> Vec<u8> {
        let color = |mean: f32| (mean / self.scale).round_ties_even().clamp(0.0, 255.0) as u8;
        per_channel(&self.mean, channels).into_iter().map(color).collect()
    }

    /// What each byte becomes, for each channel.
    pub(super) fn tables(&self, channels: usize) -> Vec<[f32; 256]> {
        let (mean, std) = (per_channel(&self.mean, channels), per_channel(&self.std, channels));
        let table = |(mean, std): (f32, f32)| std::array::from_fn(|value| (value as f32 * self.scale - mean) / std);
        mean.into_iter().zip(std).map(table).collect()
    }
}

/// One number for each channel. A gray picture takes the mean of three.
fn per_channel(numbers: &[f32], channels: usize) -> Vec<f32> {
    match numbers {
        [one] => vec![*one; channels],
        _ if channels == 1 => vec![numbers.iter().sum::<f32>() / numbers.len().max(1) as f32],
        _ => numbers.to_vec(),
    }
}

/// `224`, `{"height": 224, "width": 224}` or `{"shortest_edge": 224}`.
fn side(name: &str, value: &Value) -> std::result::Result<usize, String> {
    let key = |key: &str| value.get(key).and_then(Value::as_u64);
    let side = match (key("height"), key("width")) {
        (Some(height), Some(width)) if height == width => Some(height),
        (None, None) => value.as_u64().or_else(|| key("shortest_edge")),
        _ => None,
    };
    match side.and_then(|side| usize::try_from(side).ok()) {
        Some(side) if (1..=MAX_SIDE).contains(&side) => Ok(side),
        _ => Err(format!(
            "`{name}`: expected a number from 1 to {MAX_SIDE}, equal `height` and `width`, or `shortest_edge`; found {value}"
        )),
    }
}

fn channel_numbers(name: &str, value: &Value) -> std::result::Result<Vec<f32>, String> {
    let list = match value {
        Value::Array(list) => list.iter().map(Value::as_f64).collect::<Option<Vec<_>>>(),
        other => other.as_f64().map(|number| vec![number]),
    };
    match list {
        Some(list) if [1, 3].contains(&list.len()) => Ok(list.into_iter().map(|number| number as f32).collect()),
        _ => Err(format!("`{name}`: expected one number or three, found {value}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::fs;

    use super::*;

    #[test]
    fn the_files_of_vit_and_deit_are_understood() {
        // google/vit-base-patch16-224.
        let vit = r#"{"do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": 224}"#;
        let vit = Preprocessor::from_json(vit).unwrap();
        assert_eq!(
            (vit.image_size, vit.resize_side, vit.filter),
            (224, 224, Filter::Bilinear)
        );
        assert_eq!(vit.tables(3)[0][255], 1.0);
        assert_eq!(vit.tables(3)[2][0], -1.0);
        // facebook/deit-base-patch16-224.
        let deit = r#"{"crop_size": 224, "do_center_crop": true, "do_normalize": true, "do_resize": true,
            "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": 256}"#;
        assert_eq!(Preprocessor::from_json(deit).unwrap(), Preprocessor::imagenet(224));
        // As newer versions of transformers write it.
        let newer = r#"{"size": {"height": 256, "width": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": true,
            "do_rescale": false, "do_normalize": false, "image_processor_type": "DeiTImageProcessor"}"#;
        let newer = Preprocessor::from_json(newer).unwrap();
        assert_eq!((newer.image_size, newer.resize_side), (224, 256));
        assert_eq!(newer.tables(3)[1][200], 200.0);
        assert_eq!(
            Preprocessor::from_json(r#"{"size": {"shortest_edge": 32}}"#)
                .unwrap()
                .image_size,
            32
        );
    }

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        for filter in [Filter::Lanczos, Filter::Bilinear, Filter::Bicubic] {
            for image_size in [28, 64, 224] {
                let written = Preprocessor {
                    filter,
                    scale: 1.0 / 127.5,
                    mean: vec![0.5],
                    ..Preprocessor::imagenet(image_size)
                };
                let read = Preprocessor::from_json(&written.to_json(3).to_string()).unwrap();
                assert_eq!(read, written);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (json, named) in [
            ("[]", "object"),
            ("{", "EOF"),
            ("{}", "size"),
            (r#"{"size": 0}"#, "size"),
            (r#"{"size": {"height": 2, "width": 3}}"#, "size"),
            (r#"{"size": 8, "do_rescale": 1}"#, "do_rescale"),
            (r#"{"size": 8, "rescale_factor": "x"}"#, "rescale_factor"),
            (r#"{"size": 8, "image_mean": [1, 2]}"#, "image_mean"),
            (r#"{"size": 8, "image_std": [1, 0, 1]}"#, "image_std"),
            (r#"{"size": 8, "resample": 9}"#, "resample"),
        ] {
            let reason = Preprocessor::from_json(json).unwrap_err();
            assert!(reason.contains(named), "{json}: {reason}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(Preprocessor::open(folder.path()).unwrap().is_none());
        assert!(matches!(
            Preprocessor::open(&folder.path().join("a.json")),
            Err(Error::Io { .. })
        ));
        fs::write(folder.path().join(PREPROCESSOR_CONFIG), "{}").unwrap();
        assert!(matches!(
            Preprocessor::open(folder.path()),
            Err(Error::BadPreprocessor { .. })
        ));
    }

    #[test]
    fn validation_shows_the_middle_of_the_resized_picture() {
        let image = Image::from_parts(300, 500, 3, vec![9; 300 * 500 * 3]);
        let seen = Preprocessor::imagenet(224).evaluation_view(&image);
        assert_eq!((seen.height(), seen.width()), (224, 224));
        let small = Image::from_parts(28, 28, 1, (0..784).map(|at| at as u8).collect());
        assert_eq!(Preprocessor::imagenet(28).evaluation_view(&small), small);
        assert_eq!(Preprocessor::imagenet(28).mean_color(3), [124, 116, 104]);
    }
}
