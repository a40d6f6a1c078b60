//! TOML text to nodes.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use crate::node::{Broken, DEPTH_MAX, Member, Node, Raw};

/// Reads a whole document.
pub(crate) fn parse(text: &str) -> Result<Node, Broken> {
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        // The message is one of the parser's own sentences; only its `Display` quotes the line.
        Broken::new(at, format!("not TOML: {}", error.message().trim_end()))
    })?;
    Ok(Node {
        at: 0,
        raw: table(document.get_ref(), 0, 1)?,
    })
}

/// Members in the order of the text; the parser's own order is that of the names.
fn table(members: &DeTable<'_>, at: usize, depth: usize) -> Result<Raw, Broken> {
    if depth > DEPTH_MAX {
        return Err(Broken::too_deep(at));
    }
    let members = members.iter().map(|(name, member)| {
        Ok(Member {
            name: name.get_ref().to_string(),
            at: name.span().start,
            node: value(member, depth + 1)?,
        })
    });
    let mut members = members.collect::<Result<Vec<_>, _>>()?;
    members.sort_by_key(|member| member.at);
    Ok(Raw::Table(members))
}

fn value(value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Broken> {
    let at = value.span().start;
    let raw = match value.get_ref() {
        DeValue::String(text) => Raw::Text(Zeroizing::new(text.to_string())),
        DeValue::Integer(digits) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix());
            Raw::Number(number.map_or_else(|_| digits.as_str().to_owned(), |n| n.to_string()))
        }
        DeValue::Float(digits) => Raw::Number(digits.as_str().to_owned()),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Datetime(_) => Raw::Date,
        DeValue::Table(members) => table(members, at, depth)?,
        DeValue::Array(_) if depth > DEPTH_MAX => return Err(Broken::too_deep(at)),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| self::value(item, depth + 1));
            Raw::List(items.collect::<Result<_, _>>()?)
        }
    };
    Ok(Node { at, raw })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_and_name_knows_its_place() {
        let text =
            "b = 0x1_0\n\n[queue]\nurl = \"x\" # why\nlist = [1.5, {c = true}]\nday = 2026-01-02\n";
        let Ok(Node {
            raw: Raw::Table(members),
            ..
        }) = parse(text)
        else {
            panic!("no table");
        };
        assert!(matches!(&members[0].node.raw, Raw::Number(digits) if digits == "16"));
        let Raw::Table(queue) = &members[1].node.raw else {
            panic!("no table");
        };
        let names: Vec<_> = queue.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["url", "list", "day"]);
        assert_eq!(&text[queue[0].at..queue[0].at + 3], "url");
        assert_eq!(&text[queue[0].node.at..queue[0].node.at + 3], "\"x\"");
        assert!(matches!(queue[2].node.raw, Raw::Date));
    }

    #[test]
    fn what_is_no_toml_says_where_and_nothing_of_it() {
        for text in [
            "a = hunter2",
            "hunter2",
            "a = \"hunter2",
            "a=1\na=\"hunter2\"",
            "hunter2 = 1\nhunter2.b = 1",
        ] {
            let broken = parse(text).err().expect("broken");
            assert!(!broken.reason.contains("hunter2"), "{broken:?}");
        }
        assert!(parse(&format!("a = {}", "[".repeat(10_000))).is_err());
    }
}
