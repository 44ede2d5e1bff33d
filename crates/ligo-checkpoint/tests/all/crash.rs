//! A save that is interrupted anywhere leaves the old or the new checkpoint, whole.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ligo_checkpoint::{Change, Disk, Error, ModelDir, recover, verify};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{self, assert_recovers_to, child, hidden, save_model, save_step};

const ELEMENTS: usize = 2_000;

/// Counts changes and calls `act` with the number of each, beginning with 1.
fn counting(act: impl Fn(usize) -> io::Result<()> + Send + Sync + 'static) -> (Disk, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let inside = count.clone();
    (
        Disk::with_hook(move |_| act(inside.fetch_add(1, Ordering::SeqCst) + 1)),
        count,
    )
}

/// What the interrupted process does: the first kind adds a checkpoint, the second replaces a model.
fn save(kind: &str, disk: &Disk, folder: &Path, elements: usize) -> Result<(), Error> {
    match kind {
        "step" => save_step(disk, folder, 200, elements),
        _ => save_model(disk, &folder.join("model"), 200, elements),
    }
}

fn prepare(kind: &str, folder: &Path, elements: usize) {
    match kind {
        "step" => save_step(&Disk::default(), folder, 100, elements).unwrap(),
        _ => save_model(&Disk::default(), &folder.join("model"), 100, elements).unwrap(),
    }
}

/// The state after the crash is usable, and so is a save after it. Returns which version was found.
fn check(kind: &str, folder: &Path, elements: usize, context: &str) -> u64 {
    let found = if kind == "step" {
        assert_recovers_to(folder, &[100, 200], elements, context)
    } else {
        let target = folder.join("model");
        recover(&target).unwrap_or_else(|error| panic!("{context}: {error}"));
        verify(&target).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(hidden(folder), Vec::<String>::new(), "{context}");
        let model = ModelDir::open(&target).unwrap();
        let seed = model.config().unwrap()["seed"].as_u64().unwrap();
        for (name, _, values) in support::tensors(seed, elements) {
            assert_eq!(model.read_f32(&name).unwrap(), &values[..], "{context}: {name}");
        }
        seed
    };
    assert!(found == 100 || found == 200, "{context}: {found}");
    save(kind, &Disk::default(), folder, elements).unwrap_or_else(|error| panic!("{context}, again: {error}"));
    found
}

fn changes_of_one_save(kind: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    prepare(kind, folder.path(), ELEMENTS);
    let (disk, count) = counting(|_| Ok(()));
    save(kind, &disk, folder.path(), ELEMENTS).unwrap();
    count.load(Ordering::SeqCst)
}

#[test]
#[ignore = "started by the tests below"]
fn child_that_saves() {
    let Ok(folder) = std::env::var("CRASH_FOLDER") else {
        return;
    };
    let kind = std::env::var("CRASH_KIND").unwrap();
    let elements = std::env::var("CRASH_ELEMENTS").unwrap().parse().unwrap();
    let kill_at: usize = std::env::var("CRASH_AT").unwrap().parse().unwrap();
    let (disk, _) = counting(move |n| {
        if n == kill_at {
            // SAFETY: kill(2) takes two integers; the process ends here.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
        Ok(())
    });
    save(&kind, &disk, Path::new(&folder), elements).unwrap();
}

#[test]
fn a_process_killed_before_any_change_leaves_a_whole_checkpoint() {
    let mut points = 0;
    for kind in ["step", "model"] {
        let mut found = BTreeMap::new();
        for at in 1..=changes_of_one_save(kind) {
            let folder = tempfile::tempdir().unwrap();
            prepare(kind, folder.path(), ELEMENTS);
            let path = folder.path().to_str().unwrap();
            let variables = [
                ("CRASH_FOLDER", path),
                ("CRASH_KIND", kind),
                ("CRASH_AT", &at.to_string()),
                ("CRASH_ELEMENTS", &ELEMENTS.to_string()),
            ];
            let output = child("crash::child_that_saves", &variables).output().unwrap();
            assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{kind} {at}: {output:?}");
            *found
                .entry(check(
                    kind,
                    folder.path(),
                    ELEMENTS,
                    &format!("{kind}, killed at change {at}"),
                ))
                .or_insert(0) += 1;
            points += 1;
        }
        assert_eq!(
            found.keys().copied().collect::<Vec<_>>(),
            [100, 200],
            "{kind}: {found:?}"
        );
    }
    assert!(points >= 25, "{points}");
}

#[test]
fn a_process_killed_at_any_moment_leaves_a_whole_checkpoint() {
    const LARGE: usize = 150_000;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for kind in ["step", "model"] {
        let variables = |path: &str| {
            [
                ("CRASH_FOLDER", path.to_string()),
                ("CRASH_KIND", kind.into()),
                ("CRASH_AT", "0".into()),
                ("CRASH_ELEMENTS", LARGE.to_string()),
            ]
        };
        let start = |folder: &Path| {
            let variables = variables(folder.to_str().unwrap());
            let borrowed: Vec<(&str, &str)> = variables.iter().map(|(key, value)| (*key, value.as_str())).collect();
            child("crash::child_that_saves", &borrowed).spawn().unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        prepare(kind, folder.path(), LARGE);
        let begin = Instant::now();
        assert!(start(folder.path()).wait().unwrap().success());
        let whole = begin.elapsed();
        for round in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            prepare(kind, folder.path(), LARGE);
            let delay: Duration = whole.mul_f64(rng.random_range(0.0..1.5));
            let mut process = start(folder.path());
            std::thread::sleep(delay);
            process.kill().unwrap();
            process.wait().unwrap();
            check(
                kind,
                folder.path(),
                LARGE,
                &format!("{kind}, round {round}, killed after {delay:?}"),
            );
        }
    }
}

#[test]
fn any_call_that_fails_leaves_a_whole_checkpoint_and_a_typed_error() {
    for kind in ["step", "model"] {
        for for_good in [false, true] {
            for at in 1..=changes_of_one_save(kind) {
                let folder = tempfile::tempdir().unwrap();
                prepare(kind, folder.path(), ELEMENTS);
                let (disk, _) = counting(move |n| {
                    let fails = n == at || (for_good && n > at);
                    if fails {
                        Err(io::ErrorKind::StorageFull.into())
                    } else {
                        Ok(())
                    }
                });
                let context = format!(
                    "{kind}, call {at} fails{}",
                    if for_good { " and all after it" } else { "" }
                );
                match save(kind, &disk, folder.path(), ELEMENTS) {
                    Err(Error::Write { path, source, .. }) => {
                        assert!(path.starts_with(folder.path()), "{context}: {}", path.display());
                        assert_eq!(source.kind(), io::ErrorKind::StorageFull, "{context}");
                    }
                    Err(error) => panic!("{context}: {error:?}"),
                    // Only the removal of the replaced directory may fail silently: the new one is in place.
                    Ok(()) => assert_eq!(check(kind, folder.path(), ELEMENTS, &context), 200, "{context}"),
                }
                check(kind, folder.path(), ELEMENTS, &context);
            }
        }
    }
}

#[test]
fn recovery_itself_may_be_interrupted() {
    for at in 1..=changes_of_one_save("model") {
        let folder = tempfile::tempdir().unwrap();
        prepare("model", folder.path(), ELEMENTS);
        let (broken, _) = counting(move |n| {
            if n >= at {
                Err(io::ErrorKind::Other.into())
            } else {
                Ok(())
            }
        });
        let _ = save("model", &broken, folder.path(), ELEMENTS);
        for retry in 1..12 {
            let (broken, _) = counting(move |n| {
                if n >= retry {
                    Err(io::ErrorKind::Other.into())
                } else {
                    Ok(())
                }
            });
            let _ = save("model", &broken, folder.path(), ELEMENTS);
        }
        check(
            "model",
            folder.path(),
            ELEMENTS,
            &format!("saves that fail from change {at} on"),
        );
    }
}

/// What happened to one path, for the order of syncs.
#[derive(Debug, PartialEq)]
enum Event {
    Write(PathBuf),
    SyncFile(PathBuf),
    SyncDir(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[test]
fn everything_is_on_the_disk_before_the_rename_and_the_rename_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = events.clone();
    let disk = Disk::with_hook(move |change| {
        let event = match change {
            Change::CreateFile(path) | Change::Write(path, _) => Event::Write(path.into()),
            Change::SyncFile(path) => Event::SyncFile(path.into()),
            Change::SyncDir(path) => Event::SyncDir(path.into()),
            Change::Rename(from, to) => Event::Rename(from.into(), to.into()),
            _ => return Ok(()),
        };
        log.lock().unwrap().push(event);
        Ok(())
    });
    save_model(&disk, &folder.path().join("model"), 1, 100).unwrap();
    let events = events.lock().unwrap();
    let position = |wanted: &Event| events.iter().rposition(|event| event == wanted);
    let partial = folder.path().join(".model.partial");
    let rename = position(&Event::Rename(partial.clone(), folder.path().join("model"))).unwrap();
    let mut files = 0;
    for event in events.iter() {
        if let Event::Write(path) = event {
            let (written, synced) = (position(event), position(&Event::SyncFile(path.clone())));
            assert!(written < synced && synced < Some(rename), "{}", path.display());
            files += 1;
        }
    }
    assert!(files > 5);
    let manifest = position(&Event::Write(partial.join("manifest.json"))).unwrap();
    assert!(
        !events[manifest + 1..]
            .iter()
            .any(|event| matches!(event, Event::Write(_))),
        "the manifest is written last"
    );
    let inside = position(&Event::SyncDir(partial)).unwrap();
    assert!(manifest < inside && inside < rename);
    assert!(rename < position(&Event::SyncDir(folder.path().into())).unwrap());
}

#[test]
#[ignore = "started by the test below"]
fn child_with_a_file_size_limit() {
    let Ok(folder) = std::env::var("CRASH_FOLDER") else {
        return;
    };
    let limit: u64 = std::env::var("CRASH_LIMIT").unwrap().parse().unwrap();
    let limits = libc::rlimit {
        rlim_cur: limit as libc::rlim_t,
        rlim_max: limit as libc::rlim_t,
    };
    // SAFETY: both calls take plain values; the signal is ignored so that the write returns an error instead.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limits), 0);
    }
    match save_step(&Disk::default(), Path::new(&folder), 200, ELEMENTS) {
        Err(error @ Error::Write { bytes, .. }) => println!("REFUSED {bytes} {error}"),
        other => println!("UNEXPECTED {other:?}"),
    }
    println!("LEFT {:?}", hidden(Path::new(&folder)));
}

#[test]
fn a_disk_that_fills_up_at_any_offset_keeps_the_old_checkpoint_and_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    prepare("step", folder.path(), ELEMENTS);
    let size = std::fs::metadata(folder.path().join("step-100/state.safetensors"))
        .unwrap()
        .len();
    for i in 0..20 {
        let limit = (size - 1) * i / 19;
        let variables = [
            ("CRASH_FOLDER", folder.path().to_str().unwrap()),
            ("CRASH_LIMIT", &limit.to_string()),
        ];
        let output = child("crash::child_with_a_file_size_limit", &variables)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{limit}: {text}");
        assert!(
            text.contains("REFUSED") && text.contains("state.safetensors ("),
            "{limit}: {text}"
        );
        assert!(text.contains("LEFT []"), "{limit}: {text}");
        assert_recovers_to(
            folder.path(),
            &[100],
            ELEMENTS,
            &format!("files limited to {limit} bytes"),
        );
    }
}
