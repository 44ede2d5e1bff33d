//! The parameters of a Llama and its kin.

use super::{FAMILIES, HEAD_NORMS, HEAD_WIDTH, LAYERS, LlamaConfig, NORMS, VALUE_HEADS, moe, olmo2, phi3};
use crate::decoder::{self, Ending};
use crate::rows::Rows;
use crate::unit::head_units;
use crate::{Axis, Norm, NormKind, NormPlace, ParamTable, Repeat, Role};

/// The parameters of `LlamaForCausalLM` and of the classes that are like it.
///
/// Gate and up projection share their neurons, so they share an axis, and the down projection reads it. With grouped
/// queries the attention output reads each value head once for every query head of its group: an axis that repeats
/// the blocks of `value`. The head reads the residual stream; a tied one through the columns of the token table, so that
/// what the last norm gives has an axis of its own.
pub(super) fn table(c: &LlamaConfig) -> ParamTable {
    use Role::{Bias, Embedding, NormWeight, Weight};
    let (heads, groups, width) = (c.num_attention_heads, c.key_value_heads(), c.head_width());
    let times = heads.checked_div(groups).unwrap_or(1);
    let mut rows = Rows::default();
    let experts = c.experts();
    let h = Axis::HIDDEN;
    let attended = if times > 1 { VALUE_HEADS } else { Axis::VALUE };
    rows.one("model.embed_tokens.weight", &[Axis::VOCAB, h], "embeddings", Embedding);
    let (inputs, output, ffn) = (c.has_input_bias(), c.has_output_bias(), c.has_ffn_bias());
    for (path, out, input, module, bias) in [
        ("self_attn.q_proj", Axis::QUERY, h, "query", inputs),
        ("self_attn.k_proj", Axis::KEY, h, "key", inputs),
        ("self_attn.v_proj", Axis::VALUE, h, "value", inputs),
        ("self_attn.o_proj", h, attended, "attention_out", output),
        ("mlp.gate_proj", Axis::FFN, h, "ffn_gate", ffn),
        ("mlp.up_proj", Axis::FFN, h, "ffn_in", ffn),
        ("mlp.down_proj", h, Axis::FFN, "ffn_out", ffn),
    ] {
        if experts.is_some() && path.starts_with("mlp.") {
            continue;
        }
        let row = rows.layered(LAYERS, &format!("{path}.weight"), &[out, input], module, Weight);
        if c.model_type == "phi3" {
            phi3::fuse(row, module);
        }
        if bias {
            rows.layered(LAYERS, &format!("{path}.bias"), &[out], module, Bias);
        }
    }
    if let Some(experts) = experts {
        moe::rows(c, experts, &mut rows);
    }
    let (inner_norms, norms) = match c.normalizes_outputs() {
        true => (Some(olmo2::INNER_NORMS), olmo2::NORMS),
        false => (c.has_head_norms().then_some(HEAD_NORMS), NORMS),
    };
    for (path, axis, module) in inner_norms.into_iter().flatten() {
        rows.layered(LAYERS, &format!("self_attn.{path}.weight"), &[axis], module, NormWeight);
    }
    for (path, module) in norms {
        rows.layered(LAYERS, &format!("{path}.weight"), &[h], module, NormWeight);
    }
    let ending = Ending {
        norm: Some("model.norm"),
        has_shift: false,
        head: "lm_head.weight",
        words: "model.embed_tokens.weight",
        tied: c.tie_word_embeddings,
        word: None,
    };
    let ties = ending.rows(&mut rows);

    let mut sizes = vec![
        (Axis::HIDDEN, c.hidden_size),
        (Axis::QUERY, heads * width),
        (Axis::KEY, groups * width),
        (Axis::VALUE, groups * width),
        (Axis::VOCAB, c.vocab_size),
    ];
    if c.has_dense_layers() {
        sizes.push((Axis::FFN, c.intermediate_size));
    }
    if let Some(experts) = experts {
        sizes.extend([(Axis::EXPERT_FFN, experts.neurons), (Axis::EXPERTS, experts.count)]);
    }
    if c.has_head_norms() {
        sizes.push((HEAD_WIDTH, width));
    }
    let mut repeats = Vec::new();
    let mut repeat = |axis, size, of, block, times| {
        sizes.push((axis, size));
        repeats.push((axis, Repeat { of, block, times }));
    };
    if times > 1 {
        repeat(VALUE_HEADS, heads * width, Axis::VALUE, width, times);
    }
    if let Some((axis, Repeat { of, block, times })) = ending.tied_input(c.hidden_size) {
        repeat(axis, c.hidden_size, of, block, times);
    }
    let family = FAMILIES.into_iter().find(|family| *family == c.model_type);
    ParamTable::new(
        family.unwrap_or(FAMILIES[0]),
        rows.0,
        sizes,
        [(LAYERS.name, c.num_hidden_layers)],
        ties,
    )
    .with_repeats(repeats)
    .with_units(head_units(width, times))
    .with_norm(Norm {
        kind: NormKind::Rms,
        place: match c.normalizes_outputs() {
            true => NormPlace::Output,
            false => NormPlace::Before,
        },
    })
    .with_buffers(&[".rotary_emb.inv_freq"])
    .with_base_prefix(decoder::BASE)
}
