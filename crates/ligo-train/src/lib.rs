//! ligo-train
