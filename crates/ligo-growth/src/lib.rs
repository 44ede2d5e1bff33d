//! ligo-growth
