//! Where the tests find the model files that `make models` fetches.

use std::path::PathBuf;

use classify::EncoderOptions;

/// The folder named by `POINTSMAN_MODELS`, or the first `.models` from this crate upward.
fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("POINTSMAN_MODELS") {
        return folder.into();
    }
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let found = here.ancestors().map(|folder| folder.join(".models")).find(|folder| folder.is_dir());
    found.expect("no .models folder upward of the crate: run `make models`, or set POINTSMAN_MODELS")
}

/// Options for an encoder of one session.
pub(crate) fn options() -> EncoderOptions {
    let folder = folder();
    let runtime = std::fs::read_dir(folder.join("onnxruntime"))
        .expect("no onnxruntime in the models' folder")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so"))
        })
        .expect("no libonnxruntime.so in the models' folder");
    EncoderOptions { model_dir: folder.join("minilm"), runtime, hub: false, sessions: 1 }
}
