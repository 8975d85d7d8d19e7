//! The repository's example configuration, laid out for a daemon of a test.

use std::path::Path;

/// Writes the example into a folder: on ports of its own, beside a gateway that refuses connections.
pub fn lay_out(folder: &Path) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let text = std::fs::read_to_string(example.join("reconciled.toml")).expect("the example");
    let text = text.replace("127.0.0.1:8080\"", "127.0.0.1:0\"").replace("127.0.0.1:8090", "127.0.0.1:9");
    std::fs::write(folder.join("reconciled.toml"), text).expect("written");
    std::fs::create_dir(folder.join("secrets")).expect("made");
    for entry in std::fs::read_dir(example.join("secrets")).expect("the example's secrets") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), folder.join("secrets").join(entry.file_name())).expect("copied");
    }
}
