//! A larger model of the same family, from the sizes that are asked for.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::llama::NEURONS;
use crate::{Axis, Error, ModelConfig, layer_lists};

/// A size that is asked for: a number, or a multiple of what there is.
///
/// ```
/// use ligo_arch::Size;
///
/// assert_eq!("24".parse(), Ok(Size::Exactly(24)));
/// assert_eq!("1.5x".parse(), Ok(Size::Times(1.5)));
/// assert!("much".parse::<Size>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// This many.
    Exactly(usize),
    /// So many times as many.
    Times(f64),
}

impl Size {
    /// The size by this one of what has `now`; `None` where that is no whole number.
    fn of(self, now: usize) -> Option<usize> {
        match self {
            Self::Exactly(size) => Some(size),
            Self::Times(factor) => whole(now as f64 * factor),
        }
    }

    /// Who has `now` becomes so many times as large.
    fn factor(self, now: usize) -> f64 {
        match self {
            Self::Exactly(size) => size as f64 / now.max(1) as f64,
            Self::Times(factor) => factor,
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected a number such as 24 or a multiple such as 1.5x, found `{text}`");
        let multiple = text.strip_suffix(['x', 'X', '×']);
        match multiple {
            None => text.parse().map(Self::Exactly).map_err(|_| expected()),
            Some(factor) => match factor.trim().parse::<f64>() {
                Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Self::Times(factor)),
                _ => Err(expected()),
            },
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(size) => write!(f, "{size}"),
            Self::Times(factor) => write!(f, "{factor}x"),
        }
    }
}

/// The sizes of a larger model; what is not asked for follows from the rest, or stays.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resize {
    /// Layers; of a CaiT those of its first stack.
    pub layers: Option<Size>,
    /// The residual stream. Heads keep their width, so that their number grows with it; neurons do too.
    pub width: Option<Size>,
    /// Query heads. Groups of them keep their size.
    pub heads: Option<Size>,
    /// Neurons of each feed-forward layer.
    pub ffn: Option<Size>,
    /// Experts of each layer that has some; of a model without experts the number that it is to have.
    pub experts: Option<Size>,
    /// Experts that a token goes through.
    pub top_k: Option<usize>,
    /// How many times smaller than the feed-forward network of a dense model its experts are to be.
    pub granularity: Option<usize>,
    /// Entries of the token table.
    pub vocab: Option<Size>,
    /// The vocabulary is filled up to a multiple of this.
    pub vocab_multiple: Option<usize>,
    /// Tokens that a sequence may have.
    pub positions: Option<Size>,
}

/// Numbers of tokens.
const SPECIAL: [&str; 3] = ["pad_token_id", "bos_token_id", "eos_token_id"];

/// What a family calls its sizes in `config.json`.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// Layers.
    pub layers: &'static str,
    /// Channels of the residual stream.
    pub width: &'static str,
    /// Attention heads.
    pub heads: &'static str,
    /// Neurons of the feed-forward network.
    pub ffn: &'static str,
    /// Tokens that a sequence may have.
    pub positions: &'static str,
}

const USUAL: Fields = Fields {
    layers: "num_hidden_layers",
    width: "hidden_size",
    heads: "num_attention_heads",
    ffn: "intermediate_size",
    positions: "max_position_embeddings",
};

impl ModelConfig {
    /// What the family calls its sizes in `config.json`.
    pub fn fields(&self) -> Fields {
        match self {
            Self::Gpt2(_) => Fields {
                layers: "n_layer",
                width: "n_embd",
                heads: "n_head",
                ffn: "n_inner",
                positions: "n_positions",
            },
            Self::DistilBert(_) => Fields {
                layers: "n_layers",
                width: "dim",
                heads: "n_heads",
                ffn: "hidden_dim",
                ..USUAL
            },
            Self::Opt(_) => Fields {
                ffn: "ffn_dim",
                ..USUAL
            },
            Self::Llama(c) if c.model_type == "qwen3_moe" => Fields { ffn: NEURONS, ..USUAL },
            _ => USUAL,
        }
    }

    /// The same model with other sizes. All else is as it is here.
    ///
    /// # Errors
    /// [`Error::Resize`] where a size is no whole number or heads do not come out; those of [`ModelConfig::from_json`].
    pub fn resized(&self, resize: &Resize) -> Result<Self, Error> {
        let sizes = self.sizes();
        let fields = self.fields();
        let mut json = self.to_json();
        let Some(object) = json.as_object_mut() else {
            return Ok(self.clone());
        };
        if let Some(layers) = resize.layers {
            // An ALBERT's layers may be several each.
            let now = object.get(fields.layers).and_then(Value::as_u64);
            let now = now.and_then(|now| usize::try_from(now).ok()).unwrap_or(sizes.layers);
            let layers = asked("layers", layers, now)?;
            object.insert(fields.layers.into(), layers.into());
            // Where no two layers share their parameters, none do in the larger model.
            if matches!(self, Self::Albert(c) if c.is_unshared() && c.num_hidden_groups > 1) {
                object.insert("num_hidden_groups".into(), layers.into());
            }
            layer_lists::stack(object, layers);
        }
        let width = match resize.width {
            Some(width) => asked("width", width, sizes.hidden)?,
            None => sizes.hidden,
        };
        object.insert(fields.width.into(), width.into());
        // The width of a token table is that of the residual stream where nothing projects.
        let words = match self {
            Self::Opt(_) => Some("word_embed_proj_dim"),
            Self::Electra(_) => Some("embedding_size"),
            _ => None,
        };
        if let Some(words) = words.filter(|words| object.get(*words) == Some(&Value::from(sizes.hidden))) {
            object.insert(words.into(), width.into());
        }
        let factor = width as f64 / sizes.hidden as f64;

        // Neurons keep their ratio to the width, rounded where that is no whole number.
        let ffn = resize.ffn.or((factor != 1.0).then_some(Size::Times(factor)));
        if let Some(ffn) = ffn {
            let now = sizes.sparse.map_or(sizes.ffn, |sparse| sparse.ffn);
            let rounded = |neurons: usize| (neurons as f64 * ffn.factor(now)).round() as usize;
            let size = if resize.ffn.is_some() {
                asked("ffn", ffn, now)?
            } else {
                rounded(now)
            };
            // Layers without experts beside those that have some.
            if let (NEURONS, Some(dense)) = (fields.ffn, object.get(USUAL.ffn).and_then(Value::as_u64)) {
                object.insert(USUAL.ffn.into(), rounded(dense as usize).into());
            }
            // What follows from the width goes on to do so.
            let follows = object.get(fields.ffn).is_none_or(Value::is_null);
            if resize.ffn.is_some() || !follows {
                object.insert(fields.ffn.into(), size.into());
            }
        }
        let heads = resize.heads.or((factor != 1.0).then_some(Size::Times(factor)));
        if let Some(heads) = heads {
            set_heads(object, &fields, self, heads, width)?;
        }
        self.set_rows(object, &fields, resize)?;
        let config = Self::from_json(&json)?;
        let config = match resize.layers {
            None => config,
            Some(_) => self.stacked(config),
        };
        match (resize.experts, resize.top_k, resize.granularity) {
            (None, None, None) => Ok(config),
            (experts, top_k, granularity) => config.with_experts(experts, top_k, granularity),
        }
    }

    /// A deeper model with layers as if this one were stacked.
    fn stacked(&self, config: Self) -> Self {
        let layers = self.sizes().layers.max(1);
        // Where the layers of the small model differ, those of the large one do as if it were stacked; an operator may say otherwise.
        let stacked: Vec<_> = (0..config.sizes().layers).map(|i| Some(i % layers)).collect();
        config.with_layers_of(self, &stacked)
    }

    /// Vocabulary and positions: what a table has a row for.
    fn set_rows(&self, object: &mut Map<String, Value>, fields: &Fields, resize: &Resize) -> Result<(), Error> {
        let wrong = |what, reason: &str| Error::Resize {
            what,
            reason: reason.into(),
        };
        let vocab = self.vocab_size();
        if let (true, Some(_)) = (
            resize.vocab.is_some() || resize.vocab_multiple.is_some(),
            self.image_shape(),
        ) {
            return Err(wrong("vocab", "a model of images has none"));
        }
        let wanted = resize.vocab.map_or(Ok(vocab), |size| asked("vocab", size, vocab))?;
        let wanted = match resize.vocab_multiple {
            Some(0) => return Err(wrong("vocab", "nothing is a multiple of 0")),
            Some(multiple) => wanted.next_multiple_of(multiple),
            None => wanted,
        };
        if wanted != vocab {
            object.insert("vocab_size".into(), wanted.into());
        }
        let Some(positions) = resize.positions else {
            return Ok(());
        };
        if self.image_shape().is_some() {
            return Err(wrong("positions", "those of a model of images are its patches"));
        }
        // Files count positions with those that belong to no token (RoBERTa) or without (OPT).
        let said = object.get(fields.positions).and_then(Value::as_u64).unwrap_or(0) as usize;
        let now = self.max_sequence_tokens();
        let wanted = asked("positions", positions, now)?;
        object.insert(fields.positions.into(), (said + wanted).saturating_sub(now).into());
        Ok(())
    }

    /// Rows of a learned position table that belong to no token: RoBERTa counts its positions from padding, OPT from two.
    pub fn position_prefix(&self) -> usize {
        let rows = self.table().size(Axis::POSITION);
        match self.image_shape() {
            None => rows.saturating_sub(self.max_sequence_tokens()),
            Some(_) => 0,
        }
    }

    /// The same model with so many entries of the token table, more or fewer, and the special tokens at these places, or at none, where the file names them
    /// (`pad_token_id` and the like).
    ///
    /// # Errors
    /// Those of [`ModelConfig::from_json`].
    pub fn with_vocabulary(&self, entries: usize, special: &[(&str, Option<usize>)]) -> Result<Self, Error> {
        let mut json = self.to_json();
        if let Some(object) = json.as_object_mut() {
            object.insert("vocab_size".into(), entries.into());
            for (field, id) in special {
                if let Some(known) = object.get_mut(*field).filter(|known| !known.is_null()) {
                    *known = id.map_or(Value::Null, Value::from);
                }
            }
        }
        Self::from_json(&json)
    }

    /// The same model with the vocabulary and the positions of another one.
    ///
    /// # Errors
    /// Those of [`ModelConfig::from_json`].
    pub fn with_rows_of(&self, other: &Self) -> Result<Self, Error> {
        let (mut json, other) = (self.to_json(), other.to_json());
        if let Some(object) = json.as_object_mut() {
            for field in ["vocab_size", self.fields().positions].iter().chain(&SPECIAL) {
                let field = *field;
                if let (Some(own), Some(theirs)) = (object.get_mut(field), other.get(field)) {
                    *own = theirs.clone();
                }
            }
        }
        Self::from_json(&json)
    }
}

/// Query heads, key-value heads and, where a file says it, the width of a head.
fn set_heads(
    object: &mut Map<String, Value>,
    fields: &Fields,
    config: &ModelConfig,
    heads: Size,
    width: usize,
) -> Result<(), Error> {
    let sizes = config.sizes();
    let head = sizes.query / sizes.heads.max(1);
    let groups = (sizes.key_value / head.max(1)).max(1);
    let shared = sizes.heads / groups;
    // Where heads fill the residual stream, they are as many as fit into it.
    let fills = object.get("head_dim").is_none_or(Value::is_null);
    let wrong = |reason: String| Err(Error::Resize { what: "heads", reason });
    let Some(count) = heads.of(sizes.heads) else {
        let step = head * shared;
        let below = width / step * step;
        return wrong(format!(
            "a width of {width} holds no whole number of heads of {head} in groups of {shared}; {below} and {} do",
            below + step
        ));
    };
    if !count.is_multiple_of(shared) {
        return wrong(format!(
            "{count} query heads are no whole number of groups of {shared}; {} and {} are",
            count / shared * shared,
            (count / shared + 1) * shared
        ));
    }
    if fills && !width.is_multiple_of(count) {
        return wrong(format!("{count} heads do not divide a width of {width}"));
    }
    // The same channels cut finer would be another function, and no larger model.
    if fills && width / count < head {
        return wrong(format!(
            "{count} heads would have {} dimensions each and have {head} now: heads of this model grow with its width",
            width / count
        ));
    }
    object.insert(fields.heads.into(), count.into());
    if object.get("num_key_value_heads").is_some_and(|heads| !heads.is_null()) {
        object.insert("num_key_value_heads".into(), (count / shared).into());
    }
    Ok(())
}

pub(crate) fn asked(what: &'static str, size: Size, now: usize) -> Result<usize, Error> {
    let wrong = |reason: String| Error::Resize { what, reason };
    match size.of(now) {
        None => Err(wrong(format!("{size} of {now} is no whole number"))),
        Some(found) if found < now => Err(wrong(format!(
            "{found} is less than the {now} that there are, and models only become larger here"
        ))),
        Some(found) => Ok(found),
    }
}

/// A whole number, as far as a product with a decimal fraction can be one.
fn whole(value: f64) -> Option<usize> {
    let rounded = value.round();
    ((value - rounded).abs() < 1e-9 * value.max(1.0) && rounded < 1e15).then_some(rounded as usize)
}

#[cfg(test)]
mod tests;
