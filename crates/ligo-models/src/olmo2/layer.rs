use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::LlamaConfig;

use crate::llama::{Attention, DecoderLayer, FeedForward};
use crate::mixture::Ledger;
use crate::rotation::AttentionContext;
use crate::stack::Stacked;
use crate::{DropoutStream, RmsNorm};

/// One layer: attention and a gated feed-forward network, whose outputs are normalized and added to the residual stream.
#[derive(Module, Debug)]
pub struct Layer {
    /// Causal self-attention, with a norm for all queries of a token and one for all its keys.
    pub self_attn: Attention,
    /// The feed-forward network.
    pub mlp: FeedForward,
    /// Behind the attention.
    pub post_attention_layernorm: RmsNorm,
    /// Behind the feed-forward network.
    pub post_feedforward_layernorm: RmsNorm,
}

impl DecoderLayer for Layer {
    fn skeleton(c: &LlamaConfig, layer: usize, window: Option<usize>, device: &Device) -> Self {
        let norm = || RmsNorm::skeleton(c.hidden_size, c.rms_norm_eps, device);
        Self {
            self_attn: Attention::skeleton(c, layer, window, device),
            mlp: FeedForward::skeleton(c, device),
            post_attention_layernorm: norm(),
            post_feedforward_layernorm: norm(),
        }
    }

    fn context(tokens: AttentionContext, _: Option<Ledger>) -> AttentionContext {
        tokens
    }
}

impl Stacked for Layer {
    type Context = AttentionContext;

    // Attention weights.
    const SITES: u64 = 1;

    /// `a = x + norm(attention(x))`, then `a + norm(mlp(a))`.
    fn forward(&self, x: Tensor<3>, around: &AttentionContext, dropout: &DropoutStream) -> Tensor<3> {
        let heads = self.self_attn.heads(x.clone(), around, dropout);
        let attended = self.self_attn.o_proj.join(heads);
        let x = x + self.post_attention_layernorm.forward(attended);
        let inner = self.mlp.neurons(x.clone());
        let given = self.mlp.down_proj.join(inner);
        x + self.post_feedforward_layernorm.forward(given)
    }
}
