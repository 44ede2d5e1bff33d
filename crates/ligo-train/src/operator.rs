use std::collections::HashMap;
use std::sync::Arc;

use burn::tensor::Device;
use ligo_growth::{LigoOperator, LinearMap, OperatorGraph, WeightSource};
use ligo_models::Model;

use crate::store::Layout;
use crate::{Error, Learner, Leaves, Objective, ParamInfo, ParamStore, Trained, Unfolded};

/// Learning a growth operator: the parameters are its matrices and what is learned along with them, and the model is the large one with every tensor a function of them.
///
/// The gradient of the large model's loss goes through the grown tensors back to the matrices (LiGO, arXiv 2303.00980, section 3.2);
/// the small model's weights are constants, unless its settings say that they are learned along. The large model is the same struct that trains normally afterwards, and it is
/// back-propagated like there: its tensors are leaves, and the map's gradient is taken from theirs, once a step.
#[derive(Clone, Debug)]
pub struct OperatorObjective {
    graph: OperatorGraph,
    skeleton: Model,
    /// Of the large model's tensors.
    layout: Arc<Layout>,
}

impl OperatorObjective {
    /// The revision of its arithmetic. Raise it together with a change that gives other numbers.
    pub const REVISION: u32 = 1;

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
        let skeleton = Model::skeleton(large, device)?;
        let infos = skeleton.param_shapes().into_iter().map(|(name, shape)| ParamInfo {
            name,
            shape,
            decay: true,
        });
        Ok(Self {
            layout: Arc::new(Layout::new(infos.collect())?),
            graph: OperatorGraph::new(operator, source, device)?,
            skeleton,
        })
    }

    /// The operator.
    pub fn operator(&self) -> &LigoOperator {
        self.graph.operator()
    }

    /// The operator's learned matrices with their starting values, and what is learned along with them.
    ///
    /// # Errors
    /// A device returns unreadable data.
    pub fn start(&self, device: &Device) -> Result<ParamStore, Error> {
        let learned = self.operator().tensors().iter().filter(|t| t.trainable);
        let matrices = learned.map(|t| (t.name.clone(), t.shape.to_vec(), t.values.clone()));
        let params = matrices.chain(self.graph.along()?).map(|(name, shape, values)| {
            // The official code decays all of them alike.
            let decay = true;
            (ParamInfo { name, shape, decay }, values)
        });
        ParamStore::from_values(params, device)
    }

    /// The operator as a fixed map with the matrices in `store`, and with what was learned along with them.
    pub fn map(&self, store: &ParamStore) -> LinearMap {
        self.operator()
            .map(&|name| store.value(name).ok().cloned(), store.device())
    }
}

impl Objective for OperatorObjective {
    fn name(&self) -> &str {
        "operator"
    }

    fn unfold(&self, store: &ParamStore) -> Result<Unfolded<'_>, Error> {
        let learned: Vec<String> = store.infos().iter().map(|info| info.name.clone()).collect();
        let (mut grown, record) = self.graph.grow_recorded(&|name| store.value(name).ok().cloned())?;
        let tensors = self.layout.infos.iter().map(|info| {
            let tensor = grown.remove(&info.name);
            tensor.ok_or_else(|| Error::UnknownParameter {
                name: info.name.clone(),
                count: self.layout.infos.len(),
            })
        });
        let leaves = Leaves::new(Arc::clone(&self.layout), tensors.collect::<Result<_, _>>()?);
        Ok(Unfolded::new(leaves, move |gradients| {
            let names = self.layout.infos.iter().map(|info| info.name.as_str());
            let mut by_name: HashMap<&str, _> = names.zip(gradients).collect();
            let mut found = self.graph.pull_back(record, &mut |name| by_name.remove(name).flatten());
            Ok(learned.iter().map(|name| found.remove(name)).collect())
        }))
    }

    fn model(&self, leaves: &Leaves) -> Result<Box<dyn Learner>, Error> {
        let model = self.skeleton.clone();
        let model: Model = model.install(&mut |name: &str, _: &[usize]| leaves.tensor(name))?;
        Ok(Box::new(model))
    }

    fn is_trained(&self, name: &str, _: &Trained) -> bool {
        self.graph.is_learned(name)
    }
}
