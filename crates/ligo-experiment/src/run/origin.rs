//! Where a result comes from that was not made in its folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sealed::{self, Note};

/// Beside a result that was taken over: where it comes from.
pub const TAKEN_OVER: &str = "taken-over.json";

/// Beside a result that another run's folder had.
#[derive(Serialize, Deserialize)]
pub struct TakenOver {
    /// The folder.
    pub from: PathBuf,
    /// What computed it.
    pub computed_on: String,
}

/// Where a result that was made elsewhere comes from.
pub struct Origin {
    /// For readers.
    pub note: String,
    /// What computed it.
    pub computed_on: String,
}

/// Where the result in a folder comes from, if it was taken over.
pub fn origin_of(folder: &Path) -> Option<Origin> {
    match sealed::read(&folder.join(TAKEN_OVER)) {
        Note::Missing => None,
        Note::Whole(TakenOver { from, computed_on }) => Some(Origin {
            note: format!("taken over from {}", from.display()),
            computed_on,
        }),
        Note::Damaged => Some(Origin {
            note: format!("taken over from another run's folder; {TAKEN_OVER}, which names it, is damaged"),
            computed_on: "unknown".into(),
        }),
    }
}
