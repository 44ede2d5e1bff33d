//! Tokenizes text into a store and prints what came of it.
//!
//! ```sh
//! cargo run --release -p ligo-data --example tokenize_folder -- OUTPUT VOCAB_SIZE PATH...
//! ```
//!
//! With `rust-docs` in place of the paths it takes the documentation of this workspace's dependencies.
#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use ligo_data::{RustDocs, TokenStore, Tokenizer, TrainValid, Watch, WordPieceTraining, rust_docs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(output), Some(vocab_size)) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        return Err("usage: tokenize_folder OUTPUT VOCAB_SIZE PATH... | rust-docs".into());
    };
    let vocab_size = vocab_size.parse()?;
    let paths: Vec<String> = arguments.collect();
    let corpora = if paths == ["rust-docs"] {
        let manifest = rust_docs::find_workspace(Path::new(env!("CARGO_MANIFEST_DIR"))).ok_or("no Cargo.lock found")?;
        let started = Instant::now();
        let docs = RustDocs::gather(&manifest, Watch::none())?;
        println!(
            "gathered in {:.1} s: {:#?}",
            started.elapsed().as_secs_f64(),
            docs.report
        );
        docs.write(&output.join("text"))?;
        RustDocs::open(&output.join("text"))?.0
    } else {
        TrainValid::split(&paths, 0.02)?.settled()?
    };
    println!("train and valid told apart by {}", corpora.how);
    for file in corpora.left_out() {
        println!("not used: {} ({})", file.path.display(), file.why);
    }

    let started = Instant::now();
    let training = WordPieceTraining {
        vocab_size,
        ..WordPieceTraining::default()
    };
    let tokenizer = Tokenizer::train(&corpora.train, &training, Watch::none())?;
    println!(
        "tokenizer of {} entries in {:.1} s",
        tokenizer.vocab_size(),
        started.elapsed().as_secs_f64()
    );
    let folder = output.join("tokenizer");
    std::fs::create_dir_all(&folder)?;
    tokenizer.save(&folder)?;

    let mut stores = Vec::new();
    for (name, corpus) in [("train", &corpora.train), ("valid", &corpora.valid)] {
        let started = Instant::now();
        let store = TokenStore::build(&output.join(name), corpus, &tokenizer, Watch::none())?;
        let (seconds, info) = (started.elapsed().as_secs_f64(), store.info());
        println!(
            "{name}: {} documents, {} bytes of text, {} tokens, {:.2} bytes a token, {seconds:.2} s, {:.1} MB/s",
            info.documents,
            info.text_bytes,
            info.tokens,
            info.text_bytes as f64 / info.tokens as f64,
            info.text_bytes as f64 / seconds / 1e6,
        );
        stores.push(store);
    }
    for store in &stores {
        let loss = stores[0]
            .info()
            .unigram_loss(store.info())
            .ok_or("nothing to measure")?;
        println!("unigram loss of {}: {loss:.4} nats", store.path().display());
    }
    Ok(())
}
