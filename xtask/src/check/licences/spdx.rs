//! Licence expressions: the part of SPDX 2.3, annex D, that packages use, and the older `MIT/Apache-2.0`.
//!
//! Not handled: `+` after a licence's name stays a part of the name, so `GPL-2.0+` is a name of its own.

use std::fmt;
use std::iter::Peekable;
use std::vec::IntoIter;

/// A licence expression.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expression {
    Licence {
        name: String,
        exception: Option<String>,
    },
    /// The user keeps the terms of both.
    And(Box<Expression>, Box<Expression>),
    /// The user chooses one.
    Or(Box<Expression>, Box<Expression>),
}

/// Why a licence is not known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SpdxError {
    /// The manifest names none.
    Missing,
    /// Ends where a licence, an exception or a parenthesis is due.
    Ends,
    /// Has this word where it makes no sense.
    Unexpected(String),
}

impl fmt::Display for SpdxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "no licence expression"),
            Self::Ends => write!(f, "the licence expression ends too early"),
            Self::Unexpected(word) => write!(f, "unexpected {word:?} in the licence expression"),
        }
    }
}

impl Expression {
    /// Reads an expression. `WITH` binds closest, then `AND`, then `OR` and `/`.
    pub(super) fn parse(text: &str) -> Result<Self, SpdxError> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let words: Vec<String> = spaced.split_whitespace().map(str::to_owned).collect();
        let mut words = words.into_iter().peekable();
        let expression = either(&mut words)?;
        words.next().map_or(Ok(expression), |word| Err(SpdxError::Unexpected(word)))
    }

    /// Whether the terms can be kept by accepting only the licences that `accepts` takes, with their exceptions.
    pub(super) fn is_satisfied(&self, accepts: &dyn Fn(&str, Option<&str>) -> bool) -> bool {
        match self {
            Self::Licence { name, exception } => accepts(name, exception.as_deref()),
            Self::And(left, right) => left.is_satisfied(accepts) && right.is_satisfied(accepts),
            Self::Or(left, right) => left.is_satisfied(accepts) || right.is_satisfied(accepts),
        }
    }
}

type Words = Peekable<IntoIter<String>>;

fn either(words: &mut Words) -> Result<Expression, SpdxError> {
    let mut left = both(words)?;
    while words.next_if(|word| word == "OR").is_some() {
        left = Expression::Or(Box::new(left), Box::new(both(words)?));
    }
    Ok(left)
}

fn both(words: &mut Words) -> Result<Expression, SpdxError> {
    let mut left = one(words)?;
    while words.next_if(|word| word == "AND").is_some() {
        left = Expression::And(Box::new(left), Box::new(one(words)?));
    }
    Ok(left)
}

fn one(words: &mut Words) -> Result<Expression, SpdxError> {
    if words.next_if(|word| word == "(").is_some() {
        let inside = either(words)?;
        let closing = words.next().ok_or(SpdxError::Ends)?;
        return if closing == ")" { Ok(inside) } else { Err(SpdxError::Unexpected(closing)) };
    }
    let name = name(words)?;
    let exception = if words.next_if(|word| word == "WITH").is_some() { Some(self::name(words)?) } else { None };
    Ok(Expression::Licence { name, exception })
}

fn name(words: &mut Words) -> Result<String, SpdxError> {
    let word = words.next().ok_or(SpdxError::Ends)?;
    if matches!(word.as_str(), "(" | ")" | "AND" | "OR" | "WITH") { Err(SpdxError::Unexpected(word)) } else { Ok(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether an expression can be kept with A, B and X-exception.
    fn fits(text: &str) -> bool {
        let accepts = |name: &str, exception: Option<&str>| {
            matches!(name, "A" | "B") && matches!(exception, None | Some("X-exception"))
        };
        Expression::parse(text).expect("an expression").is_satisfied(&accepts)
    }

    #[test]
    fn one_of_a_choice_is_enough() {
        assert!(fits("A") && fits("A OR C") && fits("C/B") && fits("C OR (C OR A)"));
        assert!(!fits("C") && !fits("C OR C") && !fits("C/C"));
    }

    #[test]
    fn all_of_a_conjunction_are_needed() {
        assert!(fits("A AND B") && fits("(A OR C) AND B"));
        assert!(!fits("A AND C") && !fits("(A OR B) AND C"));
    }

    #[test]
    fn and_binds_closer_than_or() {
        assert!(fits("A OR C AND C") && !fits("(A OR C) AND C") && fits("C AND C OR A"));
    }

    #[test]
    fn exceptions_count() {
        assert!(fits("A WITH X-exception AND B") && !fits("A WITH Y-exception"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "A OR", "A B", "(A", "A)", "AND A", "A WITH", "A WITH (B)", "()"] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }
}
