//! What growing did to the loss on a text.

use std::path::Path;

use ligo_arch::Task;
use ligo_cost::format;
use ligo_data::{Corpus, TextSettings, TrainValid};
use ligo_device::Picked;
use ligo_pretrained::Source;
use ligo_train::{ParamStore, TrainConfig};
use tempfile::TempDir;

use crate::recipe::DataSection;
use crate::run::dataset::{Content, Tokens};
use crate::run::text::{build_stores, open_tokenizer};
use crate::run::{Dataset, Session};
use crate::{Failure, Listener, Silent, hub};

/// The longest sample; shorter where a model reads less.
const LONGEST: usize = 128;

/// So many samples at once, and so many times at most: a glance.
const BATCH: usize = 8;
const MOST_BATCHES: usize = 32;

/// Losses within this share of each other are the same.
const SAME: f64 = 1e-4;

/// Losses of the two models on the same samples of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    /// The small model's.
    pub small: f64,
    /// The large model's.
    pub large: f64,
    /// Tokens that were read.
    pub tokens: u64,
}

impl Losses {
    /// For people.
    pub fn text(&self) -> String {
        let [small, large] = [self.small, self.large].map(format::loss);
        let of = format!("on {}", format::tokens(self.tokens as f64));
        match (self.large - self.small).abs() <= SAME * self.small.abs() {
            true => format!("starts at the small model's loss: {large} {of}"),
            false => format!("starts at a loss of {large} where the small model has {small}, {of}"),
        }
    }
}

/// A text, taken apart by the small model's tokenizer.
pub struct Text {
    dataset: Dataset,
    tokens: usize,
    /// Tokens of a sample, and samples at once.
    sample: usize,
    batch: usize,
    /// Goes with it.
    _folder: TempDir,
}

impl Text {
    /// Reads a text.
    ///
    /// # Errors
    /// The model predicts no words, has no tokenizer, or one that does not fit; the text cannot be read.
    pub fn open(given: &Path, small: &Source, listener: &dyn Listener) -> Result<Self, Failure> {
        let task = small.config.task();
        if !matches!(task, Task::MaskedLm | Task::CausalLm) {
            return Err(Failure::other(
                "this model predicts no words, so that it has no loss on a text",
                "leave --text out; --no-check leaves the whole comparison out",
            ));
        }
        let opened = open_tokenizer(small.dir.path(), listener)?;
        let tokenizer = &opened.tokenizer;
        let folder = tempfile::tempdir().map_err(Failure::io("create", &std::env::temp_dir()))?;
        let text = hub::texts(&[given], listener)?;
        let corpus = Corpus::open(&text)?;
        let corpus = TrainValid {
            train: corpus.clone(),
            valid: corpus,
            how: String::new(),
        };
        let corpus = corpus
            .with_settings(&TextSettings::default())
            .with_end_tokens(tokenizer.end_tokens());
        build_stores(&folder.path().join("tokens"), &corpus, tokenizer, &Silent)?;
        opened.save(&folder.path().join("tokenizer"))?;
        let stores = Tokens::open(folder.path())?;
        let tokens = usize::try_from(stores.valid.len()).unwrap_or(usize::MAX);
        let sample = LONGEST.min(small.config.max_sequence_tokens());
        if tokens < 2 * sample {
            return Err(Failure::other(
                format!(
                    "{} has {tokens} tokens; a loss needs {} at least",
                    given.display(),
                    2 * sample
                ),
                "give a longer text, or leave --text out",
            ));
        }
        let content = Content::Text(stores);
        let dataset = Dataset {
            baselines: content.baselines(task),
            content,
            name: "the text".into(),
            fingerprint: String::new(),
        };
        dataset.check_pretrained(&small.config, small.dir.path())?;
        Ok(Self {
            dataset,
            tokens,
            sample,
            // The last sample may lack the marks around it.
            batch: BATCH.min(tokens / sample - 1),
            _folder: folder,
        })
    }

    /// The loss of a model with these weights.
    ///
    /// # Errors
    /// The text is too short for a sample; the model cannot be computed.
    pub fn loss(&self, source: &Source, store: &ParamStore, picked: &Picked) -> Result<f64, Failure> {
        let data = DataSection {
            seq_len: self.sample,
            ..DataSection::default()
        };
        let train = TrainConfig {
            batch_size: self.batch,
            eval_batches: MOST_BATCHES,
            ..TrainConfig::default()
        };
        let session = Session::new(&Silent, picked, train.precision);
        session.evaluate(&source.config, store, &self.dataset, &data, &train)
    }

    /// The losses of both models, with how much they read for them.
    pub fn losses(&self, small: f64, large: f64) -> Losses {
        let tokens = self.tokens.min(self.batch * MOST_BATCHES * self.sample) as u64;
        Losses { small, large, tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_stayed_is_told_from_one_that_rose() {
        let of = |large| Losses {
            small: 4.99,
            large,
            tokens: 10_000,
        };
        assert!(of(4.99001).text().starts_with("starts at the small model's loss"));
        let rose = of(5.57).text();
        assert!(rose.contains("5.570 where the small model has 4.990"), "{rose}");
        assert!(!of(f64::NAN).text().contains("small model's loss"));
    }
}
