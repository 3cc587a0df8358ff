//! Names of classes where a model does not bring its own.

/// The 80 classes of COCO detectors, in their order.
pub const COCO: [&str; 80] = [
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
];

/// COCO's names as owned strings.
pub(crate) fn coco() -> Vec<String> {
    COCO.iter().map(|&name| name.to_owned()).collect()
}

/// The names in Ultralytics' metadata, a Python dictionary such as `{0: 'person', 1: "driver's seat"}`.
///
/// Returns `None` where the text is not of that form or the numbers are not 0, 1, 2, …
pub(crate) fn from_python_dict(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim_start();
    let mut labels = Vec::new();
    while !rest.is_empty() {
        let (number, after) = rest.split_once(':')?;
        if number.trim().parse() != Ok(labels.len()) {
            return None;
        }
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let mut name = String::new();
        let mut end = None;
        let mut escaped = false;
        for (i, c) in after.char_indices().skip(1) {
            match c {
                _ if escaped => {
                    name.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                _ if c == quote => {
                    end = Some(i + 1);
                    break;
                }
                _ => name.push(c),
            }
        }
        labels.push(name);
        rest = after[end?..].trim_start().trim_start_matches(',').trim_start();
    }
    (!labels.is_empty()).then_some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_names_are_read() {
        let names = from_python_dict("{0: 'person', 1: \"driver's seat\", 2: 'a, b: c', 3: 'it\\'s'}");
        assert_eq!(names, Some(["person", "driver's seat", "a, b: c", "it's"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn other_texts_give_nothing() {
        for text in ["", "{}", "[]", "{1: 'a'}", "{0: a}", "{0: 'a", "{0: 'a}", "{0 'a'}", "{0: 'a', 0: 'b'}"] {
            assert_eq!(from_python_dict(text), None, "{text}");
        }
    }
}
