//! What the ranks of a model with divided layers do.

use burn::tensor::Device;
use ligo_data::Cursor;
use ligo_train::{Collective, Optimizer, SplitObjective, train_step};

use crate::toy::{Toy, config};

/// Some steps of a model whose layers the ranks divide: the losses and, behind them, the sum of all squares of the whole weights, one number a line.
pub fn numbers(ranks: impl Collective + Send + Sync + 'static) -> String {
    let toy = Toy::with_dropout(0.0);
    let device = Device::flex();
    let objective = SplitObjective::new(&toy.model, &[], ranks, &device).unwrap();
    let mut store = objective.part_of(toy.store().to_values().unwrap(), &device).unwrap();
    let mut optimizer = Optimizer::new(config().optimizer, &store);
    let loader = toy.loader(true);
    let mut cursor = Cursor::default();
    let mut numbers = Vec::new();
    for step in 0..6 {
        let done = train_step(&config(), &objective, &mut store, &mut optimizer, &loader, step, cursor);
        let (loss, next) = done.unwrap();
        numbers.push(loss);
        cursor = next;
    }
    let whole = objective.whole(&store).unwrap();
    numbers.push(
        whole
            .iter()
            .flat_map(|(_, values)| values)
            .map(|x| f64::from(x * x))
            .sum(),
    );
    let lines: Vec<String> = numbers.iter().map(f64::to_string).collect();
    lines.join("\n")
}
