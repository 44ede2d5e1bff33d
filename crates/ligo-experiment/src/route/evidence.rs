//! What finished comparisons say of losses: the points of a law, read from their folders.

use std::path::{Path, PathBuf};

use ligo_arch::ModelConfig;
use ligo_cost::law::{Law, Point, Start};
use ligo_growth::OperatorSpec;
use ligo_report::summary::{MethodSummary, Summary};

use crate::Failure;
use crate::recipe::{self, DataFacts, MethodSection, Pair, Recipe, Stage};
use crate::run::{Dataset, RECIPE_TOML};

/// The results of a run's folder.
const SUMMARY_JSON: &str = "summary.json";

/// How `one-schedule` is called among the methods that grow.
pub(super) const ONE_SCHEDULE: &str = "one-schedule";

/// What was measured.
pub struct Evidence {
    /// The law of it.
    pub(super) law: Law,
    /// The folders.
    pub(super) folders: Vec<PathBuf>,
    /// What the data decide of a model.
    pub(super) facts: DataFacts,
    /// The models' family.
    pub(super) family: String,
    /// Given small models and their losses.
    pub(super) given: Vec<(PathBuf, f64)>,
    /// What was left out, and why.
    pub(super) notes: Vec<String>,
}

/// One folder, opened.
struct Opened {
    recipe: Recipe,
    summary: Summary,
    pair: Pair,
    facts: DataFacts,
    note: Option<String>,
}

/// A run as a point, with what it is a setting of: runs of one place differ in rate, schedule or seed alone.
struct Run {
    point: Point,
    loss: f64,
    group: String,
}

impl Evidence {
    /// Reads the results of comparisons, and fits the law to them.
    ///
    /// # Errors
    /// A folder holds no results, they are of other data or another family than the first one's, or they are too few.
    pub fn read(folders: &[PathBuf]) -> Result<Option<Self>, Failure> {
        let opened: Result<Vec<Opened>, Failure> = folders.iter().map(|folder| open(folder)).collect();
        let opened = opened?;
        let Some(first) = opened.first() else { return Ok(None) };
        let family = first.pair.large.model_type().to_owned();
        let (mut runs, mut notes, mut given) = (Vec::new(), Vec::new(), Vec::new());
        for (folder, other) in folders.iter().zip(&opened) {
            check_same(folder, other, (&folders[0], first))?;
            notes.extend(other.note.clone());
            other.add(&mut runs, &mut notes)?;
            if let Some(path) = &other.recipe.small.path {
                given.push((path.clone(), other.summary.small.loss));
            }
        }
        let law = Law::fit(&best(runs)).map_err(|error| {
            Failure::other(
                format!("what {} measured is not enough: {error}", told(folders)),
                "train scratch and a method at several lengths, for example `ligo compare --lengths 0.25,0.5`, or give --pilot",
            )
        })?;
        Ok(Some(Self {
            law,
            folders: folders.to_vec(),
            facts: first.facts.clone(),
            family,
            given,
            notes,
        }))
    }

    /// The folders for people.
    pub(super) fn told(&self) -> String {
        told(&self.folders)
    }
}

fn told(folders: &[PathBuf]) -> String {
    let names: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    names.join(", ")
}

fn open(folder: &Path) -> Result<Opened, Failure> {
    let results = folder.join(SUMMARY_JSON);
    if !results.is_file() {
        return Err(Failure::other(
            format!("{} holds no results of a comparison ({SUMMARY_JSON})", folder.display()),
            "--from takes the folders of finished runs, such as runs/demo-1a2b3c4d",
        ));
    }
    let recipe = recipe::load(&folder.join(RECIPE_TOML).to_string_lossy(), &[])?;
    let expected = DataFacts::expected(&recipe);
    let kind = recipe.pair(&expected)?.small;
    let (facts, note) = match Dataset::reopen(&recipe, kind.task(), folder) {
        Ok(dataset) => (dataset.facts(&recipe.data), None),
        Err(_) => (
            expected,
            Some(format!(
                "The data of {} are gone: its models are taken to have the vocabulary of the recipe.",
                folder.display()
            )),
        ),
    };
    Ok(Opened {
        pair: recipe.pair(&facts)?,
        summary: Summary::read(&results)?,
        recipe,
        facts,
        note,
    })
}

fn check_same(folder: &Path, one: &Opened, (other_folder, other): (&Path, &Opened)) -> Result<(), Failure> {
    let differs = |what: &str| {
        Failure::other(
            format!(
                "{} and {} differ in their {what}: their losses are in no common law",
                other_folder.display(),
                folder.display()
            ),
            "name folders of one text, one tokenizer and one family with --from",
        )
    };
    if one.summary.corpus.hash != other.summary.corpus.hash || one.recipe.data != other.recipe.data {
        return Err(differs("data"));
    }
    if one.pair.large.model_type() != other.pair.large.model_type() {
        return Err(differs("family"));
    }
    Ok(())
}

impl Opened {
    fn add(&self, runs: &mut Vec<Run>, notes: &mut Vec<String>) -> Result<(), Failure> {
        let methods = || self.summary.methods.iter();
        let found = |run: &MethodSummary| self.recipe.methods.iter().find(|method| method.id() == run.id);
        let resolved = self.recipe.resolve(&self.pair, &self.facts)?;
        for run in methods() {
            let Some(method) = found(run) else { continue };
            let Some(ready) = resolved.method(&method.key()) else {
                continue;
            };
            if !run.loss_final.is_finite() {
                notes.push(format!("{} diverged and is in no law.", run.id));
            } else if let Some(point) = self.point(run, method, &ready.stages) {
                runs.push(Run {
                    point,
                    loss: run.loss_final,
                    group: run.group().to_owned(),
                });
            } else {
                notes.push(format!(
                    "{} is in no law: it is neither scratch nor one growth with plain training.",
                    run.label
                ));
            }
        }
        if self.recipe.small.path.is_none() && self.summary.small.loss.is_finite() {
            runs.push(Run {
                point: Point {
                    parameters: parameters(&self.pair.small),
                    tokens: self.small_tokens(),
                    start: None,
                },
                loss: self.summary.small.loss,
                group: "small".into(),
            });
        }
        notes.dedup();
        Ok(())
    }

    fn small_tokens(&self) -> f64 {
        let train = &self.recipe.small.train;
        (train.steps * train.sequences_per_step() as u64) as f64 * tokens_of_a_sequence(&self.recipe, &self.pair)
    }

    /// A run as a point of the law, if it is one.
    fn point(&self, run: &MethodSummary, method: &MethodSection, stages: &[Stage]) -> Option<Point> {
        let is_plain = |stage: &Stage| stage.train.special_passes().is_empty() && stage.train.distillation.is_none();
        if !stages.iter().all(is_plain) {
            return None;
        }
        let tokens = |stage: &Stage| {
            let sequences = stage.steps() * stage.train.sequences_per_step() as u64;
            sequences as f64 * tokens_of_a_sequence(&self.recipe, &self.pair)
        };
        let of = |stage: &Stage, start| Point {
            parameters: parameters(&stage.model),
            tokens: tokens(stage),
            start,
        };
        match stages {
            [one] if one.operator == OperatorSpec::Scratch => run.is_scratch().then(|| of(one, None)),
            [one] => {
                let start = match &self.recipe.small.path {
                    Some(_) => Start::Measured {
                        loss: self.summary.small.loss,
                    },
                    None => Start::Trained {
                        parameters: parameters(&self.pair.small),
                        tokens: self.small_tokens(),
                    },
                };
                Some(of(one, Some((method.name.clone(), start))))
            }
            [small, large] if small.operator == OperatorSpec::Scratch => {
                let start = Start::Trained {
                    parameters: parameters(&small.model),
                    tokens: tokens(small),
                };
                // Any method with a common schedule is one.
                let name = match large.operator {
                    OperatorSpec::Stackbert if method.tau.is_some() => ONE_SCHEDULE.to_owned(),
                    _ => method.name.clone(),
                };
                Some(of(large, Some((name, start))))
            }
            _ => None,
        }
    }
}

/// The parameters of a model.
pub(super) fn parameters(config: &ModelConfig) -> f64 {
    config.table().num_parameters() as f64
}

/// What is counted of a sequence: its tokens, or one image.
pub(super) fn tokens_of_a_sequence(recipe: &Recipe, pair: &Pair) -> f64 {
    match pair.large.image_shape() {
        Some(_) => 1.0,
        None => recipe.data.seq_len as f64,
    }
}

/// The runs of the best setting of each place, with all their seeds: a law of losses is one of well-chosen rates.
fn best(runs: Vec<Run>) -> Vec<(Point, f64)> {
    let mut places: Vec<(Point, Vec<(String, Vec<f64>)>)> = Vec::new();
    for Run { point, loss, group } in runs {
        let place = match places.iter().position(|(other, _)| *other == point) {
            Some(place) => place,
            None => {
                places.push((point, Vec::new()));
                places.len() - 1
            }
        };
        let groups = &mut places[place].1;
        match groups.iter_mut().find(|(other, _)| *other == group) {
            Some((_, losses)) => losses.push(loss),
            None => groups.push((group, vec![loss])),
        }
    }
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let mut points = Vec::new();
    for (point, groups) in places {
        let lowest = groups.into_iter().min_by(|a, b| mean(&a.1).total_cmp(&mean(&b.1)));
        let losses = lowest.map_or_else(Vec::new, |(_, losses)| losses);
        points.extend(losses.into_iter().map(|loss| (point.clone(), loss)));
    }
    points
}
