//! Templates and escaping.

/// The template with `{{name}}` replaced by the text of that name. What is put in is not searched again, so no text of a user
/// can ask for another one; a name that is not known leaves nothing.
pub(super) fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        text += before;
        let Some((name, after)) = after.split_once("}}") else {
            rest = after;
            break;
        };
        text += values
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, value)| value);
        rest = after;
    }
    text + rest
}

/// Text as HTML, also between the quotes of an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html += "&amp;",
            '<' => html += "&lt;",
            '>' => html += "&gt;",
            '"' => html += "&quot;",
            '\'' => html += "&#39;",
            '\0' => html.push('\u{fffd}'),
            other => html.push(other),
        }
    }
    html
}

/// A sentence of ours as HTML, with the apostrophes of print.
pub(super) fn prose(text: &str) -> String {
    escaped(&text.replace('\'', "’"))
}

/// JSON that can stand in a `script` element: no text in it can end the element or begin a comment.
pub(super) fn in_script(json: &str) -> String {
    // Outside of strings JSON has none of these signs, and inside of them the escapes mean the same.
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_searched_again() {
        let text = filled("a {{x}} {{y}} {{z}}.", &[("x", "{{y}}"), ("y", "2")]);
        assert_eq!(text, "a {{y}} 2 .");
        assert_eq!(filled("open {{x", &[("x", "1")]), "open x");
    }

    #[test]
    fn no_text_can_end_its_element() {
        assert_eq!(
            escaped("<b a=\"1\" c='2'>&"),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;"
        );
        assert_eq!(in_script("\"</script><!--\""), "\"\\u003c/script\\u003e\\u003c!--\"");
    }
}
