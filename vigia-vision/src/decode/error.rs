//! What can be wrong with a model's outputs.

use vigia_core::geometry::Size;
use vigia_core::model::Family;

/// Why a head could not be built or a run not be read.
///
/// All but [`HeadError::NotFinite`] are about the model as a whole: trying again with the same model does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The input has a size that the family does not work with: choose another size.
    #[error("{family} needs an input whose {needs}, not {size}")]
    Input {
        /// The family that was asked for.
        family: Family,
        /// The input's size.
        size: Size,
        /// What the sides must be.
        needs: &'static str,
    },
    /// The graph has more or fewer outputs than the family: it is another family, or a model for another task.
    #[error("{family} has {expected} output(s), the model has {found}")]
    OutputCount {
        /// The family that was asked for.
        family: Family,
        /// How many it has.
        expected: usize,
        /// How many the graph has.
        found: usize,
    },
    /// An output with this name is not there, in the graph or in this run.
    #[error("there is no output `{name}`; there are: {found}")]
    MissingOutput {
        /// The name that was looked for.
        name: String,
        /// The names that are there.
        found: String,
    },
    /// The graph declares another shape than the family has: it is another family, or made for another input size.
    #[error("output `{name}` of {family} must be {expected}, the model has {found}")]
    DeclaredShape {
        /// The family that was asked for.
        family: Family,
        /// The output's name.
        name: String,
        /// What the family has.
        expected: String,
        /// What the graph has; `?` for a free dimension.
        found: String,
    },
    /// A run gave another shape than the graph promised, or numbers are missing.
    #[error("output `{name}` should be {expected}, this run gave {found} with {len} numbers")]
    RunShape {
        /// The output's name.
        name: String,
        /// What was promised; `?` for a free dimension.
        expected: String,
        /// What came.
        found: String,
        /// How many numbers came.
        len: usize,
    },
    /// A picture beyond the batch was asked for: a bug of the caller.
    #[error("picture {index} was asked for of a batch of {batch}")]
    BatchIndex {
        /// The place in the batch that was asked for.
        index: usize,
        /// How many pictures the run had.
        batch: usize,
    },
    /// Detections were asked of a second stage, or landmarks of another model: a bug of the caller.
    #[error("{family} gives {gives}")]
    WrongStage {
        /// The head's family.
        family: Family,
        /// What it can be asked for.
        gives: &'static str,
    },
    /// The numbers for this one crop are NaN or infinite; other crops of the batch may be fine.
    #[error("{family} gave numbers that are not finite")]
    NotFinite {
        /// The head's family.
        family: Family,
    },
}
