//! What has to be learned to grow one BERT into another: every axis that widens, and the tensors that share its matrix.
//!
//!     cargo run -p ligo-arch --example axes -- SMALL/config.json LARGE/config.json
//!
//! Without arguments it takes BERT-Small and BERT-Base.
#![allow(clippy::print_stdout)]

use std::error::Error;

use ligo_arch::{BertConfig, ModelConfig, check_growable};

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let (small, large) = match files.as_slice() {
        [] => (
            ModelConfig::Bert(BertConfig::new(30_522, 512, 6, 8)),
            ModelConfig::Bert(BertConfig::new(30_522, 768, 12, 12)),
        ),
        [small, large] => (read(small)?, read(large)?),
        _ => return Err("expected two config.json files, or none".into()),
    };
    let (small, large) = (small.table(), large.table());
    check_growable(&small, &large)?;
    println!(
        "{} parameters grow into {}\n",
        small.num_parameters(),
        large.num_parameters()
    );

    for (axis, size) in large
        .sizes()
        .filter(|(axis, size)| !axis.is_fixed() && small.size(*axis) != *size)
    {
        println!("{axis}: one matrix [{size}, {}] widens", small.size(axis));
        for spec in large.specs() {
            let sides = ["rows", "columns"].into_iter().zip(&spec.axes);
            let sides: Vec<&str> = sides.filter(|(_, a)| **a == axis).map(|(side, _)| side).collect();
            if !sides.is_empty() {
                println!("    {} ({})", spec.template, sides.join(" and "));
            }
        }
    }
    for (stack, layers) in large.depths() {
        let modules = large.modules(stack);
        println!(
            "{stack}: {} matrices [{layers}, {}] mix layers, one each for {}",
            modules.len(),
            small.depth(stack),
            modules.join(", ")
        );
    }
    Ok(())
}

fn read(path: &str) -> Result<ModelConfig, Box<dyn Error>> {
    let json = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    Ok(ModelConfig::from_json(&json)?)
}
