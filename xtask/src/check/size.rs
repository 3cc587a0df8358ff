//! What is too large for the repository, or does not belong there: models, videos, large pictures.

use super::tree::{File, Tree};
use super::{Report, Violation};

/// Any file, in bytes.
const LARGEST: u64 = 300_000;
/// A picture or a sound, in bytes.
const LARGEST_PICTURE: u64 = 50_000;

pub(super) fn check(tree: &Tree) -> Report {
    let fault = |file: &File| Some(Violation::new(&file.path, 1, fault(file)?));
    let total: u64 = tree.files.iter().map(|file| file.size).sum();
    Report {
        looked_at: format!("{} files, {} kB", tree.files.len(), total / 1000),
        violations: tree.files.iter().filter_map(fault).collect(),
    }
}

fn fault(file: &File) -> Option<String> {
    let size = file.size;
    match file.suffix().to_ascii_lowercase().as_str() {
        "onnx" | "ort" | "pt" | "pth" | "engine" | "plan" | "safetensors" | "tflite" | "pb" | "weights"
        | "caffemodel" => Some("a model: let the tests make it, or the set-up fetch it".to_owned()),
        "mp4" | "mkv" | "webm" | "avi" | "mov" | "ts" | "h264" | "h265" | "ivf" if size > 0 && file.text.is_none() => {
            Some("a video: let the tests make it, or the set-up fetch it".to_owned())
        }
        "jpg" | "jpeg" | "png" | "gif" | "webp" | "avif" | "bmp" | "tif" | "tiff" | "ico" | "wav" | "mp3" | "ogg"
            if size > LARGEST_PICTURE =>
        {
            Some(format!("{size} bytes, a picture or sound has at most {LARGEST_PICTURE}: make it smaller"))
        }
        _ if size > LARGEST => Some(format!("{size} bytes, at most {LARGEST}: shrink it, or make it when needed")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_and_models_are_named() {
        let (large, picture) = ("x".repeat(300_001), "x".repeat(50_001));
        let tree = Tree::of(&[
            ("a.json", &large),
            ("b.json", &large[..300_000]),
            ("c.onnx", ""),
            ("d.PNG", &picture),
            ("e.png", &picture[..50_000]),
            ("f.mp4", "\0"),
            ("g.ts", "export {}"),
        ]);
        let found: Vec<_> = check(&tree).violations.into_iter().map(|it| it.file).collect();
        assert_eq!(found, ["a.json", "c.onnx", "d.PNG", "f.mp4"]);
    }
}
