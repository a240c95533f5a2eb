//! The corpus is kept, and nothing in it breaks a promise.

use stepwright_fuzz::{TARGETS, with_stack};

#[test]
fn nothing_in_the_corpus_breaks_a_promise() {
    for target in TARGETS {
        let folder = format!("{}/corpus/{}", env!("CARGO_MANIFEST_DIR"), target.name);
        let mut fed = 0;
        for entry in std::fs::read_dir(&folder).expect("a folder for each target") {
            let path = entry.expect("can be listed").path();
            println!("{}", path.display());
            let bytes = std::fs::read(&path).expect("can be read");
            with_stack(|| (target.run)(&bytes));
            fed += 1;
        }
        assert!(fed >= 5, "{folder} holds only {fed} files");
    }
}
