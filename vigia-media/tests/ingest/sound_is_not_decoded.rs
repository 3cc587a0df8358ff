//! A clip with sound gives its pictures only, as many as it has.

use vigia_media::IngestOptions;

use crate::support::{launch, read, text};

#[test]
fn video_with_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("av.mkv");
    // The sound is longer than the pictures: that must not look like a cut file.
    launch(&format!(
        "matroskamux name=mux ! filesink location={} \
         videotestsrc num-buffers=10 ! video/x-raw,framerate=10/1,width=96,height=64 ! jpegenc ! queue ! mux. \
         audiotestsrc num-buffers=150 ! vorbisenc ! queue ! mux.",
        path.display()
    ));
    assert_eq!(read(text(&path), IngestOptions::default(), drop), (10, Ok(())));
}
