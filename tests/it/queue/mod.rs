//! The contract of the queue, written once, run through the client against the embedded server and
//! against LocalStack; then what the embedded server does beyond it.

mod contract;
mod crash;
mod faults;
mod harness;
mod kill;
mod limits;
mod time;
mod wire;

/// Makes `embedded::NAME` and `localstack::NAME` of every test of the contract.
macro_rules! on_both {
    ($($test:ident)+) => {
        on_both!(@one embedded $($test)+);
        on_both!(@one localstack $($test)+);
    };
    (@one $server:ident $($test:ident)+) => {
        mod $server {
            use super::{contract, harness};
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let server = harness::$server().await;
                contract::$test(&server).await;
                server.finish().await;
            })+
        }
    };
}

on_both! {
    a_message_comes_back_as_it_was_sent
    deleting_twice_succeeds_and_garbage_is_given_up
    entries_of_a_batch_are_judged_alone_and_answered_in_order
    visibility_zero_gives_the_message_to_the_next
    a_superseded_receipt_settles_nothing
    a_waiting_receive_wakes_on_arrival
    a_waiting_receive_wakes_when_a_lease_lapses
    a_waiting_receive_wakes_when_a_delay_ends
    an_empty_queue_answers_when_the_wait_is_over
    depths_tell_waiting_from_in_flight_and_delayed
    too_many_receives_make_a_dead_letter
    a_dead_letter_wakes_who_waits_for_it
    large_messages_go_in_several_calls
    a_missing_queue_is_refused_by_code
    nothing_asked_is_nothing_sent
}
