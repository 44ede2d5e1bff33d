//! `ligo tokenize`: from text to a token store.

use std::path::PathBuf;

use ligo_cost::format;
use ligo_data::TokenStore;

use crate::recipe::TrainedTokenizer;
use crate::run::text::{build_stores, open_texts, open_tokenizer, train_tokenizer};
use crate::{Failure, Ui};

/// Arguments of `ligo tokenize`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo tokenize --data texts/ --out corpus                       train WordPiece with 8,192 entries\n  ligo tokenize --data a.txt.zst --tokenizer bert-base/ --out corpus\n\nThe folder then holds tokenizer/, tokens/train and tokens/valid for `ligo train` and `ligo learn`."
)]
pub struct TokenizeArgs {
    /// Files or folders of .txt, .jsonl, also .gz and .zst, and .parquet; or hf://datasets/OWNER/NAME/PATH.
    #[arg(long, required = true, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Validation text; without it, documents of --data are held out.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub valid: Vec<PathBuf>,
    /// Share of documents held out.
    #[arg(long, default_value_t = 0.05)]
    pub valid_fraction: f64,
    /// The field of .jsonl and the column of .parquet that holds the text.
    #[arg(long, default_value = "text", value_name = "NAME")]
    pub text_column: String,
    /// A tokenizer (folder, tokenizer.json or vocab.txt) to use instead of training one.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// What kind of tokenizer is trained.
    #[arg(long, value_enum, default_value = "word-piece")]
    pub kind: TrainedTokenizer,
    /// Vocabulary size of a trained tokenizer.
    #[arg(long, default_value_t = 8192)]
    pub vocab_size: usize,
    /// Where to write.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// The text or tokenizer cannot be read, or the folder cannot be written.
pub fn run(args: &TokenizeArgs, ui: Ui) -> Result<(), Failure> {
    let corpus = open_texts(&args.data, &args.valid, args.valid_fraction, &args.text_column, ui)?;
    let tokenizer = match &args.tokenizer {
        Some(path) => open_tokenizer(path)?,
        None => train_tokenizer(&corpus.train, args.kind, args.vocab_size, true, ui)?,
    };
    let folder = args.out.join("tokenizer");
    std::fs::create_dir_all(&folder).map_err(Failure::io("create", &folder))?;
    tokenizer.save(&folder)?;
    let (train, valid) = build_stores(&args.out.join("tokens"), &corpus, &tokenizer, ui)?;
    let line = |store: &TokenStore| {
        format!(
            "{} in {} documents",
            format::tokens(store.len() as f64),
            store.info().documents
        )
    };
    ui.result(format!(
        "vocabulary {}  (hash {})",
        tokenizer.vocab_size(),
        &tokenizer.hash()[..12.min(tokenizer.hash().len())]
    ));
    ui.result(format!("train      {}", line(&train)));
    ui.result(format!("valid      {}  ({})", line(&valid), corpus.how));
    if let Some(loss) = train.info().unigram_loss(valid.info()) {
        ui.result(format!(
            "unigram    {loss:.4} nats: the validation loss of the best model that ignores context"
        ));
    }
    Ok(())
}
