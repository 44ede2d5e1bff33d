//! Which growth keeps the function of which family, as theory promises (and how far the others are off).

use std::collections::BTreeMap;
use std::fs;

use burn::tensor::Device;
use ligo_arch::{ModelConfig, Resize, Size, Task};
use ligo_growth::{
    Choice, CloningConfig, CloningForm, CopyConfig, CopyScale, Error, Growth, LemonConfig, OperatorSpec, Placement,
    Split, ZeroBlocksConfig, stream,
};
use serde_json::json;

use crate::common::{Family, Weights, distance, families, logits, operators, source, tensors, values, weights};
use crate::repository::root;

/// Largest difference of a logit, relative to the largest logit, that rounding in f32 explains.
const EXACT: f64 = 1e-5;

fn grow(spec: &OperatorSpec, small: &ModelConfig, large: &ModelConfig, weights: &Weights) -> Result<Weights, Error> {
    let device = Device::flex();
    let (small, large) = (small.table(), large.table());
    // Fresh entries as large as the others, so that what they change is seen.
    let map = spec.build(&small, &large, &device, 0.4, 1)?;
    let mut grown = Weights::new();
    stream::grow_each(
        &map,
        &small,
        &large,
        &mut source(weights),
        &device,
        &mut |param, values| {
            grown.insert(param.name.clone(), values);
            Ok(())
        },
    )?;
    Ok(grown)
}

/// How far the grown model's logits are from the small one's, as a share of the largest.
fn gap(spec: &OperatorSpec, family: &Family, large: &ModelConfig) -> Result<f64, Error> {
    let device = Device::flex();
    let small = family.small();
    let large = spec.adjust(&small, large);
    let weights = weights(&small.table());
    let grown = grow(spec, &small, &large, &weights)?;
    let before = values(logits(&small, tensors(&weights, &device), &device));
    let after = values(logits(&large, tensors(&grown, &device), &device));
    Ok(distance(&before, &after))
}

#[test]
fn every_operator_keeps_the_function_where_it_says_and_nowhere_else() {
    let mut exact = 0;
    let mut report = Report::default();
    for spec in operators() {
        let facts = spec.facts();
        for family in families() {
            for growth in Growth::ALL {
                let what = format!("{}, {growth:?}, {}", spec.name(), family.name);
                let table = family.small().table();
                match gap(&spec, &family, &family.large(growth)) {
                    Err(Error::CannotGrow { operator, .. }) => {
                        assert_eq!(operator, spec.name());
                        assert!(!facts.takes(growth).holds(&table), "{what}: refused");
                        report.add(&spec, growth, "refused".into());
                    }
                    Err(error) => panic!("{what}: {error}"),
                    Ok(gap) => {
                        println!("{what}: {gap:.1e}");
                        assert!(facts.takes(growth).holds(&table), "{what}: not refused");
                        let keeps = facts.keeps(growth).holds(&table);
                        exact += usize::from(keeps);
                        let shown = if keeps {
                            "exact".into()
                        } else {
                            format!("{:.0} %", 100.0 * gap)
                        };
                        report.add(&spec, growth, shown);
                        // What is not exact is seen not to be.
                        assert!(
                            if keeps {
                                gap <= family.exact()
                            } else {
                                gap > 100.0 * EXACT
                            },
                            "{what}: {gap:e}"
                        );
                    }
                }
            }
        }
    }
    assert!(exact > 100, "only {exact} cases are exact");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        report.write();
    }
}

#[test]
fn a_norm_that_no_source_has_does_nothing_but_normalize() {
    let family = families()
        .into_iter()
        .find(|family| family.name == "modernbert")
        .unwrap();
    let (small, large) = (family.small(), family.large(Growth::Layers));
    let weights = weights(&small.table());
    let name = |layer: usize| format!("model.layers.{layer}.attn_norm.weight");
    let ones = vec![1.0; 8];
    // What each of four layers copies; the first layer has no such norm.
    for (method, sources) in [
        ("stackbert", [0, 1, 0, 1]),
        ("interpose", [0, 0, 1, 1]),
        ("zero-blocks", [0, 0, 1, 1]),
    ] {
        let grown = grow(&OperatorSpec::from_name(method).unwrap(), &small, &large, &weights).unwrap();
        assert!(!grown.contains_key(&name(0)));
        for (layer, source) in sources.into_iter().enumerate().skip(1) {
            let expected = if source == 0 { &ones } else { &weights[&name(1)] };
            assert_eq!(grown[&name(layer)], *expected, "{method}: layer {layer}");
        }
    }
    // The norm of a layer that comes before all others goes.
    let list = OperatorSpec::Layers {
        layers: vec![1, 1, 0, 1],
    };
    let grown = grow(&list, &small, &large, &weights).unwrap();
    assert!(!grown.contains_key(&name(0)));
    assert_eq!((&grown[&name(1)], &grown[&name(2)]), (&weights[&name(1)], &ones));
}

/// The gaps as a page: a table for each kind of growth.
#[derive(Default)]
struct Report(BTreeMap<(usize, usize), (&'static str, Vec<String>)>);

impl Report {
    /// Families come in their order.
    fn add(&mut self, spec: &OperatorSpec, growth: Growth, cell: String) {
        let row = OperatorSpec::NAMES
            .iter()
            .position(|name| *name == spec.name())
            .unwrap();
        let line = self
            .0
            .entry((growth as usize, row))
            .or_insert((spec.name(), Vec::new()));
        line.1.push(cell);
    }

    fn write(&self) {
        let mut page = String::from(
            "# How far growth moves a model\n\n\
             Largest difference of a logit between the grown model before its first step and the small one, as a share of the small one's largest\n\
             logit; *exact* is less than 0.001 %. Every family has two layers, random weights of standard deviation 0.4 (fresh entries too) and random\n\
             inputs: the numbers say which growth moves the function, not how good a start it is. Written by\n\
             `UPDATE_DOCS=1 cargo nextest run --release -p ligo-tests exactness`.\n",
        );
        let names: Vec<&str> = families().iter().map(|f| f.name).collect();
        for (growth, title) in [
            (Growth::Layers, "Twice the layers"),
            (
                Growth::Inner,
                "More neurons (Llama and its kin: and heads), the same residual stream",
            ),
            (Growth::Doubled, "Twice every width"),
            (Growth::Widened, "Half as wide again"),
        ] {
            page.push_str(&format!(
                "\n## {title}\n\n| operator | {} |\n|{}\n",
                names.join(" | "),
                " --- |".repeat(names.len() + 1)
            ));
            let rows = self.0.range((growth as usize, 0)..(growth as usize + 1, 0));
            for (_, (name, cells)) in rows {
                page.push_str(&format!("| `{name}` | {} |\n", cells.join(" | ")));
            }
        }
        fs::write(root().join("docs/EXACTNESS.md"), page).unwrap();
    }
}

#[test]
fn settings_that_break_the_symmetry_of_copies_keep_the_function_too() {
    let cloning = |form, noise| OperatorSpec::HyperCloning(CloningConfig { form, noise });
    let copies = |choice| {
        OperatorSpec::Fpi(CopyConfig {
            choice,
            scale: CopyScale::Count,
        })
    };
    let specs = [
        cloning(CloningForm::Noisy, 0.5),
        cloning(CloningForm::Diagonal, 0.0),
        cloning(CloningForm::NoisyDiagonal, 0.5),
        // As often as every other one: the statistics of a normalization stay the same.
        copies(Choice::Balanced),
        copies(Choice::Cyclic),
        lemon(Split::Channel, 0.0),
        lemon(Split::Channel, 0.9),
        lemon(Split::Weight, 0.5),
    ];
    for family in families() {
        for spec in &specs {
            let gap = gap(spec, &family, &family.large(Growth::Doubled)).unwrap();
            println!("{spec:?}, {}: {gap:.1e}", family.name);
            assert!(gap <= EXACT, "{spec:?}, {}: {gap:e}", family.name);
        }
    }
}

fn lemon(split: Split, spread: f64) -> OperatorSpec {
    OperatorSpec::Lemon(LemonConfig {
        split,
        spread,
        ..LemonConfig::default()
    })
}

#[test]
fn weights_that_are_split_one_by_one_keep_the_function_of_any_width() {
    let mut checked = 0;
    for (family, growth) in families().iter().flat_map(|f| Growth::ALL.map(|growth| (f, growth))) {
        let spec = lemon(Split::Weight, 0.5);
        if spec.facts().keeps(growth).holds(&family.small().table()) {
            let gap = gap(&spec, family, &family.large(growth)).unwrap();
            assert!(gap <= EXACT, "{growth:?}, {}: {gap:e}", family.name);
            checked += 1;
        }
    }
    assert!(checked > 35, "{checked}");
}

#[test]
fn layers_without_effect_have_none_wherever_they_stand() {
    for placement in [Placement::GroupEnds, Placement::Top, Placement::Interposed] {
        let spec = OperatorSpec::ZeroBlocks(ZeroBlocksConfig { placement });
        for family in families() {
            // From two layers to three, so that places differ, and to seven: several copies of each.
            for layers in [3, 7] {
                let resize = Resize {
                    layers: Some(Size::Exactly(layers)),
                    ..Resize::default()
                };
                let large = family.small().resized(&resize).unwrap();
                let gap = gap(&spec, &family, &large).unwrap();
                assert!(
                    gap <= family.exact(),
                    "{placement:?}, {layers} layers, {}: {gap:e}",
                    family.name
                );
            }
        }
    }
}

#[test]
fn noise_leaves_the_rows_of_words_and_classes_alone() {
    let form = |form| OperatorSpec::HyperCloning(CloningConfig { form, noise: 0.5 });
    for (family, head) in [("gpt2, untied", "lm_head.weight"), ("vit", "classifier.weight")] {
        let family = families().into_iter().find(|f| f.name == family).unwrap();
        let (small, large) = (family.small(), family.large(Growth::Doubled));
        let weights = weights(&small.table());
        let grown = |spec| grow(&form(spec), &small, &large, &weights).unwrap();
        let (symmetric, noisy) = (grown(CloningForm::Symmetric), grown(CloningForm::Noisy));
        assert_eq!(symmetric[head], noisy[head], "{}", family.name);
        let moved = symmetric.iter().filter(|(name, values)| noisy[*name] != **values);
        assert!(moved.count() >= 12, "{}: nothing else has noise", family.name);
        let (diagonal, noisy) = (grown(CloningForm::Diagonal), grown(CloningForm::NoisyDiagonal));
        assert_eq!(diagonal[head], noisy[head], "{}", family.name);
        assert_ne!(diagonal, noisy, "{}", family.name);
    }
}

#[test]
fn three_copies_are_exact_in_every_form() {
    // An odd number of copies: the noise of two of them cancels, the third has none.
    for family in families() {
        let small = family.small();
        let mut json = small.to_json();
        for (key, value) in family.large(Growth::Doubled).to_json().as_object().unwrap() {
            if let (Some(old), Some(new)) = (json.get(key).and_then(|v| v.as_u64()), value.as_u64()) {
                json[key] = if new == 2 * old { (3 * old).into() } else { new.into() };
            }
        }
        let large = ModelConfig::from_json(&json).unwrap();
        for form in [
            CloningForm::Symmetric,
            CloningForm::Noisy,
            CloningForm::Diagonal,
            CloningForm::NoisyDiagonal,
        ] {
            let spec = OperatorSpec::HyperCloning(CloningConfig { form, noise: 0.5 });
            let gap = gap(&spec, &family, &large).unwrap();
            assert!(gap <= EXACT, "{form:?}, {}: {gap:e}", family.name);
        }
    }
}

#[test]
fn depth_and_width_at_once_are_exact_where_each_of_them_is() {
    for spec in operators() {
        let facts = spec.facts();
        for family in families() {
            let table = family.small().table();
            let keeps = |growth| facts.keeps(growth).holds(&table);
            if keeps(Growth::Layers) && keeps(Growth::Doubled) {
                let gap = gap(&spec, &family, &family.both()).unwrap();
                println!("{}, both, {}: {gap:.1e}", spec.name(), family.name);
                assert!(gap <= family.exact(), "{}, {}: {gap:e}", spec.name(), family.name);
            }
        }
    }
}

#[test]
fn encoders_without_a_head_keep_their_states() {
    let device = Device::flex();
    for family in families().into_iter().filter(|f| ["bert", "roberta"].contains(&f.name)) {
        let bare = |config: ModelConfig| config.with_task(Task::HiddenStates).unwrap();
        let small = bare(family.small());
        let weights = weights(&small.table());
        let before = values(logits(&small, tensors(&weights, &device), &device));
        for growth in [Growth::Layers, Growth::Doubled] {
            let large = bare(family.large(growth));
            let spec = OperatorSpec::from_name("hyper-cloning").unwrap();
            let grown = grow(&spec, &small, &large, &weights).unwrap();
            let after = values(logits(&large, tensors(&grown, &device), &device));
            // Each state once, or twice side by side.
            let (old, new) = (small.sizes().hidden, large.sizes().hidden);
            for copy in 0..new / old {
                let states = after
                    .chunks_exact(new)
                    .flat_map(|state| &state[copy * old..(copy + 1) * old]);
                let gap = distance(&before, &states.copied().collect::<Vec<_>>());
                assert!(gap <= EXACT, "{growth:?}, {}: {gap:e}", family.name);
            }
        }
    }
}

#[test]
fn lemon_and_expansions_need_their_epsilon() {
    for (spec, family) in [
        (OperatorSpec::from_name("lemon").unwrap(), "gpt2"),
        (OperatorSpec::Expansions, "qwen2"),
    ] {
        let family = families().into_iter().find(|f| f.name == family).unwrap();
        let small = family.small().with_norm_epsilon(1e-2);
        let large = family.large(Growth::Widened);
        let device = Device::flex();
        let weights = weights(&small.table());
        let before = values(logits(&small, tensors(&weights, &device), &device));
        let gap = |large: &ModelConfig| {
            let grown = grow(&spec, &small, large, &weights).unwrap();
            distance(&before, &values(logits(large, tensors(&grown, &device), &device)))
        };
        let adjusted = spec.adjust(&small, &large);
        assert!(adjusted.norm_epsilon() < small.norm_epsilon());
        let (with, without) = (gap(&adjusted), gap(&large.with_norm_epsilon(small.norm_epsilon())));
        assert!(with <= EXACT, "{}: {with:e}", spec.name());
        assert!(without > 10.0 * EXACT, "{}: {without:e}", spec.name());
    }
}

fn refusal(spec: &OperatorSpec, family: &str, growth: Growth) -> (String, String) {
    let family = families().into_iter().find(|f| f.name == family).unwrap();
    match gap(spec, &family, &family.large(growth)).unwrap_err() {
        Error::CannotGrow { reason, instead, .. } => (reason, instead),
        other => panic!("{other}"),
    }
}

#[test]
fn refusals_say_why_and_what_can_be_done_instead() {
    let named = |name| OperatorSpec::from_name(name).unwrap();
    for (name, family, growth, why) in [
        ("hyper-cloning", "bert", Growth::Widened, "whole multiple"),
        ("zero-blocks", "gpt2", Growth::Doubled, "keeps every width"),
        ("lemon", "bert", Growth::Widened, "sum of their input and output"),
        ("lemon", "cait", Growth::Widened, "LayerScale"),
    ] {
        let (reason, instead) = refusal(&named(name), family, growth);
        assert!(reason.contains(why), "{name}: {reason}");
        // The ones that can, and only those.
        let able: Vec<&str> = instead.split(", ").flat_map(|part| part.split(" or ")).collect();
        let family = families().into_iter().find(|f| f.name == family).unwrap();
        for spec in operators().into_iter().filter(|s| *s != OperatorSpec::Scratch) {
            let takes = spec.facts().takes(growth).holds(&family.small().table());
            assert_eq!(
                able.contains(&spec.name()),
                takes,
                "{name} on {}: {instead}",
                family.name
            );
        }
    }
    let diagonal = OperatorSpec::HyperCloning(CloningConfig {
        form: CloningForm::Diagonal,
        noise: 0.0,
    });
    let family = &families()[0];
    let mut json = family.large(Growth::Doubled).to_json();
    json["intermediate_size"] = json!(48);
    let error = gap(&diagonal, family, &ModelConfig::from_json(&json).unwrap()).unwrap_err();
    assert!(error.to_string().contains("all must grow alike"), "{error}");
    // Its other forms can, as the reason says, but it is no other operator.
    let Error::CannotGrow { instead, .. } = error else {
        panic!("{error}");
    };
    assert!(
        instead.contains("stackbert") && !instead.contains("hyper-cloning"),
        "{instead}"
    );
}

/// A Llama with so many query and key heads.
fn grouped(hidden: usize, heads: usize, groups: usize, head_dim: usize) -> ModelConfig {
    ModelConfig::from_json(&json!({"model_type": "llama", "vocab_size": 23, "hidden_size": hidden, "num_hidden_layers": 2,
        "num_attention_heads": heads, "num_key_value_heads": groups, "head_dim": head_dim, "intermediate_size": 5 * hidden / 4,
        "tie_word_embeddings": false}))
    .unwrap()
}

#[test]
fn query_heads_are_cloned_within_their_groups() {
    let device = Device::flex();
    for groups in [1, 2] {
        let (small, large) = (grouped(16, 4, groups, 4), grouped(32, 8, groups, 4));
        let weights = weights(&small.table());
        let before = values(logits(&small, tensors(&weights, &device), &device));
        for form in [
            CloningForm::Symmetric,
            CloningForm::Noisy,
            CloningForm::Diagonal,
            CloningForm::NoisyDiagonal,
        ] {
            let spec = OperatorSpec::HyperCloning(CloningConfig { form, noise: 0.5 });
            let grown = grow(&spec, &small, &large, &weights).unwrap();
            let gap = distance(&before, &values(logits(&large, tensors(&grown, &device), &device)));
            assert!(gap <= EXACT, "{form:?}, {groups} key heads: {gap:e}");
            // Heads 0 and 1 of the first group, and again.
            let query = "model.layers.0.self_attn.q_proj.bias";
            assert!(!grown.contains_key(query));
            let row = |i: usize| &grown["model.layers.0.self_attn.q_proj.weight"][i * 32..(i + 1) * 32];
            let per_group = 4 / groups;
            if form == CloningForm::Symmetric {
                for i in 0..4 * per_group {
                    assert_eq!(row(i), row(i + 4 * per_group), "head {}", i / 4);
                }
            }
        }
    }
}

#[test]
fn query_heads_grow_by_whole_groups_in_every_other_operator() {
    let (small, large) = (grouped(16, 4, 2, 4), grouped(32, 8, 2, 4));
    let (small, large) = (small.table(), large.table());
    for spec in operators() {
        match spec.check(&small, &large) {
            Ok(()) => assert!(["scratch", "hyper-cloning"].contains(&spec.name()), "{}", spec.name()),
            Err(Error::CannotGrow { reason, instead, .. }) => {
                assert!(reason.contains("whole groups"), "{}: {reason}", spec.name());
                assert_eq!(instead, "hyper-cloning");
            }
            Err(other) => panic!("{}: {other}", spec.name()),
        }
    }
    // More key heads and more query heads for each, and no whole multiple.
    for (more, why) in [
        (grouped(32, 16, 4, 4), "key heads must then stay"),
        (grouped(24, 6, 2, 4), ""),
    ] {
        let error = OperatorSpec::from_name("hyper-cloning")
            .unwrap()
            .check(&small, &more.table())
            .unwrap_err();
        match error {
            Error::CannotGrow { reason, .. } => assert!(reason.contains(why) && !why.is_empty(), "{reason}"),
            Error::Arch(error) => assert_eq!(error, ligo_arch::Error::HeadsPerGroup { small: 2, large: 3 }),
            other => panic!("{other}"),
        }
    }
}
