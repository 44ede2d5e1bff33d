use std::ops::Range;

use crate::dims::TransformerDims;
use crate::{electra, exact};

/// What ran in one training step, where that was not the whole model: layers and tokens that were left out, parts that were not trained.
///
/// What does not run costs nothing. Of a product that runs, three things can be needed, each as large as the product itself: its result, the
/// gradient of what it reads and the gradient of its weights. Gradients go from the loss down to the lowest trained part and end there.
///
/// ```
/// use ligo_cost::{PartialPass, TransformerDims, exact};
///
/// let dims = TransformerDims::bert(12, 768);
/// let whole = PartialPass::whole(&dims);
/// assert_eq!(whole.exact_flops(&dims, 256), exact::train_step_flops(&dims, 256));
///
/// // 15 % of 128 tokens dropped in layers 3 to 10, the uppermost three layers trained: MSLT with token dropping.
/// let part = whole.with_tokens(3..11, 109).trained_from(9);
/// let share = part.exact_flops(&dims, 256) / exact::train_step_flops(&dims, 256);
/// assert_eq!(format!("{share:.3}"), "0.466");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialPass {
    /// The layers of the model, lowest first; without class-attention layers, which are counted as part of the head.
    pub layers: Vec<LayerRun>,
    /// Whether what is below the layers is trained: embeddings, the projection of patches.
    pub trains_embeddings: bool,
    /// Whether what is above them is trained: the head, and class-attention layers where there are any.
    pub trains_head: bool,
    /// Whether the layers that gradients reach are computed once more in the backward pass: gradient checkpointing.
    pub recomputes_layers: bool,
}

/// What one layer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerRun {
    /// Tokens of each sequence that it processed; 0 when it did not run.
    pub tokens: usize,
    /// Whether it was trained.
    pub trained: bool,
}

impl PartialPass {
    /// Everything runs and is trained: costs what [`exact::train_step_flops`] and [`electra::train_step_flops`] say.
    #[must_use]
    pub fn whole(dims: &TransformerDims) -> Self {
        let layer = LayerRun {
            tokens: dims.seq_len,
            trained: true,
        };
        Self {
            layers: vec![layer; dims.layers],
            trains_embeddings: true,
            trains_head: true,
            recomputes_layers: false,
        }
    }

    /// Everything runs and nothing is trained: the forward pass of a teacher.
    #[must_use]
    pub fn forward(dims: &TransformerDims) -> Self {
        Self {
            trains_head: false,
            ..Self::whole(dims).trained_from(dims.layers)
        }
    }

    /// Only the lowest `count` layers run, and the head on top of them.
    #[must_use]
    pub fn first(self, count: usize) -> Self {
        let above = count..self.layers.len();
        self.without(above)
    }

    /// These layers do not run, 0 for the lowest.
    #[must_use]
    pub fn without(mut self, layers: impl IntoIterator<Item = usize>) -> Self {
        for i in layers {
            if let Some(layer) = self.layers.get_mut(i) {
                layer.tokens = 0;
            }
        }
        self
    }

    /// These layers process `tokens` tokens of each sequence where they run.
    #[must_use]
    pub fn with_tokens(mut self, layers: Range<usize>, tokens: usize) -> Self {
        let middle = self.layers.iter_mut().take(layers.end).skip(layers.start);
        for layer in middle.filter(|layer| layer.tokens > 0) {
            layer.tokens = tokens;
        }
        self
    }

    /// Embeddings and the layers below `layer` are frozen.
    #[must_use]
    pub fn trained_from(mut self, layer: usize) -> Self {
        self.trains_embeddings = false;
        self.layers
            .iter_mut()
            .take(layer)
            .for_each(|layer| layer.trained = false);
        self
    }

    /// Layers are computed once more in the backward pass.
    #[must_use]
    pub fn recomputed(mut self) -> Self {
        self.recomputes_layers = true;
        self
    }

    /// FLOPs of the products that really happen in one step, as [`exact`] counts them.
    ///
    /// A layer that runs on `S'` tokens of each sequence costs
    ///
    /// * forward what [`exact::ForwardFlops`] says, with `S'` for `S`;
    /// * as much again for the gradients of what its products read, when it or anything below it is trained. When nothing below it is,
    ///   queries, keys and values need none of their inputs: `2·N·D·(Q + 2·K)` less;
    /// * once more what it costs forward when it is recomputed and gradients get that far;
    /// * the gradients of weights when it is trained itself: as much as its projections and feed-forward network forward. The two products
    ///   of attention have no weights; there the gradient of the other factor takes their place, whenever gradients get that far.
    ///
    /// The head follows the same rules, at its predicted tokens whatever the layers ran on, and so do layers of class attention, which always
    /// compute the gradient of what they read. Patches have no gradient of their pixels.
    #[must_use]
    pub fn exact_flops(&self, dims: &TransformerDims, batch_sequences: usize) -> f64 {
        let (mut results, mut inputs, mut weights) = (0.0, 0.0, 0.0);

        // The projection of patches; 0 for text.
        let patches = exact::patch_flops(dims, batch_sequences);
        // That of tokens, whose table learns through it.
        let tokens = exact::token_flops(dims, batch_sequences);
        results += patches + tokens;
        if self.trains_embeddings {
            weights += patches + tokens;
            inputs += tokens;
        }

        // Whether anything below is trained.
        let mut below = self.trains_embeddings;
        for run in self.layers.iter().filter(|run| run.tokens > 0) {
            let layer = exact::layer_flops(dims, batch_sequences, run.tokens, run.tokens);
            results += layer.total();
            if run.trained || below {
                if self.recomputes_layers {
                    results += layer.total();
                }
                inputs += layer.total() - if below { 0.0 } else { layer.inputs };
                weights += layer.attention;
            }
            if run.trained {
                weights += layer.projections() + layer.ffn;
            }
            below |= run.trained;
        }

        let class_layer = exact::class_layer_flops(dims, batch_sequences);
        for _ in 0..dims.class_layers {
            results += class_layer.total();
            if self.trains_head || below {
                inputs += class_layer.total();
                weights += class_layer.attention;
            }
            if self.trains_head {
                weights += class_layer.projections() + class_layer.ffn;
            }
            below |= self.trains_head;
        }

        let head = exact::head_flops(dims, batch_sequences);
        results += head.total();
        if below {
            inputs += head.total();
        } else if self.trains_head && head.transform > 0.0 {
            // The layer in front of the logits learns from the gradient of what they read.
            inputs += head.output;
        }
        if self.trains_head {
            weights += head.total();
        }
        results + inputs + weights
    }

    /// FLOPs of one step as [`electra`] counts them: a part that gradients reach costs as much backward as forward.
    ///
    /// That counter knows no difference between the gradients of inputs and of weights, so a frozen part above a trained one is counted like
    /// a trained one. Word look-ups are products for it: with frozen embeddings they cost their forward half.
    #[must_use]
    pub fn electra_flops(&self, dims: &TransformerDims, batch_sequences: usize) -> f64 {
        let whole = electra::forward_flops(dims);
        let (mut forward, mut backward) = (0.0, 0.0);
        let mut below = self.trains_embeddings;
        for run in self.layers.iter().filter(|run| run.tokens > 0) {
            let layer = electra::layer_flops(&TransformerDims {
                seq_len: run.tokens,
                ..*dims
            });
            forward += layer;
            below |= run.trained;
            if below {
                if self.recomputes_layers {
                    forward += layer;
                }
                backward += layer;
            }
        }
        forward += whole.embeddings + whole.output;
        if self.trains_embeddings {
            backward += whole.embeddings;
        }
        if self.trains_head || below {
            backward += whole.output;
        }
        batch_sequences as f64 * (forward + backward)
    }
}
