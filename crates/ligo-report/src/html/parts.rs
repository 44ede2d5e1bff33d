//! What several parts of the page are made of.

use maud::{Markup, Render, html};

/// A sentence of ours with the apostrophes of print.
pub(super) fn prose(text: &str) -> String {
    text.replace('\'', "’")
}

/// A table that scrolls sideways where the window is narrow.
pub(super) fn scrolling(label: &str, table: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) { (table) }
    }
}

/// The remarks below a table.
pub(super) fn notes<T: Render>(notes: impl IntoIterator<Item = T>) -> Markup {
    html! {
        ul.notes {
            @for note in notes { li { (note) } "\n" }
        }
    }
}

/// Buttons of which one is pressed, the first one when the page opens: what the script reads and what people read.
pub(super) fn choice(label: &str, name: &str, hidden: bool, options: &[(&str, &str)]) -> Markup {
    html! {
        div.choice role="radiogroup" aria-label=(label) data-choice=(name) hidden[hidden] {
            @for (place, (value, text)) in options.iter().enumerate() {
                @let pressed = if place == 0 { "true" } else { "false" };
                button type="button" role="radio" aria-checked=(pressed) value=(value) { (text) }
            }
        }
    }
}

/// A button that stays pressed until it is pressed again.
pub(super) fn switch(name: &str, hidden: bool, text: &str) -> Markup {
    html! {
        button.switch type="button" aria-pressed="false" data-switch=(name) hidden[hidden] { (text) }
    }
}
