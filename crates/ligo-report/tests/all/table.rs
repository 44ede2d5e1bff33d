//! The closing table and `summary.json`.

use ligo_report::summary::Provenance;
use ligo_report::{Counter, Error, Summary, Table};

use crate::sample;

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
fn a_label_is_no_markup_and_says_nothing_to_a_terminal() {
    let mut summary = sample::summary();
    summary.methods[1].label = "<img src=x>|\u{1b}[2J\nbold".into();
    let table = Table::new(&summary.grouped(), Counter::Exact);
    let markdown = table.markdown();
    assert!(markdown.contains("| &lt;img src=x&gt;\\| [2J bold |"), "{markdown}");
    assert!(!markdown.contains('<'), "{markdown}");
    for text in [table.text(true), table.text(false), table.latex()] {
        let odd = |sign: char| sign.is_control() && sign != '\n';
        assert!(!text.contains(odd) && !text.contains("\nbold"), "{text:?}");
    }
}

#[test]
fn times_of_another_computer_are_called_so() {
    let mut summary = sample::summary().grouped();
    let note = |summary: &Summary| {
        let notes = Table::new(summary, Counter::Exact).notes().to_vec();
        notes.into_iter().find(|note| note.contains("Taken over"))
    };
    summary.provenance = Some(Provenance {
        cpu: "EPYC".into(),
        ..Provenance::default()
    });
    summary.methods[0].computed_on = Some("EPYC".into());
    assert_eq!(note(&summary), None);
    summary.methods[1].computed_on = Some("NVIDIA H100, EPYC".into());
    let note = note(&summary).unwrap();
    assert!(note.contains("(NVIDIA H100, EPYC): LiGO."), "{note}");
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
fn no_line_is_wider_than_the_terminal_and_nothing_is_left_out() {
    let table = Table::new(&sample::many::summary(12, 3, 40), Counter::Exact);
    let whole = table.text(true);
    let words = |text: &str| {
        text.split_whitespace()
            .filter(|word| word.contains('.') && word.starts_with(|sign: char| sign.is_ascii_digit()))
            .count()
    };
    for width in [40, 60, 80, 100, 140, 220] {
        let text = table.text_within(true, width);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width, "{widest} signs for {width}:\n{text}");
        assert_eq!(words(&text), words(&whole), "a number is missing at {width}:\n{text}");
        assert!(table.text_within(false, width).is_ascii());
    }
    // Where there is room, the table is one block.
    assert_eq!(
        table.text_within(true, 300).matches('─').count(),
        whole.matches('─').count()
    );
}

#[test]
fn columns_that_leave_their_band_say_what_they_belong_to() {
    let text = Table::new(&sample::many::summary(12, 3, 40), Counter::Exact).text_within(true, 60);
    assert!(
        text.contains("wall time saving") && text.contains("FLOPs incl. small"),
        "{text}"
    );
}

#[test]
fn the_latex_table_has_equal_rows_and_no_sign_that_latex_would_take_for_its_own() {
    let mut summary = sample::many::summary(5, 3, 40);
    for run in &mut summary.methods {
        run.label += " 50% & a_b #1 ~ {x}\\";
    }
    let latex = Table::new(&summary.grouped(), Counter::Exact).latex();
    let rows: Vec<&str> = latex
        .lines()
        .filter(|line| line.ends_with("\\\\") && !line.contains("multicolumn"))
        .collect();
    assert_eq!(rows.len(), 1 + 5, "{latex}");
    let columns = |row: &str| row.replace("\\&", "").matches('&').count();
    assert!(rows.iter().all(|row| columns(row) == columns(rows[0])), "{latex}");
    let spec = latex.split("{tabular}{").nth(1).unwrap().split('}').next().unwrap();
    assert_eq!(spec.len(), 1 + columns(rows[0]), "{latex}");
    assert!(
        latex.contains("50\\% \\& a\\_b \\#1 \\textasciitilde{} \\{x\\}\\textbackslash{}"),
        "{latex}"
    );
    assert!(
        latex.contains("$\\pm$") && !latex.contains('±') && !latex.contains('−'),
        "{latex}"
    );
    for environment in ["table*", "tabular"] {
        assert_eq!(latex.matches(&format!("\\begin{{{environment}}}")).count(), 1);
        assert_eq!(latex.matches(&format!("\\end{{{environment}}}")).count(), 1);
    }
    assert_eq!(latex.matches('{').count(), latex.matches('}').count());
}

#[test]
fn the_csv_of_methods_holds_means_and_half_widths_unrounded() {
    let summary = sample::many::summary(5, 3, 40);
    let table = Table::new(&summary, Counter::Exact);
    let lines: Vec<Vec<&str>> = table
        .csv_of_methods()
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(lines.len(), 1 + 5);
    let cell = |row: usize, name: &str| -> f64 {
        let column = lines[0].iter().position(|&found| found == name).unwrap();
        lines[row][column].parse().unwrap()
    };
    // Names with commas are quoted; these have none.
    assert!(
        lines.iter().all(|line| line.len() == lines[0].len()),
        "{}",
        table.csv_of_methods()
    );
    let saving = summary.groups[2].saving.flops_exact.unwrap();
    assert_eq!(cell(3, "saving_flops_exact"), saving.mean);
    assert_eq!(cell(3, "saving_flops_exact_half_width"), saving.half_width.unwrap());
    assert_eq!(cell(3, "reached"), 3.0);
}

#[test]
fn the_json_form_holds_the_groups_without_their_curves() {
    let summary = sample::many::summary(5, 3, 40);
    let json = Table::new(&summary, Counter::Exact).json().unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let groups: Vec<ligo_report::summary::Group> = serde_json::from_value(value["groups"].clone()).unwrap();
    assert_eq!(groups, summary.groups);
    assert!(!json.contains("\"curve\""));
}

#[test]
fn methods_of_one_label_are_told_apart_by_their_key() {
    let mut summary = sample::many::summary(3, 1, 10);
    for (run, key) in summary.methods.iter_mut().zip(["scratch", "ligo-100", "ligo-500"]) {
        run.label = if key == "scratch" {
            "scratch".into()
        } else {
            "LiGO".into()
        };
        run.group = key.into();
    }
    let text = Table::new(&summary.grouped(), Counter::Exact).text(true);
    assert!(
        text.contains("LiGO (ligo-100)") && text.contains("LiGO (ligo-500)"),
        "{text}"
    );
}

#[test]
fn a_summary_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep/summary.json");
    let mut summary = sample::many::summary(4, 2, 10);
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
