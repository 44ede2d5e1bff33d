//! A program that was built without access to the hub says so.
#![cfg(not(feature = "hub"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use ligo_data::{Error, Watch, hub};

#[test]
fn addresses_are_refused_by_name_and_other_paths_stay_as_they_are() {
    let address = "hf://datasets/o/texts/en";
    for result in [
        hub::local_texts(&[Path::new("a.txt"), Path::new(address)], Watch::none()).map(|_| ()),
        hub::local_tokenizer(Path::new(address), Watch::none()).map(|_| ()),
    ] {
        match result {
            Err(error @ Error::NoHub { .. }) => {
                let message = error.to_string();
                assert!(message.contains(address) && message.contains("`hub`"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    let nonsense = hub::local_texts(&["hf://datasets/"], Watch::none());
    assert!(matches!(nonsense, Err(Error::BadHubAddress { .. })));
    let paths = [PathBuf::from("a.txt"), PathBuf::from("folder")];
    assert_eq!(hub::local_texts(&paths, Watch::none()).unwrap(), paths);
    assert_eq!(hub::local_tokenizer(&paths[1], Watch::none()).unwrap(), paths[1]);
}
