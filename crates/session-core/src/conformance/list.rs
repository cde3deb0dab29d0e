//! The names of all promises. A promise that is listed here is tested on every store.

/// Calls `$each!` with `[$context]` and the promises of every store.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_promises {
    (($($each:tt)+), $context:tt) => {
        $($each)+! { $context
            load_finds_what_insert_stored
            load_of_an_absent_key_is_none
            load_changes_nothing
            insert_refuses_a_taken_key
            insert_answers_a_revision_for_the_next_update
            of_many_concurrent_inserts_exactly_one_wins
            update_replaces_bytes_and_expiry
            update_with_the_same_bytes_is_done
            update_answers_a_revision_for_the_next_one
            update_at_a_stale_revision_is_refused
            update_at_the_revision_of_a_former_record_is_refused
            update_at_an_invented_revision_changes_nothing
            update_never_revives_a_deleted_record
            update_leaves_other_records_alone
            delete_ends_a_record
            delete_succeeds_if_there_is_nothing
            insert_may_reuse_a_deleted_key
            delete_leaves_other_records_alone
            a_record_is_found_until_its_time
            a_record_with_little_time_left_can_be_changed_and_ended
            insert_goes_by_what_is_found_and_by_no_clock
            update_goes_by_what_is_found_and_by_no_clock
            delete_goes_by_what_is_found_and_by_no_clock
            a_record_written_after_its_time_is_that_or_absent
            update_keeps_a_record_beyond_its_first_time
            an_expiry_is_told_as_it_was_given
            an_expiry_beyond_30_days_survives
            an_expiry_beyond_2038_survives
            an_expiry_in_the_year_2200_survives
            every_byte_value_survives
            an_empty_record_survives
            a_record_of_the_limit_survives
            two_prefixes_do_not_see_each_other
            keys_are_compared_byte_by_byte
            every_graphic_character_is_legal_in_a_key
            the_longest_key_works
            update_racing_delete_never_leaves_a_record
            of_many_updates_at_one_revision_exactly_one_wins
            concurrent_updates_account_exactly
            a_second_handle_sees_the_same_records
            debug_shows_no_key_and_no_bytes
            a_dropped_future_disturbs_no_other_call
        }
    };
}

/// Calls `$each!` with `[$context]` and the promises of stores that can list an owner's sessions.
#[doc(hidden)]
#[macro_export]
macro_rules! __owner_promises {
    (($($each:tt)+), $context:tt) => {
        $($each)+! { $context
            a_store_that_can_list_offers_its_index
            owned_by_lists_an_owners_records_and_no_others
            a_record_is_listed_under_both_of_its_names
            a_page_gives_the_head_of_each_record
            a_page_keeps_to_its_limit
            pages_miss_no_record_while_others_change
            a_record_inserted_before_the_first_page_is_never_missing
            an_entry_moves_to_a_later_time
            an_entry_moves_to_an_earlier_time
            an_update_changes_the_index_by_its_entry_alone
            an_overtaken_update_ends_no_entry
            a_refused_write_ends_no_entry
            a_key_used_again_is_listed_again
            dead_entries_do_not_pile_up
            a_dropped_page_disturbs_no_other_call
            owners_of_two_prefixes_are_two_owners
        }
    };
}

/// Calls `$each!` with `[$context]` and the promises of stores that must be swept.
#[doc(hidden)]
#[macro_export]
macro_rules! __sweep_promises {
    (($($each:tt)+), $context:tt) => {
        $($each)+! { $context
            sweep_removes_what_is_past_its_time_and_nothing_else
            sweep_keeps_to_its_limit
            sweep_is_done_when_nothing_is_left
            sweep_before_any_time_has_passed_removes_none
            sweep_spares_what_is_written_beside_it
        }
    };
}

/// Calls `$each!` with `[$context]` and the promises of stores whose records can all be read.
#[doc(hidden)]
#[macro_export]
macro_rules! __scan_promises {
    (($($each:tt)+), $context:tt) => {
        $($each)+! { $context
            a_store_that_can_be_scanned_offers_it
            a_scan_finds_the_records_of_its_prefix_and_no_others
            a_scan_gives_the_head_of_each_record
            a_page_of_a_scan_keeps_to_its_limit
            a_scan_misses_no_record_while_others_change
            a_dropped_page_of_a_scan_disturbs_no_other_call
        }
    };
}

/// One test for each promise.
#[doc(hidden)]
#[macro_export]
macro_rules! __promise_tests {
    ([$open:expr, $except:expr] $($promise:ident)+) => {
        $(
            #[::core::prelude::v1::test]
            fn $promise() {
                $crate::conformance::check(::core::stringify!($promise), $except, async {
                    let fixture = $open.await;
                    $crate::conformance::$promise(&fixture).await;
                });
            }
        )+
    };
}

/// The names of the promises, as text.
macro_rules! names {
    ([] $($promise:ident)+) => {
        &[$(stringify!($promise)),+]
    };
}
pub(super) use names;
