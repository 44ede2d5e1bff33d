//! The `ligo` program: grows a pretrained transformer into a larger one, and shows what that saved.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: ligo_cli::Telling = ligo_cli::Telling;

fn main() -> ExitCode {
    ligo_cli::main()
}
