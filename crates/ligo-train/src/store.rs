use std::collections::HashMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_ops::traffic::{self, ReadError};

use crate::Error;

/// What a trainable tensor is called and how it is shaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamInfo {
    /// Its Hugging Face name, or the operator's name for it.
    pub name: String,
    /// Its shape; the store keeps the values flat, row by row.
    pub shape: Vec<usize>,
    /// Whether weight decay applies.
    pub decay: bool,
}

impl ParamInfo {
    /// The number of elements.
    pub fn num_elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Names, shapes and order of the parameters; shared by a store and the leaves made from it.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) infos: Vec<ParamInfo>,
    index: HashMap<String, usize>,
}

impl Layout {
    pub(crate) fn new(infos: Vec<ParamInfo>) -> Result<Self, Error> {
        let mut index = HashMap::new();
        for (position, info) in infos.iter().enumerate() {
            if index.insert(info.name.clone(), position).is_some() {
                return Err(Error::DuplicateParameter {
                    name: info.name.clone(),
                });
            }
        }
        Ok(Self { infos, index })
    }

    pub(crate) fn position(&self, name: &str) -> Result<usize, Error> {
        self.index.get(name).copied().ok_or_else(|| Error::UnknownParameter {
            name: name.to_owned(),
            count: self.infos.len(),
        })
    }
}

/// All trainable parameters of a run: an ordered list of named flat tensors on one device, without gradients.
#[derive(Clone, Debug)]
pub struct ParamStore {
    layout: Arc<Layout>,
    values: Vec<Tensor<1>>,
    device: Device,
}

impl ParamStore {
    /// Puts values from the host on a device.
    ///
    /// # Errors
    /// A name occurs twice, or a list of values does not fill its shape.
    pub fn from_values(
        params: impl IntoIterator<Item = (ParamInfo, Vec<f32>)>,
        device: &Device,
    ) -> Result<Self, Error> {
        let device = device.clone().without_autodiff();
        let (mut infos, mut values) = (Vec::new(), Vec::new());
        for (info, host) in params {
            check_count(&info, host.len())?;
            values.push(upload(host, &device));
            infos.push(info);
        }
        Ok(Self {
            layout: Arc::new(Layout::new(infos)?),
            values,
            device,
        })
    }

    /// Copies every value to the host, in order.
    ///
    /// # Errors
    /// The device cannot be read.
    pub fn to_values(&self) -> Result<Vec<(ParamInfo, Vec<f32>)>, Error> {
        let infos = self.layout.infos.iter().cloned();
        infos
            .zip(&self.values)
            .map(|(info, value)| {
                let host = download(&info.name, value)?;
                Ok((info, host))
            })
            .collect()
    }

    /// Names, shapes and decay, in order.
    pub fn infos(&self) -> &[ParamInfo] {
        &self.layout.infos
    }

    /// The flat value of a parameter.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn value(&self, name: &str) -> Result<&Tensor<1>, Error> {
        Ok(&self.values[self.layout.position(name)?])
    }

    /// Replaces the value of a parameter.
    ///
    /// # Errors
    /// There is none of this name, or the number of values differs.
    pub fn set(&mut self, name: &str, host: Vec<f32>) -> Result<(), Error> {
        let i = self.layout.position(name)?;
        check_count(&self.layout.infos[i], host.len())?;
        self.values[i] = upload(host, &self.device);
        Ok(())
    }

    /// The device that holds the values.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is nothing to train.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The number of trainable numbers.
    pub fn num_parameters(&self) -> usize {
        self.layout.infos.iter().map(ParamInfo::num_elements).sum()
    }

    /// Bytes of the values (4 each).
    pub fn num_bytes(&self) -> usize {
        4 * self.num_parameters()
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    pub(crate) fn values(&self) -> &[Tensor<1>] {
        &self.values
    }

    /// Hands all values over by value, so that an update may happen in place; [`ParamStore::put`] takes them back.
    pub(crate) fn take(&mut self) -> Vec<Tensor<1>> {
        std::mem::take(&mut self.values)
    }

    /// Takes values in the order of [`ParamStore::take`].
    pub(crate) fn put(&mut self, values: Vec<Tensor<1>>) {
        debug_assert_eq!(values.len(), self.layout.infos.len());
        self.values = values;
    }
}

pub(crate) fn check_count(info: &ParamInfo, found: usize) -> Result<(), Error> {
    if found == info.num_elements() {
        return Ok(());
    }
    Err(Error::WrongNumberOfValues {
        name: info.name.clone(),
        shape: info.shape.clone(),
        expected: info.num_elements(),
        found,
    })
}

/// Puts a list of numbers on a device.
pub(crate) fn upload(host: Vec<f32>, device: &Device) -> Tensor<1> {
    let count = host.len();
    traffic::upload(TensorData::new(host, [count]), device)
}

/// Copies a flat tensor to the host.
pub(crate) fn download(name: &str, value: &Tensor<1>) -> Result<Vec<f32>, Error> {
    traffic::read(value).map_err(|fault| unreadable(&format!("the values of `{name}`"), fault))
}

/// A device that did not give what was asked of it.
pub(crate) fn unreadable(what: &str, fault: ReadError) -> Error {
    Error::of_device(format!("read {what}"), fault.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn info(name: &str, shape: &[usize]) -> ParamInfo {
        ParamInfo {
            name: name.into(),
            shape: shape.into(),
            decay: true,
        }
    }

    #[test]
    fn values_come_back_in_order_and_bit_for_bit() {
        let params = vec![
            (info("b", &[2, 2]), vec![1.0, -0.0, f32::MIN_POSITIVE, 4.5]),
            (info("a", &[1]), vec![7.0]),
        ];
        let store = ParamStore::from_values(params.clone(), &Device::flex()).unwrap();
        let back = store.to_values().unwrap();
        assert_eq!(back, params);
        assert_eq!(back[0].1[1].to_bits(), (-0.0_f32).to_bits());
        assert_eq!((store.num_parameters(), store.num_bytes()), (5, 20));
    }

    #[test]
    fn a_second_parameter_of_the_same_name_is_refused() {
        let params = vec![(info("a", &[1]), vec![1.0]), (info("a", &[1]), vec![2.0])];
        let got = ParamStore::from_values(params, &Device::flex());
        assert!(matches!(got, Err(Error::DuplicateParameter { name }) if name == "a"));
    }

    #[test]
    fn values_that_do_not_fill_the_shape_are_refused() {
        let got = ParamStore::from_values([(info("a", &[2, 3]), vec![1.0; 5])], &Device::flex());
        assert!(matches!(
            got,
            Err(Error::WrongNumberOfValues {
                expected: 6,
                found: 5,
                ..
            })
        ));
    }
}
