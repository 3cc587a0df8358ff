//! ONNX Runtime reports to nobody.
//!
//! The published builds (1.31 for Linux among them) send usage data to their maker, and look up its address as soon as an
//! environment is made: turning it off through the API comes after that. What comes before is a variable.

use std::env;
use std::fs;

/// The variable that ONNX Runtime looks at; any value will do.
const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Turns ONNX Runtime's usage data off for this process. To be called first, while there is no other thread; later it does
/// nothing, and says so by `false`. A variable that is set already stays as it is.
#[expect(unsafe_code, reason = "a variable of the process is how the library is told")]
pub fn refuse() -> bool {
    if env::var_os(VARIABLE).is_some() {
        return true;
    }
    let threads = fs::read_dir("/proc/self/task").map(Iterator::count);
    if !matches!(threads, Ok(1)) {
        return false;
    }
    // SAFETY: nobody reads the environment meanwhile: the line above has counted this one thread, and only it could start
    // another.
    unsafe { env::set_var(VARIABLE, "1") };
    true
}
