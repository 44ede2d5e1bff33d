use std::vec;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::stack::Stacked;
use crate::{DropoutStream, install, split};

/// [`Stacked::forward`] of which only the input is kept: the backward pass runs the layer again, with the same dropout.
pub(crate) fn forward<S: Stacked>(layer: &S, x: Tensor<3>, context: &S::Context, dropout: &DropoutStream) -> Tensor<3> {
    let sites = dropout.sites();
    dropout.skip(layer.sites());
    let parameters = parameters(layer);
    // Without its graph, which must not keep itself alive.
    let layer = with_parameters(
        layer.clone(),
        parameters.iter().map(|x| x.clone().without_autodiff()).collect(),
    );
    let context = context.clone();
    let ranks = split::Recorded::now();
    ligo_ops::recomputed(x, parameters, move |x, parameters| {
        let layer = with_parameters(layer.clone(), parameters);
        ranks.within(|| layer.forward(x, &context, &DropoutStream::from(sites)))
    })
}

/// Whether a layer has no more parameters than can be computed with again. One with many experts has; it keeps what it computed.
pub(crate) fn fits(layer: &impl Module) -> bool {
    install::param_shapes(layer).len() <= ligo_ops::MOST_PARAMETERS
}

/// The parameters of a module in the order of its fields, flat.
fn parameters(module: &impl Module) -> Vec<Tensor<1>> {
    struct Flat(Vec<Tensor<1>>);

    impl ModuleVisitor for Flat {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().flatten(0, D - 1));
        }
    }

    let mut flat = Flat(Vec::new());
    module.visit(&mut flat);
    flat.0
}

/// A module with the parameters that [`parameters`] gave, or others of the same shapes.
fn with_parameters<M: Module>(module: M, parameters: Vec<Tensor<1>>) -> M {
    struct Replace(vec::IntoIter<Tensor<1>>);

    impl ModuleMapper for Replace {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let shape = param.lazy_shape().dims::<D>();
            match self.0.next() {
                Some(tensor) => Param::initialized(param.id, tensor.reshape(shape)),
                None => param,
            }
        }
    }

    module.map(&mut Replace(parameters.into_iter()))
}
