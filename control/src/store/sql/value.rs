//! What goes into statements and what comes out of rows, whichever store they are of.

use std::borrow::Cow;

/// A value of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Value<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Cow<'_, str>> for Value<'a> {
    fn from(text: &'a Cow<'_, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Value<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<i64> for Value<'_> {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl From<bool> for Value<'_> {
    fn from(yes: bool) -> Self {
        Self::Integer(yes.into())
    }
}

impl From<u64> for Value<'_> {
    /// Versions, lengths and limits: nothing gets to 2^63, and nothing is above it.
    fn from(integer: u64) -> Self {
        Self::Integer(i64::try_from(integer).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value<'_> {
    fn from(integer: usize) -> Self {
        Self::from(integer as u64)
    }
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// Of a type that no table of the store has.
    Other,
}

impl From<Value<'_>> for Cell {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(integer) => Self::Integer(integer),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

impl Cell {
    pub(in crate::store) fn as_value(&self) -> Option<Value<'_>> {
        match self {
            Self::Null => Some(Value::Null),
            Self::Integer(integer) => Some(Value::Integer(*integer)),
            Self::Text(text) => Some(Value::Text(text)),
            Self::Bytes(bytes) => Some(Value::Bytes(bytes)),
            Self::Other => None,
        }
    }
}

/// What a column can be read as; `None` when it holds something else.
pub(in crate::store) trait FromCell: Sized {
    fn from_cell(cell: Cell) -> Option<Self>;
}

impl FromCell for String {
    fn from_cell(cell: Cell) -> Option<Self> {
        if let Cell::Text(text) = cell { Some(text) } else { None }
    }
}

impl FromCell for Vec<u8> {
    fn from_cell(cell: Cell) -> Option<Self> {
        if let Cell::Bytes(bytes) = cell { Some(bytes) } else { None }
    }
}

impl FromCell for i64 {
    fn from_cell(cell: Cell) -> Option<Self> {
        if let Cell::Integer(integer) = cell { Some(integer) } else { None }
    }
}

impl FromCell for u64 {
    fn from_cell(cell: Cell) -> Option<Self> {
        i64::from_cell(cell)?.try_into().ok()
    }
}

impl FromCell for u32 {
    fn from_cell(cell: Cell) -> Option<Self> {
        i64::from_cell(cell)?.try_into().ok()
    }
}

impl FromCell for bool {
    fn from_cell(cell: Cell) -> Option<Self> {
        i64::from_cell(cell).map(|integer| integer != 0)
    }
}

impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(cell: Cell) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            cell => T::from_cell(cell).map(Some),
        }
    }
}

/// What a row can be read as: the type of its column, a tuple of those of its columns, or the cells themselves.
pub(in crate::store) trait FromRow: Sized {
    fn from_row(cells: Vec<Cell>) -> Option<Self>;
}

impl<T: FromCell> FromRow for T {
    fn from_row(cells: Vec<Cell>) -> Option<Self> {
        let [cell] = <[Cell; 1]>::try_from(cells).ok()?;
        T::from_cell(cell)
    }
}

impl<A: FromCell, B: FromCell> FromRow for (A, B) {
    fn from_row(cells: Vec<Cell>) -> Option<Self> {
        let [a, b] = <[Cell; 2]>::try_from(cells).ok()?;
        Some((A::from_cell(a)?, B::from_cell(b)?))
    }
}

impl<A: FromCell, B: FromCell, C: FromCell> FromRow for (A, B, C) {
    fn from_row(cells: Vec<Cell>) -> Option<Self> {
        let [a, b, c] = <[Cell; 3]>::try_from(cells).ok()?;
        Some((A::from_cell(a)?, B::from_cell(b)?, C::from_cell(c)?))
    }
}

impl<A: FromCell, B: FromCell, C: FromCell, D: FromCell> FromRow for (A, B, C, D) {
    fn from_row(cells: Vec<Cell>) -> Option<Self> {
        let [a, b, c, d] = <[Cell; 4]>::try_from(cells).ok()?;
        Some((A::from_cell(a)?, B::from_cell(b)?, C::from_cell(c)?, D::from_cell(d)?))
    }
}

/// A row of a table that is copied as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Cells(pub(in crate::store) Vec<Cell>);

impl FromRow for Cells {
    fn from_row(cells: Vec<Cell>) -> Option<Self> {
        Some(Self(cells))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_what_they_are() {
        let text = || Cell::Text("a".to_owned());
        assert_eq!(<(String, u64)>::from_row(vec![text(), Cell::Integer(7)]), Some(("a".to_owned(), 7)));
        assert_eq!(<(String, u64)>::from_row(vec![text(), Cell::Integer(-1)]), None);
        assert_eq!(<(String, String)>::from_row(vec![text()]), None);
        assert_eq!(String::from_row(vec![Cell::Null]), None);
        assert_eq!(Option::<String>::from_row(vec![Cell::Null]), Some(None));
        assert_eq!(bool::from_row(vec![Cell::Integer(1)]), Some(true));
        assert_eq!(Vec::<u8>::from_row(vec![text()]), None);
        assert_eq!(Cells::from_row(vec![Cell::Null]), Some(Cells(vec![Cell::Null])));
    }
}
