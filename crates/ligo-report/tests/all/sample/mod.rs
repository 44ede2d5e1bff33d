//! A made-up comparison with the shapes that real ones have: smooth curves, nothing measured.

pub mod many;

use std::collections::BTreeMap;

use ligo_report::summary::{
    Corpus, Cost, CurvePoint, FORMAT, Flags, MethodSummary, Saving, SmallModel, Summary, ToTarget, Unit,
};

const STEPS: u64 = 1200;
const PER_STEP: Cost = Cost {
    flops_exact: 9.0e9,
    flops_electra: 6.0e9,
    seconds: 0.11,
};

pub fn cost(steps: f64) -> Cost {
    Cost {
        flops_exact: steps * PER_STEP.flops_exact,
        flops_electra: steps * PER_STEP.flops_electra,
        seconds: steps * PER_STEP.seconds,
    }
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

fn reach(method: &mut MethodSummary, step: f64, small: &Cost) {
    let operator = method.operator_cost;
    let total = cost(step);
    let total = Cost {
        flops_exact: total.flops_exact + operator.flops_exact,
        flops_electra: total.flops_electra + operator.flops_electra,
        seconds: total.seconds + operator.seconds,
    };
    let scratch = cost(STEPS as f64);
    let saving = |small: Cost| Saving {
        flops_exact: 1.0 - (total.flops_exact + small.flops_exact) / scratch.flops_exact,
        flops_electra: 1.0 - (total.flops_electra + small.flops_electra) / scratch.flops_electra,
        seconds: 1.0 - (total.seconds + small.seconds) / scratch.seconds,
    };
    method.to_target = Some(ToTarget { step, cost: total });
    method.saving = Some(saving(Cost::default()));
    method.saving_with_small = Some(saving(*small));
}

pub fn summary() -> Summary {
    let small = Cost {
        flops_exact: 3.1e12,
        flops_electra: 2.0e12,
        seconds: 41.0,
    };
    let mut scratch = method("scratch", "scratch", 7.64, 4.33, 150.0, 0.0);
    scratch.to_target = Some(ToTarget {
        step: STEPS as f64,
        cost: scratch.cost,
    });
    let target_loss = scratch.loss_final;
    let mut ligo = method("ligo", "LiGO", 4.47, 4.17, 480.0, 110.0);
    reach(&mut ligo, 445.0, &small);
    let mut stack = method("stackbert", "StackBERT", 4.95, 4.20, 240.0, 0.0);
    reach(&mut stack, 590.0, &small);
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
            cost: Some(small),
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
