//! The model card: `README.md` of a model directory.

use crate::{AtomicDir, Error};

pub(crate) const CARD_FILE: &str = "README.md";

/// What a model card says. Only the title is required.
///
/// # Example
///
/// ```
/// let card = ligo_checkpoint::Card {
///     title: "bert-base, grown".into(),
///     base_model: Some("bert-small".into()),
///     method: Some("LiGO".into()),
///     numbers: vec![("validation loss".into(), "2.31".into())],
///     ..Default::default()
/// };
/// assert!(card.to_markdown().contains("base_model: \"bert-small\""));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// The heading.
    pub title: String,
    /// The model this one was made from: a name on the hub or a path.
    pub base_model: Option<String>,
    /// How: "LiGO", "StackBERT", "scratch".
    pub method: Option<String>,
    /// The recipe's file name.
    pub recipe: Option<String>,
    /// An SPDX-like identifier; the card says "unknown" when it is not given.
    pub license: Option<String>,
    /// Measured values, in the order given.
    pub numbers: Vec<(String, String)>,
}

impl Card {
    /// The card as Markdown with the hub's YAML header.
    pub fn to_markdown(&self) -> String {
        let license = self.license.as_deref().unwrap_or("unknown");
        let mut text = format!("---\nlibrary_name: transformers\nlicense: {}\n", quoted(license));
        if let Some(base) = &self.base_model {
            text += &format!("base_model: {}\n", quoted(base));
        }
        text += &format!(
            "tags:\n- ligo\n- model-growth\n---\n\n# {}\n\nWritten by `ligo`.\n\n",
            one_line(&self.title)
        );
        let facts = [
            ("Base model", &self.base_model),
            ("Method", &self.method),
            ("Recipe", &self.recipe),
        ];
        for (key, value) in facts {
            if let Some(value) = value {
                text += &format!("* {key}: {}\n", one_line(value));
            }
        }
        text += &format!("* Licence: {}\n", one_line(license));
        if !self.numbers.is_empty() {
            text += "\n| measure | value |\n| --- | --- |\n";
            for (key, value) in &self.numbers {
                text += &format!("| {} | {} |\n", cell(key), cell(value));
            }
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
    use super::*;

    #[test]
    fn a_card_keeps_its_form_whatever_the_values_contain() {
        let card = Card {
            title: "a\n---\nb".into(),
            base_model: Some("x\"\nlicense: mit".into()),
            numbers: vec![("a|b".into(), "1\n2".into())],
            ..Default::default()
        };
        let text = card.to_markdown();
        assert_eq!(text.lines().filter(|line| *line == "---").count(), 2);
        assert!(text.contains("license: \"unknown\"\nbase_model: \"x\\\"\\nlicense: mit\"\n"));
        assert!(text.contains("| a\\|b | 1 2 |"));
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
