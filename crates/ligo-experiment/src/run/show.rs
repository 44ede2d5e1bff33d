//! What people see of a comparison: tables, pictures and the report, beside its summary.

use std::path::Path;

use ligo_report::summary::{Counter, Summary};
use ligo_report::{Listing, Table, html, plot};

use crate::files::write_whole;
use crate::{Failure, Listener};

/// Writes tables, pictures and the report of a summary beside it, and prints the tables.
///
/// # Errors
/// A file cannot be written.
pub fn show(summary: &Summary, folder: &Path, listener: &dyn Listener) -> Result<(), Failure> {
    let write = |name: &str, text: &str| write_whole(&folder.join(name), text.as_bytes());
    let table = Table::new(summary, Counter::Exact);
    let electra = Table::new(summary, Counter::Electra);
    let mut text = table.text(true);
    let mut shown = table.text_within(true, listener.columns());
    let mut markdown = format!(
        "{}\nFLOPs as the paper counts them (ELECTRA's counter):\n\n{}",
        table.markdown(),
        electra.markdown()
    );
    let mut numbers = vec!["summary.json", "table.csv", "methods.csv"];
    let sweep = summary.sweep.as_ref().and_then(Listing::sweep);
    for (listing, file) in [
        (Listing::searches(&summary.searches), "search.csv"),
        (sweep, "sweep.csv"),
    ] {
        let Some(listing) = listing else { continue };
        text += &format!("\n{}", listing.text(true));
        shown += &format!("\n{}", listing.text(true));
        markdown += &format!("\n{}", listing.markdown());
        write(file, listing.csv())?;
        numbers.push(file);
    }
    write("table.txt", &text)?;
    write("table.md", &markdown)?;
    write("table.tex", &table.latex())?;
    write("table.json", &table.json()?)?;
    write("table.csv", table.csv())?;
    write("methods.csv", table.csv_of_methods())?;
    plot::save(&plot::comparison(summary, Counter::Exact), folder.join("savings"))?;
    plot::save(&plot::curves(summary, Counter::Exact), folder.join("curves"))?;
    let mut pictures = vec!["savings.svg and .png", "curves.svg and .png"];
    if let Some(frontier) = plot::frontier(summary, Counter::Exact) {
        plot::save(&frontier, folder.join("frontier"))?;
        pictures.push("frontier.svg and .png");
    }
    write(REPORT, &html::report(summary))?;
    listener.result(&format!("\n{shown}"));
    listener.result(&format!(
        "files: {}\n  report     {}\n  pictures   {}\n  tables     table.txt, .md, .tex, .json\n  \
         numbers    {}{}",
        folder.display(),
        folder.join(REPORT).display(),
        pictures.join(", "),
        numbers.join(", "),
        match has_models(summary, folder) {
            true => format!("\n  models     {}", folder.join("methods/*/model").display()),
            false => String::new(),
        },
    ));
    Ok(())
}

/// Whether a model of a method is there; people remove them to save space.
fn has_models(summary: &Summary, folder: &Path) -> bool {
    let models = summary.files.values().filter(|file| file.starts_with("methods/"));
    models
        .filter(|file| file.ends_with("/model"))
        .any(|file| folder.join(file).is_dir())
}

/// The report's file.
pub const REPORT: &str = "report.html";
