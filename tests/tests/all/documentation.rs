//! What the documentation links to is there, and its first page stays one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::repository::root;

/// A page that one reads.
const MOST_WORDS_OF_README: usize = 1200;

fn pages() -> Vec<PathBuf> {
    let markdown = |folder: PathBuf| {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "md"))
    };
    markdown(root()).chain(markdown(root().join("docs"))).collect()
}

/// The text without its blocks of code.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence && !line.starts_with("    ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Targets of `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once("](") {
        let (target, after) = behind.split_once(')').unwrap_or((behind, ""));
        found.push(target.to_owned());
        rest = after;
    }
    found
}

/// What headings can be linked by, as GitHub names them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let title = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&prose(&text)) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let is_there = target.exists()
                && (anchor.is_empty() || anchors(&fs::read_to_string(&target).unwrap()).contains(anchor));
            if !is_there {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_first_page_is_read_in_minutes_and_leads_to_every_other() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let words = readme.split_whitespace().count();
    assert!(words <= MOST_WORDS_OF_README, "README.md has {words} words");
    let linked: BTreeSet<PathBuf> = links(&readme)
        .iter()
        .map(|link| root().join(link.split('#').next().unwrap()))
        .collect();
    let missing: Vec<PathBuf> = pages()
        .into_iter()
        .filter(|page| !page.ends_with("README.md") && !page.ends_with("SUMMARY.md") && !linked.contains(page))
        .collect();
    assert!(missing.is_empty(), "README.md leads to none of {missing:?}");
}

/// Files of tests as pages name them: `ligo-cli/tests/all/kills.rs`, of a crate of ours, or from the root.
fn named_tests(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let of_a_crate = quoted.filter(|name| name.contains("/tests/") && name.ends_with(".rs"));
    of_a_crate.filter(|name| !name.contains(' '))
}

#[test]
fn every_file_of_tests_that_a_page_names_is_there() {
    let mut missing = Vec::new();
    let mut named = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for name in named_tests(&prose(&text)) {
            named += 1;
            let places = [root(), root().join("crates")];
            if !places.iter().any(|place| place.join(name).is_file()) {
                missing.push(format!("{}: {name}", page.display()));
            }
        }
    }
    assert!(named > 30, "only {named} names were found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn links_and_headings_are_found_as_they_are_written() {
    let text = "# A (b): `c`\n[x](y.md#z), [![p](q.png)](r)\n```\n[no](no)\n```\n    [nor](this)\n";
    assert_eq!(links(&prose(text)), ["y.md#z", "q.png", "r"]);
    assert!(anchors(text).contains("a-b-c"));
    assert!(Path::new("a/b.md").ends_with("b.md"));
}

#[test]
fn the_book_has_every_page_once() {
    let docs = root().join("docs");
    let contents = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed = links(&contents);
    let named: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    assert_eq!(named.len(), listed.len(), "a page is in the book twice");
    let files = fs::read_dir(&docs).unwrap().map(|entry| entry.unwrap().file_name());
    let files = files.map(|name| name.to_string_lossy().into_owned());
    let pages: BTreeSet<String> = files
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .collect();
    assert_eq!(named, pages.iter().map(String::as_str).collect());
}
