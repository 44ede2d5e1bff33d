/// The parameters that are trained: all above a line, and the embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trained {
    /// Whether the embeddings are trained.
    pub embeddings: bool,
    /// The lowest layer that is trained, from 0.
    pub from_layer: usize,
}

impl Default for Trained {
    /// Everything.
    fn default() -> Self {
        Self {
            embeddings: true,
            from_layer: 0,
        }
    }
}

impl Trained {
    /// What both train.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            embeddings: self.embeddings && other.embeddings,
            from_layer: self.from_layer.max(other.from_layer),
        }
    }
}
