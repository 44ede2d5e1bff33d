//! Matrices whose rows are made on all cores.

/// Below this many values one thread is quicker.
const FEW: usize = 1 << 16;

/// Hands out row-major `values` in parts of whole rows, each with the number of its first row.
pub(crate) fn by_rows<E: Send>(values: &mut [E], columns: usize, make: impl Fn(usize, &mut [E]) + Sync) {
    let columns = columns.max(1);
    if values.len() < FEW {
        make(0, values);
        return;
    }
    // Several parts for each thread, since some are done sooner; never more than some rows of scratch space each.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let rows = values.len().div_ceil(columns).div_ceil(4 * threads).max(1);
    let parts = values.chunks_mut(rows * columns).enumerate();
    ligo_checkpoint::in_parallel(parts.collect(), |(part, values)| make(part * rows, values));
}
