//! The conformance suite: every sentence of the ports' comments that a store can break, as a test.
//!
//! A backend implements [`TestStore`] and writes, in its tests:
//!
//! ```text
//! async fn fresh() -> MyTestStore { ... }
//! audit_store::conformance_tests!(fresh);
//! ```
//!
//! which makes one `#[tokio::test]` of each case. Each case begins with an empty store and quotes the sentence it proves.
//! Cases that commit deliver twice, with a kill between the commit and the settling of its delivery.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test suite: a broken expectation is its answer"
)]

pub mod alerts;
pub mod books;
pub mod commits;
pub mod config;
pub mod dead_letters;
pub mod leases;
pub mod ledgers;
pub mod outbox;
pub mod reads;
pub mod sample;
pub mod scene;
pub mod search;
pub mod search_pages;

use async_trait::async_trait;

use crate::Store;

/// A store under test, and what the suite does to it from outside.
#[async_trait]
pub trait TestStore: Send {
    /// Its ports, as of the last [`Self::crash`].
    fn store(&self) -> Store;

    /// Kills the process (or what stands for it) without any orderly end, and opens what is left: what a commit returned
    /// for must be there, what it did not return for must be there whole or not at all. Leases stay as they were.
    async fn crash(&mut self);

    /// Lets time pass on the clock by which the store judges leases, cooldowns, escalations and what is held or put off. Times
    /// that stand already (when something was written) need not move.
    async fn pass(&mut self, micros: i64);
}

/// Makes one `#[tokio::test]` of each case; `$make` is an async function that gives an empty [`TestStore`].
///
/// The caller's crate needs `tokio` with `macros` and `rt`.
#[macro_export]
macro_rules! conformance_tests {
    ($make:path) => {
        $crate::conformance_tests! { @cases $make;
            alerts::an_alert_is_kept_once_and_changed_by_version,
            alerts::alerts_of_one_write_are_compared_by_themselves,
            alerts::of_those_who_write_the_same_version_one_wins,
            alerts::of_a_group_one_is_told_within_its_cooldown,
            alerts::of_new_alerts_at_once_one_is_told_within_the_cooldown,
            alerts::alerts_are_listed_newest_first_by_filter_and_page,
            alerts::scopes_keep_alerts_of_organizations_apart,
            alerts::alerts_are_counted_by_rule_level_and_state,
            alerts::open_alerts_are_escalated_when_their_time_has_come,
            alerts::pages_and_texts_of_alerts_have_bounds,
            books::receipts_are_found_and_summed,
            books::a_frame_has_one_receipt,
            books::cursors_move_and_start_at_zero,
            books::runs_are_replaced_and_the_newest_hundred_stay,
            books::api_keys_are_kept_and_revoked_once,
            books::the_deployment_id_is_written_once,
            config::versions_of_a_configuration_follow_each_other,
            config::a_watched_version_is_rolled_back_once,
            config::of_two_who_publish_a_configuration_one_wins,
            config::reports_and_versions_of_configurations_are_kept_and_bounded,
            commits::a_commit_is_durable_and_delivered_again_stores_nothing,
            commits::a_commit_of_books_alone_leaves_the_head,
            commits::an_event_that_is_stored_already_takes_the_whole_commit_back,
            commits::a_receipt_that_is_stored_already_takes_the_whole_commit_back,
            commits::another_epoch_fences_the_commit,
            commits::a_released_lease_fences_the_commit,
            commits::a_head_that_moved_refuses_the_commit,
            commits::parts_that_contradict_each_other_are_refused,
            commits::a_closed_ledger_takes_no_commit,
            commits::a_dropped_commit_happens_whole_or_not_at_all,
            commits::the_same_id_in_another_organization_or_at_another_time_is_another_event,
            commits::a_probe_writes,
            dead_letters::a_dead_letter_lives_from_commit_to_purge,
            dead_letters::dead_letters_are_listed_by_filter_and_page,
            leases::a_lease_excludes_others_until_it_runs_out,
            leases::each_acquisition_has_a_new_epoch,
            leases::a_renewed_lease_lasts_its_full_time,
            leases::a_released_lease_is_free_at_once,
            leases::a_lease_survives_a_crash,
            leases::a_ledger_that_takes_no_entries_is_not_leased,
            ledgers::ledgers_are_listed_with_the_directory_last,
            ledgers::opening_a_ledger_again_changes_nothing,
            ledgers::chunks_are_read_from_the_one_that_contains_a_leaf,
            ledgers::tiles_are_read_in_order,
            ledgers::proofs_are_computed_from_tiles,
            ledgers::control_documents_are_read_in_order,
            ledgers::checkpoints_keep_one_root_a_size,
            ledgers::a_diverged_ledger_stays_readable,
            outbox::a_handler_hears_of_a_group_in_order,
            outbox::what_is_taken_is_held_until_its_time_runs_out,
            outbox::of_those_who_take_at_once_each_gets_something_else,
            outbox::what_is_put_off_holds_its_group_back_and_no_other,
            outbox::what_is_given_up_is_kept_and_can_be_revived,
            outbox::whose_hold_ran_out_decides_nothing,
            outbox::a_handler_has_each_key_once,
            outbox::resolved_alerts_are_forgotten_with_their_deliveries,
            outbox::the_outbox_says_how_it_stands,
            outbox::a_dropped_write_of_an_alert_happens_whole_or_not_at_all,
            reads::identities_are_found_with_their_claims,
            reads::events_are_read_by_id_within_the_scope,
            reads::rows_are_read_back_as_committed,
            reads::canonical_bytes_survive_storage,
            reads::reused_ids_are_reported_with_all_addresses,
            search::every_filter_finds_exactly_what_it_names,
            search::filters_hold_together,
            search::details_are_matched_by_path_and_exact_value,
            search::text_is_found_once_it_is_indexed,
            search::scopes_keep_organizations_apart,
            search_pages::pages_follow_each_other_in_both_orders,
            search_pages::pages_stay_stable_while_events_arrive,
            search_pages::equal_times_are_paged_by_id_and_organization,
            search_pages::limits_are_checked,
        }
    };
    (@cases $make:path; $($area:ident :: $case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::conformance::$area::$case(&mut $make().await).await;
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    /// A case that is written and not listed would never run.
    #[test]
    fn every_case_is_in_the_list() {
        let list = include_str!("conformance.rs");
        let areas = [
            ("alerts", include_str!("conformance/alerts.rs")),
            ("books", include_str!("conformance/books.rs")),
            ("commits", include_str!("conformance/commits.rs")),
            ("config", include_str!("conformance/config.rs")),
            ("dead_letters", include_str!("conformance/dead_letters.rs")),
            ("leases", include_str!("conformance/leases.rs")),
            ("ledgers", include_str!("conformance/ledgers.rs")),
            ("outbox", include_str!("conformance/outbox.rs")),
            ("reads", include_str!("conformance/reads.rs")),
            ("search", include_str!("conformance/search.rs")),
            ("search_pages", include_str!("conformance/search_pages.rs")),
        ];
        for (area, source) in areas {
            let cases = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn "));
            let names: Vec<_> = cases.filter_map(|case| case.split('(').next()).collect();
            assert!(!names.is_empty(), "{area} has no case");
            for name in names {
                assert!(
                    list.contains(&format!("{area}::{name},")),
                    "{area}::{name} is not listed"
                );
            }
        }
    }
}
