//! What is asked of the events.

use std::str::FromStr;

/// Which events, and where among them to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Ids of streams; all where empty.
    pub streams: Vec<String>,
    /// Names of classes; all where empty.
    pub classes: Vec<String>,
    /// Those that ended then or later, in milliseconds since 1970.
    pub from: Option<i64>,
    /// Those that ended before that.
    pub to: Option<i64>,
    /// At most so many.
    pub limit: usize,
    /// Those after this one, which is where the last page ended.
    pub cursor: Option<Cursor>,
}

impl Default for Query {
    fn default() -> Self {
        Self { streams: Vec::new(), classes: Vec::new(), from: None, to: None, limit: 50, cursor: None }
    }
}

/// A place between two events: after the one that has this time and id. It stays the same place whatever comes and goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When that event ended, in milliseconds since 1970.
    pub ended_at: i64,
    /// Its id.
    pub id: String,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}", self.ended_at, self.id)
    }
}

/// Text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the next of an earlier answer")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        const LONGEST: usize = 200;
        let (ended_at, id) = text.split_once('_').ok_or(NoCursor)?;
        let fits = !id.is_empty() && id.len() <= LONGEST && !id.contains('\0');
        match ended_at.parse() {
            Ok(ended_at) if fits => Ok(Self { ended_at, id: id.to_owned() }),
            _ => Err(NoCursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor { ended_at: 1_763_700_000_123, id: "a_b.c-1-7".to_owned() };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "_", "1_", "x_a", "1.5_a", "1", "1_\0"] {
            assert_eq!(bad.parse::<Cursor>(), Err(NoCursor), "{bad}");
        }
    }
}
