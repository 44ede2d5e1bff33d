//! Compares two ways to grow a small BERT on a text of your own, and reads what they saved.
//!
//!     cargo run --release -p ligo-experiment --example compare -- my-texts/ runs/mine
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;

use ligo_device::DeviceChoice;
use ligo_experiment::{Experiment, Listener, Workforce, recipe};

struct Log;

impl Listener for Log {
    fn say(&self, line: &str) {
        eprintln!("{line}");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [text, folder, settings @ ..] = arguments.as_slice() else {
        return Err("usage: compare TEXT FOLDER [KEY=VALUE…]".into());
    };
    let mut overrides = vec![format!("corpus.paths=[{text:?}]")];
    overrides.extend_from_slice(settings);
    let recipe = recipe::load("bert-micro", &overrides)?;
    let experiment = Experiment::comparing(&recipe, &["stackbert".into(), "interpose".into()], Some(1))?;
    let workforce = Workforce::Here(ligo_device::pick(DeviceChoice::Cpu)?);
    let summary = experiment.run(folder.as_ref(), &[], workforce, &Log)?;
    for method in summary.into_iter().flat_map(|summary| summary.methods) {
        let saved = method.saving.map_or("–".to_owned(), |saving| {
            format!("{:.1} %", 100.0 * saving.flops_exact)
        });
        println!("{}: loss {:.3}, FLOPs saved: {saved}", method.label, method.loss_final);
    }
    Ok(())
}
