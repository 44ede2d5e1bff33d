//! The `ligo` program: grows a pretrained transformer into a larger one, and shows what that saved.

use std::process::ExitCode;

fn main() -> ExitCode {
    ligo_cli::main()
}
