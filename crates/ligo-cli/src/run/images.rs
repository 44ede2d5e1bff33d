//! The first stage of a run on images: decoding them into a set.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ligo_arch::ModelConfig;
use ligo_data::{ImageSet, ImageSetSettings, ImageSource, ImageSplit, PREPROCESSOR_CONFIG, Preprocessor, Watch};
use serde_json::json;

use super::dataset::{Baselines, Content, Dataset, Images};
use super::stage::{fingerprint, stage, write_whole};
use super::text::{modified, remove};
use crate::recipe::Recipe;
use crate::stop::STOP;
use crate::{Failure, Ui};

/// Decodes the images of a recipe unless that was done before.
///
/// # Errors
/// The images cannot be found, read or written, or the user asked to stop.
pub fn prepare(recipe: &Recipe, model: &ModelConfig, folder: &Path, ui: Ui) -> Result<Dataset, Failure> {
    let section = &recipe.corpus;
    let split = match (section.paths.as_slice(), section.valid_paths.as_slice()) {
        ([path], []) => ImageSplit::find(path, section.valid_fraction)?,
        ([train], [valid]) => ImageSplit::from_paths(train, valid)?,
        _ => {
            return Err(Failure::other(
                "a run on images takes one folder or file, and at most one to validate on",
                "--data FOLDER, or corpus.paths and corpus.valid_paths with one entry each",
            ));
        }
    };
    let preprocessor = preprocessor(recipe, model)?;
    let images = folder.join("images");
    std::fs::create_dir_all(&images).map_err(Failure::io("create", &images))?;
    let settings = ImageSetSettings {
        side: preprocessor.resize_side,
        damaged: section.damaged_images,
        ..ImageSetSettings::default()
    };
    let files = |source: &ImageSource| json!([source.path(), source.total_bytes(), modified(source.path())]);
    let inputs =
        json!({"train": files(&split.train), "valid": files(&split.valid), "how": split.how, "settings": settings});
    stage(ui, "images", &images, &inputs, || {
        for (part, source) in [("train", &split.train), ("valid", &split.valid)] {
            build(&images.join(part), source, &settings, part, ui)?;
        }
        Ok(())
    })?;
    write_whole(&images.join(PREPROCESSOR_CONFIG), &config_of(&preprocessor))?;
    let train = ImageSet::open(&images.join("train"))?;
    let valid = ImageSet::open(&images.join("valid"))?;
    for skipped in train.info().skipped.iter().chain(&valid.info().skipped) {
        ui.say(format!("images: {} is left out: {}", skipped.name, skipped.reason));
    }
    let unigram = train.info().class_prior_loss(valid.info()).unwrap_or(f64::NAN);
    let info = train.info();
    ui.say(format!(
        "images: {} to train on, {} to validate on ({}), {} classes, {} × {} pixels, class-prior loss {unigram:.3}",
        train.len(),
        valid.len(),
        split.how,
        train.num_classes(),
        info.height,
        info.width,
    ));
    let hashes = [train.info(), valid.info()].map(|i| json!([i.images_sha256, i.labels_sha256]));
    let stem = section.paths[0].file_stem().unwrap_or_default();
    Ok(Dataset {
        baselines: Baselines {
            unigram,
            context_free: None,
        },
        name: stem.to_string_lossy().into_owned(),
        fingerprint: fingerprint(&json!([hashes, preprocessor])),
        content: Content::Images(Images {
            train: Arc::new(train),
            valid: Arc::new(valid),
            preprocessor,
            folder: images,
        }),
    })
}

/// The given small model's own preprocessing, or ImageNet's; at the model's size.
fn preprocessor(recipe: &Recipe, model: &ModelConfig) -> Result<Preprocessor, Failure> {
    let given: Option<&PathBuf> = recipe.small.path.as_ref();
    let [_, height, _] = model.image_shape().unwrap_or_default();
    if let Some(own) = given.map(|path| Preprocessor::open(path)).transpose()?.flatten() {
        return Ok(own.at(height));
    }
    Ok(Preprocessor::imagenet(height))
}

/// `preprocessor_config.json` with the keys of `transformers`' `ViTImageProcessor`.
fn config_of(preprocessor: &Preprocessor) -> Vec<u8> {
    let size = preprocessor.image_size;
    let config = json!({
        "image_processor_type": "ViTImageProcessor",
        "do_resize": true,
        "size": {"height": size, "width": size},
        "resample": 3,
        "do_rescale": true,
        "rescale_factor": preprocessor.scale,
        "do_normalize": true,
        "image_mean": preprocessor.mean,
        "image_std": preprocessor.std,
    });
    format!("{config:#}\n").into_bytes()
}

fn build(folder: &Path, source: &ImageSource, settings: &ImageSetSettings, part: &str, ui: Ui) -> Result<(), Failure> {
    remove(folder)?;
    let bar = ui.items_bar(&format!("decoding {part}"), 0);
    let report = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    ImageSet::build(folder, source, settings, Watch::new(&report, &STOP)).map_err(|error| match error {
        ligo_data::Error::BadImage { .. } => Failure::other(
            error.to_string(),
            "repair or remove it, or leave out all that cannot be decoded: --set corpus.damaged_images=skip",
        ),
        other => other.into(),
    })?;
    bar.finish_and_clear();
    Ok(())
}
