//! The closing table and `summary.json`.
#![allow(clippy::unwrap_used)]

mod sample;

use ligo_report::{Counter, Error, Summary, Table};

#[test]
fn the_table_reads_like_this() {
    let text = Table::new(&sample::summary(), Counter::Exact).text(true);
    let expected = include_str!("snapshots/table.txt");
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn without_unicode_only_ascii_comes_out() {
    let text = Table::new(&sample::summary(), Counter::Electra).text(false);
    assert!(text.is_ascii() && !text.contains('?'), "{text}");
}

#[test]
fn a_scratch_run_that_went_nowhere_is_called_that_first() {
    let mut summary = sample::summary();
    summary.flags.scratch_passed_small = false;
    let notes = Table::new(&summary, Counter::Exact).notes().to_vec();
    assert!(notes[0].contains("above the small model's own loss"), "{notes:?}");
    summary.flags.scratch_passed_unigram = false;
    let notes = Table::new(&summary, Counter::Exact).notes().to_vec();
    assert!(notes[0].contains("never left the corpus's unigram loss"), "{notes:?}");
}

#[test]
fn markdown_and_csv_have_a_row_for_every_method() {
    let summary = sample::summary();
    let table = Table::new(&summary, Counter::Exact);
    let markdown = table.markdown();
    let rows: Vec<&str> = markdown.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 2 + summary.methods.len());
    assert!(rows.iter().all(|row| row.matches('|').count() == 10), "{markdown}");

    let lines: Vec<Vec<&str>> = table.csv().lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 1 + summary.methods.len());
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{}", table.csv());
    let column = lines[0].iter().position(|&name| name == "saving_flops_exact").unwrap();
    let saving: f64 = lines[2][column].parse().unwrap();
    assert_eq!(saving, summary.methods[1].saving.unwrap().flops_exact);
}

#[test]
fn seeds_of_a_method_share_a_row_with_their_interval() {
    let mut summary = sample::summary();
    let mut again = summary.methods[1].clone();
    again.seed = 2;
    summary.methods.push(again);
    let text = Table::new(&summary.grouped(), Counter::Exact).text(true);
    assert!(text.contains("2 of 2") && text.contains("53.8 ± 0.0 %"), "{text}");
}

#[test]
fn a_summary_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep/summary.json");
    let mut summary = sample::summary();
    summary.write(&file).unwrap();
    assert_eq!(Summary::read(&file).unwrap(), summary);
    summary.methods[0].loss_final = f64::NAN;
    summary.write(&file).unwrap();
    assert!(Summary::read(&file).unwrap().methods[0].loss_final.is_nan());
    let names: Vec<_> = std::fs::read_dir(file.parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1, "no temporary file is left");
}

#[test]
fn a_summary_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("summary.json");
    std::fs::write(&file, r#"{"format": 99, "new": true}"#).unwrap();
    assert!(matches!(
        Summary::read(&file),
        Err(Error::SummaryFormat { found: 99, .. })
    ));
    std::fs::write(&file, r#"{"format": 1}"#).unwrap();
    assert!(matches!(Summary::read(&file), Err(Error::BadSummary { .. })));
}
