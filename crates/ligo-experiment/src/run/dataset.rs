//! What a run trains on, ready to be cut into batches.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ligo_arch::{ModelConfig, Task};
use ligo_checkpoint::RunLock;
use ligo_data::{
    Batch, CausalLoader, CausalSettings, ImageLoader, ImageLoaderSettings, ImageSet, LoaderSettings, Masking,
    MlmLoader, Preprocessor, TextFolder, TokenStore, Tokenizer,
};
use ligo_report::summary::Unit;
use ligo_train::{BatchSource, TrainConfig};
use serde_json::json;

use super::text::damaged;
use crate::Failure;
use crate::identity::fingerprint;
use crate::recipe::{DataFacts, DataSection};

/// What a run trains on and validates on.
pub struct Dataset {
    /// The data.
    pub content: Content,
    /// The losses of predictors that learn nothing from what surrounds a token.
    pub baselines: Baselines,
    /// What it is, for people.
    pub name: String,
    /// Decides all that follows.
    pub fingerprint: String,
}

/// Data of one kind.
pub enum Content {
    /// Token ids.
    Text(Tokens),
    /// Images with classes.
    Images(Images),
}

/// Decoded images.
pub struct Images {
    /// Images to train on.
    pub train: Arc<ImageSet>,
    /// Images to validate on.
    pub valid: Arc<ImageSet>,
    /// From pixels to the model's input.
    pub preprocessor: Preprocessor,
    /// The folder that holds both sets and the preprocessor's file.
    pub folder: PathBuf,
}

/// Text as token ids.
pub struct Tokens {
    /// Training tokens.
    pub train: Arc<TokenStore>,
    /// Validation tokens.
    pub valid: Arc<TokenStore>,
    /// The tokenizer's folder.
    pub tokenizer: PathBuf,
    /// Its vocabulary.
    pub vocab_size: usize,
}

/// Validation losses that a model must pass to have learned anything.
#[derive(Clone, Copy, Debug)]
pub struct Baselines {
    /// Of the best predictor that knows only how frequent each token or class is.
    pub unigram: f64,
    /// Masked models: of the best one that sees only the masked position's own token.
    pub context_free: Option<f64>,
}

impl Baselines {
    /// The lowest of them.
    pub fn lowest(&self) -> f64 {
        self.context_free.map_or(self.unigram, |loss| loss.min(self.unigram))
    }
}

impl Content {
    /// The baselines for a task.
    pub fn baselines(&self, task: Task) -> Baselines {
        match self {
            Self::Text(tokens) => {
                let (train, valid) = (tokens.train.info(), tokens.valid.info());
                let masked = task == Task::MaskedLm;
                Baselines {
                    unigram: train.unigram_loss(valid).unwrap_or(f64::NAN),
                    context_free: masked.then(|| {
                        let loss = train.context_free_loss(valid, &Masking::default());
                        loss.unwrap_or(f64::NAN)
                    }),
                }
            }
            Self::Images(images) => {
                let loss = images.train.info().class_prior_loss(images.valid.info());
                Baselines {
                    unigram: loss.unwrap_or(f64::NAN),
                    context_free: None,
                }
            }
        }
    }
}

impl Dataset {
    /// The folder whose tokenizer or preprocessor files a model takes along.
    pub fn tokenizer(&self) -> &Path {
        match &self.content {
            Content::Text(tokens) => &tokens.tokenizer,
            Content::Images(images) => &images.folder,
        }
    }

    /// What the data decide of a model.
    pub fn facts(&self, data: &DataSection) -> DataFacts {
        match &self.content {
            Content::Text(tokens) => DataFacts::text(tokens.vocab_size, data.seq_len),
            Content::Images(images) => {
                let names = &images.train.info().class_names;
                DataFacts::images(names.len()).named(names)
            }
        }
    }

    /// Refuses a finished model that was trained with another tokenizer or on other classes, as far as its numbers and the tokenizer beside it tell.
    ///
    /// # Errors
    /// They differ.
    pub fn check_pretrained(&self, config: &ModelConfig, path: &Path) -> Result<(), Failure> {
        match (&self.content, config.task()) {
            (Content::Text(tokens), _) => {
                check_vocabulary(tokens.vocab_size, config, path)?;
                tokens.check_meaning(path)
            }
            (Content::Images(images), Task::ImageClassification { labels }) if labels != images.train.num_classes() => {
                Err(Failure::other(
                    format!(
                        "the model in {} knows {labels} classes, the images have {}",
                        path.display(),
                        images.train.num_classes()
                    ),
                    "grow it with the images that it was trained on, or train a small model on these: leave --small out",
                ))
            }
            (Content::Images(_), _) => Ok(()),
        }
    }

    /// Words of the tokenizer; 0 for images.
    pub fn vocab_size(&self) -> usize {
        match &self.content {
            Content::Text(tokens) => tokens.vocab_size,
            Content::Images(_) => 0,
        }
    }

    /// Tokens or images to train on and to validate on.
    pub fn sizes(&self) -> (u64, u64) {
        match &self.content {
            Content::Text(tokens) => (tokens.train.len(), tokens.valid.len()),
            Content::Images(images) => (images.train.len(), images.valid.len()),
        }
    }

    /// What they are.
    pub fn unit(&self) -> Unit {
        match &self.content {
            Content::Text(_) => Unit::Tokens,
            Content::Images(_) => Unit::Images,
        }
    }

    /// What people call the loss of a model that knows only how frequent tokens or classes are.
    pub fn prior_name(&self) -> &'static str {
        match &self.content {
            Content::Text(_) => "unigram",
            Content::Images(_) => "class prior",
        }
    }

    /// The hash of the training data.
    pub fn hash(&self) -> String {
        match &self.content {
            Content::Text(tokens) => tokens.train.info().tokens_sha256.clone(),
            Content::Images(images) => images.train.info().images_sha256.clone(),
        }
    }

    /// The training batches and the fixed validation batches of a run.
    ///
    /// # Errors
    /// The data are less than one batch, or of a kind that the model does not learn from.
    pub fn batches(
        &self,
        model: &ModelConfig,
        data: &DataSection,
        train: &TrainConfig,
    ) -> Result<(Box<dyn BatchSource>, Vec<Batch>), Failure> {
        match (&self.content, model.task()) {
            (Content::Text(tokens), Task::MaskedLm) => tokens.masked(data, train),
            (Content::Text(tokens), Task::CausalLm) => tokens.causal(data, train),
            (Content::Images(images), Task::ImageClassification { .. }) => images.batches(model, data, train),
            (Content::Text(_), Task::HiddenStates) => Err(headless(model)),
            (Content::Text(_), Task::ReplacedTokens) => Err(discriminator(model)),
            (Content::Text(_), task) => Err(cannot("text files", task)),
            (Content::Images(_), task) => Err(cannot("images", task)),
        }
    }
}

/// Refuses a tokenizer that cannot be the one of a finished model.
///
/// # Errors
/// The sizes of their vocabularies tell.
pub fn check_vocabulary(tokenizer_vocab: usize, model: &ModelConfig, path: &Path) -> Result<(), Failure> {
    ligo_data::check_vocab_size(tokenizer_vocab, model.vocab_size()).map_err(|error| {
        Failure::other(
            format!("{}: {error}", path.display()),
            "use the tokenizer that the model was trained with, often in the model's own folder: --tokenizer DIR",
        )
    })
}

/// Refuses an encoder without a head.
fn headless(model: &ModelConfig) -> Failure {
    let with_head = model
        .with_task(Task::MaskedLm)
        .ok()
        .and_then(|model| model.architecture());
    let class = with_head.unwrap_or_else(|| "AutoModelForMaskedLM".into());
    Failure::other(
        "the model has no head, so that there is nothing that it could learn to predict",
        format!("transformers can add a fresh one: {class}.from_pretrained(DIR).save_pretrained(NEW)"),
    )
}

/// Refuses a discriminator: nothing here replaces the tokens that it would have to find.
fn discriminator(model: &ModelConfig) -> Failure {
    let generator = model.with_task(Task::MaskedLm).ok();
    let class = generator.and_then(|model| model.architecture()).unwrap_or_default();
    Failure::other(
        format!(
            "{} that tells replaced tokens learns from a generator beside it, which ligo does not train it with",
            model.display_name()
        ),
        format!(
            "grow it all the same, and train the result with a program that has a generator; \"architectures\": [\"{class}\"] in config.json makes it a masked language model"
        ),
    )
}

fn cannot(found: &str, task: Task) -> Failure {
    Failure::other(
        format!("a model for {} cannot be trained on {found}", task_name(task)),
        "choose a model and data that fit each other",
    )
}

/// Batches to train on, and fixed ones to validate on.
type Loaders = (Box<dyn BatchSource>, Vec<Batch>);

/// The number of validation batches.
fn eval_batches(train: &TrainConfig) -> usize {
    match train.eval_batches {
        0 => usize::MAX,
        n => n,
    }
}

/// Finishes what a `ligo tokenize` left that was killed while it put new tokens in their place.
fn finish_tokenizing(folder: &Path) -> Result<(), Failure> {
    let texts = TextFolder::new(folder);
    if texts.needs_recovery() {
        let _lock = RunLock::acquire(folder)?;
        texts.recover()?;
    }
    Ok(())
}

impl Tokens {
    /// Opens what a run or `ligo tokenize` left in a folder: `tokenizer/` and `tokens/`.
    ///
    /// # Errors
    /// It is not there, or damaged.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        finish_tokenizing(folder)?;
        let tokenizer_dir = folder.join("tokenizer");
        let tokens_dir = folder.join("tokens");
        if !tokens_dir.is_dir() {
            return Err(Failure::other(
                format!("there is no {}", tokens_dir.display()),
                "expected a folder that `ligo tokenize` or a run on text made",
            ));
        }
        let tokenizer = Tokenizer::open(&tokenizer_dir)?;
        let part = |name: &str| {
            let store = TokenStore::open(&tokens_dir.join(name))?;
            store.check_tokenizer(&tokenizer)?;
            Ok::<_, ligo_data::Error>(Arc::new(store))
        };
        let open = |name: &str| part(name).map_err(damaged(&tokens_dir));
        Ok(Self {
            train: open("train")?,
            valid: open("valid")?,
            vocab_size: tokenizer.vocab_size(),
            tokenizer: tokenizer_dir,
        })
    }

    /// Refuses a model beside which lies a tokenizer whose numbers stand for other tokens.
    fn check_meaning(&self, model: &Path) -> Result<(), Failure> {
        if !Tokenizer::is_in(model) {
            return Ok(());
        }
        let (own, theirs) = (Tokenizer::open(&self.tokenizer)?, Tokenizer::open(model)?);
        let Some((id, token, other)) = own.first_difference(&theirs) else {
            return Ok(());
        };
        Err(Failure::other(
            format!(
                "the tokens were made with another tokenizer than the model in {}: id {id} is {token:?} in {} and {other:?} beside the model",
                model.display(),
                self.tokenizer.display()
            ),
            "tokenize the text with the model's own tokenizer: ligo tokenize --tokenizer MODEL_DIR",
        ))
    }

    fn masked(&self, data: &DataSection, train: &TrainConfig) -> Result<Loaders, Failure> {
        let settings = LoaderSettings {
            seq_len: data.seq_len,
            seed: train.data_order_seed,
            shuffle: true,
            masking: Masking {
                rate: data.mask_probability,
                ..Masking::default()
            },
        };
        let loader = MlmLoader::new(Arc::clone(&self.train), settings)?;
        loader.check_batch_size(train.batch_size)?;
        let valid = MlmLoader::new(Arc::clone(&self.valid), settings)?;
        let valid = valid.validation_batches(train.batch_size, eval_batches(train))?;
        let valid = valid.map(Batch::from).collect();
        Ok((Box::new(loader), valid))
    }

    fn causal(&self, data: &DataSection, train: &TrainConfig) -> Result<Loaders, Failure> {
        let settings = CausalSettings {
            seq_len: data.seq_len,
            seed: train.data_order_seed,
            shuffle: true,
            stay_in_document: data.stay_in_document,
        };
        let loader = CausalLoader::new(Arc::clone(&self.train), settings)?;
        loader.check_batch_size(train.batch_size)?;
        let valid = CausalLoader::new(Arc::clone(&self.valid), settings)?;
        let valid = valid.validation_batches(train.batch_size, eval_batches(train))?;
        let valid = valid.map(Batch::from).collect();
        Ok((Box::new(loader), valid))
    }
}

impl Images {
    /// Decides what models see: the pixels, the classes and how they are preprocessed.
    pub fn fingerprint(&self) -> String {
        let hashes = [&self.train, &self.valid].map(|set| {
            let info = set.info();
            json!([info.images_sha256, info.labels_sha256])
        });
        fingerprint(&json!([hashes, self.preprocessor]))
    }

    fn batches(&self, model: &ModelConfig, data: &DataSection, train: &TrainConfig) -> Result<Loaders, Failure> {
        let settings = ImageLoaderSettings {
            seed: train.data_order_seed,
            shuffle: true,
            augmentation: data.augmentation()?,
            preprocessor: self.preprocessor.clone(),
            channels: model.image_shape().map(|[channels, ..]| channels),
            upscale: true,
        };
        let loader = ImageLoader::new(Arc::clone(&self.train), settings.clone())?;
        loader.check_batch_size(train.batch_size)?;
        let valid = ImageLoader::new(Arc::clone(&self.valid), settings)?;
        let valid = valid.validation_batches(train.batch_size, eval_batches(train))?;
        let valid = valid.map(Batch::from).collect();
        Ok((Box::new(loader), valid))
    }
}

/// A task for people.
pub fn task_name(task: Task) -> &'static str {
    match task {
        Task::MaskedLm => "masked language modelling",
        Task::CausalLm => "causal language modelling",
        Task::SequenceClassification { .. } => "classification of texts",
        Task::QuestionAnswering => "question answering",
        Task::ReplacedTokens => "detection of replaced tokens",
        Task::HiddenStates => "hidden states",
        Task::ImageClassification { .. } => "classification of images",
    }
}
