//! JSON values that lose nothing: exact numbers, members in canonical order.

use std::cmp::Ordering;

use crate::number::Number;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// null
    Null,
    /// true or false
    Bool(bool),
    /// An exact decimal.
    Number(Number),
    /// Text without U+0000 and without lone surrogates.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
}

impl Value {
    /// The text, when it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The object, when it is one.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// What kind of JSON value it is, for messages.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(Number::from(number))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Number::from(number))
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

/// Members sorted by the UTF-16 code units of their names, each name once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object(Vec<(String, Value)>);

impl Object {
    /// No members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From members in any order.
    ///
    /// # Errors
    /// A name that stands twice.
    pub(crate) fn from_members(members: Vec<(String, Value)>) -> Result<Self, String> {
        // Nearly all names are ASCII, whose order is that of memory; asking once is cheaper than at every comparison.
        if members.iter().all(|(name, _)| name.is_ascii()) {
            Self::sorted(members, |a, b| a.cmp(b))
        } else {
            Self::sorted(members, utf16_order)
        }
    }

    fn sorted(
        mut members: Vec<(String, Value)>,
        order: impl Fn(&str, &str) -> Ordering,
    ) -> Result<Self, String> {
        if !members.is_sorted_by(|(a, _), (b, _)| order(a, b) == Ordering::Less) {
            members.sort_unstable_by(|(a, _), (b, _)| order(a, b));
            let twice = members.windows(2).find_map(|pair| match pair {
                [(a, _), (b, _)] if a == b => Some(a.clone()),
                _ => None,
            });
            if let Some(name) = twice {
                return Err(name);
            }
        }
        Ok(Self(members))
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let at = self.position(name).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// A member: its own name, and its value.
    #[must_use]
    pub fn get_entry(&self, name: &str) -> Option<(&str, &Value)> {
        let at = self.position(name).ok()?;
        self.0.get(at).map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there is such a member.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_ok()
    }

    /// Sets a member; returns what was there.
    pub fn insert(&mut self, name: impl Into<String>, value: Value) -> Option<Value> {
        let name = name.into();
        match self.position(&name) {
            Ok(at) => self
                .0
                .get_mut(at)
                .map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.position(name).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Members in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        // Beside an ASCII name the two orders are one: they differ only where both names have a byte beyond ASCII.
        if name.is_ascii() {
            let name = name.as_bytes();
            let order = |(other, _): &(String, Value)| other.as_bytes().cmp(name);
            return self.0.binary_search_by(order);
        }
        self.0
            .binary_search_by(|(other, _)| utf16_order(other, name))
    }
}

/// The members themselves, in canonical order.
impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A name given twice keeps its last value.
impl<N: Into<String>> FromIterator<(N, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(members: I) -> Self {
        let mut object = Self::new();
        for (name, value) in members {
            object.insert(name, value);
        }
        object
    }
}

/// Orders by UTF-16 code units without converting.
///
/// UTF-8 bytes order by code point. That differs from UTF-16 only where one character is in U+E000..=U+FFFF (lead
/// byte 0xEE or 0xEF) and the other beyond U+FFFF (lead byte 0xF0 or more, in UTF-16 a surrogate below U+E000).
/// Both lead bytes are larger than every continuation byte, so the first difference shows the case.
pub(crate) fn utf16_order(a: &str, b: &str) -> Ordering {
    // Nearly every name is ASCII, and comparing memory is fast.
    if a.is_ascii() && b.is_ascii() {
        return a.cmp(b);
    }
    let (a, b) = (a.as_bytes(), b.as_bytes());
    match a.iter().zip(b).find(|(x, y)| x != y) {
        None => a.len().cmp(&b.len()),
        Some((0xEE..=0xEF, 0xF0..)) => Ordering::Greater,
        Some((0xF0.., 0xEE..=0xEF)) => Ordering::Less,
        Some((x, y)) => x.cmp(y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_utf16_order() {
        // RFC 8785 section 3.2.3, in its order.
        let names = [
            "\r",
            "1",
            "\u{80}",
            "\u{f6}",
            "\u{20ac}",
            "\u{1f600}",
            "\u{fb33}",
        ];
        let object: Object = names
            .iter()
            .rev()
            .map(|name| (*name, Value::Null))
            .collect();
        assert_eq!(
            object.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            names
        );
        assert!(names.iter().all(|name| object.contains(name)));
        assert!(!object.contains("2") && !object.contains("\u{fb34}"));
    }

    #[test]
    fn the_order_is_that_of_utf16_code_units() {
        let samples = [
            "",
            "a",
            "ab",
            "b",
            "é",
            "\u{d7ff}",
            "\u{e000}",
            "\u{ffff}",
            "\u{10000}",
            "\u{10ffff}",
            "x\u{fb33}",
            "x\u{1f600}y",
        ];
        for a in samples {
            for b in samples {
                assert_eq!(
                    utf16_order(a, b),
                    a.encode_utf16().cmp(b.encode_utf16()),
                    "{a:?} {b:?}"
                );
            }
        }
    }

    #[test]
    fn a_name_stands_once() {
        let mut object = Object::new();
        assert_eq!(object.insert("a", Value::Null), None);
        assert_eq!(object.insert("a", Value::Bool(true)), Some(Value::Null));
        assert_eq!(object.len(), 1);
        assert_eq!(object.get("a"), Some(&Value::Bool(true)));
        assert_eq!(object.get_entry("a"), Some(("a", &Value::Bool(true))));
        assert_eq!(object.get_entry("b"), None);
        assert_eq!(object.remove("a"), Some(Value::Bool(true)));
        assert!(object.is_empty());
        let twice = vec![
            ("b".to_owned(), Value::Null),
            ("a".to_owned(), Value::Null),
            ("b".to_owned(), Value::Null),
        ];
        assert_eq!(Object::from_members(twice), Err("b".to_owned()));
        let adjacent = vec![("b".to_owned(), Value::Null), ("b".to_owned(), Value::Null)];
        assert_eq!(Object::from_members(adjacent), Err("b".to_owned()));
    }
}
