//! Which entries of a grown tensor are new.

use ligo_arch::{Param, ParamSpec, ParamTable, StackName};

use crate::fill::old_block;
use crate::host::host;
use crate::{Error, LinearMap};

impl LinearMap {
    /// For each entry of a grown tensor, row-major, whether it is new: outside the block that the small model's tensor fills, or in
    /// a layer that is no layer of the small model.
    ///
    /// A layer of the large model is one of the small model's when it is the first that takes most of itself from that one
    /// (the largest depth coefficient of the tensor's module); repetitions are new, as is a layer without a source. Copied
    /// channels are new too: training may treat them apart from what they copy (their own rate, no moments).
    ///
    /// # Errors
    /// The map lacks depth coefficients of the tensor's module, or a device returns unreadable data.
    pub fn new_entries(&self, small: &ParamTable, param: &Param<'_>) -> Result<Vec<bool>, Error> {
        let layer_is_new = match (param.spec.stack, param.layer) {
            (Some(stack), Some(layer)) => !self.owns(stack, param.spec, layer)?,
            _ => self.terms.is_empty(),
        };
        if layer_is_new {
            return Ok(vec![true; param.num_elements()]);
        }
        let is_old = old_block(small, param);
        Ok((0..param.num_elements()).map(|index| !is_old(index)).collect())
    }

    /// Whether a layer of the large model is one of the small model's.
    fn owns(&self, stack: StackName, spec: &ParamSpec, layer: usize) -> Result<bool, Error> {
        let Some(term) = self.terms.first() else {
            return Ok(false);
        };
        let matrix = term.depth_matrix(stack, spec)?;
        let [rows, columns] = matrix.dims();
        let values: Vec<f32> = host(matrix.clone().reshape([rows * columns]))?;
        let source = |row: &[f32]| {
            // Of equals the first.
            let largest = row
                .iter()
                .enumerate()
                .rev()
                .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
            largest.filter(|(_, v)| **v != 0.0).map(|(j, _)| j)
        };
        let sources: Vec<Option<usize>> = values.chunks(columns).map(source).collect();
        let own = sources.get(layer).copied().flatten();
        Ok(own.is_some() && !sources[..layer].contains(&own))
    }
}
