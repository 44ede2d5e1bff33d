//! Draws the picture of a comparison and prints its table.
//!
//! ```text
//! cargo run -p ligo-report --example draw -- SUMMARY.json STEM     # writes STEM.svg and STEM.png
//! ```
#![allow(clippy::print_stdout)]

use ligo_report::{Counter, Summary, Table, plot};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(summary), Some(stem)) = (arguments.next(), arguments.next()) else {
        return Err("expected two arguments: SUMMARY.json and the picture's path without extension".into());
    };
    let summary = Summary::read(summary)?;
    print!("{}", Table::new(&summary, Counter::Exact).text(true));
    let (svg, png) = plot::save(&plot::comparison(&summary, Counter::Exact), stem)?;
    println!("\n{}\n{}", svg.display(), png.display());
    Ok(())
}
