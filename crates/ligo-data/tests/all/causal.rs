//! Causal windows: every token predicted once, and nothing predicted from another document when that is asked for.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ligo_data::{
    Batch, BpeFlavour, BpeTraining, CausalBatch, CausalLoader, CausalSettings, Corpus, Cursor, Error, LoaderSettings,
    Masking, MlmLoader, TokenStore, Tokenizer, Watch,
};
use proptest::prelude::*;

struct Data {
    _folder: tempfile::TempDir,
    store: Arc<TokenStore>,
}

/// A store of these documents, one token a letter: the tokenizer knows the 256 bytes and its special tokens alone.
fn data(documents: &[String], flavour: BpeFlavour) -> Data {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    fs::write(&path, documents.join("\n\n")).unwrap();
    let corpus = Corpus::open(&[path]).unwrap();
    let tokenizer = bytes(&corpus, flavour);
    let store = TokenStore::build(&folder.path().join("store"), &corpus, &tokenizer, Watch::none()).unwrap();
    Data {
        _folder: folder,
        store: Arc::new(store),
    }
}

fn bytes(corpus: &Corpus, flavour: BpeFlavour) -> Tokenizer {
    let vocab_size = match flavour {
        BpeFlavour::Gpt2 => 257,
        BpeFlavour::Roberta => 261,
    };
    let training = BpeTraining {
        vocab_size,
        flavour,
        ..BpeTraining::default()
    };
    Tokenizer::train_bpe(corpus, &training, Watch::none()).unwrap()
}

fn letters(count: usize, documents: usize) -> Vec<String> {
    (0..documents)
        .map(|document| {
            (0..count + document % 7)
                .map(|at| (b'a' + ((at + document) % 26) as u8) as char)
                .collect()
        })
        .collect()
}

fn settings(seq_len: usize) -> CausalSettings {
    CausalSettings {
        seq_len,
        seed: 3,
        shuffle: true,
        stay_in_document: false,
    }
}

fn loader(data: &Data, settings: CausalSettings) -> CausalLoader {
    CausalLoader::new(data.store.clone(), settings).unwrap()
}

fn rows(values: &[i32], seq_len: usize) -> Vec<Vec<i32>> {
    values.chunks(seq_len).map(<[i32]>::to_vec).collect()
}

fn stream(data: &Data) -> Vec<i32> {
    data.store.read(0, data.store.len()).map(|id| id as i32).collect()
}

#[test]
fn in_an_epoch_every_token_but_the_first_is_predicted_once() {
    let data = data(&letters(20, 10), BpeFlavour::Gpt2);
    let stream = stream(&data);
    for seq_len in [1, 7, 16] {
        let loader = loader(
            &data,
            CausalSettings {
                shuffle: false,
                ..settings(seq_len)
            },
        );
        let samples = loader.epoch_len() as usize;
        assert_eq!(samples, (stream.len() - 1) / seq_len);
        let (batch, next) = loader.batch_at(Cursor::default(), samples).unwrap();
        assert_eq!(next, Cursor { epoch: 1, index: 0 });
        assert_eq!(batch.input_ids, stream[..samples * seq_len]);
        assert_eq!(batch.labels, stream[1..=samples * seq_len]);
        assert_eq!((batch.document_ids, batch.position_ids), (None, None));
    }
}

#[test]
fn a_separator_stands_between_documents_and_the_number_of_documents_is_kept() {
    let data = data(&letters(5, 4), BpeFlavour::Gpt2);
    let eos = data.store.info().special.eos.unwrap() as i32;
    assert_eq!(stream(&data).iter().filter(|id| **id == eos).count(), 3);
    assert_eq!(data.store.info().documents, 4);
    // Documents of 5, 6, 7 and 8 letters.
    assert_eq!(stream(&data)[5], eos);
    assert_eq!(stream(&data).len(), 5 + 6 + 7 + 8 + 3);
}

#[test]
fn the_separator_opens_the_document_behind_it() {
    let documents = ["abcd", "ef", "ghijkl"].map(str::to_owned);
    let data = data(&documents, BpeFlavour::Gpt2);
    let loader = loader(
        &data,
        CausalSettings {
            shuffle: false,
            stay_in_document: true,
            ..settings(6)
        },
    );
    let (batch, _) = loader.batch_at(Cursor::default(), 2).unwrap();
    // abcd.e f.ghij, with `.` for the separator; the label behind `d` is the separator and is predicted within `abcd`.
    let documents = batch.document_ids.unwrap();
    assert_eq!(rows(&documents, 6), [[0, 0, 0, 0, 1, 1], [0, 1, 1, 1, 1, 1]]);
    assert_eq!(
        rows(&batch.position_ids.unwrap(), 6),
        [[0, 1, 2, 3, 0, 1], [0, 0, 1, 2, 3, 4]]
    );
    let eos = data.store.info().special.eos.unwrap() as i32;
    assert_eq!((batch.labels[3], batch.input_ids[4]), (eos, eos));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn nothing_is_predicted_from_another_document(
        lengths in prop::collection::vec(1usize..20, 2..12),
        seq_len in 1usize..24,
    ) {
        let documents: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
        let data = data(&documents, BpeFlavour::Gpt2);
        let stream = stream(&data);
        prop_assume!(stream.len() > seq_len);
        let loader = loader(&data, CausalSettings { shuffle: false, stay_in_document: true, ..settings(seq_len) });
        let (batch, _) = loader.batch_at(Cursor::default(), loader.epoch_len() as usize).unwrap();
        // The document of every token of the stream: a separator is the first of the one behind it.
        let eos = data.store.info().special.eos.unwrap() as i32;
        let mut document = 0;
        let truth: Vec<i32> = stream.iter().map(|id| { document += i32::from(*id == eos); document }).collect();
        let (documents, positions) = (batch.document_ids.unwrap(), batch.position_ids.unwrap());
        for (row, (documents, positions)) in rows(&documents, seq_len).iter().zip(rows(&positions, seq_len)).enumerate() {
            let truth = &truth[row * seq_len..][..seq_len];
            prop_assert_eq!(documents[0], 0);
            for at in 0..seq_len {
                prop_assert_eq!(documents[at], truth[at] - truth[0]);
                let first = documents.iter().position(|d| *d == documents[at]).unwrap();
                prop_assert_eq!(positions[at] as usize, at - first);
            }
        }
    }
}

#[test]
fn a_resumed_run_sees_the_same_batches_and_validation_is_the_same_for_every_run() {
    let data = data(&letters(30, 40), BpeFlavour::Gpt2);
    for stay_in_document in [false, true] {
        let loader = loader(
            &data,
            CausalSettings {
                stay_in_document,
                ..settings(9)
            },
        );
        let run = |mut cursor: Cursor, batches: usize| {
            let mut seen = Vec::new();
            for _ in 0..batches {
                let (batch, next) = loader.batch_at(cursor, 8).unwrap();
                seen.push(batch);
                cursor = next;
            }
            (seen, cursor)
        };
        let batches = 2 * loader.epoch_len() as usize / 8;
        let (whole, _) = run(Cursor::default(), batches);
        for stop in [1, 5, batches - 1] {
            let (mut pieces, cursor) = run(Cursor::default(), stop);
            pieces.extend(run(cursor, batches - stop).0);
            assert!(pieces == whole, "stopped after {stop}");
        }
    }
    let validation = |seed, shuffle| {
        let settings = CausalSettings {
            seed,
            shuffle,
            ..settings(9)
        };
        loader(&data, settings)
            .validation_batches(4, 5)
            .unwrap()
            .collect::<Vec<CausalBatch>>()
    };
    assert_eq!(validation(1, true).len(), 5);
    assert_eq!(validation(1, true), validation(2, false));
}

#[test]
fn the_order_is_that_of_masked_batches() {
    // Where both have the same number of samples, the same seed visits them in the same order.
    let data = data(&letters(30, 40), BpeFlavour::Roberta);
    let masked = MlmLoader::new(
        data.store.clone(),
        LoaderSettings {
            seq_len: 11,
            seed: 3,
            shuffle: true,
            masking: Masking::default(),
        },
    )
    .unwrap();
    let causal = loader(&data, settings(9));
    assert_eq!(masked.epoch_len(), causal.epoch_len());
    let cursor = Cursor { epoch: 1, index: 5 };
    assert_eq!(
        masked.samples_at(cursor, 7).unwrap(),
        causal.samples_at(cursor, 7).unwrap()
    );
}

#[test]
fn masked_batches_take_the_special_tokens_of_roberta() {
    let data = data(&letters(30, 40), BpeFlavour::Roberta);
    let settings = LoaderSettings {
        seq_len: 12,
        seed: 3,
        shuffle: true,
        masking: Masking::default(),
    };
    let loader = MlmLoader::new(data.store.clone(), settings).unwrap();
    let (batch, _) = loader.batch_at(Cursor::default(), 50).unwrap();
    for row in batch.input_ids.chunks(12) {
        assert_eq!((row[0], row[11]), (0, 2), "<s> … </s>");
    }
    let masks = batch.input_ids.iter().filter(|id| **id == 260).count();
    assert!(masks > 0 && masks <= batch.labels.len());
    assert!(batch.labels.iter().all(|label| (4..260).contains(label)));
}

#[test]
fn a_vocabulary_without_a_mask_cannot_be_masked_and_the_message_says_so() {
    let data = data(&letters(30, 4), BpeFlavour::Gpt2);
    let settings = LoaderSettings {
        seq_len: 12,
        seed: 3,
        shuffle: true,
        masking: Masking::default(),
    };
    match MlmLoader::new(data.store.clone(), settings) {
        Err(error @ Error::MissingSpecialToken { role: "opening", .. }) => {
            assert!(error.to_string().contains("`[CLS]`, `<s>`"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tokenizer_without_a_separator_builds_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    fs::write(&path, "a b").unwrap();
    let json = r#"{"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null, "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 1, "b": 2}}}"#;
    let tokenizer = Tokenizer::from_json(Path::new("t.json"), json.as_bytes()).unwrap();
    let corpus = Corpus::open(&[path]).unwrap();
    let store = folder.path().join("store");
    let result = TokenStore::build(&store, &corpus, &tokenizer, Watch::none());
    assert!(matches!(result, Err(Error::MissingSpecialToken { role: "separating", path, .. }) if path == store));
    assert!(!store.exists());
}

#[test]
fn too_little_text_and_wrong_settings_are_typed_errors() {
    let data = data(&["abcdefgh".to_owned()], BpeFlavour::Gpt2);
    let new = |seq_len| CausalLoader::new(data.store.clone(), settings(seq_len));
    assert!(matches!(new(0), Err(Error::BadSetting { name: "seq_len", .. })));
    assert!(new(7).unwrap().batch_at(Cursor::default(), 1).is_ok());
    match new(8).unwrap().batch_at(Cursor::default(), 1) {
        Err(Error::CorpusTooSmall {
            needed_tokens,
            found_tokens,
            ..
        }) => assert_eq!((needed_tokens, found_tokens), (9, 8)),
        other => panic!("{other:?}"),
    }
    let cursor = Cursor { epoch: 0, index: 1 };
    assert!(matches!(
        new(7).unwrap().batch_at(cursor, 1),
        Err(Error::CursorOutOfRange { samples: 1, .. })
    ));
    assert!(matches!(
        new(7).unwrap().batch_at(Cursor::default(), 0),
        Err(Error::BadSetting { name: "batch_size", .. })
    ));
}

#[test]
fn a_batch_of_any_kind_counts_its_sequences_and_labels() {
    let data = data(&letters(30, 40), BpeFlavour::Roberta);
    let (causal, _) = loader(&data, settings(9)).batch_at(Cursor::default(), 5).unwrap();
    let batch = Batch::from(causal);
    assert_eq!((batch.num_samples(), batch.num_labels()), (5, 45));
    let masked = LoaderSettings {
        seq_len: 12,
        seed: 3,
        shuffle: true,
        masking: Masking::default(),
    };
    let (masked, _) = MlmLoader::new(data.store.clone(), masked)
        .unwrap()
        .batch_at(Cursor::default(), 5)
        .unwrap();
    let labels = masked.labels.len();
    let batch = Batch::from(masked);
    assert_eq!((batch.num_samples(), batch.num_labels()), (5, labels));
}
