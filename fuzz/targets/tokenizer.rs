//! Any bytes as a `tokenizer.json`: ids below the size of its vocabulary for a text, or a refusal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ligo_data::Tokenizer;

const TEXT: &str = "The Fox, 3 words: naïve \u{1f98a}  <s> [MASK]\n\tand some more.";

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, bytes).expect("a file in it");
    if let Ok(tokenizer) = Tokenizer::open(&path)
        && let Ok(ids) = tokenizer.encode(TEXT)
    {
        assert!(ids.iter().all(|id| (*id as usize) < tokenizer.vocab_size()));
    }
});
