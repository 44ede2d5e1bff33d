//! Tokenizers that open every text with a token: it stands in front of every document of a store, and opens documents in causal batches.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ligo_data::{
    BpeFlavour, BpeTraining, CausalLoader, CausalSettings, Corpus, Cursor, Error, TokenStore, Tokenizer, TokenizerKind,
    Watch,
};
use serde_json::{Value, json};

const DOCUMENTS: [&str; 4] = ["ab ba", "b", "a b\nab", "bb aa a"];

fn added(tokens: &[(&str, u32)]) -> Value {
    let token = |(content, id): &(&str, u32)| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    tokens.iter().map(token).collect()
}

/// `TemplateProcessing` that puts one token in front.
fn opening(token: &str, id: u32) -> Value {
    let first = [
        json!({"SpecialToken": {"id": token, "type_id": 0}}),
        json!({"Sequence": {"id": "A", "type_id": 0}}),
    ];
    let second = [
        json!({"SpecialToken": {"id": token, "type_id": 1}}),
        json!({"Sequence": {"id": "B", "type_id": 1}}),
    ];
    let pair: Vec<&Value> = first.iter().chain(&second).collect();
    json!({
        "type": "TemplateProcessing",
        "single": first,
        "pair": pair,
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    })
}

/// As Llama 2's `tokenizer.json`: a space is `▁`, one is put in front, and unknown letters fall back to bytes.
fn llama_2(post_processor: Value) -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added(&[("<unk>", 0), ("<s>", 1), ("</s>", 2)]),
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": null,
        "post_processor": post_processor,
        "decoder": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "<0x0A>": 3, "▁": 4, "a": 5, "b": 6, "▁a": 7, "ab": 8},
            "merges": [["▁", "a"], ["a", "b"]],
        },
    })
}

/// As Llama 3's: byte-level behind a split, special tokens behind the vocabulary, and two post-processors.
fn llama_3() -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added(&[("<|begin_of_text|>", 6), ("<|end_of_text|>", 7)]),
        "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": " ?\\w+|\\s"}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]},
        "post_processor": {"type": "Sequence", "processors": [
            {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
            opening("<|begin_of_text|>", 6),
        ]},
        "decoder": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
            "vocab": {"Ċ": 0, "Ġ": 1, "a": 2, "b": 3, "ab": 4, "Ġa": 5},
            "merges": [["a", "b"], ["Ġ", "a"]],
        },
    })
}

struct Setup {
    folder: tempfile::TempDir,
    json: Value,
}

impl Setup {
    /// `config` is the `tokenizer_config.json` beside it.
    fn new(json: Value, config: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = folder.path().join("tokenizer");
        fs::create_dir(&tokenizer).unwrap();
        fs::write(tokenizer.join("tokenizer.json"), json.to_string()).unwrap();
        fs::write(tokenizer.join("tokenizer_config.json"), config.to_string()).unwrap();
        fs::write(folder.path().join("a.txt"), DOCUMENTS.join("\n\n")).unwrap();
        Self { folder, json }
    }

    fn tokenizer(&self) -> Tokenizer {
        Tokenizer::open(&self.folder.path().join("tokenizer")).unwrap()
    }

    fn store(&self) -> TokenStore {
        store(self.folder.path(), &self.tokenizer())
    }

    /// The stream that comes of encoding each document with the `tokenizers` crate alone, special tokens and all, and putting `separator` between.
    fn packed(&self, separator: u32) -> Vec<u32> {
        let reference = tokenizers::Tokenizer::from_bytes(self.json.to_string()).unwrap();
        let encoded = DOCUMENTS.map(|text| reference.encode(text, true).unwrap().get_ids().to_vec());
        encoded.join(&separator)
    }
}

fn store(folder: &Path, tokenizer: &Tokenizer) -> TokenStore {
    let corpus = Corpus::open(&[folder.join("a.txt")]).unwrap();
    TokenStore::build(&folder.join("store"), &corpus, tokenizer, Watch::none()).unwrap()
}

fn ids(store: &TokenStore) -> Vec<u32> {
    store.read(0, store.len()).collect()
}

#[test]
fn every_document_begins_as_the_tokenizer_begins_texts() {
    for (json, start, separator, kind) in [
        (llama_2(opening("<s>", 1)), 1, 2, TokenizerKind::Other),
        (llama_3(), 6, 7, TokenizerKind::Other),
    ] {
        let setup = Setup::new(json, &json!({}));
        let tokenizer = setup.tokenizer();
        assert_eq!((tokenizer.kind(), tokenizer.document_start()), (kind, Some(start)));
        let store = setup.store();
        let packed = setup.packed(separator);
        assert_eq!(ids(&store), packed);
        let count = |id| packed.iter().filter(|found| **found == id).count();
        assert_eq!((packed[0], count(start), count(separator)), (start, 4, 3));
        assert_eq!(store.info().document_start, Some(start));
        assert_eq!(store.info().unigram_counts[start as usize], 4);
        store.verify().unwrap();
    }
}

#[test]
fn the_configuration_beside_it_decides() {
    let none = || llama_2(Value::Null);
    let with = || llama_2(opening("<s>", 1));
    for (json, config, expected) in [
        (none(), json!({}), vec![7, 6]),
        (none(), json!({"add_bos_token": true}), vec![1, 7, 6]),
        (
            none(),
            json!({"add_bos_token": true, "add_eos_token": true}),
            vec![1, 7, 6, 2],
        ),
        (none(), json!({"add_eos_token": true}), vec![7, 6, 2]),
        (
            with(),
            json!({"add_bos_token": true, "add_eos_token": false}),
            vec![1, 7, 6],
        ),
        (with(), json!({"add_bos_token": false}), vec![7, 6]),
        (with(), json!({"add_bos_token": null}), vec![1, 7, 6]),
        (
            none(),
            json!({"add_bos_token": true, "bos_token": {"content": "</s>"}}),
            vec![2, 7, 6],
        ),
    ] {
        let setup = Setup::new(json, &config);
        let tokenizer = setup.tokenizer();
        assert_eq!(tokenizer.encode("ab").unwrap(), expected, "{config}");
        let start = Some(expected[0]).filter(|id| *id != 7);
        assert_eq!(tokenizer.document_start(), start, "{config}");
        assert_eq!(tokenizer.encode_text("ab").unwrap(), [7, 6], "{config}");
        // What is saved is read back as the same tokenizer.
        let saved = setup.folder.path().join("saved");
        fs::create_dir(&saved).unwrap();
        tokenizer.save(&saved).unwrap();
        let again = Tokenizer::open(&saved).unwrap();
        assert_eq!(
            (again.hash(), again.document_start()),
            (tokenizer.hash(), start),
            "{config}"
        );
        // Behind a document stands one separator, also where the tokenizer ends texts with it.
        let ids = ids(&setup.store());
        assert_eq!(
            ids.iter().filter(|id| **id == 2).count(),
            if start == Some(2) { 4 } else { 3 },
            "{config}"
        );
        assert_eq!(
            ids.iter().filter(|id| **id == 1).count(),
            if start == Some(1) { 4 } else { 0 },
            "{config}"
        );
    }
}

#[test]
fn a_token_that_should_open_texts_and_is_not_there_is_a_typed_error() {
    let setup = Setup::new(llama_2(Value::Null), &json!({"add_bos_token": true, "bos_token": null}));
    match Tokenizer::open(&setup.folder.path().join("tokenizer")) {
        Err(Error::MissingSpecialToken {
            path, role: "opening", ..
        }) => assert!(path.ends_with("tokenizer.json")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_token_that_ends_and_opens_documents_stands_once_between_them() {
    let setup = Setup::new(llama_2(opening("</s>", 2)), &json!({"bos_token": "</s>"}));
    let ids = ids(&setup.store());
    assert_eq!(ids[0], 2);
    assert_eq!(ids.iter().filter(|id| **id == 2).count(), DOCUMENTS.len());
    assert!(ids.windows(2).all(|pair| pair != [2, 2]));
}

#[test]
fn tokenizers_of_masked_models_and_gpt_2_open_no_documents() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), DOCUMENTS.join("\n\n")).unwrap();
    let corpus = Corpus::open(&[folder.path().join("a.txt")]).unwrap();
    for (flavour, vocab_size) in [(BpeFlavour::Roberta, 261), (BpeFlavour::Gpt2, 257)] {
        let training = BpeTraining {
            vocab_size,
            flavour,
            ..BpeTraining::default()
        };
        let tokenizer = Tokenizer::train_bpe(&corpus, &training, Watch::none()).unwrap();
        assert_eq!(tokenizer.document_start(), None);
        let store = store(folder.path(), &tokenizer);
        assert_eq!(store.info().document_start, None);
        let json = fs::read_to_string(store.path().join("store.json")).unwrap();
        assert!(
            !json.contains("document_start"),
            "stores without one are written as before"
        );
        fs::remove_dir_all(store.path()).unwrap();
        // RoBERTa's opens sequences with `<s>`, and no key turns that into something else; GPT-2's obeys.
        let saved = folder.path().join(format!("{flavour:?}"));
        fs::create_dir(&saved).unwrap();
        tokenizer.save(&saved).unwrap();
        let config = saved.join("tokenizer_config.json");
        let mut value: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
        value["add_bos_token"] = true.into();
        fs::write(&config, value.to_string()).unwrap();
        let asked = Tokenizer::open(&saved).unwrap();
        let expected = (flavour == BpeFlavour::Gpt2).then_some(256);
        assert_eq!(asked.document_start(), expected);
        assert_eq!(asked.hash() == tokenizer.hash(), expected.is_none());
        // From `vocab.json` and `merges.txt` it comes out the same.
        asked.save(&saved).unwrap();
        let again = Tokenizer::open(&saved.join("vocab.json")).unwrap();
        assert_eq!((again.document_start(), again.hash()), (expected, asked.hash()));
    }
}

#[test]
fn causal_batches_begin_a_document_at_its_opening_token() {
    let setup = Setup::new(llama_2(opening("<s>", 1)), &json!({}));
    let store = Arc::new(setup.store());
    let stream: Vec<i32> = ids(&store).into_iter().map(u32::cast_signed).collect();
    let seq_len = (stream.len() - 1) / 2;
    let settings = CausalSettings {
        seq_len,
        seed: 1,
        shuffle: false,
        stay_in_document: true,
    };
    let loader = CausalLoader::new(store, settings).unwrap();
    let (batch, _) = loader.batch_at(Cursor::default(), 2).unwrap();
    assert_eq!(batch.input_ids, stream[..2 * seq_len]);
    assert_eq!(batch.labels, stream[1..=2 * seq_len]);
    let (documents, positions) = (batch.document_ids.unwrap(), batch.position_ids.unwrap());
    let mut starts = 0;
    for at in 1..2 * seq_len {
        if at % seq_len == 0 {
            continue;
        }
        let start = batch.input_ids[at] == 1;
        starts += i32::from(start);
        assert_eq!(documents[at] - documents[at - 1], i32::from(start));
        assert_eq!(positions[at], if start { 0 } else { positions[at - 1] + 1 });
        // A separator still belongs to the document that it ends.
        assert!(batch.input_ids[at] != 2 || documents[at] == documents[at - 1]);
    }
    assert!(starts >= 2);
}

#[test]
fn a_store_whose_opening_token_is_not_in_its_vocabulary_is_refused() {
    let setup = Setup::new(llama_2(opening("<s>", 1)), &json!({}));
    let path = setup.store().path().join("store.json");
    let json = fs::read_to_string(&path).unwrap();
    let lying = json.replace("\"document_start\":1", "\"document_start\":9");
    assert_ne!(json, lying);
    fs::write(&path, lying).unwrap();
    assert!(matches!(
        TokenStore::open(path.parent().unwrap()),
        Err(Error::BadStore { path: found, .. }) if found == path
    ));
}
