//! The program's commands, one file each.

pub mod compare;
pub mod grow;
pub mod inspect;
pub mod learn;
pub mod run;
pub mod tokenize;
pub mod train;
pub mod verify;
