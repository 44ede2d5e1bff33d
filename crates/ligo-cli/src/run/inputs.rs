//! What can be wrong with the inputs of a run and is found without a folder: looked at before one is taken.

use super::dataset::check_vocabulary;
use super::{faults, images, text};
use crate::recipe::{CorpusSource, DataFacts, Recipe};
use crate::store::open_source;
use crate::{Failure, Ui};

/// Opens everything that a recipe names: its data, its tokenizer, its small model.
///
/// # Errors
/// One of them is missing, damaged, or does not fit the others.
pub fn check(recipe: &Recipe) -> Result<(), Failure> {
    let small = recipe.pair(&DataFacts::expected(recipe)).map_err(faults)?.small;
    if let Some(path) = &recipe.small.path {
        open_source(path)?.at(&small)?;
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
            Ui::new(true),
        )?),
    }
    if let Some(given) = text::given_tokenizer(recipe, &small)? {
        let tokenizer = text::open_tokenizer(given, Ui::new(true))?.tokenizer;
        if let Some(path) = &recipe.small.path {
            check_vocabulary(tokenizer.vocab_size(), &small, path)?;
        }
    }
    Ok(())
}
