//! How documents are found in text.

use serde::{Deserialize, Serialize};

/// Where a document ends in plain text. JSONL and parquet have one in each line or row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextDocuments {
    /// At an empty line.
    #[default]
    EmptyLine,
    /// At the end of each line.
    Line,
}

/// What becomes of a line of JSONL whose object has no text: the field is absent, null or no string, or the line is no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingText {
    /// The first one is an error.
    #[default]
    Fail,
    /// They are counted and left out, as rows of parquet without text always are.
    Skip,
}

/// What the text is called in JSONL and parquet files, unless said otherwise.
const TEXT_COLUMN: &str = "text";

/// How documents are read from files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSettings {
    /// The field of JSONL and the column of parquet files that holds the text. A field of an object (a struct in parquet) is named with a dot:
    /// `article.body`.
    pub text_column: String,
    /// Where documents of plain text end.
    pub documents: TextDocuments,
    /// What becomes of lines of JSONL without text.
    pub missing_text: MissingText,
    /// Lines of plain text that consist of one of these end a document. In a file with such a line within its first mebibyte
    /// nothing else ends one, so empty lines belong to documents.
    pub end_tokens: Vec<String>,
}

impl Default for TextSettings {
    fn default() -> Self {
        Self {
            text_column: TEXT_COLUMN.to_owned(),
            documents: TextDocuments::default(),
            missing_text: MissingText::default(),
            end_tokens: Vec::new(),
        }
    }
}

impl TextSettings {
    /// Whether the line is an end token and nothing more.
    pub(super) fn is_end(&self, line: &str) -> bool {
        let line = line.trim();
        self.end_tokens.iter().any(|token| token == line)
    }
}
