//! Batches of pictures: a resumed run sees what an uninterrupted one would have seen, on any number of threads.

use std::fs;
use std::sync::Arc;

use ligo_data::images::{Mixing, RandomErasing};
use ligo_data::{
    Augmentation, Cursor, Error, ImageBatch, ImageLoader, ImageLoaderSettings, ImageSet, ImageSetSettings, ImageSource,
    Preprocessor, Watch,
};

struct Data {
    _folder: tempfile::TempDir,
    set: Arc<ImageSet>,
}

/// CIFAR records: picture `i` has the label `i % 5` and a pattern of its own.
fn color(count: usize) -> Data {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    for at in 0..count {
        bytes.push((at % 5) as u8);
        bytes.extend((0..3072).map(|i| (i / 1024 * 40 + i % 32 * (at % 7 + 1) + i / 32 % 32 * 3 + at) as u8));
    }
    fs::write(folder.path().join("train.bin"), bytes).unwrap();
    data(folder)
}

/// MNIST's layout with pictures of 12×12.
fn gray(count: u32) -> Data {
    let folder = tempfile::tempdir().unwrap();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let mut images = words(&[0x803, count, 12, 12]);
    images.extend((0..count * 144).map(|i| (i * 5) as u8));
    let mut labels = words(&[0x801, count]);
    labels.extend((0..count).map(|i| (i % 3) as u8));
    fs::write(folder.path().join("train-images-idx3-ubyte"), images).unwrap();
    fs::write(folder.path().join("train-labels-idx1-ubyte"), labels).unwrap();
    data(folder)
}

fn data(folder: tempfile::TempDir) -> Data {
    let source = ImageSource::open(folder.path()).unwrap();
    let set = ImageSet::build(
        &folder.path().join("set"),
        &source,
        &ImageSetSettings::default(),
        Watch::none(),
    )
    .unwrap();
    Data {
        _folder: folder,
        set: Arc::new(set),
    }
}

fn settings(image_size: usize) -> ImageLoaderSettings {
    ImageLoaderSettings {
        seed: 5,
        shuffle: true,
        augmentation: Augmentation::deit(),
        preprocessor: Preprocessor::imagenet(image_size),
        channels: None,
        upscale: false,
    }
}

fn loader(data: &Data, settings: ImageLoaderSettings) -> ImageLoader {
    ImageLoader::new(data.set.clone(), settings).unwrap()
}

/// Bits, so that equal means equal.
fn bits(batch: &ImageBatch) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    (bits(&batch.pixels), bits(&batch.targets), batch.labels.clone())
}

#[test]
fn a_resumed_run_sees_the_exact_sequence_of_batches() {
    let data = color(50);
    let loader = loader(&data, settings(32));
    assert_eq!(loader.epoch_len(), 50);
    let run = |mut cursor: Cursor, batches: usize| {
        let mut seen = Vec::new();
        for _ in 0..batches {
            let (batch, next) = loader.batch_at(cursor, 8).unwrap();
            seen.push(bits(&batch));
            cursor = next;
        }
        (seen, cursor)
    };
    let (whole, end) = run(Cursor::default(), 13);
    assert_eq!(end, Cursor { epoch: 2, index: 4 });
    for stop in [1, 6, 7, 12] {
        let (mut pieces, cursor) = run(Cursor::default(), stop);
        let saved = serde_json::to_string(&cursor).unwrap();
        pieces.extend(run(serde_json::from_str(&saved).unwrap(), 13 - stop).0);
        assert!(pieces == whole, "stopped after {stop}");
    }
    let all: Vec<_> = (0..50)
        .map(|index| loader.samples_at(Cursor { epoch: 1, index }, 1).unwrap().0[0].1)
        .collect();
    let mut sorted = all.clone();
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..50));
    assert!(!all.is_sorted());
}

#[test]
fn batches_do_not_depend_on_the_number_of_threads() {
    let data = color(40);
    let seen = [1, 2, 7].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let loader = loader(&data, settings(32));
            let (batch, _) = loader.batch_at(Cursor { epoch: 3, index: 9 }, 24).unwrap();
            bits(&batch)
        })
    });
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

#[test]
fn without_augmentation_a_batch_is_the_normalized_picture_and_its_label() {
    let data = color(10);
    let plain = ImageLoaderSettings {
        augmentation: Augmentation::none(),
        shuffle: false,
        ..settings(32)
    };
    let loader = loader(&data, plain);
    let (batch, next) = loader.batch_at(Cursor { epoch: 0, index: 3 }, 2).unwrap();
    assert_eq!(next, Cursor { epoch: 0, index: 5 });
    assert_eq!(
        (batch.batch_size, batch.channels, batch.height, batch.width),
        (2, 3, 32, 32)
    );
    assert_eq!(batch.labels, [3, 4]);
    assert_eq!(batch.targets, [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for (sample, picture) in batch.pixels.chunks_exact(3 * 1024).zip([3, 4]) {
        let image = data.set.image(picture).unwrap();
        for (at, &value) in sample.iter().enumerate() {
            let (channel, place) = (at / 1024, at % 1024);
            let byte = f32::from(image.pixels()[place * 3 + channel]);
            assert!((value - (byte / 255.0 - mean[channel]) / std[channel]).abs() < 1e-5);
        }
    }
}

#[test]
fn deit_batches_have_soft_targets_that_sum_to_one_and_change_from_epoch_to_epoch() {
    let data = color(40);
    let loader = loader(&data, settings(32));
    let (mut own, mut rows) = (0.0, 0.0);
    for epoch in 0..60 {
        let (batch, _) = loader.batch_at(Cursor { epoch, index: 0 }, 20).unwrap();
        for (row, &label) in batch.targets.chunks_exact(5).zip(&batch.labels) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            assert!(row.iter().all(|&share| share >= 0.1 / 5.0 - 1e-6));
            own += f64::from(row[label as usize]);
            rows += 1.0;
        }
        assert!(batch.pixels.iter().all(|value| value.is_finite()));
    }
    // Mixup keeps 0.5 of the own label, CutMix 0.68 (see mixing.rs); a fifth of the partners share it, and a tenth is smoothed away.
    let kept = (0.5 + 0.68) / 2.0;
    let expected = 0.9 * (kept + (1.0 - kept) * 0.2) + 0.02;
    assert!((own / rows - expected).abs() < 0.07, "{} {expected}", own / rows);
    let at = |epoch, seed| {
        let loader = self::loader(
            &data,
            ImageLoaderSettings {
                seed,
                shuffle: false,
                ..settings(32)
            },
        );
        loader.batch_at(Cursor { epoch, index: 0 }, 4).unwrap().0
    };
    assert_eq!(at(0, 1), at(0, 1));
    assert_ne!(at(0, 1).pixels, at(1, 1).pixels);
    assert_ne!(at(0, 1).pixels, at(0, 2).pixels);
}

#[test]
fn repeated_augmentation_shows_copies_of_a_picture_in_a_row_each_in_its_own_way() {
    let data = color(50);
    let with = |repeats| {
        let augmentation = Augmentation {
            repeats,
            mixing: Mixing {
                mixup_alpha: 0.0,
                cutmix_alpha: 0.0,
                ..Mixing::default()
            },
            ..Augmentation::deit()
        };
        ImageLoaderSettings {
            augmentation,
            ..settings(32)
        }
    };
    let (plain, three) = (loader(&data, with(1)), loader(&data, with(3)));
    assert_eq!(three.epoch_len(), 50, "an epoch stays as long as the set");
    let cursor = Cursor { epoch: 2, index: 6 };
    let (batch, next) = three.batch_at(cursor, 12).unwrap();
    assert_eq!(next, Cursor { epoch: 2, index: 18 });
    let (once, _) = plain.batch_at(Cursor { epoch: 2, index: 2 }, 4).unwrap();
    let views = |batch: &ImageBatch| batch.pixels.chunks(3 * 1024).map(<[f32]>::to_vec).collect::<Vec<_>>();
    let (copies, firsts) = (views(&batch), views(&once));
    for (picture, copies) in copies.chunks(3).enumerate() {
        assert_eq!(batch.labels[picture * 3..][..3], [once.labels[picture]; 3]);
        // The first is what the picture is without copies, and no two are alike.
        assert!(copies[0] == firsts[picture]);
        assert!(copies[0] != copies[1] && copies[0] != copies[2] && copies[1] != copies[2]);
    }
    // A place in the epoch is enough to go on, also between two copies.
    let (head, middle) = three.batch_at(cursor, 4).unwrap();
    let (tail, end) = three.batch_at(middle, 8).unwrap();
    assert_eq!(end, next);
    assert!([views(&head), views(&tail)].concat() == copies);
    // Validation is the same with and without, and a fixed order cannot be repeated.
    let validation = |loader: &ImageLoader| loader.validation_batches(8, 9).unwrap().collect::<Vec<_>>();
    assert!(validation(&plain) == validation(&three));
    let fixed = ImageLoaderSettings {
        shuffle: false,
        ..with(3)
    };
    assert!(matches!(
        ImageLoader::new(data.set.clone(), fixed),
        Err(Error::BadSetting {
            name: "augmentation.repeats",
            ..
        })
    ));
}

#[test]
fn an_odd_batch_leaves_the_picture_in_the_middle_unmixed() {
    let data = color(9);
    let only_mixing = Augmentation {
        mixing: Mixing::default(),
        ..Augmentation::none()
    };
    let settings = ImageLoaderSettings {
        augmentation: only_mixing,
        shuffle: false,
        ..settings(32)
    };
    let plain = ImageLoaderSettings {
        augmentation: Augmentation::none(),
        ..settings.clone()
    };
    let mixed = loader(&data, settings).batch_at(Cursor::default(), 9).unwrap().0;
    let plain = loader(&data, plain).batch_at(Cursor::default(), 9).unwrap().0;
    let middle = 4 * 3072..5 * 3072;
    assert_eq!(mixed.pixels[middle.clone()], plain.pixels[middle]);
    assert_eq!(mixed.targets[20..25], plain.targets[20..25]);
    assert_ne!(mixed.pixels[..3072], plain.pixels[..3072]);
}

#[test]
fn validation_batches_are_always_the_same_and_not_augmented() {
    let data = color(50);
    let seen = |settings: ImageLoaderSettings, most| {
        let loader = loader(&data, settings);
        let batches: Vec<ImageBatch> = loader.validation_batches(8, most).unwrap().collect();
        batches
    };
    let first = seen(settings(32), 99);
    assert_eq!(first.len(), 6);
    assert_eq!(seen(settings(32), 2), first[..2]);
    let other = ImageLoaderSettings {
        seed: 99,
        shuffle: false,
        augmentation: Augmentation::none(),
        ..settings(32)
    };
    assert_eq!(seen(other, 99), first);
    let mut labels: Vec<u32> = first.iter().flat_map(|batch| batch.labels.clone()).collect();
    assert!(!labels.is_sorted());
    labels.sort_unstable();
    assert!(labels.iter().filter(|&&label| label == 0).count() >= 8);
    for batch in &first {
        for (row, &label) in batch.targets.chunks_exact(5).zip(&batch.labels) {
            assert_eq!(row[label as usize], 1.0);
            assert_eq!(row.iter().sum::<f32>(), 1.0);
        }
    }
}

#[test]
fn gray_pictures_are_repeated_and_small_ones_stretched_only_when_asked() {
    let data = gray(12);
    let plain = ImageLoaderSettings {
        augmentation: Augmentation::none(),
        ..settings(12)
    };
    let one = loader(&data, plain.clone());
    assert_eq!(one.channels(), 1);
    assert_eq!(one.batch_at(Cursor::default(), 3).unwrap().0.pixels.len(), 3 * 144);
    let three = loader(
        &data,
        ImageLoaderSettings {
            channels: Some(3),
            preprocessor: half(12),
            ..plain.clone()
        },
    );
    let batch = three.batch_at(Cursor::default(), 3).unwrap().0;
    assert_eq!((batch.channels, batch.pixels.len()), (3, 3 * 3 * 144));
    assert_eq!(batch.pixels[..144], batch.pixels[144..288]);

    let large = ImageLoaderSettings {
        preprocessor: Preprocessor::imagenet(40),
        ..plain
    };
    assert!(matches!(
        ImageLoader::new(data.set.clone(), large.clone()),
        Err(Error::ImagesTooSmall {
            height: 12,
            width: 12,
            image_size: 40,
            ..
        })
    ));
    for augmentation in [Augmentation::none(), Augmentation::light(), Augmentation::deit()] {
        let stretched = loader(
            &data,
            ImageLoaderSettings {
                upscale: true,
                augmentation,
                ..large.clone()
            },
        );
        let batch = stretched.batch_at(Cursor::default(), 2).unwrap().0;
        assert_eq!((batch.height, batch.width, batch.pixels.len()), (40, 40, 2 * 1600));
        assert_eq!(stretched.validation_batches(4, 9).unwrap().len(), 3);
    }
}

/// ViT's normalization.
fn half(image_size: usize) -> Preprocessor {
    Preprocessor {
        mean: vec![0.5],
        std: vec![0.5],
        ..Preprocessor::imagenet(image_size)
    }
}

#[test]
fn settings_and_cursors_that_do_not_fit_are_refused() {
    let data = color(10);
    let make = |settings| ImageLoader::new(data.set.clone(), settings);
    let bad = [
        (
            ImageLoaderSettings {
                channels: Some(4),
                ..settings(32)
            },
            "channels",
        ),
        (
            ImageLoaderSettings {
                preprocessor: Preprocessor {
                    image_size: 0,
                    ..half(32)
                },
                ..settings(32)
            },
            "image_size",
        ),
        (
            ImageLoaderSettings {
                preprocessor: Preprocessor {
                    resize_side: 8,
                    ..half(32)
                },
                ..settings(32)
            },
            "resize_side",
        ),
        (
            ImageLoaderSettings {
                preprocessor: Preprocessor {
                    std: vec![0.0],
                    ..half(32)
                },
                ..settings(32)
            },
            "std",
        ),
        (
            ImageLoaderSettings {
                preprocessor: Preprocessor {
                    mean: vec![0.0; 2],
                    ..half(32)
                },
                ..settings(32)
            },
            "mean",
        ),
        (
            ImageLoaderSettings {
                augmentation: Augmentation {
                    erasing: RandomErasing {
                        probability: 2.0,
                        ..RandomErasing::default()
                    },
                    ..Augmentation::deit()
                },
                ..settings(32)
            },
            "augmentation.erasing.probability",
        ),
    ];
    for (settings, expected) in bad {
        assert!(
            matches!(make(settings), Err(Error::BadSetting { name, .. }) if name == expected),
            "{expected}"
        );
    }
    let loader = make(settings(32)).unwrap();
    assert!(matches!(
        loader.batch_at(Cursor::default(), 0),
        Err(Error::BadSetting { name: "batch_size", .. })
    ));
    assert!(matches!(
        loader.batch_at(Cursor::default(), 11),
        Err(Error::TooFewImages {
            batch_size: 11,
            found: 10,
            ..
        })
    ));
    assert!(matches!(
        loader.batch_at(Cursor { epoch: 0, index: 10 }, 2),
        Err(Error::CursorOutOfRange { index: 10, samples: 10 })
    ));
}
