use burn::tensor::Device;
use ligo_growth::{LigoOperator, LinearMap, OperatorGraph, WeightSource};
use ligo_models::Model;

use crate::{Error, Leaves, Objective, ParamInfo, ParamStore};

/// Learning a growth operator: the leaves are its matrices, and the model is the large one with every tensor a function of them.
///
/// The gradient of the large model's loss flows through the grown tensors back to the matrices (LiGO, arXiv 2303.00980, section 3.2);
/// the small model's weights are constants. The large model is the same struct that trains normally afterwards.
#[derive(Clone, Debug)]
pub struct OperatorObjective {
    graph: OperatorGraph,
    skeleton: Model,
}

impl OperatorObjective {
    /// Learns `operator` for a large model of this configuration from the small model's weights in `source`.
    ///
    /// # Errors
    /// A tensor of the small model is missing or misshapen, or the configuration is not valid.
    pub fn new(
        operator: LigoOperator,
        large: &ligo_arch::ModelConfig,
        source: &mut dyn WeightSource,
        device: &Device,
    ) -> Result<Self, Error> {
        Ok(Self {
            graph: OperatorGraph::new(operator, source, &device.clone().without_autodiff())?,
            skeleton: Model::skeleton(large, device)?,
        })
    }

    /// The operator.
    pub fn operator(&self) -> &LigoOperator {
        self.graph.operator()
    }

    /// The operator's learned matrices with their starting values.
    ///
    /// # Errors
    /// None that a valid operator can cause.
    pub fn start(&self, device: &Device) -> Result<ParamStore, Error> {
        let learned = self.operator().tensors().iter().filter(|t| t.trainable);
        let params = learned.map(|t| {
            let info = ParamInfo {
                name: t.name.clone(),
                shape: t.shape.to_vec(),
                decay: true,
            };
            (info, t.values.clone())
        });
        ParamStore::from_values(params, device)
    }

    /// The operator as a fixed map with the matrices in `store`.
    pub fn map(&self, store: &ParamStore) -> LinearMap {
        let leaves = Leaves::plain(store);
        self.operator().map(&|name| leaves.tensor(name).ok(), store.device())
    }
}

impl Objective for OperatorObjective {
    fn name(&self) -> &str {
        "operator"
    }

    fn model(&self, leaves: &Leaves) -> Result<Model, Error> {
        let grown = self.graph.grow(&|name| leaves.tensor(name).ok())?;
        Ok(self.skeleton.clone().install_map(grown)?)
    }
}
