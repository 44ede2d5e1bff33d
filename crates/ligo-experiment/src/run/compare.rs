//! The last stage: what each method saved, as `summary.json`, tables, pictures and a report.

use std::collections::BTreeMap;

use ligo_arch::{Axis, ModelConfig};
use ligo_cost::Cost;
use ligo_report::summary::{self, Corpus, Flags, MethodSummary, SmallModel, Summary};

use super::results::Run;
use super::saving::{Measured, measure, scratch_for};
use super::show::{REPORT, show};
use super::{RunFolder, Unit};
use crate::recipe::MethodSection;
use crate::{Failure, Listener};

/// Compares the runs of a folder that are complete, writes `summary.json`, tables, pictures and the report, and prints the
/// table; returns the summary. Without anything to compare it says so.
///
/// # Errors
/// A run's result is damaged, or a file cannot be written.
pub fn compare(run: &RunFolder<'_>, units: &[Unit], listener: &dyn Listener) -> Result<Option<Summary>, Failure> {
    let Some(summary) = run.summary(units)? else {
        listener.say("no table yet: neither scratch nor anything to compare with it is complete");
        return Ok(None);
    };
    summary.write(run.join("summary.json"))?;
    show(&summary, run.path, listener)?;
    Ok(Some(summary))
}

impl RunFolder<'_> {
    /// The summary of what is complete; nothing before the first scratch run is, where the recipe has one.
    fn summary(&self, units: &[Unit]) -> Result<Option<Summary>, Failure> {
        let recipe = self.recipe;
        let mut runs = Vec::new();
        for method in &recipe.methods {
            runs.extend(self.run_of(method)?.map(|run| (method, run)));
        }
        let (methods, runs): (Vec<&MethodSection>, Vec<Run>) = runs.into_iter().unzip();
        let has_scratch = recipe.methods.iter().any(|m| m.name == summary::SCRATCH);
        let scratch = scratch_for(&runs, recipe.seed);
        if runs.is_empty() || has_scratch && scratch.is_none() {
            return Ok(None);
        }
        let small = self.small()?;
        let small_cost = small.trained.as_ref().map(|result| result.cost);
        let target_loss = scratch.map_or(f64::NAN, Run::final_loss);
        let mut searches = Vec::new();
        for method in &recipe.methods {
            let key = recipe.searched_as(method);
            let id = key.to_string();
            if !recipe.search.is_off() && searches.iter().all(|s: &summary::Search| s.method != id) {
                searches.push(self.search(&key)?);
            }
        }
        let measured: Result<Vec<MethodSummary>, Failure> = runs
            .iter()
            .zip(&methods)
            .map(|(run, method)| self.summarize(run, method, &runs, small_cost, &searches))
            .collect();
        let (train_tokens, valid_tokens) = self.dataset.sizes();
        let baselines = self.dataset.baselines;
        let summary = Summary {
            format: summary::FORMAT,
            title: format!(
                "{}: {} {} → {}",
                recipe.name,
                self.pair.large.display_name(),
                size(&small.config),
                size(&self.pair.large)
            ),
            corpus: Corpus {
                name: self.dataset.name.clone(),
                hash: self.dataset.hash(),
                train_tokens,
                valid_tokens,
                unigram_loss: baselines.unigram,
                context_free_loss: baselines.context_free,
                unit: self.dataset.unit(),
            },
            small: SmallModel {
                name: size(&small.config),
                loss: small.loss,
                cost: small_cost,
                annealed: small.annealed,
            },
            target_loss,
            flags: Flags {
                scratch_passed_unigram: target_loss < baselines.lowest(),
                scratch_passed_small: target_loss < small.loss,
            },
            methods: measured?,
            files: self.files(&methods)?,
            groups: Vec::new(),
            reference: None,
            provenance: Some(self.provenance(units)?),
            operators: self.first_operators(&methods, &runs)?,
            prediction: self.prediction(&small, &runs),
            searches,
            sweep: self.sweep()?,
        };
        Ok(Some(summary.grouped()))
    }

    fn summarize(
        &self,
        run: &Run,
        method: &MethodSection,
        runs: &[Run],
        small: Option<Cost>,
        searches: &[summary::Search],
    ) -> Result<MethodSummary, Failure> {
        let curve = run.curve();
        let Measured {
            to_target,
            saving,
            saving_with_small,
        } = measure(run, scratch_for(runs, run.seed), small)?;
        Ok(MethodSummary {
            id: run.id(),
            group: run.key.group().to_string(),
            series: run.key.series().to_string(),
            name: run.name.clone(),
            label: run.label.clone(),
            seed: run.seed,
            steps: run.result.steps,
            loss_start: curve.first().map_or(f64::NAN, |p| p.loss),
            loss_final: run.final_loss(),
            cost: curve.last().map(|p| p.cost).unwrap_or_default(),
            curve,
            operator_cost: run.operator,
            to_target,
            saving,
            saving_with_small,
            learning_rate: Some(run.learning_rate),
            peak_memory_bytes: run.peak_memory_bytes,
            energy: run.energy,
            owes_small: Some(run.uses_small),
            stages: run.stages.clone(),
            shared: run.shared,
            notes: self.notes(run, method, searches)?,
            computed_on: run.origin.as_ref().map(|origin| origin.computed_on.clone()),
        })
    }

    /// What a reader must know of a run.
    fn notes(&self, run: &Run, method: &MethodSection, searches: &[summary::Search]) -> Result<Vec<String>, Failure> {
        let mut notes = Vec::new();
        if self.recipe.is_best_variant(method) {
            notes.push(format!(
                "the settings of {}, the best of the sweep",
                self.best_variant()?.id()
            ));
        }
        let id = self.recipe.searched_as(method).to_string();
        let search = searches.iter().find(|search| search.method == id);
        notes.extend(
            search
                .and_then(|search| search.chosen_schedule.as_ref())
                .map(|kind| format!("the schedule {kind}, from its search")),
        );
        if searches.iter().any(|search| search.method == id && search.at_edge) {
            notes.push("its learning rate is at the edge of those that were tried; a better one may lie beyond".into());
        }
        notes.extend(run.origin.as_ref().map(|origin| origin.note.clone()));
        match run.result.skipped_steps.len() {
            0 => {}
            count => notes.push(format!("{count} steps skipped: loss or gradient were not finite")),
        }
        for back in &run.result.rollbacks {
            notes.push(format!(
                "went back from step {} to step {}: something was not finite",
                back.step, back.to
            ));
        }
        match &run.result.loss_spikes[..] {
            [] => {}
            [step] => notes.push(format!("the loss of step {step} stands out from those before it")),
            steps => notes.push(format!(
                "the losses of {} steps stand out from those before them",
                steps.len()
            )),
        }
        Ok(notes)
    }

    /// The operators of each method's first run.
    fn first_operators(
        &self,
        methods: &[&MethodSection],
        runs: &[Run],
    ) -> Result<Vec<summary::OperatorSummary>, Failure> {
        let mut operators = Vec::new();
        for (i, (run, method)) in runs.iter().zip(methods).enumerate() {
            if !runs[..i].iter().any(|before| before.is_of(run)) {
                operators.extend(self.operators(method, &run.label)?);
            }
        }
        Ok(operators)
    }

    /// Where a reader of the summary finds the rest, relative to it.
    fn files(&self, methods: &[&MethodSection]) -> Result<BTreeMap<String, String>, Failure> {
        let own = [
            ("recipe", super::RECIPE_TOML),
            ("picture", "savings.svg"),
            ("report", REPORT),
        ];
        let mut files: BTreeMap<String, String> = own.map(|(name, file)| (name.to_owned(), file.to_owned())).into();
        // A given small model is wherever the user has it.
        if self.recipe.small.path.is_none() {
            files.insert("small model".into(), format!("{}/model", super::small::FOLDER));
        }
        for method in methods {
            let (_, folder) = self.place(method)?;
            let folder = folder.strip_prefix(self.path).unwrap_or(&folder).display().to_string();
            let id = method.id();
            files.insert(format!("{id} model"), format!("{folder}/model"));
            files.insert(format!("{id} metrics"), format!("{folder}/metrics.jsonl"));
        }
        Ok(files)
    }
}

/// A model for people: layers and width.
fn size(config: &ModelConfig) -> String {
    let table = config.table();
    let layers: usize = table.depths().map(|(_, n)| n).sum();
    format!("({layers}, {})", table.size(Axis::HIDDEN))
}
