//! The first stage of a run on images: decoding them into a set.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ligo_arch::ModelConfig;
use ligo_data::{
    DamagedImages, ImageSet, ImageSetSettings, ImageSource, ImageSplit, PREPROCESSOR_CONFIG, Preprocessor, Watch,
};
use serde_json::json;

use super::dataset::{Content, Dataset, Images};
use super::stage::{STAGE_JSON, stage};
use super::text::{damaged, listed, remove, remove_file};
use crate::files::write_whole;
use crate::recipe::Recipe;
use crate::stop::STOP;
use crate::{Counted, Failure, Listener, identity};

/// Which images, and how they are decoded.
pub struct Wanted<'a> {
    /// A folder or file.
    pub paths: &'a [PathBuf],
    /// What to validate on; without it, images of `paths` are held out.
    pub valid_paths: &'a [PathBuf],
    /// Share held out.
    pub valid_fraction: f64,
    /// What becomes of one that cannot be decoded.
    pub damaged: DamagedImages,
    /// From pixels to the model's input.
    pub preprocessor: Preprocessor,
}

/// Decodes the images of a recipe unless that was done before.
///
/// # Errors
/// The images cannot be found, read or written, or the user asked to stop.
pub fn prepare(
    recipe: &Recipe,
    model: &ModelConfig,
    folder: &Path,
    listener: &dyn Listener,
) -> Result<Dataset, Failure> {
    let section = &recipe.corpus;
    let wanted = Wanted {
        paths: &section.paths,
        valid_paths: &section.valid_paths,
        valid_fraction: section.valid_fraction,
        damaged: section.damaged_images,
        preprocessor: preprocessor(recipe, model)?,
    };
    let images = decode(&wanted, folder, listener)?;
    let fingerprint = images.fingerprint();
    let stem = section.paths[0].file_stem().unwrap_or_default();
    let content = Content::Images(images);
    Ok(Dataset {
        baselines: content.baselines(model.task()),
        name: stem.to_string_lossy().into_owned(),
        fingerprint,
        content,
    })
}

/// Decodes images into `folder/images` unless that was done before.
///
/// # Errors
/// As [`prepare`].
pub fn decode(wanted: &Wanted<'_>, folder: &Path, listener: &dyn Listener) -> Result<Images, Failure> {
    let split = find(wanted.paths, wanted.valid_paths, wanted.valid_fraction)?;
    let images = folder.join(FOLDER);
    std::fs::create_dir_all(&images).map_err(Failure::io("create", &images))?;
    let settings = ImageSetSettings {
        side: wanted.preprocessor.resize_side,
        damaged: wanted.damaged,
        ..ImageSetSettings::default()
    };
    let hashes = hashes_of(&split)?;
    let files = |source: &ImageSource| {
        let named = source.files().map(|(name, path)| json!([name, hashes.get(path)]));
        json!([source.class_names(), named.collect::<Vec<_>>()])
    };
    let inputs =
        json!({"train": files(&split.train), "valid": files(&split.valid), "how": split.how, "settings": settings});
    told(&split, listener);
    stage(listener, "images", &images, &inputs, &["train", "valid"], || {
        // Aside, so that the sets there are stay until the new ones are whole.
        let aside = images.join(UNFINISHED);
        remove(&aside)?;
        let parts = [("train", &split.train), ("valid", &split.valid)];
        for (part, source) in parts {
            build(&aside.join(part), source, &settings, part, listener)?;
        }
        remove_file(&images.join(STAGE_JSON))?;
        for (part, _) in parts {
            let place = images.join(part);
            remove(&place)?;
            std::fs::rename(aside.join(part), &place).map_err(Failure::io("rename the finished folder to", &place))?;
        }
        ligo_data::sync_folder(&images)?;
        remove(&aside)
    })?;
    let config = format!("{:#}\n", wanted.preprocessor.to_json(settings.channels));
    write_whole(&images.join(PREPROCESSOR_CONFIG), config.as_bytes())?;
    let images = open(folder)?;
    let skipped = || images.train.info().skipped.iter().chain(&images.valid.info().skipped);
    for skipped in skipped() {
        listener.say(&format!("images: {} is left out: {}", skipped.name, skipped.reason));
    }
    let count = skipped().count() as u64;
    if count > 0 {
        let all = images.train.len() + images.valid.len() + count;
        listener.say(&format!(
            "images: {count} of {all} could not be decoded and are left out"
        ));
    }
    let info = images.train.info();
    listener.say(&format!(
        "images: {} to train on, {} to validate on ({}), {} classes, {} × {} pixels, class-prior loss {:.3}",
        images.train.len(),
        images.valid.len(),
        split.how,
        images.train.num_classes(),
        info.height,
        info.width,
        info.class_prior_loss(images.valid.info()).unwrap_or(f64::NAN),
    ));
    Ok(images)
}

/// The images of one path, with some held out, or of two.
///
/// # Errors
/// They cannot be found or read.
pub fn find(paths: &[PathBuf], valid_paths: &[PathBuf], valid_fraction: f64) -> Result<ImageSplit, Failure> {
    match (paths, valid_paths) {
        ([path], []) => Ok(ImageSplit::find(path, valid_fraction)?),
        ([train], [valid]) => Ok(ImageSplit::from_paths(train, valid)?),
        _ => Err(Failure::other(
            "images come from one folder or file, and at most one to validate on",
            "--data FOLDER, or corpus.paths and corpus.valid_paths with one entry each",
        )),
    }
}

/// The content of all files of a set; those that training and validation images share are read once.
fn hashes_of(split: &ImageSplit) -> Result<HashMap<PathBuf, String>, Failure> {
    let all = split.train.files().chain(split.valid.files());
    let mut paths: Vec<PathBuf> = all.map(|(_, path)| path.to_path_buf()).collect();
    paths.sort_unstable();
    paths.dedup();
    let hashes = identity::of_files(&paths)?;
    Ok(paths.into_iter().zip(hashes).collect())
}

/// Opens what [`decode`] left in a folder.
///
/// # Errors
/// It is not there, or damaged.
pub fn open(folder: &Path) -> Result<Images, Failure> {
    let folder = folder.join(FOLDER);
    let preprocessor = if folder.is_dir() {
        Preprocessor::open(&folder)?
    } else {
        None
    };
    let preprocessor = preprocessor.ok_or_else(|| {
        Failure::other(
            format!("there is no {}", folder.join(PREPROCESSOR_CONFIG).display()),
            "expected a folder that `ligo images` or a run on images made",
        )
    })?;
    let set = |part: &str| ImageSet::open(&folder.join(part)).map_err(damaged(&folder));
    Ok(Images {
        train: Arc::new(set("train")?),
        valid: Arc::new(set("valid")?),
        preprocessor,
        folder,
    })
}

/// Where the sets are inside a run's folder.
const FOLDER: &str = "images";
/// Where they are made.
const UNFINISHED: &str = ".decoding";

/// Says which files are not read.
fn told(split: &ImageSplit, listener: &dyn Listener) {
    let mut files: Vec<&PathBuf> = split
        .train
        .passed_over()
        .iter()
        .chain(split.valid.passed_over())
        .collect();
    files.sort();
    files.dedup();
    if !files.is_empty() {
        let names = listed(files.iter().map(|path| path.display().to_string()));
        listener.say(&format!(
            "images: left out: {names}: neither JPEG or PNG of a class nor part of what names call train, valid or test"
        ));
    }
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

fn build(
    folder: &Path,
    source: &ImageSource,
    settings: &ImageSetSettings,
    part: &str,
    listener: &dyn Listener,
) -> Result<(), Failure> {
    let progress = listener.progress(&format!("decoding {part}"), Counted::Items);
    let report = |done, total| progress.at(done, total);
    ImageSet::build(folder, source, settings, Watch::new(&report, &STOP)).map_err(|error| match error {
        ligo_data::Error::BadImage { .. } => Failure::other(
            error.to_string(),
            "repair or remove it, or leave out all that cannot be decoded: --set corpus.damaged_images=skip",
        ),
        other => other.into(),
    })?;
    Ok(())
}
