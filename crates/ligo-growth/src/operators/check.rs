//! Whether an operator can grow a pair, before anything is built.

use ligo_arch::{ParamTable, check_growable};

use super::refusal::Refusal;
use super::selection::regrouped;
use super::spec::OperatorSpec;
use super::upcycle;
use crate::Error;

impl OperatorSpec {
    /// Whether the operator can grow this pair, without building its map.
    ///
    /// # Errors
    /// The pair cannot be grown at all, or not by this operator ([`Error::CannotGrow`], which names those that can), or the
    /// settings contradict each other.
    pub fn check(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Error> {
        check_growable(small, large)?;
        match self.refusal(small, large) {
            Ok(()) => Ok(()),
            Err(Refusal::Settings(error)) => Err(error),
            Err(Refusal::Pair(reason)) => Err(Error::CannotGrow {
                operator: self.name(),
                reason,
                instead: self.others(small, large),
            }),
        }
    }

    fn refusal(&self, small: &ParamTable, large: &ParamTable) -> Result<(), Refusal> {
        let operator = self.operator();
        if let Some([few, many]) = regrouped(small, large).filter(|_| !operator.grows_groups()) {
            return Err(Refusal::Pair(format!(
                "query heads grow from {few} to {many} for each key head, and it grows whole groups of heads"
            )));
        }
        if let Some([few, many]) = upcycle::added(small, large).filter(|_| !operator.adds_experts()) {
            return Err(Refusal::Pair(format!(
                "experts grow from {few} to {many}, and it adds none"
            )));
        }
        operator.check(small, large)
    }

    /// Other operators that can grow a pair with their default settings, as a list for people. With other settings this one may, too:
    /// its reason says so.
    fn others(&self, small: &ParamTable, large: &ParamTable) -> String {
        let named = Self::NAMES.into_iter().filter_map(Self::from_name);
        let able: Vec<&str> = named
            .filter(|spec| *spec != Self::Scratch && spec.name() != self.name())
            .filter(|spec| spec.refusal(small, large).is_ok())
            .map(|spec| spec.name())
            .collect();
        match able.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => "none".into(),
        }
    }
}
