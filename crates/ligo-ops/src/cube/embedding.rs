//! Rows of a table, and their gradient without atomic additions: positions are sorted by id, and each run of one id is summed.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::{DType, Int, Tensor};
use cubecl::prelude::*;

use super::{
    Back, Cube, CubeTensor, UNITS, arg, count, cubes, dims, empty, empty_of, integers, into_contiguous, part, threads,
};
use crate::graph;

/// Columns of a cube in the backward pass; its other threads share out the rows of a run.
const COLUMNS: u32 = 32;

#[cube(launch)]
fn gather(table: &[f32], ids: &[i32], y: &mut [f32], elements: usize, width: usize) {
    let i = ABSOLUTE_POS;
    if i < elements {
        y[i] = table[ids[i / width] as usize * width + i % width];
    }
}

/// `order`: the places of `ids` in ascending order of id, equal ids in their own order; each place counts how many come before it. The table
/// of `elements` numbers becomes 0 in the same launch.
#[cube(launch)]
fn sort_and_clear(
    ids: &[i32],
    order: &mut [i32],
    table: &mut [f32],
    number: usize,
    elements: usize,
    #[comptime] units: usize,
) {
    let place = ABSOLUTE_POS;
    if place < elements {
        table[place] = 0.0f32;
    }
    // All threads of a cube go on or none does.
    if place - UNIT_POS as usize >= number {
        terminate!();
    }
    let mut tile = Shared::<[i32]>::new_slice(units);
    let mut own = 0i32;
    if place < number {
        own = ids[place];
    }
    let mut before = 0i32;
    let mut start = 0usize;
    while start < number {
        let from = start + UNIT_POS as usize;
        if from < number {
            tile[UNIT_POS as usize] = ids[from];
        }
        sync_cube();
        let mut end = number - start;
        if end > units {
            end = units;
        }
        for i in 0..end {
            let other = tile[i];
            if other < own || (other == own && start + i < place) {
                before += 1;
            }
        }
        sync_cube();
        start += units;
    }
    if place < number {
        order[before as usize] = place as i32;
    }
}

/// One cube for each sorted place and block of columns; only the first place of a run of one id has work.
#[cube(launch)]
fn sum_runs(
    dy: &[f32],
    ids: &[i32],
    order: &[i32],
    table: &mut [f32],
    number: usize,
    width: usize,
    across: usize,
    #[comptime] columns: u32,
    #[comptime] units: usize,
) {
    let place = CUBE_POS / across;
    if place >= number {
        terminate!();
    }
    let id = ids[order[place] as usize];
    let mut is_first = true;
    if place > 0 {
        is_first = ids[order[place - 1] as usize] != id;
    }
    if !is_first {
        terminate!();
    }
    let lanes = comptime![units / columns as usize];
    let column = (CUBE_POS % across) * comptime![columns as usize] + (UNIT_POS % columns) as usize;
    let lane = (UNIT_POS / columns) as usize;
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let mut total = 0.0f32;
    let mut next = place + lane;
    let mut goes_on = next < number;
    while goes_on {
        let position = order[next] as usize;
        if ids[position] == id {
            if column < width {
                total += dy[position * width + column];
            }
            next += lanes;
            goes_on = next < number;
        } else {
            goes_on = false;
        }
    }
    scratch[UNIT_POS as usize] = total;
    sync_cube();
    if lane == 0 && column < width {
        let mut sum = 0.0f32;
        for i in 0..lanes {
            sum += scratch[i * comptime![columns as usize] + (UNIT_POS % columns) as usize];
        }
        table[id as usize * width + column] = sum;
    }
}

/// [`crate::embedding`] on a GPU.
pub(crate) fn embedding(weight: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    let [batch, length] = ids.dims();
    let part = part(weight);
    let table = &part.values;
    let [_, width] = dims(table);
    let ids = integers(ids);
    let y = empty(table, [batch, length, width]);
    let elements = count(&y);
    let (number, units) = threads(table, elements);
    let [a, b, c] = [table, &ids, &y].map(arg);
    gather::launch(&table.client, number, units, a, b, c, elements, width);
    graph::record(Node, [part], y, |[table]| (ids, dims(&table)))
}

#[derive(Debug)]
struct Node;

impl Backward<Cube, 1> for Node {
    /// The ids, and the shape of the table.
    type State = (CubeTensor, [usize; 2]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dy, (ids, [rows, width]), mut back) = Back::on(ops, grads);
        if !back.wants(0) {
            return;
        }
        let dy = into_contiguous(dy);
        let number = count(&ids);
        let order = empty_of(&ids, [number], DType::I32);
        let table = empty(&dy, [rows, width]);
        let elements = rows * width;
        let (all, units) = threads(&table, elements.max(number));
        let [a, b, c] = [&ids, &order, &table].map(arg);
        sort_and_clear::launch(&table.client, all, units, a, b, c, number, elements, UNITS as usize);
        let across = width.div_ceil(COLUMNS as usize);
        let (runs, units) = cubes(&table, number * across);
        let [a, b, c, d] = [&dy, &ids, &order, &table].map(arg);
        sum_runs::launch(
            &table.client,
            runs,
            units,
            a,
            b,
            c,
            d,
            number,
            width,
            across,
            COLUMNS,
            UNITS as usize,
        );
        back.give(0, table);
    }
}
