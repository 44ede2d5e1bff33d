//! How fast text becomes ids, beside the bare `tokenizers` crate on the same cores and the same text.
//!
//! ```sh
//! cargo run --release -p ligo-data --example throughput -- TOKENIZER TEXT... [--rounds N]
//! ```
//!
//! Ours is all of [`TokenStore::build`]: reading, unpacking, hashing, tokenising and writing the store. The other side gets the documents in memory
//! and does nothing but `encode_batch_fast`, which is what `tokenizers` offers for many texts. Both run in turn; the best round of each counts.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::time::Instant;

use ligo_data::{Corpus, TokenStore, Tokenizer, Watch};

/// Documents handed to `tokenizers` at once.
const BATCH: usize = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut rounds = 3;
    if let Some(at) = arguments.iter().position(|argument| argument == "--rounds") {
        let values: Vec<String> = arguments.drain(at..).collect();
        rounds = values.get(1).ok_or("--rounds needs a number")?.parse()?;
    }
    let [tokenizer, paths @ ..] = arguments.as_slice() else {
        return Err("usage: throughput TOKENIZER TEXT... [--rounds N]".into());
    };
    let ours = Tokenizer::open(Path::new(tokenizer))?;
    let folder = tempfile::tempdir()?;
    ours.save(folder.path())?;
    let bare = tokenizers::Tokenizer::from_file(folder.path().join("tokenizer.json")).map_err(|e| e.to_string())?;
    let corpus = Corpus::open(paths)?;
    let documents = corpus
        .documents()
        .map(|document| document.map(|d| d.text))
        .collect::<ligo_data::Result<Vec<String>>>()?;
    let bytes: usize = documents.iter().map(String::len).sum();
    println!(
        "{:?}: {} documents, {:.1} MB of text",
        ours.kind(),
        documents.len(),
        bytes as f64 / 1e6
    );

    let (mut best_ours, mut best_bare) = (0.0f64, 0.0f64);
    for round in 0..rounds {
        // Opened anew, so that every round begins without remembered pieces.
        let tokenizer = Tokenizer::open(Path::new(tokenizer))?;
        let started = Instant::now();
        let store = TokenStore::build(
            &folder.path().join(format!("{round}")),
            &corpus,
            &tokenizer,
            Watch::none(),
        )?;
        let ours = bytes as f64 / 1e6 / started.elapsed().as_secs_f64();

        let fresh = bare.clone();
        let started = Instant::now();
        let mut ids = 0;
        for batch in documents.chunks(BATCH) {
            let texts: Vec<&str> = batch.iter().map(String::as_str).collect();
            let encodings = fresh.encode_batch_fast(texts, false).map_err(|e| e.to_string())?;
            ids += encodings.iter().map(tokenizers::Encoding::len).sum::<usize>();
        }
        let bare = bytes as f64 / 1e6 / started.elapsed().as_secs_f64();
        println!(
            "round {}: ours {ours:.1} MB/s ({} tokens), bare {bare:.1} MB/s ({ids} tokens)",
            round + 1,
            store.len()
        );
        (best_ours, best_bare) = (best_ours.max(ours), best_bare.max(bare));
    }
    println!(
        "ours {best_ours:.1} MB/s, tokenizers alone {best_bare:.1} MB/s, ratio {:.2}",
        best_ours / best_bare
    );
    Ok(())
}
