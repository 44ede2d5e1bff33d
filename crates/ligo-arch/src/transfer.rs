use crate::{Error, ParamTable};

/// What a model takes from a pretrained one with the same encoder, and what starts fresh: the beginning of fine-tuning.
///
/// ```
/// use ligo_arch::{BertConfig, ModelConfig, Task, Transfer};
///
/// let pretrained = ModelConfig::Bert(BertConfig::new(100, 16, 2, 2));
/// let classifier = pretrained.with_task(Task::SequenceClassification { labels: 3 })?;
/// let pooler = ["bert.pooler.dense.weight".to_string(), "bert.pooler.dense.bias".to_string()];
/// let transfer = Transfer::between(&pretrained.table(), &pooler, &classifier.table())?;
/// assert_eq!(transfer.fresh, ["classifier.weight", "classifier.bias"]);
/// assert!(transfer.kept.contains(&pooler[0]));
/// assert!(transfer.dropped.iter().all(|name| name.starts_with("cls.predictions.")));
/// # Ok::<(), ligo_arch::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Required parameters that both have.
    pub kept: Vec<String>,
    /// Required parameters that the pretrained model does not have: they start as in a new model.
    pub fresh: Vec<String>,
    /// Parameters of the pretrained model that the other one has no place for.
    pub dropped: Vec<String>,
}

impl Transfer {
    /// From the pretrained model's table to the other model's; `optional` are the optional parameters that the pretrained
    /// model has. A head whose shape differs (another number of classes) starts fresh.
    ///
    /// # Errors
    /// [`Error::EncodersDiffer`] when the families, the number of layers or the shapes below the heads differ.
    pub fn between(pretrained: &ParamTable, optional: &[String], to: &ParamTable) -> Result<Self, Error> {
        let differ = |what: &str, from: String, to: String| Error::EncodersDiffer {
            what: what.into(),
            pretrained: from,
            wanted: to,
        };
        if pretrained.family() != to.family() {
            return Err(differ("the family", pretrained.family().into(), to.family().into()));
        }
        for (stack, depth) in to.depths() {
            let found = pretrained.depth(stack);
            if found != depth {
                let what = format!("the number of layers of {stack}");
                return Err(differ(&what, found.to_string(), depth.to_string()));
            }
        }
        let sources = pretrained.params();
        let sources: Vec<_> = sources
            .filter(|p| p.spec.required || optional.contains(&p.name))
            .collect();
        let (mut kept, mut fresh) = (Vec::new(), Vec::new());
        for param in to.params().filter(|p| p.spec.required) {
            match sources.iter().find(|source| source.name == param.name) {
                Some(source) if source.shape == param.shape => kept.push(param.name),
                Some(source) if to.base_prefix().is_some_and(|base| param.name.starts_with(base)) => {
                    let shape = |shape: &[usize]| format!("{shape:?}");
                    return Err(differ(&param.name, shape(&source.shape), shape(&param.shape)));
                }
                _ => fresh.push(param.name),
            }
        }
        let dropped = sources.into_iter().map(|source| source.name);
        let dropped = dropped.filter(|name| !kept.contains(name)).collect();
        Ok(Self { kept, fresh, dropped })
    }
}
