use burn::tensor::Tensor;
use ligo_arch::{Axis, ParamSpec};
use ligo_ops::Rows;

use super::matrices::{Matrices, MatrixGradients, MatrixKey};
use crate::host::host;
use crate::term::Place;
use crate::{Error, LinearMap, Sharing};

/// The way of one template's tensors through one term: all layers of the small model are widened and mixed at once.
///
/// Widening and mixing commute where layers share a matrix, so the order is a matter of cost. A matrix per layer of the small model has to
/// come before layers are mixed, and one per layer of the large model after that.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    stages: Vec<Stage>,
    /// `[layers, rows, columns]` in the small model.
    input: [usize; 3],
    /// Whether the gradient by what goes in is wanted.
    input_is_learned: bool,
}

#[derive(Clone, Copy, Debug)]
struct Stage {
    kind: Kind,
    key: MatrixKey,
    /// Whether the gradient by the matrix is wanted.
    is_learned: bool,
    order: Order,
    /// What it makes of the dimension that it changes.
    size: usize,
    /// `[layers, rows, columns]` behind it.
    output: [usize; 3],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Rows,
    Columns,
    Depth,
}

/// When a matrix is due, seen from the mixing of layers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Any,
    Before,
    After,
}

impl Route {
    /// The cheapest way for a tensor of this row, `[layers, rows, columns]` in the small model, through a term. Whether that tensor itself is
    /// learned has a say in it.
    pub(crate) fn new(
        map: &LinearMap,
        index: usize,
        spec: &ParamSpec,
        small: [usize; 3],
        is_learned: &dyn Fn(MatrixKey) -> bool,
        input_is_learned: bool,
    ) -> Result<Self, Error> {
        let term = &map.terms[index];
        let width = |kind: Kind, place: Place, axis: Axis| {
            let factors = term.factors(place);
            let matrices = factors.matrices.get(&axis)?;
            let key = MatrixKey::Width(index, place, axis);
            Some(Stage {
                kind,
                key,
                is_learned: is_learned(key),
                order: match (matrices.len(), factors.sharing) {
                    (1, _) => Order::Any,
                    (_, Sharing::PerLargeLayer) => Order::After,
                    _ => Order::Before,
                },
                size: matrices[0].dims()[0],
                output: small,
            })
        };
        let rows = term.row_place(spec);
        let mut stages = match spec.axes.as_slice() {
            [entries] => vec![width(Kind::Columns, rows, *entries)],
            axes => vec![
                width(Kind::Rows, rows, axes[0]),
                width(Kind::Columns, term.column_place(spec), axes[1]),
            ],
        };
        if let Some(stack) = spec.stack {
            let matrix = term.depth_matrix(stack, spec)?;
            let key = MatrixKey::Depth {
                term: index,
                stack,
                module: spec.module,
                biases: term.mixes_apart(spec),
            };
            let is_learned = is_learned(key);
            let mixes = is_learned || !is_identity(matrix)?;
            stages.push(mixes.then(|| Stage {
                kind: Kind::Depth,
                key,
                is_learned,
                order: Order::Any,
                size: matrix.dims()[0],
                output: small,
            }));
        }
        let stages: Vec<Stage> = stages.into_iter().flatten().collect();
        let ways = orders(&stages).into_iter().filter(|way| is_possible(way));
        let traced = ways.map(|way| traced(way, small, input_is_learned));
        let cheapest = traced.min_by(|a, b| a.1.total_cmp(&b.1));
        Ok(Self {
            stages: cheapest.map(|(stages, _)| stages).unwrap_or_default(),
            input: small,
            input_is_learned,
        })
    }

    /// The matrices on the way.
    pub(crate) fn keys(&self) -> impl Iterator<Item = MatrixKey> + '_ {
        self.stages.iter().map(|stage| stage.key)
    }

    /// Whether a matrix on the way is learned, or what goes in.
    pub(crate) fn is_learned(&self) -> bool {
        self.input_is_learned || self.stages.iter().any(|stage| stage.is_learned)
    }

    /// Widens and mixes `[layers, rows, columns]`, and keeps what the learned stages are given.
    pub(crate) fn forward(&self, mut x: Tensor<3>, matrices: &Matrices) -> (Tensor<3>, Kept) {
        let mut kept = Vec::new();
        for stage in &self.stages {
            kept.push(stage.is_learned.then(|| x.clone()));
            x = stage.forward(x, matrices);
        }
        (x, Kept(kept))
    }

    /// Adds the gradients by the matrices on the way, and returns that by what went in, where it is learned; `dy` is the gradient by each layer
    /// of what came out.
    pub(crate) fn backward(
        &self,
        kept: Kept,
        dy: &Rows,
        matrices: &Matrices,
        gradients: &mut MatrixGradients,
    ) -> Option<Tensor<3>> {
        let first = match self.input_is_learned {
            true => 0,
            false => self.stages.iter().position(|stage| stage.is_learned)?,
        };
        let mut dy = dy.clone();
        for (index, (stage, x)) in self.stages.iter().zip(kept.0).enumerate().skip(first).rev() {
            let wants_dx = self.input_is_learned || index > first;
            let (matrix, dx) = stage.backward(x, &dy, matrices, wants_dx);
            if let Some(matrix) = matrix {
                gradients.add(stage.key, matrix);
            }
            if let Some(dx) = dx {
                let [layers, rows, columns] = dx.dims();
                dy = dx.reshape([layers, rows * columns]).into();
            }
        }
        self.input_is_learned.then(|| dy.together().reshape(self.input))
    }
}

/// What the backward pass needs of a forward one: what each learned stage was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Vec<Option<Tensor<3>>>);

impl Stage {
    fn forward(&self, x: Tensor<3>, matrices: &Matrices) -> Tensor<3> {
        let [layers, rows, columns] = x.dims();
        let matrix = self.matrix(matrices, layers);
        match self.kind {
            Kind::Rows => ligo_ops::product(matrix, x),
            Kind::Columns if matrix.dims()[0] == 1 => {
                let y = ligo_ops::linear(x.reshape([layers * rows, columns]), one(matrix), None);
                y.reshape(self.output)
            }
            Kind::Columns => ligo_ops::product(x, matrix.swap_dims(1, 2)),
            Kind::Depth => ligo_ops::mix(one(matrix), x.reshape([layers, rows * columns])).reshape(self.output),
        }
    }

    /// Gradients by the matrix, where the stage's input was kept, and by that input, where it is asked for.
    fn backward(
        &self,
        x: Option<Tensor<3>>,
        dy: &Rows,
        matrices: &Matrices,
        wants_dx: bool,
    ) -> (Option<Tensor<3>>, Option<Tensor<3>>) {
        let [layers, rows, columns] = self.output;
        let matrix = self.matrix(matrices, layers);
        let [copies, _, size] = matrix.dims();
        if self.kind == Kind::Depth {
            let x = x.map(|x| x.reshape([size, rows * columns]));
            let (weights, dx) = ligo_ops::mix_backward(one(matrix), x, dy, wants_dx);
            return (
                weights.map(Tensor::unsqueeze),
                dx.map(|dx| dx.reshape([size, rows, columns])),
            );
        }
        let dy = dy.together().reshape(self.output);
        let turned = |x: Tensor<3>| x.swap_dims(1, 2);
        match (self.kind, copies) {
            (Kind::Rows, 1) => (
                x.map(|x| ligo_ops::product_sum(dy.clone(), turned(x)).unsqueeze()),
                wants_dx.then(|| ligo_ops::product(turned(matrix), dy)),
            ),
            (Kind::Rows, _) => (
                x.map(|x| ligo_ops::product(dy.clone(), turned(x))),
                wants_dx.then(|| ligo_ops::product(turned(matrix), dy)),
            ),
            (_, 1) => {
                let dy = dy.reshape([layers * rows, columns]);
                let flat = |x: Tensor<3>| x.reshape([layers * rows, size]);
                let input = || ligo_ops::product(dy.clone().unsqueeze(), matrix);
                (
                    x.map(|x| ligo_ops::transposed_product(dy.clone(), flat(x)).unsqueeze()),
                    wants_dx.then(|| input().reshape([layers, rows, size])),
                )
            }
            _ => (
                x.map(|x| ligo_ops::product(turned(dy.clone()), x)),
                wants_dx.then(|| ligo_ops::product(dy, matrix)),
            ),
        }
    }

    /// The matrix, or one for each of so many layers.
    fn matrix(&self, matrices: &Matrices, layers: usize) -> Tensor<3> {
        let matrix = matrices.get(self.key);
        let [copies, _, _] = matrix.dims();
        if self.kind == Kind::Depth || copies == 1 || copies == layers {
            return matrix;
        }
        matrix.narrow(0, 0, layers)
    }

    /// Multiply-adds for one pass over the stage.
    fn cost(&self, [layers, rows, columns]: [usize; 3]) -> f64 {
        // A product goes through memory while it computes; mixing does little else, and a number takes about as long as so many sums.
        const TRAFFIC: usize = 16;
        let count = match self.kind {
            Kind::Rows | Kind::Columns => layers * self.size,
            Kind::Depth => layers * self.size + TRAFFIC * (layers + self.size),
        };
        (count * rows * columns) as f64
    }
}

/// The only matrix of a stack.
fn one(matrix: Tensor<3>) -> Tensor<2> {
    let [_, rows, columns] = matrix.dims();
    matrix.reshape([rows, columns])
}

/// All orders of at most three stages.
fn orders(stages: &[Stage]) -> Vec<Vec<Stage>> {
    let Some((first, rest)) = stages.split_first() else {
        return vec![Vec::new()];
    };
    let mut all = Vec::new();
    for order in orders(rest) {
        for place in 0..=order.len() {
            let mut order = order.clone();
            order.insert(place, *first);
            all.push(order);
        }
    }
    all
}

fn is_possible(way: &[Stage]) -> bool {
    let Some(mixing) = way.iter().position(|stage| stage.kind == Kind::Depth) else {
        return true;
    };
    let in_time = |(index, stage): (usize, &Stage)| match stage.order {
        Order::Any => true,
        Order::Before => index < mixing,
        Order::After => index > mixing,
    };
    way.iter().enumerate().all(in_time)
}

/// The stages with the shapes behind them, and what a forward pass and the wanted gradients cost.
fn traced(mut way: Vec<Stage>, small: [usize; 3], input_is_learned: bool) -> (Vec<Stage>, f64) {
    let (mut shape, mut cost) = (small, 0.0);
    let mut reaches_learned = input_is_learned;
    for stage in &mut way {
        let passes = 1 + usize::from(stage.is_learned) + usize::from(reaches_learned);
        cost += passes as f64 * stage.cost(shape);
        let changed = match stage.kind {
            Kind::Depth => 0,
            Kind::Rows => 1,
            Kind::Columns => 2,
        };
        shape[changed] = stage.size;
        stage.output = shape;
        reaches_learned |= stage.is_learned;
    }
    (way, cost)
}

/// Whether mixing with this matrix changes nothing.
fn is_identity(matrix: &Tensor<2>) -> Result<bool, Error> {
    let [rows, columns] = matrix.dims();
    if rows != columns {
        return Ok(false);
    }
    let values: Vec<f64> = host(matrix.clone().reshape([rows * columns]))?;
    let expected = |index: usize| f64::from(u8::from(index / columns == index % columns));
    Ok(values
        .iter()
        .enumerate()
        .all(|(index, value)| *value == expected(index)))
}
