//! From what the script answers to deliveries, and back to what settling needs.

use audit_queue::{Batch, Delivery, Payload, SourcePosition};

/// Name of the form of a list worker's item.
const FORM: &str = "list_worker";

/// As `receive.lua` answers: name of the batch, first index, deliveries so far, when Redis took it, the items.
pub(super) type Answer = (String, u64, u64, i64, Vec<Option<Vec<u8>>>);

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
    /// The batch, and its deliveries. `queue` makes the position unique among queues; an item over `bytes_max` is no event.
    pub(super) fn read(answer: Answer, queue: &str, bytes_max: usize) -> (Self, Vec<Delivery>) {
        let (name, from, deliveries, received_micros, items) = answer;
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
            payload: payload(bytes, bytes_max, received_micros),
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

fn payload(bytes: Vec<u8>, bytes_max: usize, received_micros: i64) -> Payload {
    if bytes.len() > bytes_max {
        let detail = format!("the item has {} bytes, more than {bytes_max}", bytes.len());
        return Payload::Refused {
            bytes,
            detail,
            received_micros,
        };
    }
    Payload::Foreign {
        form: FORM,
        bytes,
        received_micros,
    }
}
