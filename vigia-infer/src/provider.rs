//! Where a model runs: execution providers by name, with the CPU as the fallback.

use ort::ep::{CUDA, ExecutionProvider as _, ExecutionProviderDispatch, OpenVINO, TensorRT};

/// Where a model is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// CUDA where the library has it and a device is there, else the CPU.
    #[default]
    Auto,
    /// The CPU, by ONNX Runtime's own kernels.
    Cpu,
    /// An NVIDIA GPU through CUDA.
    Cuda,
    /// An NVIDIA GPU through TensorRT.
    TensorRt,
    /// Intel's CPU kernels (or GPU) through OpenVINO.
    OpenVino,
}

impl Device {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
        }
    }

    /// True where one session with large batches is the way to use it.
    pub fn is_gpu(self) -> bool {
        matches!(self, Self::Cuda | Self::TensorRt)
    }

    /// What to try, in order, before the CPU.
    pub(crate) fn attempts(self) -> &'static [Self] {
        match self {
            Self::Cpu => &[],
            Self::Auto | Self::Cuda => &[Self::Cuda],
            Self::TensorRt => &[Self::TensorRt],
            Self::OpenVino => &[Self::OpenVino],
        }
    }

    /// True when the loaded library was built with this provider; the device itself may still be missing.
    pub(crate) fn is_compiled_in(self) -> bool {
        match self {
            Self::Auto | Self::Cpu => true,
            Self::Cuda => CUDA::is_available().unwrap_or(false),
            Self::TensorRt => TensorRT::is_available().unwrap_or(false),
            Self::OpenVino => OpenVINO::is_available().unwrap_or(false),
        }
    }

    /// The provider for a session of `threads` threads; `None` for the CPU.
    pub(crate) fn dispatch(self, threads: usize) -> Option<ExecutionProviderDispatch> {
        let provider = match self {
            Self::Auto | Self::Cpu => return None,
            Self::Cuda => CUDA::default().build(),
            Self::TensorRt => TensorRT::default().build(),
            Self::OpenVino => OpenVINO::default().with_num_threads(threads).build(),
        };
        Some(provider.error_on_failure())
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
