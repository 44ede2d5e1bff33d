//! The last stage: what each method saved, as a table, a picture and `summary.json`.

use std::collections::BTreeMap;
use std::path::Path;

use ligo_arch::ModelConfig;
use ligo_cost::{Charges, CostToReach, Curve};
use ligo_report::Table;
use ligo_report::summary::{
    self, Corpus, Cost, Counter, CurvePoint, Flags, MethodSummary, SmallModel, Summary, ToTarget,
};
use ligo_train::TrainResult;

use super::Small;
use super::dataset::Dataset;
use super::method::{folder_of, stage_folder};
use super::stage::{self, write_whole};
use super::training::read_result;
use crate::recipe::{MethodSection, Pair, Recipe};
use crate::{Failure, Ui};

/// One of the three ways to count.
type Measure = fn(&Cost) -> f64;

const MEASURES: [Measure; 3] = [|c| c.flops_exact, |c| c.flops_electra, |c| c.seconds];

struct Run {
    name: String,
    label: String,
    seed: u64,
    result: TrainResult,
    operator: Cost,
}

/// Compares the runs of a recipe that are complete, writes `summary.json`, tables and pictures, and prints the table.
///
/// # Errors
/// A run's result is missing, or a file cannot be written.
pub fn compare(
    recipe: &Recipe,
    pair: &Pair,
    folder: &Path,
    dataset: &Dataset,
    small: &Small,
    ui: Ui,
) -> Result<(), Failure> {
    let complete = |m: &&MethodSection| stage::complete(&folder.join(folder_of(m))).is_some();
    let runs: Result<Vec<Run>, Failure> = recipe
        .methods
        .iter()
        .filter(complete)
        .map(|m| read_run(recipe, m, pair, dataset, folder))
        .collect();
    let runs = runs?;
    if runs.is_empty() {
        return Ok(());
    }
    let small_cost = small.trained.as_ref().map(|r| Cost {
        flops_exact: r.flops_exact,
        flops_electra: r.flops_electra,
        seconds: r.seconds,
    });
    let target_loss = scratch_for(&runs, recipe.seed).map_or(f64::NAN, final_loss);
    let methods: Result<Vec<MethodSummary>, Failure> =
        runs.iter().map(|run| summarise(run, &runs, small_cost)).collect();
    let size = |config: &ModelConfig| {
        let table = config.table();
        let layers: usize = table.depths().map(|(_, n)| n).sum();
        format!("({layers}, {})", table.size(ligo_arch::Axis::HIDDEN))
    };
    let (train_tokens, valid_tokens) = dataset.sizes();
    let summary = Summary {
        format: summary::FORMAT,
        title: format!(
            "{}: {} {} → {}",
            recipe.name,
            crate::load::family_name(pair.large.model_type()),
            size(&small.config),
            size(&pair.large)
        ),
        corpus: Corpus {
            name: dataset.name.clone(),
            hash: dataset.hash(),
            train_tokens,
            valid_tokens,
            unigram_loss: dataset.baselines.unigram,
            context_free_loss: dataset.baselines.context_free,
            unit: dataset.unit(),
        },
        small: SmallModel {
            name: size(&small.config),
            loss: small.loss,
            cost: small_cost,
        },
        target_loss,
        flags: Flags {
            scratch_passed_unigram: target_loss < dataset.baselines.lowest(),
            scratch_passed_small: target_loss < small.loss,
        },
        methods: methods?,
        files: files(recipe),
        groups: Vec::new(),
        reference: None,
        provenance: None,
        operators: Vec::new(),
        prediction: None,
    }
    .grouped();
    summary.write(folder.join("summary.json"))?;
    show(&summary, folder, ui)
}

/// Where a reader of the summary finds the rest, relative to it.
fn files(recipe: &Recipe) -> BTreeMap<String, String> {
    let mut files = BTreeMap::from([
        ("recipe".to_owned(), "recipe.toml".to_owned()),
        ("picture".to_owned(), "savings.svg".to_owned()),
        ("small model".to_owned(), "small/model".to_owned()),
    ]);
    for method in &recipe.methods {
        let id = method.id();
        files.insert(format!("{id} model"), format!("methods/{id}/model"));
        files.insert(format!("{id} metrics"), format!("methods/{id}/metrics.jsonl"));
    }
    files
}

/// Writes tables and pictures of a summary beside it and prints the table.
///
/// # Errors
/// A file cannot be written.
pub fn show(summary: &Summary, folder: &Path, ui: Ui) -> Result<(), Failure> {
    let table = Table::new(summary, Counter::Exact);
    let electra = Table::new(summary, Counter::Electra);
    write_whole(&folder.join("table.txt"), table.text(true).as_bytes())?;
    let markdown = format!(
        "{}\nFLOPs as the paper counts them (ELECTRA's counter):\n\n{}",
        table.markdown(),
        electra.markdown()
    );
    write_whole(&folder.join("table.md"), markdown.as_bytes())?;
    write_whole(&folder.join("table.csv"), table.csv().as_bytes())?;
    let svg = ligo_report::plot::comparison(summary, Counter::Exact);
    let (svg, png) = ligo_report::plot::save(&svg, folder.join("savings"))?;
    ui.result(format!("\n{}", table.text(true)));
    ui.result(format!(
        "files: {}\n  picture    {} and {}\n  numbers    {}, {}, {}\n  models     {}",
        folder.display(),
        svg.display(),
        png.file_name().unwrap_or_default().display(),
        folder.join("summary.json").display(),
        "table.csv",
        "table.md",
        folder.join("methods/*/model").display(),
    ));
    Ok(())
}

/// What a method did, its stages one after the other, and what learning its operators cost.
fn read_run(
    recipe: &Recipe,
    method: &MethodSection,
    pair: &Pair,
    dataset: &Dataset,
    folder: &Path,
) -> Result<Run, Failure> {
    let folder = folder.join(folder_of(method));
    let stages = recipe
        .stages_of(method, pair, &dataset.facts(&recipe.data))
        .map_err(super::faults)?;
    let mut operator = Cost::default();
    let mut whole: Option<TrainResult> = None;
    for stage in &stages {
        let folder = stage_folder(&folder, stage);
        if stage.operator.is_learned() {
            let learn = read_result(&folder.join("learn"))?;
            operator.flops_exact += learn.flops_exact;
            operator.flops_electra += learn.flops_electra;
            operator.seconds += learn.seconds;
        }
        let result = read_result(&folder)?;
        whole = Some(match whole {
            Some(before) => before.followed_by(result),
            None => result,
        });
    }
    let result =
        whole.ok_or_else(|| Failure::other("a method without stages", "this is a fault of ligo; please report it"))?;
    Ok(Run {
        name: method.name.clone(),
        label: label(recipe, method),
        seed: recipe.seed_of(method),
        result,
        operator,
    })
}

/// A method for people: its id where it has one, else the usual name of the operator that it is called after.
pub(crate) fn label(recipe: &Recipe, method: &MethodSection) -> String {
    let name = method.id.as_ref().unwrap_or(&method.name);
    let operator = recipe.operator_of(method).filter(|spec| spec.name() == name);
    operator.map_or_else(|| name.clone(), |spec| spec.label().to_owned())
}

fn final_loss(run: &Run) -> f64 {
    run.result.final_loss().unwrap_or(f64::NAN)
}

/// The scratch run of the same seed, or else the first one.
fn scratch_for(runs: &[Run], seed: u64) -> Option<&Run> {
    let scratch = || runs.iter().filter(|r| r.name == "scratch");
    scratch().find(|r| r.seed == seed).or_else(|| scratch().next())
}

fn curve_points(run: &Run) -> Vec<CurvePoint> {
    let points = run.result.curve.iter().map(|p| CurvePoint {
        step: p.step,
        tokens: p.tokens,
        loss: p.loss,
        cost: Cost {
            flops_exact: p.flops_exact,
            flops_electra: p.flops_electra,
            seconds: p.seconds,
        },
    });
    points.collect()
}

fn summarise(run: &Run, runs: &[Run], small: Option<Cost>) -> Result<MethodSummary, Failure> {
    let points = curve_points(run);
    let cost = points.last().map(|p| p.cost).unwrap_or_default();
    let mut to_target = None;
    let (mut saving, mut saving_with_small) = (None, None);
    if let Some(scratch) = scratch_for(runs, run.seed) {
        let target = final_loss(scratch);
        let scratch_points = curve_points(scratch);
        let mut costs = Vec::new();
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for measure in MEASURES {
            let charges = Charges {
                operator: measure(&run.operator),
                small_model: if run.name == "scratch" {
                    0.0
                } else {
                    small.as_ref().map_or(0.0, measure)
                },
            };
            let curve = |points: &[CurvePoint]| Curve::new(points.iter().map(|p| (measure(&p.cost), p.loss)));
            let comparison = ligo_cost::compare(&curve(&scratch_points)?, &curve(&points)?, target, charges);
            if let CostToReach::At(cost) = comparison.method {
                costs.push(cost + charges.operator);
            }
            without.extend(comparison.saving.share());
            with.extend(comparison.saving_with_small_model.share());
        }
        let steps = Curve::new(points.iter().map(|p| (p.step as f64, p.loss)))?
            .cost_to_reach(target)
            .cost();
        if let (Some(step), &[exact, electra, seconds]) = (steps, costs.as_slice()) {
            to_target = Some(ToTarget {
                step,
                cost: Cost {
                    flops_exact: exact,
                    flops_electra: electra,
                    seconds,
                },
            });
        }
        let triple = |values: &[f64]| match *values {
            [flops_exact, flops_electra, seconds] => Some(summary::Saving {
                flops_exact,
                flops_electra,
                seconds,
            }),
            _ => None,
        };
        if run.name != "scratch" {
            saving = triple(&without);
            saving_with_small = small.and_then(|_| triple(&with));
        }
    }
    Ok(MethodSummary {
        name: run.name.clone(),
        label: run.label.clone(),
        seed: run.seed,
        steps: run.result.steps,
        loss_start: points.first().map_or(f64::NAN, |p| p.loss),
        loss_final: final_loss(run),
        curve: points,
        cost,
        operator_cost: run.operator,
        to_target,
        saving,
        saving_with_small,
        ..MethodSummary::default()
    })
}
