//! What is said of tensors that do not fit their configuration.

use ligo_arch::{ModelConfig, ParamTable, Task};
use ligo_checkpoint::plain;
use ligo_checkpoint::{ModelDir, Report};
use serde_json::Value;

use super::{LoadError, WRAPPER};

/// The plainest complaint that there is about tensors that do not fit.
pub(super) fn complaint(
    error: ligo_checkpoint::Error,
    dir: &ModelDir,
    config: &ModelConfig,
    table: &ParamTable,
) -> LoadError {
    let no_head = || match &error {
        ligo_checkpoint::Error::Mismatch { report, .. } => no_head(report, dir, config, table),
        _ => None,
    };
    other_family(dir, config).or_else(no_head).unwrap_or(error.into())
}

/// Whether a file has a tensor that the model's head must have.
pub(super) fn has_part_of_head(dir: &ModelDir, table: &ParamTable) -> bool {
    let in_body = |name: &str| table.base_prefix().is_some_and(|prefix| name.starts_with(prefix));
    let mut heads = table
        .params()
        .filter(|param| param.spec.required && !in_body(&param.name));
    heads.any(|param| dir.contains(&param.name) || dir.contains(&format!("{WRAPPER}{}", param.name)))
}

/// The complaint when everything but the head is there.
fn no_head(report: &Report, dir: &ModelDir, config: &ModelConfig, table: &ParamTable) -> Option<LoadError> {
    let prefix = table.base_prefix()?;
    let in_body = |name: &str| name.starts_with(prefix);
    // A classifier reads its summary through the pooler, which some bodies lack as well.
    let of_head = |name: &str| !in_body(name) || name.contains(".pooler.");
    let (missing, _) = report.missing.first()?;
    let rest_is_there = report.misshapen.is_empty() && report.unreadable.is_empty();
    if !rest_is_there || !report.missing.iter().all(|(name, _)| of_head(name)) {
        return None;
    }
    // With a part of the head there, it is one that is damaged.
    if has_part_of_head(dir, table) {
        return None;
    }
    let named = dir.config().ok()?.pointer("/architectures/0").and_then(Value::as_str);
    Some(LoadError::NoHead {
        path: dir.path().to_path_buf(),
        family: config.display_name().into(),
        head: match config.task() {
            Task::MaskedLm | Task::CausalLm => "language-model".into(),
            Task::QuestionAnswering => "question-answering".into(),
            Task::ReplacedTokens => "discriminator".into(),
            Task::HiddenStates => return None,
            Task::SequenceClassification { .. } | Task::ImageClassification { .. } => "classification".into(),
        },
        named: named.map_or_else(String::new, |named| format!(" (config.json says {})", plain(named))),
        missing: missing.clone(),
        class: config.architecture()?,
        body: config
            .with_task(Task::HiddenStates)
            .ok()
            .and_then(|body| body.architecture()),
    })
}

/// The plainer complaint when hundreds of tensors are missing since they are another family's.
fn other_family(dir: &ModelDir, config: &ModelConfig) -> Option<LoadError> {
    let found = ModelConfig::recognize(dir.names())?;
    let table = config.table();
    let params: Vec<_> = table.params().collect();
    let own = table.file_tensors(&params);
    let expected = ModelConfig::recognize(own.iter().map(|t| t.name.as_str()))?;
    (found != expected).then(|| LoadError::OtherFamily {
        path: dir.path().to_path_buf(),
        says: config.display_name().into(),
        found: ligo_arch::family_name(found).into(),
    })
}
