//! What a training step asks of a GPU stays small. Counted on software Vulkan, where there is some.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use burn::tensor::{Device, DeviceKind, Tensor};
use ligo_benches::launches::{self, FAMILIES, FIXED, config, operator_step, plain_step, widened};

/// The count sees every launch of the process, so all counting is one test.
#[test]
fn a_step_is_few_launches_one_read_and_no_upload_beside_the_batch() {
    let probe = || {
        let device = Device::wgpu(DeviceKind::Cpu);
        Tensor::<1>::ones([1], &device).into_data();
        device
    };
    let Ok(device) = std::panic::catch_unwind(probe) else {
        eprintln!("no software Vulkan: nothing is counted");
        return;
    };
    for (name, limit) in FAMILIES {
        for dropout in [0.0, 0.1] {
            let family = launches::family(name, dropout, &device).unwrap().unwrap();
            let step = &family.step;
            assert!(family.per_layer <= limit as f64, "{name}: {family:?}");
            assert!(family.base <= FIXED as f64, "{name}: {family:?}");
            assert_eq!(step.reads, 1, "{name}");
            assert!(step.other_bytes <= 64 * 1024, "{name}: {} bytes", step.other_bytes);
        }
    }
    let (small, large) = (config("bert", 6, 0.1).unwrap(), config("bert", 12, 0.1).unwrap());
    let large = widened(&large);
    let plain = plain_step(&large, &device).unwrap().launches();
    let operator = operator_step(&small, &large, &device).unwrap();
    assert!(
        2 * operator.launches() <= 3 * plain,
        "{} and {plain}",
        operator.launches()
    );
    assert_eq!(operator.reads, 1);
    assert!(operator.other_bytes <= 64 * 1024, "{} bytes", operator.other_bytes);
}
