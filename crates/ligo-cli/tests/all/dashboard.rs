//! `--dashboard`: refused by a program without it, and of no harm where there is no terminal.

use crate::common::{Place, assert_says};

const RUN: [&str; 8] = [
    "run",
    "--recipe",
    "recipe.toml",
    "--data",
    "text.txt",
    "--out",
    "run",
    "--dashboard",
];

#[cfg(not(feature = "dashboard"))]
#[test]
fn a_program_without_the_dashboard_says_how_to_get_one_that_has_it() {
    let place = Place::new();
    let message = place.refused(&RUN);
    assert_says(
        &message,
        &[
            "this program was built without the dashboard",
            "cargo xtask ligo run --dashboard",
            "--features",
        ],
    );
    assert!(!place.path("run").exists());
}

#[cfg(feature = "dashboard")]
#[test]
fn without_a_terminal_a_run_goes_on_with_ordinary_lines() {
    let place = Place::new();
    let said = place.shown(&RUN);
    assert_says(
        &said,
        &[
            "input and output are no terminal; going on with ordinary lines",
            "20/20",
        ],
    );
    assert!(!said.contains('\u{1b}'), "{said}");
    // Each process of several has lines of its own.
    let compare = [
        "compare",
        "--recipe",
        "recipe.toml",
        "--data",
        "text.txt",
        "--out",
        "jobs",
        "--jobs",
        "2",
        "--dashboard",
    ];
    assert_says(&place.shown(&compare), &["one process that trains (--jobs 1)"]);
}
