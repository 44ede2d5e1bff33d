//! Makes an image set of a path, shows augmented samples as one PNG and measures how fast batches are made.
//!
//! ```sh
//! cargo run --release -p ligo-data --example images -- PATH SHEET.png [IMAGE_SIZE] [deit|light|none]
//! ```
//!
//! The first column of the sheet holds the validation pictures, the next ones the same pictures in as many epochs, before Mixup and CutMix.
//! Below the line are pictures of whole batches, mixed.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use image::{Rgb, RgbImage};
use ligo_data::images::Mixing;
use ligo_data::{
    Augmentation, AugmentationPreset, Cursor, ImageLoader, ImageLoaderSettings, ImageSet, ImageSetSettings, ImageSplit,
    Preprocessor, Watch,
};

const ROWS: u32 = 8;
const COLUMNS: u32 = 12;
const MIXED_ROWS: u32 = 4;
const GAP: u32 = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, sheet, rest @ ..] = arguments.as_slice() else {
        return Err("usage: images PATH SHEET.png [IMAGE_SIZE] [deit|light|none]".into());
    };
    let image_size: usize = rest.first().map_or(Ok(32), |size| size.parse())?;
    let preset: AugmentationPreset = match rest.get(1) {
        Some(name) => serde_json::from_value(name.as_str().into())?,
        None => AugmentationPreset::Deit,
    };
    let preprocessor = Preprocessor::imagenet(image_size);
    let split = ImageSplit::find(Path::new(path), 0.1)?;
    println!(
        "{:?}, {} classes, divided by {}",
        split.train.format(),
        split.train.class_names().len(),
        split.how
    );
    let folder = tempfile::tempdir()?;
    let stored = ImageSetSettings {
        side: preprocessor.resize_side,
        ..ImageSetSettings::default()
    };
    let started = Instant::now();
    let train = ImageSet::build(&folder.path().join("train"), &split.train, &stored, Watch::none())?;
    let seconds = started.elapsed().as_secs_f64();
    let valid = ImageSet::build(&folder.path().join("valid"), &split.valid, &stored, Watch::none())?;
    let info = train.info();
    println!(
        "{} pictures of {}×{}×{}, {:.0} stored a second; {} to validate with",
        info.images,
        info.height,
        info.width,
        info.channels,
        info.images as f64 / seconds,
        valid.len()
    );
    let prior = info.class_prior_loss(valid.info()).ok_or("nothing to measure")?;
    println!("loss of a predictor that knows only how frequent the classes are: {prior:.4} nats");

    let mixed = Augmentation::preset(preset);
    let settings = ImageLoaderSettings {
        seed: 1,
        shuffle: false,
        augmentation: Augmentation {
            mixing: Mixing {
                probability: 0.0,
                ..mixed.mixing
            },
            ..mixed
        },
        preprocessor,
        channels: Some(3),
        upscale: true,
    };
    let set = Arc::new(train);
    let single = ImageLoader::new(set.clone(), settings.clone())?;
    let plain = ImageLoaderSettings {
        augmentation: Augmentation::none(),
        ..settings.clone()
    };
    let plain = ImageLoader::new(set.clone(), plain)?;
    let mixed = ImageLoader::new(
        set,
        ImageLoaderSettings {
            augmentation: mixed,
            ..settings
        },
    )?;

    let step = image_size as u32 + GAP;
    let mut canvas = RgbImage::from_pixel(COLUMNS * step, (ROWS + MIXED_ROWS) * step + GAP, Rgb([255; 3]));
    for column in 0..COLUMNS {
        let (loader, epoch) = if column == 0 {
            (&plain, 0)
        } else {
            (&single, u64::from(column - 1))
        };
        let (batch, _) = loader.batch_at(Cursor { epoch, index: 0 }, ROWS as usize)?;
        for (row, picture) in batch.pixels.chunks_exact(3 * image_size * image_size).enumerate() {
            paint(&mut canvas, picture, image_size, column * step, row as u32 * step);
        }
    }
    for row in 0..MIXED_ROWS {
        let cursor = Cursor {
            epoch: u64::from(row),
            index: 0,
        };
        let (batch, _) = mixed.batch_at(cursor, COLUMNS as usize)?;
        for (column, picture) in batch.pixels.chunks_exact(3 * image_size * image_size).enumerate() {
            let top = (ROWS + row) * step + GAP;
            paint(&mut canvas, picture, image_size, column as u32 * step, top);
        }
    }
    // Enlarged by whole pixels, so that small pictures can be looked at.
    let zoom = (96 / image_size as u32).max(1);
    let large = RgbImage::from_fn(canvas.width() * zoom, canvas.height() * zoom, |x, y| {
        *canvas.get_pixel(x / zoom, y / zoom)
    });
    large.save(sheet)?;
    println!("wrote {sheet}");

    for (name, loader) in [("without augmentation", &plain), ("augmented", &mixed)] {
        let batch_size = 64.min(loader.epoch_len() as usize);
        let (mut cursor, started, mut pictures) = (Cursor::default(), Instant::now(), 0);
        while started.elapsed().as_secs_f64() < 3.0 {
            let (batch, next) = loader.batch_at(cursor, batch_size)?;
            pictures += batch.batch_size;
            cursor = next;
        }
        let a_second = pictures as f64 / started.elapsed().as_secs_f64();
        let threads = rayon::current_num_threads();
        println!("{name}: {a_second:.0} pictures a second on {threads} threads");
    }
    Ok(())
}

/// Puts a picture `[3, side, side]` onto the sheet, its normalization undone.
fn paint(canvas: &mut RgbImage, picture: &[f32], side: usize, left: u32, top: u32) {
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for y in 0..side {
        for x in 0..side {
            let byte = |channel: usize| {
                let value = picture[(channel * side + y) * side + x] * std[channel] + mean[channel];
                (value * 255.0).round().clamp(0.0, 255.0) as u8
            };
            canvas.put_pixel(left + x as u32, top + y as u32, Rgb([byte(0), byte(1), byte(2)]));
        }
    }
}
