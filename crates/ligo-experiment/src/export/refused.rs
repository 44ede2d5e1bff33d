use miette::Diagnostic;
use thiserror::Error;

/// Why a run is not handed over to another program.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
pub enum Refused {
    /// The run asks for what the scripts have no counterpart of.
    #[error("what is written for {program} cannot do this: {}", asked.join(", "))]
    #[diagnostic(help("leave it out, or train with `ligo train`, which has it"))]
    Settings {
        /// Who was to train it.
        program: &'static str,
        /// What it would have to do.
        asked: Vec<String>,
    },
    /// A family that torchtitan has not.
    #[error("torchtitan has no {found}: of the families that ligo grows it knows {known}")]
    #[diagnostic(help("`ligo export --for accelerate` writes a run of any language model"))]
    Family {
        /// `model_type` of the model.
        found: String,
        /// Those of the models that can be handed over.
        known: String,
    },
    /// A model of such a family that differs from torchtitan's.
    #[error("torchtitan's {family} has no {}", has.join(", no "))]
    #[diagnostic(help("`ligo export --for accelerate` writes a run of any language model"))]
    Model {
        /// `model_type` of the model.
        family: String,
        /// What the model has and torchtitan's has not.
        has: Vec<String>,
    },
}
