/// What serde expected, as it says it and as people do.
const WORDS: [(&str, &str); 12] = [
    ("usize", "a whole number of 0 or more"),
    ("u64", "a whole number of 0 or more"),
    ("u32", "a whole number of 0 or more"),
    ("u16", "a whole number of 0 or more"),
    ("u8", "a whole number from 0 to 255"),
    ("nonzero usize", "a whole number of 1 or more"),
    ("isize", "a whole number"),
    ("i64", "a whole number"),
    ("i32", "a whole number"),
    ("f64", "a number"),
    ("f32", "a number"),
    ("a boolean", "true or false"),
];

/// A fault that serde found in a file, with the types of this language in words for people.
pub fn in_words(reason: &str) -> String {
    let Some((before, expected)) = reason.split_once("expected ") else {
        return reason.to_owned();
    };
    let ends_there = |name: &str| {
        let rest = expected.strip_prefix(name)?;
        (!rest.starts_with(char::is_alphanumeric)).then_some(rest)
    };
    let found = WORDS.iter().find_map(|(name, words)| Some((ends_there(name)?, words)));
    found.map_or_else(
        || reason.to_owned(),
        |(rest, words)| format!("{before}expected {words}{rest}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_the_language_are_said_in_words() {
        for (said, words) in [
            (
                "invalid type: string \"x\", expected usize",
                "invalid type: string \"x\", expected a whole number of 0 or more",
            ),
            (
                "invalid value: integer `-1`, expected u64 at line 3",
                "invalid value: integer `-1`, expected a whole number of 0 or more at line 3",
            ),
            (
                "invalid type: null, expected f64",
                "invalid type: null, expected a number",
            ),
            ("expected a boolean", "expected true or false"),
            ("expected u64s", "expected u64s"),
            ("missing field `x`", "missing field `x`"),
        ] {
            assert_eq!(in_words(said), words);
        }
    }
}
