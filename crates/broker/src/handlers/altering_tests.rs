//! Lists to which configurations add, and from which they take.

use super::*;
use levee_base::Clock;
use std::time::Duration;

#[test]
fn a_value_is_taken_from_a_list_as_often_as_it_is_named() {
    assert_eq!(without(vec!["a", "b", "a", "c", "a"], "a,d,a"), ["b", "c", "a"]);
    assert_eq!(with(vec!["a", "a"], "b,a,b,c"), ["a", "a", "b", "c"]);
}

#[test]
fn long_lists_take_time_by_their_length_and_not_by_its_square() {
    let long: Vec<String> = (0..100_000).map(|number| format!("a value of a list {number}")).collect();
    let value = long.join(",");
    let clock = Clock::system();
    let began = clock.now();
    let all = with(Vec::new(), &value);
    assert_eq!(all, long);
    let reversed: Vec<&str> = all.iter().rev().copied().collect();
    assert_eq!(without(reversed, &value), [""; 0]);
    assert!(topic_configs::check("cleanup.policy", Some(&value)).is_err());
    // By the square it is a minute and more.
    let took = clock.now() - began;
    assert!(took < Duration::from_secs(10), "{took:?}");
}
