//! Order, masks and batches: what a resumed run sees is what an uninterrupted one would have seen (T5).

use std::fs;
use std::sync::Arc;

use ligo_data::{
    Corpus, Cursor, Error, LoaderSettings, MaskCount, Masking, MlmBatch, MlmLoader, TokenStore, Tokenizer, Watch,
};

const SEQ_LEN: usize = 34;

struct Data {
    _folder: tempfile::TempDir,
    store: Arc<TokenStore>,
}

/// `samples` sequences of running numbers, and a rest of ten tokens that fill no sequence.
fn data(samples: usize) -> Data {
    let folder = tempfile::tempdir().unwrap();
    let mut vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n".to_owned();
    (0..1000).for_each(|word| vocab.push_str(&format!("w{word}\n")));
    fs::write(folder.path().join("vocab.txt"), vocab).unwrap();
    let words = samples * (SEQ_LEN - 2) + 10;
    let text: Vec<String> = (0..words)
        .map(|i| {
            if i % 97 == 5 {
                "unknownword".to_owned()
            } else {
                format!("w{}", i % 1000)
            }
        })
        .collect();
    fs::write(folder.path().join("a.txt"), text.join(" ")).unwrap();
    let corpus = Corpus::open(&[folder.path().join("a.txt")]).unwrap();
    let tokenizer = Tokenizer::open(&folder.path().join("vocab.txt")).unwrap();
    let store = TokenStore::build(&folder.path().join("store"), &corpus, &tokenizer, Watch::none()).unwrap();
    Data {
        _folder: folder,
        store: Arc::new(store),
    }
}

fn settings() -> LoaderSettings {
    LoaderSettings {
        seq_len: SEQ_LEN,
        seed: 5,
        shuffle: true,
        masking: Masking::default(),
    }
}

fn loader(data: &Data, settings: LoaderSettings) -> MlmLoader {
    MlmLoader::new(data.store.clone(), settings).unwrap()
}

/// Undoes the masks.
fn unmasked(batch: &MlmBatch) -> Vec<i32> {
    let mut ids = batch.input_ids.clone();
    for (&at, &label) in batch.masked_positions.iter().zip(&batch.labels) {
        ids[at as usize] = label;
    }
    ids
}

#[test]
fn a_resumed_run_sees_the_exact_sequence_of_samples() {
    let data = data(100);
    let batch_size = 8;
    // 25 batches of 8 are exactly two epochs of 100 samples, with a batch that runs over the end of the first.
    let batches = 25;
    for shuffle in [false, true] {
        let loader = loader(&data, LoaderSettings { shuffle, ..settings() });
        assert_eq!(loader.epoch_len(), 100);
        let run = |mut cursor: Cursor, batches: usize| {
            let mut seen = Vec::new();
            for _ in 0..batches {
                let (samples, _) = loader.samples_at(cursor, batch_size).unwrap();
                let (batch, next) = loader.batch_at(cursor, batch_size).unwrap();
                seen.push((samples, batch));
                cursor = next;
            }
            (seen, cursor)
        };
        let (whole, end) = run(Cursor::default(), batches);
        assert_eq!(end, Cursor { epoch: 2, index: 0 });
        for epoch in 0..2 {
            let mut ids: Vec<u64> = whole
                .iter()
                .flat_map(|(samples, _)| samples)
                .filter(|sample| sample.0 == epoch)
                .map(|sample| sample.1)
                .collect();
            if !shuffle {
                assert!(ids.iter().copied().eq(0..100));
            }
            ids.sort_unstable();
            assert!(ids.iter().copied().eq(0..100), "epoch {epoch} misses a sample");
        }
        for stop in [1, 2, 5, 9, 12, 13, 17, 20, 23, 24] {
            let (mut pieces, cursor) = run(Cursor::default(), stop);
            // As a checkpoint keeps it.
            let saved = serde_json::to_string(&cursor).unwrap();
            let (rest, _) = run(serde_json::from_str(&saved).unwrap(), batches - stop);
            pieces.extend(rest);
            assert!(pieces == whole, "stopped after {stop}, shuffle {shuffle}");
        }
        // Four workers that each make every fourth batch make the same batches.
        let cursors: Vec<Cursor> = (0..batches as u64)
            .map(|batch| Cursor {
                epoch: batch * 8 / 100,
                index: batch * 8 % 100,
            })
            .collect();
        let made: Vec<Vec<MlmBatch>> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|worker| {
                    let (loader, cursors) = (&loader, &cursors);
                    scope.spawn(move || {
                        cursors
                            .iter()
                            .skip(worker)
                            .step_by(4)
                            .map(|&cursor| loader.batch_at(cursor, batch_size).unwrap().0)
                            .collect()
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert!((0..batches).all(|batch| made[batch % 4][batch / 4] == whole[batch].1));
    }
}

#[test]
fn a_batch_holds_the_tokens_of_its_samples_between_special_tokens() {
    let data = data(20);
    let loader = loader(&data, settings());
    let cursor = Cursor { epoch: 3, index: 4 };
    let (batch, _) = loader.batch_at(cursor, 6).unwrap();
    let (samples, _) = loader.samples_at(cursor, 6).unwrap();
    assert_eq!(
        (batch.batch_size, batch.seq_len, batch.attention_mask.clone()),
        (6, SEQ_LEN, None)
    );
    let special = data.store.info().special;
    for (row, &(epoch, sample)) in unmasked(&batch).chunks(SEQ_LEN).zip(&samples) {
        assert_eq!(epoch, 3);
        let body: Vec<i32> = data.store.read(sample * 32, 32).map(|id| id as i32).collect();
        assert_eq!(
            (row[0], row[SEQ_LEN - 1]),
            (special.cls.unwrap() as i32, special.sep.unwrap() as i32)
        );
        assert_eq!(row[1..SEQ_LEN - 1], body);
    }
}

#[test]
fn masks_hide_the_right_share_and_never_a_special_token() {
    let data = data(2_000);
    let special = data.store.info().special;
    for count in [MaskCount::Independent, MaskCount::Exact] {
        let loader = loader(
            &data,
            LoaderSettings {
                masking: Masking {
                    count,
                    ..Masking::default()
                },
                ..settings()
            },
        );
        let (batch, _) = loader.batch_at(Cursor::default(), 2_000).unwrap();
        let original = unmasked(&batch);
        let eligible = original.iter().filter(|&&id| !special.contains(id as u32)).count() as f64;
        let (mut masked, mut random, mut kept) = (0.0, 0.0, 0.0);
        for (&at, &label) in batch.masked_positions.iter().zip(&batch.labels) {
            assert!(!special.contains(label as u32), "a special token was masked");
            let shown = batch.input_ids[at as usize];
            if shown == special.mask.unwrap() as i32 {
                masked += 1.0;
            } else {
                assert!(!special.contains(shown as u32));
                *(if shown == label { &mut kept } else { &mut random }) += 1.0;
            }
        }
        let total = batch.labels.len() as f64;
        // Five standard deviations of a binomial with these numbers.
        let close = |found: f64, n: f64, p: f64| (found - n * p).abs() < 5.0 * (n * p * (1.0 - p)).sqrt();
        match count {
            MaskCount::Independent => assert!(close(total, eligible, 0.15), "{total} of {eligible}"),
            // round(0.15 * 32) = round(0.15 * 31) = 5, with or without one unknown word in the sample.
            MaskCount::Exact => assert_eq!(total, 2_000.0 * 5.0),
        }
        assert!(close(masked, total, 0.8), "{masked} of {total}");
        assert!(close(random, total, 0.1 * 999.0 / 1000.0), "{random} of {total}");
        assert!(close(kept, total, 0.1 * 1001.0 / 1000.0), "{kept} of {total}");
        assert!(batch.masked_positions.windows(2).all(|pair| pair[0] < pair[1]));
        for row in 0..2_000 {
            let range = (row * SEQ_LEN) as i32..((row + 1) * SEQ_LEN) as i32;
            assert!(
                batch.masked_positions.iter().any(|at| range.contains(at)),
                "row {row} has no mask"
            );
        }
    }
}

#[test]
fn masks_change_with_seed_and_epoch_and_with_nothing_else() {
    let data = data(20);
    let masks = |seed, epoch, batch_size| {
        let settings = LoaderSettings {
            seed,
            shuffle: false,
            ..settings()
        };
        loader(&data, settings)
            .batch_at(Cursor { epoch, index: 0 }, batch_size)
            .unwrap()
            .0
            .masked_positions
    };
    let first = masks(5, 0, 10);
    assert_eq!(masks(5, 0, 10), first);
    assert_eq!(masks(5, 0, 20)[..first.len()], first, "the batch size has no influence");
    assert_ne!(masks(6, 0, 10), first);
    assert_ne!(masks(5, 1, 10), first);
}

#[test]
fn validation_is_the_same_for_every_run() {
    let data = data(50);
    let all = |seed, shuffle, max| {
        loader(
            &data,
            LoaderSettings {
                seed,
                shuffle,
                ..settings()
            },
        )
        .validation_batches(8, max)
        .unwrap()
        .collect::<Vec<_>>()
    };
    let first = all(1, true, 100);
    assert_eq!(first.len(), 6, "50 samples fill six batches of 8");
    assert_eq!(all(2, false, 100), first);
    assert_eq!(all(3, true, 2), first[..2]);
    let mut rows: Vec<Vec<i32>> = first
        .iter()
        .flat_map(|batch| unmasked(batch).chunks(SEQ_LEN).map(<[i32]>::to_vec).collect::<Vec<_>>())
        .collect();
    rows.sort();
    rows.dedup();
    assert_eq!(rows.len(), 48, "no sample is measured twice");
}

#[test]
fn a_corpus_smaller_than_one_batch_says_what_is_needed_and_found() {
    let data = data(5);
    let loader = loader(&data, settings());
    match loader.batch_at(Cursor::default(), 8) {
        Err(Error::CorpusTooSmall {
            batch_size: 8,
            seq_len: SEQ_LEN,
            needed_tokens,
            found_tokens,
            ..
        }) => {
            assert_eq!((needed_tokens, found_tokens), (8 * 32, 5 * 32 + 10));
        }
        other => panic!("{other:?}"),
    }
    assert!(loader.batch_at(Cursor::default(), 5).is_ok());
    assert!(matches!(
        loader.validation_batches(8, 1).map(|b| b.len()),
        Err(Error::CorpusTooSmall { .. })
    ));
}

#[test]
fn a_cursor_of_another_corpus_and_wrong_settings_are_typed_errors() {
    let data = data(5);
    let loader = loader(&data, settings());
    let cursor = Cursor { epoch: 0, index: 5 };
    assert!(matches!(
        loader.batch_at(cursor, 2),
        Err(Error::CursorOutOfRange { index: 5, samples: 5 })
    ));
    assert!(matches!(
        loader.batch_at(Cursor::default(), 0),
        Err(Error::BadSetting { name: "batch_size", .. })
    ));
    let new = |settings| MlmLoader::new(data.store.clone(), settings).map(|_| ());
    assert!(matches!(
        new(LoaderSettings {
            seq_len: 2,
            ..settings()
        }),
        Err(Error::BadSetting { name: "seq_len", .. })
    ));
    for (masking, setting) in [
        (
            Masking {
                rate: 0.0,
                ..Masking::default()
            },
            "masking.rate",
        ),
        (
            Masking {
                rate: f64::NAN,
                ..Masking::default()
            },
            "masking.rate",
        ),
        (
            Masking {
                mask_share: 1.1,
                ..Masking::default()
            },
            "masking.mask_share",
        ),
        (
            Masking {
                random_share: 0.3,
                ..Masking::default()
            },
            "masking.random_share",
        ),
    ] {
        assert!(
            matches!(new(LoaderSettings { masking, ..settings() }), Err(Error::BadSetting { name, .. }) if name == setting)
        );
    }
}
