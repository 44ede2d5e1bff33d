//! How one tensor of a grown file is made: copied, picked row by row, or computed whole.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use burn::tensor::Device;
use ligo_arch::{FilePart, FileTensor, Param, ParamTable, Slice};
use ligo_checkpoint::{Declared, Dtype, ModelDir};

use crate::gather::{Gather, Taken, Values};
use crate::term::{load_values, source_name};
use crate::{Error, Fill, LinearMap, files, less_one};

/// What tensors are made with.
#[derive(Clone, Copy)]
pub(crate) struct Kitchen<'a> {
    pub map: &'a LinearMap,
    pub source: &'a ModelDir,
    pub small: &'a ParamTable,
    pub params: &'a HashMap<&'a str, &'a Param<'a>>,
    pub device: &'a Device,
}

/// How one tensor is made.
pub(crate) enum Recipe<'a> {
    /// The bytes are in a file already.
    Copy(&'a [u8]),
    /// Row by row.
    Rows(Rows<'a>),
    /// Computed.
    Whole(Vec<f32>),
}

/// The rows of a stored tensor, each of which is a row of a parameter.
pub(crate) struct Rows<'a> {
    parts: Vec<PartRows<'a>>,
    columns: usize,
    fill: Fill,
    small: &'a ParamTable,
}

struct PartRows<'a> {
    param: &'a Param<'a>,
    slice: Slice,
    gather: Gather<'a, 'a>,
}

impl Rows<'_> {
    /// Makes some rows; zero where no parameter lies.
    fn make(&self, rows: Range<usize>) -> Vec<f32> {
        let mut values = vec![0.0; rows.len() * self.columns];
        let mut at = rows.start;
        while at < rows.end {
            let found = self
                .parts
                .iter()
                .find_map(|part| part.slice.param_row(at).map(|found| (part, found)));
            let Some((part, (first, follow))) = found else {
                at += 1;
                continue;
            };
            let count = follow.min(rows.end - at);
            let values = &mut values[(at - rows.start) * self.columns..][..count * self.columns];
            part.gather.rows(first, values);
            self.fill
                .apply_rows(self.small, part.param, part.gather.has_source(), first, values);
            at += count;
        }
        values
    }
}

impl Recipe<'_> {
    /// Values from one row on, where rows have so many columns.
    pub(crate) fn values(&self, elements: Range<usize>) -> Cow<'_, [f32]> {
        match self {
            Recipe::Rows(rows) => {
                let columns = rows.columns.max(1);
                rows.make(elements.start / columns..elements.end / columns).into()
            }
            Recipe::Whole(values) => Cow::Borrowed(&values[elements]),
            Recipe::Copy(_) => Cow::Borrowed(&[]),
        }
    }

    /// Elements that are made together: whole rows.
    pub(crate) fn step(&self) -> usize {
        match self {
            Recipe::Rows(rows) => rows.columns.max(1),
            _ => 1,
        }
    }
}

/// One parameter of a tensor, with what is taken for it.
struct Ingredient<'a> {
    part: &'a FilePart,
    param: &'a Param<'a>,
    taken: Vec<Taken<'a>>,
}

impl<'a> Kitchen<'a> {
    /// How a tensor that grows is made, which will be written in this dtype.
    pub(crate) fn recipe(&self, tensor: &'a FileTensor, dtype: Dtype) -> Result<Recipe<'a>, Error> {
        let mut picked = Vec::new();
        for part in &tensor.parts {
            let param = self.params[part.param.as_str()];
            match self.map.taken(self.small, param)? {
                Some(taken) => picked.push(Ingredient { part, param, taken }),
                None => return self.whole(tensor),
            }
        }
        if let Some(bytes) = self.copied(tensor, &picked, dtype)? {
            return Ok(Recipe::Copy(bytes));
        }
        // What files hold less one is no longer than a row is, and has a way of its own to be exact.
        let in_rows = |part: &FilePart| !part.slice.from_one && (!part.slice.transposed || part.slice.is_whole());
        match tensor.parts.iter().all(in_rows) {
            true => self.rows(tensor, picked),
            false => self.whole(tensor),
        }
    }

    fn whole(&self, tensor: &FileTensor) -> Result<Recipe<'a>, Error> {
        let mut source = self.source;
        let is_less_one = |name: &str| {
            tensor
                .parts
                .iter()
                .any(|part| part.param == name && part.slice.from_one)
        };
        let values = files::join(&files::as_stored(tensor), &mut |name| {
            let param = self.params[name];
            let grown = match is_less_one(name) {
                true => less_one::grow(self.map, self.small, param, self.source, self.device)?,
                false => self.map.grow_values(self.small, param, &mut source, self.device)?,
            };
            Ok(Cow::Owned(grown))
        })?;
        Ok(Recipe::Whole(values.into_owned()))
    }

    fn rows(&self, tensor: &FileTensor, picked: Vec<Ingredient<'a>>) -> Result<Recipe<'a>, Error> {
        let parts = picked.into_iter().map(|Ingredient { part, param, taken }| {
            let ratio = self.map.ratio(self.small, param.spec);
            let gather = Gather::new(self.small, param, taken, ratio, |taken| self.values(param, taken))?;
            let slice = part.slice;
            Ok(PartRows { param, slice, gather })
        });
        let parts: Vec<PartRows<'a>> = parts.collect::<Result<_, Error>>()?;
        Ok(Recipe::Rows(Rows {
            columns: tensor.parts.first().map_or(1, |part| part.slice.columns),
            parts,
            fill: self.map.fill,
            small: self.small,
        }))
    }

    /// Where the small model's file holds the source of a parameter: the bytes of the stored tensor, its dtype, and the rows of it.
    fn stored(
        &self,
        param: &Param<'a>,
        layer: Option<usize>,
    ) -> Result<Option<(String, &'a [u8], Dtype, Slice)>, Error> {
        let own = self.own(param, layer);
        let (name, shape, part) = self.small.file_part(&own);
        let Some(info) = self.source.info(&name).filter(|_| !self.source.is_computed(&own.name)) else {
            return Ok(None);
        };
        // Some columns of what is stored are no rows of it.
        let has_whole_rows = part.slice.columns == own.shape.iter().skip(1).product::<usize>();
        let in_rows = has_whole_rows && (!part.slice.transposed || part.slice.is_whole());
        let is_expected = info.shape.iter().product::<usize>() == shape.iter().product::<usize>();
        if !(info.dtype.is_float() && is_expected && in_rows) {
            return Ok(None);
        }
        let dtype = info.dtype;
        Ok(Some((name.clone(), self.source.read_bytes(&name)?, dtype, part.slice)))
    }

    /// The small model's tensor that a parameter comes from. Files may hold it otherwise than the large model's.
    fn own(&self, param: &Param<'a>, layer: Option<usize>) -> Param<'a> {
        let spec = self.small.counterpart(param.spec).unwrap_or(param.spec);
        self.small.param(spec, layer)
    }

    fn values(&self, param: &Param<'a>, taken: &Taken<'a>) -> Result<Values<'a>, Error> {
        if let Some((_, bytes, dtype, slice)) = self.stored(param, taken.layer)? {
            return Ok(Values::Stored { bytes, dtype, slice });
        }
        let mut source = self.source;
        let values = load_values(self.small, param.spec, taken.layer, &mut source)?;
        Ok(Values::Numbers(values))
    }

    /// The bytes of a tensor of the small model's file, where that is what is to be written: all of it, in the same layout and dtype.
    fn copied(&self, tensor: &FileTensor, picked: &[Ingredient<'a>], dtype: Dtype) -> Result<Option<&'a [u8]>, Error> {
        let mut found: Option<(String, &'a [u8])> = None;
        let mut rows = 0;
        for Ingredient { part, param, taken } in picked {
            let [taken] = taken.as_slice() else {
                return Ok(None);
            };
            if !taken.is_copy()
                || self.map.ratio(self.small, param.spec) != 1.0
                || !self.map.fill.is_nothing(self.small, param, true)
            {
                return Ok(None);
            }
            let own = self.own(param, taken.layer);
            let (name, _, own_part) = self.small.file_part(&own);
            let is_there =
                (self.source.info(&name)).is_some_and(|info| info.dtype == dtype && info.shape == tensor.shape);
            let is_same = found.as_ref().is_none_or(|(first, _)| *first == name);
            if !(is_there && is_same && own_part.slice == part.slice) || self.source.is_computed(&own.name) {
                return Ok(None);
            }
            rows += part.slice.rows;
            found = Some((name.clone(), self.source.read_bytes(&name)?));
        }
        let total = picked.first().map(|first| first.part.slice.total);
        Ok(found.filter(|_| total == Some(rows)).map(|(_, bytes)| bytes))
    }

    /// How a tensor is made that does not grow.
    pub(crate) fn carried(&self, declared: &Declared) -> Result<Recipe<'a>, Error> {
        let is_same = self
            .source
            .info(&declared.name)
            .is_some_and(|info| info.dtype == declared.dtype);
        match is_same {
            true => Ok(Recipe::Copy(self.source.read_bytes(&declared.name)?)),
            false => Ok(Recipe::Whole(self.source.read_f32(&declared.name)?)),
        }
    }

    /// The names of what a tensor is made of.
    pub(crate) fn sources(&self, tensor: &FileTensor) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for part in &tensor.parts {
            let param = self.params[part.param.as_str()];
            match self.map.taken(self.small, param)? {
                Some(taken) => names.extend(taken.iter().map(|taken| source_name(param.spec, taken.layer))),
                None => {
                    let layers = param.spec.stack.map_or(0, |stack| self.small.depth(stack));
                    let layers = (0..layers).filter(|layer| self.small.has_in(param.spec, *layer));
                    names.extend(layers.map(|layer| source_name(param.spec, Some(layer))));
                }
            }
        }
        Ok(names)
    }
}
