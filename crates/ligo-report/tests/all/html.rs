//! The report. Set `LIGO_REPORT_PICTURES` to a folder to look at the pages.

use ligo_report::plot::Matrix;
use ligo_report::summary::{Flags, OperatorSummary, WidthMatrix};
use ligo_report::{Summary, html};
use serde_json::Value;

use crate::sample;

/// The page, kept for looking at.
fn page(name: &str, summary: &Summary) -> String {
    let page = html::report(summary);
    if let Some(folder) = std::env::var_os("LIGO_REPORT_PICTURES") {
        let folder = std::path::Path::new(&folder);
        std::fs::write(folder.join(format!("{name}.html")), &page).unwrap();
        summary.write(folder.join(format!("{name}.json"))).unwrap();
    }
    assert!(!page.contains("{{"), "{name}: a part was not filled in");
    assert!(
        !page.contains("NaN</") && !page.contains(">inf"),
        "{name}: a number that is none is shown"
    );
    page
}

/// The element that holds the data, as the script reads it.
fn data(page: &str) -> Value {
    let (_, rest) = page
        .split_once("<script type=\"application/json\" id=\"data\">")
        .unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

/// How often a tag opens and closes, for the tags that a broken text would upset first.
fn is_balanced(page: &str) {
    for tag in [
        "script", "section", "table", "tr", "td", "th", "pre", "dl", "ul", "main", "body",
    ] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "<{tag}>");
    }
}

#[test]
fn twelve_methods_with_three_seeds_make_one_small_page_with_everything() {
    let summary = sample::many::summary(12, 3, 100);
    let page = page("many", &summary);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    is_balanced(&page);
    for id in ["savings", "curves", "table", "operators", "plan", "runs", "repeat"] {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "no section {id}");
        assert!(page.contains(&format!("href=\"#{id}\"")), "no link to {id}");
    }
    let origin = summary.provenance.as_ref().unwrap();
    for text in [&origin.command, &origin.recipe_hash, &origin.cpu, &summary.corpus.hash] {
        assert!(page.contains(text.as_str()), "{text} is missing");
    }
    let data = data(&page);
    assert_eq!(data["groups"].as_array().unwrap().len(), 12);
    let runs = data["groups"][1]["runs"].as_array().unwrap();
    assert_eq!((runs.len(), runs[0]["loss"].as_array().unwrap().len()), (3, 100));
    let first = summary.methods[3].curve[10].loss;
    assert!((runs[0]["loss"][10].as_f64().unwrap() - first).abs() < 1e-5);
}

#[test]
fn operators_of_a_real_size_for_every_run_still_make_a_small_page() {
    let mut summary = sample::many::summary(12, 3, 100);
    let pictures = summary
        .methods
        .iter()
        .map(|run| sample::many::operator(run, (6, 512), (12, 768)));
    summary.operators = pictures.collect();
    let page = page("base", &summary);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
}

#[test]
fn the_page_asks_for_nothing_outside_itself() {
    let page = page("many", &sample::many::summary(12, 3, 100));
    for loading in [
        "src=",
        "<link",
        "@import",
        "url(http",
        "fetch(",
        "XMLHttpRequest",
        "import(",
    ] {
        assert!(!page.contains(loading), "{loading}");
    }
    assert!(page.contains("default-src 'none'"));
    // The only address is the name of SVG, which nothing loads.
    let addresses: Vec<&str> = page
        .split("http")
        .skip(1)
        .filter(|rest| rest.starts_with("://") || rest.starts_with("s://"))
        .collect();
    assert!(
        addresses.iter().all(|rest| rest.starts_with("://www.w3.org/2000/svg")),
        "{addresses:?}"
    );
}

#[test]
fn one_seed_is_said_to_be_one_and_shows_no_intervals() {
    let page = page("one", &sample::many::summary(4, 1, 40));
    assert!(page.contains("One seed only"));
    let (_, table) = page.split_once("id=\"table\"").unwrap();
    let (table, _) = table.split_once("</section>").unwrap();
    assert!(!table.contains('±') && !table.contains("mean curves"), "{table}");
}

#[test]
fn names_that_are_markup_stay_text() {
    let evil = "</script><script>alert(1)</script><!--\"'&\u{2028}";
    let mut summary = sample::many::summary(3, 2, 10);
    summary.title = evil.into();
    summary.corpus.name = evil.into();
    summary.files.insert(evil.into(), evil.into());
    summary.operators[0].title = evil.into();
    summary.operators[0].depth[0].name = evil.into();
    for run in &mut summary.methods {
        run.label += evil;
        run.id += evil;
        run.notes.push(evil.into());
    }
    if let Some(origin) = &mut summary.provenance {
        origin.command = evil.into();
        origin.recipe = format!("# {evil}\n{{{{data}}}}");
        origin.versions.insert(evil.into(), evil.into());
    }
    let page = html::report(&summary.grouped());
    assert!(
        !page.contains("<script>alert") && !page.contains("<!--"),
        "markup came through"
    );
    is_balanced(&page);
    assert_eq!(page.matches("<script").count(), 2);
    assert!(data(&page)["groups"][0]["label"].as_str().unwrap().ends_with(evil));
}

#[test]
fn numbers_that_are_missing_are_left_out() {
    let mut summary = sample::many::summary(5, 2, 30);
    summary.small.loss = f64::NAN;
    summary.small.cost = None;
    summary.corpus.unigram_loss = f64::NAN;
    summary.corpus.context_free_loss = None;
    summary.provenance = None;
    summary.prediction = None;
    summary.methods[2]
        .curve
        .iter_mut()
        .skip(4)
        .for_each(|point| point.loss = f64::NAN);
    summary.methods[2].loss_final = f64::NAN;
    summary.methods[2].to_target = None;
    summary.methods[2].saving = None;
    summary.methods[4].curve.clear();
    summary.methods[5].curve.truncate(1);
    for run in &mut summary.methods {
        (run.peak_memory_bytes, run.energy, run.learning_rate) = (None, None, None);
        run.curve.iter_mut().for_each(|point| point.tokens = 0);
    }
    let nan = Matrix {
        name: "odd".into(),
        rows: 1,
        columns: 2,
        values: vec![f32::NAN, 1.0],
    };
    let short = Matrix {
        values: vec![1.0],
        ..nan.clone()
    };
    summary.operators = vec![OperatorSummary {
        run: "ligo".into(),
        width: vec![WidthMatrix::new(&nan, &[f64::NAN]), WidthMatrix::default()],
        depth: vec![nan, short],
        ..OperatorSummary::default()
    }];
    let page = page("missing", &summary.grouped());
    is_balanced(&page);
    assert!(!page.contains("id=\"plan\"") && !page.contains("peak memory"));
    let data = data(&page);
    assert_eq!(data["groups"][1]["runs"][0]["loss"][7], Value::Null);
    assert_eq!(data["losses"]["small"], Value::Null);
    assert_eq!(
        data["operators"][0]["depth"].as_array().unwrap().len(),
        1,
        "a matrix without its values is left out"
    );
}

#[test]
fn one_method_none_at_all_and_forty_make_pages_too() {
    let mut summary = sample::many::summary(1, 1, 20);
    let alone = page("alone", &summary);
    assert!(alone.contains("nothing to compare yet") && !alone.contains("<section id=\"savings\""));
    summary.methods.clear();
    summary.operators.clear();
    let nothing = page("nothing", &summary.clone().grouped());
    assert!(nothing.contains("Without a run from scratch") && !nothing.contains("<section id=\"curves\""));
    is_balanced(&nothing);

    let forty = page("forty", &sample::many::summary(40, 1, 100));
    is_balanced(&forty);
    assert_eq!(data(&forty)["groups"].as_array().unwrap().len(), 40);
}

#[test]
fn a_comparison_that_means_nothing_says_so_at_the_top() {
    let mut summary = sample::many::summary(4, 3, 40);
    summary.flags = Flags {
        scratch_passed_unigram: true,
        scratch_passed_small: false,
    };
    let page = page("untrusted", &summary);
    let (before, _) = page.split_once("class=\"verdict\"").unwrap();
    assert!(before.contains("Do not trust these savings") && before.contains("above the small model’s own loss"));
    assert!(page.contains("say nothing yet"));
}

#[test]
fn groups_that_a_program_left_out_are_made() {
    let mut summary = sample::many::summary(3, 2, 10);
    let page = html::report(&summary);
    (summary.groups, summary.reference) = (Vec::new(), None);
    assert_eq!(html::report(&summary), page);
}

#[test]
fn what_was_tried_first_is_on_the_page_and_escaped() {
    use ligo_report::summary::{Search, Sweep, Trial, Variant};
    let mut summary = sample::summary();
    assert!(!html::report(&summary).contains("id=\"tried\""));
    let trial = |learning_rate, loss| Trial {
        learning_rate,
        loss,
        ..Trial::default()
    };
    summary.searches = vec![Search {
        method: "ligo".into(),
        label: "<LiGO>".into(),
        trials: vec![trial(1e-3, 2.125), trial(2e-3, f64::NAN)],
        chosen: Some(1e-3),
        at_edge: true,
        ..Search::default()
    }];
    let variant = |id: &str, saving| Variant {
        id: id.into(),
        saving,
        loss_final: 2.5,
        ..Variant::default()
    };
    summary.sweep = Some(Sweep {
        method: "ligo".into(),
        variants: vec![variant("ligo/lr=3e-3", Some(0.5)), variant("ligo", None)],
    });
    let page = page("tried", &summary);
    is_balanced(&page);
    for text in [
        "href=\"#tried\"",
        "&lt;LiGO&gt;",
        "2.125 *",
        "diverged",
        "ligo/lr=3e-3",
        "50.0 %",
        "never",
    ] {
        assert!(page.contains(text), "{text}");
    }
}
