//! The program as a user starts it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod bad_input;
mod bad_models;
mod branches;
mod common;
mod compare;
mod compare_jobs;
mod compare_units;
mod cuda_kernels;
mod damage;
mod dashboard;
mod devices;
mod electra;
mod export;
mod failing_disk;
mod families;
mod foreign_models;
mod from_hub;
mod full_disk;
mod fuzzed;
mod golden;
mod grow_families;
mod grow_methods;
mod grow_resume;
mod hf_parity;
mod inspect_verify;
mod kills;
mod memory_flat;
mod mpi;
mod mpi_faults;
mod one_schedule;
mod plan;
mod plan_memory;
mod plan_route;
mod precision;
mod pretrained;
mod round_trip;
mod run_resume;
mod schedules;
mod stages;
mod timm_folders;
mod tokenize;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../../ligo-checkpoint/tests/all/support/torch.rs"]
mod torch;
mod torch_models;
mod wgpu;
mod wrong_paths;
