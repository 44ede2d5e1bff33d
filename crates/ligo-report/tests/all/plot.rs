//! The pictures. Set `LIGO_REPORT_PICTURES` to a folder to look at them.

use ligo_report::plot::{self, Matrix, OperatorPicture};
use ligo_report::summary::Flags;
use ligo_report::{Counter, Error};
use resvg::tiny_skia::Pixmap;
use resvg::usvg::{Options, Tree};

use crate::sample;

/// Parses `svg`, which fails when it is not well-formed, and keeps it for looking at.
fn check(name: &str, svg: &str) {
    Tree::from_str(svg, &Options::default()).unwrap();
    assert!(
        !svg.contains("NaN") && !svg.contains("inf\""),
        "{name}: a coordinate is no number"
    );
    if let Some(folder) = std::env::var_os("LIGO_REPORT_PICTURES") {
        plot::save(svg, std::path::Path::new(&folder).join(name)).unwrap();
    }
}

#[test]
fn the_comparison_names_every_method_and_every_line() {
    let summary = sample::summary();
    let svg = plot::comparison(&summary, Counter::Exact);
    check("comparison", &svg);
    for method in &summary.methods {
        assert!(
            svg.contains(&format!(">{}", method.label)),
            "{} is missing",
            method.label
        );
    }
    for text in [
        "unigram loss 6.370",
        "small model 4.490",
        "scratch’s final loss 4.343",
        "operator: 990.0 GFLOP",
    ] {
        assert!(svg.contains(text), "{text} is missing");
    }
}

#[test]
fn a_frontier_has_a_point_for_each_length_and_a_line_for_each_method() {
    // Every method has one length: no frontier.
    assert!(plot::frontier(&sample::summary(), Counter::Exact).is_none());
    let mut summary = sample::of_lengths();
    let svg = plot::frontier(&summary, Counter::Exact).unwrap();
    check("frontier", &svg);
    // FLOPs and time, the small model given and charged, and tokens.
    let panels = if summary.small.cost.is_some() { 5 } else { 3 };
    assert_eq!(svg.matches("<circle").count(), panels * 6);
    assert_eq!(svg.matches("<polyline").count(), panels * 2);
    for text in [
        "the small model given",
        "final validation loss",
        "95 % intervals",
        "StackBERT",
    ] {
        assert!(svg.contains(text), "{text} is missing");
    }
    // Charged, a grown model stands further to the right, and scratch where it stood.
    summary.small.cost = None;
    let given = plot::frontier(&summary, Counter::Exact).unwrap();
    assert_eq!(given.matches("<circle").count(), 3 * 6);
    assert!(!given.contains("everything charged"));
}

#[test]
fn the_learned_start_is_moved_right_by_the_operators_cost() {
    let summary = sample::summary();
    let with = plot::comparison(&summary, Counter::Exact);
    let mut free = summary.clone();
    free.methods[1].operator_cost = Default::default();
    let without = plot::comparison(&free, Counter::Exact);
    let first_x = |svg: &str| -> f64 {
        let line = svg
            .lines()
            .find(|line| line.starts_with("<polyline") && line.contains("#d55e00"))
            .unwrap();
        line.split(['"', ',']).nth(1).unwrap().parse().unwrap()
    };
    assert!(first_x(&with) > first_x(&without) + 10.0);
}

#[test]
fn names_cannot_break_the_picture() {
    let mut summary = sample::summary();
    summary.title = "a < b & \"c\" > \u{7}d".into();
    summary.methods[2].label = "<script>".into();
    check("escaped", &plot::comparison(&summary, Counter::Electra));
}

#[test]
fn odd_comparisons_are_drawn_too() {
    let mut summary = sample::summary();
    summary.flags = Flags {
        scratch_passed_unigram: true,
        scratch_passed_small: false,
    };
    summary.corpus.unigram_loss = 9.5;
    summary.small.loss = 3.9;
    summary.methods[1].curve[5].loss = f64::NAN;
    let mut again = summary.methods[2].clone();
    again.curve.iter_mut().for_each(|point| point.loss += 0.03);
    summary.methods.push(again);
    for index in 0..5 {
        let mut other = summary.methods[3].clone();
        other.name = format!("other_{index}");
        other.label = format!("another method with a long name, number {index}");
        other
            .curve
            .iter_mut()
            .for_each(|point| point.loss += 0.02 * index as f64);
        summary.methods.push(other);
    }
    let mut summary = summary.grouped();
    check("odd", &plot::comparison(&summary, Counter::Electra));
    check("odd-curves", &plot::curves(&summary, Counter::Electra));
    summary.methods.iter_mut().for_each(|method| method.curve.clear());
    check("no-points", &plot::comparison(&summary, Counter::Exact));
    summary.methods.clear();
    summary.small.loss = f64::NAN;
    summary.target_loss = f64::NAN;
    check("nothing", &plot::comparison(&summary, Counter::Exact));
}

#[test]
fn fourteen_methods_with_three_seeds_have_bold_means_and_thin_seeds() {
    let summary = sample::many::summary(14, 3, 60);
    for (name, svg, panels) in [
        ("many", plot::comparison(&summary, Counter::Exact), 2),
        ("many-curves", plot::curves(&summary, Counter::Exact), 4),
    ] {
        check(name, &svg);
        let lines = |stroke: &str| {
            svg.lines()
                .filter(|line| line.starts_with("<polyline") && line.contains(stroke))
                .count()
        };
        assert_eq!(lines("stroke-width=\"1.8\""), 14 * panels, "{name}: means");
        assert_eq!(lines("stroke-opacity"), 3 * 14 * panels, "{name}: seeds");
    }
}

#[test]
fn the_png_has_the_right_size_and_readable_ink() {
    let folder = tempfile::tempdir().unwrap();
    let svg = plot::comparison(&sample::summary(), Counter::Exact);
    let (vector, pixels) = plot::save(&svg, folder.path().join("run.v1")).unwrap();
    assert!(vector.ends_with("run.v1.svg") && pixels.ends_with("run.v1.png"));
    let size = Tree::from_str(&svg, &Options::default()).unwrap().size();
    let picture = Pixmap::load_png(&pixels).unwrap();
    assert_eq!(picture.width(), (size.width() * plot::PNG_SCALE) as u32);
    assert_eq!(picture.height(), (size.height() * plot::PNG_SCALE) as u32);
    // The title is drawn although this machine may have no font: there is ink where it stands.
    let ink = (40..80)
        .flat_map(|y| (140..600).map(move |x| (x, y)))
        .filter(|&(x, y)| picture.pixel(x, y).is_some_and(|pixel| pixel.red() < 128))
        .count();
    assert!(ink > 500, "only {ink} dark pixels");
}

#[test]
fn what_is_no_picture_is_refused() {
    assert!(matches!(plot::render_png("<svg", 1.0), Err(Error::Picture { .. })));
}

fn operator(small: (usize, usize), large: (usize, usize)) -> OperatorPicture {
    let modules = [
        "query.weight",
        "key.weight",
        "value.weight",
        "attention.output.weight",
        "intermediate.weight",
    ];
    let depth = modules.iter().enumerate().map(|(module, name)| {
        let value = |row: usize, column: usize| {
            let near = if row % small.0 == column { 0.9 } else { 0.08 };
            near * ((row * 7 + column * 3 + module) as f32).cos()
        };
        let values = (0..large.0)
            .flat_map(|row| (0..small.0).map(move |column| value(row, column)))
            .collect();
        Matrix {
            name: (*name).into(),
            rows: large.0,
            columns: small.0,
            values,
        }
    });
    let width = [("hidden", 1), ("key", 1), ("ffn", 4)].map(|(name, factor)| {
        let (rows, columns) = (large.1 * factor, small.1 * factor);
        let value = |row: usize, column: usize| {
            if row == column {
                1.0
            } else {
                0.05 * ((row * 31 + column * 17) as f32).sin()
            }
        };
        let values = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| value(row, column)))
            .collect();
        Matrix {
            name: name.into(),
            rows,
            columns,
            values,
        }
    });
    let title = format!("LiGO operator, ({}, {}) → ({}, {})", small.0, small.1, large.0, large.1);
    OperatorPicture {
        title,
        depth: depth.collect(),
        width: width.to_vec(),
    }
}

#[test]
fn an_operator_shows_every_matrix_by_name() {
    for (name, small, large) in [
        ("operator", (2, 64), (4, 128)),
        ("operator-base", (6, 128), (12, 192)),
        ("operator-deep", (20, 32), (40, 32)),
    ] {
        let picture = operator(small, large);
        let svg = plot::operator(&picture).unwrap();
        check(name, &svg);
        for matrix in picture.depth.iter().chain(&picture.width) {
            assert!(
                svg.contains(&format!(">{}", matrix.name)),
                "{name}: {} is missing",
                matrix.name
            );
        }
    }
    check(
        "operator-empty",
        &plot::operator(&OperatorPicture {
            title: "-".into(),
            depth: vec![],
            width: vec![],
        })
        .unwrap(),
    );
}
