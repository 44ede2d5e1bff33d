//! The model card: `README.md` of a model directory.

use std::fs;
use std::path::Path;

use crate::names::CARD_FILE;
use crate::{AtomicDir, Error};

/// What a model card says. Only the title is required.
///
/// # Example
///
/// ```
/// let card = ligo_checkpoint::Card {
///     title: "bert-base, grown".into(),
///     base_model: Some("google/bert_uncased_L-4_H-512_A-8".into()),
///     method: Some("LiGO".into()),
///     numbers: vec![("validation loss".into(), "2.31".into())],
///     ..Default::default()
/// };
/// assert!(card.to_markdown().contains("base_model: \"google/bert_uncased_L-4_H-512_A-8\""));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// The heading.
    pub title: String,
    /// The model this one was made from: its name on the hub, or a path. The header, which programs read, has names alone.
    pub base_model: Option<String>,
    /// How: "LiGO", "StackBERT", "scratch".
    pub method: Option<String>,
    /// The recipe's file name.
    pub recipe: Option<String>,
    /// The class of `transformers` that loads it.
    pub class: Option<String>,
    /// Whether `timm` loads it, by a `config.json` of its own.
    pub is_of_timm: bool,
    /// The command that makes it again.
    pub command: Option<String>,
    /// What the card of the model that this one was made from says of license, language, task and data: see [`Card::inherited`].
    pub inherited: String,
    /// More facts, in the order given.
    pub facts: Vec<(String, String)>,
    /// Measured values, in the order given.
    pub numbers: Vec<(String, String)>,
}

/// Entries of a card's header that hold for a larger model as well.
const INHERITED: [&str; 6] = [
    "license",
    "license_name",
    "license_link",
    "language",
    "pipeline_tag",
    "datasets",
];

/// A card is text for people; what is larger is none.
const LARGEST_CARD: u64 = 4 << 20;

impl Card {
    /// License, language, task and data out of the header of the card in a model's directory, as they stand there; empty where there is none.
    /// [`Card::fault`] says what of it cannot be read.
    pub fn inherited(dir: &Path) -> String {
        let header = read_header(dir).unwrap_or_default();
        let (entries, _) = entries(&header);
        let kept = entries.iter().filter(|(key, _)| INHERITED.contains(key));
        kept.flat_map(|(_, lines)| lines.iter().map(|line| format!("{line}\n")))
            .collect()
    }

    /// What is wrong with the header of the card in a model's directory, so that license and language may be lost.
    pub fn fault(dir: &Path) -> Option<String> {
        let fault = read_header(dir).map_or_else(Some, |header| entries(&header).1)?;
        Some(format!("{}: {fault}", dir.join(CARD_FILE).display()))
    }

    /// The card as Markdown with the hub's YAML header.
    pub fn to_markdown(&self) -> String {
        let library = if self.is_of_timm { "timm" } else { "transformers" };
        let mut text = format!("{FENCE}\nlibrary_name: {library}\n{}", self.inherited);
        if let Some(base) = self.base_model.as_deref().filter(|base| is_on_hub(base)) {
            text += &format!("base_model: {}\n", quoted(base));
        }
        text += &format!(
            "tags:\n- ligo\n- model-growth\n{FENCE}\n\n# {}\n\nWritten by `ligo`.\n\n",
            one_line(&self.title)
        );
        let named = [
            ("Base model", &self.base_model),
            ("Method", &self.method),
            ("Recipe", &self.recipe),
        ];
        let named = named
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.as_ref()?)));
        for (key, value) in named.chain(self.facts.iter().map(|(key, value)| (key.as_str(), value))) {
            text += &format!("* {}: {}\n", one_line(key), one_line(value));
        }
        if !self.numbers.is_empty() {
            text += "\n| measure | value |\n| --- | --- |\n";
            for (key, value) in &self.numbers {
                text += &format!("| {} | {} |\n", cell(key), cell(value));
            }
        }
        if let Some(class) = &self.class {
            let class = code(class);
            text += &format!(
                "\n## Load it\n\n```python\nfrom transformers import {class}\n\nmodel = {class}.from_pretrained(\"this folder, or its name on the hub\")\n```\n"
            );
        }
        if self.is_of_timm {
            text += "\n## Load it\n\n```python\nimport timm\n\nmodel = timm.create_model(\"local-dir:this folder\", pretrained=True)  # hf-hub: and its name on the hub\n```\n";
        }
        if let Some(command) = &self.command {
            text += &format!("\n## Make it again\n\n```sh\n{}\n```\n", code(command));
        }
        text
    }

    /// Writes the card as `README.md`.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn write(&self, dir: &AtomicDir) -> Result<(), Error> {
        dir.write(CARD_FILE, self.to_markdown().as_bytes())
    }
}

/// Around the header.
const FENCE: &str = "---";

/// The lines of the header of the card in a directory; none where there is no header.
fn read_header(dir: &Path) -> Result<String, String> {
    let path = dir.join(CARD_FILE);
    let Ok(found) = fs::metadata(&path) else {
        return Ok(String::new());
    };
    if !found.is_file() || found.len() > LARGEST_CARD {
        return Err(format!("no text of at most {} MB", LARGEST_CARD >> 20));
    }
    let bytes = fs::read(&path).map_err(|error| format!("cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some(FENCE) {
        return Ok(String::new());
    }
    let header: Vec<&str> = lines.collect();
    match header.iter().position(|line| *line == FENCE) {
        Some(end) => Ok(header[..end].join("\n")),
        None => Err(format!("its header begins with {FENCE} and does not end with it")),
    }
}

/// An entry of a header: its key, and its lines.
type Entry<'a> = (&'a str, Vec<&'a str>);

/// The entries of a header, and what is wrong with the first line that belongs to none. An entry goes on over indented lines and over those of a list.
fn entries(header: &str) -> (Vec<Entry<'_>>, Option<String>) {
    let (mut entries, mut fault): (Vec<Entry<'_>>, _) = (Vec::new(), None);
    // The first line of the file is the fence.
    for (number, line) in (2..).zip(header.lines()) {
        let why = match line.split_once(':') {
            _ if line.is_empty() || line.starts_with('#') => continue,
            _ if line.contains(char::is_control) => "it holds a tab or another control character",
            _ if line.starts_with([' ', '-']) => match entries.last_mut() {
                Some((_, lines)) => {
                    lines.push(line);
                    continue;
                }
                None => "nothing comes before it that it could belong to",
            },
            Some((key, value)) if value.is_empty() || value.starts_with(' ') => {
                entries.push((key.trim().trim_matches(['"', '\'']), vec![line]));
                continue;
            }
            _ => "it is no `key: value`",
        };
        let line: String = line.chars().take(60).collect();
        fault.get_or_insert_with(|| {
            format!(
                "line {number} of its header is no YAML, {why}: `{}`",
                line.escape_debug()
            )
        });
    }
    (entries, fault)
}

/// Whether this is a name that a repository on the hub can have.
fn is_on_hub(name: &str) -> bool {
    let is_part = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
        !part.is_empty() && part.chars().all(allowed) && !part.starts_with('.')
    };
    name.split_once('/')
        .is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

/// Text inside of a fenced block, which it must not end.
fn code(text: &str) -> String {
    let text = text.replace("```", "` ` `");
    text.replace(|sign: char| sign.is_control() && sign != '\n', " ")
}

/// A JSON string, which is a YAML string too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Text of a line. Names are no markup of the page that shows the card.
fn one_line(text: &str) -> String {
    let text = text.replace(|sign: char| sign.is_control(), " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_card_keeps_its_form_whatever_the_values_contain() {
        let card = Card {
            title: "a\n---\nb".into(),
            base_model: Some("x\"\nlicense: mit".into()),
            command: Some("ligo grow --out '```\n# free'".into()),
            numbers: vec![("a|b".into(), "1\n2".into())],
            ..Default::default()
        };
        let text = card.to_markdown();
        assert_eq!(text.lines().filter(|line| *line == "---").count(), 2);
        assert_eq!(text.matches("```").count(), 2);
        assert!(text.contains("| a\\|b | 1 2 |"));
        // What is no name on the hub is told to people alone.
        assert!(
            !text.contains("base_model:") && text.contains("* Base model: x\" license: mit"),
            "{text}"
        );
    }

    #[test]
    fn the_header_says_what_the_hub_understands() {
        for (base, valid) in [
            ("Qwen/Qwen3-0.6B", true),
            ("small", false),
            ("../small", false),
            ("/models/small", false),
            ("a/b/c", false),
            ("./x", false),
        ] {
            let card = Card {
                base_model: Some(base.into()),
                ..Default::default()
            };
            assert_eq!(card.to_markdown().contains("base_model:"), valid, "{base}");
        }
    }

    #[test]
    fn license_and_language_are_those_of_the_small_model() {
        let folder = tempfile::tempdir().unwrap();
        let inherited_from = |card: &str| {
            fs::write(folder.path().join(CARD_FILE), card).unwrap();
            Card::inherited(folder.path())
        };
        assert_eq!(Card::inherited(folder.path()), "");
        let card = "---\nlanguage:\n- en\n- de\nlicense: apache-2.0\nwidget:\n- text: \"license: mit\"\ntags: [a]\n---\nlicense: gpl\n";
        let inherited = inherited_from(card);
        assert_eq!(inherited, "language:\n- en\n- de\nlicense: apache-2.0\n");
        let card = Card {
            inherited,
            ..Default::default()
        };
        let text = card.to_markdown();
        assert!(
            text.starts_with("---\nlibrary_name: transformers\nlanguage:\n- en\n"),
            "{text}"
        );
        assert_eq!(inherited_from("license: mit\n"), "");
        assert_eq!(inherited_from("---\nlicense: mit\n"), "");
        assert_eq!(
            inherited_from("\u{feff}---\r\nlicense : mit\r\n# a note\r\n---\r\n"),
            "license : mit\n"
        );
    }

    #[test]
    fn a_header_that_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let fault = |card: &[u8]| {
            fs::write(folder.path().join(CARD_FILE), card).unwrap();
            Card::fault(folder.path())
        };
        assert_eq!(Card::fault(folder.path()), None);
        for fine in [
            "",
            "# A model\n",
            "---\n---\n",
            "---\nlicense: mit\ntags:\n- a\n\n  - b: c\n# x\n---\n",
        ] {
            assert_eq!(fault(fine.as_bytes()), None, "{fine}");
        }
        for (card, said, kept) in [
            (&b"---\nlicense: mit\n"[..], "does not end", ""),
            (
                b"---\nlicense:mit\n---\n",
                "line 2 of its header is no YAML, it is no `key: value`: `license:mit`",
                "",
            ),
            (b"---\nlanguage: en\nlicense mit\n---\n", "line 3", "language: en\n"),
            (b"---\nlicense: mit\n\tname: x\n---\n", "a tab", "license: mit\n"),
            (b"---\n- en\nlicense: mit\n---\n", "line 2", "license: mit\n"),
            (b"---\nlicense: \xff\n---\n", "not UTF-8", ""),
        ] {
            let found = fault(card).unwrap();
            assert!(found.contains(said) && found.contains(CARD_FILE), "{found}");
            assert_eq!(Card::inherited(folder.path()), kept);
        }
    }

    #[test]
    fn a_card_says_how_to_load_and_make_the_model() {
        let card = Card {
            class: Some("LlamaForCausalLM".into()),
            command: Some("ligo grow --layers 2x".into()),
            ..Default::default()
        };
        let text = card.to_markdown();
        assert!(
            text.contains("model = LlamaForCausalLM.from_pretrained(") && text.contains("\nligo grow --layers 2x\n")
        );
    }

    #[test]
    fn a_card_says_that_timm_loads_a_model_of_timms() {
        let card = Card {
            is_of_timm: true,
            ..Default::default()
        };
        let text = card.to_markdown();
        assert!(text.starts_with("---\nlibrary_name: timm\n") && text.contains("timm.create_model("));
    }

    #[test]
    fn names_are_no_markup_and_say_nothing_to_a_terminal() {
        let card = Card {
            title: "<img src=x onerror=alert(1)>: \u{1b}[2Jmodel".into(),
            method: Some("a < b & c".into()),
            ..Default::default()
        };
        let text = card.to_markdown();
        assert!(
            text.contains("# &lt;img src=x onerror=alert(1)&gt;: [2Jmodel\n"),
            "{text}"
        );
        assert!(text.contains("* Method: a &lt; b &amp; c\n"), "{text}");
    }
}
