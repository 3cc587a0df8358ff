//! Why bytes did not become a picture.

use vigia_core::geometry::Size;

/// What was wrong with a picture, and what its sender can do. The variants are stable: callers map them to codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// No bytes at all.
    #[error("the picture is empty: send the bytes of a JPEG, PNG, WebP or BMP file")]
    Empty,
    /// More bytes than allowed.
    #[error("the picture has {bytes} bytes, the limit is {limit}: send it smaller or compress it more")]
    TooLarge {
        /// Bytes that came.
        bytes: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// More pixels than allowed; known from the header, nothing was decoded.
    #[error("the picture is {size} = {} pixels, the limit is {limit}: scale it down first", size.pixels())]
    TooManyPixels {
        /// The declared size.
        size: Size,
        /// Pixels that are allowed.
        limit: u64,
    },
    /// Something else than a picture.
    #[error("not a picture but {seen} (it starts with {start}): send the bytes of a JPEG, PNG, WebP or BMP file")]
    NotAPicture {
        /// What it looks like.
        seen: &'static str,
        /// The first bytes, in hexadecimal.
        start: String,
    },
    /// The end is missing.
    #[error("the {format} picture is cut off ({detail}): send the whole file")]
    Truncated {
        /// The file format.
        format: &'static str,
        /// What the decoder said.
        detail: String,
    },
    /// A valid file of a kind that is not read here.
    #[error("{format}: {what} is not supported: convert the picture to an ordinary JPEG or PNG")]
    Unsupported {
        /// The file format.
        format: &'static str,
        /// What of it is not supported.
        what: String,
    },
    /// Damaged data.
    #[error("the {format} picture is damaged ({detail}): save or send it again")]
    Broken {
        /// The file format.
        format: &'static str,
        /// What the decoder said.
        detail: String,
    },
    /// No fault of the picture: the codec could not work, for lack of memory.
    #[error("the {format} codec could not work ({detail}): try again later")]
    Codec {
        /// The file format.
        format: &'static str,
        /// What the codec said.
        detail: String,
    },
}
