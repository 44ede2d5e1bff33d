//! What can be wrong with the inputs of a run and is found without a folder: looked at before one is taken.

use ligo_arch::ModelConfig;
use ligo_pretrained::open_model;

use super::dataset::check_vocabulary;
use super::{images, text};
use crate::recipe::{CorpusSource, Recipe};
use crate::{Failure, Silent};

/// Opens everything that a recipe names: its data, its tokenizer, its small model.
///
/// # Errors
/// One of them is missing, damaged, or does not fit the others.
pub fn check(recipe: &Recipe, small: &ModelConfig) -> Result<(), Failure> {
    if let Some(path) = &recipe.small.path {
        open_model(path)?.at(small)?;
    }
    let section = &recipe.corpus;
    match section.source {
        CorpusSource::Images => {
            images::find(&section.paths, &section.valid_paths, section.valid_fraction)?;
            return Ok(());
        }
        CorpusSource::RustDocs => drop(text::workspace()?),
        CorpusSource::Files => drop(text::open_texts(
            &section.paths,
            &section.valid_paths,
            section.valid_fraction,
            &section.text_settings(),
            // What plays which part is said when it is read.
            &Silent,
        )?),
    }
    if let Some(given) = text::given_tokenizer(recipe, small)? {
        let tokenizer = text::open_tokenizer(given, &Silent)?.tokenizer;
        if let Some(path) = &recipe.small.path {
            check_vocabulary(tokenizer.vocab_size(), small, path)?;
        }
    }
    Ok(())
}
