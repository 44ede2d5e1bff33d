//! The savings calculation against Table 3 of the LiGO paper, and its rules for noise, divergence and "never".

use ligo_cost::{Charges, CostToReach, Curve, Error, Saving, TransformerDims, compare, electra};

const TARGET: f64 = 1.8;

/// A curve over FLOPs of BERT-Base whose loss falls in a straight line and reaches the target after `steps`.
fn bert_base_reaching_the_target_after(steps: f64) -> Curve {
    let step_flops = electra::train_step_flops(&TransformerDims::bert(12, 768), 256);
    Curve::new((0..=40).map(|i| {
        let step = f64::from(i) * 10_000.0;
        (step * step_flops, 3.0 - (3.0 - TARGET) * step / steps)
    }))
    .unwrap()
}

fn charges(operator_steps: f64, small_steps: f64) -> Charges {
    let (small, large) = (TransformerDims::bert(6, 512), TransformerDims::bert(12, 768));
    Charges {
        operator: operator_steps * electra::ligo_step_flops(&small, &large, 256),
        small_model: small_steps * electra::train_step_flops(&small, 256),
    }
}

#[test]
fn table_3_of_the_paper_comes_out_within_a_fifth_of_a_point() {
    let scratch = bert_base_reaching_the_target_after(389e3);
    for (operator_steps, steps, printed) in [
        (100.0, 215e3, 44.7),
        (500.0, 215e3, 44.5),
        (1000.0, 215e3, 44.2),
        (10_000.0, 214e3, 38.9),
    ] {
        let grown = bert_base_reaching_the_target_after(steps);
        let result = compare(&scratch, &grown, TARGET, charges(operator_steps, 0.0));
        let percent = 100.0 * result.saving.share().unwrap();
        assert!(
            (percent - printed).abs() < 0.2,
            "{operator_steps} steps: {percent:.2} %, printed {printed} %"
        );
    }
}

#[test]
fn charging_the_small_model_lowers_the_papers_saving_to_26_percent() {
    let scratch = bert_base_reaching_the_target_after(389e3);
    let grown = bert_base_reaching_the_target_after(215e3);
    let result = compare(&scratch, &grown, TARGET, charges(100.0, 220e3));
    assert_eq!(result.saving.to_string(), "44.7 %");
    assert_eq!(result.saving_with_small_model.to_string(), "26.0 %");
}

#[test]
fn charging_a_short_small_run_lowers_35_percent_to_31() {
    let scratch = bert_base_reaching_the_target_after(389e3);
    let charges = charges(100.0, 50e3);
    // The paper prints 35.2 % and no step count; this is the one that gives it.
    let step_flops = electra::train_step_flops(&TransformerDims::bert(12, 768), 256);
    let grown = bert_base_reaching_the_target_after(0.648 * 389e3 - charges.operator / step_flops);
    let result = compare(&scratch, &grown, TARGET, charges);
    assert_eq!(result.saving.to_string(), "35.2 %");
    let percent = 100.0 * result.saving_with_small_model.share().unwrap();
    assert!((percent - 31.0).abs() < 0.1, "{percent}");
}

#[test]
fn the_cost_between_two_evaluations_is_interpolated() {
    let curve = Curve::new([(0.0, 4.0), (100.0, 3.0), (300.0, 2.0)]).unwrap();
    assert_eq!(curve.cost_to_reach(3.25), CostToReach::At(75.0));
    assert_eq!(curve.cost_to_reach(2.5), CostToReach::At(200.0));
    assert_eq!(curve.cost_to_reach(2.0), CostToReach::At(300.0));
}

#[test]
fn a_run_that_starts_below_the_target_reached_it_at_its_first_evaluation() {
    let curve = Curve::new([(0.0, 2.0), (100.0, 1.0)]).unwrap();
    assert_eq!(curve.cost_to_reach(3.0), CostToReach::At(0.0));
}

#[test]
fn a_loss_that_was_never_reached_is_not_a_number() {
    let scratch = Curve::new([(0.0, 4.0), (100.0, 2.0)]).unwrap();
    let stuck = Curve::new([(0.0, 4.0), (100.0, 2.5), (200.0, 3.5)]).unwrap();
    let result = compare(&scratch, &stuck, 2.0, Charges::default());
    assert_eq!(
        result.method,
        CostToReach::Never {
            best_loss: 2.5,
            spent: 200.0
        }
    );
    assert_eq!(result.method.cost(), None);
    assert_eq!(result.saving, Saving::NeverReached);
    assert_eq!(result.saving.to_string(), "never reached");
}

#[test]
fn without_a_reference_there_is_no_saving() {
    let scratch = Curve::new([(0.0, 4.0), (100.0, 3.0)]).unwrap();
    let grown = Curve::new([(0.0, 3.0), (100.0, 1.0)]).unwrap();
    assert_eq!(
        compare(&scratch, &grown, 2.0, Charges::default()).saving,
        Saving::NoReference
    );
    // A target that scratch meets before its first step.
    assert_eq!(
        compare(&scratch, &grown, 5.0, Charges::default()).saving,
        Saving::NoReference
    );
}

#[test]
fn a_method_that_costs_more_than_scratch_has_a_negative_saving() {
    let scratch = Curve::new([(0.0, 4.0), (100.0, 2.0)]).unwrap();
    let slow = Curve::new([(0.0, 4.0), (150.0, 2.0)]).unwrap();
    let result = compare(&scratch, &slow, 2.0, Charges::default());
    assert_eq!(result.saving, Saving::Share(-0.5));
    assert_eq!(result.saving.to_string(), "−50.0 %");
}

#[test]
fn noise_counts_by_the_running_minimum_and_the_first_crossing() {
    // Goes up before it crosses 2.0, and is above it again afterwards.
    let noisy = Curve::new([(0.0, 4.0), (100.0, 2.2), (200.0, 2.6), (300.0, 1.8), (400.0, 2.4)]).unwrap();
    let minima: Vec<f64> = noisy.running_minimum().map(|point| point.loss).collect();
    assert_eq!(minima, [4.0, 2.2, 2.2, 1.8, 1.8]);
    let cost = noisy.cost_to_reach(2.0).cost().unwrap();
    assert!((cost - 250.0).abs() < 1e-9, "{cost}");
    assert_eq!(noisy.final_loss(), 2.4);
    assert_eq!(noisy.best_loss(), 1.8);
}

#[test]
fn losses_that_are_not_finite_count_as_no_progress() {
    let diverged = Curve::new([(0.0, f64::NAN), (100.0, 3.0), (200.0, f64::INFINITY), (300.0, f64::NAN)]).unwrap();
    assert_eq!(diverged.cost_to_reach(3.5), CostToReach::At(100.0));
    assert_eq!(
        diverged.cost_to_reach(2.0),
        CostToReach::Never {
            best_loss: 3.0,
            spent: 300.0
        }
    );
    assert_eq!(
        diverged.cost_to_reach(f64::NAN),
        CostToReach::Never {
            best_loss: 3.0,
            spent: 300.0
        }
    );
}

#[test]
fn a_curve_without_points_or_with_bad_costs_is_refused() {
    assert_eq!(Curve::new([]), Err(Error::EmptyCurve));
    assert!(matches!(
        Curve::new([(0.0, 1.0), (f64::NAN, 1.0)]),
        Err(Error::BadCost { index: 1, .. })
    ));
    assert_eq!(Curve::new([(-1.0, 1.0)]), Err(Error::BadCost { index: 0, cost: -1.0 }));
    assert_eq!(
        Curve::new([(0.0, 3.0), (5.0, 2.0), (5.0, 1.0)]),
        Err(Error::CostNotIncreasing {
            index: 2,
            cost: 5.0,
            previous: 5.0
        })
    );
}
