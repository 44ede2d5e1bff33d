use ligo_growth::{LigoConfig, OperatorSpec};
use serde::{Deserialize, Serialize};

/// Choosing the operator by the loss after some steps of training: the loss right after growth says little about where training leads
/// (landscape-aware growing, arXiv:2406.02469).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelectSection {
    /// What is tried, by name or with settings; without any, every fixed operator that can grow the pair.
    pub candidates: Vec<Candidate>,
    /// Steps of training before the losses are compared.
    pub lag_steps: u64,
}

impl Default for SelectSection {
    fn default() -> Self {
        Self {
            candidates: Vec::new(),
            lag_steps: 100,
        }
    }
}

/// An operator to try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Candidate {
    /// By name; `ligo` is the recipe's own.
    Name(String),
    /// With settings.
    Operator(OperatorSpec),
}

impl Candidate {
    /// The operator; `None` when there is none of this name.
    pub(super) fn operator(&self, ligo: &LigoConfig) -> Option<OperatorSpec> {
        match self {
            Self::Operator(spec) => Some(spec.clone()),
            Self::Name(name) if name == "ligo" => Some(OperatorSpec::Ligo(ligo.clone())),
            Self::Name(name) => OperatorSpec::from_name(name),
        }
    }
}

/// The operators of a method that tries several.
#[derive(Clone, Debug)]
pub struct Selection {
    /// What is tried.
    pub candidates: Vec<OperatorSpec>,
    /// Steps before the losses are compared.
    pub lag_steps: u64,
}
