use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use ligo_arch::BertConfig;

use crate::{DropoutStream, Embedding, LayerNorm};

/// Token, position and token-type tables, their sum normalized.
#[derive(Module, Debug)]
pub struct Embeddings {
    /// `[V, D]`; also the decoder of a tied model.
    pub word_embeddings: Embedding,
    /// `[positions, D]`.
    pub position_embeddings: Embedding,
    /// `[types, D]`.
    pub token_type_embeddings: Embedding,
    /// Normalizes the sum.
    pub layer_norm: LayerNorm,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    max_tokens: usize,
    #[module(skip)]
    padding: Option<usize>,
}

impl Embeddings {
    pub(crate) fn skeleton(c: &BertConfig, device: &Device) -> Self {
        let d = c.hidden_size;
        Self {
            word_embeddings: Embedding::skeleton(c.vocab_size, d, device),
            position_embeddings: Embedding::skeleton(c.max_position_embeddings, d, device),
            token_type_embeddings: Embedding::skeleton(c.type_vocab_size, d, device),
            layer_norm: LayerNorm::skeleton(d, c.layer_norm_eps, device),
            dropout: c.hidden_dropout_prob,
            max_tokens: c.max_tokens(),
            padding: c.position_padding(),
        }
    }

    /// `dropout(LayerNorm(word[id] + position[p] + type[t]))`; every token is of type 0 when no types are given.
    ///
    /// A BERT's position `p` is the token's place `l`. A RoBERTa counts the tokens that are not padding: with padding token
    /// `n`, padding is at position `n` and the `k`-th other token of a sequence at `n + k`, `k` from 1 (`transformers`'
    /// `create_position_ids_from_input_ids`). The token itself decides what padding is, not an attention mask.
    ///
    /// # Shapes
    /// `input_ids` and `token_type_ids [B, L]`; the result is `[B, L, D]`.
    ///
    /// # Panics
    /// When `L` is more than the longest sequence, or an id or type is not in its table.
    pub fn forward(
        &self,
        input_ids: Tensor<2, Int>,
        token_type_ids: Option<Tensor<2, Int>>,
        dropout: &DropoutStream,
    ) -> Tensor<3> {
        let [_, length] = input_ids.dims();
        assert!(
            length <= self.max_tokens,
            "the sequence has {length} tokens; the model has positions for {}",
            self.max_tokens
        );
        let words = self.word_embeddings.forward(input_ids.clone());
        let x = match (self.padding, token_type_ids) {
            (None, None) => {
                let shared = self.token_type_embeddings.weight.val();
                ligo_ops::add_positions(words, self.position_embeddings.weight.val(), Some(shared))
            }
            (padding, types) => {
                let positions = match padding {
                    Some(padding) => self.position_embeddings.forward(counted(input_ids, padding)),
                    None => self.position_embeddings.first(length),
                };
                let rest = match types {
                    Some(types) => self.token_type_embeddings.forward(types) + positions,
                    None => positions + self.token_type_embeddings.first(1),
                };
                words + rest
            }
        };
        self.layer_norm.forward_dropout(x, dropout.next(self.dropout))
    }
}

/// The positions of tokens that are counted from a padding token.
///
/// # Shapes
/// `ids [B, L]`; the result is `[B, L]`.
fn counted(ids: Tensor<2, Int>, padding: usize) -> Tensor<2, Int> {
    let padding = i64::try_from(padding).unwrap_or(i64::MAX);
    let real = ids.not_equal_elem(padding).int();
    (real.clone().cumsum(1) * real).add_scalar(padding)
}
