//! Times growth from file to file beside a plain copy of as many bytes, on a sharded bf16 Llama of random numbers.
//!
//! `cargo run --release -p ligo-benches --bin grow -- --folder DIR [--shape 1b|7b] [--layers N] [--rounds N] [--only NAME] [--json]`
//!
//! Every growth is a process of its own, so that its peak of resident memory is known. The best of the rounds counts. What was made is removed.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ligo_benches::growing::{self, Case, Made, Shape};
use serde_json::json;

type Fault = Box<dyn std::error::Error>;

struct Args {
    folder: PathBuf,
    shape: Shape,
    rounds: usize,
    only: Option<String>,
    json: bool,
    /// A growth that this process runs itself, as its parent asks.
    case: Option<String>,
}

fn args() -> Result<Args, Fault> {
    let mut args = std::env::args().skip(1);
    let (mut folder, mut name, mut layers, mut rounds) = (None, "1b".to_owned(), None, 2);
    let (mut only, mut json, mut case) = (None, false, None);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--folder" => folder = Some(PathBuf::from(value()?)),
            "--shape" => name = value()?,
            "--layers" => layers = Some(value()?.parse()?),
            "--rounds" => rounds = value()?.parse::<usize>()?.max(1),
            "--only" => only = Some(value()?),
            "--case" => case = Some(value()?),
            "--json" => json = true,
            _ => return Err(format!("unknown argument {arg}").into()),
        }
    }
    Ok(Args {
        folder: folder.ok_or("--folder DIR is needed: a folder on the disk that is to be measured")?,
        shape: Shape::named(&name, layers).ok_or("--shape is 1b or 7b")?,
        rounds,
        only,
        json,
        case,
    })
}

fn main() -> ExitCode {
    match args().and_then(|args| run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Fault> {
    let folder = args.folder.join("ligo-bench-grow");
    if let Some(case) = &args.case {
        let case = Case::named(case).ok_or("no such growth")?;
        println!("{}", growing::grow(&folder, args.shape, case)?);
        return Ok(());
    }
    std::fs::create_dir_all(&folder)?;
    let measured = measure(args, &folder);
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn measure(args: &Args, folder: &Path) -> Result<(), Fault> {
    let bytes = growing::make(folder, args.shape)?;
    let about = json!({"shape": args.shape.name, "layers": args.shape.layers, "small_bytes": bytes,
        "threads": std::thread::available_parallelism().map_or(1, usize::from), "rounds": args.rounds});
    match args.json {
        true => println!("{about}"),
        false => println!(
            "{} of {} layers: {:.2} GB in bf16; best of {} rounds",
            args.shape.name,
            args.shape.layers,
            gigabytes(bytes),
            args.rounds
        ),
    }
    let wanted = |name: &str| args.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    for case in Case::ALL.into_iter().filter(|case| wanted(case.name)) {
        let (mut grown, mut copied): (Option<Made>, Option<[f64; 2]>) = (None, None);
        for _ in 0..args.rounds {
            growing::warm(folder)?;
            let made = growing::in_child(&args.folder, args.shape, case)?;
            // In turn with the growth, since machines drift.
            growing::warm(folder)?;
            let taken = growing::copy(folder, made.bytes)?;
            copied = Some(copied.map_or(taken, |best| if taken[0] < best[0] { taken } else { best }));
            grown = Some(grown.map_or(made, |best| best.better(made)));
        }
        let (Some(grown), Some(copied)) = (grown, copied) else {
            continue;
        };
        show(args.json, case.name, grown, copied);
        if let (true, Some(other)) = (case.is_passthrough(), growing::mergekit(folder, args.shape)?) {
            show(args.json, "mergekit passthrough", other, copied);
        }
    }
    Ok(())
}

fn show(as_json: bool, name: &str, made: Made, [copied, copied_cpu]: [f64; 2]) {
    let share = copied / made.seconds;
    if as_json {
        let line = json!({"growth": name, "seconds": made.seconds, "bytes": made.bytes, "copy_seconds": copied,
            "cpu_seconds": made.cpu, "copy_cpu_seconds": copied_cpu, "share_of_copy": share, "peak_bytes": made.peak});
        println!("{line}");
        return;
    }
    println!(
        "{name:28} {:6.1} s  {:5.2} GB  {:5.2} GB/s  cpu {:5.1} s  copy {copied:6.1} s, cpu {copied_cpu:5.1} s  {:4.0} % of its speed  peak {:5.2} GB",
        made.seconds,
        gigabytes(made.bytes),
        gigabytes(made.bytes) / made.seconds,
        made.cpu,
        100.0 * share,
        gigabytes(made.peak),
    );
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}
