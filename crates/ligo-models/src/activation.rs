use burn::tensor::{Tensor, activation};
use ligo_arch::HiddenAct;
use ligo_ops::{GeluKind, gelu};

/// Which GELU it is, where it is one and nothing else.
pub(crate) fn gelu_kind(kind: HiddenAct) -> Option<GeluKind> {
    match kind {
        HiddenAct::Gelu => Some(GeluKind::Erf),
        HiddenAct::GeluNew => Some(GeluKind::Tanh),
        _ => None,
    }
}

/// The non-linearity that the configuration names, element by element.
pub(crate) fn activate<const D: usize>(x: Tensor<D>, kind: HiddenAct) -> Tensor<D> {
    match kind {
        HiddenAct::Gelu => gelu(x, GeluKind::Erf),
        HiddenAct::GeluNew => gelu(x, GeluKind::Tanh),
        HiddenAct::Gelu10 => gelu(x, GeluKind::Erf).clamp(-10.0, 10.0),
        HiddenAct::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
        HiddenAct::Silu => x.clone() * activation::sigmoid(x),
        HiddenAct::Mish => activation::mish(x),
        HiddenAct::Relu => activation::relu(x),
        HiddenAct::Relu2 => activation::relu(x).powi_scalar(2),
        HiddenAct::Relu6 => activation::relu(x).clamp_max(6.0),
        HiddenAct::LeakyRelu => activation::leaky_relu(x, 0.01),
        HiddenAct::Tanh => x.tanh(),
        HiddenAct::Sigmoid => activation::sigmoid(x),
        HiddenAct::Linear => x,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// The formulas that `transformers` gives, in f64.
    fn formula(kind: HiddenAct, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        match kind {
            HiddenAct::QuickGelu => x * sigmoid(1.702 * x),
            HiddenAct::Silu => x * sigmoid(x),
            HiddenAct::Mish => x * x.exp().ln_1p().tanh(),
            HiddenAct::Relu => x.max(0.0),
            HiddenAct::Relu2 => x.max(0.0).powi(2),
            HiddenAct::Relu6 => x.clamp(0.0, 6.0),
            HiddenAct::LeakyRelu => x.max(0.01 * x),
            HiddenAct::Tanh => x.tanh(),
            HiddenAct::Sigmoid => sigmoid(x),
            HiddenAct::Linear => x,
            HiddenAct::GeluNew => 0.5 * x * (1.0 + (0.797_884_560_8 * x * (1.0 + 0.044_715 * x * x)).tanh()),
            // x·Φ(x) is x where x is large, and nothing where it is far below zero.
            HiddenAct::Gelu | HiddenAct::Gelu10 => {
                let cut = if kind == HiddenAct::Gelu10 { 10.0 } else { f64::INFINITY };
                if x > 8.0 { x.min(cut) } else { 0.0 }
            }
        }
    }

    #[test]
    fn every_activation_is_that_of_its_formula() {
        use HiddenAct::{
            Gelu, Gelu10, GeluNew, LeakyRelu, Linear, Mish, QuickGelu, Relu, Relu2, Relu6, Sigmoid, Silu, Tanh,
        };
        let all = [
            GeluNew, QuickGelu, Silu, Mish, Relu, Relu2, Relu6, LeakyRelu, Tanh, Sigmoid, Linear,
        ];
        let values = [-12.0_f32, -3.5, -1.0, -0.25, 0.0, 0.5, 1.0, 2.5, 7.0, 12.0];
        let ends = [-12.0_f32, 0.0, 8.5, 12.0];
        let cases = all.map(|kind| (kind, values.as_slice()));
        for (kind, values) in cases
            .into_iter()
            .chain([Gelu, Gelu10].map(|kind| (kind, ends.as_slice())))
        {
            let data = TensorData::new(values.to_vec(), [values.len()]);
            let found = activate(Tensor::<1>::from_data(data, &Device::flex()), kind);
            let found = found.into_data().try_into_vec::<f32>().unwrap();
            for (x, y) in values.iter().zip(found) {
                let expected = formula(kind, f64::from(*x));
                let difference = (f64::from(y) - expected).abs();
                assert!(
                    difference <= 1e-5 * expected.abs().max(1.0),
                    "{kind:?}({x}) = {y}, not {expected}"
                );
            }
        }
    }
}
