//! Opening the data of a run's folder again without looking at where they came from: for processes that run a part of it,
//! and for looking at its results.

use std::path::Path;

use ligo_arch::Task;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::dataset::{Content, Dataset, Tokens};
use super::images;
use super::stage::{self, read_json};
use crate::Failure;
use crate::files::write_whole;
use crate::recipe::{CorpusSource, Recipe};

const FILE: &str = "data.json";

/// What the folders of tokens or images do not say themselves.
#[derive(Serialize, Deserialize)]
struct Prepared {
    name: String,
    fingerprint: String,
}

impl Dataset {
    /// Leaves a note in the run's folder that lets [`Dataset::reopen`] find the data.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn note(&self, run: &Path) -> Result<(), Failure> {
        let (name, fingerprint) = (self.name.clone(), self.fingerprint.clone());
        let note = json!(Prepared { name, fingerprint });
        write_whole(&run.join(FILE), note.to_string().as_bytes())
    }

    /// The data that a run of this recipe prepared in its folder.
    ///
    /// # Errors
    /// They are not there, or damaged.
    pub fn reopen(recipe: &Recipe, task: Task, run: &Path) -> Result<Self, Failure> {
        let Prepared { name, fingerprint } = read_json(&run.join(FILE))?;
        let content = match recipe.corpus.source {
            CorpusSource::Images => Content::Images(images::open(run)?),
            CorpusSource::Files | CorpusSource::RustDocs => {
                // It goes into every model.
                stage::check(&run.join("tokenizer"))?;
                Content::Text(Tokens::open(run)?)
            }
        };
        Ok(Self {
            baselines: content.baselines(task),
            content,
            name,
            fingerprint,
        })
    }
}
