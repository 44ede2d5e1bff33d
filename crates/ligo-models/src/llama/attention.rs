use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ligo_arch::LlamaConfig;
use ligo_ops::AttentionOptions;

use super::inner_norms::normalized;
use crate::heads::attend;
use crate::rotation::AttentionContext;
use crate::{DropoutStream, Linear, RmsNorm, split};

/// Causal self-attention with rotated queries and keys, of which several queries may share one.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[H·d, D]`.
    pub q_proj: Linear,
    /// `[G·d, D]`.
    pub k_proj: Linear,
    /// `[G·d, D]`.
    pub v_proj: Linear,
    /// Joins the heads, `[D, H·d]`.
    pub o_proj: Linear,
    /// Of each query, `[d]`, in Qwen3 and Gemma 3; of all of a token together, `[H·d]`, in OLMo 2.
    pub q_norm: Option<RmsNorm>,
    /// The same of keys.
    pub k_norm: Option<RmsNorm>,
    #[module(skip)]
    num_heads: usize,
    #[module(skip)]
    head_width: usize,
    /// How many positions it reaches over, where that is limited.
    #[module(skip)]
    window: Option<usize>,
    /// The factor of scores, where it is not that of the width of a head.
    #[module(skip)]
    scale: Option<f64>,
    /// Where scores level off.
    #[module(skip)]
    cap: Option<f64>,
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    output_dropout: Option<f64>,
    #[module(skip)]
    is_rotated: bool,
    /// Whether the norms are of all heads together.
    #[module(skip)]
    normalizes_together: bool,
}

/// What decides how a layer attends.
pub(crate) struct Attending {
    /// Width D of the residual stream.
    pub(crate) hidden: usize,
    /// Query heads, and key-value heads.
    pub(crate) heads: [usize; 2],
    /// Width of a head.
    pub(crate) head_width: usize,
    /// Widths of the norms of queries and of keys, where there are some, and their ε.
    pub(crate) norms: Option<[usize; 2]>,
    pub(crate) epsilon: f64,
    /// Whether queries, keys and values have biases, and whether what joins the heads has one.
    pub(crate) biases: [bool; 2],
    /// How many positions it reaches over, where that is limited.
    pub(crate) window: Option<usize>,
    /// The factor of scores, where it is not that of the width of a head, and where they level off.
    pub(crate) scale: Option<f64>,
    pub(crate) cap: Option<f64>,
    /// Dropout on attention probabilities and on what comes out.
    pub(crate) dropout: f64,
    pub(crate) output_dropout: Option<f64>,
    /// Whether queries and keys are turned by their positions.
    pub(crate) is_rotated: bool,
}

impl Attention {
    /// Without values.
    pub(crate) fn of(this: &Attending, device: &Device) -> Self {
        let d = this.hidden;
        let [all, shared] = this.heads.map(|heads| heads * this.head_width);
        let [q_norm, k_norm] = [0, 1].map(|which| {
            let width = this.norms.map(|widths| widths[which]);
            width.map(|width| RmsNorm::skeleton(width, this.epsilon, device))
        });
        let [input_bias, output_bias] = this.biases;
        let input = |width| Linear::skeleton_with(d, width, input_bias, device);
        Self {
            q_proj: input(all),
            k_proj: input(shared),
            v_proj: input(shared),
            o_proj: Linear::skeleton_with(all, d, output_bias, device),
            q_norm,
            k_norm,
            num_heads: this.heads[0],
            head_width: this.head_width,
            window: this.window,
            scale: this.scale,
            cap: this.cap,
            dropout: this.dropout,
            output_dropout: this.output_dropout,
            is_rotated: this.is_rotated,
            normalizes_together: this.norms.is_some_and(|widths| widths != [this.head_width; 2]),
        }
    }

    pub(crate) fn skeleton(c: &LlamaConfig, layer: usize, window: Option<usize>, device: &Device) -> Self {
        let heads = [c.num_attention_heads, c.key_value_heads()];
        let head_width = c.head_width();
        let attending = Attending {
            hidden: c.hidden_size,
            heads,
            head_width,
            norms: match c.normalizes_outputs() {
                true => Some(heads.map(|heads| heads * head_width)),
                false => c.has_head_norms().then_some([head_width; 2]),
            },
            epsilon: c.rms_norm_eps,
            biases: [c.has_input_bias(), c.has_output_bias()],
            window,
            scale: None,
            cap: None,
            dropout: c.attention_dropout,
            output_dropout: c.output_dropout(),
            is_rotated: c.is_rotated(layer),
        };
        Self::of(&attending, device)
    }

    /// `residual + dropout(o_proj(heads(x)))`.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        residual: Tensor<3>,
        around: &AttentionContext,
        dropout: &DropoutStream,
    ) -> Tensor<3> {
        let heads = self.heads(x, around, dropout);
        let drop = self.output_dropout.and_then(|share| dropout.next(share));
        self.o_proj.forward_add(heads, drop, residual)
    }

    /// What the heads read, side by side.
    ///
    /// # Shapes
    /// `x [B, L, D]`; the result is `[B, L, H·d]`.
    pub(crate) fn heads(&self, x: Tensor<3>, around: &AttentionContext, dropout: &DropoutStream) -> Tensor<3> {
        let x = split::enter(x);
        let parts = [&self.q_proj, &self.k_proj].map(|projection| projection.forward(x.clone()));
        let norms = [self.q_norm.as_ref(), self.k_norm.as_ref()];
        let [q, k] = normalized(parts, norms, self.normalizes_together).map(|x| match self.is_rotated {
            true => ligo_ops::rotary(x, self.head_width, &around.angles),
            false => x,
        });
        let v = self.v_proj.forward(x);
        let options = AttentionOptions {
            dropout: dropout.next(self.dropout),
            scale: self.scale,
            soft_cap: self.cap,
            ..around.visibility.attention_within(self.window, self.num_heads)
        };
        attend([q, k, v], options)
    }
}
