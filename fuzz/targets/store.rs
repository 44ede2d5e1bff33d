//! Any bytes as the description or the tokens of a store, whichever the first byte says: opened with ids below the vocabulary, or refused.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use ligo_data::{Corpus, TokenStore, Tokenizer, Watch, WordPieceTraining};

/// A whole store.
fn store() -> &'static Path {
    static STORE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = STORE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = folder.path().join("text.txt");
        std::fs::write(&text, "one small step and another one\n\n".repeat(40)).expect("a text");
        let corpus = Corpus::open(&[text]).expect("a corpus");
        let training = WordPieceTraining {
            vocab_size: 60,
            ..WordPieceTraining::default()
        };
        let tokenizer = Tokenizer::train(&corpus, &training, Watch::none()).expect("a tokenizer");
        TokenStore::build(&folder.path().join("store"), &corpus, &tokenizer, Watch::none()).expect("a store");
        folder
    });
    folder.path()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let spoiled = ["store.json", "tokens.bin", "tokenizer.json"][usize::from(*choice) % 3];
    for entry in std::fs::read_dir(store().join("store")).expect("the store") {
        let path = entry.expect("a file of it").path();
        let target = folder.path().join(path.file_name().unwrap_or_default());
        std::fs::copy(&path, target).expect("a copy of it");
    }
    std::fs::write(folder.path().join(spoiled), bytes).expect("a spoiled file");
    if let Ok(store) = TokenStore::open(folder.path()) {
        let vocabulary = store.info().vocab_size;
        let _ = (store.len(), vocabulary);
    }
});
