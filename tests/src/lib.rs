//! Tests that span several crates, and checks of the repository itself. They are in `tests/`; the library is empty.
