//! Reading text of every kind, and what is said about text that cannot be read.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use ligo_data::{Corpus, Error, Part, Skipped, SkippedFile, TrainValid};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

fn texts(path: &Path) -> ligo_data::Result<Vec<String>> {
    Corpus::open(&[path])?
        .documents()
        .map(|document| document.map(|d| d.text))
        .collect()
}

const TEXT: &str = "One.\nStill one.\n\n\n  \nTwo, with ümlaut.\r\n\r\nThree";
const JSONL: &str = "{\"id\": 1, \"text\": \"One.\\nStill one.\"}\n\n{\"text\": \"  \"}\n{\"text\": \"Two, with ümlaut.\"}\n{\"text\": \"Three\"}";

#[test]
fn every_layout_and_packing_gives_the_same_documents() {
    let folder = tempfile::tempdir().unwrap();
    let packings: [(&str, fn(&[u8]) -> Vec<u8>); 3] = [("", |bytes| bytes.to_vec()), (".gz", gzip), (".zst", zstd)];
    for (layout, content) in [(".txt", TEXT), (".jsonl", JSONL)] {
        for (packing, pack) in packings {
            let path = folder.path().join(format!("a{layout}{packing}"));
            fs::write(&path, pack(content.as_bytes())).unwrap();
            assert_eq!(
                texts(&path).unwrap(),
                ["One.\nStill one.", "Two, with ümlaut.", "Three"],
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn shards_of_c4_are_jsonl_and_a_description_in_a_folder_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let shard = folder.path().join("c4-train.00000-of-01024.json.gz");
    let line =
        "{\"text\":\"One.\\nStill one.\",\"timestamp\":\"2019-04-25T12:57:54Z\",\"url\":\"https://example.org\"}\n";
    fs::write(&shard, gzip(line.repeat(2).as_bytes())).unwrap();
    let description = folder.path().join("dataset_info.json");
    fs::write(&description, "{\"splits\": {}}").unwrap();
    assert_eq!(texts(folder.path()).unwrap(), ["One.\nStill one.", "One.\nStill one."]);
    let corpus = Corpus::open(&[folder.path()]).unwrap();
    let skipped = &corpus.skipped()[0];
    assert_eq!((&skipped.path, skipped.why), (&description, Skipped::Description));
    assert!(
        matches!(texts(&description), Err(Error::MissingText { line: 1, .. })),
        "named directly it is read"
    );
}

#[test]
fn concatenated_gzip_members_and_zstandard_frames_are_all_read() {
    let folder = tempfile::tempdir().unwrap();
    // A skippable frame (magic 0x184D2A50, four bytes of content) between two data frames, as `pzstd` writes them.
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    let zstd_frames = [zstd(b"one\n\n"), skippable.to_vec(), zstd(b"two\n")].concat();
    for (name, bytes) in [
        ("a.txt.zst", zstd_frames),
        ("a.txt.gz", [gzip(b"one\n\n"), gzip(b"two\n")].concat()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert_eq!(texts(&path).unwrap(), ["one", "two"]);
    }
}

#[test]
fn folders_are_read_recursively_in_sorted_order_and_other_files_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("b/c")).unwrap();
    for (name, text) in [
        ("z.txt", "4"),
        ("b/c/x.txt", "2"),
        ("a.txt", "1"),
        ("b/y.txt", "3"),
        ("table.tsv", "no"),
        (".hidden.txt", "no"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    assert_eq!(texts(folder.path()).unwrap(), ["1", "2", "3", "4"]);
    let corpus = Corpus::open(&[folder.path()]).unwrap();
    let path = folder.path().join("table.tsv");
    let why = Skipped::OtherKind;
    let hidden = SkippedFile {
        path: folder.path().join(".hidden.txt"),
        why: Skipped::Hidden,
    };
    assert_eq!(corpus.skipped(), [hidden, SkippedFile { path, why }]);
    assert_eq!(corpus.files()[1].name, "b/c/x.txt");
}

#[test]
fn a_document_without_end_is_handed_out_in_pieces_and_no_character_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.txt");
    // One line of three-byte characters, so some limit falls inside a character.
    let text = "€".repeat(1_200_000);
    fs::write(&path, &text).unwrap();
    let documents = texts(&path).unwrap();
    assert!(documents.len() >= 2);
    assert!(documents.iter().all(|document| document.len() <= 2 << 20));
    assert_eq!(documents.concat(), text);
}

#[test]
fn a_byte_order_mark_is_not_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bom.jsonl");
    fs::write(&path, b"\xef\xbb\xbf{\"text\": \"a\"}\n").unwrap();
    assert_eq!(texts(&path).unwrap(), ["a"]);
}

#[test]
fn bytes_that_are_not_utf8_are_reported_with_file_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, expected) in [
        ("a.txt", b"caf\xc3\xa9\nb\xffd\n".to_vec(), 7),
        ("b.txt.gz", gzip(b"ab\ncd\xfe"), 5),
        ("c.txt", b"cut off \xe2\x82".to_vec(), 8),
        ("d.txt", b"\xef\xbb\xbfa\xff".to_vec(), 4),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        match texts(&file) {
            Err(Error::NotUtf8 { path, offset }) => assert_eq!((path, offset), (file, expected)),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_json_line_without_text_is_reported_with_its_line_and_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.jsonl");
    fs::write(&file, "{\"text\": \"a\"}\n\n{\"id\": 3, \"body\": \"b\"}\n").unwrap();
    match texts(&file) {
        Err(Error::MissingText { path, line, keys, .. }) => {
            assert_eq!((path, line), (file.clone(), 3));
            assert_eq!(keys, "`id` (number), `body` (string)");
        }
        other => panic!("{other:?}"),
    }
    fs::write(&file, "{\"text\": [\"a\"]}").unwrap();
    assert!(matches!(texts(&file), Err(Error::MissingText { line: 1, keys, .. }) if keys == "`text` (list)"));
    for bad in ["[1]", "{\"text\": ", "words"] {
        fs::write(&file, format!("{{\"text\": \"a\"}}\n{bad}\n")).unwrap();
        assert!(matches!(texts(&file), Err(Error::BadJsonLine { line: 2, .. })), "{bad}");
    }
}

#[test]
fn the_iterator_ends_after_its_first_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.txt");
    fs::write(&file, b"a\n\n\xff\n\nb").unwrap();
    let results: Vec<_> = Corpus::open(&[&file]).unwrap().documents().collect();
    assert_eq!(results.len(), 2);
    assert!(results[0].is_ok() && results[1].is_err());
}

#[test]
fn an_unknown_extension_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.docx");
    fs::write(&file, "x").unwrap();
    let error = Corpus::open(&[&file]).unwrap_err();
    assert!(
        matches!(&error, Error::UnknownExtension { extension, .. } if extension == "docx"),
        "{error}"
    );
    assert!(error.to_string().contains(".jsonl"), "{error}");
}

#[test]
fn a_folder_without_text_and_a_missing_file_are_different_errors() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Corpus::open(&[folder.path()]), Err(Error::NoTextFiles { skipped, .. }) if skipped.is_empty()));
    let missing = folder.path().join("no.txt");
    assert!(matches!(Corpus::open(&[&missing]), Err(Error::Io { path, .. }) if path == missing));
}

#[test]
fn damaged_archives_are_read_errors_that_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = (0..20_000)
        .map(|i| format!("line {i} {}\n", i * 7919 % 1000))
        .collect::<String>();
    for (name, bytes) in [
        ("a.txt.gz", gzip(text.as_bytes())),
        ("a.txt.zst", zstd(text.as_bytes())),
    ] {
        let file = folder.path().join(name);
        for damaged in [bytes[..bytes.len() / 2].to_vec(), b"not an archive at all".to_vec()] {
            fs::write(&file, damaged).unwrap();
            assert!(
                matches!(texts(&file), Err(Error::Io { action: "read", path, .. }) if path == file),
                "{name}"
            );
        }
    }
}

#[test]
fn a_flipped_bit_in_a_zstandard_frame_is_found_by_its_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.txt.zst");
    // The encoder writes a checksum into the last four bytes.
    let text = (0..2_000).map(|i| format!("{} ", i * 7919 % 1000)).collect::<String>();
    let mut bytes = zstd(text.as_bytes());
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert!(matches!(texts(&file), Err(Error::Io { action: "read", .. })));
}

#[test]
fn packed_files_that_are_cut_off_or_have_something_behind_them_are_called_that() {
    let folder = tempfile::tempdir().unwrap();
    let text = (0..2_000).map(|i| format!("{} ", i * 7919 % 1000)).collect::<String>();
    let said = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        match texts(&file) {
            Err(error @ Error::Io { .. }) => error.to_string(),
            other => panic!("{name}: {other:?}"),
        }
    };
    for (name, packed) in [
        ("a.txt.gz", gzip(text.as_bytes())),
        ("a.txt.zst", zstd(text.as_bytes())),
    ] {
        for length in [3, 9, packed.len() / 2, packed.len() - 5, packed.len() - 1] {
            let said = said(name, &packed[..length]);
            assert!(said.contains(name) && said.contains("is cut off"), "{length}: {said}");
        }
        let appended = said(name, &[&packed[..], b"some more"].concat());
        assert!(appended.contains("something else follows"), "{appended}");
        let plain = said(name, text.as_bytes());
        assert!(plain.contains("its content is not"), "{plain}");
    }
}

#[test]
fn utf_16_is_called_that_with_and_without_its_mark() {
    let folder = tempfile::tempdir().unwrap();
    let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let text = "One small step.\n\nAnd another one.\n";
    for (i, bytes) in [
        little(&format!("\u{feff}{text}")),
        big(&format!("\u{feff}{text}")),
        little(text),
        big(text),
        little("\u{feff}Ελληνικά\n"),
    ]
    .into_iter()
    .enumerate()
    {
        for ending in ["txt", "jsonl"] {
            let file = folder.path().join(format!("{i}.{ending}"));
            fs::write(&file, &bytes).unwrap();
            assert!(
                matches!(texts(&file), Err(Error::Utf16 { path }) if path == file),
                "{i}"
            );
        }
    }
    let file = folder.path().join("zero.txt");
    fs::write(&file, "a\0b and more\n").unwrap();
    assert_eq!(texts(&file).unwrap(), ["a\0b and more"]);
}

#[test]
fn a_split_by_hash_is_complete_disjoint_and_close_to_its_fraction() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.txt");
    fs::write(
        &file,
        (0..4_000).map(|i| format!("document {i}\n\n")).collect::<String>(),
    )
    .unwrap();
    let split = TrainValid::split(&[&file], 0.1).unwrap();
    let read = |corpus: &Corpus| corpus.documents().map(|d| d.unwrap().text).collect::<Vec<_>>();
    let (train, valid) = (read(&split.train), read(&split.valid));
    assert_eq!(train.len() + valid.len(), 4_000);
    assert!(valid.iter().all(|text| !train.contains(text)));
    // 400 ± 4 standard deviations (19 each).
    assert!((324..=476).contains(&valid.len()), "{}", valid.len());
    assert_eq!(valid, read(&split.valid), "the same every time");
    assert!(matches!(
        TrainValid::split(&[&file], 1.5),
        Err(Error::BadSetting {
            name: "valid_fraction",
            ..
        })
    ));
}

#[test]
fn files_named_train_and_valid_are_the_split() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("train-0.txt", "a"),
        ("train.jsonl", "{\"text\": \"b\"}"),
        ("valid.txt", "c"),
        ("more.txt", "d"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let split = TrainValid::split(&[folder.path()], 0.5).unwrap();
    let read = |corpus: &Corpus| corpus.documents().map(|d| d.unwrap().text).collect::<Vec<_>>();
    assert_eq!(read(&split.train), ["a", "b"]);
    assert_eq!(read(&split.valid), ["c"]);
    let left_out = split.left_out();
    assert_eq!(left_out.len(), 1);
    assert!(left_out[0].path.ends_with("more.txt") && left_out[0].why == Skipped::Unnamed);
}

#[test]
fn a_split_by_file_keeps_files_whole() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..40 {
        fs::write(folder.path().join(format!("{i}.txt")), format!("{i}\n\n{i}")).unwrap();
    }
    let corpus = Corpus::open(&[folder.path()]).unwrap();
    let count = |part| {
        corpus
            .with_part(part)
            .documents()
            .map(|d| d.unwrap().text)
            .collect::<Vec<_>>()
    };
    let (train, valid) = (count(Part::TrainFiles(0.3)), count(Part::ValidFiles(0.3)));
    assert_eq!(train.len() + valid.len(), 80);
    assert!(!valid.is_empty() && valid.iter().all(|text| !train.contains(text)));
}

#[test]
fn bytes_read_reach_the_total() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..6 {
        fs::write(
            folder.path().join(format!("{i}.txt.gz")),
            gzip(format!("text {i}").as_bytes()),
        )
        .unwrap();
    }
    let corpus = Corpus::open(&[folder.path()]).unwrap().with_part(Part::TrainFiles(0.5));
    let mut documents = corpus.documents();
    assert_eq!(documents.bytes_read(), 0);
    documents.by_ref().for_each(drop);
    assert_eq!(documents.bytes_read(), corpus.total_bytes());
}
