//! Training, loading, saving and applying tokenizers.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use ligo_data::{Corpus, Error, Tokenizer, TokenizerKind, Watch, WordPieceTraining};

/// A few hundred sentences from a fixed recipe: enough words for ties between pairs to be common.
fn corpus(folder: &Path) -> Corpus {
    let words = [
        "the",
        "growth",
        "of",
        "a",
        "transformer",
        "begins",
        "with",
        "small",
        "weights",
        "and",
        "ends",
        "larger",
        "Übung",
        "naïve",
        "model's",
        "2048",
        "learning",
        "learned",
        "learner",
        "widen",
        "widening",
        "depth",
        "deeper",
        "stacked",
        "stacking",
        "café",
        "中文",
        "e-mail",
        "(see",
        "below)",
    ];
    let mut text = String::new();
    let mut state = 12345u64;
    for line in 0..600 {
        for _ in 0..12 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            text.push_str(words[(state >> 33) as usize % words.len()]);
            text.push(' ');
        }
        text.push_str(if line % 5 == 0 { "\n\n" } else { "\n" });
    }
    let path = folder.join("a.txt");
    fs::write(&path, text).unwrap();
    Corpus::open(&[path]).unwrap()
}

fn train(corpus: &Corpus, vocab_size: usize) -> ligo_data::Result<Tokenizer> {
    Tokenizer::train(
        corpus,
        &WordPieceTraining {
            vocab_size,
            ..WordPieceTraining::default()
        },
        Watch::none(),
    )
}

#[test]
fn two_trainings_write_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let files = |name: &str, threads: usize| {
        let folder = folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let tokenizer = pool.install(|| train(&corpus, 120)).unwrap();
        assert_eq!(tokenizer.vocab_size(), 120);
        tokenizer.save(&folder).unwrap();
        ligo_data::TOKENIZER_FILES.map(|file| fs::read(folder.join(file)).ok())
    };
    let first = files("a", 1);
    for (name, threads) in [("b", 2), ("c", 4), ("d", 1)] {
        assert!(files(name, threads) == first, "run {name} differs");
    }
}

#[test]
fn special_tokens_come_first_and_the_text_is_lower_cased() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = train(&corpus(folder.path()), 200).unwrap();
    assert!(tokenizer.special().ids().eq(0..5));
    assert_eq!(tokenizer.kind(), TokenizerKind::WordPiece);
    assert_eq!(tokenizer.token(4).unwrap(), "[MASK]");
    assert_eq!(
        tokenizer.encode_text("Transformer ÜBUNG").unwrap(),
        tokenizer.encode_text("transformer ubung").unwrap()
    );
    let ids = tokenizer.encode("the depth").unwrap();
    assert_eq!((ids[0], *ids.last().unwrap()), (2, 3));
    assert_eq!(tokenizer.decode(&ids).unwrap(), "the depth");
}

#[test]
fn encoding_by_pieces_equals_encoding_the_whole_text() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = train(&corpus(folder.path()), 200).unwrap();
    tokenizer.save(folder.path()).unwrap();
    let plain = tokenizers::Tokenizer::from_file(folder.path().join("tokenizer.json")).unwrap();
    let strange = [
        "plain words, with (punctuation)... and  spaces\t\ttabs\r\nlines",
        "a\u{300}b \u{300}lonely mark \u{1100}\u{1161} hangul",
        "zero\u{200b}width non\u{a0}breaking \u{3000}ideographic\u{2003}em\u{85}next\u{b}vertical",
        "中文字 mixed中with文latin \u{fffd}\u{0}control\u{7f}",
        "ΑΣ Σ ΣΑΣ final sigma İstanbul ǅ ß ﬁ",
        "",
        "   ",
        "the the the naïve café model's 2048 learner",
    ];
    let long = format!("{} end", "x".repeat(130));
    for text in strange.into_iter().chain([long.as_str()]) {
        let expected = plain.encode(text, false).unwrap();
        // Twice: the second time from memory.
        assert_eq!(tokenizer.encode_text(text).unwrap(), expected.get_ids(), "{text:?}");
        assert_eq!(tokenizer.encode_text(text).unwrap(), expected.get_ids(), "{text:?}");
        assert_eq!(
            tokenizer.encode(text).unwrap(),
            plain.encode(text, true).unwrap().get_ids()
        );
    }
    let batch = tokenizer.encode_batch(&strange).unwrap();
    assert!(
        batch
            .iter()
            .zip(strange)
            .all(|(ids, text)| *ids == plain.encode(text, false).unwrap().get_ids())
    );
}

#[test]
fn a_mask_written_in_a_document_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = train(&corpus(folder.path()), 200).unwrap();
    let mask = tokenizer.special().mask.unwrap();
    assert!(tokenizer.encode("the [MASK] depth").unwrap().contains(&mask));
    assert!(!tokenizer.encode_text("the [MASK] depth [PAD]").unwrap().contains(&mask));
}

#[test]
fn every_way_of_opening_gives_the_same_ids() {
    let folder = tempfile::tempdir().unwrap();
    let trained = train(&corpus(folder.path()), 200).unwrap();
    trained.save(folder.path()).unwrap();
    let ids = trained.encode("The naïve learner, deeper.").unwrap();
    let from = |path: &Path| Tokenizer::open(path).unwrap();
    let opened = from(folder.path());
    assert_eq!(opened.hash(), trained.hash());
    for path in ["tokenizer.json", "vocab.txt"] {
        assert_eq!(
            from(&folder.path().join(path))
                .encode("The naïve learner, deeper.")
                .unwrap(),
            ids,
            "{path}"
        );
    }
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    assert_eq!(from(folder.path()).hash(), trained.hash());
}

#[test]
fn the_configuration_beside_a_vocabulary_says_whether_case_matters() {
    let folder = tempfile::tempdir().unwrap();
    let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nThe\n";
    fs::write(folder.path().join("vocab.txt"), vocab).unwrap();
    let ids = |folder: &Path| Tokenizer::open(folder).unwrap().encode_text("The the").unwrap();
    assert_eq!(ids(folder.path()), [5, 5]);
    fs::write(
        folder.path().join("tokenizer_config.json"),
        "{\"do_lower_case\": false}",
    )
    .unwrap();
    assert_eq!(ids(folder.path()), [6, 5]);
    fs::write(folder.path().join("tokenizer_config.json"), "{").unwrap();
    assert!(matches!(
        Tokenizer::open(folder.path()),
        Err(Error::BadTokenizer { .. })
    ));
}

#[test]
fn faulty_tokenizer_files_are_typed_errors() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        Tokenizer::open(folder.path()),
        Err(Error::BadTokenizer { .. })
    ));
    let vocab = folder.path().join("vocab.txt");
    assert!(matches!(Tokenizer::open(&vocab), Err(Error::Io { .. })));
    fs::write(&vocab, "[PAD]\n[UNK]\na\nb\na\n").unwrap();
    match Tokenizer::open(&vocab) {
        Err(Error::DuplicateToken {
            line,
            first_line,
            token,
            ..
        }) => assert_eq!((line, first_line, token.as_str()), (5, 3, "a")),
        other => panic!("{other:?}"),
    }
    fs::write(&vocab, "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n").unwrap();
    assert!(matches!(
        Tokenizer::open(&vocab),
        Err(Error::MissingSpecialToken { role: "mask", .. })
    ));
    fs::write(&vocab, b"[PAD]\n\xff\n").unwrap();
    assert!(matches!(Tokenizer::open(&vocab), Err(Error::NotUtf8 { offset: 6, .. })));
    let json = folder.path().join("tokenizer.json");
    fs::write(&json, "{\"model\": 1}").unwrap();
    assert!(matches!(Tokenizer::open(&json), Err(Error::BadTokenizer { path, .. }) if path == json));
}

#[test]
fn a_vocabulary_that_cannot_hold_the_alphabet_is_refused_with_the_size_needed() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let Err(Error::VocabTooSmall { vocab_size: 20, needed }) = train(&corpus, 20) else {
        panic!("expected VocabTooSmall")
    };
    assert_eq!(train(&corpus, needed).unwrap().vocab_size(), needed);
}

#[test]
fn training_can_be_interrupted_and_needs_text() {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(true);
    let result = Tokenizer::train(
        &corpus(folder.path()),
        &WordPieceTraining::default(),
        Watch::new(&|_, _| {}, &stop),
    );
    assert!(matches!(result, Err(Error::Interrupted)));
    let empty = folder.path().join("empty.txt");
    fs::write(&empty, "\n \n").unwrap();
    assert!(matches!(
        train(&Corpus::open(&[&empty]).unwrap(), 100),
        Err(Error::EmptyCorpus { .. })
    ));
}

#[test]
fn a_tokenizer_of_another_kind_can_be_opened_and_saved() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"version": "1.0", "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}, "padding": null,
        "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "<unk>", "vocab": {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "a": 5, "b": 9}}}"#;
    let path = folder.path().join("tokenizer.json");
    fs::write(&path, json).unwrap();
    let tokenizer = Tokenizer::open(&path).unwrap();
    assert_eq!((tokenizer.special().cls, tokenizer.special().mask), (Some(0), Some(4)));
    assert_eq!(tokenizer.kind(), TokenizerKind::Other);
    assert_eq!(
        tokenizer.vocab_size(),
        10,
        "the largest id counts, not the number of entries"
    );
    assert_eq!(tokenizer.encode("a b a b a b").unwrap().len(), 4);
    assert_eq!(
        tokenizer.encode_text("a b a b a b").unwrap().len(),
        6,
        "running text is never truncated"
    );
    let saved = folder.path().join("saved");
    fs::create_dir(&saved).unwrap();
    tokenizer.save(&saved).unwrap();
    assert!(!saved.join("vocab.txt").exists());
    assert_eq!(Tokenizer::open(&saved).unwrap().hash(), tokenizer.hash());
}
