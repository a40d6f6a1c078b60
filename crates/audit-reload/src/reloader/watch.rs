//! Watching a version, and concluding.

use std::time::Duration;

use audit_store::config::VERSIONS_KEPT;
use audit_store::{
    ConfigReport, ConfigState, ConfigTaken, ConfigVersion, NewConfigVersion, StoreError,
};
use serde_json::Value as Json;

use super::{Reloader, State};
use crate::history::chapters;

impl Reloader {
    /// Looks whether the newest version hurts, and concludes when it is time.
    pub(super) async fn watch(
        &self,
        state: &mut State,
        newest: &ConfigVersion,
    ) -> Result<(), StoreError> {
        let ConfigState::Watched(left) = newest.state else {
            if state.number == newest.number && state.watching.is_some() {
                self.settle(state).await;
            }
            return Ok(());
        };
        if let Some((number, concern)) = &mut state.watching
            && *number == newest.number
            && let Some(fault) = concern.look(self.parts.target.components())
        {
            self.say(state, newest.number, ConfigTaken::Failed, &fault)
                .await?;
        }
        let reports = state.versions.reports(newest.number).await?;
        let failed = reports
            .iter()
            .find(|report| report.taken == ConfigTaken::Failed);
        let concluded = match failed {
            Some(report) => self.roll_back(state, newest, report).await?,
            None if left.is_zero() => state.versions.confirm(newest.number).await?,
            None => return Ok(()),
        };
        if concluded {
            self.remember_from(state, newest.number).await?;
        }
        if concluded && failed.is_none() && state.number == newest.number {
            self.settle(state).await;
        }
        Ok(())
    }

    async fn roll_back(
        &self,
        state: &State,
        newest: &ConfigVersion,
        report: &ConfigReport,
    ) -> Result<bool, StoreError> {
        let versions = state.versions.list(VERSIONS_KEPT).await?;
        let before = versions.iter().find(|version| {
            version.number < newest.number && version.state == ConfigState::InForce
        });
        // The very first is never watched, so there is one; without it nothing could be brought back.
        let Some(before) = before else {
            return Ok(false);
        };
        let reason = format!("{}: {}", report.process, report.detail);
        tracing::error!(
            version = newest.number,
            reason,
            to = before.number,
            "configuration rolled back"
        );
        let instead = NewConfigVersion {
            after: newest.number,
            sha256: before.sha256,
            source: before.source.clone(),
            source_version: before.source_version.clone(),
            by: self.parts.process.clone(),
            restores: Some(before.number),
            changes: reversed(&newest.changes),
            watch: Duration::ZERO,
        };
        state.versions.roll_back(&reason, &instead).await
    }

    /// Remembers to tell what became of a version, and what came of it.
    async fn remember_from(&self, state: &mut State, number: u64) -> Result<(), StoreError> {
        let newest = state.versions.list(2).await?;
        for version in newest.iter().rev().filter(|found| found.number >= number) {
            state.remember(chapters(&self.parts.config, version));
        }
        Ok(())
    }
}

/// The same changes, back.
fn reversed(changes: &str) -> String {
    let Ok(Json::Array(mut changes)) = serde_json::from_str(changes) else {
        return "[]".to_owned();
    };
    for change in changes.iter_mut().filter_map(Json::as_object_mut) {
        let (before, after) = (change.remove("before"), change.remove("after"));
        change.extend(after.map(|value| ("before".to_owned(), value)));
        change.extend(before.map(|value| ("after".to_owned(), value)));
    }
    Json::Array(changes).to_string()
}
