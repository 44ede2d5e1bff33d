#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use ligo_ops::Precision;
use ligo_ops::precision::{Capabilities, Usage};

use super::*;
use crate::description::{Class, Driver, Finding};

/// One GPU of a made-up machine, and how far its driver gets.
struct Gpu {
    spec: &'static str,
    name: &'static str,
    kind: Class,
    fault: Option<(&'static str, bool)>,
}

const CARD: Gpu = Gpu {
    spec: "vulkan:discrete:0",
    name: "NVIDIA H100",
    kind: Class::Discrete,
    fault: None,
};

const LAVAPIPE: Gpu = Gpu {
    spec: "vulkan:software:0",
    name: "llvmpipe (LLVM 15.0.6, 256 bits)",
    kind: Class::Software,
    fault: None,
};

struct Machine(Vec<Gpu>);

impl Prober for Machine {
    fn list(&self) -> Result<Vec<GpuSpec>, String> {
        Ok(self.0.iter().map(|gpu| gpu.spec.parse().unwrap()).collect())
    }

    fn probe(&self, spec: &GpuSpec) -> Result<String, String> {
        panic!("{spec} was opened a second time")
    }
}

impl Explorer for Machine {
    fn explore(&self, spec: &GpuSpec, measure: bool) -> Findings {
        let gpu = self.0.iter().find(|gpu| gpu.spec == spec.to_string()).unwrap();
        let matmul = Matmul {
            precision: Precision::F32,
            flops_per_second: 2e13,
            size: 4096,
        };
        Findings {
            description: Some(description(gpu)),
            computes: gpu.fault.is_none_or(|(_, computes)| computes),
            matmul: if measure { vec![matmul] } else { Vec::new() },
            fault: gpu.fault.map(|(fault, _)| fault.to_owned()),
        }
    }

    fn adapters(&self) -> Result<Vec<Adapter>, String> {
        let adapter = |name: &str, backend: &str, kind| Adapter {
            name: name.into(),
            backend: backend.into(),
            kind,
            driver: Driver::default(),
        };
        let vulkan = self.0.iter().map(|gpu| adapter(gpu.name, "Vulkan", gpu.kind));
        let opengl = self.0.iter().map(|gpu| adapter(gpu.name, "OpenGL", Class::Unknown));
        Ok(vulkan.chain(opengl).collect())
    }
}

fn description(gpu: &Gpu) -> Description {
    let usage = Usage::default();
    let can = Capabilities {
        name: gpu.name.into(),
        compiler: "wgpu<spirv>".into(),
        memory_bytes: None,
        f16: usage,
        bf16: usage,
        tf32: false,
        subgroup: Some([32, 32]),
        cooperative_matrices: Vec::new(),
        max_buffer_bytes: 1 << 31,
        max_buffers: 31,
        workgroup_bytes: 49_152,
        workgroup_threads: 1024,
    };
    Description::of_gpu(can, "Vulkan", gpu.kind)
}

fn of(gpus: Vec<Gpu>) -> Catalog {
    gathered(Some(&Machine(gpus)), false)
}

#[test]
fn the_processor_is_always_listed_and_last() {
    for catalog in [of(vec![]), of(vec![CARD]), gathered(None, false)] {
        let last = catalog.devices.last().unwrap();
        assert_eq!((last.device.as_str(), last.works), ("cpu", true));
        let description = last.description.as_ref().unwrap();
        assert_eq!(description.kind, Class::Cpu);
        assert!(description.processor.is_some());
    }
}

#[test]
fn a_build_without_gpu_backends_says_how_to_get_one() {
    let catalog = gathered(None, false);
    assert_eq!(catalog.devices.len(), 1);
    assert_eq!(catalog.auto.device, "cpu");
    assert!(catalog.auto.reason.contains("cargo xtask"), "{:?}", catalog.auto);
}

#[test]
fn auto_takes_the_card_by_the_number_that_the_list_has_for_it() {
    let catalog = of(vec![LAVAPIPE, CARD]);
    assert_eq!(
        (catalog.auto.device.as_str(), catalog.auto.name.as_str()),
        ("gpu:1", "NVIDIA H100")
    );
    assert!(
        catalog.auto.reason.contains("a GPU that works, through vulkan"),
        "{:?}",
        catalog.auto
    );
    let names: Vec<&str> = catalog.devices.iter().map(|listed| listed.device.as_str()).collect();
    assert_eq!(names, ["gpu:0", "gpu:1", "cpu"]);
}

#[test]
fn a_driver_that_crashes_takes_neither_the_list_nor_the_other_cards_down() {
    let crashed = Gpu {
        fault: Some(("crashed with signal 11 when it was tried", false)),
        ..CARD
    };
    let second = Gpu {
        spec: "vulkan:discrete:1",
        name: "Radeon",
        ..CARD
    };
    let catalog = of(vec![crashed, second]);
    assert_eq!(catalog.devices.len(), 3);
    assert!(!catalog.devices[0].works);
    let fault = catalog.devices[0].fault.as_deref().unwrap();
    assert_eq!(fault, "vulkan:discrete:0 crashed with signal 11 when it was tried");
    assert_eq!(
        (catalog.auto.device.as_str(), catalog.auto.name.as_str()),
        ("gpu:1", "Radeon")
    );
}

#[test]
fn a_card_that_fails_in_the_measurement_can_still_be_used() {
    let slow = Gpu {
        fault: Some(("did not answer within 240 s", true)),
        ..CARD
    };
    let catalog = of(vec![slow]);
    assert!(catalog.devices[0].works && catalog.devices[0].fault.is_some());
    assert_eq!(catalog.auto.device, "gpu:0");
}

#[test]
fn a_software_rasteriser_is_listed_as_software_and_not_taken() {
    let catalog = of(vec![LAVAPIPE]);
    assert_eq!(catalog.devices[0].description.as_ref().unwrap().kind, Class::Software);
    assert_eq!(catalog.auto.device, "cpu");
    assert!(
        catalog.auto.reason.contains("software rasteriser"),
        "{:?}",
        catalog.auto
    );
}

#[test]
fn what_drivers_offer_twice_is_told_apart_from_the_devices() {
    let catalog = of(vec![CARD]);
    let unused: Vec<(&str, &str)> = catalog
        .unused_adapters
        .iter()
        .map(|adapter| (adapter.name.as_str(), adapter.backend.as_str()))
        .collect();
    assert_eq!(unused, [("NVIDIA H100", "OpenGL")]);
}

#[test]
fn products_are_measured_only_when_asked_for() {
    assert!(of(vec![CARD]).devices.iter().all(|listed| listed.matmul.is_empty()));
    let measured = gathered(Some(&Machine(vec![CARD])), true);
    assert_eq!(measured.devices[0].matmul[0].flops_per_second, 2e13);
    assert!(measured.devices[1].matmul[0].flops_per_second > 1e8);
}

#[test]
fn the_json_of_a_device_is_flat_and_leaves_out_what_it_has_not() {
    let json = serde_json::to_value(of(vec![CARD])).unwrap();
    let (card, cpu) = (&json["devices"][0], &json["devices"][1]);
    assert_eq!(json["format"], FORMAT);
    assert_eq!(card["name"], "NVIDIA H100");
    assert_eq!(card["kind"], "discrete");
    assert_eq!(card["precisions"], serde_json::json!(["f32"]));
    assert_eq!(card["limits"]["storage_buffers"], 31);
    assert_eq!(card["memory_bytes"], serde_json::Value::Null);
    assert!(card.get("processor").is_none() && card.get("fault").is_none());
    assert!(cpu["processor"]["threads"].as_u64().unwrap() > 0);
    assert!(cpu.get("limits").is_none());
}

#[test]
fn what_a_second_process_says_is_put_together_as_far_as_it_came() {
    let description = Finding::Description(Box::new(description(&CARD)));
    let answers = [
        serde_json::to_string(&description).unwrap(),
        serde_json::to_string(&Finding::Computes).unwrap(),
        "not a finding".to_owned(),
    ];
    let findings = Findings::gathered(&answers, Err("crashed with signal 6 when it was tried".into()));
    assert!(findings.computes && findings.description.is_some() && findings.matmul.is_empty());
    assert!(findings.fault.unwrap().contains("signal 6"));
    assert_eq!(Findings::gathered(&[], Ok(())), Findings::default());
}
