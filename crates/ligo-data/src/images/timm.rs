//! How `timm` says in its `config.json` what its models were shown.

use serde_json::{Map, Value};

use super::preprocessor::Preprocessor;
use super::resize::Filter;

/// `timm`'s `DEFAULT_CROP_PCT`.
const SHOWN: f64 = 0.875;

/// What such a file says, as `timm.data.resolve_data_config` reads it; `None` when it is none of `timm`'s.
pub(super) fn preprocessor(text: &str) -> Option<Result<Preprocessor, String>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let top = value.as_object()?;
    let is_one = !top.contains_key("model_type") && top.get("architecture").is_some_and(Value::is_string);
    is_one.then(|| parsed(top))
}

fn parsed(top: &Map<String, Value>) -> Result<Preprocessor, String> {
    let inner = |key: &str| top.get(key).and_then(Value::as_object);
    // In older files everything is at the top.
    let config = inner("pretrained_cfg").unwrap_or(top);
    let said = |key: &str| config.get(key).filter(|value| !value.is_null());
    let size = match inner("model_args").and_then(|arguments| arguments.get("img_size")) {
        Some(size) if !size.is_null() => square(size, "img_size", 0)?,
        _ => match said("input_size") {
            Some(size) => square(size, "input_size", 1)?,
            None => 224,
        },
    };
    match said("crop_mode").and_then(Value::as_str) {
        None | Some("center") => {}
        Some(other) => return Err(format!("`crop_mode`: expected center, found {other}")),
    }
    let share = match said("crop_pct") {
        None => SHOWN,
        Some(share) => match share.as_f64() {
            Some(share) if share > 0.0 && share <= 1.0 => share,
            _ => {
                return Err(format!(
                    "`crop_pct`: expected a number above 0 and up to 1, found {share}"
                ));
            }
        },
    };
    let filter = match said("interpolation").map(|name| (name.as_str(), name)) {
        None | Some((Some("bicubic"), _)) => Filter::Bicubic,
        Some((Some("bilinear"), _)) => Filter::Bilinear,
        Some((Some("lanczos"), _)) => Filter::Lanczos,
        Some((_, other)) => {
            return Err(format!(
                "`interpolation`: expected bicubic, bilinear or lanczos, found {other}"
            ));
        }
    };
    let usual = Preprocessor::imagenet(size);
    let colors = |key: &str, usual: Vec<f32>| match said(key) {
        None => Ok(usual),
        Some(value) => {
            let numbers = value.as_array().into_iter().flatten().map(Value::as_f64);
            let numbers: Option<Vec<f32>> = numbers.map(|number| number.map(|n| n as f32)).collect();
            let fits = |numbers: &Vec<f32>| [1, 3].contains(&numbers.len());
            numbers
                .filter(fits)
                .ok_or_else(|| format!("`{key}`: expected one number or three, found {value}"))
        }
    };
    let resized = Preprocessor {
        resize_side: (size as f64 / share).floor() as usize,
        filter,
        mean: colors("mean", usual.mean.clone())?,
        std: colors("std", usual.std.clone())?,
        ..usual
    };
    resized.check().map_err(|error| error.to_string())?;
    Ok(resized)
}

/// The side of a square image, of one number or of all behind the first `skipped`.
fn square(value: &Value, key: &str, skipped: usize) -> Result<usize, String> {
    let numbers = match value {
        Value::Array(numbers) => numbers.get(skipped..).unwrap_or_default(),
        one => std::slice::from_ref(one),
    };
    let sides: Option<Vec<u64>> = numbers.iter().map(Value::as_u64).collect();
    match sides.as_deref() {
        Some([side]) => usize::try_from(*side).map_err(|error| error.to_string()),
        Some([height, width]) if height == width => usize::try_from(*height).map_err(|error| error.to_string()),
        _ => Err(format!("`{key}`: expected a square image, found {value}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn images_are_prepared_as_timm_does() {
        let file = r#"{"architecture": "vit_tiny_patch16_224", "model_args": {"depth": 2}, "pretrained_cfg": {"input_size": [3, 224, 224],
            "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#;
        let found = preprocessor(file).unwrap().unwrap();
        assert_eq!(
            (found.image_size, found.resize_side, found.filter),
            (224, 248, Filter::Bicubic)
        );
        assert_eq!((found.mean, found.std), (vec![0.5; 3], vec![0.5; 3]));
        let older =
            preprocessor(r#"{"architecture": "cait_s24_384", "input_size": [3, 384, 384], "crop_pct": 1.0}"#).unwrap();
        let usual = Preprocessor::imagenet(384);
        assert_eq!(
            older.unwrap(),
            Preprocessor {
                resize_side: 384,
                ..usual
            }
        );
        for none in ["", "[]", r#"{"model_type": "vit", "architecture": "x"}"#, "{}"] {
            assert!(preprocessor(none).is_none(), "{none}");
        }
        for (field, value) in [
            ("crop_mode", r#""squash""#),
            ("crop_pct", "0"),
            ("interpolation", "7"),
            ("mean", "[1, 2]"),
            ("std", "[0, 1, 1]"),
            ("input_size", "[3, 8, 9]"),
            ("input_size", "[]"),
        ] {
            let file = format!(r#"{{"architecture": "x", "{field}": {value}}}"#);
            let reason = preprocessor(&file).unwrap().unwrap_err();
            assert!(reason.contains(field), "{reason}");
        }
    }
}
