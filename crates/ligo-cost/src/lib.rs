//! ligo-cost
