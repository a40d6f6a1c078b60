//! What Redis does with what it acknowledges.

use audit_queue::Durability;
use deadpool_redis::redis::{Cmd, cmd};

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// How safe that is.
    pub durability: Durability,
    /// Why it may lose what it acknowledged; empty when it does not.
    pub doubts: String,
}

/// What a Redis has to be set to, so that an acknowledged frame is on its disk and stays there.
const DURABLE: [(&str, &str); 3] = [
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("maxmemory-policy", "noeviction"),
];

impl Promise {
    pub(crate) fn question() -> Cmd {
        let mut question = cmd("CONFIG");
        question.arg("GET");
        DURABLE.iter().for_each(|(name, _)| _ = question.arg(*name));
        question
    }

    /// Names and values, one after the other.
    pub(crate) fn of_config(answer: &[String]) -> Self {
        let value = |wanted: &str| {
            let pairs = answer.chunks_exact(2);
            let mut found = pairs.filter_map(|pair| match pair {
                [name, value] if name == wanted => Some(value.as_str()),
                _ => None,
            });
            found.next().unwrap_or("not said")
        };
        let doubts: Vec<String> = DURABLE
            .iter()
            .filter(|(name, wanted)| value(name) != *wanted)
            .map(|(name, wanted)| format!("{name} is {}, not {wanted}", value(name)))
            .collect();
        let durability = if doubts.is_empty() {
            Durability::Fsynced
        } else {
            Durability::Buffered
        };
        Self {
            durability,
            doubts: doubts.join(", "),
        }
    }

    /// It may not be asked, as with many who rent out a Redis.
    pub(crate) fn unknown(why: &str) -> Self {
        Self {
            durability: Durability::Buffered,
            doubts: format!("its settings cannot be read ({why})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: [&str; 3], durability: Durability, doubts: &str) {
        let answer: Vec<String> = DURABLE
            .iter()
            .zip(values)
            .flat_map(|((name, _), value)| [(*name).to_owned(), value.to_owned()])
            .collect();
        let promise = Promise::of_config(&answer);
        assert_eq!((promise.durability, &*promise.doubts), (durability, doubts));
    }

    #[test]
    fn only_all_three_settings_make_it_durable() {
        check(["yes", "always", "noeviction"], Durability::Fsynced, "");
        check(
            ["no", "always", "noeviction"],
            Durability::Buffered,
            "appendonly is no, not yes",
        );
        check(
            ["yes", "everysec", "allkeys-lru"],
            Durability::Buffered,
            "appendfsync is everysec, not always, maxmemory-policy is allkeys-lru, not noeviction",
        );
        assert_eq!(Promise::of_config(&[]).durability, Durability::Buffered);
    }
}
