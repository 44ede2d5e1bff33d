//! The program's commands, one file each.

pub mod compare;
mod config_file;
pub mod data_args;
pub mod devices;
pub mod export;
pub mod grow;
pub mod images;
pub mod inspect;
pub mod job;
pub mod learn;
pub mod methods;
pub mod plan;
mod plan_route;
pub mod push;
pub mod ranks_args;
pub mod recipes;
pub mod run;
pub mod shell;
pub mod tokenize;
pub mod train;
pub mod verify;
