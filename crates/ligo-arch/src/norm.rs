/// How a family normalizes its residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Norm {
    /// What is computed.
    pub kind: NormKind,
    /// Where.
    pub place: NormPlace,
}

/// What a normalization divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// `(x − mean) / √(variance + ε)` (LayerNorm).
    Layer,
    /// `x / √(mean of squares + ε)` (RMSNorm).
    Rms,
}

/// Where layers normalize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlace {
    /// Each sub-layer normalizes what it reads, and its output is added as it is: a sub-layer that outputs zero has no effect.
    Before,
    /// Each sub-layer normalizes the sum of its input and its output.
    After,
    /// Each sub-layer reads the residual stream as it is and normalizes its output, which is then added: with gains of zero it has no effect.
    Output,
}
