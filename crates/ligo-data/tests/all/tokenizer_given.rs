//! A given tokenizer is taken along unchanged, and a class is named only where it makes the same tokenizer.

use std::fs;
use std::path::{Path, PathBuf};

use ligo_data::{BpeTraining, Corpus, Error, Tokenizer, Watch, WordPieceTraining};
use serde_json::{Value, json};

fn corpus(folder: &Path) -> Corpus {
    let path = folder.join("text.txt");
    let text: String = (0..300)
        .map(|i| format!("The {}th fox, it's {} dogs!\n\n", i % 13, i % 7))
        .collect();
    fs::write(&path, text).unwrap();
    Corpus::open(&[path]).unwrap()
}

/// A trained tokenizer in a folder of its own, its `tokenizer.json` changed.
fn given(folder: &Path, bpe: bool, change: impl FnOnce(&mut Value)) -> PathBuf {
    let corpus = corpus(folder);
    let trained = if bpe {
        let training = BpeTraining {
            vocab_size: 300,
            ..BpeTraining::default()
        };
        Tokenizer::train_bpe(&corpus, &training, Watch::none()).unwrap()
    } else {
        let training = WordPieceTraining {
            vocab_size: 120,
            ..WordPieceTraining::default()
        };
        Tokenizer::train(&corpus, &training, Watch::none()).unwrap()
    };
    let path = folder.join("given");
    fs::create_dir_all(&path).unwrap();
    trained.save(&path).unwrap();
    let file = path.join("tokenizer.json");
    let mut description = read(&file);
    change(&mut description);
    fs::write(&file, description.to_string()).unwrap();
    path
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn empty(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_file_of_a_given_tokenizer_is_copied_byte_for_byte() {
    let home = tempfile::tempdir().unwrap();
    let given = given(home.path(), true, |description| {
        description["normalizer"] = json!({"type": "Lowercase"});
        description["truncation"] =
            json!({"direction": "Right", "max_length": 9, "strategy": "LongestFirst", "stride": 0});
    });
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>", "model_max_length": 77,
        "clean_up_tokenization_spaces": true, "extra": [1],
    });
    fs::write(given.join("tokenizer_config.json"), config.to_string()).unwrap();
    fs::write(given.join("chat_template.jinja"), "{{ messages }}").unwrap();
    fs::write(given.join("added_tokens.json"), "{}").unwrap();
    for name in ["vocab.json", "merges.txt"] {
        fs::remove_file(given.join(name)).unwrap();
    }
    let tokenizer = Tokenizer::open(&given).unwrap();
    let copy = empty(home.path(), "copy");
    tokenizer.save_as_given(&given, &copy).unwrap();
    assert_eq!(contents(&copy), contents(&given));
    assert_eq!(Tokenizer::open(&copy).unwrap().hash(), tokenizer.hash());
}

#[test]
fn a_vocabulary_alone_is_copied_and_what_it_lacks_is_added() {
    let home = tempfile::tempdir().unwrap();
    let given = given(home.path(), false, |_| {});
    let vocab = given.join("vocab.txt");
    // What lies beside the named file is another tokenizer.
    fs::write(given.join("tokenizer.json"), "{}").unwrap();
    fs::remove_file(given.join("tokenizer_config.json")).unwrap();
    fs::remove_file(given.join("special_tokens_map.json")).unwrap();
    let tokenizer = Tokenizer::open(&vocab).unwrap();
    let copy = empty(home.path(), "copy");
    tokenizer.save_as_given(&vocab, &copy).unwrap();
    assert_eq!(fs::read(copy.join("vocab.txt")).unwrap(), fs::read(&vocab).unwrap());
    let names: Vec<String> = contents(&copy).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt"
        ]
    );
    assert_eq!(Tokenizer::open(&copy).unwrap().hash(), tokenizer.hash());
    assert_eq!(
        read(&copy.join("tokenizer_config.json"))["tokenizer_class"],
        "BertTokenizer"
    );
}

#[test]
fn a_class_is_named_only_where_it_makes_the_same_tokenizer() {
    let class = |bpe: bool, change: &dyn Fn(&mut Value)| {
        let home = tempfile::tempdir().unwrap();
        let given = given(home.path(), bpe, |description| change(description));
        let saved = empty(home.path(), "saved");
        Tokenizer::open(&given).unwrap().save(&saved).unwrap();
        let has_vocabulary = ["vocab.txt", "vocab.json"].iter().any(|name| saved.join(name).exists());
        let config = read(&saved.join("tokenizer_config.json"));
        let class = config["tokenizer_class"].as_str().unwrap().to_owned();
        // A vocabulary alone would be taken for that of the usual class.
        assert_eq!(has_vocabulary, class != "PreTrainedTokenizerFast");
        class
    };
    assert_eq!(class(false, &|_| {}), "BertTokenizer");
    assert_eq!(class(true, &|_| {}), "GPT2Tokenizer");
    let other = "PreTrainedTokenizerFast";
    let bert: [(&str, &dyn Fn(&mut Value)); 5] = [
        ("clean_text", &|d| d["normalizer"]["clean_text"] = false.into()),
        ("normalizer", &|d| d["normalizer"] = json!({"type": "Lowercase"})),
        ("pre-tokenizer", &|d| {
            d["pre_tokenizer"] = json!({"type": "WhitespaceSplit"})
        }),
        ("length of a word", &|d| {
            d["model"]["max_input_chars_per_word"] = 200.into()
        }),
        ("around", &|d| d["post_processor"] = Value::Null),
    ];
    for (what, change) in bert {
        assert_eq!(class(false, change), other, "{what}");
    }
    let gpt2: [(&str, &dyn Fn(&mut Value)); 3] = [
        ("normalizer", &|d| d["normalizer"] = json!({"type": "NFC"})),
        ("expression", &|d| d["pre_tokenizer"]["use_regex"] = false.into()),
        ("tokens", &|d| {
            let token = json!({"id": 5000, "content": "<x>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
            d["added_tokens"].as_array_mut().unwrap().push(token);
        }),
    ];
    for (what, change) in gpt2 {
        assert_eq!(class(true, change), other, "{what}");
    }
}

#[test]
fn special_tokens_that_only_their_map_names_count() {
    let home = tempfile::tempdir().unwrap();
    let given = given(home.path(), true, |description| {
        description["added_tokens"][0]["content"] = "<end>".into();
        let vocab = description["model"]["vocab"].as_object_mut().unwrap();
        let id = vocab.remove("<|endoftext|>").unwrap();
        vocab.insert("<end>".to_owned(), id);
    });
    fs::write(
        given.join("tokenizer_config.json"),
        "{\"pad_token\": null, \"eos_token\": null}",
    )
    .unwrap();
    fs::write(given.join("special_tokens_map.json"), "{}").unwrap();
    assert_eq!(Tokenizer::open(&given).unwrap().special().separator(), None);
    let map = "{\"eos_token\": {\"content\": \"<end>\", \"lstrip\": false}, \"bos_token\": \"<end>\"}";
    fs::write(given.join("special_tokens_map.json"), map).unwrap();
    let tokenizer = Tokenizer::open(&given).unwrap();
    let end = tokenizer.id("<end>");
    assert!(end.is_some());
    assert_eq!((tokenizer.special().eos, tokenizer.special().bos), (end, end));
    assert_eq!(tokenizer.end_tokens(), ["<end>"]);
    // What the configuration says itself comes first.
    fs::write(given.join("tokenizer_config.json"), "{\"eos_token\": \"!\"}").unwrap();
    let tokenizer = Tokenizer::open(&given).unwrap();
    assert_eq!(tokenizer.special().eos, tokenizer.id("!"));
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_folder_is_not_followed_and_those_of_the_cache_are() {
    use std::os::unix::fs::symlink;
    let home = tempfile::tempdir().unwrap();
    let given = given(home.path(), true, |_| {});
    let secret = home.path().join("secret");
    fs::write(&secret, "mine").unwrap();
    symlink(&secret, given.join("chat_template.jinja")).unwrap();
    let tokenizer = Tokenizer::open(&given).unwrap();
    let copy = empty(home.path(), "copy");
    match tokenizer.save_as_given(&given, &copy) {
        Err(error @ Error::LinkOut { .. }) => assert!(error.to_string().contains("secret"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(!copy.join("chat_template.jinja").exists());
    fs::remove_file(given.join("chat_template.jinja")).unwrap();
    // `huggingface_hub` keeps files in `blobs` and links to them from `snapshots/COMMIT`.
    let cached = home.path().join("models--a--b");
    let (blobs, snapshot) = (cached.join("blobs"), cached.join("snapshots/abc"));
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    for (name, bytes) in contents(&given) {
        fs::write(blobs.join(&name), bytes).unwrap();
        symlink(Path::new("../../blobs").join(&name), snapshot.join(&name)).unwrap();
    }
    let copy = empty(home.path(), "copy2");
    tokenizer.save_as_given(&snapshot, &copy).unwrap();
    assert_eq!(contents(&copy), contents(&given));
}

#[test]
fn two_vocabularies_are_compared_by_what_their_ids_stand_for() {
    let home = tempfile::tempdir().unwrap();
    let own = Tokenizer::open(&given(home.path(), true, |_| {})).unwrap();
    let same = given(home.path(), true, |description| {
        description["normalizer"] = json!({"type": "NFC"})
    });
    assert_eq!(own.first_difference(&Tokenizer::open(&same).unwrap()), None);
    let other = given(home.path(), true, |description| {
        let vocab = description["model"]["vocab"].as_object_mut().unwrap();
        let (a, b) = (vocab["A"].clone(), vocab["B"].clone());
        vocab.insert("A".to_owned(), b);
        vocab.insert("B".to_owned(), a);
    });
    let other = Tokenizer::open(&other).unwrap();
    assert_eq!(own.vocab_size(), other.vocab_size());
    let (id, here, there) = own.first_difference(&other).unwrap();
    assert_eq!((Some(id), here.as_str(), there.as_str()), (own.id("A"), "A", "B"));
}
