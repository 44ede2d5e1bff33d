//! From a model whose layers have one feed-forward network to one whose layers have several, and from several to more.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::llama::{ACTIVE, COUNTS, DENSE_LAYERS, LAYERS, NEURONS, NORMALIZED, STEP};
use crate::resize::asked;
use crate::{Axis, Error, Extent, LlamaConfig, ModelConfig, ParamSpec, ParamTable, Size, Stored};

/// Experts that a token goes through where nobody says it, as in a Mixtral.
const USUAL_ACTIVE: usize = 2;

/// The mixture that a family becomes: `(model_type, model_type)`.
const MIXTURES: [(&str, &str); 3] = [("llama", "mixtral"), ("mistral", "mixtral"), ("qwen3", "qwen3_moe")];

impl ModelConfig {
    /// The same model with so many experts in each layer that has some, or in all layers where none has, of which a token goes through `top_k`.
    /// With a `granularity` experts of a dense model are so many times smaller than its feed-forward network, each with a share of the neurons (He et al.,
    /// arXiv 2410.07524).
    ///
    /// # Errors
    /// [`Error::Resize`] where there is no mixture of the family, or none with what this model has, or it has no such shares; those of
    /// [`ModelConfig::from_json`].
    pub fn with_experts(
        &self,
        experts: Option<Size>,
        top_k: Option<usize>,
        granularity: Option<usize>,
    ) -> Result<Self, Error> {
        let Self::Llama(config) = self else {
            return Err(no_mixture(self.model_type()));
        };
        let now = config.experts();
        let count = match (experts, now) {
            (Some(size), now) => asked("experts", size, now.map_or(1, |experts| experts.count))?,
            (None, Some(now)) => now.count,
            (None, None) => {
                return Err(wrong(
                    "top-k",
                    "the model has no experts; say how many it is to have, as in --experts 8".into(),
                ));
            }
        };
        let mut json = self.to_json();
        let Some(fields) = json.as_object_mut() else {
            return Ok(self.clone());
        };
        let active = match now {
            Some(now) => top_k.unwrap_or(now.active),
            None => {
                become_mixture(config, fields)?;
                let shares = granularity.unwrap_or(1);
                divide(config, fields, shares, count)?;
                top_k.unwrap_or(USUAL_ACTIVE.saturating_mul(shares).min(count))
            }
        };
        if now.is_some() && granularity.is_some() {
            return Err(wrong(
                "granularity",
                "the model has experts, which stay as large as they are; a dense model becomes one of finer experts"
                    .into(),
            ));
        }
        if !(1..=count).contains(&active) {
            return Err(wrong(
                "top-k",
                format!("{active} of {count} experts; a token goes through one at least, and all at most"),
            ));
        }
        fields.insert(ACTIVE.into(), active.into());
        set_count(fields, count);
        Self::from_json(&json)
    }

    /// The table of this model as the small one of a pair. It is [`ModelConfig::table`] but where the large model has experts that this one lacks: then
    /// it is the large one's table with this model's sizes, in which each expert stands for the tensors that it is to copy. The only feed-forward network
    /// is that of all experts, or of `n` times smaller ones expert `i` has the share `i` modulo `n` of its neurons, and of several expert `i` is expert `i`
    /// modulo their number. A router that is not there has a row that no layer holds.
    pub fn table_for(&self, large: &Self) -> ParamTable {
        let (Self::Llama(own), Self::Llama(wanted)) = (self, large) else {
            return self.table();
        };
        let Some(experts) = wanted.experts() else {
            return self.table();
        };
        match own.experts() {
            Some(few) if few.count < experts.count && own.model_type == wanted.model_type => {
                let mut view = own.clone();
                set_count(&mut view.extra, experts.count);
                copied(Self::Llama(view).table(), few.count)
            }
            None if mixture(&own.model_type) == Some(&wanted.model_type) => {
                let mut view = LlamaConfig {
                    model_type: wanted.model_type.clone(),
                    extra: wanted.extra.clone(),
                    ..own.clone()
                };
                let shares = match own.intermediate_size.checked_div(experts.neurons) {
                    Some(shares) if shares * experts.neurons == own.intermediate_size => shares.max(1),
                    _ => 1,
                };
                let neurons = own.intermediate_size / shares;
                view.extra.insert(NEURONS.into(), neurons.into());
                if view.model_type == "mixtral" {
                    view.intermediate_size = neurons;
                }
                upcycled(Self::Llama(view).table(), shares)
            }
            _ => self.table(),
        }
    }
}

/// A tensor of files, and those that lie in it one behind the other, with their shapes.
pub type Fused = (String, Vec<(String, Vec<usize>)>);

impl ModelConfig {
    /// How files hold the experts of a layer that newer versions of `transformers` fuse, where they are asked to write what they have in memory.
    pub fn fused(&self) -> Vec<Fused> {
        let Self::Llama(config) = self else { return Vec::new() };
        if config.experts().is_none() {
            return Vec::new();
        }
        let table = self.table();
        let mut fused: BTreeMap<String, Vec<(usize, usize, String, Vec<usize>)>> = BTreeMap::new();
        for param in table.params() {
            let Some(layer) = param.layer else { continue };
            let (file, shape, _) = table.file_part(&param);
            let (whole, place) = match (expert(param.spec), param.axes().first()) {
                (Some((number, matrix)), _) if matrix.starts_with("down") => ("mlp.experts.down_proj", (number, 0)),
                (Some((number, matrix)), _) => {
                    let second = usize::from(matrix.starts_with("up"));
                    ("mlp.experts.gate_up_proj", (number, second))
                }
                (None, Some(&Axis::EXPERTS)) => ("mlp.gate.weight", (0, 0)),
                _ => continue,
            };
            let whole = crate::table::at_layer(&LAYERS.template(whole), Some(layer));
            if whole == file {
                continue;
            }
            fused.entry(whole).or_default().push((place.0, place.1, file, shape));
        }
        let in_order = |(whole, mut parts): (String, Vec<(usize, usize, String, Vec<usize>)>)| {
            parts.sort();
            let parts = parts.into_iter().map(|(_, _, file, shape)| (file, shape));
            (whole, parts.collect())
        };
        fused.into_iter().map(in_order).collect()
    }
}

fn wrong(what: &'static str, reason: String) -> Error {
    Error::Resize { what, reason }
}

fn no_mixture(model_type: &str) -> Error {
    let known: Vec<String> = MIXTURES
        .iter()
        .map(|(dense, sparse)| format!("{dense} to {sparse}"))
        .collect();
    wrong(
        "experts",
        format!(
            "no mixture of experts is known for a `{model_type}` model; there are {}",
            known.join(", ")
        ),
    )
}

/// The mixture of a family.
fn mixture(model_type: &str) -> Option<&'static str> {
    let found = MIXTURES.iter().find(|(dense, _)| *dense == model_type);
    found.map(|(_, sparse)| *sparse)
}

/// Writes the number of experts under each name that files have for it.
fn set_count(fields: &mut Map<String, Value>, count: usize) {
    let is_known = COUNTS.map(|field| fields.contains_key(field));
    for (field, known) in COUNTS.into_iter().zip(is_known) {
        if known || is_known == [false, false] {
            fields.insert(field.into(), count.into());
        }
    }
}

/// Makes the fields of a model those of its family's mixture.
fn become_mixture(config: &LlamaConfig, fields: &mut Map<String, Value>) -> Result<(), Error> {
    let name = mixture(&config.model_type).ok_or_else(|| no_mixture(&config.model_type))?;
    let lacks = |what: &str| {
        Err(wrong(
            "experts",
            format!(
                "a `{}` model has {what}, and a `{name}` model cannot have that",
                config.model_type
            ),
        ))
    };
    if config.has_ffn_bias() || (name == "mixtral" && config.has_input_bias()) {
        return lacks("biases");
    }
    if name == "qwen3_moe" && config.window().is_some() {
        return lacks("windows in some layers");
    }
    let sparse = LlamaConfig {
        model_type: name.into(),
        ..config.clone()
    };
    fields.insert("model_type".into(), name.into());
    // Families take different bases and windows where a file does not say them.
    if sparse.rope_base() != config.rope_base() {
        fields.insert("rope_theta".into(), json!(config.rope_base()));
    }
    fields.insert("sliding_window".into(), json!(config.window()));
    fields.remove("layer_types");
    if name == "qwen3_moe" {
        fields.insert(NEURONS.into(), config.intermediate_size.into());
        fields.insert(NORMALIZED.into(), true.into());
        fields.insert(STEP.into(), 1.into());
        fields.insert(DENSE_LAYERS.into(), json!([]));
        // The reference reads the other name too; published files have this one.
        fields.insert(COUNTS[1].into(), 1.into());
    }
    let class = ModelConfig::Llama(sparse).architecture();
    fields.insert("architectures".into(), json!(class.into_iter().collect::<Vec<_>>()));
    Ok(())
}

/// The number of the expert that a row belongs to, and the name of the matrix.
fn expert(spec: &ParamSpec) -> Option<(usize, &str)> {
    let (_, rest) = spec.template.split_once(".experts.")?;
    let (number, matrix) = rest.split_once('.')?;
    Some((number.parse().ok()?, matrix))
}

/// Makes the experts of a model's fields so many times smaller than its feed-forward network.
fn divide(config: &LlamaConfig, fields: &mut Map<String, Value>, shares: usize, count: usize) -> Result<(), Error> {
    let neurons = config.intermediate_size;
    for (what, whole) in [("neurons", neurons), ("experts", count)] {
        if shares == 0 || !whole.is_multiple_of(shares) {
            return Err(wrong(
                "granularity",
                format!("{whole} {what} have no {shares} equal shares"),
            ));
        }
    }
    let field = match fields.get("model_type").and_then(Value::as_str) {
        Some("mixtral") => "intermediate_size",
        _ => NEURONS,
    };
    fields.insert(field.into(), (neurons / shares).into());
    Ok(())
}

/// Every expert is the dense layer or a share of its neurons, and there is no router yet: a dense layer is one expert.
fn upcycled(mut table: ParamTable, shares: usize) -> ParamTable {
    for spec in table.specs_mut() {
        if let Some((number, matrix)) = expert(spec) {
            let stored = LAYERS.template(&format!("mlp.{matrix}"));
            store(spec, stored);
            let share = number % shares;
            if let Some(stored) = spec.stored.as_mut().filter(|_| shares > 1) {
                match spec.axes.first() {
                    Some(&Axis::EXPERT_FFN) => {
                        stored.parts = vec![Axis::EXPERT_FFN; shares];
                        stored.part = share;
                    }
                    _ => stored.columns = Some((share, shares)),
                }
            }
        } else if spec.axes.contains(&Axis::EXPERTS) {
            spec.layers = Some(BTreeSet::new());
        }
    }
    table.with_size(Axis::EXPERTS, 1)
}

/// Further experts are the first ones again.
fn copied(mut table: ParamTable, few: usize) -> ParamTable {
    for spec in table.specs_mut() {
        let Some((number, _)) = expert(spec).filter(|(number, _)| *number >= few) else {
            continue;
        };
        let own = spec.stored.as_ref().map_or(&spec.template, |stored| &stored.template);
        let stored = own.replace(&format!(".experts.{number}."), &format!(".experts.{}.", number % few));
        store(spec, stored);
    }
    table.with_size(Axis::EXPERTS, few)
}

fn store(spec: &mut ParamSpec, template: String) {
    let columns = spec.axes.iter().skip(1).map(|axis| Extent::Axis(*axis));
    spec.stored = Some(Stored {
        template,
        shape: [Extent::Parts].into_iter().chain(columns).collect(),
        transposed: false,
        parts: spec.axes[..1].to_vec(),
        part: 0,
        interleaved: None,
        columns: None,
        from_one: false,
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::check_growable;

    fn dense(model_type: &str, more: Value) -> ModelConfig {
        let mut json = json!({"model_type": model_type, "vocab_size": 11, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4});
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ModelConfig::from_json(&json).unwrap()
    }

    fn experts(config: &ModelConfig) -> (usize, usize, usize, bool) {
        let ModelConfig::Llama(c) = config else { unreachable!() };
        let experts = c.experts().unwrap();
        (experts.count, experts.active, experts.neurons, experts.normalized)
    }

    #[test]
    fn a_dense_model_becomes_the_mixture_of_its_family() {
        for (model_type, sparse, class) in [
            ("llama", "mixtral", "MixtralForCausalLM"),
            ("mistral", "mixtral", "MixtralForCausalLM"),
            ("qwen3", "qwen3_moe", "Qwen3MoeForCausalLM"),
        ] {
            let small = dense(model_type, json!({}));
            let large = small.with_experts(Some(Size::Exactly(8)), None, None).unwrap();
            assert_eq!(
                (large.model_type(), large.architecture().as_deref()),
                (sparse, Some(class))
            );
            assert_eq!(experts(&large), (8, 2, 12, true));
            let (ModelConfig::Llama(small), ModelConfig::Llama(large)) = (&small, &large) else {
                unreachable!()
            };
            assert_eq!(large.rope_base(), small.rope_base());
            assert_eq!(large.windows().collect::<Vec<_>>(), small.windows().collect::<Vec<_>>());
            assert_eq!(large.key_value_heads(), small.key_value_heads());
        }
        let three = dense("llama", json!({}))
            .with_experts(Some(Size::Exactly(3)), Some(1), None)
            .unwrap();
        assert_eq!(experts(&three), (3, 1, 12, true));
    }

    #[test]
    fn what_a_mixture_cannot_have_is_refused() {
        let four = Some(Size::Exactly(4));
        for (config, reason) in [
            (dense("llama", json!({"attention_bias": true})), "biases"),
            (dense("llama", json!({"mlp_bias": true})), "biases"),
            (
                dense(
                    "qwen3",
                    json!({"use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1}),
                ),
                "windows",
            ),
            (
                dense("qwen2", json!({})),
                "no mixture of experts is known for a `qwen2` model",
            ),
            (
                ModelConfig::example("gpt2").unwrap(),
                "no mixture of experts is known for a `gpt2` model",
            ),
        ] {
            let error = config.with_experts(four, None, None).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let small = dense("llama", json!({}));
        assert!(
            small
                .with_experts(four, Some(5), None)
                .unwrap_err()
                .to_string()
                .contains("5 of 4 experts")
        );
        assert!(
            small
                .with_experts(None, Some(2), None)
                .unwrap_err()
                .to_string()
                .contains("--experts")
        );
    }

    #[test]
    fn a_mixture_gets_more_experts_under_the_name_that_its_file_has_for_them() {
        for field in COUNTS {
            let mut json = dense("qwen3", json!({}))
                .with_experts(Some(Size::Exactly(4)), None, None)
                .unwrap()
                .to_json();
            json.as_object_mut().unwrap().remove(COUNTS[1]);
            json[field] = 4.into();
            let more = ModelConfig::from_json(&json)
                .unwrap()
                .with_experts(Some(Size::Times(2.0)), Some(4), None)
                .unwrap();
            assert_eq!(experts(&more), (8, 4, 12, true));
            assert_eq!(more.to_json()[field], 8);
        }
    }

    #[test]
    fn fused_experts_are_told_apart_by_their_order() {
        let mixture = dense("llama", json!({}))
            .with_experts(Some(Size::Exactly(2)), None, None)
            .unwrap();
        let fused: BTreeMap<_, _> = mixture.fused().into_iter().collect();
        assert_eq!(fused.len(), 2 * 3);
        let expert = |number, matrix| format!("model.layers.1.block_sparse_moe.experts.{number}.{matrix}.weight");
        let [rows, columns] = [vec![12, 8], vec![8, 12]];
        let gates =
            [(0, "w1"), (0, "w3"), (1, "w1"), (1, "w3")].map(|(number, matrix)| (expert(number, matrix), rows.clone()));
        assert_eq!(fused["model.layers.1.mlp.experts.gate_up_proj"], gates);
        let outputs = [0, 1].map(|number| (expert(number, "w2"), columns.clone()));
        assert_eq!(fused["model.layers.1.mlp.experts.down_proj"], outputs);
        let router = ("model.layers.0.block_sparse_moe.gate.weight".to_owned(), vec![2, 8]);
        assert_eq!(fused["model.layers.0.mlp.gate.weight"], [router]);
        assert_eq!(dense("llama", json!({})).fused(), []);
    }

    #[test]
    fn finer_experts_stand_for_shares_of_the_neurons() {
        for model_type in ["llama", "qwen3"] {
            let small = dense(model_type, json!({}));
            let large = small.with_experts(Some(Size::Exactly(6)), Some(3), Some(3)).unwrap();
            assert_eq!(experts(&large), (6, 3, 4, true));
            let view = small.table_for(&large);
            check_growable(&view, &large.table()).unwrap();
            assert_eq!((view.size(Axis::EXPERT_FFN), view.expert_shares()), (4, 3));
            let of = |matrix: &str| {
                let name = format!("model.layers.1.mlp.experts.4.{matrix}.weight");
                let (_, shape, part) = view.file_part(&view.get(&name).unwrap());
                let whole: Vec<f32> = (0..96).map(|i| i as f32).collect();
                (shape, part.slice.extract(&whole))
            };
            // The second of three shares.
            assert_eq!(of("up_proj"), (vec![12, 8], (32..64).map(|i| i as f32).collect()));
            let columns = (0..8).flat_map(|row| (4..8).map(move |column| (12 * row + column) as f32));
            assert_eq!(of("down_proj"), (vec![8, 12], columns.collect()));
        }
        // As many as make up two whole ones, where nobody says it.
        let large = dense("llama", json!({}))
            .with_experts(Some(Size::Exactly(8)), None, Some(4))
            .unwrap();
        assert_eq!(experts(&large).1, 8);
    }

    #[test]
    fn every_expert_stands_for_the_tensors_that_it_copies() {
        let stored = |table: &ParamTable, name: &str| table.file_part(&table.get(name).unwrap()).0;
        let small = dense("llama", json!({}));
        let large = small.with_experts(Some(Size::Exactly(4)), None, None).unwrap();
        let view = small.table_for(&large);
        check_growable(&view, &large.table()).unwrap();
        assert_eq!(view.size(Axis::EXPERTS), 1);
        let name = "model.layers.1.mlp.experts.3.down_proj.weight";
        assert_eq!(stored(&view, name), "model.layers.1.mlp.down_proj.weight");
        assert_eq!(
            stored(&large.table(), name),
            "model.layers.1.block_sparse_moe.experts.3.w2.weight"
        );
        assert!(view.params().all(|param| !param.name.ends_with("mlp.gate.weight")));
        // What is no mixture stays what it is.
        assert_eq!(small.table_for(&small), small.table());

        let more = large.with_experts(Some(Size::Exactly(6)), None, None).unwrap();
        let view = large.table_for(&more);
        check_growable(&view, &more.table()).unwrap();
        assert_eq!(view.size(Axis::EXPERTS), 4);
        let of = |number: usize| stored(&view, &format!("model.layers.0.mlp.experts.{number}.up_proj.weight"));
        assert_eq!(of(3), "model.layers.0.block_sparse_moe.experts.3.w3.weight");
        assert_eq!(of(5), "model.layers.0.block_sparse_moe.experts.1.w3.weight");
    }
}
