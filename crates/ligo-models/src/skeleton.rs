use burn::module::{Param, ParamId};
use burn::tensor::{Device, Shape, Tensor};

/// A parameter that has a shape and a device and no value until one is installed.
///
/// CausalInput it before that is a mistake of the program, not of its input: it panics instead of computing with
/// values that nobody chose.
pub(crate) fn vacant<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let init = move |_: &Device, _: bool| -> Tensor<D> {
        panic!("a parameter of shape {shape:?} was read before Model::install gave it a value")
    };
    Param::uninitialized(ParamId::new(), init, device.clone(), false, Shape::from(shape))
}
