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
fn schedules_of_several_lengths_have_a_frontier_in_the_page() {
    let mut summary = sample::of_lengths();
    for run in summary.methods.iter_mut().filter(|run| run.name == "stackbert") {
        run.label = "<script>stack</script>".into();
    }
    let page = page("lengths", &summary);
    is_balanced(&page);
    assert!(page.contains("<section id=\"frontier\"") && page.contains("href=\"#frontier\""));
    let (_, picture) = page.split_once("<div class=\"picture\"><svg").unwrap();
    let (picture, _) = picture.split_once("</svg>").unwrap();
    assert!(
        picture.contains("&lt;script&gt;stack") && !picture.contains("<script"),
        "a label is no markup"
    );
    // With one length there is none.
    assert!(!html::report(&sample::summary()).contains("id=\"frontier\""));
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

/// What a hostile name goes on with after its mark, and how that looks as text of a page.
const MARKUP: &str = "</script>\u{2028}<b x=\"1\" y='2'>&lt;<!--";
const AS_TEXT: &str = "&lt;/script&gt;\u{2028}&lt;b x=&quot;1&quot; y='2'&gt;&amp;lt;&lt;!--";

/// Puts a mark of its own and markup behind every string of a summary, and behind what names a file or a version; `marks` is where each of them stands.
/// What decides how a run is drawn, or names a kind, is left.
fn spoil(value: &mut Value, path: &str, marks: &mut Vec<String>) {
    let spoiled = |text: &str, path: &str, marks: &mut Vec<String>| {
        marks.push(path.to_owned());
        format!("{text} {}{MARKUP}", mark(marks.len() - 1))
    };
    match value {
        Value::String(text) => *text = spoiled(text, path, marks),
        Value::Array(values) => values.iter_mut().for_each(|value| spoil(value, path, marks)),
        Value::Object(fields) => {
            let names_things = ["/files", "/provenance/versions"].contains(&path);
            for (name, mut value) in std::mem::take(fields) {
                let path = format!("{path}/{name}");
                if !["/corpus/unit", "/methods/name", "/methods/group"].contains(&path.as_str()) {
                    spoil(&mut value, &path, marks);
                }
                let name = if names_things {
                    spoiled(&name, &format!("{path} itself"), marks)
                } else {
                    name
                };
                fields.insert(name, value);
            }
        }
        _ => {}
    }
}

fn mark(number: usize) -> String {
    format!("mark-{number}-of-many")
}

/// A summary that has everything a page can show.
fn complete() -> Summary {
    let mut summary = sample::many::summary(9, 2, 10);
    let tried = tried_first();
    (summary.searches, summary.sweep) = (tried.searches, tried.sweep);
    summary.searches[0].trials[0].schedule = Some("wsd".into());
    summary.searches[0].trials[1].schedule = Some("linear".into());
    summary.searches[0].chosen_schedule = Some("wsd".into());
    summary.methods[0].computed_on = Some("another machine".into());
    (summary.groups, summary.reference) = (Vec::new(), None);
    summary
}

#[test]
fn every_string_of_a_summary_stays_text() {
    let mut value = serde_json::to_value(complete()).unwrap();
    let mut marks = Vec::new();
    spoil(&mut value, "", &mut marks);
    let mut summary: Summary = serde_json::from_value(value).unwrap();
    // The page says something else where there is neither.
    summary.operators[0].title.clear();
    summary.methods[1].id.clear();
    let page = html::report(&summary);
    is_balanced(&page);
    assert_eq!(page.matches("<script").count(), 2);
    assert!(!page.contains("<!--") && !page.contains("<b "), "markup came through");

    let (before, rest) = page.split_once("id=\"data\">").unwrap();
    let (json, after) = rest.split_once("</script>").unwrap();
    assert!(!json.contains(['<', '>', '&']), "the data could end their element");
    let label = data(&page)["groups"][0]["label"].as_str().unwrap().to_owned();
    assert!(label.ends_with(MARKUP), "{label}");

    // Sentences of ours have the apostrophes of print, also where they name something.
    let printed = AS_TEXT.replace('\'', "’");
    for (number, path) in marks.iter().enumerate() {
        let mark = mark(number);
        for after_mark in [before, after].into_iter().flat_map(|part| part.split(&mark).skip(1)) {
            let shown: String = after_mark.chars().take(AS_TEXT.len()).collect();
            let is_text = after_mark.starts_with(AS_TEXT) || after_mark.starts_with(&printed);
            assert!(is_text, "{path}: {shown}");
        }
    }
    // Most of them are there to be seen, and not only in the data.
    let is_shown = |number: usize| before.contains(&mark(number));
    let mut hidden: Vec<&String> = (0..marks.len()).filter(|n| !is_shown(*n)).map(|n| &marks[n]).collect();
    hidden.sort();
    hidden.dedup();
    assert_eq!(
        hidden,
        [
            "/methods/id",
            "/methods/label",
            "/operators/depth/name",
            "/operators/run",
            "/operators/title",
            "/operators/width/name",
            "/searches/chosen_schedule",
            "/searches/method",
        ]
    );
}

#[test]
fn a_sign_that_html_does_not_have_is_replaced() {
    let mut summary = sample::summary();
    summary.title = "a\0b".into();
    let page = html::report(&summary);
    assert!(!page.contains('\0') && page.contains("<h1 id=\"title\">a\u{fffd}b</h1>"));
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

/// The sample with a search and a sweep before it.
fn tried_first() -> Summary {
    use ligo_report::summary::{Search, Sweep, Trial, Variant};
    let trial = |learning_rate, loss| Trial {
        learning_rate,
        loss,
        ..Trial::default()
    };
    let variant = |id: &str, saving| Variant {
        id: id.into(),
        saving,
        loss_final: 2.5,
        ..Variant::default()
    };
    let mut summary = sample::summary();
    summary.searches = vec![Search {
        method: "ligo".into(),
        label: "<LiGO>".into(),
        trials: vec![trial(1e-3, 2.125), trial(2e-3, f64::NAN)],
        chosen: Some(1e-3),
        at_edge: true,
        ..Search::default()
    }];
    summary.sweep = Some(Sweep {
        method: "ligo".into(),
        variants: vec![variant("ligo/lr=3e-3", Some(0.5)), variant("ligo", None)],
    });
    summary
}

#[test]
fn what_was_tried_first_is_on_the_page_and_escaped() {
    assert!(!html::report(&sample::summary()).contains("id=\"tried\""));
    let page = page("tried", &tried_first());
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
