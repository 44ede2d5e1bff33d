//! Times one run's steps on one and two ranks of this machine, and the sum of gradients beside MPI's and gloo's.
//!
//! ```text
//! cargo run --release -p ligo-benches --bin scaling                           ranks are threads
//! cargo run --release -p ligo-benches --features mpi --bin scaling            ranks are processes that `mpirun` starts
//! ```
//!
//! Arguments: `--rounds N` (default 3) and `--steps N` a round (default 6). Each rank has half of the cores, so that one leaves as many alone as two
//! take. *Strong* scaling shares the same step out; *weak* gives each rank as many micro-batches as one had. With a Python that has PyTorch
//! (`LIGO_PYTHON`) gloo sums as many numbers between two processes.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::{Command, ExitCode};

use ligo_benches::counted::sent;
use ligo_benches::median;
use ligo_benches::scaling::{MODEL, Measured, Plan, steps, sums};
use ligo_train::Collective;
use serde_json::{Value, json};

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Numbers that are summed: from what a step tells besides its gradients to what is summed at a time.
const LENGTHS: [usize; 4] = [1 << 10, 1 << 16, 1 << 20, 1 << 24];

/// Ranks and micro-batches of a step; the first two beside the last are weak and strong scaling.
const TEAMS: [(usize, usize); 3] = [(1, 2), (1, 4), (2, 4)];

struct Args {
    rounds: usize,
    steps: u64,
    /// What this process does as one of several, as its parent asks: micro-batches of a step, or sums when 0.
    member: Option<usize>,
}

fn args() -> Result<Args, Fault> {
    let mut args = std::env::args().skip(1);
    let mut parsed = Args {
        rounds: 3,
        steps: 6,
        member: None,
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a number"));
        match arg.as_str() {
            "--rounds" => parsed.rounds = value()?.parse::<usize>()?.max(1),
            "--steps" => parsed.steps = value()?.parse::<u64>()?.max(1),
            "--member" => parsed.member = Some(value()?.parse()?),
            _ => return Err(format!("unknown argument {arg}").into()),
        }
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    ligo_ops::tune_allocator();
    let done = args().and_then(|args| match args.member {
        Some(accumulation) => body::member(&args, accumulation),
        None => compare(&args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

/// What a rank does, and what it has to say: of steps with so many micro-batches, or of sums where that is 0.
fn work(
    ranks: &dyn Collective,
    args: &Args,
    accumulation: usize,
    own: Option<&dyn Fn(&mut Vec<f32>) -> Result<(), ligo_train::Error>>,
) -> Result<Value, Fault> {
    if accumulation > 0 {
        let plan = Plan {
            sizes: MODEL,
            accumulation,
            steps: args.steps,
            shares_moments: false,
        };
        let Measured {
            seconds,
            tally,
            parameters,
        } = steps(ranks, &plan)?;
        let each = tally.sums.seconds / tally.sums.calls.max(1) as f64;
        return Ok(json!({"seconds": seconds, "sum_seconds": each, "parameters": parameters}));
    }
    let mut lines = Vec::new();
    for len in LENGTHS {
        let rounds = 5 * args.rounds;
        let ours = sums(ranks, len, rounds, |values| ranks.sum(values))?;
        let theirs = own.map(|sum| sums(ranks, len, rounds, sum)).transpose()?;
        lines.push(json!({"ours": ours, "theirs": theirs}));
    }
    Ok(Value::Array(lines))
}

fn cores() -> usize {
    (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1)
}

fn compare(args: &Args) -> Result<(), Fault> {
    println!(
        "ranks are {}, {} core(s) each; {MODEL:?}; medians of {} rounds of {} steps",
        body::RANKS,
        cores(),
        args.rounds,
        args.steps
    );
    let mut said: [Vec<Value>; 3] = Default::default();
    // In turn, since machines drift.
    for _ in 0..args.rounds {
        for (of, (ranks, accumulation)) in said.iter_mut().zip(TEAMS) {
            of.push(body::team(args, ranks, accumulation)?);
        }
    }
    let of = |team: usize, key: &str| {
        let numbers: Vec<f64> = said[team].iter().filter_map(|line| line[key].as_f64()).collect();
        median(&numbers)
    };
    let [half, one, two] = [0, 1, 2].map(|team| of(team, "seconds"));
    let summing = of(2, "sum_seconds");
    println!("parameters: {}", of(2, "parameters"));
    for ((ranks, accumulation), seconds) in TEAMS.into_iter().zip([half, one, two]) {
        println!("{ranks} rank(s), {accumulation} micro-batches a step: {seconds:.3} s");
    }
    println!(
        "strong scaling: {:.2} times as fast on 2, efficiency {:.0} %",
        one / two,
        50.0 * one / two
    );
    println!("weak scaling: efficiency {:.0} % on 2", 100.0 * half / two);
    println!(
        "summing, with waiting: {:.1} ms, {:.0} % of a step on 2",
        1e3 * summing,
        100.0 * summing / two
    );
    let lines = body::team(args, 2, 0)?;
    let gloo = gloo(args);
    println!("\nsum over 2 ranks, in ms");
    let row = |cells: [String; 6]| {
        let [numbers, bytes, messages, times @ ..] = cells;
        let times = times.map(|time| format!("{time:>15}")).concat();
        println!("{numbers:>10}{bytes:>18}{messages:>10}{times}");
    };
    let names = [
        "numbers",
        "bytes each sends",
        "messages",
        "ligo",
        "MPI_Allreduce",
        "gloo",
    ];
    row(names.map(str::to_owned));
    for (i, len) in LENGTHS.into_iter().enumerate() {
        let sent = sent(len, 2);
        let show = |seconds: Option<f64>| seconds.map_or_else(|| "–".to_owned(), |s| format!("{:.3}", 1e3 * s));
        row([
            len.to_string(),
            sent.bytes.to_string(),
            sent.messages.to_string(),
            show(lines[i]["ours"].as_f64()),
            show(lines[i]["theirs"].as_f64()),
            show(gloo.as_ref().ok().and_then(|seconds| seconds.get(i).copied())),
        ]);
    }
    if let Err(why) = gloo {
        println!("gloo is not measured: {why}");
    }
    Ok(())
}

/// Seconds of gloo's all_reduce between two processes, for each length.
fn gloo(args: &Args) -> Result<Vec<f64>, Fault> {
    let python = std::env::var("LIGO_PYTHON").map_err(|_| "LIGO_PYTHON names no Python with PyTorch")?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/pytorch/all_reduce.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg((5 * args.rounds).to_string())
        .arg(cores().to_string());
    let output = command.args(LENGTHS.map(|len| len.to_string())).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let numbers = String::from_utf8(output.stdout)?;
    numbers.split_whitespace().map(|number| Ok(number.parse()?)).collect()
}

/// Ranks as threads.
#[cfg(not(feature = "mpi"))]
mod body {
    use ligo_train::ThreadRank;
    use serde_json::Value;

    use super::{Args, Fault, cores, work};

    pub const RANKS: &str = "threads of one process";

    pub fn team(args: &Args, ranks: usize, accumulation: usize) -> Result<Value, Fault> {
        let run = |rank: ThreadRank| -> Result<Value, Fault> {
            // Each rank has threads of its own, as processes would.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(cores()).build()?;
            pool.install(|| work(&rank, args, accumulation, None))
        };
        std::thread::scope(|scope| {
            let ranks = ThreadRank::all(ranks).into_iter();
            let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || run(rank))).collect();
            let mut said = threads.into_iter().map(|thread| thread.join());
            let first = said.next().ok_or("no ranks")?.map_err(|_| "a rank has panicked")?;
            said.for_each(drop);
            first
        })
    }

    pub fn member(_: &Args, _: usize) -> Result<(), Fault> {
        Err("--member is for a bench that was built with --features mpi".into())
    }
}

/// Ranks as processes.
#[cfg(feature = "mpi")]
mod body {
    use std::process::Command;

    use ligo_mpi::{Mpi, Options};
    use ligo_train::Collective;
    use serde_json::Value;

    use super::{Args, Fault, cores, work};

    pub const RANKS: &str = "processes that mpirun started";

    pub fn team(args: &Args, ranks: usize, accumulation: usize) -> Result<Value, Fault> {
        let mut command = Command::new("mpirun");
        command.args(["-n", &ranks.to_string(), "--bind-to", "none"]);
        command.arg(std::env::current_exe()?);
        command.args(["--rounds", &args.rounds.to_string(), "--steps", &args.steps.to_string()]);
        command.args(["--member", &accumulation.to_string()]);
        command.env("RAYON_NUM_THREADS", cores().to_string());
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().rfind(|line| line.starts_with(['{', '[']));
        Ok(serde_json::from_str(line.ok_or("no rank said anything")?)?)
    }

    pub fn member(args: &Args, accumulation: usize) -> Result<(), Fault> {
        let (mpi, _membership) = Mpi::join(&Options::default())?;
        let own = |values: &mut Vec<f32>| mpi.all_reduce(values);
        match work(&mpi, args, accumulation, Some(&own)) {
            Ok(said) if mpi.rank() == 0 => println!("{said}"),
            Ok(_) => {}
            Err(fault) => {
                eprintln!("rank {}: {fault}", mpi.rank());
                mpi.abort(1);
            }
        }
        Ok(())
    }
}
