//! What can be wrong with a recipe as a whole.

use ligo_train::{OptimizerKind, ScheduleKind};

use super::faults::check_train;
use super::key::is_folder_name;
use super::limits::{MOST_TOKENS, operator_fault};
use super::{CorpusSource, DataFacts, Fault, Pair, Recipe, methods};

/// Collects all faults.
pub(super) fn check(recipe: &Recipe, faults: &mut Vec<Fault>) {
    let mut fault = |key: &str, message: String| {
        faults.push(Fault {
            key: key.into(),
            message,
        });
    };
    if !is_folder_name(&recipe.name) {
        fault(
            "name",
            format!(
                "must be a folder name, on one line and without any of \\ / : * ? \" < > |, found {:?}",
                recipe.name
            ),
        );
    }
    if recipe.corpus.source != CorpusSource::RustDocs && recipe.corpus.paths.is_empty() {
        fault(
            "corpus.paths",
            "no data: name files or folders here or give --data PATH".into(),
        );
    }
    let fraction = recipe.corpus.valid_fraction;
    if !(fraction > 0.0 && fraction < 1.0) {
        fault(
            "corpus.valid_fraction",
            format!("must lie between 0 and 1, found {fraction}"),
        );
    }
    if recipe.tokenizer.path.is_none() && !(64..=1_000_000).contains(&recipe.tokenizer.vocab_size) {
        let found = recipe.tokenizer.vocab_size;
        fault(
            "tokenizer.vocab_size",
            format!("must be 64 to 1,000,000, found {found}"),
        );
    }
    if recipe.methods.is_empty() {
        fault(
            "methods",
            "at least one method is needed, for example [[methods]] name = \"ligo\"".into(),
        );
    }
    faults.extend(recipe.data.check().err().into_iter().flatten());
    if recipe.corpus.source == CorpusSource::Images {
        faults.extend(recipe.data.augmentation().err().into_iter().flatten());
    }
    // Samples that no model could read would be told once more for each of them.
    let can_be_read = recipe.data.seq_len <= MOST_TOKENS;
    let pair = can_be_read.then(|| check_models(recipe, faults)).flatten();
    methods::check(recipe, pair.as_ref(), faults);
    recipe.search.check(recipe, faults);
    recipe.check_lengths(faults);
    faults.extend(recipe.variants().err().into_iter().flatten());
}

/// Checks the sections on models and their training; the pair when it can be grown.
fn check_models(recipe: &Recipe, faults: &mut Vec<Fault>) -> Option<Pair> {
    let pair = recipe.pair(&DataFacts::expected(recipe));
    let pair = pair.map_err(|found| faults.extend(found)).ok();
    for (key, train, allowed) in [
        ("small.train", &recipe.small.train, true),
        ("operator.train", &recipe.operator.train, false),
    ] {
        let mut settings = train.special_passes();
        settings.retain(|setting| !allowed || *setting == "distillation");
        if train.needs_new_entries() {
            settings.push("a rate for new parameters");
        }
        if !allowed && train.optimizer.kind == OptimizerKind::Muon {
            faults.push(Fault {
                key: format!("{key}.optimizer.kind"),
                message: "muon is for the matrices of a model's layers, and an operator has none; take adamw".into(),
            });
        }
        faults.extend(settings.into_iter().map(|setting| Fault {
            key: key.into(),
            message: format!("{setting} is for training the large model"),
        }));
    }
    check_annealed(recipe, faults);
    if let Some(pair) = &pair {
        let depth = pair.small.sizes().layers;
        let found = recipe.small.train.depth_faults(depth).into_iter();
        faults.extend(found.map(|message| Fault {
            key: "small.train".into(),
            message,
        }));
    }
    let sections = [
        ("small.train", &recipe.small.train),
        ("large.train", &recipe.large.train),
        ("operator.train", &recipe.operator.train),
    ];
    for (key, train) in sections {
        check_train(key, train, faults);
    }
    let operator = operator_fault(&recipe.operator.ligo);
    faults.extend(operator.map(|message| Fault {
        key: "operator.ligo".into(),
        message,
    }));
    pair
}

/// The branch of the small model that tells what it would have come to.
fn check_annealed(recipe: &Recipe, faults: &mut Vec<Fault>) {
    let mut fault = |key: &str, message: &str| {
        faults.push(Fault {
            key: key.into(),
            message: message.into(),
        });
    };
    if recipe.large.annealed.is_some() {
        fault("large.annealed", "is for the small model");
    }
    let Some(annealed) = recipe.small.annealed else { return };
    if recipe.small.path.is_some() {
        fault(
            "small.annealed",
            "is for a small model that is trained, and one is given",
        );
    } else if recipe.small.train.schedule.kind != ScheduleKind::Constant {
        fault(
            "small.annealed",
            "is for a small model at a constant rate: set small.train.schedule.kind=\"constant\"",
        );
    } else {
        check_train("small.annealed", &annealed.of(&recipe.small.train), faults);
    }
}
