//! What several seeds of a method come to.

use ligo_report::summary::{CurvePoint, Energy, Group, MethodSummary, Saving, ToTarget};
use ligo_report::{Error, Summary};

use crate::sample;

fn group<'a>(summary: &'a Summary, key: &str) -> &'a Group {
    summary.groups.iter().find(|group| group.key == key).unwrap()
}

/// A run whose loss falls in a straight line from 6 to `end` within 100 steps of cost 1.
fn run(name: &str, seed: u64, end: f64, saving: Option<f64>) -> MethodSummary {
    let point = |step: u64| CurvePoint {
        step,
        loss: 6.0 + (end - 6.0) * step as f64 / 100.0,
        cost: sample::cost(step as f64),
        ..CurvePoint::default()
    };
    MethodSummary {
        id: format!("{name}-seed{seed}"),
        group: name.into(),
        name: name.into(),
        label: name.into(),
        seed,
        loss_start: 6.0,
        loss_final: end,
        curve: vec![point(0), point(50), point(100)],
        cost: sample::cost(100.0),
        to_target: saving.map(|share| ToTarget {
            step: 100.0 * (1.0 - share),
            cost: sample::cost(100.0 * (1.0 - share)),
        }),
        saving: saving.map(|share| Saving::of_measures([share; 3])),
        ..MethodSummary::default()
    }
}

/// A run of another length of the same method.
fn of_length(name: &str, seed: u64, cost: f64, end: f64) -> MethodSummary {
    let mut run = run(name, seed, end, None);
    run.id = format!("{name}/steps={cost}-seed{seed}");
    run.group = format!("{name}/steps={cost}");
    run.label = run.group.clone();
    run.cost = sample::cost(cost);
    run
}

#[test]
fn savings_are_read_between_the_ends_of_schedules_at_the_loss_that_a_run_ends_at() {
    let mut summary = sample::summary();
    summary.small.cost = Some(sample::cost(10.0));
    // Scratch: 3.0 for 100, 3.5 for 50; of the second seed 2.8 for 100, 3.6 for 25. 3.25 costs 70.7 and 57.4 then.
    summary.methods = vec![
        run("scratch", 1, 3.0, None),
        of_length("scratch", 1, 50.0, 3.5),
        run("scratch", 2, 2.8, None),
        of_length("scratch", 2, 25.0, 3.6),
        of_length("ligo", 1, 40.0, 3.25),
        of_length("ligo", 2, 40.0, 3.2),
        // Below all that scratch ends at: nothing is said of it.
        of_length("stackbert", 1, 40.0, 2.9),
    ];
    for method in &mut summary.methods {
        method.operator_cost = sample::cost(if method.name == "ligo" { 4.0 } else { 0.0 });
    }
    let summary = summary.grouped();
    let ligo = group(&summary, "ligo/steps=40");
    let first = (50.0_f64 * 100.0).sqrt();
    // Half of the way from 3.6 to 2.8.
    let second = (25.0_f64 * 100.0).sqrt();
    let mean = |spent: f64| 1.0 - (spent / first + spent / second) / 2.0;
    let found = ligo.at_equal_loss.flops_exact.unwrap();
    assert!((found.mean - mean(44.0)).abs() < 1e-9, "{found:?}");
    assert_eq!(found.seeds, 2);
    let charged = ligo.at_equal_loss_with_small.flops_exact.unwrap();
    assert!((charged.mean - mean(54.0)).abs() < 1e-9, "{charged:?}");
    for key in ["stackbert/steps=40", "scratch", "scratch/steps=50"] {
        assert_eq!(group(&summary, key).at_equal_loss.flops_exact, None, "{key}");
    }
    let notes = ligo_report::Table::new(&summary, ligo_report::Counter::Exact)
        .notes()
        .to_vec();
    let note = notes
        .iter()
        .find(|note| note.starts_with("FLOPs saved at equal loss"))
        .unwrap();
    assert!(note.contains("incl. small") && !note.contains("stackbert"), "{note}");
    // One length of scratch is no curve.
    let mut one = summary.clone();
    one.methods
        .retain(|method| method.group != "scratch/steps=50" && method.group != "scratch/steps=25");
    let one = one.grouped();
    assert!(one.groups.iter().all(|group| group.at_equal_loss.flops_exact.is_none()));
}

fn three_seeds() -> Summary {
    let mut summary = sample::summary();
    summary.methods = vec![
        run("scratch", 1, 3.0, None),
        run("scratch", 2, 2.0, None),
        run("scratch", 3, 2.5, None),
        run("ligo", 1, 1.0, Some(0.6)),
        run("ligo", 2, 1.0, Some(0.2)),
        run("ligo", 4, 1.0, None),
    ];
    summary.grouped()
}

#[test]
fn a_group_has_the_means_of_its_seeds_and_says_how_many_reached_the_target() {
    let summary = three_seeds();
    assert_eq!(summary.groups.len(), 2);
    let ligo = group(&summary, "ligo");
    assert_eq!(
        (ligo.seeds.as_slice(), ligo.reached, ligo.unpaired),
        ([1, 2, 4].as_slice(), 2, 1)
    );
    let saving = ligo.saving.flops_exact.unwrap();
    assert!((saving.mean - 0.4).abs() < 1e-12 && saving.seeds == 2, "{saving:?}");
    // t(1) · s / √2 with s = 0.4 / √2
    assert!((saving.half_width.unwrap() - 12.706 * 0.2).abs() < 1e-9, "{saving:?}");
    assert_eq!(ligo.loss_final.unwrap().half_width, Some(0.0));
}

#[test]
fn the_mean_curve_is_measured_at_the_mean_of_the_scratch_losses() {
    let summary = three_seeds();
    let reference = summary.reference.as_ref().unwrap();
    assert_eq!(reference.losses, [3.0, 2.0, 2.5]);
    assert_eq!(reference.loss.unwrap().mean, 2.5);
    // LiGO falls from 6 by 5 in 100 steps and is at 2.5 after 70; mean scratch after 100.
    let saving = group(&summary, "ligo").mean_curve.saving.unwrap();
    assert!((saving.flops_exact - 0.3).abs() < 1e-9, "{saving:?}");
    let scratch = group(&summary, "scratch");
    assert_eq!(scratch.mean_curve.saving, None, "scratch saves nothing against itself");
}

#[test]
fn energy_is_called_measured_only_when_every_seed_measured_it() {
    let mut summary = three_seeds();
    for (run, measured) in summary.methods.iter_mut().zip([true, true, true, true, false, true]) {
        run.energy = Some(Energy { kwh: 0.5, measured });
    }
    let summary = summary.grouped();
    assert!(group(&summary, "scratch").energy_measured);
    let ligo = group(&summary, "ligo");
    assert!(!ligo.energy_measured && ligo.energy_kwh.unwrap().mean == 0.5);
}

#[test]
fn methods_of_one_name_and_different_groups_stay_apart() {
    let mut summary = three_seeds();
    summary.methods[5].group = "ligo-500".into();
    assert_eq!(summary.grouped().groups.len(), 3);
}

#[test]
fn a_summary_of_format_1_is_read_and_grouped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("summary.json");
    std::fs::write(&file, include_str!("sample/format-1.json")).unwrap();
    let summary = Summary::read(&file).unwrap();
    assert_eq!(summary.groups.len(), 2);
    let ligo = group(&summary, "LiGO");
    assert_eq!(ligo.saving.flops_exact.unwrap().mean, 0.5333);
    assert_eq!(ligo.loss_final, None, "a loss that is no number has no mean");
    assert!(summary.provenance.is_none() && summary.operators.is_empty());
    let error = Summary::read(folder.path().join("none.json")).unwrap_err();
    assert!(matches!(&error, Error::File(ligo_metrics::Error::Io { .. })), "{error}");
}

#[test]
fn a_summary_of_an_earlier_version_is_read_to_the_bit_and_written_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("summary.json");
    let stored = include_str!("sample/format-2.json");
    std::fs::write(&file, stored).unwrap();
    let summary = Summary::read(&file).unwrap();
    let point = summary.methods[0].curve[2];
    assert!(point.cost.flops.electra.is_nan() && point.cost.seconds.is_nan() && point.cost.flops.exact > 0.0);
    let shared = summary.methods[1].shared.unwrap();
    assert_eq!((shared.steps, shared.cost), (13, sample::cost(13.0 / 7.0)));
    assert_eq!(summary.small.annealed.unwrap().cost, sample::cost(7.3));
    assert_eq!(summary.searches[0].trials[0].cost, sample::cost(1.0 / 3.0));
    summary.write(&file).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), stored);
}
