//! `--reuse`: what another comparison has done.

use super::*;

#[test]
fn what_another_comparison_has_done_already_is_taken_over() {
    let place = Place::new();
    let two = [
        "--methods",
        "stackbert,mslt",
        "--seeds",
        "2",
        "--set",
        "large.train.schedule.peak_lr=3e-3",
    ];
    place.shown(&compare(&two));
    let first = summary(&place);
    let before = place.files("run");
    let again = |out: &'static str, more: &[&'static str]| {
        let told = place.shown(&[&COMPARE[..5], &["--out", out, "--reuse", "run"], more].concat());
        let summary = Summary::read(place.path(out).join("summary.json")).unwrap();
        (told, summary)
    };
    let taken = |told: &str, unit: &str| told.contains(&format!("{unit}: taken over from "));
    let run = |summary: &Summary, id: &str| summary.methods.iter().find(|m| m.id == id).unwrap().clone();

    // With another small model only what does without one is the same.
    let (told, found) = again("other", &[&two[..], &["--set", "small.train.steps=7"]].concat());
    for unit in [
        "methods/scratch",
        "methods/scratch-seed4",
        "methods/mslt",
        "methods/mslt-seed4",
    ] {
        assert!(taken(&told, unit), "{unit}: {told}");
    }
    for unit in ["small", "methods/stackbert", "methods/stackbert-seed4"] {
        assert!(!taken(&told, unit), "{unit}: {told}");
    }
    let record = place.path("other/methods/scratch/taken-over.json");
    let whole = fs::read_to_string(&record).unwrap();
    fs::write(&record, whole.replacen("/run/", "/ran/", 1)).unwrap();
    let (_, damaged) = again("other", &[&two[..], &["--set", "small.train.steps=7"]].concat());
    let damaged = run(&damaged, "scratch");
    assert!(
        damaged
            .notes
            .iter()
            .any(|note| note.contains("taken-over.json, which names it, is damaged")),
        "{:?}",
        damaged.notes
    );
    assert_eq!(damaged.computed_on.as_deref(), Some("unknown"));
    fs::write(&record, whole).unwrap();
    for id in ["scratch", "scratch-seed4", "mslt", "mslt-seed4"] {
        let (now, then) = (run(&found, id), run(&first, id));
        assert_eq!(now.curve, then.curve, "{id}");
        assert!(now.notes.iter().any(|note| note.contains("taken over from")), "{id}");
        assert_eq!(now.computed_on, Some(first.provenance.as_ref().unwrap().computer()));
        assert!(
            place
                .path("other/methods")
                .join(id)
                .join("model/model.safetensors")
                .is_file()
        );
    }
    assert!(run(&found, "stackbert").notes.is_empty());
    assert_ne!(run(&found, "stackbert").loss_start, run(&first, "stackbert").loss_start);

    // A search whose trials are whole runs finds the one that was made without a search, in methods of another id too.
    let search = [
        "--set",
        "methods=[{name=\"scratch\"},{name=\"stackbert\",id=\"stacked\"}]",
        "--seeds",
        "2",
        "--set",
        "search.share=1.0",
        "--search-lr",
        "1e-4,3e-3",
        "--set",
        "large.train.schedule.peak_lr=1e-3",
    ];
    let (told, found) = again("search", &search);
    assert!(taken(&told, "small"), "{told}");
    for unit in ["search/scratch-lr3e-3", "search/stacked-lr3e-3"] {
        assert!(taken(&told, unit), "{unit}: {told}");
        assert!(!taken(&told, &unit.replace("3e-3", "1e-4")), "{told}");
    }
    let trial = &found.searches[1].trials[1];
    assert_eq!(
        (trial.learning_rate, trial.loss),
        (3e-3, run(&first, "stackbert").loss_final)
    );

    // Another seed, other data: nothing is the same.
    let (told, _) = again("seed", &["--methods", "stackbert", "--set", "seed=9"]);
    assert!(!told.contains("taken over"), "{told}");
    assert!(place.files("run") == before, "the other folder was changed");

    // What is damaged there is made here.
    let weights = place.path("run/methods/mslt/model/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let result = place.path("run/small/result.json");
    fs::write(
        &result,
        fs::read_to_string(&result)
            .unwrap()
            .replacen("\"loss\": ", "\"loss\": 1", 1),
    )
    .unwrap();
    let (told, found) = again("damaged", &["--methods", "mslt", two[4], two[5]]);
    assert_says(
        &told,
        &["methods/mslt: not taken over from", "model.safetensors", "sha256"],
    );
    assert!(taken(&told, "methods/scratch") && !taken(&told, "small"), "{told}");
    assert_eq!(run(&found, "mslt").curve.len(), run(&first, "mslt").curve.len());
    ligo_checkpoint::verify(place.path("damaged/methods/mslt/model")).unwrap();

    let refused = |reuse: &str| place.refused(&compare(&["--methods", "stackbert", "--reuse", reuse]));
    assert_says(&refused("run"), &["the folder of this run itself", "--reuse"]);
    assert_says(&refused("text.txt"), &["text.txt is not a run folder", "recipe.toml"]);
}
