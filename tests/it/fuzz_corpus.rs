//! What the fuzzers start from, and what they once found, stays fine.

use std::{fs, path::Path};

#[path = "../../fuzz/src/targets.rs"]
pub(crate) mod targets;

#[test]
fn every_target_takes_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for name in targets::names() {
        let folder = corpus.join(&name);
        let files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|file| file.unwrap().path())
            .collect();
        assert!(!files.is_empty(), "{name} has nothing to start from");
        for file in files {
            targets::run(&name, &fs::read(&file).unwrap());
        }
    }
}
