//! Two processes never share a run folder.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use ligo_checkpoint::{Error, RunLock};

use crate::support::child;

#[test]
#[ignore = "started by the test below"]
fn child_that_holds_the_lock() {
    let Ok(folder) = std::env::var("LOCK_FOLDER") else {
        return;
    };
    let _lock = RunLock::acquire(Path::new(&folder)).unwrap();
    println!("\nLOCKED");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_second_process_is_told_who_holds_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut process = child(
        "lock::child_that_holds_the_lock",
        &[("LOCK_FOLDER", run.to_str().unwrap())],
    )
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "LOCKED"));

    let error = RunLock::acquire(&run).unwrap_err();
    assert!(
        matches!(&error, Error::InUse { path, pid: Some(pid) } if *path == run && *pid == process.id()),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        format!("{} is in use by process {}", run.display(), process.id())
    );

    // However the holder ends, the lock ends with it.
    process.kill().unwrap();
    process.wait().unwrap();
    let lock = RunLock::acquire(&run).unwrap();
    assert_eq!(lock.folder(), run);
    assert!(matches!(RunLock::acquire(&run), Err(Error::InUse { pid: Some(pid), .. }) if pid == std::process::id()));
    drop(lock);
    RunLock::acquire(&run).unwrap();
}

#[test]
fn a_file_in_the_place_of_a_folder_is_called_that() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes");
    std::fs::write(&file, "mine").unwrap();
    for wanted in [file.clone(), file.join("runs/a")] {
        for lock in [RunLock::acquire(&wanted), RunLock::beside(&wanted)] {
            let error = lock.unwrap_err();
            assert!(
                matches!(&error, Error::NotAFolder { path, found: "a file" } if *path == file),
                "{error}"
            );
        }
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[cfg(unix)]
#[test]
fn a_device_is_no_folder() {
    let device = Path::new("/dev/null");
    for locked in [
        RunLock::acquire(device),
        RunLock::beside(device),
        RunLock::acquire(device.join("run")),
    ] {
        let error = locked.unwrap_err();
        assert!(
            matches!(&error, Error::NotAFolder { path, found: "a device or a pipe" } if path == device),
            "{error}"
        );
    }
}
