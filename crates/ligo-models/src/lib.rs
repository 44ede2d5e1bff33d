//! ligo-models
