//! Makes the report of a comparison, and its table in all forms.
//!
//! ```text
//! cargo run -p ligo-report --example report -- SUMMARY.json FOLDER     # writes FOLDER/report.html, table.tex, …
//! ```
#![allow(clippy::print_stdout)]

use std::path::PathBuf;

use ligo_report::{Counter, Summary, Table, html, plot, verdict};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(summary), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("expected two arguments: SUMMARY.json and the folder to write to".into());
    };
    let summary = Summary::read(summary)?;
    let table = Table::new(&summary, Counter::Exact);
    std::fs::create_dir_all(&folder)?;
    for (name, text) in [
        ("report.html", html::report(&summary)),
        ("table.txt", table.text(true)),
        ("table.md", table.markdown()),
        ("table.tex", table.latex()),
        ("table.json", table.json()?),
        ("methods.csv", table.csv_of_methods().to_owned()),
        ("runs.csv", table.csv().to_owned()),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        println!("{}", path.display());
    }
    let (svg, png) = plot::save(&plot::curves(&summary, Counter::Exact), folder.join("curves"))?;
    println!(
        "{}\n{}\n\n{}.",
        svg.display(),
        png.display(),
        verdict(&summary, Counter::Exact).headline
    );
    Ok(())
}
