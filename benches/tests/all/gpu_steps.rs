//! Whole training steps on a GPU are the CPU's, and repeat bit for bit. On software Vulkan, where there is some.

use burn::tensor::Device;
use ligo_benches::launches::{FAMILIES, config, operator_losses, plain_losses, widened};

use crate::gpu::gpu;

/// The first loss sees the forward pass alone; the others see gradients, moments and updates, whose rounding Adam enlarges where a gradient
/// is almost zero.
fn assert_close(name: &str, found: &[f64], expected: &[f64]) {
    let first = (found[0] - expected[0]).abs() / expected[0];
    assert!(first <= 1e-5, "{name}: {found:?} and {expected:?}");
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs() / expected;
        assert!(error <= 1e-4, "{name}: {found} and {expected}");
    }
}

#[test]
fn training_with_dropout_is_the_cpus_for_every_family_and_repeats_bit_for_bit() {
    let Some((gpu, _turn)) = gpu() else { return };
    for (name, _) in FAMILIES {
        let config = config(name, 2, 0.1).unwrap();
        let found = plain_losses(&config, 4, &gpu).unwrap();
        assert_close(name, &found, &plain_losses(&config, 4, &Device::flex()).unwrap());
        assert_eq!(plain_losses(&config, 4, &gpu).unwrap(), found, "{name}");
        assert!(found[3] < found[0], "{name} learns nothing: {found:?}");
    }
}

#[test]
fn learning_the_operator_is_the_cpus_and_repeats_bit_for_bit() {
    let Some((gpu, _turn)) = gpu() else { return };
    let (small, large) = (config("bert", 2, 0.0).unwrap(), config("bert", 3, 0.0).unwrap());
    let large = widened(&large);
    let found = operator_losses(&small, &large, 4, &gpu).unwrap();
    assert_close(
        "operator",
        &found,
        &operator_losses(&small, &large, 4, &Device::flex()).unwrap(),
    );
    assert_eq!(operator_losses(&small, &large, 4, &gpu).unwrap(), found);
}
