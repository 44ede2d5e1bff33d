use super::*;

/// A card like an H100 through Vulkan: `bf16` in matrices of a subgroup and nowhere else.
fn card() -> Capabilities {
    let storable = Usage {
        stored: true,
        converted: true,
        computed: false,
    };
    Capabilities {
        name: "a card".into(),
        compiler: "wgpu<spirv>".into(),
        memory_bytes: None,
        f16: storable,
        bf16: storable,
        tf32: false,
        subgroup: Some([32, 32]),
        cooperative_matrices: vec![CooperativeMatrix {
            factors: "bf16".into(),
            sum: "f32".into(),
            sizes: vec![[16, 16, 16]],
        }],
        max_buffer_bytes: 1 << 31,
        max_buffers: 31,
        workgroup_bytes: 49_152,
        workgroup_threads: 1024,
    }
}

#[test]
fn a_name_reads_back_as_its_precision() {
    for precision in Precision::ALL {
        assert_eq!(precision.to_string().parse(), Ok(precision));
    }
    let Err(message) = "fp16".parse::<Precision>() else {
        panic!("fp16 was taken for a precision");
    };
    assert_eq!(message, "expected f32, tf32, bf16");
}

#[test]
fn a_precision_holds_for_its_stretch_of_work_and_its_thread_alone() {
    with_precision(Precision::Bf16, || {
        assert_eq!(current(), Precision::Bf16);
        with_precision(Precision::Tf32, || assert_eq!(current(), Precision::Tf32));
        assert_eq!(current(), Precision::Bf16);
        let elsewhere = std::thread::spawn(current).join();
        assert_eq!(elsewhere.ok(), Some(Precision::F32));
    });
    assert_eq!(current(), Precision::F32);
}

#[test]
fn work_that_panics_leaves_the_former_precision() {
    let panicked = std::panic::catch_unwind(|| with_precision(Precision::Bf16, || panic!("on purpose")));
    assert!(panicked.is_err());
    assert_eq!(current(), Precision::F32);
}

#[test]
fn the_cpu_computes_in_f32_alone() {
    assert_eq!(supported_precisions(&Device::flex()), [Precision::F32]);
    assert_eq!(supported_precisions(&Device::flex().autodiff()), [Precision::F32]);
}

#[test]
fn bf16_needs_storage_conversion_and_a_product_that_takes_it() {
    assert_eq!(card().precisions(), [Precision::F32, Precision::Bf16]);
    let mut without_matrices = card();
    without_matrices.cooperative_matrices.clear();
    assert_eq!(without_matrices.precisions(), [Precision::F32]);
    without_matrices.bf16.computed = true;
    assert_eq!(without_matrices.precisions(), [Precision::F32, Precision::Bf16]);
    let mut nowhere_to_put_it = card();
    nowhere_to_put_it.bf16.stored = false;
    assert_eq!(nowhere_to_put_it.precisions(), [Precision::F32]);
}

#[test]
fn tf32_is_where_the_device_states_it() {
    let nvidia = Capabilities { tf32: true, ..card() };
    assert_eq!(nvidia.precisions(), Precision::ALL);
}
