//! A model that this project knows nothing of is trained by the same loop, and comes to what theory says.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor};
use ligo_models::{Inputs, Pass};
use ligo_train::{
    Error, Learner, Leaves, LrSchedule, Objective, ParamInfo, ParamStore, RunData, Silent, TrainConfig, Trainer,
    inputs_on,
};

use crate::toy::Toy;

/// Knows how often each token is masked, and nothing else.
struct Frequencies {
    /// `[V]`.
    scores: Tensor<1>,
}

impl Learner for Frequencies {
    fn loss(&self, batch: &Inputs, _: &Pass) -> Result<Tensor<1>, Error> {
        let Inputs::Masked(masked) = batch else {
            return Err(Error::Own("frequencies are learned from masked tokens".into()));
        };
        let [words] = self.scores.dims();
        let rows = masked.labels.dims()[0];
        let logits = self.scores.clone().reshape([1, words]).expand([rows, words]);
        Ok(ligo_ops::cross_entropy(logits, masked.labels.clone()))
    }
}

struct LearnFrequencies;

impl Objective for LearnFrequencies {
    fn name(&self) -> &str {
        "frequencies"
    }

    fn model(&self, leaves: &Leaves) -> Result<Box<dyn Learner>, Error> {
        let scores = leaves.tensor("scores")?;
        Ok(Box::new(Frequencies { scores }))
    }
}

/// Cross entropy of the masked tokens of the validation batches under their own frequencies: no model without a look at the text does better.
fn entropy(toy: &Toy) -> f64 {
    let mut counts: HashMap<i64, f64> = HashMap::new();
    for batch in &toy.valid {
        let Inputs::Masked(masked) = inputs_on(batch, &Device::flex()) else {
            continue;
        };
        for label in masked.labels.into_data().iter::<i64>() {
            *counts.entry(label).or_default() += 1.0;
        }
    }
    let all: f64 = counts.values().sum();
    -counts
        .values()
        .map(|count| count / all * (count / all).ln())
        .sum::<f64>()
}

#[test]
fn a_model_of_ones_own_is_trained_saved_and_gone_on_with() {
    let toy = Toy::new();
    let words = toy.tokens.info().vocab_size;
    let start = || {
        let info = ParamInfo {
            name: "scores".into(),
            shape: vec![words],
            decay: false,
        };
        ParamStore::from_values([(info, vec![0.0; words])], &Device::flex()).unwrap()
    };
    let config = |steps| TrainConfig {
        steps,
        batch_size: 16,
        checkpoint_every: 100,
        schedule: LrSchedule {
            peak_lr: 0.1,
            warmup_steps: 0,
            ..LrSchedule::default()
        },
        ..TrainConfig::default()
    };
    let loader = toy.loader(true);
    let run = |steps, folder: &str, end| {
        let data = RunData {
            train: &loader,
            valid: &toy.valid,
        };
        let folder = toy.folder.path().join(folder);
        let trainer = Trainer::new(config(steps), &LearnFrequencies, start(), data, &folder).unwrap();
        let mut trainer = trainer.with_end(end);
        let result = trainer
            .run(&std::sync::atomic::AtomicBool::new(false), &mut Silent)
            .unwrap();
        (result, trainer.into_store().to_values().unwrap())
    };
    let (result, whole) = run(300, "whole", 300);
    let curve = &result.curve;
    assert!(
        (curve[0].loss - (words as f64).ln()).abs() < 1e-4,
        "it began with {}",
        curve[0].loss
    );
    let (reached, least) = (result.final_loss().unwrap(), entropy(&toy));
    assert!(
        (least - 1e-6..least + 0.25).contains(&reached),
        "reached {reached}, at best {least}"
    );

    run(300, "stopped", 100);
    let (_, resumed) = run(300, "stopped", 300);
    assert_eq!(whole, resumed);
}
