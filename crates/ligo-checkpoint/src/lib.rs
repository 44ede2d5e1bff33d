//! ligo-checkpoint
