//! `ligo tokenize`: from text to a token store.

use std::path::PathBuf;

use clap::ValueEnum;
use ligo_checkpoint::RunLock;
use ligo_cost::format;
use ligo_data::{MissingText, TextDocuments, TextFolder, TextSettings, TokenStore};
use ligo_experiment::Listener;
use ligo_experiment::recipe::TrainedTokenizer;
use ligo_experiment::run::text::{Opened, build_stores, open_texts, open_tokenizer, remove, settled, train_tokenizer};
use ligo_experiment::stop;

use crate::{Failure, Ui};

/// Arguments of `ligo tokenize`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo tokenize --data texts/ --out corpus                       train WordPiece with 8,192 entries\n  ligo tokenize --data a.txt.zst --tokenizer bert-base/ --out corpus\n\nThe folder then holds tokenizer/, tokens/train and tokens/valid for `ligo train` and `ligo learn`."
)]
pub struct TokenizeArgs {
    /// Files or folders of .txt, .jsonl, .ndjson, also .gz and .zst, and .parquet; or hf://datasets/OWNER/NAME/PATH.
    #[arg(long, required = true, value_name = "PATH", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Validation text; without it, what is called val, valid, validation, dev or eval in --data, else documents that are held out. Text called test is
    /// never trained on.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub valid: Vec<PathBuf>,
    /// Share of documents held out.
    #[arg(long, default_value_t = 0.05)]
    pub valid_fraction: f64,
    /// The field of .jsonl and the column of .parquet that holds the text.
    #[arg(long, default_value = "text", value_name = "NAME")]
    pub text_column: String,
    /// Where documents of .txt end: at an empty line (or at a line that is the tokenizer's own end token), or at each line.
    #[arg(long, value_enum, default_value = "empty-line")]
    pub documents: DocumentEnd,
    /// What becomes of lines of .jsonl without text.
    #[arg(long, value_enum, default_value = "fail")]
    pub missing_text: Missing,
    /// A tokenizer (folder, tokenizer.json or vocab.txt) to use instead of training one.
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// What kind of tokenizer is trained.
    #[arg(long, value_enum, default_value = "word-piece")]
    pub kind: Kind,
    /// Vocabulary size of a trained tokenizer.
    #[arg(long, default_value_t = 8192)]
    pub vocab_size: usize,
    /// Where to write.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Where documents of plain text end.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DocumentEnd {
    /// At an empty line.
    EmptyLine,
    /// At the end of each line.
    Line,
}

/// The tokenizers that can be trained.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// BERT's: pieces of lower-cased words.
    WordPiece,
    /// GPT-2's: byte-level BPE with `<|endoftext|>` between documents.
    Gpt2,
    /// RoBERTa's: byte-level BPE with `<s>`, `</s>` and `<mask>`.
    Roberta,
}

impl From<Kind> for TrainedTokenizer {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::WordPiece => Self::WordPiece,
            Kind::Gpt2 => Self::Gpt2,
            Kind::Roberta => Self::Roberta,
        }
    }
}

/// What becomes of a line of JSONL without text.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Missing {
    /// The first one ends the command.
    Fail,
    /// They are counted and left out.
    Skip,
}

impl TokenizeArgs {
    fn settings(&self) -> TextSettings {
        TextSettings {
            text_column: self.text_column.clone(),
            documents: match self.documents {
                DocumentEnd::EmptyLine => TextDocuments::EmptyLine,
                DocumentEnd::Line => TextDocuments::Line,
            },
            missing_text: match self.missing_text {
                Missing::Fail => MissingText::Fail,
                Missing::Skip => MissingText::Skip,
            },
            ..TextSettings::default()
        }
    }
}

/// Refuses to write where the text lies: the tokenizer's files would be text the next time.
fn check_target(args: &TokenizeArgs) -> Result<(), Failure> {
    let out = ligo_checkpoint::resolved(&args.out);
    match args
        .data
        .iter()
        .chain(&args.valid)
        .find(|data| ligo_checkpoint::resolved(data) == out)
    {
        None => Ok(()),
        Some(data) => Err(Failure::other(
            format!("--out {} is what is read: {}", args.out.display(), data.display()),
            "choose another folder",
        )),
    }
}

/// Runs the command. What it makes takes the place of what is in the folder when all of it is whole, and not before.
///
/// # Errors
/// The text or tokenizer cannot be read, or the folder cannot be written.
pub fn run(args: &TokenizeArgs, ui: &Ui) -> Result<(), Failure> {
    check_target(args)?;
    // Before the folder is claimed.
    let corpus = open_texts(&args.data, &args.valid, args.valid_fraction, &args.settings(), ui)?;
    let given = args
        .tokenizer
        .as_deref()
        .map(|path| open_tokenizer(path, ui))
        .transpose()?;
    let end_tokens = match &given {
        Some(given) => given.tokenizer.end_tokens(),
        None => vec![TrainedTokenizer::from(args.kind).end_token().to_owned()],
    };
    let corpus = settled(corpus.with_end_tokens(end_tokens), ui)?;
    let _lock = RunLock::acquire(&args.out)?;
    let folder = TextFolder::new(&args.out);
    folder.recover()?;
    let opened = match given {
        Some(given) => given,
        None => Opened {
            tokenizer: train_tokenizer(&corpus.train, args.kind.into(), args.vocab_size, true, ui)?,
            given: None,
        },
    };
    let tokenizer = &opened.tokenizer;
    let unfinished = folder.unfinished();
    // An earlier command may have been stopped here; of its tokens, what this one would make is taken up.
    remove(&unfinished.join("tokenizer"))?;
    opened.save(&unfinished.join("tokenizer"))?;
    let built = build_stores(&unfinished.join("tokens"), &corpus, tokenizer, ui);
    stop::note_left(vec![unfinished]);
    let (train, valid) = built?;
    folder.publish()?;
    let line = |store: &TokenStore| {
        format!(
            "{} in {} documents",
            format::tokens(store.len() as f64),
            store.info().documents
        )
    };
    ui.result(&format!(
        "vocabulary {}  (hash {})",
        tokenizer.vocab_size(),
        &tokenizer.hash()[..12.min(tokenizer.hash().len())]
    ));
    ui.result(&format!("train      {}", line(&train)));
    ui.result(&format!("valid      {}  ({})", line(&valid), corpus.how));
    if let Some(loss) = train.info().unigram_loss(valid.info()) {
        ui.result(&format!(
            "unigram    {loss:.4} nats: the validation loss of the best model that ignores context"
        ));
    }
    Ok(())
}
