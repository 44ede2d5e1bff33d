//! Any bytes as a safetensors file: read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ligo_checkpoint::TensorFile;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = TensorFile::from_bytes("weights.safetensors", bytes.to_vec()) {
        for tensor in file.tensors() {
            let _ = file.read_f32(&tensor.name);
        }
    }
});
