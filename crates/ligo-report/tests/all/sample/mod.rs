//! A made-up comparison with the shapes that real ones have: smooth curves, nothing measured.

pub mod many;

use std::collections::BTreeMap;

use ligo_cost::Flops;
use ligo_report::summary::{
    Corpus, Cost, CurvePoint, FORMAT, Flags, MethodSummary, Saving, SmallModel, Summary, ToTarget, Unit,
};

const STEPS: u64 = 1200;
const PER_STEP: Cost = Cost {
    flops: Flops {
        exact: 9.0e9,
        electra: 6.0e9,
    },
    seconds: 0.11,
};

/// What the small model cost.
pub const SMALL: Cost = Cost {
    flops: Flops {
        exact: 3.1e12,
        electra: 2.0e12,
    },
    seconds: 41.0,
};

pub fn cost(steps: f64) -> Cost {
    PER_STEP * steps
}

/// A run that falls from `start` to `end` with a half-life of `half` steps.
fn method(name: &str, label: &str, start: f64, end: f64, half: f64, operator_steps: f64) -> MethodSummary {
    let loss = |step: f64| end + (start - end) * 0.5f64.powf(step / half);
    let curve: Vec<CurvePoint> = (0..=STEPS)
        .step_by(50)
        .map(|step| CurvePoint {
            step,
            tokens: 4096 * step,
            loss: loss(step as f64),
            cost: cost(step as f64),
        })
        .collect();
    MethodSummary {
        name: name.into(),
        label: label.into(),
        seed: 1,
        steps: STEPS,
        loss_start: start,
        loss_final: loss(STEPS as f64),
        curve,
        cost: cost(STEPS as f64),
        operator_cost: cost(operator_steps),
        ..MethodSummary::default()
    }
}

fn reach(method: &mut MethodSummary, step: f64) {
    let total = cost(step) + method.operator_cost;
    let scratch = cost(STEPS as f64);
    let saving =
        |charged: Cost| Saving::of_measures(Cost::MEASURES.map(|of| 1.0 - of(&(total + charged)) / of(&scratch)));
    method.to_target = Some(ToTarget { step, cost: total });
    method.saving = Some(saving(Cost::default()));
    method.saving_with_small = Some(saving(SMALL));
}

pub fn summary() -> Summary {
    let mut scratch = method("scratch", "scratch", 7.64, 4.33, 150.0, 0.0);
    scratch.to_target = Some(ToTarget {
        step: STEPS as f64,
        cost: scratch.cost,
    });
    let target_loss = scratch.loss_final;
    let mut ligo = method("ligo", "LiGO", 4.47, 4.17, 480.0, 110.0);
    reach(&mut ligo, 445.0);
    let mut stack = method("stackbert", "StackBERT", 4.95, 4.20, 240.0, 0.0);
    reach(&mut stack, 590.0);
    let copy = method("direct_copy", "direct copy", 5.6, 4.36, 210.0, 0.0);
    Summary {
        format: FORMAT,
        title: "BERT (2 layers, 128) → (4 layers, 256)".into(),
        corpus: Corpus {
            name: "documentation of 214 crates".into(),
            hash: "5f2c".repeat(16),
            train_tokens: 4_194_304,
            valid_tokens: 65_536,
            unigram_loss: 6.37,
            context_free_loss: None,
            unit: Unit::Tokens,
        },
        small: SmallModel {
            name: "BERT (2, 128)".into(),
            loss: 4.49,
            cost: Some(SMALL),
            annealed: None,
        },
        target_loss,
        methods: vec![scratch, ligo, stack, copy],
        flags: Flags {
            scratch_passed_unigram: true,
            scratch_passed_small: true,
        },
        files: BTreeMap::from([("picture".into(), "comparison.svg".into())]),
        groups: Vec::new(),
        reference: None,
        provenance: None,
        operators: Vec::new(),
        prediction: None,
        searches: Vec::new(),
        sweep: None,
    }
    .grouped()
}

/// A run of scratch or StackBERT that ends after so many steps.
fn of_length(summary: &Summary, name: &str, seed: u64, steps: u64, end: f64) -> MethodSummary {
    let like = summary.methods.iter().find(|run| run.name == name).unwrap();
    let mut run = MethodSummary {
        id: format!("{name}/steps={steps}-seed{seed}"),
        group: format!("{name}/steps={steps}"),
        series: name.into(),
        seed,
        steps,
        loss_final: end,
        ..like.clone()
    };
    run.cost = cost(steps as f64);
    run
}

/// Scratch and StackBERT under schedules of three lengths, two seeds each.
pub fn of_lengths() -> Summary {
    let mut summary = summary();
    let runs = [("scratch", 0.0), ("stackbert", -0.3)]
        .into_iter()
        .flat_map(|(name, gain)| {
            let lengths = [(400, 4.6), (800, 4.4), (1600, 4.2)].into_iter();
            lengths
                .flat_map(move |(steps, end)| [1, 2].map(|seed| (name, seed, steps, end + gain + 0.01 * seed as f64)))
        });
    summary.methods = runs
        .map(|(name, seed, steps, end)| of_length(&summary, name, seed, steps, end))
        .collect();
    summary
}
