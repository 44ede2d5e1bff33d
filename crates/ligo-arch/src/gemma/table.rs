use super::{FAMILIES, GemmaConfig};
use crate::rows::{Rows, Stack};
use crate::unit::head_units;
use crate::{Axis, Norm, NormKind, NormPlace, ParamTable, Repeat, Role};

/// The decoder.
const LAYERS: Stack = Stack {
    name: "decoder",
    path: "model.layers",
};

/// What the attention output reads when several query heads share a value head: each value head once for each of them.
const VALUE_HEADS: Axis = Axis::growing("value_heads");

/// One head of a Gemma 3, which has one gain for all of its kind: heads can be added and cannot be widened.
const HEAD_WIDTH: Axis = Axis::fixed("head_dim");

/// The parameters of `GemmaForCausalLM`, `Gemma2ForCausalLM` or `Gemma3ForCausalLM`.
///
/// As a Llama's, but for norms behind branches and for gains, which files hold less one. The token table acts times `√D`, and so does growth carry
/// it over; where it decodes as well, what the last norm gives makes up for that.
pub(super) fn table(config: &GemmaConfig) -> ParamTable {
    use Role::{Bias, Embedding, NormWeight, Weight};
    let (heads, groups, width) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
    let times = heads.checked_div(groups).unwrap_or(1);
    let mut rows = Rows::default();
    let h = Axis::HIDDEN;
    let attended = if times > 1 { VALUE_HEADS } else { Axis::VALUE };
    rows.one("model.embed_tokens.weight", &[Axis::VOCAB, h], "embeddings", Embedding)
        .acting_times(config.token_scale());
    let biased = config.attention_bias;
    for (path, out, input, module, bias) in [
        ("self_attn.q_proj", Axis::QUERY, h, "query", biased),
        ("self_attn.k_proj", Axis::KEY, h, "key", biased),
        ("self_attn.v_proj", Axis::VALUE, h, "value", biased),
        ("self_attn.o_proj", h, attended, "attention_out", biased),
        ("mlp.gate_proj", Axis::FFN, h, "ffn_gate", false),
        ("mlp.up_proj", Axis::FFN, h, "ffn_in", false),
        ("mlp.down_proj", h, Axis::FFN, "ffn_out", false),
    ] {
        rows.layered(LAYERS, &format!("{path}.weight"), &[out, input], module, Weight);
        if bias {
            rows.layered(LAYERS, &format!("{path}.bias"), &[out], module, Bias);
        }
    }
    let mut norm = |path: &str, axis, module| {
        let path = format!("{path}.weight");
        rows.layered(LAYERS, &path, &[axis], module, NormWeight).from_one();
    };
    if config.has_head_norms() {
        norm("self_attn.q_norm", HEAD_WIDTH, "query_norm");
        norm("self_attn.k_norm", HEAD_WIDTH, "key_norm");
    }
    norm("input_layernorm", h, "attention_norm");
    if config.has_output_norms() {
        norm("post_attention_layernorm", h, "attention_out_norm");
        norm("pre_feedforward_layernorm", h, "ffn_norm");
        norm("post_feedforward_layernorm", h, "ffn_out_norm");
    } else {
        norm("post_attention_layernorm", h, "ffn_norm");
    }
    let tied = config.tie_word_embeddings;
    let (read, acts) = match tied {
        true => (Axis::HEAD_INPUT, 1.0 / config.token_scale()),
        false => (h, 1.0),
    };
    rows.one("model.norm.weight", &[read], "final_norm", NormWeight)
        .from_one()
        .acting_times(acts);
    let head = "lm_head.weight";
    let mut ties = Vec::new();
    if tied {
        ties.push((head.into(), "model.embed_tokens.weight".into()));
    } else {
        rows.one(head, &[Axis::VOCAB, h], "head", Weight);
    }

    let mut sizes = vec![
        (Axis::HIDDEN, config.hidden_size),
        (Axis::QUERY, heads * width),
        (Axis::KEY, groups * width),
        (Axis::VALUE, groups * width),
        (Axis::FFN, config.intermediate_size),
        (Axis::VOCAB, config.vocab_size),
    ];
    if config.has_head_norms() {
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
    if tied {
        repeat(Axis::HEAD_INPUT, config.hidden_size, h, config.hidden_size, 1);
    }
    let family = FAMILIES.into_iter().find(|family| *family == config.model_type);
    ParamTable::new(
        family.unwrap_or(FAMILIES[0]),
        rows.0,
        sizes,
        [(LAYERS.name, config.num_hidden_layers)],
        ties,
    )
    .with_repeats(repeats)
    .with_units(head_units(width, times))
    .with_norm(Norm {
        kind: NormKind::Rms,
        place: NormPlace::Before,
    })
    .with_buffers(&[".rotary_emb.inv_freq"])
    .with_base_prefix("model.")
}
