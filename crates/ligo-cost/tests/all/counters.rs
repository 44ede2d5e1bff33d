//! The FLOP counters against the numbers of the LiGO paper and against products counted by hand.

use ligo_cost::exact::{self, GrowthOrder, TensorGrowth};
use ligo_cost::{PartialPass, Predicted, SparseDims, TransformerDims, electra};

const BATCH: usize = 256;

fn bert_small() -> TransformerDims {
    TransformerDims::bert(6, 512)
}

fn bert_base() -> TransformerDims {
    TransformerDims::bert(12, 768)
}

fn bert_large() -> TransformerDims {
    TransformerDims::bert(24, 1024)
}

#[test]
fn a_step_of_the_papers_models_costs_what_the_paper_printed() {
    let printed =
        |dims: &TransformerDims, digits: usize| format!("{:.*e}", digits, electra::train_step_flops(dims, BATCH));
    assert_eq!(printed(&bert_base(), 4), "1.5068e13");
    assert_eq!(printed(&bert_small(), 3), "4.977e12");
    assert_eq!(printed(&bert_large(), 3), "4.531e13");
}

/// The right-hand sides are the output of `VITA-Group/LiGO`'s `flop_computation.py` (commit e34b098), batch 256.
#[test]
fn the_electra_counter_equals_the_original_file_to_the_last_flop() {
    let mini = TransformerDims {
        ffn: 384,
        heads: 3,
        vocab: 8192,
        ..TransformerDims::bert(6, 96)
    };
    let short = TransformerDims {
        vocab: 1000,
        seq_len: 64,
        ..TransformerDims::bert(12, 256)
    };
    let roberta = TransformerDims {
        vocab: 50_265,
        ..bert_base()
    };
    for (dims, expected) in [
        (bert_base(), 15_068_231_331_840.0),
        (bert_small(), 4_977_349_455_872.0),
        (bert_large(), 45_308_148_936_704.0),
        (roberta, 17_367_572_502_528.0),
        (mini, 231_606_321_152.0),
        (short, 672_214_343_680.0),
        (TransformerDims::gpt2(12, 768), 192_479_153_881_088.0),
    ] {
        assert_eq!(electra::train_step_flops(&dims, BATCH), expected, "{dims:?}");
    }
}

#[test]
fn a_hundred_operator_steps_cost_what_table_3_of_the_paper_says() {
    let step = electra::ligo_step_flops(&bert_small(), &bert_base(), BATCH);
    assert_eq!(step, 36_129_748_512_768.0);
    assert_eq!(format!("{:.3e}", 100.0 * step), "3.613e15");
    assert_eq!(
        format!("{:.3}", step / electra::train_step_flops(&bert_base(), BATCH)),
        "2.398"
    );
}

#[test]
fn the_operator_adds_half_a_percent_when_it_is_counted_once_a_step() {
    let once = electra::ligo_step_flops_operator_once(&bert_small(), &bert_base(), BATCH);
    let plain = electra::train_step_flops(&bert_base(), BATCH);
    assert_eq!(format!("{:.2}", 100.0 * (once / plain - 1.0)), "0.55");
}

#[test]
fn the_electra_counter_keeps_its_own_masking_rate() {
    let other_rate = TransformerDims {
        predicted: Predicted::Masked { fraction: 0.4 },
        ..bert_base()
    };
    assert_eq!(
        electra::train_step_flops(&other_rate, BATCH),
        electra::train_step_flops(&bert_base(), BATCH)
    );
}

#[test]
fn the_exact_count_of_a_tiny_model_equals_a_count_by_hand() {
    let tiny = TransformerDims {
        layers: 2,
        class_layers: 0,
        hidden: 4,
        query: 4,
        key_value: 4,
        ffn: 6,
        ffn_matrices: 2,
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
    };
    // 3 sequences of 5 tokens: 15 tokens, 3 of them predicted.
    let forward = exact::forward_flops(&tiny, 3);
    assert_eq!(forward.projections, 2.0 * 4.0 * (2 * 15 * 4 * 4) as f64);
    assert_eq!(forward.attention, 2.0 * 2.0 * 3.0 * (2 * 5 * 5 * 4) as f64);
    assert_eq!(forward.ffn, 2.0 * 2.0 * (2 * 15 * 4 * 6) as f64);
    assert!((forward.head - ((2 * 3 * 4 * 10) + (2 * 3 * 4 * 4)) as f64).abs() < 1e-9);
    assert_eq!(exact::train_step_flops(&tiny, 3), 3.0 * forward.total());
}

#[test]
fn of_experts_those_that_a_token_goes_through_are_counted_by_hand() {
    let dims = TransformerDims {
        layers: 3,
        hidden: 4,
        ffn: 6,
        ffn_matrices: 3,
        sparse: Some(SparseDims {
            layers: 2,
            experts: 5,
            active: 2,
            ffn: 7,
        }),
        seq_len: 10,
        ..TransformerDims::gpt2(1, 4)
    };
    // 20 tokens: two layers with a router and two networks of three matrices each, and one with one network.
    let ffn = 2 * (2 * 20 * 4 * (5 + 2 * 3 * 7)) + 2 * 20 * 4 * 3 * 6;
    assert!((exact::forward_flops(&dims, 2).ffn - ffn as f64).abs() < 1e-6);
    let all_dense = TransformerDims { sparse: None, ..dims };
    assert_eq!(exact::forward_flops(&all_dense, 2).ffn, (3 * 2 * 20 * 4 * 3 * 6) as f64);
    // Experts that no token goes through cost nothing but their row of the router.
    let more = TransformerDims {
        sparse: dims.sparse.map(|sparse| SparseDims { experts: 6, ..sparse }),
        ..dims
    };
    let difference = exact::train_step_flops(&more, 2) - exact::train_step_flops(&dims, 2);
    assert!((difference - (3 * 2 * 2 * 20 * 4) as f64).abs() < 1e-6);
}

#[test]
fn grouped_queries_gates_patches_and_class_layers_are_counted_by_hand() {
    let grouped = TransformerDims {
        layers: 1,
        class_layers: 1,
        hidden: 4,
        query: 6,
        key_value: 2,
        ffn: 8,
        ffn_matrices: 3,
        sparse: None,
        heads: 3,
        vocab: 7,
        patch: 9,
        patches: 4,
        seq_len: 5,
        predicted: Predicted::EverySequence,
        head_transform: false,
        embedding: None,
        head: None,
    };
    // 2 sequences of 4 patches and a class token; class layers have one more, which is predicted.
    let forward = exact::forward_flops(&grouped, 2);
    let main = 2 * 10 * 4 * (6 + 2 + 2 + 6);
    let class = 2 * 2 * 4 * (6 + 6) + 2 * 12 * 4 * (2 + 2);
    assert_eq!(forward.projections, (main + class + 2 * 8 * 9 * 4) as f64);
    assert_eq!(forward.attention, (2 * 2 * 6 * (10 * 5 + 2 * 6)) as f64);
    assert_eq!(forward.ffn, (3 * 2 * 4 * 8 * (10 + 2)) as f64);
    assert!((forward.head - (2 * 2 * 4 * 7) as f64).abs() < 1e-9);
    // Everything has two products backward but the patches, whose pixels need no gradient.
    let whole = exact::train_step_flops(&grouped, 2);
    assert_eq!(whole, 3.0 * forward.total() - (2 * 8 * 9 * 4) as f64);
    let frozen = PartialPass {
        trains_embeddings: false,
        ..PartialPass::whole(&grouped)
    };
    // Nor does the first layer's input then, which queries, keys and values read.
    let saved = 2 * 8 * 9 * 4 + 2 * 10 * 4 * (6 + 2 + 2);
    assert_eq!(whole - frozen.exact_flops(&grouped, 2), f64::from(saved));
}

#[test]
fn the_exact_count_is_six_flops_per_weight_and_token_plus_attention() {
    let dims = TransformerDims {
        predicted: Predicted::EveryToken,
        head_transform: false,
        ..bert_base()
    };
    let weights = dims.layers * (4 * dims.hidden * dims.hidden + 2 * dims.hidden * dims.ffn) + dims.hidden * dims.vocab;
    let tokens = BATCH * dims.seq_len;
    let attention = 3.0 * exact::forward_flops(&dims, BATCH).attention;
    assert_eq!(
        exact::train_step_flops(&dims, BATCH) - attention,
        6.0 * weights as f64 * tokens as f64
    );
}

#[test]
fn fewer_predicted_tokens_make_the_head_cheaper_and_nothing_else() {
    let all = exact::forward_flops(
        &TransformerDims {
            predicted: Predicted::EveryToken,
            ..bert_base()
        },
        BATCH,
    );
    let some = exact::forward_flops(
        &TransformerDims {
            predicted: Predicted::Masked { fraction: 0.25 },
            ..bert_base()
        },
        BATCH,
    );
    assert_eq!(some.head, all.head / 4.0);
    assert_eq!(some.total() - some.head, all.total() - all.head);
}

fn weight() -> TensorGrowth {
    TensorGrowth {
        rows_small: 3,
        cols_small: 4,
        rows_large: 5,
        cols_large: 7,
        layers_small: 2,
        layers_large: 6,
    }
}

#[test]
fn widening_takes_the_cheaper_of_the_two_associations() {
    let from_left = 2 * (5 * 3 * 4 + 5 * 4 * 7);
    let from_right = 2 * (3 * 4 * 7 + 5 * 3 * 7);
    assert!(from_right < from_left);
    assert_eq!(weight().width_flops(), f64::from(from_right));
    let transposed = TensorGrowth {
        rows_small: 4,
        cols_small: 3,
        rows_large: 7,
        cols_large: 5,
        ..weight()
    };
    assert_eq!(transposed.width_flops(), f64::from(from_right));
}

#[test]
fn an_axis_that_keeps_its_size_is_not_multiplied() {
    let vector = TensorGrowth {
        cols_small: 1,
        cols_large: 1,
        ..weight()
    };
    assert_eq!(vector.width_flops(), f64::from(2 * 5 * 3));
    let vocabulary = TensorGrowth {
        rows_small: 3,
        rows_large: 3,
        ..weight()
    };
    assert_eq!(vocabulary.width_flops(), f64::from(2 * 3 * 4 * 7));
    let depth_only = TensorGrowth {
        rows_large: 3,
        cols_large: 4,
        ..weight()
    };
    assert_eq!(depth_only.width_flops(), 0.0);
}

#[test]
fn the_order_of_growth_decides_how_often_and_how_large_the_products_are() {
    let width = weight().width_flops();
    assert_eq!(
        weight().forward_flops(GrowthOrder::WidthThenDepth),
        f64::from(2 * 6 * 2 * 5 * 7) + 2.0 * width
    );
    assert_eq!(
        weight().forward_flops(GrowthOrder::DepthThenWidth),
        f64::from(2 * 6 * 2 * 3 * 4) + 6.0 * width
    );
    let embedding = TensorGrowth {
        layers_small: 1,
        layers_large: 1,
        ..weight()
    };
    assert_eq!(embedding.forward_flops(GrowthOrder::WidthThenDepth), width);
}

#[test]
fn learning_the_operator_costs_a_plain_step_and_the_operator_once() {
    let tensors = TensorGrowth::of_encoder(&bert_small(), &bert_base(), 512);
    let order = GrowthOrder::WidthThenDepth;
    let operator = exact::operator_step_flops(&tensors, order);
    for batch in [1, 256] {
        let plain = exact::train_step_flops(&bert_base(), batch);
        assert_eq!(
            exact::ligo_step_flops(&bert_base(), batch, &tensors, order),
            plain + operator
        );
    }
    let forward: f64 = tensors.iter().map(|tensor| tensor.forward_flops(order)).sum();
    assert_eq!(operator, 3.0 * forward);
    // 2.6 % of a step at the paper's batch size; five times the paper's own count, which leaves out two thirds of the
    // attention products, the embeddings and the rows that are not new.
    let share = operator / exact::train_step_flops(&bert_base(), 256);
    assert_eq!(format!("{share:.3}"), "0.026");
}

#[test]
fn the_encoder_table_holds_every_weight_of_bert_base() {
    let tensors = TensorGrowth::of_encoder(&bert_small(), &bert_base(), 512);
    let elements: usize = tensors
        .iter()
        .map(|t| t.rows_large * t.cols_large * t.layers_large)
        .sum();
    // `BertForMaskedLM` of bert-base-uncased: 109,514,298 with tied decoder, less 2 token types and the decoder's bias.
    assert_eq!(elements, 109_514_298 - 2 * 768 - 30_522);
}
