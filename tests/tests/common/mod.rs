//! A tiny pair of every family and kind of growth, and what its models compute.

use std::collections::HashMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_arch::{Init, ModelConfig, NormPlace, ParamTable, Role};
use ligo_growth::{Growth, MemorySource, OperatorSpec, init};
use ligo_models::{Features, Model, TextFeatures};
use serde_json::{Value, json};

/// A small model of a family and what it grows to.
pub struct Family {
    pub name: &'static str,
    small: Value,
    /// In the order of [`Growth::ALL`].
    large: [Value; 4],
}

impl Family {
    pub fn small(&self) -> ModelConfig {
        ModelConfig::from_json(&self.small).unwrap()
    }

    pub fn large(&self, growth: Growth) -> ModelConfig {
        ModelConfig::from_json(&self.large[growth as usize]).unwrap()
    }

    /// How far apart exact growth may be: rounding, and where layers normalize sums more often than before the ε of each time.
    pub fn exact(&self) -> f64 {
        let small = self.small();
        let after = small.table().norm().is_some_and(|norm| norm.place == NormPlace::After);
        if after {
            (20.0 * small.norm_epsilon()).max(1e-5)
        } else {
            1e-5
        }
    }

    /// More layers and twice the width.
    pub fn both(&self) -> ModelConfig {
        let mut both = self.large[Growth::Doubled as usize].clone();
        for (key, value) in self.large[Growth::Layers as usize].as_object().unwrap() {
            if self.small.get(key) != Some(value) {
                both[key] = value.clone();
            }
        }
        ModelConfig::from_json(&both).unwrap()
    }
}

fn with(base: &Value, changes: &Value) -> Value {
    let mut changed = base.clone();
    for (key, value) in changes.as_object().unwrap() {
        changed[key] = value.clone();
    }
    changed
}

fn renamed(fields: &Value, from: &str, to: &str) -> Value {
    let mut fields = fields.clone();
    if let Some(value) = fields.as_object_mut().unwrap().remove(from) {
        fields[to] = value;
    }
    fields
}

/// A family whose large models differ from the small one in some fields.
fn family(name: &'static str, small: &Value, changes: &[Value; 4]) -> Family {
    Family {
        name,
        large: changes.each_ref().map(|change| with(small, change)),
        small: small.clone(),
    }
}

pub fn families() -> Vec<Family> {
    let bert = json!({"model_type": "bert", "vocab_size": 23, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 12, "max_position_embeddings": 16, "type_vocab_size": 2});
    let encoder = [
        json!({"num_hidden_layers": 4}),
        json!({"intermediate_size": 18}),
        json!({"hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 24}),
        json!({"hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 18}),
    ];
    let distilbert = json!({"model_type": "distilbert", "vocab_size": 23, "dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 12,
        "max_position_embeddings": 16});
    let distilled = [
        json!({"n_layers": 4}),
        json!({"hidden_dim": 18}),
        json!({"dim": 16, "n_heads": 4, "hidden_dim": 24}),
        json!({"dim": 12, "n_heads": 3, "hidden_dim": 18}),
    ];
    // The second of two layers has a window, of four positions to either side.
    let modernbert = json!({"model_type": "modernbert", "vocab_size": 23, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 12, "max_position_embeddings": 16, "local_attention": 8});
    let untied = json!({"tie_word_embeddings": false});
    let roberta = json!({"model_type": "roberta", "architectures": ["RobertaForMaskedLM"], "type_vocab_size": 1});
    let gpt2 =
        json!({"model_type": "gpt2", "vocab_size": 23, "n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 16});
    let decoder = [
        json!({"n_layer": 4}),
        json!({"n_inner": 50}),
        json!({"n_embd": 16, "n_head": 4}),
        json!({"n_embd": 12, "n_head": 3}),
    ];
    let neox = json!({"model_type": "gpt_neox", "vocab_size": 23, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 12, "max_position_embeddings": 16, "rotary_pct": 0.5});
    let llama = json!({"model_type": "llama", "vocab_size": 23, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 20, "tie_word_embeddings": true});
    let grouped = [
        json!({"num_hidden_layers": 4}),
        // Heads have a width of their own here, so that they grow without the residual stream.
        json!({"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 4, "intermediate_size": 30}),
        json!({"hidden_size": 32, "num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 40}),
        json!({"hidden_size": 24, "num_attention_heads": 6, "num_key_value_heads": 3, "intermediate_size": 30}),
    ];
    let mistral = json!({"model_type": "mistral", "tie_word_embeddings": false});
    // Sequences of twelve tokens, so that windows hide something; layers differ.
    let gemma = |model_type: &str| {
        let own = json!({"model_type": model_type, "head_dim": 4, "query_pre_attn_scalar": 6, "sliding_window": 4,
            "sliding_window_pattern": 2, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0});
        with(&llama, &own)
    };
    // The first of two layers rotates nothing.
    let smollm3 = json!({"model_type": "smollm3", "no_rope_layers": [0, 1]});
    // Which none of the operators means; each says itself what its layers copy.
    let mut unlike = grouped.clone();
    unlike[0] = json!({"num_hidden_layers": 4, "no_rope_layers": [1, 0, 0, 0]});
    let phi3 = json!({"model_type": "phi3", "tie_word_embeddings": false, "partial_rotary_factor": 0.5});
    let olmo2 = json!({"model_type": "olmo2"});
    // By no whole multiple, so that no two heads have equally many copies.
    let mut together = grouped.clone();
    together[1] = json!({"num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 4, "intermediate_size": 30});
    let mixtral = json!({"model_type": "mixtral", "tie_word_embeddings": false, "num_local_experts": 3, "num_experts_per_tok": 2});
    // The first of two layers has no experts.
    let mixture = json!({"model_type": "qwen3_moe", "head_dim": 4, "num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 10,
        "norm_topk_prob": true, "mlp_only_layers": [0]});
    let experts = [0, 15, 20, 15].map(|neurons| match neurons {
        0 => json!({"num_hidden_layers": 4, "mlp_only_layers": [1, 3]}),
        neurons => json!({"moe_intermediate_size": neurons}),
    });
    let grown = [0, 1, 2, 3].map(|kind: usize| with(&grouped[kind], &experts[kind]));
    let opt = json!({"model_type": "opt", "vocab_size": 23, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "ffn_dim": 12, "max_position_embeddings": 16});
    let projected = json!({"do_layer_norm_before": false, "word_embed_proj_dim": 6});
    let neurons = encoder
        .each_ref()
        .map(|change| renamed(change, "intermediate_size", "ffn_dim"));
    let electra = with(
        &bert,
        &json!({"model_type": "electra", "architectures": ["ElectraForPreTraining"], "embedding_size": 8}),
    );
    // Where nothing projects, tables widen with the layers.
    let mut tables = encoder.clone();
    tables[2]["embedding_size"] = 16.into();
    tables[3]["embedding_size"] = 12.into();
    let narrow = json!({"embedding_size": 6});
    let generator = json!({"architectures": ["ElectraForMaskedLM"]});
    // No two layers share anything, so that they grow as others do; tests/all/shared_layers.rs has those that do.
    let albert = with(
        &bert,
        &json!({"model_type": "albert", "embedding_size": 6, "num_hidden_groups": 2}),
    );
    let mut groups = encoder.clone();
    groups[0]["num_hidden_groups"] = 4.into();
    let vit = json!({"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
        "image_size": 8, "patch_size": 4, "num_labels": 3});
    let deit = json!({"model_type": "deit", "architectures": ["DeiTForImageClassificationWithTeacher"]});
    // With the usual 1e-5 of LayerScale a fresh layer would hardly count.
    let cait = with(
        &vit,
        &json!({"model_type": "cait", "depth_token_only": 1, "init_values": 0.5}),
    );
    let mut class_attention = encoder.clone();
    class_attention[0] = json!({"num_hidden_layers": 4, "depth_token_only": 2});
    vec![
        family("bert", &bert, &encoder),
        family("bert, untied", &with(&bert, &untied), &encoder),
        family("roberta", &with(&bert, &roberta), &encoder),
        family("gpt2", &gpt2, &decoder),
        family("gpt2, untied", &with(&gpt2, &untied), &decoder),
        family("distilbert", &distilbert, &distilled),
        family("modernbert", &modernbert, &encoder),
        family("gpt_neox", &neox, &encoder),
        family("llama, tied", &llama, &grouped),
        family("mistral, untied", &with(&llama, &mistral), &grouped),
        family("qwen2", &with(&llama, &json!({"model_type": "qwen2"})), &grouped),
        family(
            "qwen3",
            &with(&llama, &json!({"model_type": "qwen3", "head_dim": 4})),
            &grouped,
        ),
        family("gemma", &gemma("gemma"), &grouped),
        family("gemma2", &gemma("gemma2"), &grouped),
        family("gemma3_text", &gemma("gemma3_text"), &grouped),
        family(
            "gemma2, untied",
            &with(&gemma("gemma2"), &json!({"tie_word_embeddings": false})),
            &grouped,
        ),
        family("smollm3", &with(&llama, &smollm3), &unlike),
        family("phi3", &with(&llama, &phi3), &grouped),
        family("olmo2", &with(&llama, &olmo2), &together),
        family("mixtral", &with(&llama, &mixtral), &grouped),
        family("qwen3_moe", &with(&llama, &mixture), &grown),
        family("opt", &opt, &neurons),
        family("opt, post-norm", &with(&opt, &projected), &neurons),
        family("electra", &electra, &tables),
        family("electra, projected", &with(&electra, &narrow), &encoder),
        family("electra, generator", &with(&electra, &generator), &tables),
        family(
            "electra, generator, projected",
            &with(&with(&electra, &generator), &narrow),
            &encoder,
        ),
        family("albert", &albert, &groups),
        family("vit", &vit, &encoder),
        family("deit", &with(&vit, &deit), &encoder),
        family("cait", &cait, &class_attention),
    ]
}

pub type Weights = HashMap<String, Vec<f32>>;

/// Values at which every part of the function counts: gains near 1, everything else well away from 0.
pub fn weights(table: &ParamTable) -> Weights {
    let required = table.params().filter(|p| p.spec.required);
    let values = required.map(|p| {
        let noise = init::normal(&mut init::rng(3, &p.name), 1.0, p.num_elements());
        let (mean, std) = match (p.spec.role, p.spec.init) {
            // LayerScale: as large as a gain, or the layers would hardly count.
            (Role::NormWeight, _) | (_, Some(Init::Constant(_))) => (1.0, 0.2),
            (Role::Bias | Role::NormBias, _) => (0.0, 0.2),
            _ => (0.0, 0.4),
        };
        (p.name, noise.into_iter().map(|n| mean + std * n).collect())
    });
    values.collect()
}

pub fn source(weights: &Weights) -> MemorySource {
    MemorySource::new(weights.iter().map(|(n, v)| (n.clone(), vec![v.len()], v.clone())))
}

pub fn features(config: &ModelConfig, device: &Device) -> Features {
    if let Some([channels, height, width]) = config.image_shape() {
        let shape = [2, channels, height, width];
        let pixels = init::normal(&mut init::rng(5, "pixels"), 1.0, shape.iter().product());
        return Features::Images(Tensor::from_data(TensorData::new(pixels, shape), device));
    }
    let ids: Vec<i64> = (0..24)
        .map(|i| 3 + (7 * i) % (config.vocab_size() as i64 - 3))
        .collect();
    let mask: Vec<f32> = (0..24).map(|i| if i < 20 { 1.0 } else { 0.0 }).collect();
    let features = TextFeatures {
        attention_mask: Some(Tensor::from_data(TensorData::new(mask, [2, 12]), device)),
        ..TextFeatures::new(Tensor::<2, Int>::from_data(TensorData::new(ids, [2, 12]), device))
    };
    features.into()
}

pub type Tensors = HashMap<String, Tensor<1>>;

pub fn tensors(weights: &Weights, device: &Device) -> Tensors {
    let tensors = weights.iter().map(|(name, values)| {
        let data = TensorData::new(values.clone(), [values.len()]);
        (name.clone(), Tensor::from_data(data, device))
    });
    tensors.collect()
}

pub fn logits(config: &ModelConfig, tensors: Tensors, device: &Device) -> Tensor<3> {
    let model = Model::skeleton(config, device).unwrap().install_map(tensors).unwrap();
    model.logits(&features(config, device)).unwrap()
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// Largest difference, as a share of the largest value.
pub fn distance(before: &[f64], after: &[f64]) -> f64 {
    assert_eq!(before.len(), after.len());
    let scale = before.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let differences = before.iter().zip(after).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m }) / scale
}

/// Every operator that a recipe can name, with default settings.
pub fn operators() -> Vec<OperatorSpec> {
    OperatorSpec::NAMES
        .map(|name| OperatorSpec::from_name(name).unwrap())
        .into()
}
