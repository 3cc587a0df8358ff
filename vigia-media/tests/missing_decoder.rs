//! A plug-in that is not installed is named, and so is the package that has it.

#[path = "ingest/support.rs"]
#[expect(dead_code, clippy::print_stderr, reason = "the other test uses more of it")]
mod support;

use gstreamer as gst;

use vigia_core::source::SourceError;

#[test]
fn the_package_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = support::clip(folder.path(), "clip.mov", 3, "width=96,height=64");
    // As if no decoder for JPEG were there; this process tests nothing else.
    let registry = gst::Registry::get();
    let decoders = gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECODER, gst::Rank::NONE);
    let jpeg = gst::Caps::new_empty_simple("image/jpeg");
    for decoder in decoders.iter().filter(|decoder| decoder.can_sink_any_caps(&jpeg)) {
        registry.remove_feature(decoder);
    }
    let (_, error) = support::failure(support::text(&path));
    let SourceError::Library(message) = &error else { panic!("{error:?}") };
    assert!(message.contains("JPEG") && message.contains("gstreamer1.0-plugins-good"), "{message}");
}
