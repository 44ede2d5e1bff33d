//! Writing and reading token stores.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ligo_data::{Corpus, Error, Note, TokenStore, TokenWidth, Tokenizer, Watch};

struct Setup {
    folder: tempfile::TempDir,
    corpus: Corpus,
    tokenizer: Tokenizer,
}

const DOCUMENTS: usize = 3_000;

fn setup(extra_vocab: usize) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let mut vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n".to_owned();
    for word in 0..100 + extra_vocab {
        vocab.push_str(&format!("w{word}\n"));
    }
    fs::write(folder.path().join("vocab.txt"), vocab).unwrap();
    let text: String = (0..DOCUMENTS)
        .map(|i| format!("w{} w{} w7\nw{}\n\n", i % 100, i % 13, i % 5))
        .collect();
    fs::create_dir(folder.path().join("text")).unwrap();
    fs::write(folder.path().join("text/a.txt"), text).unwrap();
    let corpus = Corpus::open(&[folder.path().join("text")]).unwrap();
    let tokenizer = Tokenizer::open(&folder.path().join("vocab.txt")).unwrap();
    Setup {
        folder,
        corpus,
        tokenizer,
    }
}

impl Setup {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn build(&self, name: &str) -> ligo_data::Result<TokenStore> {
        TokenStore::build(&self.path(name), &self.corpus, &self.tokenizer, Watch::none())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_tokenized_is_read_back_with_separators_between_documents() {
    for (extra, width) in [(0, TokenWidth::U16), (70_000, TokenWidth::U32)] {
        let setup = setup(extra);
        let store = setup.build("stores/a").unwrap();
        let mut expected = Vec::new();
        for document in setup.corpus.documents() {
            if !expected.is_empty() {
                expected.push(setup.tokenizer.special().sep.unwrap());
            }
            expected.extend(setup.tokenizer.encode_text(&document.unwrap().text).unwrap());
        }
        assert_eq!(store.read(0, store.len()).collect::<Vec<_>>(), expected);
        assert_eq!(store.read(10, 5).collect::<Vec<_>>(), expected[10..15]);
        assert_eq!(store.read(store.len() - 2, 9).count(), 2);
        assert_eq!(store.read(u64::MAX, u64::MAX).count(), 0);
        let info = store.info();
        assert_eq!(info.dtype, width);
        assert_eq!(info.documents, DOCUMENTS as u64);
        assert_eq!(info.tokens, expected.len() as u64);
        assert_eq!(info.unigram_counts[3], DOCUMENTS as u64 - 1);
        assert_eq!(info.unigram_counts.iter().sum::<u64>(), info.tokens);
        assert_eq!(info.tokenizer_sha256, setup.tokenizer.hash());
        store.verify().unwrap();
        let reopened = TokenStore::open(&setup.path("stores/a")).unwrap();
        assert_eq!(reopened.info(), info);
        assert_eq!(names(&setup.path("stores")), ["a"]);
        assert_eq!(names(&setup.path("stores/a")), ["store.json", "tokens.bin"]);
    }
}

#[test]
fn two_builds_are_equal_byte_for_byte_whatever_the_number_of_threads() {
    let setup = setup(0);
    let build = |name: &str, threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
            .install(|| setup.build(name))
            .unwrap();
        ["tokens.bin", "store.json"].map(|file| fs::read(setup.path(name).join(file)).unwrap())
    };
    assert!(build("a", 1) == build("b", 4));
}

#[test]
fn a_store_is_written_once() {
    let setup = setup(0);
    setup.build("a").unwrap();
    assert!(matches!(setup.build("a"), Err(Error::StoreExists { path }) if path == setup.path("a")));
}

#[test]
fn an_interrupted_build_leaves_no_store_and_the_next_one_goes_on() {
    let setup = setup(0);
    let stop = AtomicBool::new(false);
    // Stop at the first sign of progress.
    let report = |_, _| stop.store(true, Ordering::Relaxed);
    let build = |watch| TokenStore::build(&setup.path("s/a"), &setup.corpus, &setup.tokenizer, watch);
    assert!(matches!(build(Watch::new(&report, &stop)), Err(Error::Interrupted)));
    assert_eq!(names(&setup.path("s")), [".partial-a"]);
    let notes = RefCell::new(Vec::new());
    let note = |note: &Note| notes.borrow_mut().push(note.to_string());
    build(Watch::none().with_notes(&note)).unwrap();
    assert_eq!(names(&setup.path("s")), ["a"]);
    let notes = notes.into_inner();
    assert!(notes[0].contains("continuing behind its 3000 documents"), "{notes:?}");
}

#[test]
fn what_a_killed_build_left_is_removed_and_what_another_build_fills_is_not() {
    let setup = setup(0);
    let unfinished = |name: &str| {
        let folder = setup.path("s").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("tokens.bin"), "half").unwrap();
        folder
    };
    fs::File::create(unfinished(".unfinished-dead").join(".lock")).unwrap();
    let held = fs::File::create(unfinished(".unfinished-alive").join(".lock")).unwrap();
    held.try_lock().unwrap();
    unfinished(".unfinished-just-made");
    unfinished("other");
    setup.build("s/a").unwrap();
    assert_eq!(
        names(&setup.path("s")),
        [".unfinished-alive", ".unfinished-just-made", "a", "other"]
    );
    assert_eq!(names(&setup.path("s/a")), ["store.json", "tokens.bin"]);
}

#[test]
fn progress_rises_to_the_total() {
    let setup = setup(0);
    let seen = RefCell::new(Vec::new());
    let report = |done, total| seen.borrow_mut().push((done, total));
    let stop = AtomicBool::new(false);
    TokenStore::build(
        &setup.path("a"),
        &setup.corpus,
        &setup.tokenizer,
        Watch::new(&report, &stop),
    )
    .unwrap();
    let seen = seen.into_inner();
    assert!(seen.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    assert_eq!(
        seen.last(),
        Some(&(setup.corpus.total_bytes(), setup.corpus.total_bytes()))
    );
}

#[test]
fn a_fault_in_the_text_ends_the_build_with_that_fault() {
    let setup = setup(0);
    let file = setup.path("text/b.txt");
    fs::write(&file, b"w1\n\n\xff").unwrap();
    let corpus = Corpus::open(&[setup.path("text")]).unwrap();
    let result = TokenStore::build(&setup.path("a"), &corpus, &setup.tokenizer, Watch::none());
    assert!(matches!(result, Err(Error::NotUtf8 { path, offset: 4 }) if path == file));
    assert!(!setup.path("a").exists());
}

#[test]
fn text_without_tokens_is_an_empty_corpus() {
    let setup = setup(0);
    let file = setup.path("blank.txt");
    // A zero-width space is removed by the normalizer, so the document is not blank but has no token.
    fs::write(&file, "\u{200b}\n").unwrap();
    let corpus = Corpus::open(&[&file]).unwrap();
    let result = TokenStore::build(&setup.path("a"), &corpus, &setup.tokenizer, Watch::none());
    assert!(matches!(result, Err(Error::EmptyCorpus { .. })));
}

#[test]
fn damage_is_found_and_named() {
    let setup = setup(0);
    let store = setup.build("a").unwrap();
    let (tokens, json) = (setup.path("a/tokens.bin"), setup.path("a/store.json"));
    let (good_tokens, good_json) = (fs::read(&tokens).unwrap(), fs::read_to_string(&json).unwrap());
    let info = store.info().clone();
    drop(store);

    fs::write(&tokens, &good_tokens[..good_tokens.len() - 1]).unwrap();
    let expected = good_tokens.len() as u64;
    assert!(matches!(TokenStore::open(&setup.path("a")),
        Err(Error::StoreSize { expected_bytes, found_bytes, .. }) if (expected_bytes, found_bytes) == (expected, expected - 1)));

    let mut flipped = good_tokens.clone();
    flipped[1] ^= 0x80;
    fs::write(&tokens, &flipped).unwrap();
    let damaged = TokenStore::open(&setup.path("a"));
    assert!(matches!(damaged, Err(Error::StoreHash { path, start: 0, .. }) if path == tokens));

    // The same with a description that fits the damaged file: only the range of the ids gives it away.
    let mut lying = info;
    lying.tokens_sha256 = {
        use sha2::{Digest, Sha256};
        Sha256::digest(&flipped)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    // As an earlier version wrote it: without blocks and a hash of its own.
    (lying.format_version, lying.tokens_blocks, lying.description_sha256) = (1, None, None);
    fs::write(&json, serde_json::to_string(&lying).unwrap()).unwrap();
    assert!(matches!(
        TokenStore::open(&setup.path("a")),
        Err(Error::TokenOutOfRange {
            position: 0,
            vocab_size: 105,
            ..
        })
    ));

    for (from, to) in [
        ("\"format_version\":2", "\"format_version\":3"),
        ("\"format_version\":2", "\"format_version\":1"),
        ("\"documents\":3000", "\"documents\":3001"),
        ("\"sep\":3", "\"sep\":2"),
        ("\"block_bytes\":1048576", "\"block_bytes\":1048577"),
        ("\"documents\"", "\"docments\""),
        ("\"vocab_size\":105", "\"vocab_size\":104"),
        ("\"mask\":4", "\"mask\":400"),
        ("}", ""),
    ] {
        assert!(good_json.contains(from));
        fs::write(&json, good_json.replace(from, to)).unwrap();
        assert!(
            matches!(TokenStore::open(&setup.path("a")), Err(Error::BadStore { path, .. }) if path == json),
            "{to}"
        );
    }
    fs::remove_file(&json).unwrap();
    assert!(matches!(TokenStore::open(&setup.path("a")), Err(Error::Io { path, .. }) if path == json));
}

#[test]
fn the_unigram_loss_is_the_smoothed_cross_entropy() {
    let setup = setup(0);
    let mut train = setup.build("a").unwrap().info().clone();
    let mut valid = train.clone();
    // Five special tokens and three words: counts 6, 1, 0; K = 3; the separator's count must not matter.
    train.vocab_size = 8;
    train.unigram_counts = vec![0, 0, 0, 50, 0, 6, 1, 0];
    valid.vocab_size = 8;
    valid.unigram_counts = vec![0, 9, 0, 9, 0, 2, 0, 2];
    let expected = -(2.0 * (7.0f64 / 10.0).ln() + 2.0 * (1.0f64 / 10.0).ln()) / 4.0;
    assert!((train.unigram_loss(&valid).unwrap() - expected).abs() < 1e-12);
    valid.vocab_size = 9;
    assert_eq!(train.unigram_loss(&valid), None);
}
