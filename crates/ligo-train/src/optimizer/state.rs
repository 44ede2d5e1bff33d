use std::sync::OnceLock;

use burn::tensor::{Device, Tensor};

use crate::store::upload;
use crate::{ParamInfo, ParamStore};

/// Zeros that are made when they are first asked for, so that nobody makes those that another rank keeps.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    made: OnceLock<Tensor<1>>,
    count: usize,
    device: Device,
}

impl Moment {
    pub(super) fn zeros(info: &ParamInfo, store: &ParamStore) -> Self {
        Self {
            made: OnceLock::new(),
            count: info.num_elements(),
            device: store.device().clone(),
        }
    }

    fn get(&self) -> &Tensor<1> {
        self.made.get_or_init(|| Tensor::zeros([self.count], &self.device))
    }

    pub(super) fn take(self) -> Tensor<1> {
        let zeros = || Tensor::zeros([self.count], &self.device);
        self.made.into_inner().unwrap_or_else(zeros)
    }
}

impl From<Tensor<1>> for Moment {
    fn from(made: Tensor<1>) -> Self {
        Self {
            count: made.dims()[0],
            device: made.device(),
            made: made.into(),
        }
    }
}

/// What the rule keeps of one parameter.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Nothing.
    Plain,
    /// First and second moment.
    Adam(Moment, Moment),
    /// The momentum of a matrix of this shape.
    Muon(Moment, [usize; 2]),
    /// So many moments, which another rank has.
    Elsewhere(usize),
}

impl State {
    pub(super) fn moments(&self) -> [Option<&Tensor<1>>; 2] {
        match self {
            Self::Plain | Self::Elsewhere(_) => [None, None],
            Self::Adam(m, v) => [Some(m.get()), Some(v.get())],
            Self::Muon(m, _) => [Some(m.get()), None],
        }
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Adam(..) => 2,
            Self::Muon(..) => 1,
            Self::Elsewhere(count) => *count,
        }
    }

    pub(super) fn is_fresh(&self) -> bool {
        let fresh = |moment: &Moment| moment.made.get().is_none();
        match self {
            Self::Plain | Self::Elsewhere(_) => true,
            Self::Adam(m, v) => fresh(m) && fresh(v),
            Self::Muon(m, _) => fresh(m),
        }
    }

    /// Replaces the moments, where there are any.
    pub(super) fn set(&mut self, m: Vec<f32>, v: Vec<f32>, device: &Device) {
        let made = |host| upload(host, device).into();
        match self {
            Self::Plain | Self::Elsewhere(_) => {}
            Self::Adam(first, second) => (*first, *second) = (made(m), made(v)),
            Self::Muon(momentum, _) => *momentum = made(m),
        }
    }
}
