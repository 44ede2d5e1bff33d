use burn::tensor::{Int, Tensor};

/// One batch of masked-language-model training: what the model reads and what it should say.
///
/// `B` sequences of `L` tokens, of which `N` in all are masked.
#[derive(Clone, Debug)]
pub struct MlmInputs {
    /// Token ids `[B, L]`, masked ones already replaced.
    pub input_ids: Tensor<2, Int>,
    /// Token types `[B, L]`; all 0 when absent.
    pub token_type_ids: Option<Tensor<2, Int>>,
    /// `[B, L]`, 1 for a token and 0 for padding; all 1 when absent.
    pub attention_mask: Option<Tensor<2>>,
    /// Where predictions count, `[N]`: `b · L + l` for position `l` of sequence `b`.
    pub masked_positions: Tensor<1, Int>,
    /// The original token at each of these positions, `[N]`; a negative label is not counted.
    pub labels: Tensor<1, Int>,
}
