//! A directory of many files whose writing is interrupted is gone on with, and becomes the same to the byte.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ligo_checkpoint::{
    AtomicDir, Change, Declared, Disk, Dtype, Error, ModelDir, ModelWriter, Progress, RunLock, recover_all, verify,
};

use crate::support::hidden;

const SHARDS: usize = 6;
const ELEMENTS: usize = 50;

fn declared() -> Vec<Declared> {
    let tensor = |i| Declared {
        name: format!("t{i}"),
        dtype: Dtype::F32,
        shape: vec![ELEMENTS],
    };
    (0..2 * SHARDS).map(tensor).collect()
}

/// Writes two tensors into each shard; returns how many tensors this call computed.
fn write(disk: &Disk, target: &Path, key: &str) -> Result<usize, Error> {
    let (dir, mut progress) = Progress::resume(disk, target, key)?;
    let mut writer = ModelWriter::new(&dir, declared(), 2 * 4 * ELEMENTS as u64)?;
    let mut computed = 0;
    while let Some(file) = writer.next_file().map(str::to_owned) {
        if progress.has(&file) {
            assert_eq!(writer.skip_file(), 2);
            continue;
        }
        let name = writer.next_tensor().unwrap().name.clone();
        let number: usize = name[1..].parse().unwrap();
        writer.write_f32(&name, &[number as f32; ELEMENTS])?;
        computed += 1;
        if let Some(file) = writer.close_complete()? {
            progress.add(&dir, &file)?;
        }
    }
    writer.finish()?;
    dir.write("config.json", b"{}")?;
    dir.commit()?;
    progress.forget()?;
    Ok(computed)
}

fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect()
}

/// A disk on which nothing more happens from the N-th change on, not even what is tried for tidying up: what a killed process leaves.
fn dying(at: usize) -> (Disk, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let inside = count.clone();
    let disk = Disk::with_hook(move |_| match inside.fetch_add(1, Ordering::SeqCst) + 1 {
        n if n >= at => Err(io::Error::other("killed")),
        _ => Ok(()),
    });
    (disk, count)
}

#[test]
fn whatever_change_is_the_last_one_the_next_start_goes_on_and_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let (disk, count) = dying(usize::MAX);
    assert_eq!(write(&disk, &whole, "key").unwrap(), 2 * SHARDS);
    let changes = count.load(Ordering::SeqCst);
    let expected = content(&whole);
    assert!(
        changes > 5 * SHARDS && expected.len() == SHARDS + 3,
        "{changes}, {}",
        expected.len()
    );
    assert_eq!(hidden(folder.path()), Vec::<String>::new());
    let mut saved = 0;
    for at in 1..=changes {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        let (disk, _) = dying(at);
        let first = write(&disk, &target, "key");
        if target.exists() {
            // Complete; what is left is the record, or nothing was to do but a sync.
            verify(&target).unwrap();
            assert_eq!(content(&target), expected, "change {at}");
            recover_all(folder.path()).unwrap();
        } else {
            first.unwrap_err();
            let computed = write(&Disk::default(), &target, "key").unwrap();
            saved += 2 * SHARDS - computed;
            assert_eq!(content(&target), expected, "change {at}");
        }
        assert_eq!(hidden(folder.path()), Vec::<String>::new(), "change {at}");
    }
    // On the average half of the shards were there.
    assert!(
        saved > changes * SHARDS / 2,
        "{saved} tensors of {changes} starts were not computed again"
    );
}

#[test]
fn another_key_or_a_damaged_shard_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let interrupt = || {
        // Four shards in: each takes a creation, three writes and a few syncs.
        let shards = Arc::new(AtomicUsize::new(0));
        let disk = Disk::with_hook(move |change| match change {
            Change::CreateFile(path) if path.extension().is_some_and(|e| e == "safetensors") => {
                match shards.fetch_add(1, Ordering::SeqCst) {
                    n if n >= 4 => Err(io::Error::other("killed")),
                    _ => Ok(()),
                }
            }
            Change::Remove(_) => Err(io::Error::other("killed")),
            _ => Ok(()),
        });
        write(&disk, &target, "key").unwrap_err();
    };
    interrupt();
    assert_eq!(write(&Disk::default(), &target, "key").unwrap(), 2 * SHARDS - 8);
    std::fs::remove_dir_all(&target).unwrap();
    interrupt();
    assert_eq!(write(&Disk::default(), &target, "another key").unwrap(), 2 * SHARDS);
    std::fs::remove_dir_all(&target).unwrap();
    interrupt();
    let shard = folder
        .path()
        .join(format!(".model.partial/model-00002-of-0000{SHARDS}.safetensors"));
    let mut bytes = std::fs::read(&shard).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&shard, bytes).unwrap();
    // Half a line, as a power cut may leave it.
    let record = folder.path().join(".model.progress");
    let text = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, &text[..text.len() - 9]).unwrap();
    assert_eq!(write(&Disk::default(), &target, "key").unwrap(), 2 * SHARDS - 4);
    assert_eq!(
        ModelDir::open(&target).unwrap().read_f32("t3").unwrap(),
        [3.0; ELEMENTS]
    );
    assert_eq!(hidden(folder.path()), Vec::<String>::new());
}

#[test]
fn what_is_left_by_who_asked_to_stop_stays_and_what_failed_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let (dir, progress) = Progress::resume(&Disk::default(), &target, "key").unwrap();
    dir.write("config.json", b"{}").unwrap();
    dir.leave();
    drop(progress);
    assert_eq!(hidden(folder.path()).len(), 2);
    let (dir, progress) = Progress::resume(&Disk::default(), &target, "key").unwrap();
    drop(dir);
    progress.forget().unwrap();
    assert_eq!(hidden(folder.path()), Vec::<String>::new());
    // An ordinary save does not trip over it either.
    let (dir, _) = Progress::resume(&Disk::default(), &target, "key").unwrap();
    dir.leave();
    AtomicDir::begin(&target).unwrap().commit().unwrap();
    assert_eq!(hidden(folder.path()), Vec::<String>::new());
}

#[test]
fn a_lock_beside_a_directory_goes_away_with_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("above/model");
    let lock = RunLock::beside(&target).unwrap();
    let error = RunLock::beside(&target).unwrap_err();
    let own = std::process::id();
    assert!(
        matches!(&error, Error::InUse { path, pid: Some(pid) } if *path == target && *pid == own),
        "{error:?}"
    );
    drop(lock);
    assert_eq!(hidden(&folder.path().join("above")).len(), usize::from(!cfg!(unix)));
    let _again = RunLock::beside(&target).unwrap();
}

#[test]
fn of_many_that_want_a_lock_beside_a_directory_one_at_a_time_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..300 {
                    if let Ok(lock) = RunLock::beside(&target) {
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                }
            });
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[test]
fn what_an_interrupted_call_left_is_listed_until_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    assert!(ligo_checkpoint::unfinished(&target).unwrap().is_empty());
    let (dir, mut progress) = Progress::resume(&Disk::default(), &target, "key").unwrap();
    dir.write("model.safetensors", b"weights").unwrap();
    progress.add(&dir, "model.safetensors").unwrap();
    dir.leave();
    let left = ligo_checkpoint::unfinished(&target).unwrap();
    let names: Vec<_> = left
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(names, [".model.partial", ".model.progress"]);
    write(&Disk::default(), &target, "key").unwrap();
    assert!(ligo_checkpoint::unfinished(&target).unwrap().is_empty());
}

#[test]
fn a_path_is_resolved_as_far_as_it_exists() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("a")).unwrap();
    assert_eq!(ligo_checkpoint::resolved(root.join("a/../a/b/c")), root.join("a/b/c"));
    assert_eq!(ligo_checkpoint::resolved(root.join("a/./")), root.join("a"));
}
