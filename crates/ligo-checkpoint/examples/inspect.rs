//! Prints what a model directory or a `.safetensors` file holds.
//!
//!     cargo run -p ligo-checkpoint --example inspect -- PATH
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use ligo_checkpoint::{Error, MANIFEST_FILE, ModelDir, verify};

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: inspect PATH");
        return ExitCode::from(2);
    };
    match inspect(&path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn inspect(path: &str) -> Result<(), Error> {
    let model = ModelDir::open(path)?;
    if let Ok(config) = model.config() {
        println!(
            "model_type: {}",
            config
                .get("model_type")
                .and_then(|value| value.as_str())
                .unwrap_or("not given")
        );
    }
    let (mut parameters, mut bytes) = (0, 0);
    for name in model.names() {
        let Some(info) = model.info(name) else { continue };
        println!("{name:<70} {:>5} {:?}", info.dtype, info.shape);
        parameters += info.shape.iter().product::<usize>();
        bytes += info.range.len();
    }
    println!(
        "{} tensors, {parameters} parameters, {bytes} bytes in {} file(s)",
        model.names().len(),
        model.files().len()
    );
    if model.path().join(MANIFEST_FILE).exists() {
        verify(model.path())?;
        println!("every file is as its manifest says");
    }
    Ok(())
}
