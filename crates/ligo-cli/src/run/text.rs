//! The first stages: corpus, tokenizer, token store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ligo_cost::format;
use ligo_data::{
    Corpus, LoaderSettings, Masking, MlmBatch, MlmLoader, RustDocs, TokenStore, Tokenizer, TrainValid, Watch,
    WordPieceTraining,
};
use serde_json::{Value, json};

use super::stage::stage;
use crate::recipe::{CorpusSource, Recipe};
use crate::stop::STOP;
use crate::{Failure, Ui};

/// Tokens ready to train on.
pub struct Text {
    /// Training tokens.
    pub train: Arc<TokenStore>,
    /// Validation tokens.
    pub valid: Arc<TokenStore>,
    /// The tokenizer's folder.
    pub tokenizer: PathBuf,
    /// Its vocabulary.
    pub vocab_size: usize,
    /// Validation loss of the best model that ignores context.
    pub unigram_loss: f64,
    /// Masked loss of the best model that sees only the masked position's own token.
    pub context_free_loss: f64,
    /// What it is, for people.
    pub name: String,
    /// Decides all that follows.
    pub fingerprint: String,
}

/// Gathers text, trains or loads the tokenizer, and writes the token store, each unless it is there already.
///
/// # Errors
/// The text or tokenizer cannot be read, the store cannot be written, or the user asked to stop.
pub fn prepare(recipe: &Recipe, folder: &Path, ui: Ui) -> Result<Text, Failure> {
    let (corpus, name, details, identity) = open_corpus(recipe, folder, ui)?;
    let tokenizer_dir = folder.join("tokenizer");
    let tokenizer_inputs = json!({"corpus": identity, "tokenizer": recipe.tokenizer});
    let tokenizer_print = stage(ui, "tokenizer", &tokenizer_dir, &tokenizer_inputs, || {
        let tokenizer = match &recipe.tokenizer.path {
            Some(path) => Tokenizer::open(path)?,
            None => train_tokenizer(&corpus.train, recipe.tokenizer.vocab_size, recipe.tokenizer.merges, ui)?,
        };
        std::fs::create_dir_all(&tokenizer_dir).map_err(Failure::io("create", &tokenizer_dir))?;
        tokenizer.save(&tokenizer_dir)?;
        Ok(())
    })?;
    let tokenizer = Tokenizer::open(&tokenizer_dir)?;
    let tokens_dir = folder.join("tokens");
    let tokens_inputs = json!({"corpus": identity, "tokenizer": tokenizer.hash()});
    stage(ui, "tokens", &tokens_dir, &tokens_inputs, || {
        for (part, corpus) in [("train", &corpus.train), ("valid", &corpus.valid)] {
            build_store(&tokens_dir.join(part), corpus, &tokenizer, part, ui)?;
        }
        Ok(())
    })?;
    let train = TokenStore::open(&tokens_dir.join("train"))?;
    let valid = TokenStore::open(&tokens_dir.join("valid"))?;
    let unigram_loss = train.info().unigram_loss(valid.info()).unwrap_or(f64::NAN);
    let context_free_loss = context_free(&train, &valid);
    ui.say(format!(
        "text: {details}; {} to train on, {} to validate on, vocabulary {}, unigram loss {unigram_loss:.3}, context-free {context_free_loss:.3}",
        format::tokens(train.len() as f64),
        format::tokens(valid.len() as f64),
        tokenizer.vocab_size(),
    ));
    let fingerprint = super::stage::fingerprint(&json!([
        tokenizer_print,
        train.info().tokens_sha256,
        valid.info().tokens_sha256
    ]));
    Ok(Text {
        train: Arc::new(train),
        valid: Arc::new(valid),
        tokenizer: tokenizer_dir,
        vocab_size: tokenizer.vocab_size(),
        unigram_loss,
        context_free_loss,
        name,
        fingerprint,
    })
}

/// The loss of the best predictor without context, for the masking that all runs use.
pub fn context_free(train: &TokenStore, valid: &TokenStore) -> f64 {
    let loss = train.info().context_free_loss(valid.info(), &Masking::default());
    loss.unwrap_or(f64::NAN)
}

fn open_corpus(recipe: &Recipe, folder: &Path, ui: Ui) -> Result<(TrainValid, String, String, Value), Failure> {
    match recipe.corpus.source {
        CorpusSource::RustDocs => open_rust_docs(folder, ui),
        CorpusSource::Files => {
            let section = &recipe.corpus;
            let corpus = if section.valid_paths.is_empty() {
                TrainValid::split(&section.paths, section.valid_fraction)?
            } else {
                TrainValid::from_paths(&section.paths, &section.valid_paths)?
            };
            let files = |c: &Corpus| -> Vec<Value> {
                c.files()
                    .iter()
                    .map(|f| json!([f.path, f.bytes, modified(&f.path)]))
                    .collect()
            };
            let identity = json!({"train": files(&corpus.train), "valid": files(&corpus.valid), "how": corpus.how});
            let used = |path: &Path| corpus.valid.files().iter().any(|f| f.path == path);
            for skipped in corpus.train.skipped().iter().filter(|p| !used(p)) {
                ui.say(format!("text: {} is left out", skipped.display()));
            }
            let stems: Vec<&str> = corpus.train.files().iter().take(3).map(|f| f.stem()).collect();
            let more = if corpus.train.files().len() > 3 { " …" } else { "" };
            let name = format!("{}{more}", stems.join(", "));
            let details = format!("{} file(s), validation by {}", corpus.train.files().len(), corpus.how);
            Ok((corpus, name, details, identity))
        }
    }
}

fn modified(path: &Path) -> Option<u64> {
    let time = std::fs::metadata(path).ok()?.modified().ok()?;
    Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}

fn open_rust_docs(folder: &Path, ui: Ui) -> Result<(TrainValid, String, String, Value), Failure> {
    let here = std::env::current_dir().map_err(Failure::io("read", Path::new(".")))?;
    let workspace = ligo_data::rust_docs::find_workspace(&here).ok_or_else(|| {
        Failure::other(
            "the demo reads the documentation of this project's dependencies, and there is no Cargo workspace here",
            "start it in the project's folder, or bring your own text: ligo run --recipe bert-mini --data PATH",
        )
    })?;
    let corpus_dir = folder.join("corpus");
    let lock = std::fs::read(workspace.with_file_name("Cargo.lock")).unwrap_or_default();
    let inputs = json!({"rust-docs": super::stage::fingerprint(&json!(lock))});
    let print = stage(ui, "corpus", &corpus_dir, &inputs, || {
        let bar = ui.items_bar("reading documentation", 0);
        let report = |done: u64, total: u64| {
            bar.set_length(total);
            bar.set_position(done);
        };
        let docs = RustDocs::gather(&workspace, Watch::new(&report, &STOP))?;
        bar.finish_and_clear();
        remove(&corpus_dir)?;
        docs.write(&corpus_dir)?;
        Ok(())
    })?;
    let (corpus, report) = RustDocs::open(&corpus_dir)?;
    let name = format!("documentation of {} Rust packages", report.packages);
    let details = format!(
        "documentation of {} packages ({} files, {} paragraphs, {:.1} MB, sha256 {}…)",
        report.packages,
        report.files,
        report.paragraphs,
        (report.train_bytes + report.valid_bytes) as f64 / 1e6,
        &report.train_sha256[..12],
    );
    Ok((
        corpus,
        name,
        details,
        json!([print, report.train_sha256, report.valid_sha256]),
    ))
}

/// Removes a stage's former output, which belongs to other inputs.
fn remove(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("remove", folder)(e)),
        _ => Ok(()),
    }
}

/// Trains WordPiece on a corpus.
///
/// # Errors
/// As [`Tokenizer::train`].
pub fn train_tokenizer(corpus: &Corpus, vocab_size: usize, merges: bool, ui: Ui) -> Result<Tokenizer, Failure> {
    let training = WordPieceTraining {
        vocab_size,
        merges,
        ..WordPieceTraining::default()
    };
    let bar = ui.bytes_bar("training tokenizer");
    let report = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let tokenizer = Tokenizer::train(corpus, &training, Watch::new(&report, &STOP))?;
    bar.finish_and_clear();
    Ok(tokenizer)
}

/// Tokenises a corpus into a store; a former one is replaced.
///
/// # Errors
/// As [`TokenStore::build`].
pub fn build_store(
    folder: &Path,
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    part: &str,
    ui: Ui,
) -> Result<TokenStore, Failure> {
    remove(folder)?;
    let bar = ui.bytes_bar(&format!("tokenising {part}"));
    let report = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let store = TokenStore::build(folder, corpus, tokenizer, Watch::new(&report, &STOP))?;
    bar.finish_and_clear();
    Ok(store)
}

/// The training loader and the fixed validation batches of a run.
///
/// # Errors
/// The text is smaller than one batch.
pub fn batches(
    train: &Arc<TokenStore>,
    valid: &Arc<TokenStore>,
    data: &crate::recipe::DataSection,
    train_config: &ligo_train::TrainConfig,
) -> Result<(MlmLoader, Vec<MlmBatch>), Failure> {
    let settings = LoaderSettings {
        seq_len: data.seq_len,
        seed: train_config.data_order_seed,
        shuffle: true,
        masking: Masking {
            rate: data.mask_probability,
            ..Masking::default()
        },
    };
    let loader = MlmLoader::new(Arc::clone(train), settings)?;
    loader.check_batch_size(train_config.batch_size)?;
    let valid = MlmLoader::new(Arc::clone(valid), settings)?;
    let count = match train_config.eval_batches {
        0 => usize::MAX,
        n => n,
    };
    let batches = valid.validation_batches(train_config.batch_size, count)?.collect();
    Ok((loader, batches))
}
