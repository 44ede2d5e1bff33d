use std::collections::BTreeSet;

use crate::{DropoutStream, Error, TokenDrop};

/// How one forward pass of training goes: what is dropped, which layers run, and on how many tokens.
///
/// What does not run is not computed at all. A pass is a value: two passes with the same one do the same.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Dropout of elements, attention weights and sub-layers. A site of the model keeps its number, and so its mask's seed, whatever
    /// layers run.
    pub dropout: DropoutStream,
    /// The layers that run.
    pub layers: Layers,
    /// Leaves tokens out in the middle of the stack.
    pub tokens: Option<TokenDrop>,
    /// Keeps only the states between layers for the backward pass, which computes each layer of the first stack again: gradient
    /// checkpointing (Chen et al., arXiv:1604.06174). Loss and gradients are the same, bit for bit. A layer with more than [`ligo_ops::MOST_PARAMETERS`]
    /// tensors, or with experts that are balanced, keeps all that it computed.
    pub recompute: bool,
}

impl Pass {
    /// Through all layers with all tokens.
    pub fn whole(dropout: DropoutStream) -> Self {
        Self {
            dropout,
            layers: Layers::All,
            tokens: None,
            recompute: false,
        }
    }

    /// The same with nothing dropped: an evaluation's pass, and a teacher's.
    pub fn evaluation() -> Self {
        Self::whole(DropoutStream::off())
    }

    /// Whether a model of `depth` layers can go through it. Every pass looks by itself; a program may want to know before training.
    ///
    /// # Errors
    /// [`Error::TooFewLayers`], [`Error::WrongSpan`] or [`Error::WrongShare`].
    pub fn check(&self, depth: usize) -> Result<(), Error> {
        let needed = match &self.layers {
            Layers::All => 0,
            Layers::First(count) => *count,
            Layers::Without(layers) => layers.last().map_or(0, |last| last + 1),
        };
        if needed > depth {
            return Err(Error::TooFewLayers { needed, depth });
        }
        self.tokens.as_ref().map_or(Ok(()), |tokens| tokens.check(depth))
    }
}

/// Which layers of a stack run. Of a CaiT's two stacks the first is meant; its class-attention layers always run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Layers {
    /// All of them.
    #[default]
    All,
    /// This many from below, and the head on top of them: a sub-model of bert2BERT (Chen et al., arXiv:2110.07143).
    First(usize),
    /// All but these, 0 for the lowest: the residual stream passes by, as in layer dropping (Zhang and He, arXiv:2010.13369).
    /// What remains is not scaled.
    Without(BTreeSet<usize>),
}

impl Layers {
    /// Whether layer `layer` runs, 0 for the lowest.
    pub fn contain(&self, layer: usize) -> bool {
        match self {
            Self::All => true,
            Self::First(count) => layer < *count,
            Self::Without(layers) => !layers.contains(&layer),
        }
    }
}
