use std::collections::HashMap;

use burn::tensor::{Device, Int, Tensor};
use ligo_arch::ModelConfig;

use crate::{BertForMaskedLm, DropoutStream, Error, MlmInputs, install};

/// A model of any family.
///
/// Cloning is cheap: tensors are shared.
#[derive(Clone, Debug)]
pub enum Model {
    /// BERT with a masked-language-model head.
    Bert(BertForMaskedLm),
}

impl Model {
    /// A model without values and without the family's optional tensors. Nothing is allocated on the device.
    ///
    /// # Errors
    /// The configuration is not valid.
    pub fn skeleton(config: &ModelConfig, device: &Device) -> Result<Self, Error> {
        Self::skeleton_with(config, &[], device)
    }

    /// A model without values that has these optional tensors, such as `bert.pooler.dense.weight`.
    ///
    /// A weight brings its bias and the other way round: [`Model::install`] asks for both.
    ///
    /// # Errors
    /// The configuration is not valid, or a name is not one of the family's optional tensors.
    pub fn skeleton_with(config: &ModelConfig, optional: &[&str], device: &Device) -> Result<Self, Error> {
        config.validate()?;
        let table = config.table();
        let known: Vec<_> = table.params().filter(|p| !p.spec.required).map(|p| p.name).collect();
        if let Some(name) = optional.iter().find(|name| !known.iter().any(|k| k == *name)) {
            return Err(Error::NotOptional {
                tensor: (*name).into(),
                family: config.model_type().into(),
                known: known.join(", "),
            });
        }
        let has = |prefix: &str| optional.iter().any(|name| name.starts_with(prefix));
        Ok(match config {
            ModelConfig::Bert(c) => {
                let (pooler, next_sentence) = (has("bert.pooler."), has("cls.seq_relationship."));
                Self::Bert(BertForMaskedLm::skeleton(c, pooler, next_sentence, device))
            }
        })
    }

    /// Gives every parameter a value.
    ///
    /// `source` is asked once for each parameter, by Hugging Face name and shape, and answers with the values in
    /// row-major order. They are stored as they are: a tracked tensor, leaf or not, stays in its graph, and the
    /// gradient of the loss flows through it. A model that already has values gets new ones.
    ///
    /// # Errors
    /// Whatever `source` returns, and [`Error::Misshapen`] when a tensor has the wrong number of values.
    pub fn install<E: From<Error>>(
        self,
        source: &mut dyn FnMut(&str, &[usize]) -> Result<Tensor<1>, E>,
    ) -> Result<Self, E> {
        Ok(match self {
            Self::Bert(m) => Self::Bert(install::install(m, source)?),
        })
    }

    /// Gives every parameter the value that the map holds under its Hugging Face name, in row-major order.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Misshapen`], or [`Error::Unexpected`] when something is left over.
    pub fn install_map(self, mut tensors: HashMap<String, Tensor<1>>) -> Result<Self, Error> {
        let model = self.install(&mut |name: &str, shape: &[usize]| {
            tensors.remove(name).ok_or_else(|| Error::Missing {
                tensor: name.into(),
                expected: shape.to_vec(),
            })
        })?;
        match tensors.into_iter().min_by(|a, b| a.0.cmp(&b.0)) {
            None => Ok(model),
            Some((tensor, values)) => Err(Error::Unexpected {
                tensor,
                found: values.dims()[0],
            }),
        }
    }

    /// The Hugging Face name and the shape of every parameter. A tied decoder is not one.
    pub fn param_shapes(&self) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::Bert(m) => install::param_shapes(m),
        }
    }

    /// Mean over the masked positions of `-log softmax(logits)[label]`. The head runs at these positions only.
    ///
    /// # Shapes
    /// See [`MlmInputs`]; the result has one element, 0 when no label counts.
    ///
    /// # Panics
    /// When a sequence is longer than the model's position table, or an id, type, label or masked position is out
    /// of range; and on a skeleton.
    pub fn loss(&self, inputs: &MlmInputs, dropout: &DropoutStream) -> Tensor<1> {
        match self {
            Self::Bert(m) => m.loss(inputs, dropout),
        }
    }

    /// Logits at every position, without dropout.
    ///
    /// # Shapes
    /// `input_ids` and `token_type_ids [B, L]`; `attention_mask [B, L]`, 1 for a token and 0 for padding; the
    /// result is `[B, L, V]`.
    ///
    /// # Panics
    /// As [`Model::loss`].
    pub fn logits(
        &self,
        input_ids: Tensor<2, Int>,
        token_type_ids: Option<Tensor<2, Int>>,
        attention_mask: Option<Tensor<2>>,
    ) -> Tensor<3> {
        match self {
            Self::Bert(m) => m.logits(input_ids, token_type_ids, attention_mask),
        }
    }

    /// Hidden states `[B, L, D]` after the embeddings and after each layer, without dropout.
    ///
    /// # Shapes
    /// As [`Model::logits`].
    ///
    /// # Panics
    /// As [`Model::loss`].
    pub fn hidden_states(
        &self,
        input_ids: Tensor<2, Int>,
        token_type_ids: Option<Tensor<2, Int>>,
        attention_mask: Option<Tensor<2>>,
    ) -> Vec<Tensor<3>> {
        match self {
            Self::Bert(m) => m.hidden_states(input_ids, token_type_ids, attention_mask),
        }
    }
}
