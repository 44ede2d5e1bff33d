//! `ligo devices`: the processor is always there, GPUs where a driver answers, and no driver takes the list down.

use std::process::{Command, Output};

use serde_json::Value;

use crate::common::LIGO;

fn devices(arguments: &[&str]) -> Output {
    let output = Command::new(LIGO).arg("devices").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    output
}

fn json(arguments: &[&str]) -> Value {
    let output = devices(&[&["--json", "--quiet"], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_list_as_json_has_the_processor_the_choice_and_the_backends() {
    let catalog = json(&["--no-measure"]);
    assert_eq!(catalog["format"], 1);
    let devices = catalog["devices"].as_array().unwrap();
    let cpu = devices.last().unwrap();
    assert_eq!(
        (cpu["device"].as_str(), cpu["kind"].as_str()),
        (Some("cpu"), Some("cpu"))
    );
    assert_eq!(cpu["works"], true);
    assert_eq!(cpu["precisions"][0], "f32");
    assert!(!cpu["name"].as_str().unwrap().is_empty());
    assert!(cpu["processor"]["threads"].as_u64().unwrap() > 0);
    #[cfg(target_os = "linux")]
    assert!(cpu["memory_bytes"].as_u64().unwrap() > 1 << 26);
    for device in devices {
        assert_eq!(device["matmul"], serde_json::json!([]));
    }
    let auto = &catalog["auto"];
    let chosen = devices.iter().find(|device| device["device"] == auto["device"]);
    assert_eq!(chosen.unwrap()["works"], true);
    assert!(!auto["reason"].as_str().unwrap().is_empty());
    assert_eq!(catalog["backends"][0], "cpu");
    for missing in catalog["not_built"].as_array().unwrap() {
        let backend = missing["backend"].as_str().unwrap();
        assert!(missing["build"].as_str().unwrap().ends_with(backend), "{missing}");
        assert!(!catalog["backends"].as_array().unwrap().contains(&missing["backend"]));
    }
}

#[test]
fn the_list_for_people_ends_with_what_is_taken_and_what_is_missing() {
    let output = devices(&["--no-measure"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "cpu    ",
        "processor",
        "precision   f32",
        "--device auto takes ",
        "built in: cpu",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    assert!(!text.contains("products "), "{text}");
    #[cfg(all(target_os = "linux", not(feature = "wgpu"), not(feature = "cuda")))]
    assert!(
        text.contains("not built in: cuda (cargo xtask devices --backend cuda), vulkan"),
        "{text}"
    );
}

#[cfg(feature = "wgpu")]
#[test]
fn a_software_driver_is_called_software_is_measured_and_is_not_taken() {
    let catalog = json(&[]);
    let devices = catalog["devices"].as_array().unwrap();
    let Some(software) = devices.iter().find(|device| device["kind"] == "software") else {
        assert!(std::env::var_os("CI").is_none(), "no software Vulkan: {catalog:#}");
        eprintln!("no software Vulkan here, nothing to look at");
        return;
    };
    assert_eq!(software["works"], true, "{software:#}");
    assert!(!software["driver"]["name"].as_str().unwrap().is_empty());
    assert!(software["limits"]["storage_buffer_bytes"].as_u64().unwrap() >= 1 << 26);
    assert!(software["limits"]["storage_buffers"].as_u64().unwrap() >= 4);
    assert!(software["limits"]["workgroup_bytes"].as_u64().unwrap() >= 16_384);
    let measured = &software["matmul"][0];
    assert_eq!(measured["precision"], "f32");
    // No processor does a PFLOP/s: that is what it looks like when nobody waits for the product.
    assert!(
        (1e6..1e14).contains(&measured["flops_per_second"].as_f64().unwrap()),
        "{measured}"
    );
    if devices
        .iter()
        .all(|device| device["kind"] == "software" || device["kind"] == "cpu")
    {
        assert_eq!(catalog["auto"]["device"], "cpu");
        assert!(catalog["auto"]["reason"].as_str().unwrap().contains("software"));
    }
}
