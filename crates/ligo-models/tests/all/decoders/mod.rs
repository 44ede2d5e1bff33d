//! GPT-2, Llama, Mistral and Qwen2: their parameters and what they compute.

mod behavior;
mod parameters;
