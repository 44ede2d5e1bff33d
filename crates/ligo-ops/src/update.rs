//! The end of a training step: loss, gradient norm, clipping and update. On a GPU the host takes no part in it until all is done.

use burn::tensor::Tensor;

use crate::traffic::{self, ReadError};
use crate::{AdamwStep, adamw, sum_of_squares};
#[cfg(feature = "cube")]
use crate::{cube, kernels::optimizer::Factors};

/// Loss and gradient norm of a step, where they were computed.
#[derive(Clone, Debug)]
pub struct StepStatistics(Place);

#[derive(Clone, Debug)]
enum Place {
    Host(StepNumbers),
    /// `[4]`: loss, norm, scale, and 1 where loss and norm are finite, else 0.
    #[cfg(feature = "cube")]
    Device(Tensor<1>),
}

/// [`StepStatistics`] on the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepNumbers {
    /// The step's loss.
    pub loss: f64,
    /// The Euclidean norm of all gradients taken together.
    pub grad_norm: f64,
    /// The factor on the gradients that clips their norm.
    pub scale: f64,
}

impl StepNumbers {
    /// Whether neither loss nor norm is NaN or infinite. Nothing is to be learned of a step where one is.
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.grad_norm.is_finite()
    }
}

/// `clip / (norm + 1e-6)`, at most 1, as PyTorch's `clip_grad_norm_` has it; 1 when `clip` is 0.
pub fn clip_scale(norm: f64, clip: f64) -> f64 {
    if clip == 0.0 {
        return 1.0;
    }
    (clip / (norm + 1e-6)).min(1.0)
}

impl StepStatistics {
    /// Of the losses of a step's micro-batches, which are added up, and its gradients, whose norm is to be at most `clip_norm` (0: any).
    ///
    /// # Errors
    /// A device cannot be read. On a GPU nothing is read yet.
    pub fn of(losses: &[Tensor<1>], gradients: &[Option<Tensor<1>>], clip_norm: f64) -> Result<Self, ReadError> {
        #[cfg(feature = "cube")]
        if let Some((first, others)) = losses.split_first()
            && losses.iter().chain(gradients.iter().flatten()).all(cube::is_native)
        {
            let loss = others.iter().fold(first.clone(), |sum, loss| sum + loss.clone());
            let gradients: Vec<_> = gradients.iter().flatten().cloned().map(cube::values).collect();
            let result = cube::statistics::statistics(&cube::values(loss), &gradients, clip_norm);
            return Ok(Self(Place::Device(cube::untracked(result))));
        }
        let mut loss = 0.0;
        for part in losses {
            loss += traffic::read(part)?.first().copied().map_or(f64::NAN, f64::from);
        }
        let squares: f64 = gradients.iter().flatten().map(sum_of_squares).sum();
        let grad_norm = squares.sqrt();
        Ok(Self(Place::Host(StepNumbers {
            loss,
            grad_norm,
            scale: clip_scale(grad_norm, clip_norm),
        })))
    }

    /// The numbers on the host. On a GPU this waits for everything that came before.
    ///
    /// # Errors
    /// The device cannot be read.
    pub fn read(&self) -> Result<StepNumbers, ReadError> {
        match &self.0 {
            Place::Host(numbers) => Ok(*numbers),
            #[cfg(feature = "cube")]
            Place::Device(values) => {
                let values = traffic::read(values)?;
                let at = |i: usize| values.get(i).copied().map_or(f64::NAN, f64::from);
                Ok(StepNumbers {
                    loss: at(0),
                    grad_norm: at(1),
                    scale: at(2),
                })
            }
        }
    }

    /// The numbers, where they are on the host already.
    pub fn on_host(&self) -> Option<StepNumbers> {
        match &self.0 {
            Place::Host(numbers) => Some(*numbers),
            #[cfg(feature = "cube")]
            Place::Device(_) => None,
        }
    }
}

impl From<StepNumbers> for StepStatistics {
    fn from(numbers: StepNumbers) -> Self {
        Self(Place::Host(numbers))
    }
}

impl From<f64> for StepStatistics {
    /// Of a step of which only the factor on the gradients is known.
    fn from(scale: f64) -> Self {
        Self(Place::Host(StepNumbers {
            loss: 0.0,
            grad_norm: 0.0,
            scale,
        }))
    }
}

/// One parameter to update; all tensors are flat and equally long.
#[derive(Clone, Debug)]
pub struct AdamwUpdate {
    /// The values.
    pub param: Tensor<1>,
    /// Their gradient.
    pub grad: Tensor<1>,
    /// The first moment.
    pub m: Tensor<1>,
    /// The second moment.
    pub v: Tensor<1>,
    /// The numbers of the rule. `grad_scale` is a factor beside that of the statistics.
    pub step: AdamwStep,
}

/// [`adamw`] of many parameters, with the gradients scaled as the statistics say: a launch for every eight or so on a GPU, where nothing
/// changes when loss or norm are not finite. On the CPU the caller looks at [`StepNumbers::is_finite`] first.
///
/// Returns parameters and moments in the order given.
///
/// # Errors
/// The device cannot be read, where that is needed.
pub fn adamw_all(updates: Vec<AdamwUpdate>, statistics: &StepStatistics) -> Result<Vec<[Tensor<1>; 3]>, ReadError> {
    #[cfg(feature = "cube")]
    if let Place::Device(numbers) = &statistics.0
        && updates.iter().all(is_native)
    {
        return Ok(on_device(updates, numbers));
    }
    let numbers = statistics.read()?;
    let all = updates.into_iter().map(|update| {
        let AdamwUpdate {
            param,
            grad,
            m,
            v,
            step,
        } = update;
        let grad_scale = step.grad_scale * numbers.scale;
        let (param, m, v) = adamw(param, grad, m, v, &AdamwStep { grad_scale, ..step });
        [param, m, v]
    });
    Ok(all.collect())
}

#[cfg(feature = "cube")]
fn is_native(update: &AdamwUpdate) -> bool {
    let AdamwUpdate {
        param,
        grad,
        m,
        v,
        step,
    } = update;
    step.grad_scale == 1.0 && [param, grad, m, v].into_iter().all(cube::is_native)
}

/// Parameters that share the rule's numbers are updated together.
#[cfg(feature = "cube")]
fn on_device(updates: Vec<AdamwUpdate>, numbers: &Tensor<1>) -> Vec<[Tensor<1>; 3]> {
    use cube::optimizer::{Update, update, writable};

    let statistics = cube::values(numbers.clone());
    let mut groups: Vec<(AdamwStep, Vec<usize>, Vec<Update>)> = Vec::new();
    let total = updates.len();
    for (i, one) in updates.into_iter().enumerate() {
        let AdamwUpdate {
            param,
            grad,
            m,
            v,
            step,
        } = one;
        let [param, first, second] = [param, m, v].map(|x| writable(cube::values(x)));
        let grad = cube::values(grad);
        let one = Update {
            param,
            grad,
            first,
            second,
        };
        match groups.iter_mut().find(|(numbers, ..)| *numbers == step) {
            Some((_, places, group)) => {
                places.push(i);
                group.push(one);
            }
            None => groups.push((step, vec![i], vec![one])),
        }
    }
    let mut results: Vec<Option<[Tensor<1>; 3]>> = vec![None; total];
    for (step, places, group) in groups {
        update(&group, &statistics, &Factors::from(&step));
        for (place, one) in places.into_iter().zip(group) {
            results[place] = Some([one.param, one.first, one.second].map(cube::untracked));
        }
    }
    results.into_iter().flatten().collect()
}

/// Adds to each sum the new gradient of its place, in one launch for many on a GPU; where only one is there, it is that one.
pub fn accumulate(sums: Vec<Option<Tensor<1>>>, new: Vec<Option<Tensor<1>>>) -> Vec<Option<Tensor<1>>> {
    #[cfg(feature = "cube")]
    let mut on_device = Vec::new();
    let mut results = Vec::with_capacity(sums.len());
    for pair in sums.into_iter().zip(new) {
        results.push(match pair {
            #[cfg(feature = "cube")]
            (Some(sum), Some(new)) if cube::is_native(&sum) && cube::is_native(&new) => {
                let sum = cube::optimizer::writable(cube::values(sum));
                on_device.push((sum.clone(), cube::values(new)));
                Some(cube::untracked(sum))
            }
            (Some(sum), Some(new)) => Some(sum + new),
            (sum, new) => sum.or(new),
        });
    }
    #[cfg(feature = "cube")]
    cube::optimizer::add(&on_device);
    results
}
