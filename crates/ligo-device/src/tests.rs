#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

/// A machine with these GPUs; a GPU without a name fails when it is tried.
struct Machine(Vec<(&'static str, Option<&'static str>)>);

impl Prober for Machine {
    fn list(&self) -> Result<Vec<GpuSpec>, String> {
        Ok(self.0.iter().map(|(spec, _)| spec.parse().unwrap()).collect())
    }

    fn probe(&self, spec: &GpuSpec) -> Result<String, String> {
        let mut names = self.0.iter().filter(|(s, _)| *s == spec.to_string());
        names
            .next()
            .unwrap()
            .1
            .map(str::to_owned)
            .ok_or_else(|| "crashed with signal 11 when it was tried".into())
    }
}

const LAVAPIPE: (&str, Option<&str>) = ("wgpu:software:0", Some("llvmpipe (LLVM 15.0.6, 256 bits)"));

fn auto(machine: Machine) -> Decision {
    decide(DeviceChoice::Auto, Some(&machine)).unwrap()
}

fn cpu_reason(decision: Decision) -> String {
    match decision {
        Decision::Cpu { reason } => reason,
        gpu => panic!("{gpu:?}"),
    }
}

#[test]
fn choices_are_read_and_written_alike() {
    for text in ["auto", "cpu", "gpu", "gpu:0", "gpu:12"] {
        assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
    }
    assert_eq!("gpu:3".parse(), Ok(DeviceChoice::Gpu(Some(3))));
    for text in ["", "GPU", "gpu:", "gpu:-1", "gpu:x", "cuda", "cpu:0"] {
        let message = text.parse::<DeviceChoice>().unwrap_err();
        assert!(message.contains("gpu:N"), "{text}: {message}");
    }
}

#[test]
fn gpus_can_be_named_to_another_process() {
    for text in [
        "cuda:discrete:1",
        "vulkan:integrated:0",
        "wgpu:software:0",
        "metal:default:0",
    ] {
        assert_eq!(text.parse::<GpuSpec>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "vulkan",
        "vulkan:discrete",
        "vulkan:discrete:x",
        "opengl:discrete:0",
    ] {
        assert!(text.parse::<GpuSpec>().is_err(), "{text}");
    }
}

#[test]
fn the_cpu_is_picked_by_name_when_asked_for() {
    let picked = pick(DeviceChoice::Cpu).unwrap();
    assert!(!picked.is_gpu);
    assert_eq!(picked.device, cpu());
    assert!(picked.name.contains("thread"), "{}", picked.name);
    assert_eq!(picked.reason, "--device cpu");
}

#[test]
fn a_build_without_gpu_backends_says_how_to_get_one() {
    let reason = cpu_reason(decide(DeviceChoice::Auto, None).unwrap());
    assert!(reason.contains("cargo xtask train --backend wgpu"), "{reason}");
    let error = decide(DeviceChoice::Gpu(None), None).unwrap_err();
    assert!(matches!(error, DeviceError::CpuBuild { .. }), "{error}");
    assert!(error.to_string().contains("--device cpu"), "{error}");
}

#[test]
fn auto_takes_the_first_gpu_that_works() {
    let machine = Machine(vec![
        LAVAPIPE,
        ("vulkan:discrete:0", None),
        ("vulkan:integrated:0", Some("Radeon 780M")),
    ]);
    match auto(machine) {
        Decision::Gpu { spec, name, .. } => {
            assert_eq!(
                (spec.to_string().as_str(), name.as_str()),
                ("vulkan:integrated:0", "Radeon 780M")
            );
        }
        cpu => panic!("{cpu:?}"),
    }
}

#[test]
fn auto_falls_back_to_the_cpu_and_says_why() {
    assert!(cpu_reason(auto(Machine(vec![]))).contains("no GPU driver answers"));
    assert!(cpu_reason(auto(Machine(vec![LAVAPIPE]))).contains("software rasteriser"));
    let crashed = cpu_reason(auto(Machine(vec![("vulkan:discrete:0", None)])));
    assert!(
        crashed.contains("vulkan:discrete:0 crashed with signal 11"),
        "{crashed}"
    );
    let disguised = Machine(vec![("vulkan:virtual:0", Some("SwiftShader Device (Subzero)"))]);
    assert!(cpu_reason(auto(disguised)).contains("software rasteriser"));
}

#[test]
fn a_software_rasteriser_is_used_when_a_gpu_is_asked_for() {
    for choice in [DeviceChoice::Gpu(None), DeviceChoice::Gpu(Some(0))] {
        match decide(choice, Some(&Machine(vec![LAVAPIPE]))).unwrap() {
            Decision::Gpu { reason, .. } => assert!(reason.contains("slow"), "{reason}"),
            cpu => panic!("{cpu:?}"),
        }
    }
}

#[test]
fn a_gpu_that_was_asked_for_and_cannot_be_had_is_an_error() {
    let ask = |choice, machine: Machine| decide(choice, Some(&machine)).unwrap_err();
    let none = ask(DeviceChoice::Gpu(None), Machine(vec![]));
    assert!(matches!(none, DeviceError::NoGpu { .. }), "{none}");
    let broken = ask(DeviceChoice::Gpu(Some(0)), Machine(vec![("cuda:discrete:0", None)]));
    assert!(matches!(broken, DeviceError::Unusable { .. }), "{broken}");
    let absent = ask(DeviceChoice::Gpu(Some(7)), Machine(vec![LAVAPIPE]));
    assert!(
        matches!(&absent, DeviceError::NoSuchGpu { number: 7, found } if found.len() == 1),
        "{absent}"
    );
}

#[cfg(unix)]
mod processes {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use crate::process::{run_limited, run_to_end};

    fn shell(script: &str, limit: Duration) -> Result<Vec<String>, String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run_limited(command, limit)
    }

    #[test]
    fn a_probe_that_hangs_is_ended() {
        let begin = Instant::now();
        let fault = shell("exec sleep 30", Duration::from_millis(200)).unwrap_err();
        assert!(fault.contains("did not answer within 0.2 s"), "{fault}");
        assert!(begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_probe_that_crashes_is_reported_with_its_signal() {
        let fault = shell("kill -SEGV $$", Duration::from_secs(30)).unwrap_err();
        assert!(fault.contains("signal 11"), "{fault}");
    }

    #[test]
    fn what_a_failing_probe_says_is_passed_on() {
        let script = "echo \"thread 'main' panicked at x.rs:1\" >&2; echo 'no adapter found' >&2; exit 101";
        let fault = shell(script, Duration::from_secs(30)).unwrap_err();
        assert!(fault.contains("no adapter found"), "{fault}");
    }

    #[test]
    fn what_was_answered_before_a_crash_is_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'ligo-probe: {\"found\":\"computes\"}'; kill -SEGV $$"]);
        let (answers, end) = run_to_end(command, Duration::from_secs(30));
        assert_eq!(answers, ["{\"found\":\"computes\"}"]);
        assert!(end.unwrap_err().contains("signal 11"));
        let fault = shell(
            "echo 'ligo-probe: {}'; echo 'out of memory' >&2; exit 1",
            Duration::from_secs(30),
        );
        assert!(fault.unwrap_err().ends_with("out of memory"));
    }

    #[test]
    fn only_marked_lines_are_answers() {
        let script = "echo 'MESA: warning'; echo 'ligo-probe: Radeon 780M'";
        assert_eq!(shell(script, Duration::from_secs(30)).unwrap(), ["Radeon 780M"]);
    }
}

#[test]
fn runs_are_divided_among_all_hardware_gpus_that_work() {
    let machine = Machine(vec![
        LAVAPIPE,
        ("cuda:discrete:0", Some("NVIDIA A")),
        ("cuda:discrete:1", None),
        ("cuda:discrete:2", Some("NVIDIA B")),
        ("vulkan:virtual:0", Some("llvmpipe")),
    ]);
    let numbers = |choice, machine| -> Vec<usize> {
        let gpus = all_gpus(choice, Some(machine)).unwrap();
        gpus.iter().map(|gpu| gpu.number).collect()
    };
    let gpus = |choice: &str| numbers(choice.parse().unwrap(), &machine);
    // The numbers are those that `gpu:N` takes: places in the list.
    assert_eq!(gpus("auto"), [1, 3]);
    assert_eq!(gpus("gpu"), [1, 3, 4]);
    assert_eq!(gpus("gpu:3"), [3]);
    assert_eq!(gpus("cpu"), [0; 0]);
    assert_eq!(gpus("gpu:0"), [0]);
    let software = Machine(vec![LAVAPIPE]);
    assert_eq!(numbers(DeviceChoice::Auto, &software), [0; 0]);
    assert_eq!(numbers(DeviceChoice::Gpu(None), &software), [0]);
    let broken = Machine(vec![("cuda:discrete:0", None)]);
    assert_eq!(numbers(DeviceChoice::Auto, &broken), [0; 0]);
    let error = all_gpus(DeviceChoice::Gpu(None), Some(&broken)).unwrap_err();
    assert!(error.to_string().contains("signal 11"), "{error}");
    assert!(all_gpus(DeviceChoice::Gpu(None), None).is_err());
    assert_eq!(all_gpus(DeviceChoice::Auto, None).unwrap(), []);
}

#[test]
fn ranks_of_a_machine_take_its_gpus_in_turn() {
    let gpu = |number| Gpu {
        number,
        name: "card".into(),
    };
    let taken = |gpus: &[Gpu]| -> Vec<Option<usize>> { (0..5).map(|rank| gpu_of_rank(gpus, rank)).collect() };
    // The second of the list does not work.
    let found = [gpu(0), gpu(2), gpu(3)];
    assert_eq!(taken(&found), [Some(0), Some(2), Some(3), Some(0), Some(2)]);
    assert_eq!(taken(&[]), [None; 5]);
    // What was asked for stays so, and nothing is looked for.
    for choice in [DeviceChoice::Cpu, DeviceChoice::Gpu(Some(3))] {
        assert_eq!(of_rank(choice, 2).ok(), Some(choice));
    }
}
