//! ligo-data
