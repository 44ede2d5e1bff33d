//! What a training run minimizes, as another rank is told of it.

use std::path::PathBuf;

use ligo_arch::ModelConfig;
use ligo_growth::{LigoConfig, LigoOperator};
use ligo_pretrained::open_model;
use ligo_train::{DistillObjective, Objective, OperatorObjective, PretrainObjective};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Failure;

/// What is minimized.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Ordinary training of a model with these optional tensors.
    Pretrain {
        /// Their names.
        optional: Vec<String>,
    },
    /// The same with a teacher in this folder.
    Distill {
        /// Their names.
        optional: Vec<String>,
        /// The teacher.
        teacher: PathBuf,
    },
    /// Learning an operator from the small model in a folder.
    Learn {
        /// The small model.
        small_dir: PathBuf,
        /// Its configuration.
        small: Value,
        /// The operator.
        operator: Box<LigoConfig>,
        /// Of its starting values.
        seed: u64,
    },
}

impl Task {
    /// What a training run minimizes.
    ///
    /// # Errors
    /// A model cannot be read, or does not fit.
    pub(super) fn objective(
        self,
        config: &ModelConfig,
        device: &burn::tensor::Device,
    ) -> Result<Box<dyn Objective>, Failure> {
        let plain = |optional: &[String]| {
            let names: Vec<&str> = optional.iter().map(String::as_str).collect();
            PretrainObjective::new(config, &names, device)
        };
        Ok(match self {
            Self::Pretrain { optional } => Box::new(plain(&optional)?),
            Self::Distill { optional, teacher } => {
                let teacher = open_model(&teacher)?.at(config)?.model(device)?;
                Box::new(DistillObjective::new(plain(&optional)?, teacher))
            }
            Self::Learn {
                small_dir,
                small,
                operator,
                seed,
            } => {
                let small = ModelConfig::from_json(&small)?;
                let mut source = open_model(&small_dir)?.at(&small)?;
                let operator = LigoOperator::new(&small.table(), &config.table(), &operator, seed)?;
                Box::new(OperatorObjective::new(operator, config, &mut source.dir, device)?)
            }
        })
    }
}
