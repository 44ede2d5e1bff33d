//! Memory by part, counted by hand.

use ligo_cost::exact::{GrowthOrder, TensorGrowth};
use ligo_cost::memory::{Batch, Parameters, learning, training};
use ligo_cost::{Predicted, TransformerDims};

fn tiny() -> TransformerDims {
    TransformerDims {
        layers: 2,
        class_layers: 0,
        hidden: 4,
        query: 4,
        key_value: 2,
        ffn: 6,
        ffn_matrices: 3,
        sparse: None,
        heads: 2,
        vocab: 10,
        patch: 0,
        patches: 0,
        seq_len: 5,
        predicted: Predicted::Masked { fraction: 0.2 },
        head_transform: true,
        embedding: None,
        head: None,
    }
}

const BATCH: Batch = Batch {
    sequences: 3,
    accumulation: 1,
    moments: 2.0,
    recomputes_layers: false,
};

#[test]
fn the_parts_of_a_tiny_model_equal_a_count_by_hand() {
    let memory = training(1000, &tiny(), BATCH);
    assert_eq!(memory.weights_bytes, 4000.0);
    assert_eq!(memory.gradients_bytes, 4000.0);
    assert_eq!(memory.moments_bytes, 8000.0);
    // 15 tokens; a layer keeps 4·4 + 2·4 + 2·2 + 3·6 + 2 = 48 numbers of each, the embeddings 12.
    assert_eq!(memory.activations_bytes, f64::from(4 * 15 * (2 * 48 + 12)));
    // 3 predicted tokens: two rows of 10 logits, and 5 rows of 4 around the layer before the output.
    assert!((memory.logits_bytes - f64::from(4 * 3 * (2 * 10 + 5 * 4))).abs() < 1e-9);
    assert_eq!(memory.operator_bytes, 0.0);
    let parts = 4000.0 + 4000.0 + 8000.0 + memory.activations_bytes + memory.logits_bytes;
    assert_eq!(memory.total_bytes(), parts);
}

#[test]
fn a_model_that_recomputes_its_layers_keeps_their_inputs_and_one_layer() {
    let recomputing = Batch {
        recomputes_layers: true,
        ..BATCH
    };
    let with = |layers, batch| {
        let dims = TransformerDims { layers, ..tiny() };
        training(1000, &dims, batch)
    };
    let memory = with(6, recomputing);
    // Of 15 tokens: 6 inputs of 4 numbers, the 48 of one layer, 12 of the embeddings.
    assert_eq!(memory.activations_bytes, f64::from(4 * 15 * (6 * 4 + 48 + 12)));
    let plain = with(6, BATCH);
    assert!(memory.activations_bytes < 0.3 * plain.activations_bytes);
    let others = |memory: ligo_cost::memory::Memory| memory.total_bytes() - memory.activations_bytes;
    assert_eq!(others(memory), others(plain));
}

#[test]
fn sets_of_gradients_are_those_of_a_tree_and_no_optimizer_state_is_kept_without_moments() {
    for (accumulation, sets) in [(1, 1.0), (2, 2.0), (3, 2.0), (4, 3.0), (8, 4.0), (12, 4.0), (16, 5.0)] {
        let batch = Batch {
            accumulation,
            moments: 0.0,
            ..BATCH
        };
        let memory = training(1000, &tiny(), batch);
        assert_eq!((memory.gradients_bytes, memory.moments_bytes), (sets * 4000.0, 0.0));
        assert_eq!(
            memory.activations_bytes,
            training(1000, &tiny(), BATCH).activations_bytes
        );
    }
}

#[test]
fn an_operator_keeps_what_the_large_weights_are_made_of_instead_of_their_moments() {
    let parameters = Parameters {
        small: 300,
        large: 1000,
        operator: 50,
    };
    let weight = TensorGrowth {
        rows_small: 3,
        cols_small: 4,
        rows_large: 5,
        cols_large: 7,
        layers_small: 2,
        layers_large: 6,
    };
    let embedding = TensorGrowth {
        layers_small: 1,
        layers_large: 1,
        rows_small: 10,
        rows_large: 10,
        ..weight
    };
    let memory = |order| learning(parameters, &tiny(), &[weight, embedding], order, BATCH);
    let width_first = memory(GrowthOrder::WidthThenDepth);
    // Half widened [5, 4], widened and stacked [5, 7], for two layers; the embedding widens its columns in one product.
    assert_eq!(
        width_first.operator_bytes,
        f64::from(4 * (300 + 2 * (20 + 2 * 35) + 50 * 4))
    );
    let depth_first = memory(GrowthOrder::DepthThenWidth);
    assert_eq!(
        depth_first.operator_bytes,
        f64::from(4 * (300 + 2 * 12 + 6 * (12 + 20) + 50 * 4))
    );
    assert_eq!((width_first.weights_bytes, width_first.moments_bytes), (4000.0, 0.0));
}

#[test]
fn a_larger_model_batch_or_vocabulary_takes_more() {
    let total = |dims: &TransformerDims, sequences| {
        let batch = Batch { sequences, ..BATCH };
        training(1000, dims, batch).total_bytes()
    };
    let small = TransformerDims::bert(6, 512);
    assert!(total(&TransformerDims::bert(12, 768), 8) > total(&small, 8));
    assert!(total(&small, 9) > total(&small, 8));
    let words = TransformerDims { vocab: 50_000, ..small };
    assert!(total(&words, 8) > total(&small, 8));
}

#[test]
fn a_layer_of_class_attention_keeps_keys_and_values_of_every_token_and_little_else() {
    let with = |layers, class_layers| {
        let dims = TransformerDims {
            layers,
            class_layers,
            ..tiny()
        };
        training(1000, &dims, BATCH).activations_bytes
    };
    let (main, class) = (with(3, 0) - with(2, 0), with(2, 1) - with(2, 0));
    // 15 tokens of 4 + 2·2 numbers; 3 class tokens of 3·4 + 2·4 + 3·6 and a row of 5 keys for each of 2 heads.
    assert_eq!(class, f64::from(4 * (15 * 8 + 3 * (38 + 10))));
    assert!(class < main);
}
