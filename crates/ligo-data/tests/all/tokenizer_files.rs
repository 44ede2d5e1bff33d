//! Opening `vocab.json` and `merges.txt`: whose they are, and what is said about faulty ones.

use std::fs;
use std::path::Path;

use ligo_data::{Error, Tokenizer, TokenizerKind};

const MERGES: &str = "#version: 0.2\na b\n";

/// A vocabulary of five letters, one merge and the given special tokens.
fn write(folder: &Path, special: &[&str], merges: &str) {
    let tokens = ["a", "b", "c", "#version:", "0.2", "ab"].iter().chain(special);
    let entries: Vec<String> = tokens.zip(0..).map(|(token, id)| format!("{token:?}: {id}")).collect();
    fs::write(folder.join("vocab.json"), format!("{{{}}}", entries.join(", "))).unwrap();
    fs::write(folder.join("merges.txt"), merges).unwrap();
}

const ROBERTA: [&str; 5] = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];

#[test]
fn whose_a_vocabulary_is_shows_in_its_tokens_and_a_configuration_knows_better() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let kind = || Tokenizer::open(path).unwrap().kind();
    write(path, &["<|endoftext|>"], MERGES);
    assert_eq!(kind(), TokenizerKind::Gpt2);
    write(path, &ROBERTA, MERGES);
    assert_eq!(kind(), TokenizerKind::Roberta);
    let both: Vec<&str> = ROBERTA.into_iter().chain(["<|endoftext|>"]).collect();
    write(path, &both, MERGES);
    assert_eq!(kind(), TokenizerKind::Roberta, "the published vocabulary has both");
    fs::write(path.join("config.json"), "{\"model_type\": \"gpt2\"}").unwrap();
    assert_eq!(kind(), TokenizerKind::Gpt2);
    fs::write(
        path.join("tokenizer_config.json"),
        "{\"tokenizer_class\": \"RobertaTokenizerFast\"}",
    )
    .unwrap();
    assert_eq!(kind(), TokenizerKind::Roberta);
}

#[test]
fn the_configuration_decides_on_a_prefix_space_and_on_special_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, &["\u{120}a", "<|endoftext|>", "\u{120}"], MERGES);
    let open = || Tokenizer::open(path).unwrap();
    assert_eq!(open().encode_text("ab").unwrap(), [5]);
    fs::write(path.join("tokenizer_config.json"), "{\"add_prefix_space\": true}").unwrap();
    assert_eq!(open().encode_text("ab").unwrap(), [8, 5]);
    assert_eq!(open().encode_text("ab ab").unwrap(), [8, 5, 8, 5]);
    let config = "{\"bos_token\": null, \"pad_token\": {\"content\": \"c\"}, \"sep_token\": \"absent\"}";
    fs::write(path.join("tokenizer_config.json"), config).unwrap();
    let special = open().special();
    assert_eq!(
        (special.bos, special.eos, special.pad, special.sep),
        (None, Some(7), Some(2), None)
    );
    // What was said is said again by the saved files.
    let saved = path.join("saved");
    fs::create_dir(&saved).unwrap();
    open().save(&saved).unwrap();
    assert_eq!(Tokenizer::open(&saved).unwrap().special(), special);
}

#[test]
fn faulty_vocabularies_and_merges_are_typed_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let vocab = path.join("vocab.json");
    let open = || Tokenizer::open(path);
    write(path, &["<|endoftext|>"], "#version: 0.2\na b\nab\n");
    assert!(matches!(open(), Err(Error::BadMerge { line: 3, found, .. }) if found == "ab"));
    for bad in ["a b c\n", "a  b\n", " a\n", "a \n"] {
        write(path, &["<|endoftext|>"], bad);
        assert!(matches!(open(), Err(Error::BadMerge { line: 1, .. })), "{bad:?}");
    }
    // A merge of tokens that are not there; only the first line can be the comment.
    for bad in ["a x\n", "a b\n#version: 0.2\n"] {
        write(path, &["<|endoftext|>"], bad);
        assert!(matches!(open(), Err(Error::BadTokenizer { .. })), "{bad:?}");
    }
    write(path, &["<s>"], MERGES);
    match open() {
        Err(Error::BadTokenizer { path, reason }) => {
            assert_eq!(path, vocab);
            assert!(
                reason.contains("<|endoftext|>") && reason.contains("<mask>"),
                "{reason}"
            );
        }
        other => panic!("{other:?}"),
    }
    fs::write(path.join("config.json"), "{\"model_type\": \"roberta\"}").unwrap();
    assert!(matches!(
        open(),
        Err(Error::MissingSpecialToken { role: "separating", .. })
    ));
    fs::remove_file(path.join("config.json")).unwrap();
    for bad in [
        "[]",
        "{\"a\": -1}",
        "{\"a\": \"b\"}",
        "{\"a\": 0, \"b\": 0}",
        "{",
        "{\"a\": 4294967296}",
    ] {
        fs::write(&vocab, bad).unwrap();
        assert!(matches!(open(), Err(Error::BadTokenizer { .. })), "{bad}");
    }
    fs::write(&vocab, b"{\"\xff\": 0}").unwrap();
    assert!(matches!(open(), Err(Error::NotUtf8 { offset: 2, .. })));
    write(path, &["<|endoftext|>"], MERGES);
    fs::remove_file(path.join("merges.txt")).unwrap();
    assert!(matches!(open(), Err(Error::Io { action: "read", path, .. }) if path.ends_with("merges.txt")));
}

#[test]
fn an_empty_file_and_an_empty_vocabulary_are_called_empty() {
    let folder = tempfile::tempdir().unwrap();
    let empty = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        match Tokenizer::open(&path) {
            Err(Error::BadTokenizer { path: found, reason }) => {
                assert_eq!(found, path);
                assert!(reason.contains("empty"), "{name}: {reason}");
            }
            other => panic!("{name}: {other:?}"),
        }
    };
    for content in ["", "\n", "  \n\n"] {
        ["tokenizer.json", "vocab.txt", "vocab.json"]
            .iter()
            .for_each(|name| empty(name, content));
    }
    let model = r#"{"model": {"type": "WordPiece", "vocab": {}, "unk_token": "[UNK]", "continuing_subword_prefix": "\u0023\u0023",
        "max_input_chars_per_word": 100}}"#;
    empty("tokenizer.json", model);
}
