//! ligo-report
