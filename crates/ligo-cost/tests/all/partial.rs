//! Steps in which not everything runs or is trained, against whole steps and products counted by hand.

use ligo_cost::{PartialPass, Predicted, TransformerDims, electra, exact};

const BATCH: usize = 3;

/// Grouped queries, a gated feed-forward network and no layer before the output.
fn grouped() -> TransformerDims {
    TransformerDims {
        layers: 4,
        class_layers: 0,
        hidden: 8,
        query: 12,
        key_value: 6,
        ffn: 20,
        ffn_matrices: 3,
        sparse: None,
        heads: 2,
        vocab: 30,
        patch: 0,
        patches: 0,
        seq_len: 10,
        predicted: Predicted::EveryToken,
        head_transform: false,
        embedding: None,
        head: None,
    }
}

fn image() -> TransformerDims {
    TransformerDims {
        class_layers: 2,
        patch: 48,
        patches: 9,
        predicted: Predicted::EverySequence,
        ..grouped()
    }
}

fn kinds() -> Vec<TransformerDims> {
    vec![
        TransformerDims::bert(6, 512),
        TransformerDims::bert(12, 768),
        TransformerDims::gpt2(12, 768),
        grouped(),
        image(),
    ]
}

#[test]
fn a_whole_pass_costs_a_training_step_to_the_last_flop() {
    for dims in kinds() {
        for batch in [1, 7, 256] {
            let whole = PartialPass::whole(&dims);
            assert_eq!(whole.exact_flops(&dims, batch), exact::train_step_flops(&dims, batch));
            assert_eq!(
                whole.electra_flops(&dims, batch),
                electra::train_step_flops(&dims, batch)
            );
        }
    }
}

#[test]
fn recomputed_layers_cost_their_forward_pass_once_more_where_gradients_reach_them() {
    for dims in kinds() {
        let again = exact::recomputed_layers_flops(&dims, 3);
        let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-12 * b, "{a} {b}");
        let whole = PartialPass::whole(&dims);
        close(
            whole.clone().recomputed().exact_flops(&dims, 3),
            whole.exact_flops(&dims, 3) + again,
        );
        let once_more = 3.0 * electra::forward_flops(&dims).layers;
        close(
            whole.clone().recomputed().electra_flops(&dims, 3),
            whole.electra_flops(&dims, 3) + once_more,
        );
        // Nothing is recorded below the lowest trained layer, so nothing is computed again.
        let top = whole.trained_from(dims.layers - 1);
        let (plain, recomputed) = (
            top.exact_flops(&dims, 3),
            top.clone().recomputed().exact_flops(&dims, 3),
        );
        close(recomputed, plain + again / dims.layers as f64);
        let teacher = PartialPass::forward(&dims);
        assert_eq!(
            teacher.clone().recomputed().exact_flops(&dims, 3),
            teacher.exact_flops(&dims, 3)
        );
    }
}

#[test]
fn a_teacher_costs_a_forward_pass() {
    for dims in kinds() {
        let teacher = PartialPass::forward(&dims);
        let exact = exact::forward_flops(&dims, BATCH).total();
        assert!((teacher.exact_flops(&dims, BATCH) - exact).abs() <= 1e-15 * exact);
        assert_eq!(
            teacher.electra_flops(&dims, BATCH),
            BATCH as f64 * electra::forward_flops(&dims).total()
        );
    }
}

#[test]
fn a_pass_through_fewer_layers_costs_what_a_model_of_so_many_layers_costs() {
    for dims in kinds() {
        for count in 0..=dims.layers {
            let smaller = TransformerDims { layers: count, ..dims };
            let first = PartialPass::whole(&dims).first(count);
            // As many layers, but others.
            let others = PartialPass::whole(&dims).without(0..dims.layers - count);
            for pass in [first, others] {
                assert_eq!(pass.exact_flops(&dims, BATCH), exact::train_step_flops(&smaller, BATCH));
                assert_eq!(
                    pass.electra_flops(&dims, BATCH),
                    electra::train_step_flops(&smaller, BATCH)
                );
            }
        }
    }
}

#[test]
fn layers_on_fewer_tokens_cost_what_they_cost_in_shorter_sequences() {
    let dims = grouped();
    let shorter = TransformerDims { seq_len: 7, ..dims };
    let pass = PartialPass::whole(&dims).with_tokens(1..3, 7);
    let (all, some) = (
        exact::forward_flops(&dims, BATCH),
        exact::forward_flops(&shorter, BATCH),
    );
    let layers = |flops: exact::ForwardFlops| flops.total() - flops.head;
    let expected = 3.0 * (all.head + layers(all) / 2.0 + layers(some) / 2.0);
    assert_eq!(pass.exact_flops(&dims, BATCH), expected);
    let (all, some) = (electra::forward_flops(&dims), electra::forward_flops(&shorter));
    let expected = all.embeddings + all.output + all.layers / 2.0 + some.layers / 2.0;
    assert_eq!(pass.electra_flops(&dims, BATCH), 2.0 * BATCH as f64 * expected);
}

/// Products of one layer, counted by hand: queries, keys, values; the output; both of attention; three of the feed-forward network.
fn layer_by_hand(dims: &TransformerDims, tokens: usize) -> [usize; 4] {
    let n = BATCH * tokens;
    let inputs = 2 * n * dims.hidden * (dims.query + dims.key_value + dims.key_value);
    let output = 2 * n * dims.query * dims.hidden;
    let attention = 2 * (2 * n * tokens * dims.query);
    let ffn = 3 * (2 * n * dims.hidden * dims.ffn);
    [inputs, output, attention, ffn]
}

#[test]
fn gradients_end_at_the_lowest_trained_layer() {
    let dims = grouped();
    let [inputs, output, attention, ffn] = layer_by_hand(&dims, dims.seq_len);
    let layer = inputs + output + attention + ffn;
    let head = 2 * BATCH * dims.seq_len * dims.hidden * dims.vocab;
    // Two layers forward only, the third without gradients of its inputs, the fourth and the head whole.
    let expected = 2 * layer + (3 * layer - inputs) + 3 * layer + 3 * head;
    let pass = PartialPass::whole(&dims).trained_from(2);
    assert_eq!(pass.exact_flops(&dims, BATCH), expected as f64);

    let forward = electra::forward_flops(&dims);
    let expected = forward.embeddings + 2.0 * forward.output + 1.5 * forward.layers;
    assert_eq!(pass.electra_flops(&dims, BATCH), BATCH as f64 * expected);
}

#[test]
fn a_frozen_layer_above_a_trained_one_lets_gradients_through() {
    let dims = grouped();
    let mut pass = PartialPass::whole(&dims);
    pass.layers[2].trained = false;
    let [inputs, output, _, ffn] = layer_by_hand(&dims, dims.seq_len);
    let saved = exact::train_step_flops(&dims, BATCH) - pass.exact_flops(&dims, BATCH);
    assert_eq!(saved, (inputs + output + ffn) as f64);
}

#[test]
fn a_head_alone_learns_without_gradients_of_layers() {
    let dims = TransformerDims {
        head_transform: true,
        ..grouped()
    };
    let pass = PartialPass::whole(&dims).trained_from(dims.layers);
    let n = BATCH * dims.seq_len;
    let (logits, transform) = (2 * n * dims.hidden * dims.vocab, 2 * n * dims.hidden * dims.hidden);
    let layers = 4 * layer_by_hand(&dims, dims.seq_len).iter().sum::<usize>();
    // Results, the gradient of what the logits read, and two gradients of weights.
    let expected = layers + 3 * logits + 2 * transform;
    assert_eq!(pass.exact_flops(&dims, BATCH), expected as f64);
}

#[test]
fn a_sub_model_whose_top_is_trained_combines_the_rules() {
    let dims = grouped();
    let smaller = TransformerDims { layers: 2, ..dims };
    let sub_model = PartialPass::whole(&dims).first(2).trained_from(1);
    let alone = PartialPass::whole(&smaller).trained_from(1);
    assert_eq!(sub_model.exact_flops(&dims, BATCH), alone.exact_flops(&smaller, BATCH));
    // A trained layer that does not run does not draw gradients down.
    let mut pass = PartialPass::whole(&dims).trained_from(3);
    pass.layers[0].trained = true;
    let skipped = pass.without([0]);
    let expected = PartialPass::whole(&dims).trained_from(3).without([0]);
    assert_eq!(skipped.exact_flops(&dims, BATCH), expected.exact_flops(&dims, BATCH));
}

#[test]
fn layers_that_do_not_exist_change_nothing() {
    let dims = grouped();
    let whole = PartialPass::whole(&dims);
    let same = whole
        .clone()
        .without([4, 9])
        .with_tokens(4..9, 2)
        .first(17)
        .with_tokens(3..3, 1);
    assert_eq!(same, whole);
}
