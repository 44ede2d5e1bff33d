//! One spelling, the American one, in code, messages, names of files and documents.

use crate::tidy::{assert_none, texts};

/// British beginnings of words, in two parts so that this list is none of its own faults.
const BRITISH: [(&str, &str); 23] = [
    ("normal", "is"),
    ("optim", "is"),
    ("initial", "is"),
    ("recogn", "is"),
    ("util", "is"),
    ("summar", "is"),
    ("token", "is"),
    ("serial", "is"),
    ("minim", "is"),
    ("maxim", "is"),
    ("quant", "is"),
    ("synchron", "is"),
    ("random", "is"),
    ("organ", "ise"),
    ("general", "is"),
    ("col", "our"),
    ("behavi", "our"),
    ("neighb", "our"),
    ("fav", "our"),
    ("cent", "re"),
    ("lic", "ence"),
    ("gr", "ey"),
    ("artef", "act"),
];

/// Lines that must keep one: a name that earlier versions had.
const KEPT: [&str; 3] = ["alias = \"util", "fields.insert(\"util", "--util"];

/// Texts of others.
const FOREIGN: [&str; 4] = [
    "Cargo.lock",
    "crates/ligo-data/src/rust_docs/",
    "LICENSE-APACHE",
    "tests/fixtures/golden/text.txt",
];

fn british(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    BRITISH.iter().map(|(a, b)| format!("{a}{b}")).find(|stem| {
        // A part of a name in snake case begins a word; one inside of a word does not.
        let mut places = text.match_indices(stem.as_str());
        places.any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphabetic()))
    })
}

#[test]
fn everything_is_spelled_the_american_way() {
    let mut faults = Vec::new();
    for (path, text) in texts() {
        if FOREIGN.iter().any(|foreign| path.starts_with(foreign)) || path.ends_with(".json") {
            continue;
        }
        faults.extend(british(&path).map(|stem| format!("{path}: `{stem}` in its name")));
        for (i, line) in text.lines().enumerate() {
            let is_kept = KEPT.iter().any(|kept| line.contains(kept));
            let found = british(line).filter(|_| !is_kept);
            faults.extend(found.map(|stem| format!("{path}:{}: `{stem}`: {}", i + 1, line.trim())));
        }
    }
    assert_none(&faults);
}

#[test]
fn british_words_are_found_in_names_and_sentences() {
    for (a, b) in BRITISH {
        assert!(british(&format!("the {a}{b}ed one")).is_some(), "{a}{b}");
        assert!(british(&format!("fn with_{a}{b}ing()")).is_some(), "{a}{b}");
    }
    assert_eq!(
        british("a color is normalized; it analyzes the license of the center"),
        None
    );
}
