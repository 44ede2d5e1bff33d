//! Every way of opening a tokenizer gives the ids that `transformers` gives, on lines made to be awkward.

use std::fs;
use std::path::{Path, PathBuf};

use ligo_data::{BpeFlavour, BpeTraining, Corpus, Tokenizer, TokenizerKind, Watch};

const KINDS: [(&str, TokenizerKind); 3] = [
    ("wordpiece", TokenizerKind::WordPiece),
    ("gpt2", TokenizerKind::Gpt2),
    ("roberta", TokenizerKind::Roberta),
];

/// Written out in a line these are ids for `encode` and text for `encode_text`.
const SPECIAL: [&str; 11] = [
    "[MASK]",
    "[CLS]",
    "[SEP]",
    "[PAD]",
    "[UNK]",
    "<mask>",
    "<s>",
    "</s>",
    "<pad>",
    "<unk>",
    "<|endoftext|>",
];

fn fixtures() -> PathBuf {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    manifest.join("../../tests/fixtures/tokenizers")
}

/// Fixtures of the same layout made from published vocabularies, which are not in the repository: `make_fixtures.py OUTPUT VOCABULARIES`.
const PUBLISHED: &str = "LIGO_PUBLISHED_TOKENIZERS";

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn lines() -> Vec<String> {
    let lines: Vec<String> = json(&fixtures().join("lines.json"));
    assert_eq!(lines.len(), 1000);
    lines
}

fn assert_ids(tokenizer: &Tokenizer, expected: &[Vec<u32>], how: &str) {
    for (line, expected) in lines().iter().zip(expected) {
        assert_eq!(&tokenizer.encode(line).unwrap(), expected, "{how}: {line:?}");
    }
}

#[test]
fn ids_equal_those_of_the_reference_on_every_line() {
    for (name, kind) in KINDS {
        let folder = fixtures().join(name);
        let expected: Vec<Vec<u32>> = json(&folder.join("ids.json"));
        let tokenizer = Tokenizer::open(&folder).unwrap();
        assert_eq!((tokenizer.kind(), tokenizer.vocab_size()), (kind, 1000));
        assert_ids(&tokenizer, &expected, name);
    }
}

#[test]
fn published_vocabularies_give_the_reference_ids_too_where_they_are_at_hand() {
    let Some(folder) = std::env::var_os(PUBLISHED).map(PathBuf::from) else {
        return;
    };
    for (name, kind) in KINDS {
        let expected: Vec<Vec<u32>> = json(&folder.join(name).join("ids.json"));
        let tokenizer = Tokenizer::open(&folder.join(name)).unwrap();
        assert_eq!(tokenizer.kind(), kind);
        assert_ids(&tokenizer, &expected, name);
        let saved = folder.join(format!("{name}-saved"));
        fs::create_dir_all(&saved).unwrap();
        tokenizer.save(&saved).unwrap();
    }
}

#[test]
fn a_saved_tokenizer_gives_the_same_ids_from_each_of_its_files() {
    for (name, kind) in KINDS {
        let expected: Vec<Vec<u32>> = json(&fixtures().join(name).join("ids.json"));
        let opened = Tokenizer::open(&fixtures().join(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        opened.save(folder.path()).unwrap();
        let files: &[&str] = match kind {
            TokenizerKind::WordPiece => &["tokenizer.json", "vocab.txt"],
            _ => &["tokenizer.json", "vocab.json", "merges.txt"],
        };
        for file in files {
            let again = Tokenizer::open(&folder.path().join(file)).unwrap();
            assert_eq!(again.kind(), kind, "{name} {file}");
            assert_eq!(again.special(), opened.special(), "{name} {file}");
            assert_eq!(again.hash(), opened.hash(), "{name} {file}");
            assert_ids(&again, &expected, file);
        }
        if kind == TokenizerKind::Roberta {
            // `transformers` takes it from here when there is no `tokenizer.json`.
            let map: serde_json::Value = json(&folder.path().join("special_tokens_map.json"));
            assert_eq!(
                (&map["mask_token"]["lstrip"], &map["bos_token"]),
                (&true.into(), &"<s>".into())
            );
        }
        // Without `tokenizer.json` the folder still opens.
        fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
        assert_eq!(Tokenizer::open(folder.path()).unwrap().hash(), opened.hash());
    }
}

#[test]
fn running_text_has_the_same_ids_without_the_special_tokens_around_it() {
    for (name, kind) in KINDS {
        let tokenizer = Tokenizer::open(&fixtures().join(name)).unwrap();
        let around = usize::from(kind != TokenizerKind::Gpt2);
        let special: Vec<u32> = tokenizer.special().ids().collect();
        let unk = tokenizer.special().unk;
        for line in lines() {
            let ids = tokenizer.encode_text(&line).unwrap();
            if SPECIAL.iter().any(|token| line.contains(token)) {
                assert!(
                    ids.iter().all(|id| Some(*id) == unk || !special.contains(id)),
                    "{line:?}"
                );
            } else {
                let whole = tokenizer.encode(&line).unwrap();
                assert_eq!(ids, whole[around..whole.len() - around], "{name}: {line:?}");
            }
        }
        // The lines as one text: what is cut into pieces must be what the whole text is.
        let text = lines().join(" \n ");
        assert!(!text.is_empty());
        let plain: String = SPECIAL.iter().fold(text, |text, token| text.replace(token, ""));
        let whole = tokenizer.encode(&plain).unwrap();
        assert_eq!(
            tokenizer.encode_text(&plain).unwrap(),
            whole[around..whole.len() - around],
            "{name}"
        );
    }
}

#[test]
fn special_tokens_have_their_parts() {
    let special = |name: &str| Tokenizer::open(&fixtures().join(name)).unwrap().special();
    let bert = special("wordpiece");
    assert_eq!(
        (bert.cls, bert.sep, bert.mask, bert.pad),
        (Some(2), Some(3), Some(4), Some(0))
    );
    assert_eq!((bert.bos, bert.eos, bert.separator()), (None, None, Some(3)));
    let gpt2 = special("gpt2");
    assert_eq!((gpt2.cls, gpt2.sep, gpt2.mask, gpt2.pad), (None, None, None, None));
    assert_eq!(
        (gpt2.bos, gpt2.eos, gpt2.separator()),
        (Some(999), Some(999), Some(999))
    );
    let roberta = special("roberta");
    assert_eq!(
        (roberta.cls, roberta.sep, roberta.mask, roberta.pad),
        (Some(0), Some(2), Some(999), Some(1))
    );
    assert_eq!((roberta.bos, roberta.eos, roberta.unk), (Some(0), Some(2), Some(3)));
}

fn corpus(folder: &Path) -> Corpus {
    let path = folder.join("a.jsonl");
    let lines: Vec<String> = lines()
        .iter()
        .map(|line| serde_json::json!({ "text": line }).to_string())
        .collect();
    fs::write(&path, lines.join("\n")).unwrap();
    Corpus::open(&[path]).unwrap()
}

fn train(corpus: &Corpus, vocab_size: usize, flavour: BpeFlavour) -> ligo_data::Result<Tokenizer> {
    let training = BpeTraining {
        vocab_size,
        flavour,
        ..BpeTraining::default()
    };
    Tokenizer::train_bpe(corpus, &training, Watch::none())
}

#[test]
fn byte_level_bpe_is_trained_the_same_every_time_and_spells_every_line() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    for flavour in [BpeFlavour::Gpt2, BpeFlavour::Roberta] {
        let trained = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| train(&corpus, 700, flavour)).unwrap()
        };
        let tokenizer = trained(1);
        assert_eq!((tokenizer.vocab_size(), tokenizer.kind()), (700, flavour.kind()));
        assert_eq!(trained(3).hash(), tokenizer.hash());
        let fewer: usize = lines()
            .iter()
            .map(|line| tokenizer.encode_text(line).unwrap().len())
            .sum();
        let bytes: usize = lines().iter().map(String::len).sum();
        assert!(fewer * 3 < bytes * 2, "{fewer} tokens for {bytes} bytes");
        for line in lines() {
            let ids = tokenizer.encode_text(&line).unwrap();
            assert_eq!(tokenizer.decode(&ids).unwrap(), line);
        }
    }
}

#[test]
fn trained_special_tokens_stand_where_the_published_ones_do() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    let gpt2 = train(&corpus, 300, BpeFlavour::Gpt2).unwrap();
    assert_eq!((gpt2.special().eos, gpt2.token(0)), (Some(299), Some("!".to_owned())));
    let roberta = train(&corpus, 300, BpeFlavour::Roberta).unwrap();
    let special = roberta.special();
    assert_eq!(
        (special.bos, special.pad, special.eos, special.unk),
        (Some(0), Some(1), Some(2), Some(3))
    );
    assert_eq!(special.mask, Some(299));
    let ids = roberta.encode("a <mask>").unwrap();
    assert_eq!((ids[0], ids[ids.len() - 2], ids[ids.len() - 1]), (0, 299, 2));
    assert_eq!(ids.len(), 4, "the mask swallows the space before it");
}

#[test]
fn a_vocabulary_that_cannot_hold_the_bytes_is_refused_with_the_size_needed() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(folder.path());
    for (flavour, least) in [(BpeFlavour::Gpt2, 257), (BpeFlavour::Roberta, 261)] {
        let Err(ligo_data::Error::VocabTooSmall { needed, .. }) = train(&corpus, least - 1, flavour) else {
            panic!("expected VocabTooSmall")
        };
        assert_eq!(needed, least);
        assert_eq!(train(&corpus, least, flavour).unwrap().vocab_size(), least);
    }
}
