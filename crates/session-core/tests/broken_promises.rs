//! Each promise is broken once, and its test fails.

mod broken;

use std::{collections::BTreeSet, fs, path::Path};

use broken::{BrokenStore, Fault, LIMIT};
use session_core::conformance::{self, Fixture, OWNER_PROMISES, STORE_PROMISES, SWEEP_PROMISES};
use tokio::task::JoinSet;

macro_rules! faults {
    ($($promise:ident: $($fault:ident),+;)+) => {
        const PROMISES: &[&str] = &[$(stringify!($promise)),+];

        /// Runs each promise on a store with each of its faults; the answers are those that went unnoticed.
        async fn unnoticed() -> Vec<String> {
            let mut tests = JoinSet::new();
            $($(
                tests.spawn(async {
                    let fixture = Fixture::new(BrokenStore::new(Fault::$fault), LIMIT);
                    let test = tokio::spawn(async move { conformance::$promise(&fixture).await });
                    let noticed = test.await.is_err_and(|failed| failed.is_panic());
                    (!noticed).then(|| format!("{} with {:?}", stringify!($promise), Fault::$fault))
                });
            )+)+
            tests.join_all().await.into_iter().flatten().collect()
        }
    };
}

faults! {
    load_finds_what_insert_stored: InsertForgets, ExpiryIsRoundedUp;
    load_of_an_absent_key_is_none: LoadInvents;
    load_changes_nothing: LoadProlongs;
    insert_refuses_a_taken_key: InsertOverwrites;
    insert_may_reuse_an_expired_key: InsertSeesTheExpired;
    insert_answers_a_revision_for_the_next_update: InsertAnswersAWrongRevision;
    of_many_concurrent_inserts_exactly_one_wins: InsertChecksThenWrites, HandlesAreApart;
    update_replaces_payload_and_expiry: UpdateKeepsTheExpiry;
    update_answers_a_revision_for_the_next_one: UpdateAnswersTheOldRevision;
    update_at_a_stale_revision_is_refused: UpdateIgnoresTheRevision;
    update_at_the_revision_of_a_former_record_is_refused: UpdateCountsFromOneAgain;
    update_at_an_invented_revision_changes_nothing: UpdateIgnoresTheRevision;
    update_never_revives_a_deleted_record: UpdateUpserts;
    update_never_revives_an_expired_record: UpdateUpserts, UpdateIgnoresExpiry;
    update_leaves_other_records_alone: WritesSpill;
    touch_extends_a_record: TouchDoesNothing;
    touch_shortens_a_record: TouchOnlyExtends;
    touch_into_the_past_ends_a_record: TouchOnlyExtends;
    touch_refuses_an_absent_key: TouchCreates;
    touch_never_revives_a_deleted_record: TouchCreates;
    touch_never_revives_an_expired_record: TouchCreates, TouchIgnoresExpiry;
    touch_keeps_payload_and_revision: TouchRewrites;
    touch_leaves_other_records_alone: WritesSpill;
    delete_ends_a_record: DeleteDoesNothing;
    delete_succeeds_if_there_is_nothing: DeleteFailsOnAbsent;
    insert_may_reuse_a_deleted_key: DeleteKeepsTheKeyTaken;
    delete_leaves_other_records_alone: WritesSpill;
    a_record_is_absent_from_the_instant_it_ends: LoadIgnoresExpiry, ExpiryIsRoundedUp;
    a_record_written_after_its_end_is_absent: LoadIgnoresExpiry;
    an_expiry_is_kept_to_the_second_and_never_later: ExpiryIsRoundedUp;
    an_expiry_beyond_30_days_survives: ExpiryBeyond30DaysIsCut;
    an_expiry_beyond_2038_survives: ExpiryHas31Bits;
    an_expiry_in_the_year_2200_survives: ExpiryHas32Bits;
    every_byte_value_survives: PayloadEndsAtNul;
    an_empty_payload_survives: LoadTakesEmptyForAbsent;
    the_largest_payload_survives: PayloadIsTruncated;
    a_payload_over_the_limit_leaves_the_old_one: OversizeIsAccepted, OversizeEndsTheOldRecord;
    two_prefixes_do_not_see_each_other: PrefixIsIgnored;
    keys_are_compared_byte_by_byte: CaseIsIgnored;
    every_graphic_character_is_legal_in_a_key: KeysArePaths;
    the_longest_key_works: KeysAreCut;
    update_racing_delete_never_leaves_a_record: UpdateChecksThenWrites;
    touch_racing_delete_never_leaves_a_record: TouchReadsThenWrites;
    touch_racing_update_loses_neither: TouchReadsThenWrites;
    of_many_updates_at_one_revision_exactly_one_wins: UpdateChecksThenWrites;
    concurrent_updates_account_exactly: UpdateChecksThenWrites;
    a_second_handle_sees_the_same_records: HandlesAreApart;
    debug_shows_no_key_and_no_payload: DebugShowsAll;
    a_dropped_future_disturbs_no_other_call: LoadMixesAnswers;
    owned_by_lists_an_owners_records_and_no_others: IndexForgets, IndexIgnoresTheOwner;
    owned_by_gives_what_load_gives: IndexGivesNoPayload;
    a_record_inserted_before_the_call_is_never_missing: IndexReadsThenWrites;
    an_ended_record_leaves_its_owners_list: IndexKeepsTheEnded;
    an_owners_list_heals: IndexFillsUp;
    a_replaced_record_stays_in_its_owners_list: IndexGoesByTimeAlone;
    a_touched_record_stays_in_its_owners_list: IndexGoesByTimeAlone;
    owners_of_two_prefixes_are_two_owners: OwnerPrefixIsIgnored;
    sweep_removes_the_expired_and_keeps_the_live: SweepTakesTheLive, SweepMiscounts;
    sweep_keeps_to_its_limit: SweepIgnoresItsLimit;
    sweep_of_live_records_removes_none: SweepTakesTheLive;
    sweep_spares_what_is_written_beside_it: SweepChecksThenDeletes;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_promise_is_noticed() {
    assert_eq!(unnoticed().await, Vec::<String>::new());
}

#[test]
fn every_promise_is_broken_here_and_listed_for_the_stores() {
    let listed: BTreeSet<_> = [STORE_PROMISES, OWNER_PROMISES, SWEEP_PROMISES]
        .concat()
        .into_iter()
        .collect();
    assert_eq!(listed, PROMISES.iter().copied().collect());

    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
    let mut written = BTreeSet::new();
    for file in fs::read_dir(sources).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("pub async fn ") {
                written.insert(rest.split('<').next().unwrap().to_owned());
            }
        }
    }
    assert_eq!(listed, written.iter().map(String::as_str).collect());
}

mod with_a_fault_elsewhere {
    //! The scaffold of the broken store breaks nothing by itself.

    use super::*;

    fn open() -> Fixture<BrokenStore> {
        Fixture::new(BrokenStore::new(Fault::SweepMiscounts), LIMIT)
    }

    session_core::conformance_tests!(async { open() });
    session_core::owner_index_tests!(async { open() });
}
