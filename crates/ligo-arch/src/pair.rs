use crate::{Error, ParamTable};

/// Checks that a model described by `small` can grow into one described by `large`.
///
/// # Errors
/// Families differ, an axis or a stack shrinks, a fixed axis differs, or the large model has a parameter
/// that the small one cannot provide.
pub fn check_growable(small: &ParamTable, large: &ParamTable) -> Result<(), Error> {
    if small.family() != large.family() {
        return Err(Error::FamiliesDiffer {
            small: small.family().into(),
            large: large.family().into(),
        });
    }
    // First, since a grouping that differs shows in the axes too.
    for (axis, _) in small.repeats().chain(large.repeats()) {
        let times = |table: &ParamTable| table.repeat(axis).map_or(1, |r| r.times);
        let (few, many) = (times(small), times(large));
        // Whole multiples are for an operator to judge: it may copy the query heads of a group.
        if few != many && (few == 1 || !many.is_multiple_of(few)) {
            return Err(Error::HeadsPerGroup {
                small: few,
                large: many,
            });
        }
    }
    for spec in large.specs().iter().filter(|s| s.required) {
        let Some(source) = small.specs().iter().find(|s| s.template == spec.template) else {
            return Err(Error::NoCounterpart {
                name: spec.template.clone(),
                reason:
                    "the small model has no such tensor; do heads agree, and are both decoders tied, or both untied?"
                        .into(),
            });
        };
        if source.axes != spec.axes {
            return Err(Error::NoCounterpart {
                name: spec.template.clone(),
                reason: "its axes differ; are both decoders tied, or both untied?".into(),
            });
        }
    }
    for (axis, large_size) in large.sizes() {
        let small_size = small.size(axis);
        if axis.is_fixed() && small_size != large_size {
            return Err(Error::FixedAxisDiffers {
                axis: axis.to_string(),
                small: small_size,
                large: large_size,
            });
        }
        if large_size < small_size {
            return Err(Error::Shrinks {
                axis: axis.to_string(),
                small: small_size,
                large: large_size,
            });
        }
    }
    for (stack, large_depth) in large.depths() {
        let small_depth = small.depth(stack);
        if large_depth < small_depth {
            return Err(Error::Shrinks {
                axis: format!("layers of {stack}"),
                small: small_depth,
                large: large_depth,
            });
        }
        let (few, many) = (small.runs(stack), large.runs(stack));
        if many < few {
            return Err(Error::Shrinks {
                axis: format!("runs of {stack}"),
                small: few,
                large: many,
            });
        }
    }
    Ok(())
}
