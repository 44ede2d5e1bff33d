//! A comparison as a user makes it: searches and sweeps, what it leaves, what it refuses.

mod reuse;

use std::fs;

use ligo_report::summary::{Counter, MethodSummary, Summary};

use crate::common::{self, COMPARE, Place, assert_says};

fn compare<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&COMPARE, more].concat()
}

fn summary(place: &Place) -> Summary {
    Summary::read(place.path("run/summary.json")).unwrap()
}

fn ids(summary: &Summary) -> Vec<&str> {
    summary.methods.iter().map(|m| m.id.as_str()).collect()
}

fn rate(run: &MethodSummary) -> f64 {
    run.learning_rate.unwrap()
}

/// The same to the last bit; losses that are no number, too.
fn assert_same(one: &Summary, other: &Summary) {
    let json = |summary: &Summary| serde_json::to_value(summary).unwrap();
    let (one, other) = (json(one), json(other));
    for (key, value) in one.as_object().unwrap() {
        assert_eq!(*value, other[key], "{key}");
    }
}

/// The steps and the peak rate with which a folder's run was made.
fn made_with(place: &Place, folder: &str) -> (u64, f64) {
    let stage = fs::read_to_string(place.path("run").join(folder).join("stage.json")).unwrap();
    let stage: serde_json::Value = serde_json::from_str(&stage).unwrap();
    let train = &stage["inputs"]["train"];
    (
        train["steps"].as_u64().unwrap(),
        train["schedule"]["peak_lr"].as_f64().unwrap(),
    )
}

#[test]
fn every_method_runs_with_the_rate_that_its_trials_liked_best() {
    let place = Place::new();
    // So high that the last rate diverges.
    let search = compare(&[
        "--methods",
        "scratch,stackbert",
        "--seeds",
        "2",
        "--search-lr",
        "1e-4,3e-3,1e30",
    ]);
    let told = place.shown(&[&search[..], &["--jobs", "2"]].concat());
    assert_says(
        &told,
        &["diverged", "Learning rates", "no method is charged", "search.csv"],
    );

    let found = summary(&place);
    assert_eq!(
        ids(&found),
        ["scratch", "scratch-seed4", "stackbert", "stackbert-seed4"]
    );
    assert_eq!(found.searches.len(), 2);
    for search in &found.searches {
        let trials: Vec<(f64, bool)> = search
            .trials
            .iter()
            .map(|t| (t.learning_rate, t.loss.is_finite()))
            .collect();
        assert_eq!(trials, [(1e-4, true), (3e-3, true), (1e30, false)]);
        let lowest = search
            .trials
            .iter()
            .filter(|t| t.loss.is_finite())
            .min_by(|a, b| a.loss.total_cmp(&b.loss));
        assert_eq!(search.chosen, lowest.map(|trial| trial.learning_rate));
        assert!(search.trials[0].cost.flops.exact > 0.0);
        let name = format!("search/{}-lr1e-4", search.method);
        assert_eq!(made_with(&place, &name), (10, 1e-4), "half of the steps");
        for run in found.methods.iter().filter(|m| m.name == search.method) {
            assert_eq!(Some(rate(run)), search.chosen, "{}", run.id);
            let folder = format!("methods/{}-lr{:e}", run.id, rate(run));
            assert_eq!(made_with(&place, &folder), (20, rate(run)));
        }
    }
    // A rate that is better than the ends of the list is no edge; one of them is, and is said to be.
    let told = place.shown(&[&search[..], &["--jobs", "1"]].concat());
    assert_says(
        &told,
        &[
            "scratch: complete, skipped",
            "scratch-lr1e-4: complete, skipped",
            "diverged, skipped",
        ],
    );
    let mut again = summary(&place);
    let origin = again.provenance.as_mut().unwrap();
    assert_says(&origin.command, &["--jobs 1"]);
    // What computed is still what it was when something was left to do.
    assert_says(&origin.device, &["2 runs at a time"]);
    origin.command = found.provenance.as_ref().unwrap().command.clone();
    assert_same(&again, &found);
    let narrow = [
        &COMPARE[..5],
        &["--methods", "scratch", "--search-lr", "1e-5,1e-4", "--out", "narrow"],
    ]
    .concat();
    assert_says(&place.shown(&narrow), &["At the edge of the list", "1e-4"]);
}

#[test]
fn whole_trials_are_runs_and_shorter_schedules_are_methods() {
    let place = Place::new();
    let search = compare(&[
        "--methods",
        "scratch,stackbert",
        "--seeds",
        "2",
        "--search-lr",
        "1e-4,3e-3",
        "--set",
        "search.share=1.0",
        "--lengths",
        "0.5",
    ]);
    let told = place.shown(&search);
    assert_says(&told, &["StackBERT (10 steps)"]);
    let found = summary(&place);
    assert_eq!(
        ids(&found),
        [
            "scratch",
            "scratch-seed4",
            "scratch/steps=10",
            "scratch/steps=10-seed4",
            "stackbert",
            "stackbert-seed4",
            "stackbert/steps=10",
            "stackbert/steps=10-seed4"
        ]
    );
    for run in &found.methods {
        let short = run.id.contains("steps=");
        let folder = match run.id.as_str() {
            // Its seed is that of the trials.
            "scratch" | "stackbert" => format!("search/{}-lr{:e}", run.id, rate(run)),
            id => format!("methods/{id}-lr{:e}", rate(run)),
        };
        assert_eq!(made_with(&place, &folder), (if short { 10 } else { 20 }, rate(run)));
        assert_eq!(found.files[&format!("{} model", run.id)], format!("{folder}/model"));
    }
    let told = place.shown(&["compare", "run"]);
    assert!(!told.contains("not complete"), "{told}");

    // A rate more: what ran stays, and what now has another rate runs once more.
    let more = |part: &&'static str| match *part {
        "1e-4,3e-3" => "1e-4,1e-3,3e-3,1e-2",
        other => other,
    };
    let wider: Vec<&str> = search.iter().map(more).collect();
    let told = place.shown(&wider);
    assert_says(&told, &["scratch-lr1e-4: complete, skipped", "scratch-lr1e-2"]);
    let now = summary(&place);
    assert_eq!(ids(&now), ids(&found));
    for (run, before) in now.methods.iter().zip(&found.methods) {
        assert_eq!(
            rate(run) == rate(before),
            run.loss_final == before.loss_final,
            "{}",
            run.id
        );
        let search = now.searches.iter().find(|s| s.method == run.name).unwrap();
        assert_eq!(Some(rate(run)), search.chosen);
        assert_eq!(search.trials.len(), 4);
    }
    assert!(now.methods.iter().zip(&found.methods).any(|(a, b)| rate(a) != rate(b)));
    let other = [&wider[..], &["--set", "search.share=0.5"]].concat();
    assert_says(&place.refused(&other), &["search.share was 1.0 and is now 0.5"]);
}

#[test]
fn a_sweep_ranks_its_variants_and_the_best_one_can_be_compared() {
    let place = Place::new();
    let sweep = r#"
[sweep]
mode = "one-at-a-time"
[sweep.operator]
width_init = ["rand", "select"]
[sweep.learn]
schedule.peak_lr = [1e-2, 1e30]
"#;
    place.write(
        "recipe.toml",
        format!(
            "{}{sweep}",
            common::RECIPE.replace("[[methods]]\nname = \"ligo\"\n", "")
        ),
    );
    let told = place.shown(&compare(&["--jobs", "2"]));
    assert_says(&told, &["Sweep of ligo", "ligo/lr=1e30", "diverged", "sweep.csv"]);
    let found = summary(&place);
    assert_eq!(
        ids(&found),
        ["scratch", "ligo", "ligo/width_init=select", "ligo/lr=0.01"]
    );
    let ranked = found.sweep.clone().unwrap().variants;
    let names: Vec<&str> = ranked.iter().map(|v| v.id.as_str()).collect();
    assert_eq!(ranked.len(), 4, "{names:?}");
    assert_eq!(names[3], "ligo/lr=1e30");
    let merit = |id: &str| {
        let run = found.methods.iter().find(|m| m.id == id).unwrap();
        (
            run.saving.map_or(f64::NEG_INFINITY, |s| s.flops(Counter::Exact)),
            -run.loss_final,
        )
    };
    assert!(names[..3].is_sorted_by(|a, b| merit(a) >= merit(b)), "{names:?}");
    assert!(place.path("run/methods/ligo/lr=0.01/model").is_dir());

    // The best one with two seeds: the first has run already, as the variant.
    let told = place.shown(&compare(&["--methods", "ligo-best", "--seeds", "2"]));
    let best = names[0];
    assert_says(&told, &[&format!("{best}: complete, skipped"), "LiGO, best"]);
    let again = summary(&place);
    assert_eq!(
        ids(&again),
        [
            "scratch",
            "ligo",
            "ligo/width_init=select",
            "ligo/lr=0.01",
            "scratch-seed4",
            "ligo-best",
            "ligo-best-seed4"
        ]
    );
    let first = |summary: &Summary, id: &str| summary.methods.iter().find(|m| m.id == id).unwrap().curve.clone();
    assert_eq!(first(&again, "ligo-best"), first(&found, best));
    assert!(again.methods[6].notes[0].contains(best), "{:?}", again.methods[6].notes);
    assert_eq!(
        again.files["ligo-best-seed4 model"],
        format!("methods/{best}-seed4/model")
    );
    for file in again.files.values() {
        assert!(place.path("run").join(file).exists(), "{file}");
    }
}

#[test]
fn a_folder_is_shown_again_from_its_results_and_says_what_is_missing() {
    let place = Place::new();
    place.shown(&compare(&["--methods", "ligo,stackbert"]));
    let found = summary(&place);
    let origin = found.provenance.clone().unwrap();
    assert_says(
        &origin.command,
        &[
            "ligo compare --recipe recipe.toml --data text.txt",
            "--methods ligo,stackbert",
        ],
    );
    assert!(origin.recipe.contains("num_hidden_layers") && !origin.versions["burn"].is_empty());
    assert!(
        origin.started <= origin.ended && origin.ended.ends_with('Z'),
        "{origin:?}"
    );
    let operators: Vec<&str> = found.operators.iter().map(|o| o.run.as_str()).collect();
    assert_eq!(operators, ["ligo", "stackbert"]);
    assert!(
        found.operators[0]
            .width
            .iter()
            .all(|m| !m.singular_values.is_empty() && !m.row_norms.is_empty())
    );
    let made = [
        "table.txt",
        "table.md",
        "table.tex",
        "table.json",
        "table.csv",
        "methods.csv",
        "savings.svg",
        "savings.png",
        "curves.svg",
        "report.html",
    ];
    let before: Vec<Vec<u8>> = made
        .iter()
        .map(|file| fs::read(place.path("run").join(file)).unwrap())
        .collect();
    for file in made.iter().chain(&["summary.json"]) {
        fs::remove_file(place.path("run").join(file)).unwrap();
    }
    assert_says(&place.shown(&["compare", "run"]), &["StackBERT", "report.html"]);
    assert_same(&summary(&place), &found);
    for (file, before) in made.iter().zip(&before) {
        assert!(
            fs::read(place.path("run").join(file)).unwrap() == *before,
            "{file} differs"
        );
    }

    // A run that is not complete is left out and named.
    fs::remove_file(place.path("run/methods/stackbert/stage.json")).unwrap();
    assert_says(&place.shown(&["compare", "run"]), &["not complete: methods/stackbert"]);
    assert_eq!(ids(&summary(&place)), ["scratch", "ligo"]);
    // Without its data the summary is all there is.
    fs::remove_dir_all(place.path("run/tokens")).unwrap();
    assert_says(
        &place.shown(&["compare", "run"]),
        &["shown from run/summary.json", "LiGO"],
    );
    fs::remove_file(place.path("run/summary.json")).unwrap();
    assert_says(&place.refused(&["compare", "run"]), &["tokens"]);
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_is_trained() {
    let place = Place::new();
    for (more, parts) in [
        (
            vec!["--methods", "liggo"],
            vec!["unknown method `liggo`", "did you mean `ligo`?"],
        ),
        // From 16 to 24 channels is no whole multiple.
        (
            vec!["--methods", "ligo,hyper-cloning"],
            vec!["hyper-cloning", "cannot grow this pair", "stackbert", "direct-copy"],
        ),
        (vec!["--methods", "ligo-best"], vec!["[sweep]"]),
        (vec!["--search-lr", "1e-3"], vec!["search.peak_lr", "at least two"]),
        (vec!["--lengths", "0.5,1.5"], vec!["lengths", "below 1", "1.5"]),
        (
            vec!["--set", "sweep.learn.stepps=[3]"],
            vec!["sweep.learn.stepps", "did you mean `steps`?"],
        ),
        (
            vec!["--set", "methods=[{name=\"ligo\",id=\"../x\"}]"],
            vec!["`../x`", "folder"],
        ),
    ] {
        assert_says(&place.refused(&compare(&more)), &parts);
        assert!(!place.path("run").exists(), "{more:?}");
    }
    fs::create_dir(place.path("run")).unwrap();
    place.write("run/thesis.tex", "mine");
    assert_says(
        &place.refused(&compare(&[])),
        &["run is not a run folder", "thesis.tex", "--out"],
    );
    assert_says(
        &place.refused(&["compare", "run"]),
        &["not a run folder", "recipe.toml", "summary.json"],
    );
    assert_eq!(place.files("run").len(), 1);
}

#[test]
fn a_folder_of_another_recipe_is_refused_with_what_differs() {
    let place = Place::new();
    place.shown(&compare(&["--methods", "scratch"]));
    let before = place.files("run");
    let message = place.refused(&compare(&["--methods", "scratch", "--set", "large.train.steps=30"]));
    assert_says(&message, &["other settings", "large.train.steps was 20 and is now 30"]);
    assert!(place.files("run") == before);
    // A search may come later, and finds what was run without it.
    let search = ["--search-lr", "1e-4,1e-3", "--set", "search.share=1.0"];
    let told = place.shown(&[&compare(&["--methods", "scratch"]), &search[..]].concat());
    assert_says(&told, &["search/scratch-lr1e-4: taken over from run/methods/scratch"]);
    assert!(
        summary(&place).methods[0]
            .notes
            .iter()
            .all(|note| !note.contains("taken over"))
    );
    let other = [&compare(&["--methods", "scratch"]), &search[..2]].concat();
    assert_says(&place.refused(&other), &["search.share was 1.0 and is now 0.5"]);
    place.shown(&compare(&["--methods", "scratch"]));
}
