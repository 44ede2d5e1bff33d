//! `hf://` addresses.

use std::path::Path;

use crate::Error;

const SCHEME: &str = "hf://";
const DEFAULT_REVISION: &str = "main";

/// Whether a path is an address.
pub fn is_address(path: &Path) -> bool {
    path.to_string_lossy().starts_with(SCHEME)
}

/// The two kinds of repositories that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubRepo {
    /// `hf://OWNER/NAME`: a model with its tokenizer.
    Model,
    /// `hf://datasets/OWNER/NAME`.
    Dataset,
}

/// A place on the hub: `hf://datasets/OWNER/NAME[@REVISION][/PATH]`, or without `datasets/` a model.
///
/// The path names a file, a folder, or files by a pattern in which `*` stands for anything but a slash. A revision with slashes is written with
/// `%2F`; `~parquet` is short for `refs/convert/parquet`, where the hub keeps a parquet version of most datasets.
///
/// ```
/// use ligo_hub::{HubAddress, HubRepo};
/// let address = HubAddress::parse("hf://datasets/allenai/c4/en/c4-train.0000*.json.gz").unwrap().unwrap();
/// assert_eq!((address.repo, address.path.as_str()), (HubRepo::Dataset, "en/c4-train.0000*.json.gz"));
/// assert!(address.matches("en/c4-train.00007-of-01024.json.gz"));
/// assert_eq!(HubAddress::parse("texts/a.txt").unwrap(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubAddress {
    /// Model or dataset.
    pub repo: HubRepo,
    /// Who owns the repository.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Path in the repository, without slashes around it; empty for all of it.
    pub path: String,
}

impl HubAddress {
    /// Understands an address; `None` for a text that is not one.
    ///
    /// # Errors
    /// [`Error::BadAddress`] for a text that begins with `hf://` and goes on otherwise.
    pub fn parse(text: &str) -> Result<Option<Self>, Error> {
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return Ok(None);
        };
        let bad = |expected: &str| Error::BadAddress {
            address: text.to_owned(),
            expected: expected.to_owned(),
        };
        let (repo, rest) = match rest.strip_prefix("datasets/") {
            Some(rest) => (HubRepo::Dataset, rest),
            None => (HubRepo::Model, rest),
        };
        if repo == HubRepo::Model && rest.starts_with("spaces/") {
            return Err(bad("a model or a dataset, not a space"));
        }
        let mut parts = rest.splitn(3, '/');
        let (owner, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (name, revision) = name.split_once('@').unwrap_or((name, DEFAULT_REVISION));
        if !is_name(owner) || !is_name(name) {
            return Err(bad("hf://OWNER/NAME or hf://datasets/OWNER/NAME, then a path"));
        }
        let revision = match revision.strip_prefix('~') {
            Some(converted) => format!("refs/convert/{converted}"),
            None => revision.replace("%2F", "/").replace("%2f", "/"),
        };
        if revision.is_empty() || revision.split('/').any(|part| !is_name(part)) {
            return Err(bad("a branch, a tag or a commit behind the @"));
        }
        let path = parts.next().unwrap_or_default().trim_matches('/');
        if !path.is_empty() && path.split('/').any(|part| ["", ".", ".."].contains(&part)) {
            return Err(bad("a path without empty parts, `.` and `..`"));
        }
        Ok(Some(Self {
            repo,
            owner: owner.to_owned(),
            name: name.to_owned(),
            revision,
            path: path.to_owned(),
        }))
    }

    /// [`Self::parse`] for something that was given as a path.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_path(path: &Path) -> Result<Option<Self>, Error> {
        path.to_str().map_or(Ok(None), Self::parse)
    }

    /// Whether a file of the repository is meant: it is the path, matches it, or lies below it.
    pub fn matches(&self, file: &str) -> bool {
        let mut wanted = self.path.split('/').filter(|part| !part.is_empty());
        let mut found = file.split('/');
        wanted.all(|pattern| found.next().is_some_and(|part| matches(pattern, part)))
    }

    /// The folder in which all files that can match lie; empty for the whole repository.
    #[cfg(feature = "client")]
    pub(crate) fn folder(&self) -> &str {
        match self.path.find('*') {
            Some(star) => self.path[..star].rsplit_once('/').map_or("", |(folder, _)| folder),
            None => &self.path,
        }
    }
}

impl std::fmt::Display for HubAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.repo {
            HubRepo::Model => "",
            HubRepo::Dataset => "datasets/",
        };
        write!(f, "{SCHEME}{kind}{}/{}", self.owner, self.name)?;
        if self.revision != DEFAULT_REVISION {
            write!(f, "@{}", self.revision.replace('/', "%2F"))?;
        }
        if !self.path.is_empty() {
            write!(f, "/{}", self.path)?;
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    !text.is_empty() && text.chars().all(allowed) && ![".", ".."].contains(&text)
}

/// Whether a pattern with stars fits a text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter().any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> HubAddress {
        HubAddress::parse(text).unwrap().unwrap()
    }

    #[test]
    fn an_address_is_taken_apart_and_put_together_again() {
        for text in [
            "hf://datasets/wikimedia/wikipedia/20231101.en",
            "hf://datasets/allenai/c4/en/c4-train.0000*-of-01024.json.gz",
            "hf://datasets/a/b@v1.0",
            "hf://datasets/a/b@refs%2Fconvert%2Fparquet/default/train",
            "hf://openai-community/gpt2",
            "hf://a/b.c_d@0123abcd/sub/folder",
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
        let converted = parse("hf://datasets/a/b@~parquet/default/");
        assert_eq!(
            (converted.revision.as_str(), converted.path.as_str()),
            ("refs/convert/parquet", "default")
        );
        assert_eq!(parse("hf://a/b").revision, "main");
    }

    #[test]
    fn what_is_no_address_is_said_to_be_none_and_a_faulty_one_is_an_error() {
        for text in ["", "a/b", "hf:/a/b", "https://huggingface.co/a/b"] {
            assert_eq!(HubAddress::parse(text).unwrap(), None, "{text}");
        }
        for text in [
            "hf://",
            "hf://a",
            "hf://a/",
            "hf:///b",
            "hf://datasets/a",
            "hf://a b/c",
            "hf://a/b@",
            "hf://a/b@x y",
            "hf://a/b/../c",
            "hf://a/b/x//y",
            "hf://../b",
            "hf://a/b@..%2Fx",
            "hf://spaces/a/b",
        ] {
            assert!(
                matches!(HubAddress::parse(text), Err(Error::BadAddress { address, .. }) if address == text),
                "{text}"
            );
        }
    }

    #[test]
    fn a_path_names_a_file_a_folder_or_files_by_a_pattern() {
        let meant = |path: &str, file: &str| parse(&format!("hf://datasets/a/b/{path}")).matches(file);
        assert!(meant("en/x.txt", "en/x.txt") && meant("en", "en/x.txt") && meant("", "en/x.txt"));
        assert!(!meant("en", "english/x.txt") && !meant("en/x.txt", "en") && !meant("x.txt", "en/x.txt"));
        assert!(meant("en/*.txt", "en/x.txt") && meant("*/x.txt", "en/x.txt") && meant("e*/**.txt", "en/x.txt"));
        assert!(!meant("*.txt", "en/x.txt") && !meant("en/*.txt", "en/x.txt.gz") && meant("data-*", "data-en/x.txt"));
    }

    #[cfg(feature = "client")]
    #[test]
    fn the_folder_of_a_pattern_is_what_stands_before_the_first_star() {
        assert_eq!(parse("hf://datasets/a/b/en/x*/y*").folder(), "en");
        assert_eq!(parse("hf://datasets/a/b/x*").folder(), "");
        assert_eq!(parse("hf://datasets/a/b/en").folder(), "en");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic_and_what_it_takes_it_writes(text in "(hf://)?(datasets/)?[a@/.*~%2F ]{0,24}") {
            if let Ok(Some(address)) = HubAddress::parse(&text) {
                prop_assert_eq!(HubAddress::parse(&address.to_string()).unwrap(), Some(address));
            }
        }
    }
}
