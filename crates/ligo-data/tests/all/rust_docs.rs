//! The demo corpus, on the workspace this crate belongs to.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use ligo_data::{Error, RustDocs, RustDocsReport, Watch, rust_docs};

#[test]
fn the_documentation_of_this_workspace_is_a_corpus() {
    let manifest = rust_docs::find_workspace(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let docs = RustDocs::gather(&manifest, Watch::none()).unwrap();
    let report = &docs.report;
    assert!(report.packages > 100 && report.paragraphs > 10_000, "{report:?}");
    assert!(
        report.train_bytes > 2_000_000 && report.valid_bytes > 50_000,
        "{report:?}"
    );
    let share = report.valid_bytes as f64 / (report.train_bytes + report.valid_bytes) as f64;
    assert!((0.01..0.15).contains(&share), "{share} of the text is for validation");
    let lines = |text: &str| {
        text.lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect::<std::collections::HashSet<_>>()
    };
    assert!(
        lines(&docs.train).is_disjoint(&lines(&docs.valid)),
        "a paragraph is on both sides"
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docs");
    docs.write(&path).unwrap();
    let (corpora, read) = RustDocs::open(&path).unwrap();
    assert_eq!(&read, report);
    let documents = |corpus: &ligo_data::Corpus| corpus.documents().filter(|document| document.is_ok()).count();
    assert_eq!(documents(&corpora.train) + documents(&corpora.valid), report.files);
    assert!(matches!(docs.write(&path), Err(Error::StoreExists { .. })));
}

#[test]
fn a_manifest_that_is_not_there_and_a_stop_are_typed_errors() {
    let missing = Path::new("no/such/Cargo.toml");
    assert!(
        matches!(RustDocs::gather(missing, Watch::none()), Err(Error::Metadata { manifest, .. }) if manifest == missing)
    );
    let manifest = rust_docs::find_workspace(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let stop = AtomicBool::new(true);
    assert!(matches!(
        RustDocs::gather(&manifest, Watch::new(&|_, _| {}, &stop)),
        Err(Error::Interrupted)
    ));
}

#[test]
fn a_text_that_is_not_as_it_was_written_is_named() {
    use sha2::{Digest, Sha256};
    let (train, valid) = ("One paragraph.\n\nAnother.\n".to_owned(), "A third.\n".to_owned());
    let hash = |text: &str| Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    let docs = RustDocs {
        report: RustDocsReport {
            packages: 1,
            files: 2,
            paragraphs: 3,
            duplicates: 0,
            train_bytes: train.len(),
            valid_bytes: valid.len(),
            train_sha256: hash(&train),
            valid_sha256: hash(&valid),
        },
        train,
        valid,
    };
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("corpus");
    docs.write(&folder).unwrap();
    let (corpora, report) = RustDocs::open(&folder).unwrap();
    assert_eq!(report, docs.report);
    assert_eq!(corpora.train.documents().count() + corpora.valid.documents().count(), 3);
    for name in ["train.txt", "valid.txt"] {
        let path = folder.join(name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[3] ^= 1;
        fs::write(&path, &bad).unwrap();
        let error = RustDocs::open(&folder).unwrap_err();
        assert!(
            matches!(&error, Error::StoreHash { path: named, .. } if *named == path),
            "{error}"
        );
        fs::write(&path, &good[1..]).unwrap();
        assert!(matches!(RustDocs::open(&folder), Err(Error::StoreSize { .. })));
        fs::write(&path, good).unwrap();
    }
}
