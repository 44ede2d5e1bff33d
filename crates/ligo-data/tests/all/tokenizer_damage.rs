//! Damaged tokenizers: an error that names the file, never a panic, and no memory for ids that nobody has.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ligo_data::{BpeFlavour, BpeTraining, Corpus, Error, Tokenizer, Watch, WordPieceTraining};
use serde_json::{Value, json};

const TEXT: &str = "The quick brown fox, it's 42 dogs! Ünï <mask> [SEP] \u{1f600}";

fn trained(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let text = folder.join("text.txt");
    fs::write(
        &text,
        "The quick brown fox jumps over it's 42 lazy dogs!\n\n".repeat(50),
    )
    .unwrap();
    let corpus = Corpus::open(&[text]).unwrap();
    let bpe = |flavour| {
        let training = BpeTraining {
            vocab_size: 300,
            flavour,
            ..BpeTraining::default()
        };
        Tokenizer::train_bpe(&corpus, &training, Watch::none()).unwrap()
    };
    let word_piece = WordPieceTraining {
        vocab_size: 120,
        ..WordPieceTraining::default()
    };
    let all = [
        ("bert", Tokenizer::train(&corpus, &word_piece, Watch::none()).unwrap()),
        ("gpt2", bpe(BpeFlavour::Gpt2)),
        ("roberta", bpe(BpeFlavour::Roberta)),
    ];
    all.into_iter()
        .map(|(name, tokenizer)| {
            let path = folder.join(name);
            fs::create_dir_all(&path).unwrap();
            tokenizer.save(&path).unwrap();
            (name, path)
        })
        .collect()
}

/// A small generator (SplitMix64); the same mutations every time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}

/// Whatever a file holds, opening and using it ends in a value or an error, and soon.
fn try_out(folder: &Path, what: &str) {
    let started = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let tokenizer = Tokenizer::open(folder)?;
        tokenizer.encode_text(TEXT)?;
        let ids = tokenizer.encode(TEXT)?;
        tokenizer.decode(&ids)?;
        tokenizer.document_start();
        Ok::<(), Error>(())
    }));
    assert!(outcome.is_ok(), "panic: {what}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{what}: {:?}",
        started.elapsed()
    );
}

#[test]
fn flipped_bits_and_cut_files_are_no_panics() {
    let home = tempfile::tempdir().unwrap();
    let mut draw = Draw(1);
    for (name, folder) in trained(home.path()) {
        let files = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];
        for file in files {
            let path = folder.join(file);
            let good = fs::read(&path).unwrap();
            for round in 0..60 {
                let mut bytes = good.clone();
                match round % 3 {
                    0 => bytes.truncate(draw.below(good.len())),
                    1 => bytes[draw.below(good.len())] ^= 1 << draw.below(8),
                    _ => bytes[draw.below(good.len())] = b"0123456789\"{}[]:,-"[draw.below(18)],
                }
                fs::write(&path, &bytes).unwrap();
                try_out(&folder, &format!("{name} {file} round {round}"));
            }
            fs::write(&path, good).unwrap();
        }
    }
}

/// Every value of a description in turn becomes something else.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(map) => {
            // Of a vocabulary, some entries.
            let step = map.len().div_ceil(12).max(1);
            map.iter().step_by(step).for_each(|(key, value)| {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{path}/{key}"), found);
            });
        }
        Value::Array(list) => {
            let step = list.len().div_ceil(6).max(1);
            let entries = list.iter().enumerate().step_by(step);
            entries.for_each(|(index, value)| places(value, &format!("{path}/{index}"), found));
        }
        _ => {}
    }
}

#[test]
fn values_of_other_kinds_and_sizes_are_no_panics() {
    let home = tempfile::tempdir().unwrap();
    for (name, folder) in trained(home.path()) {
        let file = folder.join("tokenizer.json");
        let good: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let mut found = Vec::new();
        places(&good, "", &mut found);
        for place in found {
            for other in [
                json!(null),
                json!(u64::MAX),
                json!(2_147_483_648_u64),
                json!(-1),
                json!(""),
                json!([]),
                json!({}),
                json!(true),
            ] {
                let mut changed = good.clone();
                *changed.pointer_mut(&place).unwrap() = other.clone();
                fs::write(&file, changed.to_string()).unwrap();
                try_out(&folder, &format!("{name} {place} {other}"));
            }
        }
        fs::write(&file, good.to_string()).unwrap();
    }
}

#[test]
fn an_id_that_no_vocabulary_has_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    for (name, folder) in trained(home.path()) {
        let file = folder.join("tokenizer.json");
        let good = fs::read(&file).unwrap();
        let mut description: Value = serde_json::from_slice(&good).unwrap();
        let vocab = description["model"]["vocab"].as_object_mut().unwrap();
        vocab.insert("huge".to_owned(), 2_147_483_648_u64.into());
        fs::write(&file, description.to_string()).unwrap();
        match Tokenizer::open(&folder) {
            Err(Error::BadTokenizer { path, reason }) => {
                assert_eq!(path, file, "{name}");
                assert!(reason.contains("2147483648"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        fs::write(&file, good).unwrap();
        // The same in a `vocab.json` alone.
        if folder.join("vocab.json").exists() {
            fs::remove_file(&file).unwrap();
            let vocab = fs::read_to_string(folder.join("vocab.json")).unwrap();
            let huge = vocab.trim_end().trim_end_matches('}').to_owned() + ", \"huge\": 4194304}";
            fs::write(folder.join("vocab.json"), huge).unwrap();
            assert!(matches!(Tokenizer::open(&folder), Err(Error::BadTokenizer { .. })));
        }
    }
}

#[cfg(unix)]
#[test]
fn devices_and_folders_are_no_tokenizers() {
    let home = tempfile::tempdir().unwrap();
    let (_, folder) = trained(home.path()).swap_remove(1);
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        let file = folder.join(name);
        let good = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        let opened = Tokenizer::open(&file);
        assert!(matches!(opened, Err(Error::NotAFile { .. })), "{name}: {opened:?}");
        fs::remove_file(&file).unwrap();
        fs::write(&file, good).unwrap();
    }
}
