//! Another tokenizer for the large model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ligo_arch::ModelConfig;

use crate::load::Source;
use crate::run::text::open_tokenizer;
use crate::{Failure, Ui};

/// A new vocabulary in terms of the small model's.
pub struct Vocabulary {
    /// For each new token the old ones that it is made of.
    pub pieces: Arc<Vec<Vec<u32>>>,
    /// Tells it from others.
    pub hash: String,
    special: Vec<(&'static str, usize)>,
}

/// Opens a tokenizer and translates its tokens into those of the model's own. Returned with it is the folder or file that it was read from.
///
/// # Errors
/// One of the two cannot be read.
pub fn open(given: &Path, small: &Source, ui: Ui) -> Result<(Vocabulary, PathBuf), Failure> {
    let new = open_tokenizer(given, ui)?;
    let old = open_tokenizer(small.dir.path(), ui)?.tokenizer;
    let pieces = new.tokenizer.in_terms_of(&old)?;
    let count = |test: &dyn Fn(&Vec<u32>) -> bool| pieces.iter().filter(|pieces| test(pieces)).count();
    ui.say(format!(
        "tokenizer: of {} tokens {} begin as one of the small model's, {} as the mean of their pieces there, {} have none",
        pieces.len(),
        count(&|pieces| pieces.len() == 1),
        count(&|pieces| pieces.len() > 1),
        count(&Vec::is_empty),
    ));
    if small.dir.path().join("generation_config.json").exists() {
        ui.say("generation_config.json may name tokens by the numbers that they had: look at it");
    }
    let special = new.tokenizer.special();
    let named = [
        ("pad_token_id", special.pad),
        ("bos_token_id", special.bos.or(special.cls)),
        ("eos_token_id", special.eos.or(special.sep)),
    ];
    let special = named.into_iter().filter_map(|(field, id)| Some((field, id? as usize)));
    let vocabulary = Vocabulary {
        pieces: Arc::new(pieces),
        hash: new.tokenizer.hash().to_owned(),
        special: special.collect(),
    };
    Ok((vocabulary, new.given.unwrap_or_else(|| given.to_path_buf())))
}

impl Vocabulary {
    /// The model with this vocabulary, filled up to a multiple where one is given.
    ///
    /// # Errors
    /// Its positions would be counted from another padding.
    pub fn of(&self, config: &ModelConfig, multiple: Option<usize>) -> Result<ModelConfig, Failure> {
        let entries = match multiple.filter(|multiple| *multiple > 0) {
            Some(multiple) => self.pieces.len().next_multiple_of(multiple),
            None => self.pieces.len(),
        };
        let with = config.with_vocabulary(entries, &self.special)?;
        if with.position_prefix() != config.position_prefix() {
            return Err(Failure::other(
                "this model counts its positions from its padding token, and the padding token of --tokenizer has another number",
                "give the padding token of the new tokenizer the number that it has in the small model's",
            ));
        }
        Ok(with)
    }
}
