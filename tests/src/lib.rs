//! ligo-tests
