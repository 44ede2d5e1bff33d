//! Configurations and parameter tables of every family.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod albert;
mod bad_values;
mod bert;
mod distilbert;
mod electra;
mod gemma;
mod gpt2;
mod gpt_neox;
mod growth_facts;
mod llama;
mod llama_kin;
mod modernbert;
mod opt;
