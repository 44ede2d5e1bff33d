//! Texts, tokenizers, stores and images on the way to batches.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod causal;
mod clip_processor;
mod corpus;
mod damaged_images;
mod document_start;
mod image_files;
mod image_loader;
mod image_parquet;
mod image_set;
mod image_sources;
mod loader;
mod parquet;
mod rust_docs;
mod split_names;
mod store;
mod text_layouts;
mod tokenizer;
mod tokenizer_damage;
mod tokenizer_files;
mod tokenizer_given;
mod tokenizer_reference;
