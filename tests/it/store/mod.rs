//! The contract of the store, written once, run against both databases.

mod budget_sums;
mod budgets;
mod claims;
mod dead_letters;

mod erasing;
mod fixtures;
mod forgetting;
pub(crate) mod harness;
mod hostile;
mod journal;
mod ledger;
mod long;
mod outages;
mod outbox;
mod parking;
mod races;
mod rates;
mod records;
mod schema;
mod server;
mod settlements;
mod similar;
mod upgrade;
mod without_schema;

/// Makes `sqlite::NAME` and `postgres::NAME` of every test.
macro_rules! on_both {
    ($kind:ident: $($file:ident { $($test:ident)+ })+) => {
        on_both!(@one sqlite $kind: $($file { $($test)+ })+);
        on_both!(@one postgres $kind: $($file { $($test)+ })+);
    };
    (@one $database:ident $kind:ident: $($file:ident { $($test:ident)+ })+) => {
        mod $database {
            $(mod $file {
                use super::super::harness;
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let harness = harness::$kind::$database().await;
                    super::super::$file::$test(&harness).await;
                    harness.finish().await;
                })+
            })+
        }
    };
}

on_both! { Harness:
    claims {
        new_keys_are_mine_in_the_order_asked
        nothing_to_claim_is_no_work
        every_state_has_its_answer
        a_wait_that_has_passed_is_mine_with_its_counters
        a_lapsed_claim_is_taken_over
        a_start_without_an_end_is_suspect
        only_deaths_alone_count_and_each_once
        a_start_is_recorded_only_under_the_ticket
        extending_is_fenced
        a_sealed_message_is_known_once_it_was_claimed
    }
    settlements {
        done_writes_every_kind_of_row
        who_lost_the_ticket_writes_nothing
        a_group_commits_its_members_and_not_the_lost_one
        panics_are_failures_and_counted_apart
        handed_back_is_claimable_at_once_and_uncounted
        every_verdict_says_that_its_ticket_settled
        the_past_is_told_in_order
        many_events_may_touch_one_entity
    }
    parking {
        the_stored_event_comes_back_when_due
        an_unclaimed_wake_is_sent_again_later
        wakes_are_limited_and_each_is_given_once
        a_redelivered_wake_takes_over_a_lapsed_claim
        a_wake_that_must_be_tried_again_is_not_acknowledged
        wakes_for_others_are_nothing
        a_duplicate_of_a_parked_event_waits_with_it
    }
    journal {
        a_call_is_sent_then_answered
        an_attempt_begins_once
        a_reserved_call_is_sent_within_its_time
        what_lapsed_is_given_up_or_told
        a_reserved_call_can_end_unsent
        an_equal_question_finds_the_newest_good_answer
        finishing_twice_changes_nothing
        an_unknown_fate_is_charged_once
        a_failed_call_has_a_ledger_row_only_when_billed
        the_journal_is_not_fenced
        an_answer_can_be_rejected
        burying_an_unusable_answer_rejects_it
    }
    budgets {
        a_strict_budget_has_room_or_not
        within_a_batch_the_earlier_call_is_served_first
        a_call_without_a_price_needs_a_soft_budget
        a_soft_budget_only_counts
        both_periods_are_checked
        what_is_held_becomes_what_is_charged_once
        money_of_the_dead_is_given_back
        a_call_is_charged_where_it_was_set_aside
        a_changed_limit_keeps_what_is_spent
        a_changed_time_zone_takes_along_what_is_spent
        alerts_are_told_once_for_each_level
        several_levels_at_once_are_told_each
        a_budget_can_be_removed
        a_changed_limit_wakes_who_waits_for_it
        an_impossible_budget_is_refused
        thirty_two_at_once_never_go_over
        alerts_are_told_once_by_many
    }
    budget_sums {
        any_order_of_calls_adds_up
    }
    ledger {
        rows_come_back_as_they_were
        pages_follow_one_another
        usage_is_told_by_prompt
        only_rows_without_a_cost_are_priced
    }
    rates {
        a_bucket_gives_what_is_there
        what_was_not_used_is_given_back
        a_changed_limit_counts_at_once
        several_stores_take_no_more_than_there_is
        buckets_at_rest_are_forgotten
        long_names_of_buckets_stay_distinct
    }
    similar {
        what_was_stored_later_can_be_left_out
        the_nearest_come_first
        only_comparable_items_are_found
        a_later_vector_stands_in_for_an_earlier_one
        hostile_items_come_back
        any_vectors_are_ordered_as_by_plain_arithmetic
    }
    outbox {
        a_command_is_taken_once_with_all_that_it_says
        a_lane_keeps_its_order_and_lanes_go_side_by_side
        the_limit_is_kept
        heads_that_failed_for_good_do_not_block
        what_must_not_be_sent_is_dropped
        an_opt_out_stops_also_what_a_person_wrote
        a_refused_command_is_a_dead_letter_of_its_own
        lapsed_messages_are_unknown_and_harmless_ones_go_again
        settling_twice_changes_nothing
        the_end_of_an_older_try_changes_nothing
        what_an_older_try_has_sent_is_sent
        a_person_resolves_the_unknown
        a_status_settles_the_unknown_as_sent
        a_status_before_our_commit_is_linked_later
        a_pause_holds_back_a_sender
        a_pause_holds_back_what_is_planned_while_it_lasts
        lists_are_newest_first_and_by_state
        unknown_ids_are_ignored
        eight_senders_take_each_command_once
    }
    dead_letters {
        a_buried_event_is_kept_whole
        a_second_burial_only_raises_seen
        the_same_delivery_twice_in_one_burial
        filters_narrow_the_list
        a_replayed_event_starts_afresh
        buried_again_after_a_replay_is_another_letter
        a_replayed_delivery_goes_back_on_the_queue
        copies_and_requeues_go_side_by_side
        a_replayed_command_is_carried_out_again_alone
    }
    records {
        the_greater_version_wins
        ties_are_compared_byte_by_byte
        opting_out_is_a_property
        a_conversation_keeps_its_newest_message_and_reading
        a_message_is_stored_once_as_it_was
        automatic_replies_can_be_switched
        reported_usage_is_one_ledger_row
        usage_sums_are_exact
        any_order_of_changes_ends_the_same
        a_delivery_only_moves_forward
        every_channel_and_state_of_a_delivery_is_kept
        a_result_says_what_made_it_and_how_good_it_is
    }
    erasing {
        nx_59_nothing_of_an_erased_person_is_left
        nx_59_others_and_what_is_newer_stay
        nx_59_whoever_works_on_it_loses_its_ticket
        nx_59_an_erased_dead_letter_is_not_replayed
        nx_59_what_comes_late_is_not_taken_in
        an_erased_call_gives_its_money_back_or_is_charged
    }
    forgetting {
        old_keys_are_forgotten_with_their_events
        a_key_without_a_time_is_known_for_good
        what_is_not_done_or_not_old_stays
        windows_of_long_ago_are_forgotten
    }
    schema {
        a_missing_step_is_behind
        a_newer_step_is_foreign
        a_changed_step_is_foreign
        a_fresh_database_is_empty_and_answers
        a_closed_store_says_so
    }
    hostile {
        hostile_text_comes_back_as_it_was
        long_values_are_kept_whole
        a_nul_becomes_a_replacement_mark
        a_nul_can_be_buried_and_replayed
        a_failed_call_with_any_detail_is_recorded
        times_beyond_the_calendar_do_not_wedge
    }
    long {
        long_names_of_contacts_are_found_again
        long_ids_of_records_stay_distinct
        long_lanes_and_persons_are_served
        long_ids_of_dead_letters_are_found_again
        a_long_seal_is_known_again
    }
    races {
        each_of_two_hundred_keys_is_claimed_once
        a_lapsed_claim_has_one_heir
        a_wake_has_one_owner
        groups_that_touch_the_same_rows_lose_nothing
        rivals_for_one_ticket_commit_once
        a_lane_planned_again_while_it_is_taken_has_one_under_way
    }
}

mod empty {
    on_both! { Empty:
        schema {
            an_empty_database_is_behind
            two_migrators_at_once_apply_once
        }
        upgrade {
            a_filled_database_keeps_its_calls_and_commands
        }
    }
    use super::{harness, schema, upgrade};
}
