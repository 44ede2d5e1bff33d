use crate::Axis;

/// Which entries of an axis belong together, and with which entries of other axes.
///
/// The entries of an axis come in units of `block` entries. Axes of one `set` have equally many units, and unit `i` of each of
/// them is one thing: head `i` has its rows in `query`, in `key` and in `value`. Whoever copies or drops a unit of one axis
/// does the same in the others. With grouped-query attention a unit is a whole group, so that its block in `query` is wider
/// than in `key`. An axis about which a table says nothing is a set of its own with one entry for each unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The name of the set; by default that of the axis.
    pub set: &'static str,
    /// Entries of a unit.
    pub block: usize,
}

/// The units of attention: heads of `width` entries, `queries` of them to a key head.
pub(crate) fn head_units(width: usize, queries: usize) -> [(Axis, Unit); 3] {
    let unit = |block| Unit { set: "heads", block };
    [
        (Axis::QUERY, unit(queries * width)),
        (Axis::KEY, unit(width)),
        (Axis::VALUE, unit(width)),
    ]
}
