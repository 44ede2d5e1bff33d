use super::BertConfig;
use super::names::Names;
use crate::rows::{Rows, Stack};
use crate::unit::head_units;
use crate::{Axis, Extent, Norm, NormKind, NormPlace, ParamSpec, ParamTable, Repeat, Role, Stored, Task, Unit};

/// Pairs of names in files: the alias and the parameter that it equals.
type Ties = Vec<(String, String)>;

/// The parameters of the encoder and of the head that `architectures` asks for.
///
/// Ties (LiGO, arXiv 2303.00980, Algorithm 1): every matrix that reads the residual stream has columns `hidden`, every
/// matrix that writes it has rows `hidden`, the attention output reads `value`, the second feed-forward matrix reads `ffn`.
pub(super) fn table(c: &BertConfig) -> ParamTable {
    let names = c.names();
    let mut rows = Rows::default();
    embeddings(&mut rows, names.base_prefix, Axis::HIDDEN);
    layers(&mut rows, names.layers);
    let mut ties = Ties::new();
    let mut classes = 2;
    match c.head() {
        Task::SequenceClassification { labels } => {
            classes = labels;
            linear(&mut rows, names.summary, Axis::POOLER, Axis::HIDDEN, "pooler");
            linear(&mut rows, names.classifier, Axis::CLASSES, Axis::POOLER, "head");
        }
        Task::QuestionAnswering => linear(&mut rows, "qa_outputs", Axis::CLASSES, Axis::HIDDEN, "head"),
        Task::HiddenStates => optional(
            &mut rows,
            &format!("{}pooler.dense", names.base_prefix),
            Axis::POOLER,
            Axis::HIDDEN,
        ),
        _ => ties = masked_lm(&mut rows, c, names),
    }
    if c.head() == Task::HiddenStates {
        rows.0
            .iter_mut()
            .for_each(|row| row.stored = Some(without_prefix(row, names)));
    }

    let d = c.hidden_size;
    let used = |axis: Axis| rows.0.iter().any(|row| row.axes.contains(&axis));
    let sizes = [
        (Axis::HIDDEN, d),
        (Axis::QUERY, d),
        (Axis::KEY, d),
        (Axis::VALUE, d),
        (Axis::FFN, c.intermediate_size),
        (Axis::HEAD, d),
        (Axis::DECODER, d),
        (Axis::HEAD_INPUT, d),
        (Axis::POOLER, d),
        (Axis::VOCAB, c.vocab_size),
        (Axis::POSITION, c.max_position_embeddings),
        (Axis::TOKEN_TYPE, c.type_vocab_size),
        (Axis::CLASSES, classes),
    ];
    let sizes: Vec<_> = sizes.into_iter().filter(|(axis, _)| used(*axis)).collect();
    // An untied decoder's bias has two names in `transformers`, and a file without either counts as incomplete.
    let stored = if c.tie_word_embeddings {
        Ties::new()
    } else {
        ties.clone()
    };
    let depths = [(names.layers.name, c.num_hidden_layers)];
    let follows_hidden = Repeat {
        of: Axis::HIDDEN,
        block: d,
        times: 1,
    };
    let tied_head = used(Axis::HEAD_INPUT).then_some((Axis::HEAD_INPUT, follows_hidden));
    // The head's LayerNorm scales what the dense layer gives, channel by channel.
    let read = if used(Axis::DECODER) {
        Axis::DECODER
    } else {
        Axis::HIDDEN
    };
    let head = Unit {
        set: read.name(),
        block: 1,
    };
    let width = d.checked_div(c.num_attention_heads).unwrap_or(1);
    ParamTable::new(names.model_type, rows.0, sizes, depths, ties)
        .with_units(head_units(width, 1))
        .with_activation(c.hidden_act)
        .with_norm(Norm {
            kind: NormKind::Layer,
            place: NormPlace::After,
        })
        .with_units([(Axis::HEAD, head)])
        .with_repeats(tied_head)
        .with_stored_aliases(stored)
        .with_buffers(&[".position_ids"])
        .with_base_prefix(names.base_prefix)
}

/// Tables of tokens, positions and types, and the normalization of their sum; `base` is what their names begin with.
pub(crate) fn embeddings(rows: &mut Rows, base: &str, h: Axis) {
    let emb = format!("{base}embeddings");
    for (path, entries) in [
        ("word_embeddings", Axis::VOCAB),
        ("position_embeddings", Axis::POSITION),
        ("token_type_embeddings", Axis::TOKEN_TYPE),
    ] {
        let name = format!("{emb}.{path}.weight");
        rows.one(name, &[entries, h], "embeddings", Role::Embedding);
    }
    norm(rows, &format!("{emb}.LayerNorm"), h, "embeddings");
}

/// What each layer holds.
pub(crate) fn layers(rows: &mut Rows, layers: Stack) {
    let h = Axis::HIDDEN;
    for (path, out, input, module) in [
        ("attention.self.query", Axis::QUERY, h, "query"),
        ("attention.self.key", Axis::KEY, h, "key"),
        ("attention.self.value", Axis::VALUE, h, "value"),
        ("attention.output.dense", h, Axis::VALUE, "attention_out"),
        ("intermediate.dense", Axis::FFN, h, "ffn_in"),
        ("output.dense", h, Axis::FFN, "ffn_out"),
    ] {
        let weight = format!("{path}.weight");
        rows.layered(layers, &weight, &[out, input], module, Role::Weight);
        rows.layered(layers, &format!("{path}.bias"), &[out], module, Role::Bias);
    }
    for (path, module) in [
        ("attention.output.LayerNorm", "attention_norm"),
        ("output.LayerNorm", "ffn_norm"),
    ] {
        let weight = format!("{path}.weight");
        rows.layered(layers, &weight, &[h], module, Role::NormWeight);
        rows.layered(layers, &format!("{path}.bias"), &[h], module, Role::NormBias);
    }
}

/// The masked-language-model head; pooler and next-sentence head are optional.
///
/// A tied decoder's columns are those of the token table, so the LayerNorm in front of it follows the residual stream.
fn masked_lm(rows: &mut Rows, c: &BertConfig, names: &Names) -> Ties {
    let tied = c.tie_word_embeddings;
    let decoder = if tied { Axis::HEAD_INPUT } else { Axis::DECODER };
    let head = names.predictions;
    linear(rows, names.transform, Axis::HEAD, Axis::HIDDEN, "head");
    norm(rows, names.transform_norm, decoder, "head");
    rows.one(format!("{head}.bias"), &[Axis::VOCAB], "head", Role::Bias);
    let weight = format!("{head}.decoder.weight");
    let mut ties = vec![(format!("{head}.decoder.bias"), format!("{head}.bias"))];
    if tied {
        let words = format!("{}embeddings.word_embeddings.weight", names.base_prefix);
        ties.push((weight, words));
    } else {
        rows.one(weight, &[Axis::VOCAB, decoder], "head", Role::Weight);
    }
    let pooler = format!("{}pooler.dense", names.base_prefix);
    let next_sentence = ("cls.seq_relationship", Axis::CLASSES, Axis::POOLER);
    let mut layers = vec![(pooler.as_str(), Axis::POOLER, Axis::HIDDEN)];
    layers.extend((!c.is_roberta()).then_some(next_sentence));
    for (path, out, input) in layers {
        optional(rows, path, out, input);
    }
    ties
}

/// A layer that not every checkpoint has.
pub(crate) fn optional(rows: &mut Rows, path: &str, out: Axis, input: Axis) {
    let weight = format!("{path}.weight");
    rows.one(weight, &[out, input], "pooler", Role::Weight).optional();
    rows.one(format!("{path}.bias"), &[out], "pooler", Role::Bias)
        .optional();
}

/// Files of the encoder alone leave out what stands for it in the names of models with a head.
fn without_prefix(row: &ParamSpec, names: &Names) -> Stored {
    let bare = row.template.strip_prefix(names.base_prefix);
    Stored {
        template: bare.unwrap_or(&row.template).into(),
        shape: row.axes.iter().map(|axis| Extent::Axis(*axis)).collect(),
        transposed: false,
        parts: row.axes.iter().take(1).copied().collect(),
        part: 0,
        interleaved: None,
        columns: None,
        from_one: false,
    }
}

pub(crate) fn linear(rows: &mut Rows, path: &str, out: Axis, input: Axis, module: &'static str) {
    rows.one(format!("{path}.weight"), &[out, input], module, Role::Weight);
    rows.one(format!("{path}.bias"), &[out], module, Role::Bias);
}

pub(crate) fn norm(rows: &mut Rows, path: &str, axis: Axis, module: &'static str) {
    rows.one(format!("{path}.weight"), &[axis], module, Role::NormWeight);
    rows.one(format!("{path}.bias"), &[axis], module, Role::NormBias);
}
