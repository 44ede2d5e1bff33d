//! Tables, pictures and the page of a made-up comparison.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod groups;
mod html;
mod plot;
mod sample;
mod script;
mod table;
mod verdict;
