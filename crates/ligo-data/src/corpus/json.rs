//! One line of JSONL: what Python writes is read, though some of it is no JSON.

use serde_json::Value;

/// Parses a line. Python's `json` writes `NaN`, `Infinity` and halves of surrogate pairs, and reads numbers beyond all bounds; none of them is
/// text, so they are read as nothing (`null`, and the replacement character) where JSON alone does not do.
pub(super) fn parse(line: &str) -> serde_json::Result<Value> {
    let strict = serde_json::from_str(line);
    strict.or_else(|error| serde_json::from_str(&made_strict(line)).map_err(|_| error))
}

/// The field with this name, or the one that its dots lead to.
pub(super) fn field<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    if object.get(name).is_some() {
        return object.get_mut(name);
    }
    name.split('.').try_fold(object, |value, key| value.get_mut(key))
}

/// What a value is called in messages.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn made_strict(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' => string(rest, &mut out),
            _ if first.is_ascii_alphanumeric() || first == '-' => word(rest, &mut out),
            _ => {
                out.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    out
}

/// Copies a number or a name; returns its length.
fn word(text: &str, out: &mut String) -> usize {
    let is_part = |c: char| c.is_ascii_alphanumeric() || ['-', '+', '.'].contains(&c);
    let length = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let word = &text[..length];
    let is_number = word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let beyond = is_number && word.parse::<f64>().is_ok_and(f64::is_infinite);
    let nothing = beyond || ["NaN", "Infinity", "-Infinity"].contains(&word);
    out.push_str(if nothing { "null" } else { word });
    length
}

/// Copies a string with its quotation marks; returns its length.
fn string(text: &str, out: &mut String) -> usize {
    out.push('"');
    let mut at = 1;
    while let Some(character) = text[at..].chars().next() {
        if character != '\\' {
            out.push(character);
            at += character.len_utf8();
            if character == '"' {
                break;
            }
            continue;
        }
        let (copied, taken) = match (
            code_unit(&text[at..]),
            code_unit(text.get(at + 6..).unwrap_or_default()),
        ) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (&text[at..at + 12], 12),
            (Some(0xd800..=0xdfff), _) => ("\\ufffd", 6),
            _ => {
                let escaped = text[at + 1..].chars().next().map_or(0, char::len_utf8);
                (&text[at..at + 1 + escaped], 1 + escaped)
            }
        };
        out.push_str(copied);
        at += taken;
    }
    at
}

/// The number of an escape `\uXXXX` at the beginning of a text.
fn code_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_python_writes_is_read_and_what_nobody_writes_is_not() {
        let text = |line: &str| parse(line).map(|value| value["text"].as_str().unwrap().to_owned());
        for (line, expected) in [
            (
                r#"{"text": "x y", "score": NaN, "b": [-Infinity, Infinity, 1e999, -2.5]}"#,
                "x y",
            ),
            (r#"{"text": "cut \ud83d here"}"#, "cut \u{fffd} here"),
            (r#"{"text": "cut \udc00", "n": NaN}"#, "cut \u{fffd}"),
            (
                r#"{"text": "\ud83d\ude00 \ud83d\u0041 NaN \"NaN\" \\ud83d ümlaut", "n": NaN}"#,
                "\u{1f600} \u{fffd}A NaN \"NaN\" \\ud83d ümlaut",
            ),
        ] {
            assert_eq!(text(line).unwrap(), expected, "{line}");
        }
        for line in [
            r#"{"text": "x", "n": Nan}"#,
            r#"{"text": "x"#,
            r#"{"text": "x\"#,
            r#"{"text": "x\u"#,
            r#"{"text": "\ud83d\é"}"#,
            "words",
            r#"{"n": 1.2.3}"#,
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_name_and_by_dots() {
        let mut value: Value = serde_json::from_str(r#"{"a.b": 1, "a": {"b": 2, "c": {"d": 3}}}"#).unwrap();
        assert_eq!(field(&mut value, "a.b").unwrap(), &1);
        assert_eq!(field(&mut value, "a.c.d").unwrap(), &3);
        assert!(field(&mut value, "a.x").is_none() && field(&mut value, "x.y").is_none());
    }
}
