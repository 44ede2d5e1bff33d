//! Text as people have it: one document, one a line, stories between end tokens, odd lines of JSONL, files that are not read.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use ligo_data::{
    BpeFlavour, BpeTraining, Corpus, Error, MissingText, Note, Skipped, TextDocuments, TextSettings, TokenStore,
    Tokenizer, TrainValid, Watch,
};

fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

fn texts(corpus: &Corpus) -> Vec<String> {
    corpus.documents().map(|document| document.unwrap().text).collect()
}

fn words(seed: usize, count: usize) -> String {
    let words: Vec<String> = (0..count)
        .map(|i| format!("w{}", (i * 7919 + seed * 31) % 97))
        .collect();
    words.join(" ")
}

fn settled(path: &Path) -> ligo_data::Result<(Vec<String>, Vec<String>, TrainValid)> {
    let split = TrainValid::split(&[path], 0.05)?.settled()?;
    Ok((texts(&split.train), texts(&split.valid), split))
}

#[test]
fn both_sides_of_a_single_document_get_something() {
    let folder = tempfile::tempdir().unwrap();
    let lines = (0..200).map(|i| words(i, 30)).collect::<Vec<_>>().join("\n");
    let one_line = words(1, 300);
    let copies = vec![words(2, 300); 300].join("\n\n");
    for (name, content, documents) in [("a.txt", &lines, 1), ("b.txt", &one_line, 1), ("c.txt", &copies, 300)] {
        let path = file(folder.path(), name, content);
        let (train, valid, split) = settled(&path).unwrap();
        assert_eq!((train.len(), valid.len()), (documents, documents), "{name}");
        assert!(split.is_cut() && split.how.contains("5 %"), "{}", split.how);
        let share = valid[0].len() as f64 / (train[0].len() + valid[0].len()) as f64;
        assert!((0.02..0.09).contains(&share), "{name}: {share}");
        let source = content.split("\n\n").next().unwrap();
        assert!(source.starts_with(&train[0]) && source.ends_with(&valid[0]), "{name}");
        assert!(
            train[0].len() + valid[0].len() < source.len(),
            "{name}: nothing is on both sides"
        );
    }
}

#[test]
fn what_has_documents_on_both_sides_is_divided_as_ever() {
    let folder = tempfile::tempdir().unwrap();
    let content = (0..400).map(|i| words(i, 5)).collect::<Vec<_>>().join("\n\n");
    let path = file(folder.path(), "a.txt", content);
    let plain = TrainValid::split(&[&path], 0.05).unwrap();
    let (train, valid, split) = settled(&path).unwrap();
    assert!(!split.is_cut() && !valid.is_empty());
    assert_eq!((train, valid), (texts(&plain.train), texts(&plain.valid)));
}

#[test]
fn what_cannot_be_divided_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.txt", "word");
    let error = settled(&path).unwrap_err();
    assert!(matches!(error, Error::EmptySide { .. }), "{error}");
    assert!(error.to_string().contains("apart"), "{error}");
    let blank = file(folder.path(), "b.txt", " \n\n");
    assert!(matches!(settled(&blank), Err(Error::EmptyCorpus { .. })));
    // A side that got nothing is named when the store is built, too.
    let tokenizer = bpe(&file(folder.path(), "c.txt", words(3, 500)));
    let apart = TrainValid::from_paths(&[folder.path().join("c.txt")], std::slice::from_ref(&blank)).unwrap();
    let error = TokenStore::build(&folder.path().join("s"), &apart.valid, &tokenizer, Watch::none()).unwrap_err();
    assert!(matches!(error, Error::EmptySide { side: "validation", .. }), "{error}");
}

#[test]
fn each_line_is_a_document_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.txt", "one\n\n two\r\n\nthree\nfour");
    let corpus = Corpus::open(&[&path]).unwrap();
    assert_eq!(texts(&corpus), ["one", " two", "three\nfour"]);
    let by_line = corpus.with_settings(TextSettings {
        documents: TextDocuments::Line,
        ..TextSettings::default()
    });
    assert_eq!(texts(&by_line), ["one", " two", "three", "four"]);
}

fn bpe(text: &Path) -> Tokenizer {
    let training = BpeTraining {
        vocab_size: 300,
        flavour: BpeFlavour::Gpt2,
        ..BpeTraining::default()
    };
    Tokenizer::train_bpe(&Corpus::open(&[text]).unwrap(), &training, Watch::none()).unwrap()
}

#[test]
fn a_line_that_is_the_end_token_divides_stories_which_keep_their_empty_lines() {
    let folder = tempfile::tempdir().unwrap();
    let stories = "First.\n\nStill first.\n<|endoftext|>\n\nSecond.\r\n\r\nMore.\r\n<|endoftext|>\r\nThird: <|endoftext|> inside.\n";
    let path = file(folder.path(), "a.txt", stories);
    let tokenizer = bpe(&path);
    assert_eq!(tokenizer.end_tokens(), ["<|endoftext|>"]);
    let corpus = Corpus::open(&[&path]).unwrap();
    assert_eq!(
        texts(&corpus).len(),
        4,
        "without the tokenizer nothing is known of its token"
    );
    let by_token = corpus.with_settings(TextSettings {
        end_tokens: tokenizer.end_tokens(),
        ..TextSettings::default()
    });
    assert_eq!(
        texts(&by_token),
        [
            "First.\n\nStill first.",
            "Second.\r\n\r\nMore.",
            "Third: <|endoftext|> inside."
        ]
    );
    // Where no line is the token, empty lines divide as ever.
    let plain = file(folder.path(), "b.txt", "a\n\nb <|endoftext|>\n\nc");
    let plain = Corpus::open(&[plain])
        .unwrap()
        .with_settings(by_token.settings().clone());
    assert_eq!(texts(&plain), ["a", "b <|endoftext|>", "c"]);
}

#[test]
fn odd_lines_of_jsonl_do_not_end_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let with = |extra: &str| {
        let content = format!("{{\"text\": \"one\"}}\n{extra}\n{{\"text\": \"two\"}}\n");
        Corpus::open(&[file(folder.path(), "a.jsonl", content)]).unwrap()
    };
    assert_eq!(texts(&with(r#"{"text": "x y", "score": NaN}"#)), ["one", "x y", "two"]);
    assert_eq!(
        texts(&with(r#"{"text": "cut \ud83d here"}"#)),
        ["one", "cut \u{fffd} here", "two"]
    );
    for missing in [
        r#"{"text": null}"#,
        r#"{"id": 3}"#,
        r#"{"text": 5}"#,
        r#"["text"]"#,
        "null",
    ] {
        let corpus = with(missing);
        let error = corpus.documents().find_map(Result::err).unwrap();
        let is_object = missing.starts_with('{');
        assert_eq!(
            matches!(error, Error::MissingText { line: 2, .. }),
            is_object,
            "{error}"
        );
        assert!(!is_object || error.to_string().contains("missing_text"), "{error}");
        let skipping = corpus.with_settings(TextSettings {
            missing_text: MissingText::Skip,
            ..TextSettings::default()
        });
        let mut documents = skipping.documents();
        assert_eq!(documents.by_ref().count(), 2);
        assert_eq!(documents.without_text(), 1, "{missing}");
        // The build tells how many.
        let notes = std::cell::RefCell::new(Vec::new());
        let note = |note: &Note| notes.borrow_mut().push(note.clone());
        let tokenizer = bpe(&file(folder.path(), "t.txt", words(1, 200)));
        let store = folder.path().join("store");
        TokenStore::build(&store, &skipping, &tokenizer, Watch::none().with_notes(&note)).unwrap();
        fs::remove_dir_all(&store).unwrap();
        assert_eq!(notes.into_inner(), [Note::WithoutText { count: 1 }]);
    }
    // What is cut off is damage, and is not skipped.
    let broken = with(r#"{"text": "x"#).with_settings(TextSettings {
        missing_text: MissingText::Skip,
        ..TextSettings::default()
    });
    assert!(matches!(
        broken.documents().find_map(Result::err),
        Some(Error::BadJsonLine { line: 2, .. })
    ));
}

#[test]
fn a_dot_leads_into_objects_of_jsonl_as_into_structs_of_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        folder.path(),
        "a.jsonl",
        "{\"doc\": {\"body\": \"a\"}}\n{\"doc.body\": \"b\"}\n",
    );
    let corpus = Corpus::open(&[path]).unwrap().with_text_column("doc.body");
    assert_eq!(texts(&corpus), ["a", "b"]);
}

#[test]
fn files_that_are_not_read_are_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("a.txt", "text"),
        ("b.md", "x"),
        ("c.csv", "x"),
        ("d.json", "{\"text\": \"x\"}"),
    ] {
        file(folder.path(), name, content);
    }
    file(folder.path(), "e.ndjson", "{\"text\": \"lines\"}");
    let corpus = Corpus::open(&[folder.path()]).unwrap();
    assert_eq!(texts(&corpus), ["text", "lines"]);
    let skipped: Vec<_> = corpus
        .skipped()
        .iter()
        .map(|file| (file.path.file_name().unwrap().to_str().unwrap(), file.why))
        .collect();
    let other = Skipped::OtherKind;
    assert_eq!(
        skipped,
        [("b.md", other), ("c.csv", other), ("d.json", Skipped::Description)]
    );
    // With nothing else there, the message names them and says what to do.
    for name in ["a.txt", "e.ndjson"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let error = Corpus::open(&[folder.path()]).unwrap_err();
    assert!(matches!(error, Error::NoTextFiles { .. }), "{error}");
    for part in ["b.md", "c.csv", "d.json", "named itself is read"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(texts(&Corpus::open(&[folder.path().join("d.json")]).unwrap()), ["x"]);
}

#[cfg(unix)]
#[test]
fn devices_are_no_text() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "a.txt", "text");
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("b.txt")).unwrap();
    let corpus = Corpus::open(&[folder.path()]).unwrap();
    assert_eq!(texts(&corpus), ["text"]);
    assert_eq!(corpus.skipped()[0].why, Skipped::NoFile);
    assert!(matches!(
        Corpus::open(&[folder.path().join("b.txt")]),
        Err(Error::NotAFile { .. })
    ));
}

#[test]
fn zeros_behind_gzip_members_are_nothing_and_other_bytes_are_a_fault() {
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let read = |bytes: Vec<u8>| -> ligo_data::Result<Vec<String>> {
        let path = file(folder.path(), "a.txt.gz", bytes);
        Corpus::open(&[path])?.documents().map(|d| d.map(|d| d.text)).collect()
    };
    let zeros = |count: usize| vec![0; count];
    // More zeros than a buffer holds, too.
    for count in [1, 512, 1_000_000] {
        assert_eq!(read([gzip("one\n\n"), zeros(count)].concat()).unwrap(), ["one"]);
        let both = [gzip("one\n\n"), zeros(count), gzip("two"), zeros(count)].concat();
        assert_eq!(read(both).unwrap(), ["one", "two"]);
    }
    for bad in [
        [gzip("one\n\n"), b"more".to_vec()].concat(),
        [gzip("one\n\n"), zeros(9), vec![7]].concat(),
        [zeros(512), gzip("one")].concat(),
        Vec::new(),
    ] {
        assert!(matches!(read(bad), Err(Error::Io { action: "read", .. })));
    }
}
