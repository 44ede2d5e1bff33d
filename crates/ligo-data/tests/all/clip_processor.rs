//! What a model is shown in validation is what `transformers` shows it with the `preprocessor_config.json` that is written beside it: stored
//! pixels of `CLIPImageProcessor` are reached, byte for byte before normalization.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ligo_data::{
    Augmentation, ImageLoader, ImageLoaderSettings, ImageSet, ImageSetSettings, ImageSource, Preprocessor, Watch,
};

/// Of normalized pixels: numpy and this crate round (v/255 − mean)/std in another order.
const ROUNDING: f32 = 1e-6;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/clip_processor")
}

/// The numbers that `transformers` computed, `[2, 3, size, size]`.
fn expected(case: &str) -> Vec<f32> {
    let bytes = fs::read(fixtures().join(case).join("pixels.f32")).unwrap();
    let values = bytes.chunks_exact(4);
    values
        .map(|value| f32::from_le_bytes(value.try_into().unwrap()))
        .collect()
}

/// The pictures of a folder as validation shows them, by their labels.
fn shown(pictures: &str, preprocessor: &Preprocessor) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let source = ImageSource::open(&fixtures().join(pictures)).unwrap();
    let built = ImageSet::build(
        &folder.path().join("set"),
        &source,
        &ImageSetSettings::default(),
        Watch::none(),
    );
    let settings = ImageLoaderSettings {
        seed: 5,
        shuffle: true,
        augmentation: Augmentation::deit(),
        preprocessor: preprocessor.clone(),
        channels: Some(3),
        upscale: true,
    };
    let loader = ImageLoader::new(Arc::new(built.unwrap()), settings).unwrap();
    let mut batches: Vec<_> = loader.validation_batches(1, 2).unwrap().collect();
    batches.sort_by_key(|batch| batch.labels[0]);
    batches.into_iter().flat_map(|batch| batch.pixels).collect()
}

/// The bytes that normalized pixels come from.
fn bytes(pixels: &[f32], preprocessor: &Preprocessor) -> Vec<u8> {
    let plane = preprocessor.image_size * preprocessor.image_size;
    let byte = |(i, value): (usize, &f32)| {
        let channel = i / plane % 3;
        let of = |numbers: &[f32]| numbers[channel % numbers.len()];
        ((value * of(&preprocessor.std) + of(&preprocessor.mean)) / preprocessor.scale).round() as u8
    };
    pixels.iter().enumerate().map(byte).collect()
}

#[test]
fn validation_shows_the_pixels_that_transformers_shows() {
    let mut cases = 0;
    for entry in fs::read_dir(fixtures()).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.join("pixels.f32").is_file() {
            continue;
        }
        cases += 1;
        let case = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let pictures = if case.starts_with("oblong") { "oblong" } else { "color" };
        let preprocessor = Preprocessor::open(&folder).unwrap().unwrap();
        let (expected, shown) = (expected(&case), shown(pictures, &preprocessor));
        assert_eq!(shown.len(), expected.len(), "{case}");
        assert!(
            bytes(&shown, &preprocessor) == bytes(&expected, &preprocessor),
            "{case}: other bytes"
        );
        let worst = shown.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let worst = worst.fold(0.0, f32::max);
        assert!(worst <= ROUNDING, "{case}: {worst} apart");
    }
    assert_eq!(cases, 7);
}

#[test]
fn what_is_written_is_read_back_as_it_was() {
    for entry in fs::read_dir(fixtures()).unwrap() {
        let folder = entry.unwrap().path();
        if let Some(preprocessor) = folder.is_dir().then(|| Preprocessor::open(&folder).unwrap()).flatten() {
            let written = tempfile::tempdir().unwrap();
            let file = written.path().join("preprocessor_config.json");
            fs::write(&file, preprocessor.to_json(3).to_string()).unwrap();
            assert_eq!(Preprocessor::open(&file).unwrap(), Some(preprocessor));
        }
    }
}
