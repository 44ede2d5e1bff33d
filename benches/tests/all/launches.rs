//! What a training step asks of a GPU stays small. Counted on software Vulkan, where there is some.

use ligo_benches::launches::{self, FAMILIES, FIXED, config, operator_step, plain_step, widened};

use crate::gpu::gpu;

#[test]
fn a_step_is_few_launches_one_read_and_no_upload_beside_the_batch() {
    let Some((device, _turn)) = gpu() else { return };
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
