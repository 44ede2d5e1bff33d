//! What the name of a file or folder says about its use.

/// For what a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `train`, `training`, `data_batch`.
    Train,
    /// `val`, `valid`, `validation`, `dev`, `eval`, `heldout`.
    Valid,
    /// `test`, `t10k`.
    Test,
    /// Anything else.
    Unknown,
}

/// Words that stand behind a name without changing what it is: `my_test_set`, `train-00000-of-00064`.
const FILLERS: [&str; 14] = [
    "of", "set", "split", "data", "part", "shard", "file", "chunk", "raw", "tokens", "text", "texts", "docs", "batch",
];
/// The ends of names that are no words of it.
const EXTENSIONS: [&str; 12] = [
    "txt", "jsonl", "json", "ndjson", "parquet", "gz", "zst", "bin", "csv", "md", "png", "jpg",
];

impl Role {
    /// Reads the use of a file or folder off its name: the first or the last of its words, or one between two dots, with numbers of shards
    /// and the like left out. So `train`, `val-00001`, `c4-train.00000-of-01024`, `wiki.valid.raw`, `my_test_set` and `t10k-images-idx3-ubyte`
    /// say something, and `contest` and `a-test-of-time` do not.
    pub(crate) fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let mut dotted: Vec<&str> = name.split('.').collect();
        while dotted.len() > 1 && dotted.last().is_some_and(|end| EXTENSIONS.contains(end)) {
            dotted.pop();
        }
        let words: Vec<&str> = dotted
            .iter()
            .flat_map(|part| part.split(|c: char| !c.is_alphanumeric()))
            .filter(|word| !word.is_empty())
            .collect();
        if words.len() > 1 && words[..2] == ["data", "batch"] {
            return Self::Train;
        }
        let is_filler = |word: &&&str| FILLERS.contains(*word) || word.chars().all(|c| c.is_ascii_digit());
        let first = words.first();
        let last = words.iter().rev().find(|word| !is_filler(word));
        let said = first
            .into_iter()
            .chain(last)
            .chain(&dotted)
            .map(|word| Self::of_word(word));
        let mut role = Self::Unknown;
        for found in said.filter(|&found| found != Self::Unknown) {
            if role != Self::Unknown && role != found {
                // `train-test.txt` may be anything.
                return Self::Unknown;
            }
            role = found;
        }
        role
    }

    fn of_word(word: &str) -> Self {
        // `val2`, but `t10k` is a word of its own.
        let bare = word.trim_end_matches(|c: char| c.is_ascii_digit());
        match bare {
            "train" | "training" | "trainset" | "trn" => Self::Train,
            "val" | "valid" | "validation" | "dev" | "devel" | "eval" | "evaluation" | "heldout" | "holdout" => {
                Self::Valid
            }
            "valset" | "devset" | "evalset" => Self::Valid,
            "test" | "testing" | "testset" | "tst" | "t10k" => Self::Test,
            _ => Self::Unknown,
        }
    }

    /// The use of a file by its path below what was named, with `/`: its own name counts before those of its folders, inner ones before outer.
    /// But what is for tests anywhere, as `test/train.txt`, is for nothing else.
    pub(crate) fn of_path(path: &str) -> Self {
        let said = || path.rsplit('/').map(Self::of);
        if said().any(|role| role == Self::Test) {
            return Self::Test;
        }
        said().find(|&role| role != Self::Unknown).unwrap_or(Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_use_are_known() {
        for (role, names) in [
            (
                Role::Train,
                "train train.txt train-00000-of-00001.parquet c4-train.00000-of-01024.json.gz data_batch_1.bin training \
                 train-images-idx3-ubyte.gz TRAIN_a.jsonl wiki.train.raw.txt train1.txt x/train/0000.txt",
            ),
            (
                Role::Valid,
                "val.txt valid validation.jsonl.zst dev-0.txt eval.txt c4-validation.00000-of-00008.jsonl pile_val_03.jsonl.zst \
                 wiki.valid.tokens val2.txt data/validation/0000.txt en.dev.txt validation_matched.jsonl my-heldout-set.txt",
            ),
            (
                Role::Test,
                "test.txt test-00000-of-00001-a09b74b3ef9c3b56.parquet t10k-images-idx3-ubyte my_test_set.txt test_batch.bin \
                 a/test/b/x.txt test/part-0.txt test/train.txt a/test/val/0000.txt train/test.txt",
            ),
            (
                Role::Unknown,
                "a.txt contest.txt a-test-of-time.txt latest.jsonl train-test.txt developer.txt 0000.parquet validity/x.txt .txt",
            ),
        ] {
            for name in names.split_whitespace() {
                assert_eq!(Role::of_path(name), role, "{name}");
            }
        }
    }
}
