//! Expected output as files of the project, written anew with `UPDATE_EXPECT=1`.

use std::{fs, path::Path};

/// `path` is from the top of the project.
#[track_caller]
pub(crate) fn same_as_file(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, text).expect("written");
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        expected == text,
        "{path} is not what is made now; UPDATE_EXPECT=1 writes it anew:\n{text}"
    );
}
