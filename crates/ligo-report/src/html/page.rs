//! The page around its parts, and the type that a part is.

use ligo_assets::report::{SCRIPT, STYLE};
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use serde_json::Value;

/// What the page forbids itself: all loading from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; \
                      base-uri 'none'; form-action 'none'";

/// A part of the page: what links to it, its heading and what stands below that.
pub(super) struct Section {
    pub id: &'static str,
    pub link: &'static str,
    pub title: &'static str,
    pub content: Markup,
}

/// What the page shows, from above.
pub(super) struct Page<'a> {
    pub title: &'a str,
    /// What was compared, in a line.
    pub about: String,
    /// What the comparison says, between its cautions and its figures.
    pub answer: Markup,
    pub sections: Vec<Section>,
    /// When the last run ended; empty where nobody knows.
    pub ended: &'a str,
    /// What the script draws from.
    pub data: Value,
}

impl Render for Section {
    fn render(&self) -> Markup {
        let title = format!("{}-title", self.id);
        html! {
            section id=(self.id) aria-labelledby=(title) {
                h2 id=(title) { (self.title) }
                (self.content)
            }
            "\n"
        }
    }
}

impl Page<'_> {
    /// The whole document.
    pub(super) fn document(&self) -> String {
        let page = html! {
            (DOCTYPE) "\n"
            html lang="en" {
                (self.head())
                (self.body())
            }
            "\n"
        };
        // HTML has no such sign, and a browser would drop it from what it shows or put another one there.
        page.into_string().replace('\0', "\u{fffd}")
    }

    fn head(&self) -> Markup {
        html! {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "ligo-report " (env!("CARGO_PKG_VERSION")) };
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (self.title) }
                // Our own file, which holds nothing that ends the element; a test below reads it.
                style { "\n" (PreEscaped(STYLE)) }
            }
            "\n"
        }
    }

    fn body(&self) -> Markup {
        html! {
            body {
                header.bar {
                    div.page {
                        span.mark { "ligo" }
                        nav aria-label="Sections" {
                            @for section in &self.sections { a href={ "#" (section.id) } { (section.link) } }
                        }
                        (theme_button())
                    }
                }
                "\n"
                main.page {
                    section.hero aria-labelledby="title" {
                        p.kicker { "What growing saved" }
                        h1 #title { (self.title) }
                        p.about { (self.about) }
                        (self.answer)
                    }
                    "\n"
                    @for section in &self.sections { (section) }
                }
                "\n"
                footer.page { (self.footer()) }
                "\n"
                noscript {
                    p.page.caution {
                        "The pictures, sorting and copying need JavaScript; tables, recipe and hashes do not."
                    }
                }
                "\n"
                script type="application/json" id="data" { (Json(&self.data)) }
                "\n"
                script { (script()) }
            }
        }
    }

    fn footer(&self) -> Markup {
        html! {
            "Made by ligo " (env!("CARGO_PKG_VERSION")) "."
            @if !self.ended.is_empty() { " Runs ended " (self.ended) "." }
            " This file holds all it shows and loads nothing."
        }
    }
}

/// The button that switches between light and dark.
fn theme_button() -> Markup {
    html! {
        button #theme.quiet type="button" aria-label="Switch between light and dark" {
            svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true" {
                circle cx="10" cy="10" r="7.2" fill="none" stroke="currentColor" stroke-width="1.6" {}
                path d="M10 2.8a7.2 7.2 0 0 1 0 14.4z" fill="currentColor" {}
            }
        }
    }
}

/// The page's script, whose names nothing outside of it sees.
fn script() -> PreEscaped<String> {
    // Our own files, which hold nothing that ends the element; a test below reads them.
    PreEscaped(format!("\n(() => {{\n'use strict';\n{}}})();\n", SCRIPT.concat()))
}

/// Data for a `script` element.
struct Json<'a>(&'a Value);

impl Render for Json<'_> {
    /// JSON in which no text can end the element or begin a comment: a script's content knows no entities, so the signs are written with
    /// the escapes of JSON itself. Outside of strings JSON has none of them.
    fn render_to(&self, buffer: &mut String) {
        for sign in self.0.to_string().chars() {
            match sign {
                '<' => *buffer += "\\u003c",
                '>' => *buffer += "\\u003e",
                '&' => *buffer += "\\u0026",
                sign => buffer.push(sign),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_in_data_can_end_its_element() {
        let json = Json(&Value::from("</script><!--&")).render().into_string();
        assert_eq!(json, "\"\\u003c/script\\u003e\\u003c!--\\u0026\"");
        assert_eq!(
            serde_json::from_str::<Value>(&json).ok(),
            Some(Value::from("</script><!--&"))
        );
    }

    #[test]
    fn our_own_files_hold_nothing_that_ends_their_element() {
        for text in SCRIPT.iter().chain([&STYLE]) {
            let text = text.to_lowercase();
            for end in ["</script", "<script", "</style", "<!--", "\0"] {
                assert!(!text.contains(end), "{end} in {text}");
            }
        }
    }
}
