//! Layers that are divided among ranks, by heads and neurons.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::{Axis, Error, Param, ParamSpec, ParamTable};

/// Which part of each parameter each of several ranks holds, where all of them compute every layer together (Megatron-LM, Shoeybi et al.,
/// arXiv:1909.08053).
///
/// Rank `r` of `N` has the `r`-th of `N` equal runs of attention heads and of neurons: the rows that make them and the columns that read them. With
/// grouped queries a head comes with its whole group. What belongs to no head and no neuron (the residual stream with its norms and biases,
/// tables, heads of models) every rank has whole. It all follows from the axes of the [`ParamTable`], so no family has rules of its own.
///
/// ```
/// use ligo_arch::{BertConfig, LayerSplit, ModelConfig};
///
/// let table = ModelConfig::Bert(BertConfig::new(100, 16, 2, 4)).table();
/// let split = LayerSplit::new(&table, 2)?;
/// let query = table.get("bert.encoder.layer.0.attention.self.query.weight");
/// let part = query.and_then(|query| split.part(&query, 1));
/// assert_eq!(part.map(|part| part.shape()), Some(vec![8, 16]));
/// # Ok::<(), ligo_arch::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSplit {
    ranks: usize,
    axes: BTreeSet<Axis>,
}

/// The part of a tensor that a rank holds: a run of rows, of columns, or of entries of a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    shape: Vec<usize>,
    dimension: usize,
    range: Range<usize>,
}

impl LayerSplit {
    /// Divides the layers of a model.
    ///
    /// # Errors
    /// [`Error::UnevenLayers`] where the ranks do not divide the heads, the key-value heads or the neurons of a layer, and [`Error::WholeLayers`] where
    /// layers have something that is neither (mixtures of experts, heads that are mixed with each other).
    pub fn new(table: &ParamTable, ranks: usize) -> Result<Self, Error> {
        let heads = [Axis::QUERY, Axis::KEY, Axis::VALUE];
        let repeated = table.repeats().filter(|(_, repeat)| heads.contains(&repeat.of));
        let mut axes: BTreeSet<Axis> = repeated.map(|(axis, _)| axis).collect();
        axes.extend(heads);
        axes.insert(Axis::FFN);

        let local = table.layer_local_axes();
        let matrices = table.specs().iter().filter(|spec| spec.axes.len() > 1);
        let whole = matrices
            .flat_map(|spec| &spec.axes)
            .find(|axis| local.contains(axis) && !axes.contains(axis));
        if let Some(axis) = whole {
            return Err(Error::WholeLayers {
                family: table.family().into(),
                reason: reason(*axis),
            });
        }

        let [queries, keys] = [Axis::QUERY, Axis::KEY].map(|axis| table.unit(axis).block);
        let groups = table.size(Axis::KEY).checked_div(keys).unwrap_or(0);
        let of_group = queries.checked_div(keys).unwrap_or(1);
        for (what, found) in [
            ("attention heads", groups * of_group),
            ("key-value heads", groups),
            ("neurons", table.size(Axis::FFN)),
        ] {
            if !found.is_multiple_of(ranks) {
                return Err(Error::UnevenLayers { what, found, ranks });
            }
        }
        Ok(Self { ranks, axes })
    }

    /// How many ranks there are.
    pub fn ranks(&self) -> usize {
        self.ranks
    }

    /// Whether each rank has a part of the tensors of this row, rather than all of them.
    pub fn divides(&self, spec: &ParamSpec) -> bool {
        spec.axes.iter().any(|axis| self.axes.contains(axis))
    }

    /// What rank `rank` holds of a parameter; `None` where each has all of it.
    pub fn part(&self, param: &Param<'_>, rank: usize) -> Option<Part> {
        let dimension = param.axes().iter().position(|axis| self.axes.contains(axis))?;
        let each = param.shape[dimension] / self.ranks;
        Some(Part {
            shape: param.shape.clone(),
            dimension,
            range: rank * each..(rank + 1) * each,
        })
    }
}

/// Why layers with matrices along this axis stay whole.
fn reason(axis: Axis) -> String {
    match axis {
        Axis::EXPERTS | Axis::EXPERT_FFN => "they hold mixtures of experts".into(),
        Axis::HEADS => "their attention mixes the heads with each other".into(),
        other => format!("they have matrices along `{other}`"),
    }
}

impl Part {
    /// Its shape.
    pub fn shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        shape[self.dimension] = self.range.len();
        shape
    }

    /// The shape of the whole tensor.
    pub fn whole(&self) -> &[usize] {
        &self.shape
    }

    /// Its values out of those of the whole tensor, both row by row.
    ///
    /// # Panics
    /// When `whole` does not fill the shape of the whole tensor.
    pub fn take(&self, whole: &[f32]) -> Vec<f32> {
        self.runs().flat_map(|run| &whole[run]).copied().collect()
    }

    /// Puts its values where they are in the whole tensor; the inverse of [`Part::take`].
    ///
    /// # Panics
    /// When `own` and `whole` do not fill their shapes.
    pub fn put(&self, own: &[f32], whole: &mut [f32]) {
        let mut rest = own;
        for run in self.runs() {
            let (values, behind) = rest.split_at(run.len());
            whole[run].copy_from_slice(values);
            rest = behind;
        }
    }

    /// Where its values lie in the whole tensor, in order.
    fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let inner: usize = self.shape[self.dimension + 1..].iter().product();
        let rows: usize = self.shape[..self.dimension].iter().product();
        let stride = self.shape[self.dimension] * inner;
        let (begin, end) = (self.range.start * inner, self.range.end * inner);
        (0..rows).map(move |row| row * stride + begin..row * stride + end)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{LlamaConfig, ModelConfig, Resize, Size};

    /// An example with so many times as many heads and neurons.
    fn wide(model_type: &str, times: f64) -> ModelConfig {
        let resize = Resize {
            width: Some(Size::Times(times)),
            ..Resize::default()
        };
        ModelConfig::example(model_type).unwrap().resized(&resize).unwrap()
    }

    #[test]
    fn the_parts_of_all_ranks_make_the_whole_in_every_family_that_can_be_divided() {
        let mut divided = Vec::new();
        for model_type in ModelConfig::MODEL_TYPES {
            let config = wide(model_type, 4.0);
            let table = config.table();
            let Ok(split) = LayerSplit::new(&table, 4) else {
                continue;
            };
            divided.push(*model_type);
            for param in table.params() {
                let whole: Vec<f32> = (0..param.num_elements()).map(|i| i as f32).collect();
                let mut back = vec![-1.0; whole.len()];
                let parts: Vec<_> = (0..4).filter_map(|rank| split.part(&param, rank)).collect();
                assert_eq!(!parts.is_empty(), split.divides(param.spec), "{}", param.name);
                for part in &parts {
                    let own = part.take(&whole);
                    assert_eq!(own.len(), whole.len() / 4);
                    assert_eq!(own.len(), part.shape().iter().product::<usize>());
                    part.put(&own, &mut back);
                }
                let is_inner = param.layer.is_some() && param.axes().iter().any(|axis| *axis != Axis::HIDDEN);
                let of_head = param.axes().iter().any(|axis| axis.name() == "head_dim");
                assert_eq!(!parts.is_empty(), is_inner && !of_head, "{model_type}: {}", param.name);
                assert!(parts.is_empty() || back == whole, "{model_type}: {}", param.name);
            }
        }
        let whole: Vec<_> = ModelConfig::MODEL_TYPES
            .iter()
            .filter(|t| !divided.contains(t))
            .collect();
        assert_eq!(whole, [&"cait", &"mixtral", &"qwen3_moe"]);
    }

    #[test]
    fn what_belongs_to_a_head_goes_with_it() {
        // Four query heads of width 3 in two groups; two ranks.
        let config = ModelConfig::Llama(LlamaConfig {
            num_key_value_heads: Some(2),
            head_dim: Some(3),
            ..LlamaConfig::new(8, 2, 1, 4, 6)
        });
        let table = config.table();
        let split = LayerSplit::new(&table, 2).unwrap();
        let part = |name: &str| {
            let param = table.get(&format!("model.layers.0.{name}.weight")).unwrap();
            split.part(&param, 1)
        };
        let of = |shape: [usize; 2], dimension, range| {
            Some(Part {
                shape: shape.into(),
                dimension,
                range,
            })
        };
        assert_eq!(part("self_attn.q_proj"), of([12, 2], 0, 6..12));
        assert_eq!(part("self_attn.k_proj"), of([6, 2], 0, 3..6));
        assert_eq!(part("self_attn.o_proj"), of([2, 12], 1, 6..12));
        assert_eq!(part("mlp.down_proj"), of([2, 6], 1, 3..6));
        assert_eq!(part("input_layernorm"), None);
    }

    #[test]
    fn what_does_not_divide_is_named() {
        let refused = |config: &ModelConfig, ranks| LayerSplit::new(&config.table(), ranks).unwrap_err().to_string();
        let bert = wide("bert", 4.0);
        assert!(refused(&bert, 3).contains("3 ranks cannot share the 4 attention heads"));
        assert!(refused(&bert, 0).contains("0 ranks"));
        let llama = |groups, neurons| {
            ModelConfig::Llama(LlamaConfig {
                num_key_value_heads: Some(groups),
                head_dim: Some(4),
                ..LlamaConfig::new(8, 8, 1, 6, neurons)
            })
        };
        assert!(refused(&llama(3, 8), 2).contains("2 ranks cannot share the 3 key-value heads"));
        assert!(refused(&llama(6, 7), 2).contains("2 ranks cannot share the 7 neurons"));
        assert!(LayerSplit::new(&llama(6, 8).table(), 2).is_ok());
        assert!(refused(&wide("mixtral", 2.0), 2).contains("mixtures of experts"));
        assert!(refused(&wide("qwen3_moe", 2.0), 2).contains("`qwen3_moe`"));
        assert!(refused(&wide("cait", 2.0), 2).contains("mixes the heads"));
        // One rank shares nothing, and what cannot be divided is refused all the same: it is no other code.
        assert!(LayerSplit::new(&bert.table(), 1).is_ok());
    }
}
