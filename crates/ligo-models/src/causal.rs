use std::collections::HashMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_ops::{AttentionOptions, traffic};

use crate::network::{Network, text, wrong};
use crate::stack::Context;
use crate::token_drop::Division;
use crate::{CausalInputs, Error, Features, HeadScores, Inputs, Pass, Scores, TextFeatures, stack};

/// What a decoder reads: tokens, and which of them see each other.
#[derive(Clone, Debug)]
pub(crate) struct CausalInput {
    /// `[B, L]`.
    pub(crate) input_ids: Tensor<2, Int>,
    /// `[B, L]`; absent where they are `0, 1, …` in every sequence or follow from the documents.
    position_ids: Option<Tensor<2, Int>>,
    /// What its layers need to know of them.
    pub(crate) visibility: Visibility,
}

/// Which tokens may see each other, besides that none sees a later one.
#[derive(Clone, Debug)]
pub(crate) struct Visibility {
    /// `[B, L]`, 0 at padding.
    attention_mask: Option<Tensor<2>>,
    /// `[B, L]`.
    documents: Option<Tensor<2, Int>>,
    /// Tokens of a whole sequence.
    length: usize,
    /// `[B, L]`, where tokens stand in their sequence, where others were left out.
    places: Option<Tensor<2, Int>>,
}

impl From<&TextFeatures> for CausalInput {
    /// Padding is hidden; it does not shift the positions of the tokens behind it, as in `transformers` when it is
    /// given no positions.
    fn from(text: &TextFeatures) -> Self {
        Self {
            input_ids: text.input_ids.clone(),
            position_ids: None,
            visibility: Visibility {
                attention_mask: text.attention_mask.clone(),
                documents: None,
                length: text.input_ids.dims()[1],
                places: None,
            },
        }
    }
}

impl From<&CausalInputs> for CausalInput {
    fn from(inputs: &CausalInputs) -> Self {
        Self {
            input_ids: inputs.input_ids.clone(),
            position_ids: inputs.position_ids.clone(),
            visibility: Visibility {
                attention_mask: None,
                documents: inputs.documents.clone(),
                length: inputs.input_ids.dims()[1],
                places: None,
            },
        }
    }
}

impl CausalInput {
    /// Where its tensors are.
    pub(crate) fn device(&self) -> Device {
        self.input_ids.device()
    }

    /// The position of each token, `[B, L]`, counted from the first token of its document; `None` when they are `0, 1, …` in every
    /// sequence.
    pub(crate) fn position_ids(&self) -> Option<Tensor<2, Int>> {
        if self.position_ids.is_some() {
            return self.position_ids.clone();
        }
        let documents = self.visibility.documents.as_ref()?;
        let [batch, length] = documents.dims();
        let documents: Vec<i64> = documents.to_data().iter().collect();
        let mut positions = Vec::with_capacity(documents.len());
        for sequence in documents.chunks_exact(length.max(1)) {
            let mut begins = HashMap::new();
            let own = sequence.iter().enumerate();
            positions.extend(own.map(|(i, document)| (i - *begins.entry(document).or_insert(i)) as i64));
        }
        Some(traffic::upload(
            TensorData::new(positions, [batch, length]),
            &self.device(),
        ))
    }
}

impl CausalInput {
    /// Where each token is that counts the tokens in front of it without padding, `[B, L]`; padding itself is at -1. Without a mask as
    /// [`CausalInput::position_ids`].
    pub(crate) fn counted_position_ids(&self) -> Option<Tensor<2, Int>> {
        match &self.visibility.attention_mask {
            Some(mask) => Some((mask.clone().cumsum(1) * mask.clone()).int().sub_scalar(1)),
            None => self.position_ids(),
        }
    }
}

impl Visibility {
    /// Causal attention of `num_heads` query heads.
    pub(crate) fn attention(&self, num_heads: usize) -> AttentionOptions {
        AttentionOptions {
            num_heads,
            key_padding_mask: self.attention_mask.clone(),
            documents: self.documents.clone(),
            causal: true,
            ..AttentionOptions::default()
        }
    }

    /// `[B, L]`, 0 at padding, where there is any.
    pub(crate) fn mask(&self) -> Option<Tensor<2>> {
        self.attention_mask.clone()
    }

    /// The same with a window, where there is one. Tokens that were left out count, so that the window reaches as far back in the text as it does with
    /// them.
    pub(crate) fn attention_within(&self, window: Option<usize>, num_heads: usize) -> AttentionOptions {
        // One as long as the sequence hides nothing.
        let window = window.filter(|window| *window < self.length);
        AttentionOptions {
            window,
            positions: window.and(self.places.clone()),
            ..self.attention(num_heads)
        }
    }
}

impl Visibility {
    /// Attention to both sides, of which a window reaches over half to either.
    pub(crate) fn both_ways(&self, window: Option<usize>, num_heads: usize) -> AttentionOptions {
        let window = window.filter(|window| window / 2 + 1 < self.length);
        AttentionOptions {
            causal: false,
            window,
            positions: window.and(self.places.clone()),
            ..self.attention(num_heads)
        }
    }
}

impl Context for Visibility {
    fn for_kept(&self, tokens: &Division) -> Self {
        Self {
            attention_mask: self.attention_mask.for_kept(tokens),
            documents: self.documents.clone().map(|documents| tokens.keep_ids(documents)),
            length: self.length,
            places: Some(tokens.places()),
        }
    }
}

/// A decoder with a head for next tokens: what its network is made of.
pub(crate) trait NextTokens {
    /// Hidden states behind the last layer. Shows `inspect` what goes into the first layer and what comes out of each.
    fn hidden(&self, input: &CausalInput, pass: &Pass, inspect: &mut dyn FnMut(&Tensor<3>))
    -> Result<Tensor<3>, Error>;

    /// Those states in training, and what the loss has beside the cross entropy.
    fn learn(&self, input: &CausalInput, pass: &Pass) -> Result<(Tensor<3>, Option<Tensor<1>>), Error> {
        Ok((self.hidden(input, pass, &mut |_| {})?, None))
    }

    /// Logits from those states.
    fn predict(&self, hidden: Tensor<3>) -> Tensor<3>;
}

impl<D: NextTokens> Network for D {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error> {
        let inputs = causal(inputs)?;
        let (hidden, added) = self.learn(&inputs.into(), pass)?;
        let scores = next_token_scores(self.predict(hidden), inputs.labels.clone());
        Ok(Scores { added, ..scores })
    }

    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error> {
        let input = text(features)?.into();
        let hidden = self.hidden(&input, &Pass::evaluation(), &mut |_| {})?;
        Ok(self.predict(hidden))
    }

    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error> {
        let input = text(features)?.into();
        stack::states(|inspect| self.hidden(&input, &Pass::evaluation(), inspect))
    }
}

/// A batch of next tokens.
fn causal(inputs: &Inputs) -> Result<&CausalInputs, Error> {
    match inputs {
        Inputs::Causal(inputs) => Ok(inputs),
        other => Err(wrong("next tokens", other)),
    }
}

/// What is said of the token behind each.
///
/// # Shapes
/// `logits [B, L, V]`, `labels [B, L]`.
fn next_token_scores(logits: Tensor<3>, labels: Tensor<2, Int>) -> Scores {
    let [batch, length, vocab] = logits.dims();
    let logits = logits.reshape([batch * length, vocab]);
    HeadScores::labeled(logits, labels.reshape([batch * length])).into()
}
