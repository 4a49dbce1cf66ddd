//! That `config/crd` is what the types say.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use std::fs;
use std::path::Path;

use herald_crds::api::manifests;

#[test]
fn config_crd_holds_the_generated_files_and_nothing_else() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/crd");
    let found: Vec<String> = {
        let mut names: Vec<_> =
            fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let wanted = manifests();
    assert_eq!(found, wanted.keys().cloned().collect::<Vec<_>>());
    for (name, text) in wanted {
        let why = "run `cargo run -p herald-crds --bin crdgen -- config/crd`";
        assert_eq!(fs::read_to_string(dir.join(&name)).unwrap(), text, "{name}: {why}");
    }
}
