//! From what the script answers to deliveries, and back to what settling needs.

use audit_queue::{Batch, Delivery, Payload, SourcePosition};

/// Name of the form of a list worker's item.
const FORM: &str = "list_worker";

/// As `receive.lua` answers: name of the batch, first index, deliveries so far, when Redis took it, the items, index and size of each
/// item that is over the limit, of which only the head is here.
pub(super) type Answer = (String, u64, u64, i64, Vec<Option<Vec<u8>>>, Vec<u64>);

/// A batch that we hold, as Redis knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    /// Its id and the index of its first item.
    pub(super) name: String,
    /// How often it was handed out, this time included: with the consumer's name it makes the batch ours.
    pub(super) deliveries: u64,
    from: u64,
    count: u64,
}

impl Taken {
    /// The batch, and its deliveries. `queue` makes the position unique among queues; an item over `bytes_max` was cut by the script.
    pub(super) fn read(answer: Answer, queue: &str, bytes_max: usize) -> (Self, Vec<Delivery>) {
        let (name, from, deliveries, received_micros, items, cut) = answer;
        let taken = Self {
            name,
            deliveries,
            from,
            count: items.len() as u64,
        };
        let redelivered = u32::try_from(deliveries.saturating_sub(1)).unwrap_or(u32::MAX);
        let missing = items.iter().filter(|item| item.is_none()).count();
        if missing > 0 {
            tracing::error!(batch = taken.name, missing, "redis lost items of a batch");
        }
        let delivery = |(index, bytes)| Delivery {
            source: SourcePosition(taken.position(queue, index)),
            redelivered,
            payload: match size_of_cut(&cut, index) {
                Some(size) => refused(bytes, size, bytes_max, received_micros),
                None => Payload::Foreign {
                    form: FORM,
                    bytes,
                    received_micros,
                },
            },
        };
        let items = (from..)
            .zip(items)
            .filter_map(|(index, item)| Some((index, item?)));
        let deliveries = items.map(delivery).collect();
        (taken, deliveries)
    }

    /// The same for ever: items keep the batch that took them, and their place in it.
    fn position(&self, queue: &str, index: u64) -> String {
        let (batch, _) = self.name.rsplit_once('/').unwrap_or((&self.name, ""));
        format!("list:{queue}:{batch}/{index}")
    }

    /// Indexes of what the receiver refused of it.
    pub(super) fn refused(&self, batch: &Batch, queue: &str) -> Vec<u64> {
        let mut indexes = Vec::with_capacity(batch.refused.len());
        for refused in &batch.refused {
            let SourcePosition(source) = &refused.source;
            let index = source.rsplit_once('/').and_then(|(_, at)| at.parse().ok());
            match index {
                Some(index)
                    if (self.from..self.from + self.count).contains(&index)
                        && *source == self.position(queue, index) =>
                {
                    indexes.push(index);
                }
                _ => tracing::error!(%source, batch = self.name, "refused and not of this batch"),
            }
        }
        indexes
    }
}

/// How large the item of this index is, if only its head is here.
fn size_of_cut(cut: &[u64], index: u64) -> Option<u64> {
    cut.chunks_exact(2).find_map(|pair| match pair {
        [at, size] if *at == index => Some(*size),
        _ => None,
    })
}

fn refused(head: Vec<u8>, size: u64, bytes_max: usize, received_micros: i64) -> Payload {
    let detail = format!(
        "the item has {size} bytes, more than {bytes_max}; here are its first {}",
        head.len()
    );
    Payload::Refused {
        bytes: head,
        detail,
        received_micros,
    }
}
