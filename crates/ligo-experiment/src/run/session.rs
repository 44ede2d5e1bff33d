//! What all stages of a run share: who listens, what computes, whether anything is done at all.

use std::path::Path;

use burn::tensor::Device;
use ligo_arch::ModelConfig;
use ligo_checkpoint::Card;
use ligo_cost::format;
use ligo_cost::memory::Memory;
use ligo_device::Picked;
use ligo_ops::{Precision, with_precision};
use ligo_train::{ParamStore, PretrainObjective, TrainConfig};
use serde_json::Value;

use super::dataset::Dataset;
use super::guard::guarded;
use super::room::Computer;
use super::stage;
use crate::plan::Machine;
use crate::recipe::{DataSection, Recipe};
use crate::stop::STOP;
use crate::{Failure, Listener, Silent};

/// What all stages of a session share.
pub struct Session<'a> {
    /// Where messages go.
    pub listener: &'a dyn Listener,
    /// The device.
    pub device: Device,
    /// Its matmul peak in FLOP/s.
    pub peak_flops: f64,
    /// What computes, as a run's identity has it.
    pub kernels: String,
    /// The same device as plans and meters see it.
    pub machine: Machine,
    /// Stages that are not complete are errors, and nothing is written.
    pub only_looks: bool,
    /// When only looking: whether it is all the same what became of the files that complete stages wrote.
    pub only_inputs: bool,
}

impl<'a> Session<'a> {
    /// Measures the device's peak in the precision that most is computed in.
    pub fn new(listener: &'a dyn Listener, picked: &Picked, precision: Precision) -> Self {
        let peak_flops = Machine::peak_of(&picked.device, precision);
        listener.note(&format!(
            "device: {} ({}), matmul peak {} in {precision}",
            picked.name,
            picked.reason,
            format::flops_per_second(peak_flops)
        ));
        if picked.is_gpu {
            ligo_device::kernel_notes().iter().for_each(|note| listener.note(note));
        }
        Self {
            listener,
            device: picked.device.clone(),
            peak_flops,
            kernels: picked.kernels(),
            machine: Machine::new(picked, peak_flops),
            only_looks: false,
            only_inputs: false,
        }
    }

    /// Finds out whether work is complete, and does none.
    pub fn looking(picked: &Picked) -> Self {
        Self {
            listener: &Silent,
            device: picked.device.clone(),
            peak_flops: 0.0,
            kernels: picked.kernels(),
            machine: Machine::new(picked, 0.0),
            only_looks: true,
            only_inputs: false,
        }
    }

    /// Finds out whether work was done for the same inputs, whatever became of its files.
    pub fn looking_at_inputs(picked: &Picked) -> Self {
        Self {
            only_inputs: true,
            ..Self::looking(picked)
        }
    }

    /// Runs `work` unless the folder says that it is complete for these inputs and holds its `outputs`; returns the fingerprint.
    ///
    /// # Errors
    /// Those of `work`, or the folder cannot be written; in a session that only looks: it is not complete.
    pub fn stage(
        &self,
        name: &str,
        folder: &Path,
        inputs: &Value,
        outputs: &[&str],
        work: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<String, Failure> {
        match self.only_looks {
            true => stage::found(name, folder, inputs, !self.only_inputs),
            false => stage::stage(self.listener, name, folder, inputs, outputs, || {
                guarded(self.machine.is_gpu, work)
            }),
        }
    }

    /// A model card.
    pub fn card(&self, title: &str, base: Option<&Path>, method: &str, recipe: &Recipe) -> Card {
        Card {
            title: format!("{}: {title}", recipe.name),
            base_model: base.map(|dir| crate::hub::name_of(dir).unwrap_or_else(|| dir.display().to_string())),
            method: Some(method.into()),
            recipe: Some("recipe.toml".into()),
            inherited: base.map(Card::inherited).unwrap_or_default(),
            ..Card::default()
        }
    }

    /// The validation loss of a model.
    ///
    /// # Errors
    /// The model does not fit the data, or the device fails.
    pub fn evaluate(
        &self,
        config: &ModelConfig,
        store: &ParamStore,
        dataset: &Dataset,
        data: &DataSection,
        train: &TrainConfig,
    ) -> Result<f64, Failure> {
        let (_, valid) = dataset.batches(config, data, train)?;
        let objective = PretrainObjective::new(config, &[], &self.device)?;
        let loss = with_precision(train.precision, || {
            ligo_train::evaluate(&objective, store, &valid, &STOP, &mut |_| {})
        })?;
        loss.ok_or(Failure::Interrupted)
    }

    /// Says when the steps of a run will not fit into the computer's memory. What is free on a GPU is not known.
    ///
    /// # Errors
    /// They cannot fit.
    pub fn check_memory(&self, label: &str, needed: &Memory) -> Result<(), Failure> {
        match self.machine.is_gpu {
            true => Ok(()),
            false => Computer::now().check(label, needed, self.listener),
        }
    }
}
