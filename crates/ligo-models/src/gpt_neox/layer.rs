use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::GptNeoxConfig;

use crate::decoder::{Heads, Neurons};
use crate::gpt2::QueryKeyValue;
use crate::rotation::AttentionContext;
use crate::stack::Stacked;
use crate::{DropoutStream, LayerNorm, Linear, split};

/// One layer: attention and a feed-forward network, each behind a normalization and added to the residual stream.
#[derive(Module, Debug)]
pub struct Layer {
    /// In front of the attention.
    pub input_layernorm: LayerNorm,
    /// Causal self-attention.
    pub attention: Attention,
    /// In front of the feed-forward network.
    pub post_attention_layernorm: LayerNorm,
    /// The feed-forward network.
    pub mlp: FeedForward,
    #[module(skip)]
    is_parallel: bool,
}

/// Causal self-attention, in which a part of each query and key is rotated.
#[derive(Module, Debug)]
pub struct Attention {
    /// Queries, keys and values; files hold the three as one.
    pub query_key_value: QueryKeyValue,
    /// Joins the heads, `[D, D]`.
    pub dense: Linear,
    #[module(skip)]
    head_width: usize,
    #[module(skip)]
    heads: Heads,
}

/// Two matrices with an activation between them.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[F, D]`.
    pub dense_h_to_4h: Linear,
    /// `[D, F]`.
    pub dense_4h_to_h: Linear,
    #[module(skip)]
    neurons: Neurons,
}

impl Layer {
    pub(super) fn skeleton(c: &GptNeoxConfig, device: &Device) -> Self {
        let (d, f) = (c.hidden_size, c.intermediate_size);
        let norm = || LayerNorm::skeleton(d, c.layer_norm_eps, device);
        let square = || Linear::skeleton_with(d, d, c.attention_bias, device);
        Self {
            input_layernorm: norm(),
            attention: Attention {
                query_key_value: QueryKeyValue {
                    query: square(),
                    key: square(),
                    value: square(),
                },
                dense: square(),
                head_width: c.head_width(),
                heads: Heads {
                    count: c.num_attention_heads,
                    dropout: c.attention_dropout,
                    output_dropout: c.hidden_dropout,
                },
            },
            post_attention_layernorm: norm(),
            mlp: FeedForward {
                dense_h_to_4h: Linear::skeleton(d, f, device),
                dense_4h_to_h: Linear::skeleton(f, d, device),
                neurons: Neurons {
                    activation: c.hidden_act,
                    dropout: c.hidden_dropout,
                },
            },
            is_parallel: c.use_parallel_residual,
        }
    }
}

impl Stacked for Layer {
    type Context = AttentionContext;

    // Attention weights, and the output of either part.
    const SITES: u64 = 3;

    /// `a = x + attention(norm₁(x))`, then `a + mlp(norm₂(x))` where the two are parallel and `a + mlp(norm₂(a))` where they are not.
    fn forward(&self, x: Tensor<3>, around: &AttentionContext, dropout: &DropoutStream) -> Tensor<3> {
        let normal = self.input_layernorm.forward(x.clone());
        let attended = self.attention.forward(normal, x.clone(), around, dropout);
        let read = if self.is_parallel { x } else { attended.clone() };
        let FeedForward {
            dense_h_to_4h,
            dense_4h_to_h,
            neurons,
        } = &self.mlp;
        let normal = self.post_attention_layernorm.forward(read);
        neurons.forward([dense_h_to_4h, dense_4h_to_h], normal, attended, dropout)
    }
}

impl Attention {
    /// `residual + dropout(dense(heads(x)))`.
    fn forward(
        &self,
        x: Tensor<3>,
        residual: Tensor<3>,
        around: &AttentionContext,
        dropout: &DropoutStream,
    ) -> Tensor<3> {
        let QueryKeyValue { query, key, value } = &self.query_key_value;
        let x = split::enter(x);
        let [q, k] = [query, key]
            .map(|projection| ligo_ops::rotary(projection.forward(x.clone()), self.head_width, &around.angles));
        let parts = [q, k, value.forward(x)];
        self.heads
            .forward(parts, &around.visibility, &self.dense, residual, dropout)
    }
}
