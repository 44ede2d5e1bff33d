//! The first stages: corpus, tokenizer, token store.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ligo_arch::ModelConfig;
use ligo_cost::format;
use ligo_data::{
    BpeFlavour, BpeTraining, Corpus, Note, RustDocs, TextSettings, TokenStore, Tokenizer, TrainValid, Watch,
    WordPieceTraining,
};
use serde_json::{Value, json};

use super::dataset::{Content, Dataset, Tokens, check_vocabulary};
use super::stage::{STAGE_JSON, stage, to_make_again};
use crate::recipe::{CorpusSource, Recipe, TrainedTokenizer};
use crate::stop::STOP;
use crate::{Counted, Failure, Listener, hub, identity, stop};

/// Gathers text, trains or loads the tokenizer, and writes the token store, each unless it is there already.
///
/// # Errors
/// The text or tokenizer cannot be read, the store cannot be written, or the user asked to stop.
pub fn prepare(
    recipe: &Recipe,
    model: &ModelConfig,
    folder: &Path,
    listener: &dyn Listener,
) -> Result<Dataset, Failure> {
    let (corpus, name, details, identity) = open_corpus(recipe, folder, listener)?;
    let tokenizer_dir = folder.join("tokenizer");
    let given = given_tokenizer(recipe, model)?;
    let tokenizer_inputs = json!({
        "corpus": identity,
        "tokenizer": recipe.tokenizer,
        "given": given.map(|path| tokenizer_identity(path, listener)).transpose()?,
        "model_type": model.model_type(),
    });
    stage(listener, "tokenizer", &tokenizer_dir, &tokenizer_inputs, &["."], || {
        let opened = match given {
            Some(path) => open_tokenizer(path, listener)?,
            None => {
                let kind = recipe.tokenizer.kind.unwrap_or(TrainedTokenizer::of(model));
                let corpus = settled(divided(&corpus, recipe, vec![kind.end_token().to_owned()]), listener)?;
                let section = &recipe.tokenizer;
                let tokenizer = train_tokenizer(&corpus.train, kind, section.vocab_size, section.merges, listener)?;
                Opened { tokenizer, given: None }
            }
        };
        // With its stage.json: a tokenizer that is half written is nobody's.
        remove(&tokenizer_dir)?;
        opened.save(&tokenizer_dir)
    })?;
    let tokenizer = Tokenizer::open(&tokenizer_dir)?;
    if let Some(path) = &recipe.small.path {
        // Before the text is tokenized for nothing.
        check_vocabulary(tokenizer.vocab_size(), model, path)?;
    }
    let tokens_dir = folder.join("tokens");
    let tokens_inputs = json!({"corpus": identity, "tokenizer": tokenizer.hash()});
    stage(
        listener,
        "tokens",
        &tokens_dir,
        &tokens_inputs,
        &["train", "valid"],
        || {
            // What is there is taken apart from here on, so it is not complete for its former inputs either.
            remove_file(&tokens_dir.join(STAGE_JSON))?;
            let corpus = settled(divided(&corpus, recipe, tokenizer.end_tokens()), listener)?;
            build_stores(&tokens_dir, &corpus, &tokenizer, listener)?;
            Ok(())
        },
    )?;
    let tokens = Tokens::open(folder).map_err(|failure| to_make_again(&tokens_dir, &failure))?;
    let (train, valid) = (Arc::clone(&tokens.train), Arc::clone(&tokens.valid));
    let vocab_size = tokens.vocab_size;
    let content = Content::Text(tokens);
    let baselines = content.baselines(model.task());
    let context_free = baselines.context_free.map(|loss| format!(", context-free {loss:.3}"));
    listener.say(&format!(
        "text: {details}; {} to train on, {} to validate on, vocabulary {}, unigram loss {:.3}{}",
        format::tokens(train.len() as f64),
        format::tokens(valid.len() as f64),
        vocab_size,
        baselines.unigram,
        context_free.unwrap_or_default(),
    ));
    // By content: copies and touched files change nothing that follows.
    let fingerprint = identity::fingerprint(&json!([
        tokenizer.hash(),
        train.info().tokens_sha256,
        valid.info().tokens_sha256
    ]));
    Ok(Dataset {
        content,
        baselines,
        name,
        fingerprint,
    })
}

/// The text with the lines that divide it. The demo's is divided by empty lines as it is written.
fn divided(corpus: &TrainValid, recipe: &Recipe, end_tokens: Vec<String>) -> TrainValid {
    match recipe.corpus.source {
        CorpusSource::RustDocs => corpus.clone(),
        CorpusSource::Files | CorpusSource::Images => corpus.clone().with_end_tokens(end_tokens),
    }
}

/// The tokenizer that the recipe names, or else that of a finished small model, which has learned what its numbers stand for.
pub(super) fn given_tokenizer<'a>(recipe: &'a Recipe, small: &ModelConfig) -> Result<Option<&'a PathBuf>, Failure> {
    match (&recipe.tokenizer.path, &recipe.small.path) {
        (None, Some(path)) if !Tokenizer::is_in(path) => Err(Failure::other(
            format!(
                "the small model in {} has a vocabulary of {} and no tokenizer beside it",
                path.display(),
                small.vocab_size()
            ),
            "--tokenizer DIR says where the tokenizer is that it was trained with",
        )),
        (named, small) => Ok(named.as_ref().or(small.as_ref())),
    }
}

fn open_corpus(
    recipe: &Recipe,
    folder: &Path,
    listener: &dyn Listener,
) -> Result<(TrainValid, String, String, Value), Failure> {
    match recipe.corpus.source {
        CorpusSource::RustDocs => open_rust_docs(folder, listener),
        // Images never come here; without text files the corpus says what is wrong.
        CorpusSource::Files | CorpusSource::Images => {
            let section = &recipe.corpus;
            let corpus = open_texts(
                &section.paths,
                &section.valid_paths,
                section.valid_fraction,
                &section.text_settings(),
                listener,
            )?;
            let identity = json!({
                "train": files_of(&corpus.train)?,
                "valid": files_of(&corpus.valid)?,
                "how": corpus.how,
                "column": section.text_column,
                "documents": section.documents,
                "missing": section.missing_text,
            });
            let stems: Vec<&str> = corpus.train.files().iter().take(3).map(|f| f.stem()).collect();
            let more = if corpus.train.files().len() > 3 { " …" } else { "" };
            let name = format!("{}{more}", stems.join(", "));
            let details = format!("{} file(s), validation by {}", corpus.train.files().len(), corpus.how);
            Ok((corpus, name, details, identity))
        }
    }
}

/// Finds training and validation text, on the disk or on the hub, and says what plays which part and what is not read.
///
/// # Errors
/// A path is missing, holds no text or cannot be fetched.
pub fn open_texts<P: AsRef<Path>>(
    paths: &[P],
    valid_paths: &[P],
    valid_fraction: f64,
    settings: &TextSettings,
    listener: &dyn Listener,
) -> Result<TrainValid, Failure> {
    let (train, valid) = (hub::texts(paths, listener)?, hub::texts(valid_paths, listener)?);
    let corpus = if valid.is_empty() {
        TrainValid::split(&train, valid_fraction)?
    } else {
        TrainValid::from_paths(&train, &valid)?
    };
    let corpus = corpus.with_settings(settings);
    told(&corpus, listener);
    Ok(corpus)
}

/// Says which files are trained on and measured on, where their names decide it, and which are not read.
fn told(corpus: &TrainValid, listener: &dyn Listener) {
    let names = |c: &Corpus| listed(c.files().iter().map(|file| file.path.display().to_string()));
    if corpus.train.files() != corpus.valid.files() {
        listener.say(&format!("text: to train on {}", names(&corpus.train)));
        listener.say(&format!("text: to validate on {}", names(&corpus.valid)));
    }
    let mut left_out = corpus.left_out();
    left_out.sort_by_key(|file| file.why);
    for group in left_out.chunk_by(|a, b| a.why == b.why) {
        let names = listed(group.iter().map(|file| file.path.display().to_string()));
        listener.say(&format!("text: left out: {names}: {}", group[0].why));
    }
}

/// "3 file(s): a, b, c", the first ones by name.
pub(super) fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let more = if names.len() > 5 { ", …" } else { "" };
    format!(
        "{} file(s): {}{more}",
        names.len(),
        names[..names.len().min(5)].join(", ")
    )
}

/// Sees to it that there is text on both sides, and says so where whole documents do not do.
///
/// # Errors
/// As [`TrainValid::settled`].
pub fn settled(corpus: TrainValid, listener: &dyn Listener) -> Result<TrainValid, Failure> {
    let corpus = corpus.settled()?;
    if corpus.is_cut() {
        listener.say(&format!(
            "text: validation by {}; if documents end otherwise than at empty lines, --documents line (corpus.documents = \"line\") takes each line for one",
            corpus.how
        ));
    }
    Ok(corpus)
}

/// A tokenizer, and where it was given.
pub struct Opened {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// Its folder or file on this disk; `None` for one that was trained.
    pub given: Option<PathBuf>,
}

impl Opened {
    /// Writes it into a new folder: a given one byte for byte.
    ///
    /// # Errors
    /// The folder cannot be written, or a file of the given one not be taken along.
    pub fn save(&self, folder: &Path) -> Result<(), Failure> {
        std::fs::create_dir_all(folder).map_err(Failure::io("create", folder))?;
        match &self.given {
            Some(given) => self.tokenizer.save_as_given(given, folder)?,
            None => self.tokenizer.save(folder)?,
        }
        Ok(())
    }
}

/// A tokenizer on the disk or on the hub.
///
/// # Errors
/// It cannot be found, fetched or read.
pub fn open_tokenizer(path: &Path, listener: &dyn Listener) -> Result<Opened, Failure> {
    let local = hub::tokenizer(path, listener)?;
    Ok(Opened {
        tokenizer: Tokenizer::open(&local)?,
        given: Some(local),
    })
}

/// A tokenizer by its content.
fn tokenizer_identity(path: &Path, listener: &dyn Listener) -> Result<Value, Failure> {
    identity::of_tokenizer(&hub::tokenizer(path, listener)?)
}

/// The texts of a corpus by their names and content.
fn files_of(corpus: &Corpus) -> Result<Vec<Value>, Failure> {
    let paths: Vec<PathBuf> = corpus.files().iter().map(|file| file.path.clone()).collect();
    let hashes = identity::of_files(&paths)?;
    let names = corpus.files().iter().map(|file| &file.name);
    Ok(names.zip(hashes).map(|(name, hash)| json!([name, hash])).collect())
}

/// The project whose dependencies' documentation the demo reads.
pub(super) fn workspace() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().map_err(Failure::io("read", Path::new(".")))?;
    ligo_data::rust_docs::find_workspace(&here).ok_or_else(|| {
        Failure::other(
            "the demo reads the documentation of this project's dependencies, and there is no Cargo workspace here",
            "start it in the project's folder, or bring your own text: ligo run --recipe bert-mini --data PATH",
        )
    })
}

fn open_rust_docs(folder: &Path, listener: &dyn Listener) -> Result<(TrainValid, String, String, Value), Failure> {
    let workspace = workspace()?;
    let corpus_dir = folder.join("corpus");
    let lock = std::fs::read(workspace.with_file_name("Cargo.lock")).unwrap_or_default();
    let inputs = json!({"rust-docs": identity::fingerprint(&json!(lock))});
    let print = stage(listener, "corpus", &corpus_dir, &inputs, &["."], || {
        let progress = listener.progress("reading documentation", Counted::Items);
        let report = |done, total| progress.at(done, total);
        let docs = RustDocs::gather(&workspace, Watch::new(&report, &STOP))?;
        remove(&corpus_dir)?;
        docs.write(&corpus_dir)?;
        Ok(())
    })?;
    let (corpus, report) = RustDocs::open(&corpus_dir).map_err(damaged(&corpus_dir))?;
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

/// What to do about data that are not as they were written: their folder goes, and with it the mark that they are complete.
pub(super) fn damaged(folder: &Path) -> impl Fn(ligo_data::Error) -> Failure {
    let folder = folder.display().to_string();
    move |error| match error.is_damage() {
        true => Failure::other(
            error.to_string(),
            format!("remove {folder}; the command that made it makes it again"),
        ),
        false => error.into(),
    }
}

pub(super) fn remove_file(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Removes a stage's former output, which belongs to other inputs.
pub fn remove(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("remove", folder)(e)),
        _ => Ok(()),
    }
}

/// Trains a tokenizer on a corpus.
///
/// # Errors
/// As [`Tokenizer::train`].
pub fn train_tokenizer(
    corpus: &Corpus,
    kind: TrainedTokenizer,
    vocab_size: usize,
    merges: bool,
    listener: &dyn Listener,
) -> Result<Tokenizer, Failure> {
    let progress = listener.progress("training tokenizer", Counted::Bytes);
    let report = |done, total| progress.at(done, total);
    let watch = Watch::new(&report, &STOP);
    let byte_level = |flavour| {
        let training = BpeTraining {
            vocab_size,
            flavour,
            ..BpeTraining::default()
        };
        Tokenizer::train_bpe(corpus, &training, watch)
    };
    let tokenizer = match kind {
        TrainedTokenizer::WordPiece => {
            let training = WordPieceTraining {
                vocab_size,
                merges,
                ..WordPieceTraining::default()
            };
            Tokenizer::train(corpus, &training, watch)?
        }
        TrainedTokenizer::Gpt2 => byte_level(BpeFlavour::Gpt2)?,
        TrainedTokenizer::Roberta => byte_level(BpeFlavour::Roberta)?,
    };
    let found = tokenizer.vocab_size();
    // Without merges the text alone decides it, as was asked for.
    let is_asked_for = merges || !matches!(kind, TrainedTokenizer::WordPiece);
    if is_asked_for && found < vocab_size {
        listener.say(&format!(
            "the vocabulary has {found} entries, not the {vocab_size} that were asked for: this text gives no more"
        ));
    }
    Ok(tokenizer)
}

/// Tokenizes both parts into `folder/train` and `folder/valid`; former stores are replaced, unfinished ones continued.
///
/// # Errors
/// As [`TokenStore::build`].
pub fn build_stores(
    folder: &Path,
    corpus: &TrainValid,
    tokenizer: &Tokenizer,
    listener: &dyn Listener,
) -> Result<(TokenStore, TokenStore), Failure> {
    std::fs::create_dir_all(folder).map_err(Failure::io("create", folder))?;
    // Both parts may come of the same files, and say the same of them.
    let said = RefCell::new(HashSet::new());
    let say = |note: &Note| {
        let note = note.to_string();
        if said.borrow_mut().insert(note.clone()) {
            listener.say(&format!("text: {note}"));
        }
    };
    // The small part first: it is built again after an interruption of the other one.
    let valid = build_store(&folder.join("valid"), &corpus.valid, tokenizer, "valid", &say, listener)?;
    let train = build_store(&folder.join("train"), &corpus.train, tokenizer, "train", &say, listener)?;
    Ok((train, valid))
}

fn build_store(
    folder: &Path,
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    part: &str,
    say: &dyn Fn(&Note),
    listener: &dyn Listener,
) -> Result<TokenStore, Failure> {
    remove(folder)?;
    let progress = listener.progress(&format!("tokenizing {part}"), Counted::Bytes);
    let report = |done, total| progress.at(done, total);
    let say = |note: &Note| progress.suspended(&mut || say(note));
    let watch = Watch::new(&report, &STOP).with_notes(&say);
    let store = TokenStore::build(folder, corpus, tokenizer, watch);
    if matches!(store, Err(ligo_data::Error::Interrupted)) && folder.with_file_name(format!(".partial-{part}")).exists()
    {
        stop::note_saved();
    }
    Ok(store?)
}
