//! `metrics.jsonl`: what is written can be read, whatever happened in between.
#![allow(clippy::unwrap_used)]

use std::io::Write;

use ligo_cost::Cost;
use ligo_metrics::{Error, EvalRecord, MetricsWriter, Record, TensorBoardWriter, TrainRecord, read};

fn train(step: u64) -> TrainRecord {
    TrainRecord {
        step,
        tokens: step * 2048,
        loss: 9.0 / (step as f64 + 1.0),
        lr: 1e-3,
        grad_norm: 1.5,
        cost: Cost::of_measures([3e9, 2e9, 0.25]) * step as f64,
        tokens_per_second: 8192.0,
        rank_seconds: Vec::new(),
    }
}

fn eval(step: u64) -> EvalRecord {
    EvalRecord {
        step,
        tokens: step * 2048,
        loss: 7.25,
        cost: Cost::of_measures([1.0; 3]),
    }
}

fn steps(records: &[Record], kind: &str) -> Vec<u64> {
    records
        .iter()
        .filter(|record| record.kind() == kind)
        .map(Record::step)
        .collect()
}

#[test]
fn every_kind_of_record_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics.jsonl");
    let mut metrics = MetricsWriter::create(&file).unwrap();
    metrics.write(eval(0)).unwrap();
    metrics.write(train(1)).unwrap();
    metrics
        .event(1, "checkpoint", "saved \"step 1\"\nin two lines")
        .unwrap();
    drop(metrics);
    let records = read(&file).unwrap();
    assert_eq!(records[..2], [Record::Eval(eval(0)), Record::Train(train(1))]);
    assert!(matches!(&records[2], Record::Event(event) if event.message.contains("two lines")));
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 3, "one record a line");
    assert!(text.starts_with(r#"{"type":"eval","step":0,"#), "{text}");
}

#[test]
fn lines_of_earlier_versions_are_read_and_written_as_they_were() {
    let stored = [
        r#"{"type":"eval","step":0,"tokens":0,"loss":null,"flops_exact":0.0,"flops_electra":0.0,"seconds":0.0}"#,
        r#"{"type":"train","step":1,"tokens":2048,"loss":4.5,"lr":0.001,"grad_norm":1.5,"flops_exact":0.30000000000000004,"flops_electra":2000000000.0,"seconds":0.062149226999999994,"tokens_per_second":8192.0}"#,
    ];
    let records: Vec<Record> = stored.map(|line| serde_json::from_str(line).unwrap()).into();
    let Record::Train(train) = &records[1] else {
        panic!("{records:?}")
    };
    assert_eq!(
        train.cost,
        Cost::of_measures([0.1 + 0.2, 2e9, 0.062_149_226_999_999_994])
    );
    assert_eq!(
        records
            .iter()
            .map(|r| serde_json::to_string(r).unwrap())
            .collect::<Vec<_>>(),
        stored
    );
}

#[test]
fn a_run_resumed_leaves_strictly_increasing_steps() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics.jsonl");
    let mut metrics = MetricsWriter::create(&file).unwrap();
    for step in 1..=10 {
        metrics.write(train(step)).unwrap();
        if step % 2 == 0 {
            metrics.write(eval(step)).unwrap();
        }
    }
    drop(metrics);
    // Killed in the middle of a line, after the checkpoint of step 6.
    std::fs::OpenOptions::new()
        .append(true)
        .open(&file)
        .unwrap()
        .write_all(br#"{"type":"train","st"#)
        .unwrap();
    let mut metrics = MetricsWriter::resume(&file, 6).unwrap();
    for step in 7..=12 {
        metrics.write(train(step)).unwrap();
    }
    metrics.write(eval(12)).unwrap();
    let records = read(&file).unwrap();
    assert_eq!(steps(&records, "train"), (1..=12).collect::<Vec<_>>());
    assert_eq!(steps(&records, "eval"), [2, 4, 6, 12]);
}

#[test]
fn a_torn_last_line_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics.jsonl");
    MetricsWriter::create(&file).unwrap().write(train(1)).unwrap();
    let whole = std::fs::read(&file).unwrap();
    // Whatever byte the second line was cut at.
    for cut in 0..whole.len() {
        std::fs::write(&file, [&whole[..], &whole[..cut]].concat()).unwrap();
        assert_eq!(read(&file).unwrap().len(), 1, "cut at byte {cut}");
    }
}

#[test]
fn a_broken_line_is_named_by_the_reader_and_cut_off_on_resume() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics.jsonl");
    let mut metrics = MetricsWriter::create(&file).unwrap();
    (1..=3).for_each(|step| metrics.write(train(step)).unwrap());
    drop(metrics);
    let whole = std::fs::read(&file).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    for damaged in [b"{\"type\":\"banana\"}\n".as_slice(), b"\xff\n", b"\n"] {
        std::fs::write(&file, [lines[0], damaged, lines[2]].concat()).unwrap();
        assert!(matches!(read(&file), Err(Error::BadRecord { line: 2, .. })));
        let mut resumed = MetricsWriter::resume(&file, 3).unwrap();
        assert_eq!(resumed.damaged(), Some(2));
        // The run goes on from its checkpoint; the steps between are not in the log.
        resumed.write(train(4)).unwrap();
        let steps: Vec<u64> = read(&file).unwrap().iter().map(Record::step).collect();
        assert_eq!(steps, [1, 4]);
    }
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(MetricsWriter::resume(&file, 3).unwrap().damaged(), None);
    assert_eq!(std::fs::read(&file).unwrap(), whole);
}

#[test]
fn a_step_that_goes_back_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut metrics = MetricsWriter::create(folder.path().join("metrics.jsonl")).unwrap();
    metrics.write(train(3)).unwrap();
    metrics.write(eval(3)).unwrap();
    let again = metrics.write(train(3)).unwrap_err();
    assert!(
        matches!(
            again,
            Error::StepOrder {
                kind: "train",
                last: 3,
                found: 3,
                ..
            }
        ),
        "{again}"
    );
    assert!(matches!(
        metrics.event(2, "late", ""),
        Err(Error::StepOrder { kind: "event", .. })
    ));
    assert_eq!(read(metrics.path()).unwrap().len(), 2);
}

#[test]
fn a_loss_that_is_not_a_number_is_kept_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let mut metrics = MetricsWriter::create(folder.path().join("metrics.jsonl")).unwrap();
    metrics
        .write(TrainRecord {
            loss: f64::NAN,
            tokens_per_second: f64::INFINITY,
            ..train(1)
        })
        .unwrap();
    let records = read(metrics.path()).unwrap();
    assert!(matches!(&records[..], [Record::Train(train)] if train.loss.is_nan()));
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    // Linux has a device that is always full.
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let mut metrics = MetricsWriter::create("/dev/full").unwrap();
    let error = metrics.write(train(1)).unwrap_err();
    assert!(
        matches!(error, Error::Io { action: "write", .. }) && error.to_string().contains("/dev/full"),
        "{error}"
    );
}

/// Reads TFRecords back: length, checksum of the length, data, checksum of the data.
fn frames(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = bytes;
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        frames.push(&rest[12..12 + length]);
        rest = &rest[16 + length..];
    }
    frames
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn event_files_hold_each_scalar_in_a_record_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = TensorBoardWriter::create(folder.path(), 0).unwrap();
    events.record(&train(1).into()).unwrap();
    events.record(&eval(300).into()).unwrap();
    let bytes = std::fs::read(events.path()).unwrap();
    let frames = frames(&bytes);
    assert_eq!(frames.len(), 1 + 4 + 4);
    assert!(contains(frames[0], b"brain.Event:2"));
    // Field 2 (step), varint 300; field 2 of the value (simple_value), 7.25.
    assert!(contains(frames[5], b"valid/loss") && contains(frames[5], &[0x10, 0xac, 0x02]));
    assert!(contains(frames[5], &[&[0x15][..], &7.25f32.to_le_bytes()].concat()));
    let name = events.path().file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.starts_with("events.out.tfevents."), "{name}");
}

#[test]
fn a_resumed_run_gets_an_event_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let first = TensorBoardWriter::create(folder.path(), 0).unwrap();
    let second = TensorBoardWriter::create(folder.path(), 6).unwrap();
    assert_ne!(first.path(), second.path());
    assert!(first.path() < second.path(), "TensorBoard reads event files by name");
    // A restart at step 7, field 7 (session log) with status START.
    let bytes = std::fs::read(second.path()).unwrap();
    assert!(frames(&bytes)[1].ends_with(&[0x10, 7, 0x3a, 2, 0x08, 1]));
}
