//! Text from parquet files.

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ligo_data::{Corpus, Error, TokenStore, Tokenizer, TrainValid, Watch};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

const SCHEMA: &str = "message schema {
    required int64 id;
    optional binary text (utf8);
    required group article { required binary body (utf8); }
    optional group tags (list) { repeated group list { optional binary element (utf8); } }
}";

/// Writes row groups; a row's `text` may be missing, its `article.body` is `B` and its number.
fn write(path: &Path, groups: &[Vec<Option<&str>>], compression: Compression) {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_data_page_row_count_limit(10)
        .set_write_batch_size(5)
        .build();
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    for rows in groups {
        let ids: Vec<i64> = (0..rows.len() as i64).collect();
        let present: Vec<i16> = rows.iter().map(|row| i16::from(row.is_some())).collect();
        let texts: Vec<ByteArray> = rows.iter().flatten().map(|text| ByteArray::from(*text)).collect();
        let bodies: Vec<ByteArray> = ids
            .iter()
            .map(|id| ByteArray::from(format!("B{id}").as_str()))
            .collect();
        let no_tags = vec![0i16; rows.len()];
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&texts, Some(&present), None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&bodies, None, None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&[], Some(&no_tags), Some(&no_tags))
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn texts(corpus: &Corpus) -> ligo_data::Result<Vec<String>> {
    corpus.documents().map(|document| document.map(|d| d.text)).collect()
}

struct Sample {
    folder: tempfile::TempDir,
    path: PathBuf,
}

fn sample(compression: Compression) -> Sample {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-00000-of-00001.parquet");
    let many: Vec<Option<&str>> = (0..150).map(|_| Some("again and again")).collect();
    let few = vec![
        Some("One.\n\nStill one."),
        None,
        Some("  \n"),
        Some("Zwei, mit Ümlaut."),
        Some(""),
    ];
    write(&path, &[few, many, vec![Some("last")]], compression);
    Sample { folder, path }
}

#[test]
fn every_compression_gives_the_rows_that_hold_text() {
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::GZIP(GzipLevel::default()),
    ] {
        let sample = sample(compression);
        let found = texts(&Corpus::open(&[&sample.path]).unwrap()).unwrap();
        assert_eq!(found.len(), 153, "{compression}");
        assert_eq!(found[..2], ["One.\n\nStill one.", "Zwei, mit Ümlaut."]);
        assert_eq!(found[152], "last");
    }
}

#[test]
fn another_column_can_be_named_also_within_a_struct() {
    let sample = sample(Compression::SNAPPY);
    let corpus = Corpus::open(&[&sample.path]).unwrap().with_text_column("article.body");
    assert_eq!(texts(&corpus).unwrap()[..4], ["B0", "B1", "B2", "B3"]);
    let json = sample.folder.path().join("a.jsonl");
    fs::write(&json, "{\"text\": 1, \"body\": \"b\"}\n").unwrap();
    let corpus = Corpus::open(&[&json]).unwrap();
    assert_eq!(texts(&corpus.with_text_column("body")).unwrap(), ["b"]);
    assert!(matches!(texts(&corpus), Err(Error::MissingText { field, .. }) if field == "text"));
    let both = TrainValid::split(&[&sample.path], 0.5)
        .unwrap()
        .with_text_column("article.body");
    let count = texts(&both.train).unwrap().len() + texts(&both.valid).unwrap().len();
    assert_eq!(count, 156);
}

#[test]
fn a_file_without_the_column_lists_those_it_has() {
    let sample = sample(Compression::SNAPPY);
    let corpus = Corpus::open(&[&sample.path]).unwrap();
    for wanted in ["content", "id", "tags.list.element", "article"] {
        match texts(&corpus.with_text_column(wanted)) {
            Err(Error::MissingColumn { path, column, columns }) => {
                assert_eq!((path, column.as_str()), (sample.path.clone(), wanted));
                assert_eq!(
                    columns,
                    "`id` (int64), `text` (string), `article.body` (string), `tags.list.element` (list of string)"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_damaged_file_is_a_typed_error_and_never_a_panic() {
    let sample = sample(Compression::ZSTD(ZstdLevel::default()));
    let good = fs::read(&sample.path).unwrap();
    let broken = sample.folder.path().join("broken.parquet");
    let read = |bytes: &[u8]| {
        fs::write(&broken, bytes).unwrap();
        texts(&Corpus::open(&[&broken]).unwrap())
    };
    for cut in [0, 3, 8, good.len() / 2, good.len() - 9, good.len() - 1] {
        assert!(
            matches!(read(&good[..cut]), Err(Error::BadParquet { path, .. }) if path == broken),
            "{cut}"
        );
    }
    let whole = read(&good).unwrap();
    let mut noticed = 0;
    for at in (0..good.len()).step_by(3) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x55;
        match read(&bytes) {
            // Other columns and statistics do not matter to the text.
            Ok(found) => noticed += usize::from(found != whole),
            Err(Error::BadParquet { .. } | Error::MissingColumn { .. }) => noticed += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(noticed > 0);
}

#[test]
fn a_store_is_built_from_parquet_with_progress_up_to_the_total() {
    let sample = sample(Compression::SNAPPY);
    let vocab = sample.folder.path().join("vocab.txt");
    fs::write(&vocab, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nagain\nand\n").unwrap();
    let tokenizer = Tokenizer::open(&vocab).unwrap();
    let corpus = Corpus::open(&[&sample.path, &sample.path]).unwrap();
    let seen = RefCell::new(Vec::new());
    let report = |done, total| seen.borrow_mut().push((done, total));
    let stop = AtomicBool::new(false);
    let store = sample.folder.path().join("store");
    let store = TokenStore::build(&store, &corpus, &tokenizer, Watch::new(&report, &stop)).unwrap();
    assert_eq!(store.info().documents, 306);
    assert_eq!(store.info().unigram_counts[5], 600);
    let total = corpus.total_bytes();
    assert!(seen.borrow().iter().all(|(done, of)| *done <= total && *of == total));
    assert_eq!(seen.borrow().last(), Some(&(total, total)));
    let mut documents = corpus.documents();
    let mut last = 0;
    while documents.next().is_some() {
        assert!(documents.bytes_read() >= last);
        last = documents.bytes_read();
    }
    assert_eq!(last, total);
}
