//! A build that goes on where another stopped gives the bytes of one that never stopped.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cell::{Cell, RefCell};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::build::Pace;
use super::folder::LOCK;
use crate::{Corpus, Error, Note, Result, TokenStore, Tokenizer, Watch};

const DOCUMENTS: usize = 400;
/// Gives more than thirty pieces of text.
const BATCH_BYTES: usize = 128;

struct Setup {
    folder: tempfile::TempDir,
    tokenizer: Tokenizer,
}

/// When a build ends early.
#[derive(Clone, Copy)]
enum End {
    /// Not at all.
    Never,
    /// It is asked to stop at this report of progress.
    Asked(usize),
    /// It dies there. A panic stands for it: nothing after that point is done, except that locks are released, as the system does.
    Killed(usize),
}

fn text(documents: std::ops::Range<usize>) -> String {
    documents
        .map(|i| format!("w{} w{} w7\nw{}\n\n", i % 100, i % 13, i % 5))
        .collect()
}

fn setup() -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let words: String = (0..100).map(|word| format!("w{word}\n")).collect();
    let vocab = format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n{words}");
    fs::write(folder.path().join("vocab.txt"), vocab).unwrap();
    // Documents without a token, so that the counts of texts and of documents differ.
    let blank = "\u{200b}\n\n".repeat(3);
    fs::write(folder.path().join("a.txt"), text(0..200) + &blank).unwrap();
    fs::write(folder.path().join("b.txt"), text(200..DOCUMENTS)).unwrap();
    Setup {
        tokenizer: Tokenizer::open(&folder.path().join("vocab.txt")).unwrap(),
        folder,
    }
}

impl Setup {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn partial(&self, file: &str) -> PathBuf {
        self.path("stores/.partial-a").join(file)
    }

    /// Builds `stores/NAME`; `record_every` is 0 for a record after every piece.
    fn build(&self, name: &str, end: End, record_every: u64) -> (Result<TokenStore>, Vec<Note>) {
        let corpus = Corpus::open(&[self.path("a.txt"), self.path("b.txt")]).unwrap();
        let (stop, reports, notes) = (AtomicBool::new(false), Cell::new(0), RefCell::new(Vec::new()));
        let report = |_, _| {
            reports.set(reports.get() + 1);
            match end {
                End::Asked(at) if reports.get() == at => stop.store(true, Ordering::Relaxed),
                End::Killed(at) if reports.get() == at => std::panic::resume_unwind(Box::new("killed")),
                _ => {}
            }
        };
        let note = |note: &Note| notes.borrow_mut().push(note.clone());
        let pace = Pace {
            batch_bytes: BATCH_BYTES,
            record_every: Duration::from_secs(record_every),
        };
        let watch = Watch::new(&report, &stop).with_notes(&note);
        let built = catch_unwind(AssertUnwindSafe(|| {
            TokenStore::build_at_pace(&self.path("stores").join(name), &corpus, &self.tokenizer, pace, watch)
        }));
        (built.unwrap_or(Err(Error::Interrupted)), notes.into_inner())
    }

    /// Leaves `stores/a` unfinished, within `a.txt`.
    fn begin(&self) {
        let (stopped, notes) = self.build("a", End::Asked(10), 1_000);
        assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
        assert!(notes.is_empty());
        assert!(self.partial("progress").exists() && !self.path("stores/a").exists());
    }

    /// Finishes `stores/a` and compares it with a store that was built in one go. Returns what was noted.
    fn finish(&self) -> Vec<Note> {
        let (built, notes) = self.build("a", End::Never, 1_000);
        built.unwrap().verify().unwrap();
        let (whole, silent) = self.build("whole", End::Never, 1_000);
        whole.unwrap();
        assert!(silent.is_empty(), "{silent:?}");
        for file in ["tokens.bin", "store.json"] {
            let read = |store: &str| fs::read(self.path("stores").join(store).join(file)).unwrap();
            assert!(read("a") == read("whole"), "{file} differs");
        }
        let mut names: Vec<_> = fs::read_dir(self.path("stores"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["a", "whole"]);
        notes
    }
}

fn is_continued(notes: &[Note]) -> bool {
    matches!(notes, [Note::Continued { documents, tokens, .. }] if *documents > 0 && tokens > documents)
}

/// The reasons given for beginning anew.
fn reasons(notes: &[Note]) -> Vec<&'static str> {
    let reason = |note: &Note| match note {
        Note::BegunAnew { reason, .. } => Some(*reason),
        Note::Continued { .. } | Note::WithoutText { .. } => None,
    };
    notes.iter().filter_map(reason).collect()
}

#[test]
fn an_interrupted_build_goes_on_and_its_store_is_the_same_to_the_byte() {
    for stops in [&[1][..], &[2], &[17], &[31], &[3, 12, 25, 30], &[28, 5, 31]] {
        let setup = setup();
        for &at in stops {
            assert!(matches!(
                setup.build("a", End::Asked(at), 1_000).0,
                Err(Error::Interrupted)
            ));
        }
        assert!(is_continued(&setup.finish()), "{stops:?}");
    }
}

#[test]
fn a_killed_build_goes_on_from_its_last_record() {
    for (at, record_every) in [(1, 0), (2, 0), (18, 0), (29, 0), (18, 1_000)] {
        let setup = setup();
        assert!(setup.build("a", End::Killed(at), record_every).0.is_err());
        // The second build is killed too, while it still reads what is done or a little later.
        assert!(setup.build("a", End::Killed(at + 2), record_every).0.is_err());
        assert_eq!(is_continued(&setup.finish()), record_every == 0, "{at}");
    }
}

#[test]
fn finished_text_is_not_tokenized_again() {
    let setup = setup();
    setup.begin();
    let progress = fs::read_to_string(setup.partial("progress")).unwrap();
    let tokens = fs::read(setup.partial("store/tokens.bin")).unwrap();
    // Stopped before its first new piece, a build has written nothing.
    assert!(setup.build("a", End::Asked(1), 0).0.is_err());
    assert_eq!(fs::read_to_string(setup.partial("progress")).unwrap(), progress);
    assert!(fs::read(setup.partial("store/tokens.bin")).unwrap() == tokens);
    let tokens = tokens.len() as u64 / 2;
    let notes = setup.finish();
    assert!(matches!(notes[..], [Note::Continued { tokens: kept, .. }] if kept == tokens));
    assert!(notes[0].to_string().contains(&format!("({tokens} tokens)")));
}

#[test]
fn tokens_behind_the_record_are_cut_off() {
    let setup = setup();
    setup.begin();
    let path = setup.partial("store/tokens.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([0xff; 5_001]);
    fs::write(&path, bytes).unwrap();
    fs::write(setup.partial("store/store.json"), "{").unwrap();
    assert!(is_continued(&setup.finish()));
}

#[test]
fn text_behind_the_place_may_change_and_text_before_it_may_not() {
    let changes: [(&str, &str, String, bool); 6] = [
        ("more behind", "b.txt", text(200..500), true),
        ("less behind", "b.txt", text(200..201), true),
        (
            "one letter before",
            "a.txt",
            text(0..200).replacen("w3 ", "w4 ", 1),
            false,
        ),
        ("less before", "a.txt", text(1..200), false),
        ("more before", "a.txt", text(0..1) + &text(0..200), false),
        (
            "documents joined",
            "a.txt",
            text(0..200).replacen("\n\n", "\n", 1),
            false,
        ),
    ];
    for (change, file, text, continues) in changes {
        let setup = setup();
        setup.begin();
        fs::write(setup.path(file), text).unwrap();
        let notes = setup.finish();
        if continues {
            assert!(is_continued(&notes), "{change}: {notes:?}");
        } else {
            assert_eq!(reasons(&notes), ["the text it was begun with has changed"], "{change}");
        }
    }
    // Nothing is left of what was done.
    let setup = setup();
    setup.begin();
    fs::write(setup.path("a.txt"), "w1\n").unwrap();
    fs::write(setup.path("b.txt"), "w2\n").unwrap();
    assert_eq!(reasons(&setup.finish()).len(), 1);
}

#[test]
fn a_fault_in_the_text_keeps_what_was_done_before_it() {
    let setup = setup();
    fs::write(setup.path("b.txt"), b"w1\n\n\xff").unwrap();
    assert!(matches!(
        setup.build("a", End::Never, 1_000).0,
        Err(Error::NotUtf8 { offset: 4, .. })
    ));
    fs::write(setup.path("b.txt"), text(200..DOCUMENTS)).unwrap();
    assert!(is_continued(&setup.finish()));
}

#[test]
fn another_tokenizer_begins_anew() {
    for (from, to) in [("w8\n", "w8x\n"), ("w99\n", "w99\nw100\n")] {
        let mut setup = setup();
        setup.begin();
        let vocab = setup.path("vocab.txt");
        fs::write(&vocab, fs::read_to_string(&vocab).unwrap().replace(from, to)).unwrap();
        setup.tokenizer = Tokenizer::open(&vocab).unwrap();
        assert_eq!(reasons(&setup.finish()), ["it was begun with another tokenizer"]);
    }
}

#[test]
fn a_damaged_or_shortened_file_begins_anew() {
    let damaged = "the record of its progress is damaged";
    let tokens = "its tokens.bin is damaged";
    let short = "its tokens.bin is shorter than the record of its progress says";
    let spoil = |file: &str, how: fn(&mut Vec<u8>), expected: &str| {
        let setup = setup();
        setup.begin();
        let path = setup.partial(file);
        let mut bytes = fs::read(&path).unwrap();
        how(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let notes = setup.finish();
        assert_eq!(reasons(&notes), [expected], "{file}");
        assert!(notes[0].to_string().contains(expected));
    };
    spoil("progress", |bytes| bytes.clear(), damaged);
    spoil("progress", |bytes| bytes.truncate(bytes.len() / 2), damaged);
    // A count that nothing else would give away.
    spoil(
        "progress",
        |bytes| {
            *bytes = String::from_utf8_lossy(bytes)
                .replace("\"documents\":", "\"documents\":1")
                .into_bytes()
        },
        damaged,
    );
    spoil("progress", |bytes| bytes.fill(0xff), damaged);
    spoil("store/tokens.bin", |bytes| bytes[7] ^= 1, tokens);
    spoil("store/tokens.bin", |bytes| bytes.truncate(bytes.len() - 1), short);
    spoil("store/tokens.bin", |bytes| bytes.clear(), short);
    // A build that was killed between its last rename and the removal of the rest leaves this.
    let setup = setup();
    setup.begin();
    fs::remove_dir_all(setup.partial("store")).unwrap();
    assert_eq!(reasons(&setup.finish()), [short]);
}

#[test]
fn another_version_begins_anew() {
    let setup = setup();
    setup.begin();
    let path = setup.partial("progress");
    let text = fs::read_to_string(&path).unwrap();
    let version = format!("\"made_by\":\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&version));
    let json = text.lines().next().unwrap().replace(&version, "\"made_by\":\"0.0.0\"");
    fs::write(&path, format!("{json}\n{}\n", crate::hash::sha256_hex(json.as_bytes()))).unwrap();
    assert_eq!(
        reasons(&setup.finish()),
        ["it was begun by another version of this program"]
    );
}

#[test]
fn two_builds_of_one_folder_exclude_each_other() {
    let setup = setup();
    setup.begin();
    let held = fs::File::open(setup.partial(LOCK)).unwrap();
    held.try_lock().unwrap();
    let busy = setup.build("a", End::Never, 0).0;
    assert!(
        matches!(&busy, Err(Error::StoreBusy { path }) if *path == setup.path("stores/a")),
        "{busy:?}"
    );
    // Another store in the same place is no hindrance.
    setup.build("b", End::Never, 0).0.unwrap();
    fs::remove_dir_all(setup.path("stores/b")).unwrap();
    drop(held);
    assert!(is_continued(&setup.finish()));
}

#[test]
fn of_many_builds_at_once_one_finishes_and_the_others_are_told_why_not() {
    let setup = setup();
    let corpus = Corpus::open(&[setup.path("a.txt"), setup.path("b.txt")]).unwrap();
    for round in 0..5 {
        let folder = setup.path("stores").join(format!("{round}"));
        let build = || TokenStore::build(&folder, &corpus, &setup.tokenizer, Watch::none());
        let results: Vec<_> = std::thread::scope(|scope| {
            let builders: Vec<_> = (0..6).map(|_| scope.spawn(build)).collect();
            builders.into_iter().map(|builder| builder.join().unwrap()).collect()
        });
        let built = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(built, 1, "{results:?}");
        for error in results.into_iter().filter_map(Result::err) {
            assert!(
                matches!(error, Error::StoreBusy { .. } | Error::StoreExists { .. }),
                "{error:?}"
            );
        }
        TokenStore::open(&folder).unwrap().verify().unwrap();
    }
    assert_eq!(fs::read_dir(setup.path("stores")).unwrap().count(), 5);
}
