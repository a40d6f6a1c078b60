//! How many bytes of request bodies are in memory at once, over all requests.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::HttpProblem;

/// Unit of the semaphore, so that its count fits a `u32`.
const UNIT: usize = 1 << 10;

/// The bytes there are. Cheap to clone; all clones are one budget.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
}

/// Bytes that one request holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            units: Arc::new(Semaphore::new(bytes / UNIT)),
        }
    }

    /// A request that holds nothing yet.
    pub(crate) fn holder(&self) -> Held {
        Held {
            budget: self.clone(),
            bytes: 0,
            permit: None,
        }
    }
}

impl Held {
    /// Holds so many more bytes.
    ///
    /// # Errors
    /// 503 when others hold them: waiting here would keep what this request holds already.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), HttpProblem> {
        let before = self.bytes.div_ceil(UNIT);
        self.bytes = self.bytes.saturating_add(bytes);
        let more = u32::try_from(self.bytes.div_ceil(UNIT) - before).unwrap_or(u32::MAX);
        if more == 0 {
            return Ok(());
        }
        let taken = Arc::clone(&self.budget.units).try_acquire_many_owned(more);
        let taken = taken.map_err(|_none_left| {
            HttpProblem::unavailable("too many bytes of other requests are in work; try again")
        })?;
        match &mut self.permit {
            Some(permit) => permit.merge(taken),
            None => self.permit = Some(taken),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_held_until_the_request_ends() {
        let budget = Budget::new(10 << 10);
        let (mut one, mut two) = (budget.holder(), budget.holder());
        assert!(one.grow(1).is_ok());
        assert!(one.grow(1_000).is_ok(), "still the first unit");
        assert_eq!(budget.units.available_permits(), 9);
        assert!(two.grow(9 << 10).is_ok());
        assert!(one.grow(1 << 10).is_err());
        drop(two);
        assert!(budget.holder().grow(9 << 10).is_ok());
    }
}
