//! What the operators of a comparison look like, for its report.

use std::path::Path;

use ligo_checkpoint::state;
use ligo_growth::{OPERATOR_TENSORS, OperatorInfo};
use ligo_report::plot::Matrix;
use ligo_report::summary::{OperatorSummary, WidthMatrix};

use super::method::stage_folder;
use super::{RunFolder, stage};
use crate::Failure;
use crate::matrices::Matrices;
use crate::recipe::MethodSection;

/// Operators with matrices for every layer have more than a report can show.
const MOST_MATRICES: usize = 24;

impl RunFolder<'_> {
    /// The operators of a method's run, one for each stage that has matrices.
    ///
    /// # Errors
    /// An operator is damaged.
    pub fn operators(&self, method: &MethodSection, label: &str) -> Result<Vec<OperatorSummary>, Failure> {
        let (ready, folder) = self.place(method)?;
        let mut operators = Vec::new();
        for (i, stage) in ready.stages.iter().enumerate() {
            let mut title = format!("{label}, seed {}", self.recipe.seed_of(method));
            if ready.stages.len() > 1 {
                title += &format!(", stage {}", i + 1);
            }
            operators.extend(read(
                &stage_folder(&folder, stage).join("operator"),
                &method.id(),
                title,
            )?);
        }
        Ok(operators)
    }
}

/// An operator's matrices; nothing when it has none, as scratch.
fn read(folder: &Path, run: &str, title: String) -> Result<Option<OperatorSummary>, Failure> {
    if !folder.is_dir() {
        return Ok(None);
    }
    ligo_checkpoint::verify(folder).map_err(|damage| stage::to_make_again(folder, &damage.into()))?;
    let info = OperatorInfo::read(folder)?;
    let (_, file) = state::open(folder.join(OPERATOR_TENSORS))?;
    let Matrices { mut depth, width } = Matrices::of(&file, info.sharing.len())?;
    if depth.is_empty() && width.is_empty() {
        return Ok(None);
    }
    depth.truncate(MOST_MATRICES);
    // Singular values of fixed matrices are plain from the operator's name.
    let in_numbers = |matrix: &Matrix| match info.operator.is_learned() {
        true => WidthMatrix::of(matrix),
        false => WidthMatrix::new(matrix, &[]),
    };
    let width = width.iter().take(MOST_MATRICES).map(in_numbers);
    Ok(Some(OperatorSummary {
        run: run.to_owned(),
        title,
        width: width.collect(),
        depth,
    }))
}
