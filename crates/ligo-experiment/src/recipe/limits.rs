//! Sizes beyond what anyone trains with. Without limits a slip of the pen becomes a panic, hours of allocating, or a number that wrapped.

use ligo_growth::LigoConfig;

use super::{Fault, RecipeError};

/// Fewest tokens of a sample: beside the special ones there must be some to predict.
pub(super) const FEWEST_TOKENS: usize = 8;
/// Most tokens of a sample.
pub(super) const MOST_TOKENS: usize = 1 << 20;

/// Terms of an operator; each costs as much as the first.
const MOST_TERMS: usize = 64;

/// Faults of one recipe that are told. Who has more has given another file than he thinks, and each is found by reading all once more.
pub(super) const MOST_FAULTS: usize = 50;

/// What is wrong with a learned operator's settings.
pub(super) fn operator_fault(config: &LigoConfig) -> Option<String> {
    if config.terms > MOST_TERMS {
        return Some(format!("terms must be at most {MOST_TERMS}, found {}", config.terms));
    }
    config.validate().err().map(|error| error.to_string())
}

/// Checks the settings of an operator that was given by itself.
///
/// # Errors
/// One does not fit.
pub fn check_operator(config: &LigoConfig) -> Result<(), RecipeError> {
    match operator_fault(config) {
        None => Ok(()),
        Some(message) => Err(RecipeError::Faults {
            origin: "--operator".into(),
            faults: vec![Fault {
                key: "operator".into(),
                message,
            }],
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{RecipeError, load};
    use super::*;

    /// The only fault of the demo with this setting.
    fn fault(given: &str) -> Fault {
        match load("demo", &[given.to_owned()]) {
            Err(RecipeError::Faults { mut faults, .. }) if faults.len() == 1 => faults.remove(0),
            other => panic!("{given}: {other:?}"),
        }
    }

    #[test]
    fn sizes_beyond_all_use_are_refused_by_name_with_the_limit() {
        let huge = i64::MAX;
        for (given, key, limit) in [
            (format!("data.seq_len={huge}"), "data.seq_len", "1048576"),
            (format!("operator.ligo.terms={huge}"), "operator.ligo", "64"),
            (
                format!("small.train.accumulation={huge}"),
                "small.train",
                "accumulation must be at most 16777216",
            ),
            (
                format!("large.train.batch_size={}", 1_i64 << 62),
                "large.train",
                "batch_size must be at most 16777216",
            ),
            (
                format!("operator.train.steps={huge}"),
                "operator.train",
                "steps must be at most 100000000",
            ),
            (
                format!("methods=[{{name=\"scratch\"}},{{name=\"ligo\",operator={{kind=\"ligo\",terms={huge}}}}}]"),
                "methods[1].operator",
                "terms must be at most 64",
            ),
        ] {
            let fault = fault(&given);
            assert_eq!(fault.key, key, "{given}");
            assert!(fault.message.contains(limit), "{given}: {}", fault.message);
        }
    }

    #[test]
    fn names_that_are_no_folders_or_speak_to_a_terminal_are_refused() {
        for name in ["a\\nb", "a/b", "..", "a\\u001b[2J", "", " a"] {
            assert_eq!(fault(&format!("name=\"{name}\"")).key, "name", "{name}");
        }
        let labeled = "methods=[{name=\"scratch\",label=\"a\\u001b[31mb\"}]";
        assert_eq!(fault(labeled).key, "methods[0].label");
    }

    #[test]
    fn of_very_many_faults_the_first_are_told() {
        let keys: String = (0..20_000).map(|i| format!("k{i}=1,")).collect();
        let start = std::time::Instant::now();
        let Err(RecipeError::Faults { faults, .. }) = load("demo", &[format!("small.train={{{keys}}}")]) else {
            panic!("accepted");
        };
        assert!(
            (MOST_FAULTS..MOST_FAULTS + 5).contains(&faults.len()),
            "{}",
            faults.len()
        );
        assert!(
            faults.iter().any(|fault| fault.message.contains("more")),
            "{:?}",
            faults.last()
        );
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }
}
