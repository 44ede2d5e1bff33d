//! Parameters that files hold less one (Gemma's gains), from file to file without a rounded sum in between.

use std::borrow::Cow;

use burn::tensor::Device;
use ligo_arch::{Param, ParamTable};
use ligo_checkpoint::ModelDir;

use crate::files::less_one;
use crate::{Error, LinearMap, WeightSource};

/// What stands for the values of the small model.
#[derive(Clone, Copy)]
enum Given {
    Zeros,
    Ones,
    /// What its file holds.
    Stored,
}

struct Source<'a> {
    dir: &'a ModelDir,
    given: Given,
}

impl WeightSource for Source<'_> {
    fn values(&mut self, name: &str) -> Result<Cow<'_, [f32]>, Error> {
        let stored = self.dir.read_f32(&less_one(name))?;
        Ok(Cow::Owned(match self.given {
            Given::Zeros => vec![0.0; stored.len()],
            Given::Ones => vec![1.0; stored.len()],
            Given::Stored => stored,
        }))
    }

    fn has(&self, name: &str) -> bool {
        self.dir.contains(name)
    }
}

/// [`LinearMap::grow_values`] less one, as files hold it.
///
/// What a map makes of `1 + w` is `f(1) + f(w) − f(0)`, so that less one it is `(f(1) − 1) + (f(w) − f(0))`: of a copy `w` itself, which `(1 + w) − 1` is not.
pub(crate) fn grow(
    map: &LinearMap,
    small: &ParamTable,
    param: &Param<'_>,
    dir: &ModelDir,
    device: &Device,
) -> Result<Vec<f32>, Error> {
    let grown = |given| map.grow_values(small, param, &mut Source { dir, given }, device);
    let [of_zeros, of_ones, of_stored] = [grown(Given::Zeros)?, grown(Given::Ones)?, grown(Given::Stored)?];
    let sums = of_zeros.iter().zip(of_ones).zip(of_stored);
    Ok(sums
        .map(|((zero, one), stored)| (one - 1.0) + (stored - zero))
        .collect())
}
