//! ligo-benches
