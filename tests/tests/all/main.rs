//! What spans several crates, and the rules of the repository.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;
mod dependency_rules;
mod documentation;
mod exactness;
mod growth_laws;
mod large_tensors;
mod learned_operator;
mod modules;
mod one_build;
mod operator_table;
mod packages;
mod recipe_reference;
mod repository;
mod shared_layers;
mod spelling;
mod test_programs;
mod tidy;
mod upcycling;
