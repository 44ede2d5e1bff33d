use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::{HiddenAct, LayerType, ModernBertConfig};
use ligo_ops::AttentionOptions;

use crate::heads::attend;
use crate::rotation::{Around, AttentionContext};
use crate::stack::Stacked;
use crate::{DropoutStream, LayerNorm, Linear, split};

/// One layer: attention and a gated feed-forward network, each behind a normalization and added to the residual stream.
#[derive(Module, Debug)]
pub struct Layer {
    /// In front of the attention; the first layer has none, since embeddings are normalized.
    pub attn_norm: Option<LayerNorm>,
    /// Self-attention.
    pub attn: Attention,
    /// In front of the feed-forward network.
    pub mlp_norm: LayerNorm,
    /// The feed-forward network.
    pub mlp: FeedForward,
    #[module(skip)]
    kind: LayerType,
}

/// Self-attention with rotated queries and keys.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[D, D]`, as the others; files hold the three of them as one.
    pub query: Linear,
    /// `[D, D]`.
    pub key: Linear,
    /// `[D, D]`.
    pub value: Linear,
    /// Joins the heads.
    pub out: Linear,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    head_width: usize,
    /// How many positions it reaches over, half of them to either side, where that is limited.
    #[module(skip)]
    window: Option<usize>,
    #[module(skip)]
    dropout: f64,
}

/// GeGLU: one projection gates the other (Shazeer, arXiv:2002.05202).
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[F, D]`; files hold it and the next one as one.
    pub gate: Linear,
    /// `[F, D]`.
    pub neurons: Linear,
    /// `[D, F]`.
    pub out: Linear,
    #[module(skip)]
    activation: HiddenAct,
    #[module(skip)]
    dropout: f64,
}

impl Layer {
    pub(super) fn skeleton(
        c: &ModernBertConfig,
        layer: usize,
        (window, kind): (Option<usize>, LayerType),
        device: &Device,
    ) -> Self {
        let (d, f) = (c.hidden_size, c.intermediate_size);
        let norm = || LayerNorm::skeleton_with(d, c.norm_eps, c.norm_bias, device);
        let attention = || Linear::skeleton_with(d, d, c.attention_bias, device);
        let neurons = |inputs, outputs| Linear::skeleton_with(inputs, outputs, c.mlp_bias, device);
        Self {
            attn_norm: c.normalizes_input(layer).then(norm),
            attn: Attention {
                query: attention(),
                key: attention(),
                value: attention(),
                out: attention(),
                heads: c.num_attention_heads,
                head_width: c.head_width(),
                window,
                dropout: c.attention_dropout,
            },
            mlp_norm: norm(),
            mlp: FeedForward {
                gate: neurons(d, f),
                neurons: neurons(d, f),
                out: neurons(f, d),
                activation: c.hidden_activation,
                dropout: c.mlp_dropout,
            },
            kind,
        }
    }
}

impl Stacked for Layer {
    type Context = Around;

    // Attention weights, what attention gives, neurons.
    const SITES: u64 = 3;

    /// `a = x + attention(norm(x))`, then `a + mlp(norm(a))`.
    fn forward(&self, x: Tensor<3>, around: &Around, dropout: &DropoutStream) -> Tensor<3> {
        let normal = match &self.attn_norm {
            Some(norm) => norm.forward(x.clone()),
            None => x.clone(),
        };
        let x = self.attn.forward(normal, x, around.of(self.kind), dropout);
        let normal = self.mlp_norm.forward(x.clone());
        self.mlp.forward(normal, x, dropout)
    }
}

impl Attention {
    /// `residual + dropout(out(heads(x)))`.
    fn forward(
        &self,
        x: Tensor<3>,
        residual: Tensor<3>,
        around: &AttentionContext,
        dropout: &DropoutStream,
    ) -> Tensor<3> {
        let x = split::enter(x);
        let [q, k] = [&self.query, &self.key].map(|linear| {
            let heads = linear.forward(x.clone());
            ligo_ops::rotary(heads, self.head_width, &around.angles)
        });
        let v = self.value.forward(x);
        let options = AttentionOptions {
            dropout: dropout.next(self.dropout),
            ..around.visibility.both_ways(self.window, self.heads)
        };
        let heads = attend([q, k, v], options);
        self.out.forward_add(heads, dropout.next(self.dropout), residual)
    }
}

impl FeedForward {
    /// `residual + out(dropout(act(gate(x)) · neurons(x)))`.
    fn forward(&self, x: Tensor<3>, residual: Tensor<3>, dropout: &DropoutStream) -> Tensor<3> {
        let x = split::enter(x);
        let gate = self.gate.forward_activated(x.clone(), self.activation);
        let drop = split::own(dropout.next(self.dropout));
        let inner = ligo_ops::dropout(gate * self.neurons.forward(x), drop);
        self.out.forward_add(inner, None, residual)
    }
}
