//! Cutting a stream of bytes into documents.

use std::io::{BufRead, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::file::Layout;
use super::json;
use super::settings::{MissingText, TextDocuments, TextSettings};
use crate::{Error, Result};

/// A text document that grows beyond this is handed out in pieces, cut at line ends, so memory stays bounded:
/// a piece has at most twice this length, when its last line is as long as the limit.
pub(super) const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// A JSON object cannot be parsed in pieces, so its line has a limit.
pub(super) const MAX_JSON_LINE_BYTES: u64 = 256 << 20;
/// How far a text is looked through for a line that is an end token.
const HEAD_BYTES: u64 = 1 << 20;

/// What ends a document of plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    EmptyLine,
    Line,
    Token,
}

/// The documents of one file that is read line by line.
pub(super) struct LineDocuments {
    path: PathBuf,
    source: Box<dyn BufRead + Send>,
    layout: Layout,
    settings: Arc<TextSettings>,
    /// Known once the beginning of a text was seen.
    end: Option<End>,
    /// JSON lines without text that were left out, of all files.
    without_text: Arc<AtomicU64>,
    /// Bytes of unpacked text consumed, for error messages.
    offset: u64,
    line: u64,
    /// Bytes of a character that the length limit cut in two.
    carried: Vec<u8>,
}

impl LineDocuments {
    pub(super) fn new(
        path: &Path,
        source: Box<dyn BufRead + Send>,
        layout: Layout,
        settings: Arc<TextSettings>,
        without_text: Arc<AtomicU64>,
    ) -> Self {
        Self {
            path: path.to_path_buf(),
            source,
            layout,
            settings,
            end: None,
            without_text,
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
        let end = match self.end {
            Some(end) => end,
            None => {
                let end = self.find_end()?;
                *self.end.insert(end)
            }
        };
        let mut document = String::new();
        while document.len() < MAX_DOCUMENT_BYTES {
            let Some(line) = self.read_line(MAX_DOCUMENT_BYTES as u64)? else {
                break;
            };
            let is_blank = line.trim().is_empty();
            if self.settings.is_end(&line) || is_blank && end != End::Token {
                if !document.is_empty() {
                    break;
                }
            } else if !is_blank || !document.is_empty() {
                document.push_str(&line);
                if end == End::Line {
                    break;
                }
            }
        }
        document.truncate(document.trim_end().len());
        Ok((!document.is_empty()).then_some(document))
    }

    /// Looks into the beginning of a text.
    fn find_end(&mut self) -> Result<End> {
        if self.settings.documents == TextDocuments::Line {
            return Ok(End::Line);
        }
        if self.settings.end_tokens.is_empty() {
            return Ok(End::EmptyLine);
        }
        let mut head = Vec::new();
        let mut source = std::mem::replace(&mut self.source, Box::new(std::io::empty()));
        source
            .by_ref()
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .map_err(Error::io("read", &self.path))?;
        let tokens = &self.settings.end_tokens;
        let is_end = |line: &[u8]| tokens.iter().any(|token| line.trim_ascii() == token.as_bytes());
        let divided = head.split(|&byte| byte == b'\n').any(is_end);
        self.source = Box::new(Cursor::new(head).chain(source));
        Ok(if divided { End::Token } else { End::EmptyLine })
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
            let text = match self.text_field(&line) {
                Err(Error::MissingText { .. }) if self.settings.missing_text == MissingText::Skip => {
                    self.without_text.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                other => other?,
            };
            if !text.trim().is_empty() {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    fn text_field(&self, line: &str) -> Result<String> {
        use serde_json::Value;
        let column = self.settings.text_column.as_str();
        let bad = |reason: String| Error::BadJsonLine {
            path: self.path.clone(),
            line: self.line,
            reason,
        };
        let mut value = json::parse(line).map_err(|error| bad(error.to_string()))?;
        let skips = self.settings.missing_text == MissingText::Skip;
        if !value.is_object() && !skips {
            return Err(bad(format!("found a {}", json::kind(&value))));
        }
        if let Some(Value::String(text)) = json::field(&mut value, column) {
            return Ok(std::mem::take(text));
        }
        let keys: Vec<String> = value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("`{key}` ({})", json::kind(value)))
            .collect();
        let keys = if keys.is_empty() {
            "(none)".to_owned()
        } else {
            keys.join(", ")
        };
        Err(Error::MissingText {
            path: self.path.clone(),
            line: self.line,
            field: column.to_owned(),
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
        if start == 0 && is_utf16(&bytes) {
            return Err(Error::Utf16 {
                path: self.path.clone(),
            });
        }
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

/// Whether a text begins as UTF-16 does: with its byte order mark, or with signs of one byte beside a zero each.
fn is_utf16(bytes: &[u8]) -> bool {
    let begins = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let head = &bytes[..bytes.len().min(64)];
    let zeros = |first: usize| head.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    let pairs = head.len() / 2;
    begins || pairs >= 2 && zeros(0).abs_diff(zeros(1)) * 2 > pairs
}
