//! What opening a token store costs: writes one of the given size into a temporary folder and opens it a few times.
//!
//! `cargo run --release -p ligo-data --example open_store -- 1000`   (megabytes)
#![allow(clippy::print_stdout)]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::time::Instant;

use ligo_data::{Corpus, TokenStore, Tokenizer, Watch};

/// More than 65,536, so that a token takes four bytes and the text is no longer than the store.
const WORDS: u64 = 70_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let megabytes: u64 = std::env::args().nth(1).unwrap_or_else(|| "100".to_owned()).parse()?;
    let folder = tempfile::tempdir()?;
    let vocab: String = (0..WORDS).map(|word| format!("{word}\n")).collect();
    let vocab_path = folder.path().join("vocab.txt");
    fs::write(&vocab_path, format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n{vocab}"))?;
    let text = folder.path().join("text.txt");
    let mut file = BufWriter::new(File::create(&text)?);
    let (tokens, per_line) = (megabytes * 1_000_000 / 4, 16);
    for line in 0..tokens / per_line {
        for word in 0..per_line {
            write!(file, "{} ", (line * 31 + word * 7919) % WORDS)?;
        }
        file.write_all(if line % 64 == 63 { b"\n\n" } else { b"\n" })?;
    }
    file.flush()?;
    let tokenizer = Tokenizer::open(&vocab_path)?;
    let started = Instant::now();
    let path = folder.path().join("store");
    let store = TokenStore::build(&path, &Corpus::open(&[&text])?, &tokenizer, Watch::none())?;
    let bytes = store.len() * store.info().dtype.bytes() as u64;
    println!("built {bytes} bytes in {:.1} s", started.elapsed().as_secs_f64());
    drop(store);
    for _ in 0..3 {
        let started = Instant::now();
        TokenStore::open(&path)?;
        let seconds = started.elapsed().as_secs_f64();
        let json = fs::metadata(path.join("store.json"))?.len();
        println!(
            "opened in {seconds:.2} s, {:.2} GB/s; store.json has {json} bytes",
            bytes as f64 / 1e9 / seconds
        );
    }
    Ok(())
}
