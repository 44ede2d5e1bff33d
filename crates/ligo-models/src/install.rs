use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};

use crate::skeleton::vacant;
use crate::{Error, names::hugging_face_name};

/// The name and shape of every parameter of a module, in the order of its fields. Allocates no parameter.
pub(crate) fn param_shapes(module: &impl Module) -> Vec<(String, Vec<usize>)> {
    let mut visitor = Shapes {
        path: Vec::new(),
        found: Vec::new(),
    };
    module.visit(&mut visitor);
    visitor.found
}

/// Puts a tensor of the source into every parameter of a module, in the order of its fields.
///
/// The tensors are stored as they are, reshaped: a tracked one stays in its graph.
pub(crate) fn install<M: Module, E: From<Error>>(
    module: M,
    source: &mut dyn FnMut(&str, &[usize]) -> Result<Tensor<1>, E>,
) -> Result<M, E> {
    let mut mapper = Installer {
        path: Vec::new(),
        source,
        fault: None,
    };
    let module = module.map(&mut mapper);
    match mapper.fault {
        None => Ok(module),
        Some(fault) => Err(fault),
    }
}

/// A module without values whose parameters have the shape that is said of their name, where one of as many dimensions is.
pub(crate) fn with_shapes<M: Module>(module: M, shape: &dyn Fn(&str) -> Option<Vec<usize>>, device: &Device) -> M {
    module.map(&mut Reshaper {
        path: Vec::new(),
        shape,
        device,
    })
}

struct Reshaper<'a> {
    path: Vec<String>,
    shape: &'a dyn Fn(&str) -> Option<Vec<usize>>,
    device: &'a Device,
}

impl ModuleMapper for Reshaper<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = (self.shape)(&hugging_face_name(&self.path));
        match shape.and_then(|shape| <[usize; D]>::try_from(shape).ok()) {
            Some(shape) => vacant(shape, self.device),
            None => param,
        }
    }
}

struct Shapes {
    path: Vec<String>,
    found: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // `shape()` would ask a vacant parameter for its value.
        let shape = param.lazy_shape().dims::<D>().to_vec();
        self.found.push((hugging_face_name(&self.path), shape));
    }
}

struct Installer<'a, E> {
    path: Vec<String>,
    source: &'a mut dyn FnMut(&str, &[usize]) -> Result<Tensor<1>, E>,
    // A mapper cannot return an error, so the first one waits here and the rest of the walk does nothing.
    fault: Option<E>,
}

impl<E: From<Error>> Installer<'_, E> {
    fn fetch<const D: usize>(&mut self, shape: [usize; D]) -> Result<Tensor<D>, E> {
        let name = hugging_face_name(&self.path);
        let tensor = (self.source)(&name, &shape)?;
        let [found] = tensor.dims();
        if found != shape.iter().product::<usize>() {
            return Err(E::from(Error::Misshapen {
                tensor: name,
                expected: shape.to_vec(),
                found,
            }));
        }
        Ok(tensor.reshape(shape))
    }
}

impl<E: From<Error>> ModuleMapper for Installer<'_, E> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.fault.is_some() {
            return param;
        }
        match self.fetch(param.lazy_shape().dims::<D>()) {
            // Not `Param::from_tensor`: that demands a leaf. A grown tensor is not one.
            Ok(tensor) => Param::initialized(param.id, tensor),
            Err(fault) => {
                self.fault = Some(fault);
                param
            }
        }
    }
}
