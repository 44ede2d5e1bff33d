use burn::tensor::Tensor;

use crate::{
    Error, Features, ImageInputs, Inputs, MlmInputs, Pass, ReplacedInputs, Scores, SequenceInputs, SpanInputs,
    TextFeatures,
};

/// What every family's module can do; see the methods of [`Model`](crate::Model).
pub(crate) trait Network {
    fn scores(&self, inputs: &Inputs, pass: &Pass) -> Result<Scores, Error>;
    fn logits(&self, features: &Features) -> Result<Tensor<3>, Error>;
    fn hidden_states(&self, features: &Features) -> Result<Vec<Tensor<3>>, Error>;
}

/// The text that a model of text reads.
pub(crate) fn text(features: &Features) -> Result<&TextFeatures, Error> {
    match features {
        Features::Text(text) => Ok(text),
        Features::Images(_) => Err(Error::WrongFeatures {
            expected: "text",
            found: "images",
        }),
    }
}

/// The pixels that a model of images reads.
pub(crate) fn pixels(features: &Features) -> Result<&Tensor<4>, Error> {
    match features {
        Features::Images(pixels) => Ok(pixels),
        Features::Text(_) => Err(Error::WrongFeatures {
            expected: "images",
            found: "text",
        }),
    }
}

/// A batch of masked tokens.
pub(crate) fn masked(inputs: &Inputs) -> Result<&MlmInputs, Error> {
    match inputs {
        Inputs::Masked(inputs) => Ok(inputs),
        other => Err(wrong("masked tokens", other)),
    }
}

/// A batch of images with classes.
pub(crate) fn images(inputs: &Inputs) -> Result<&ImageInputs, Error> {
    match inputs {
        Inputs::Images(inputs) => Ok(inputs),
        other => Err(wrong("images", other)),
    }
}

/// A batch of texts with classes.
pub(crate) fn sequences(inputs: &Inputs) -> Result<&SequenceInputs, Error> {
    match inputs {
        Inputs::Sequences(inputs) => Ok(inputs),
        other => Err(wrong("classes of texts", other)),
    }
}

/// A batch of texts with answers.
pub(crate) fn spans(inputs: &Inputs) -> Result<&SpanInputs, Error> {
    match inputs {
        Inputs::Spans(inputs) => Ok(inputs),
        other => Err(wrong("answer spans", other)),
    }
}

/// A batch of texts with replaced tokens.
pub(crate) fn replaced(inputs: &Inputs) -> Result<&ReplacedInputs, Error> {
    match inputs {
        Inputs::Replaced(inputs) => Ok(inputs),
        other => Err(wrong("replaced tokens", other)),
    }
}

/// The error for a batch that a model does not learn from.
pub(crate) fn wrong(expected: &'static str, found: &Inputs) -> Error {
    Error::WrongInputs {
        expected,
        found: found.kind(),
    }
}
