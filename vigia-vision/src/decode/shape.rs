//! Names and shapes of outputs: checked once when a model is loaded, and again in every run.

use vigia_core::geometry::Size;
use vigia_core::model::Family;

use super::{DeclaredOutput, HeadError, TensorView};

/// Most outputs of any family: `YuNet`'s.
const MAX_OUTPUTS: usize = 12;

/// One dimension of what a family has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dim {
    /// Exactly this many.
    Is(usize),
    /// As many as the graph says; the name is for messages.
    Named(&'static str),
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Is(n) => n.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// An output that a head reads.
#[derive(Clone, Debug)]
pub(super) struct OutputSpec {
    name: String,
    /// Where it was when the model was loaded, and most likely is in a run.
    place: usize,
    /// Without the batch; `None` where any number will do.
    dims: Vec<Option<usize>>,
}

impl OutputSpec {
    /// Accepts the output at `place` if its dimensions after the batch agree with `expected`, free ones always do.
    pub(super) fn check(
        family: Family,
        outputs: &[DeclaredOutput],
        place: usize,
        expected: &[Dim],
    ) -> Result<Self, HeadError> {
        let Some((name, dims)) = outputs.get(place) else {
            return Err(HeadError::OutputCount { family, expected: place + 1, found: outputs.len() });
        };
        let agrees = |(dim, expected): (&Option<usize>, &Dim)| match (dim, expected) {
            (Some(n), Dim::Is(e)) => n == e,
            (None, _) | (_, Dim::Named(_)) => true,
        };
        if dims.len() != expected.len() + 1 || !dims.iter().skip(1).zip(expected).all(agrees) {
            return Err(declared(family, name, expected, dims));
        }
        let known = |(dim, expected): (&Option<usize>, &Dim)| match expected {
            Dim::Is(n) => Some(*n),
            Dim::Named(_) => *dim,
        };
        let dims = dims.iter().skip(1).zip(expected).map(known).collect();
        Ok(Self { name: name.clone(), place, dims })
    }

    /// The one output of a family that has one.
    pub(super) fn only(family: Family, outputs: &[DeclaredOutput], expected: &[Dim]) -> Result<Self, HeadError> {
        if outputs.len() != 1 {
            return Err(HeadError::OutputCount { family, expected: 1, found: outputs.len() });
        }
        Self::check(family, outputs, 0, expected)
    }

    /// The dimension `axis` after the batch, if it is known.
    pub(super) fn dim(&self, axis: usize) -> Option<usize> {
        self.dims.get(axis).copied().flatten()
    }

    /// The error that this output is not what the family has.
    pub(super) fn refuse(&self, family: Family, expected: &[Dim]) -> HeadError {
        let dims: Vec<_> = std::iter::once(None).chain(self.dims.iter().copied()).collect();
        declared(family, &self.name, expected, &dims)
    }

    /// The numbers of the picture at `index` of a run's batch.
    fn part<'a>(&self, outputs: &[TensorView<'a>], index: usize) -> Result<&'a [f32], HeadError> {
        let likely = outputs.get(self.place).filter(|o| o.name == self.name);
        let Some(output) = likely.or_else(|| outputs.iter().find(|o| o.name == self.name)) else {
            return Err(HeadError::MissingOutput {
                name: self.name.clone(),
                found: names(outputs.iter().map(|o| o.name)),
            });
        };
        let wrong = || HeadError::RunShape {
            name: self.name.clone(),
            expected: listed("batch".into(), self.dims.iter().copied().map(show)),
            found: listed_all(output.shape.iter().map(ToString::to_string)),
            len: output.data.len(),
        };
        let (&batch, dims) = output.shape.split_first().ok_or_else(wrong)?;
        if dims.len() != self.dims.len() || !dims.iter().zip(&self.dims).all(|(n, e)| e.is_none_or(|e| e == *n)) {
            return Err(wrong());
        }
        if index >= batch {
            return Err(HeadError::BatchIndex { index, batch });
        }
        // Places are kept as u32 further on.
        let len = dims.iter().try_fold(1usize, |a, &n| a.checked_mul(n)).filter(|&n| u32::try_from(n).is_ok());
        let len = len.ok_or_else(wrong)?;
        let all = len.checked_mul(batch).ok_or_else(wrong)?;
        let data = output.data.get(..all).ok_or_else(wrong)?;
        data.get(index * len..(index + 1) * len).ok_or_else(wrong)
    }
}

/// One picture's share of each output, in the order of the family's file.
#[derive(Debug)]
pub(super) struct Parts<'a>([&'a [f32]; MAX_OUTPUTS]);

impl<'a> Parts<'a> {
    /// Looks the outputs up by name and cuts out the picture at `index`.
    pub(super) fn find(specs: &[OutputSpec], outputs: &[TensorView<'a>], index: usize) -> Result<Self, HeadError> {
        let mut parts = [&[][..]; MAX_OUTPUTS];
        for (part, spec) in parts.iter_mut().zip(specs) {
            *part = spec.part(outputs, index)?;
        }
        Ok(Self(parts))
    }
}

impl<'a> std::ops::Index<usize> for Parts<'a> {
    type Output = &'a [f32];

    fn index(&self, place: usize) -> &Self::Output {
        &self.0[place]
    }
}

/// The place of the output with this name in the graph.
pub(super) fn place_of(outputs: &[DeclaredOutput], name: &str) -> Result<usize, HeadError> {
    outputs.iter().position(|(n, _)| n == name).ok_or_else(|| HeadError::MissingOutput {
        name: name.to_owned(),
        found: names(outputs.iter().map(|(n, _)| n.as_str())),
    })
}

/// Fails unless both sides of the input are multiples of `step`, and at least one step long.
pub(super) fn sides_in_steps(family: Family, size: Size, step: u32, needs: &'static str) -> Result<(), HeadError> {
    let fits = |side: u32| side > 0 && side.is_multiple_of(step);
    if fits(size.width) && fits(size.height) { Ok(()) } else { Err(HeadError::Input { family, size, needs }) }
}

fn declared(family: Family, name: &str, expected: &[Dim], found: &[Option<usize>]) -> HeadError {
    HeadError::DeclaredShape {
        family,
        name: name.to_owned(),
        expected: listed("batch".into(), expected.iter().map(ToString::to_string)),
        found: listed_all(found.iter().copied().map(show)),
    }
}

fn show(dim: Option<usize>) -> String {
    dim.map_or_else(|| "?".to_owned(), |n| n.to_string())
}

fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    all.collect::<Vec<_>>().join(", ")
}

fn listed(first: String, rest: impl Iterator<Item = String>) -> String {
    listed_all(std::iter::once(first).chain(rest))
}

fn listed_all(all: impl Iterator<Item = String>) -> String {
    format!("[{}]", all.collect::<Vec<_>>().join(", "))
}
