//! GPUs report some faults by panicking, in whatever burn was doing. Such a fault ends a part of a run and nothing else.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::room::LESS_MEMORY;
use crate::Failure;

/// Does some work; what a GPU panics with becomes an error, and memory that ran out is explained.
///
/// # Errors
/// Those of `work`, and what a GPU panicked with.
///
/// # Panics
/// As `work` on a CPU, where a panic is a fault of the program and its trace is wanted.
pub fn guarded(is_gpu: bool, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    // Whatever `work` was changing is dropped with it: a run goes on from its last checkpoint, never from memory.
    let done = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(payload) if is_gpu => Err(ligo_train::Error::of_device("compute", said(payload.as_ref())).into()),
        Err(payload) => resume_unwind(payload),
    };
    done.map_err(explained)
}

/// What a panic said.
fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it panicked without a word".to_owned())
}

fn explained(failure: Failure) -> Failure {
    match failure {
        Failure::Train(error @ ligo_train::Error::DeviceMemory { .. }) => Failure::other(
            error.to_string(),
            format!(
                "{LESS_MEMORY}.\nThe last checkpoint is whole: where other programs filled the GPU, the same command goes on from it"
            ),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use miette::Diagnostic;

    use super::*;

    /// As cubecl says it, with the backtrace that it adds.
    const FULL: &str = "Failed to read tensor data: An error happened during execution\nCaused by:\n  \
                        out of device memory allocating 8589934592 bytes\n   0: cubecl::…";

    #[test]
    fn a_full_gpu_is_told_with_the_two_settings_to_lower() {
        let failure = guarded(true, || panic!("{FULL}")).unwrap_err();
        let message = failure.to_string();
        assert!(
            message.contains("out of device memory allocating 8589934592 bytes"),
            "{message}"
        );
        assert!(!message.contains("0: cubecl"), "{message}");
        let help = failure.help().unwrap().to_string();
        for word in ["batch_size", "seq_len", "last checkpoint is whole"] {
            assert!(help.contains(word), "{help}");
        }
    }

    #[test]
    fn memory_that_a_read_reports_is_told_alike() {
        let full = || Err(ligo_train::Error::of_device("read the values of `loss`", FULL.into()).into());
        let failure = guarded(true, full).unwrap_err();
        assert!(failure.help().unwrap().to_string().contains("batch_size"));
    }

    #[test]
    fn another_fault_of_a_gpu_is_an_error_of_the_device() {
        let failure = guarded(true, || panic!("wgpu error: Validation Error")).unwrap_err();
        assert!(
            matches!(failure, Failure::Train(ligo_train::Error::Device { .. })),
            "{failure:?}"
        );
        assert!(failure.to_string().contains("Validation Error"));
    }

    #[test]
    fn a_panic_on_the_cpu_stays_a_panic() {
        let outcome = catch_unwind(|| guarded(false, || panic!("a fault of the program")));
        assert!(outcome.is_err());
    }

    #[test]
    fn work_that_ends_well_or_with_an_error_of_its_own_is_left_alone() {
        assert!(guarded(true, || Ok(())).is_ok());
        let own = guarded(true, || Err(Failure::Interrupted)).unwrap_err();
        assert!(own.is_interruption());
    }
}
