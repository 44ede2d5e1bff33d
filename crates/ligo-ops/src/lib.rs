//! ligo-ops
