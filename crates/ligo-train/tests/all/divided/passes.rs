//! Dropout, layers that are computed again, layers and tokens that are left out.

use ligo_arch::ModelConfig;
use ligo_models::{DropoutStream, Layers, Pass, TokenDrop};

use super::{LAYERS, WHOLE, Way, alone, bits, check, kinds, together, wide, with_dropout};

fn dropping(seed: u64) -> Pass {
    Pass::whole(DropoutStream::new(seed))
}

#[test]
fn dropout_of_what_all_ranks_hold_alike_drops_what_it_drops_on_one_rank() {
    let mut changed = Vec::new();
    let families = ModelConfig::MODEL_TYPES.iter().filter(|family| !WHOLE.contains(family));
    for family in families {
        let config = with_dropout(&wide(family).to_json(), 0.3, 0.0);
        let whole = alone(&config, &|| dropping(5));
        if whole.loss != alone(&config, &Pass::evaluation).loss {
            changed.push(*family);
        }
        for ranks in [2, 4] {
            check(&config, &whole, &together(&config, &|| dropping(5), ranks), 1e-5);
        }
    }
    // The others have dropout of attention weights alone.
    for family in [
        "bert",
        "roberta",
        "distilbert",
        "albert",
        "electra",
        "modernbert",
        "gpt2",
        "gpt_neox",
        "opt",
        "phi3",
        "vit",
        "deit",
    ] {
        assert!(changed.contains(&family), "{family}: {changed:?}");
    }
}

#[test]
fn dropout_within_heads_leaves_ranks_together_and_is_another_for_each_number_of_them() {
    for family in ["bert", "modernbert", "llama"] {
        let config = with_dropout(&wide(family).to_json(), 0.0, 0.4);
        let mut losses = vec![alone(&config, &|| dropping(5)).loss];
        for ranks in [2, 4] {
            let found = together(&config, &|| dropping(5), ranks);
            for own in &found {
                assert_eq!(own.loss.to_bits(), found[0].loss.to_bits());
                let word_table = own.gradients.iter().find(|(name, _)| name.contains("embed")).unwrap();
                assert_eq!(bits(word_table.1), bits(&found[0].gradients[word_table.0]));
            }
            let again = together(&config, &|| dropping(5), ranks);
            assert_eq!(again[0].loss.to_bits(), found[0].loss.to_bits());
            assert!(!losses.contains(&found[0].loss), "{family}");
            losses.push(found[0].loss);
        }
    }
}

#[test]
fn layers_that_are_computed_again_give_the_same_bits_and_sum_on_that_way_too() {
    for config in kinds() {
        let pass = || Pass {
            recompute: true,
            ..Pass::evaluation()
        };
        let kept = together(&config, &Pass::evaluation, 2);
        for (again, kept) in together(&config, &pass, 2).iter().zip(&kept) {
            let name = config.model_type();
            assert_eq!(again.loss.to_bits(), kept.loss.to_bits(), "{name}");
            for (tensor, gradient) in &kept.gradients {
                assert_eq!(bits(&again.gradients[tensor]), bits(gradient), "{name}: {tensor}");
            }
            assert_eq!(again.forward, kept.forward, "{name}");
            assert_eq!(
                again.both_ways.count,
                kept.both_ways.count + kept.forward.count,
                "{name}"
            );
        }
    }
}

#[test]
fn layers_and_tokens_that_are_left_out_are_left_out_on_all_ranks() {
    for family in ["bert", "llama", "gpt_neox", "vit"] {
        let config = wide(family);
        let without = || Pass {
            layers: Layers::Without([0].into()),
            ..Pass::evaluation()
        };
        let tokens = || Pass {
            tokens: Some(TokenDrop {
                from_layer: 0,
                to_layer: LAYERS,
                keep: 0.7,
                seed: 3,
            }),
            ..Pass::evaluation()
        };
        for pass in [&without as Way<'_>, &tokens] {
            check(&config, &alone(&config, pass), &together(&config, pass, 2), 1e-5);
        }
    }
}
