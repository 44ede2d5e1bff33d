//! What a model computes, and how far it is from what others compute: an earlier run, `transformers`, the model that it was grown from.
//!
//! * [`Inputs::fixed`] are always the same for models of the same vocabulary and length, so that two runs can be compared.
//! * [`write()`] and [`Dump`] keep inputs, logits and hidden states in a safetensors file.
//! * [`ask`] has a Python with `transformers` (or `timm`) compute the same.
//! * [`Effect`] says what growing did to a model.

mod dump;
mod effect;
mod error;
mod inputs;
mod python;

pub use dump::{Dump, Values, write};
pub use effect::{Compared, Effect, compare, fits, inputs, logits};
pub use error::Error;
pub use inputs::{ImageInputs, Inputs, TextInputs};
pub use python::{Answer, Comparison, Question, ask};
