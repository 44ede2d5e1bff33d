//! ViT, DeiT and CaiT: their parameters and what they compute.

mod behavior;
mod parameters;
