use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::{Experts, LlamaConfig};

use super::routing::{Around, Ledger, Routing, indices};
use crate::llama::{Attention, DecoderLayer, FeedForward};
use crate::rotation::AttentionContext;
use crate::stack::Stacked;
use crate::{DropoutStream, Linear, RmsNorm};

/// One layer: attention and a few of several feed-forward networks, each behind a normalization and added to the residual stream.
#[derive(Module, Debug)]
pub struct Layer {
    /// Causal self-attention.
    pub self_attn: Attention,
    /// The feed-forward networks.
    pub mlp: FeedForwards,
    /// In front of the attention.
    pub input_layernorm: RmsNorm,
    /// In front of the feed-forward networks.
    pub post_attention_layernorm: RmsNorm,
}

/// Several feed-forward networks with a router, or one without.
#[derive(Module, Debug)]
pub struct FeedForwards {
    /// The router, `[E, D]`.
    pub gate: Option<Linear>,
    /// The networks that it chooses from.
    pub experts: Vec<FeedForward>,
    /// The network of a layer without experts.
    pub dense: Option<FeedForward>,
    #[module(skip)]
    routed: Option<Experts>,
}

impl DecoderLayer for Layer {
    fn skeleton(c: &LlamaConfig, layer: usize, window: Option<usize>, device: &Device) -> Self {
        let norm = || RmsNorm::skeleton(c.hidden_size, c.rms_norm_eps, device);
        Self {
            self_attn: Attention::skeleton(c, layer, window, device),
            mlp: FeedForwards::skeleton(c, layer, device),
            input_layernorm: norm(),
            post_attention_layernorm: norm(),
        }
    }

    fn context(tokens: AttentionContext, ledger: Option<Ledger>) -> Around {
        Around { tokens, ledger }
    }
}

impl Stacked for Layer {
    type Context = Around;

    // Attention weights.
    const SITES: u64 = 1;

    /// `a = x + attention(norm(x))`, then `a + mlp(norm(a))`.
    fn forward(&self, x: Tensor<3>, around: &Around, dropout: &DropoutStream) -> Tensor<3> {
        let normal = self.input_layernorm.forward(x.clone());
        let x = self.self_attn.forward(normal, x, &around.tokens, dropout);
        let normal = self.post_attention_layernorm.forward(x.clone());
        x + self.mlp.forward(normal, around)
    }

    /// What routers do is noted once.
    fn may_run_again(&self, around: &Around) -> bool {
        around.ledger.is_none()
    }
}

impl FeedForwards {
    fn skeleton(c: &LlamaConfig, layer: usize, device: &Device) -> Self {
        let routed = c.experts().filter(|_| c.is_sparse(layer));
        let network = |neurons| FeedForward::skeleton_of(c, neurons, device);
        Self {
            gate: routed.map(|experts| Linear::skeleton_with(c.hidden_size, experts.count, false, device)),
            experts: routed.map_or(Vec::new(), |experts| {
                (0..experts.count).map(|_| network(experts.neurons)).collect()
            }),
            dense: routed.is_none().then(|| network(c.intermediate_size)),
            routed,
        }
    }

    /// Of each token `Σ_s w_s · expert_s(x)` over the experts that it goes through, as far as there are some.
    ///
    /// # Shapes
    /// `x` and the result `[B, L, D]`.
    fn forward(&self, x: Tensor<3>, around: &Around) -> Tensor<3> {
        let [batch, length, width] = x.dims();
        if let Some(dense) = &self.dense {
            return dense.down_proj.join(dense.neurons(x));
        }
        let (Some(gate), Some(experts)) = (&self.gate, self.routed) else {
            return x.zeros_like();
        };
        let tokens = x.reshape([batch * length, width]);
        let routing = Routing::new(gate.forward(tokens.clone()), experts.active);
        routing.note(around);
        let (by_expert, places) = routing.by_expert();
        let device = tokens.device();
        let given = self.experts.iter().zip(by_expert).filter(|(_, rows)| !rows.is_empty());
        let given = given.map(|(expert, rows)| {
            let own = ligo_ops::rows(tokens.clone(), indices(&rows, &device));
            expert.down_proj.forward(expert.neurons(own))
        });
        let given = Tensor::cat(given.collect(), 0);
        let by_token = ligo_ops::rows(given, indices(&places, &device));
        let by_token = by_token.reshape([batch * length, experts.active, width]);
        let weighted = by_token * routing.weights(experts).unsqueeze_dim(2);
        weighted.sum_dim(1).reshape([batch, length, width])
    }
}
