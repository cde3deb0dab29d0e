//! The names of all promises: a promise that is listed here reaches every store.

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
            insert_may_reuse_an_expired_key
            insert_answers_a_revision_for_the_next_update
            of_many_concurrent_inserts_exactly_one_wins
            update_replaces_payload_and_expiry
            update_answers_a_revision_for_the_next_one
            update_at_a_stale_revision_is_refused
            update_at_the_revision_of_a_former_record_is_refused
            update_at_an_invented_revision_changes_nothing
            update_never_revives_a_deleted_record
            update_never_revives_an_expired_record
            update_leaves_other_records_alone
            touch_extends_a_record
            touch_shortens_a_record
            touch_into_the_past_ends_a_record
            touch_refuses_an_absent_key
            touch_never_revives_a_deleted_record
            touch_never_revives_an_expired_record
            touch_keeps_payload_and_revision
            touch_leaves_other_records_alone
            delete_ends_a_record
            delete_succeeds_if_there_is_nothing
            insert_may_reuse_a_deleted_key
            delete_leaves_other_records_alone
            a_record_is_absent_from_the_instant_it_ends
            a_record_written_after_its_end_is_absent
            an_expiry_is_kept_to_the_second_and_never_later
            an_expiry_beyond_30_days_survives
            an_expiry_beyond_2038_survives
            an_expiry_in_the_year_2200_survives
            every_byte_value_survives
            an_empty_payload_survives
            the_largest_payload_survives
            a_payload_over_the_limit_leaves_the_old_one
            two_prefixes_do_not_see_each_other
            keys_are_compared_byte_by_byte
            every_graphic_character_is_legal_in_a_key
            the_longest_key_works
            update_racing_delete_never_leaves_a_record
            touch_racing_delete_never_leaves_a_record
            touch_racing_update_loses_neither
            of_many_updates_at_one_revision_exactly_one_wins
            concurrent_updates_account_exactly
            a_second_handle_sees_the_same_records
            debug_shows_no_key_and_no_payload
            a_dropped_future_disturbs_no_other_call
        }
    };
}

/// Calls `$each!` with `[$context]` and the promises of stores that can name an owner's sessions.
#[doc(hidden)]
#[macro_export]
macro_rules! __owner_promises {
    (($($each:tt)+), $context:tt) => {
        $($each)+! { $context
            owned_by_lists_an_owners_records_and_no_others
            owned_by_gives_what_load_gives
            a_record_inserted_before_the_call_is_never_missing
            an_ended_record_leaves_its_owners_list
            an_owners_list_heals
            a_replaced_record_stays_in_its_owners_list
            a_touched_record_stays_in_its_owners_list
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
            sweep_removes_the_expired_and_keeps_the_live
            sweep_keeps_to_its_limit
            sweep_of_live_records_removes_none
            sweep_spares_what_is_written_beside_it
        }
    };
}

/// One test for each promise.
#[doc(hidden)]
#[macro_export]
macro_rules! __promise_tests {
    ([$open:expr] $($promise:ident)+) => {
        $(
            #[test]
            fn $promise() {
                $crate::conformance::run(async {
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
