//! Files that are something else than their name says: what downloads leave when they go wrong.

use std::path::Path;

use crate::Error;
use crate::advice::CONVERT_COMMAND;
use crate::names::printable;

/// Characters of a text that are quoted.
const QUOTED: usize = 40;

/// What a file is that should be tensors or JSON, by how it begins; `None` when nothing else is recognized.
pub(crate) fn recognize(file: &Path, content: &[u8]) -> Option<Error> {
    let begin = &content[..content.len().min(512)];
    let trimmed = begin.trim_ascii_start();
    let markup = trimmed.get(..5).map(<[u8]>::to_ascii_lowercase).unwrap_or_default();
    let is_page = ["<!doc", "<html", "<head", "<body", "<?xml"]
        .iter()
        .any(|tag| markup == tag.as_bytes());
    let (found, help) = if begin.starts_with(b"version https://git-lfs.github.com/spec/") {
        (
            "a Git LFS pointer, not the file that it stands for",
            "fetch that with `git lfs pull` in its folder, or download it".into(),
        )
    } else if is_page {
        (
            "a web page",
            "download the file again; its address led to a page, perhaps one that asks to log in".into(),
        )
    } else if begin.starts_with(b"\x80\x02") {
        (
            "what torch.save wrote before PyTorch 1.6, a Python pickle",
            format!("convert it, under its own name in place of pytorch_model.bin, with: {CONVERT_COMMAND}"),
        )
    } else if begin.starts_with(b"PK\x03\x04") {
        (
            "what torch.save writes, a Python pickle",
            "call it pytorch_model.bin, under which name ligo reads it".into(),
        )
    } else if begin.starts_with(b"\x1f\x8b") {
        ("compressed with gzip", "unpack it".into())
    } else if begin.starts_with(b"GGUF") {
        ("a GGUF file", "take the safetensors files of the same model".into())
    } else {
        return None;
    };
    Some(Error::Disguised {
        file: file.to_path_buf(),
        found: found.into(),
        help,
    })
}

/// As [`recognize`] for a file of tensors, which is never a text: answers of servers are often saved under the name of what was asked for.
pub(crate) fn recognize_tensors(file: &Path, content: &[u8]) -> Option<Error> {
    recognize(file, content).or_else(|| {
        let begin = &content[..content.len().min(4 * QUOTED)];
        let text = begin.utf8_chunks().next()?.valid();
        let quoted: String = text.chars().take(QUOTED).collect();
        let is_text =
            quoted.chars().count() > 8 && quoted.chars().all(|c| c.is_ascii_graphic() || " \t\r\n".contains(c));
        is_text.then(|| Error::Disguised {
            file: file.to_path_buf(),
            found: format!("a text that begins with \"{}\"", printable(&quoted)),
            help: "download the file again; this looks like an answer in its place".into(),
        })
    })
}
