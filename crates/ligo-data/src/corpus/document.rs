//! Cutting a stream of bytes into documents.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::Layout;
use crate::{Error, Result};

/// A text document that grows beyond this is handed out in pieces, cut at line ends, so memory stays bounded:
/// a piece has at most twice this length, when its last line is as long as the limit.
pub(super) const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// A JSON object cannot be parsed in pieces, so its line has a limit.
pub(super) const MAX_JSON_LINE_BYTES: u64 = 256 << 20;

/// The documents of one file that is read line by line.
pub(super) struct LineDocuments {
    path: PathBuf,
    source: Box<dyn BufRead + Send>,
    layout: Layout,
    /// The key of a JSON object that holds the document.
    field: Arc<str>,
    /// Bytes of unpacked text consumed, for error messages.
    offset: u64,
    line: u64,
    /// Bytes of a character that the length limit cut in two.
    carried: Vec<u8>,
}

impl LineDocuments {
    pub(super) fn new(path: &Path, source: Box<dyn BufRead + Send>, layout: Layout, field: Arc<str>) -> Self {
        Self {
            path: path.to_path_buf(),
            source,
            layout,
            field,
            offset: 0,
            line: 0,
            carried: Vec::new(),
        }
    }

    /// The next document that is not blank; `None` at the end of the file.
    pub(super) fn next_document(&mut self) -> Result<Option<String>> {
        match self.layout {
            Layout::JsonLines => self.next_json(),
            // Parquet has a reader of its own.
            Layout::Text | Layout::Parquet => self.next_text(),
        }
    }

    fn next_text(&mut self) -> Result<Option<String>> {
        let mut document = String::new();
        while document.len() < MAX_DOCUMENT_BYTES {
            let Some(line) = self.read_line(MAX_DOCUMENT_BYTES as u64)? else {
                break;
            };
            if !line.trim().is_empty() {
                document.push_str(&line);
            } else if !document.is_empty() {
                break;
            }
        }
        document.truncate(document.trim_end().len());
        Ok((!document.is_empty()).then_some(document))
    }

    fn next_json(&mut self) -> Result<Option<String>> {
        while let Some(line) = self.read_line(MAX_JSON_LINE_BYTES)? {
            if line.len() as u64 >= MAX_JSON_LINE_BYTES {
                return Err(Error::LineTooLong {
                    path: self.path.clone(),
                    line: self.line,
                    limit_bytes: MAX_JSON_LINE_BYTES,
                });
            }
            if line.trim().is_empty() {
                continue;
            }
            let text = self.text_field(&line)?;
            if !text.trim().is_empty() {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    fn text_field(&self, line: &str) -> Result<String> {
        use serde_json::Value;
        let bad = |reason: String| Error::BadJsonLine {
            path: self.path.clone(),
            line: self.line,
            reason,
        };
        let value = serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
        let Value::Object(mut object) = value else {
            return Err(bad(format!("found a {}", kind(&value))));
        };
        if let Some(Value::String(text)) = object.get_mut(&*self.field) {
            return Ok(std::mem::take(text));
        }
        let keys: Vec<String> = object
            .iter()
            .map(|(key, value)| format!("`{key}` ({})", kind(value)))
            .collect();
        let keys = if keys.is_empty() {
            "(none)".to_owned()
        } else {
            keys.join(", ")
        };
        Err(Error::MissingText {
            path: self.path.clone(),
            line: self.line,
            field: self.field.to_string(),
            keys,
        })
    }

    /// The next line with its line end, or the next `limit` bytes of it, checked to be UTF-8.
    fn read_line(&mut self, limit: u64) -> Result<Option<String>> {
        let mut bytes = std::mem::take(&mut self.carried);
        let room = limit.saturating_sub(bytes.len() as u64);
        let read = self
            .source
            .by_ref()
            .take(room)
            .read_until(b'\n', &mut bytes)
            .map_err(Error::io("read", &self.path))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        let start = self.offset;
        if start == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
            self.offset += 3;
        }
        match String::from_utf8(bytes) {
            Ok(line) => {
                self.offset += line.len() as u64;
                Ok(Some(line))
            }
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                // A character cut in two by the limit is completed by the next call, unless the file ends there.
                let cut = error.utf8_error().error_len().is_none() && read as u64 == room && valid > 0;
                if !cut {
                    return Err(Error::NotUtf8 {
                        path: self.path.clone(),
                        offset: self.offset + valid as u64,
                    });
                }
                let mut bytes = error.into_bytes();
                self.carried = bytes.split_off(valid);
                self.offset += valid as u64;
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
        }
    }
}

fn kind(value: &serde_json::Value) -> &'static str {
    use serde_json::Value;
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}
