//! The method that a pair is grown by when nobody says one.

use ligo_arch::{Axis, ModelConfig, ParamTable};
use ligo_growth::{Growth, OperatorSpec, UpcycleConfig};

/// A method, and why it is taken.
#[derive(Debug)]
pub struct Proposal {
    /// The method with its default settings.
    pub spec: OperatorSpec,
    /// A sentence for people.
    pub reason: String,
}

/// Methods that keep a function somewhere, the one to take first: layers alone by the method made for them, whole multiples without fresh
/// numbers, then whatever else fits.
const KEEPING: [&str; 5] = ["zero-blocks", "hyper-cloning", "lemon", "expansions", "fpi"];

/// What is taken where nothing keeps the function: depth growth by stacking trains best among the fixed methods (docs/RESULTS.md).
const OTHERWISE: &str = "stackbert";

const UNKEPT: &str = "no fixed method keeps what this model computes, so it has to be trained";

/// The method to grow this pair by: one that keeps the function where there is one.
///
/// `builds` tells whether a method takes the pair with all its sizes.
pub fn propose(small: &ModelConfig, large: &ModelConfig, builds: impl Fn(&OperatorSpec) -> bool) -> Proposal {
    let (table, larger) = (small.table_for(large), large.table());
    if let Some(upcycling) = upcycled(&table, &larger, &builds) {
        return upcycling;
    }
    let kinds = kinds(&table, &larger);
    let fits = |name: &str, keeps: bool| {
        let spec = OperatorSpec::from_name(name).filter(|spec| !spec.facts().learned)?;
        let facts = spec.facts();
        let held = kinds.iter().all(|kind| match keeps {
            true => facts.keeps(*kind).holds_between(&table, &larger),
            false => facts.takes(*kind).holds(&table),
        });
        (held && builds(&spec)).then_some(spec)
    };
    let keeping: Vec<OperatorSpec> = KEEPING.iter().filter_map(|name| fits(name, true)).collect();
    let names = |specs: &[OperatorSpec]| specs.iter().map(OperatorSpec::name).collect::<Vec<_>>().join(", ");
    match keeping.split_first() {
        Some((first, others)) => Proposal {
            spec: first.clone(),
            reason: match others {
                [] => "the method that keeps what the model computes".into(),
                others => format!("a method that keeps what the model computes; so do {}", names(others)),
            },
        },
        None => {
            let others: Vec<OperatorSpec> = OperatorSpec::NAMES
                .into_iter()
                .filter(|name| ![OTHERWISE, "scratch"].contains(name))
                .filter_map(|name| fits(name, false))
                .collect();
            Proposal {
                spec: OperatorSpec::from_name(OTHERWISE).unwrap_or(OperatorSpec::Stackbert),
                reason: match others.as_slice() {
                    [] => format!("{UNKEPT}; no other one can grow it"),
                    others => format!("{UNKEPT}; others that can grow it: {}", names(others)),
                },
            }
        }
    }
}

/// What more layers are where they share their parameters.
pub fn run_more_often(small: &ParamTable, large: &ParamTable) -> Option<String> {
    let mut stacks = large.depths().filter(|(stack, depth)| small.depth(stack) == *depth);
    let (stack, depth) = stacks.find(|(stack, _)| large.runs(stack) > small.runs(stack))?;
    let shared = if depth == 1 {
        "one layer".into()
    } else {
        format!("{depth} layers")
    };
    Some(format!(
        "layers share their parameters: the same {shared} run {} times instead of {}, which adds no parameter and changes what the model computes; \
         num_hidden_groups in --large config.json adds some",
        large.runs(stack),
        small.runs(stack)
    ))
}

/// What adds experts, where that is all that is asked for: nothing else does.
fn upcycled(small: &ParamTable, large: &ParamTable, builds: impl Fn(&OperatorSpec) -> bool) -> Option<Proposal> {
    let spec = OperatorSpec::Upcycle(UpcycleConfig::default());
    let [few, many] = [small, large].map(|table| table.size(Axis::EXPERTS));
    if few >= many || !builds(&spec) {
        return None;
    }
    let reason = match few {
        1 => {
            "the one method that makes experts; as copies they compute what the small model does, and --method upcycle --set drop=0.5 makes them differ"
        }
        _ => "the one method that adds experts, copies of those that are there",
    };
    Some(Proposal {
        spec,
        reason: reason.into(),
    })
}

/// The kinds of growth that lead from one model to the other.
fn kinds(small: &ParamTable, large: &ParamTable) -> Vec<Growth> {
    let mut kinds = Vec::new();
    if large
        .depths()
        .any(|(stack, depth)| depth > small.depth(stack) || large.runs(stack) > small.runs(stack))
    {
        kinds.push(Growth::Layers);
    }
    let grown: Vec<(usize, usize)> = large
        .sizes()
        .map(|(axis, size)| (small.size(axis), size))
        .filter(|(before, after)| after > before)
        .collect();
    if small.size(Axis::HIDDEN) < large.size(Axis::HIDDEN) {
        // Whole multiples of everything, the same everywhere, are the easy case.
        let twice = grown.iter().all(|(before, after)| after.is_multiple_of(*before));
        kinds.push(if twice { Growth::Doubled } else { Growth::Widened });
    } else if !grown.is_empty() {
        kinds.push(Growth::Inner);
    }
    kinds
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ligo_arch::{Resize, Size};

    use super::*;

    fn proposed(model_type: &str, resize: Resize) -> (&'static str, String) {
        let mut json = ModelConfig::example(model_type).unwrap().to_json();
        json["num_hidden_layers"] = 2.into();
        let small = ModelConfig::from_json(&json).unwrap();
        let large = small.resized(&resize).unwrap();
        let found = propose(&small, &large, |_| true);
        (found.spec.name(), found.reason)
    }

    #[test]
    fn a_method_that_keeps_the_function_is_taken_where_there_is_one() {
        let layers = Resize {
            layers: Some(Size::Times(2.0)),
            ..Resize::default()
        };
        let width = Resize {
            width: Some(Size::Times(2.0)),
            ..Resize::default()
        };
        let both = Resize {
            layers: layers.layers,
            ..width
        };
        assert_eq!(proposed("llama", layers).0, "zero-blocks");
        assert_eq!(proposed("llama", width).0, "hyper-cloning");
        assert_eq!(proposed("llama", both).0, "hyper-cloning");
        assert_eq!(proposed("bert", width).0, "hyper-cloning");
        let neurons = Resize {
            ffn: Some(Size::Times(1.5)),
            ..Resize::default()
        };
        assert_eq!(proposed("llama", neurons).0, "lemon");
        assert_eq!(proposed("bert", neurons).0, "lemon");
        let wider = Resize {
            width: Some(Size::Times(3.0)),
            ffn: Some(Size::Times(4.5)),
            ..Resize::default()
        };
        let (name, reason) = proposed("bert", wider);
        assert!(
            name == "stackbert" && reason.contains("has to be trained"),
            "{name}: {reason}"
        );
    }

    #[test]
    fn experts_are_added_by_upcycling() {
        let experts = Resize {
            experts: Some(Size::Exactly(8)),
            top_k: Some(2),
            ..Resize::default()
        };
        let (name, reason) = proposed("llama", experts);
        assert!(
            name == "upcycle" && reason.contains("compute what the small model does"),
            "{name}: {reason}"
        );
        assert_eq!(proposed("qwen3", experts).0, "upcycle");
        let (name, reason) = proposed("mixtral", experts);
        assert!(
            name == "upcycle" && reason.contains("copies of those"),
            "{name}: {reason}"
        );
        // The method does not take a pair that grows otherwise, too.
        let small = ModelConfig::example("llama").unwrap();
        let wider = Resize {
            width: Some(Size::Times(2.0)),
            ..experts
        };
        let found = propose(&small, &small.resized(&wider).unwrap(), |_| false);
        assert_ne!(found.spec.name(), "upcycle");
    }

    #[test]
    fn methods_that_do_not_take_the_pair_are_passed_by() {
        let small = ModelConfig::example("llama").unwrap();
        let resize = Resize {
            width: Some(Size::Times(2.0)),
            ..Resize::default()
        };
        let large = small.resized(&resize).unwrap();
        let found = propose(&small, &large, |spec| spec.name() != "hyper-cloning");
        assert_eq!(found.spec.name(), "lemon");
        let alone = propose(&small, &large, |_| false).reason;
        assert!(alone.ends_with("no other one can grow it"), "{alone}");
        let found = propose(&small, &large, |spec| spec.name() == "interpose");
        assert_eq!(found.spec.name(), "stackbert");
        assert!(
            found.reason.contains("has to be trained") && found.reason.ends_with(": interpose"),
            "{}",
            found.reason
        );
    }
}
