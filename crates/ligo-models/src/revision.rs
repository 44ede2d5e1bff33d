use ligo_arch::Task;

/// The revision of the arithmetic of a task's loss, of the way from what a model says to one number. Raise it together with a change that gives other
/// numbers: what was computed with the former one is then no outcome of this one any more.
pub fn loss_revision(task: Task) -> u32 {
    match task {
        Task::MaskedLm
        | Task::CausalLm
        | Task::SequenceClassification { .. }
        | Task::QuestionAnswering
        | Task::ReplacedTokens
        | Task::HiddenStates
        | Task::ImageClassification { .. } => 1,
    }
}
