//! How fast text becomes ids, beside the bare `tokenizers` crate on the same cores and the same text.
//!
//! ```sh
//! cargo run --release -p ligo-data --example throughput -- TOKENIZER TEXT... [--rounds N]
//! ```
//!
//! Ours is all of [`TokenStore::build`]: reading, unpacking, hashing, tokenizing and writing the store. The other side gets the documents in memory
//! and does nothing but tokenize: `encode_batch_fast`, which is what `tokenizers` offers for many texts, on batches and on all texts at once, whichever
//! is faster. The sides take turns, and which begins changes every round; the best round of each counts. Processor time (user mode, where the system
//! tells) is shown beside, as other programs on the machine disturb it less than the clock.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::time::Instant;

use ligo_data::{Corpus, TokenStore, Tokenizer, Watch};

/// Documents handed to `tokenizers` at once.
const BATCH: usize = 2_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Seconds by the clock and seconds of processor time.
#[derive(Clone, Copy)]
struct Spent {
    wall: f64,
    cpu: f64,
}

impl Spent {
    const NONE: Self = Self {
        wall: f64::INFINITY,
        cpu: f64::INFINITY,
    };

    fn least(self, other: Self) -> Self {
        Self {
            wall: self.wall.min(other.wall),
            cpu: self.cpu.min(other.cpu),
        }
    }

    fn show(self, bytes: usize) -> String {
        let megabytes = bytes as f64 / 1e6;
        format!(
            "{:.1} MB/s ({:.2} s of processor time)",
            megabytes / self.wall,
            self.cpu
        )
    }
}

/// Processor time of this process in user mode, in seconds; 0 where `/proc` does not tell. Linux counts hundredths of a second there.
fn user_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in brackets, may hold spaces; user time is the twelfth field behind it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields
        .split_whitespace()
        .nth(11)
        .and_then(|field| field.parse::<f64>().ok());
    ticks.unwrap_or(0.0) / 100.0
}

fn timed<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Spent)> {
    let (started, cpu) = (Instant::now(), user_seconds());
    let value = run()?;
    let spent = Spent {
        wall: started.elapsed().as_secs_f64(),
        cpu: user_seconds() - cpu,
    };
    Ok((value, spent))
}

fn bare(tokenizer: &tokenizers::Tokenizer, documents: &[String], batch: usize) -> Outcome<usize> {
    let mut ids = 0;
    for batch in documents.chunks(batch) {
        let texts: Vec<&str> = batch.iter().map(String::as_str).collect();
        let encodings = tokenizer.encode_batch_fast(texts, false).map_err(|e| e.to_string())?;
        ids += encodings.iter().map(tokenizers::Encoding::len).sum::<usize>();
    }
    Ok(ids)
}

fn main() -> Outcome<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut rounds = 3;
    if let Some(at) = arguments.iter().position(|argument| argument == "--rounds") {
        let values: Vec<String> = arguments.drain(at..).collect();
        rounds = values.get(1).ok_or("--rounds needs a number")?.parse()?;
    }
    let [tokenizer, paths @ ..] = arguments.as_slice() else {
        return Err("usage: throughput TOKENIZER TEXT... [--rounds N]".into());
    };
    let first = Tokenizer::open(Path::new(tokenizer))?;
    let folder = tempfile::tempdir()?;
    first.save(folder.path())?;
    let plain = tokenizers::Tokenizer::from_file(folder.path().join("tokenizer.json")).map_err(|e| e.to_string())?;
    let corpus = Corpus::open(paths)?;
    let documents = corpus
        .documents()
        .map(|document| document.map(|d| d.text))
        .collect::<ligo_data::Result<Vec<String>>>()?;
    let bytes: usize = documents.iter().map(String::len).sum();
    println!(
        "{:?}: {} documents, {:.1} MB of text",
        first.kind(),
        documents.len(),
        bytes as f64 / 1e6
    );

    let (mut best_ours, mut best_bare) = (Spent::NONE, Spent::NONE);
    for round in 0..rounds {
        let mut ours = || -> Outcome<()> {
            // Opened anew, so that every round begins without remembered pieces.
            let tokenizer = Tokenizer::open(Path::new(tokenizer))?;
            let store = folder.path().join(format!("{round}"));
            let (store, spent) = timed(|| Ok(TokenStore::build(&store, &corpus, &tokenizer, Watch::none())?))?;
            println!(
                "round {}: ours {}, {} tokens",
                round + 1,
                spent.show(bytes),
                store.len()
            );
            best_ours = best_ours.least(spent);
            Ok(())
        };
        let mut theirs = || -> Outcome<()> {
            for batch in [BATCH, documents.len()] {
                let fresh = plain.clone();
                let (ids, spent) = timed(|| bare(&fresh, &documents, batch))?;
                println!(
                    "round {}: bare {}, {ids} tokens, {batch} texts at once",
                    round + 1,
                    spent.show(bytes)
                );
                best_bare = best_bare.least(spent);
            }
            Ok(())
        };
        if round % 2 == 0 {
            ours()?;
            theirs()?;
        } else {
            theirs()?;
            ours()?;
        }
    }
    println!(
        "ours {}, tokenizers alone {}: ratio {:.2} by the clock, {:.2} by processor time",
        best_ours.show(bytes),
        best_bare.show(bytes),
        best_bare.wall / best_ours.wall,
        best_bare.cpu / best_ours.cpu
    );
    Ok(())
}
