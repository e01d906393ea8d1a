//! Tests of what is told of troubles.

use super::*;

#[test]
fn a_problem_stays_until_it_is_over() {
    let health = Health::default();
    health.trouble(Part::Store, "connection refused");
    health.trouble(Part::Store, "connection refused");
    assert_eq!(health.problems_text(), ["store: connection refused"]);
    health.fine(Part::Store);
    health.fine(Part::Store);
    assert!(health.problems_text().is_empty() && health.is_ready());
    assert_eq!((health.overcome(Part::Store), health.overcome(Part::ApiServer)), (1, 0));
}

#[test]
fn a_failure_from_before_the_last_success_is_of_the_past() {
    let health = Health::default();
    let before = Instant::now();
    health.fine(Part::Store);
    health.trouble_of_call(Part::Store, before, "timed out");
    assert!(!health.is_troubled(Part::Store));
    health.trouble_of_call(Part::Store, Instant::now(), "connection refused");
    assert!(health.is_troubled(Part::Store));
}

#[test]
fn two_wordings_that_take_turns_are_each_read_once() {
    let mut problem = Problem::new("it broke".to_owned(), Instant::now());
    let mut comes = |why: &str, seconds| {
        let is_news = problem.again(why.to_owned(), Instant::now() + Duration::from_secs(seconds));
        (is_news, problem.why.clone())
    };
    assert_eq!(comes("refused", 1), (true, "refused".to_owned()));
    for seconds in 2..100 {
        assert_eq!(comes("it broke", seconds), (false, "refused".to_owned()));
        assert_eq!(comes("refused", seconds), (false, "refused".to_owned()));
    }
    assert_eq!(comes("it broke", 200), (false, "it broke".to_owned()), "what hasn't come for long is the past");
    assert_eq!(comes("another", 201), (true, "another".to_owned()));
}

#[test]
fn one_cause_of_several_parts_is_one_line() {
    let health = Health::default();
    health.trouble(Part::ApiServer, "connection refused");
    health.trouble(Part::RunWatch, "can't be listed: connection refused");
    health.trouble(Part::RepositoryWatch, "connection refused");
    health.trouble(Part::Store, "away");
    let parts = "API server, watch of PipelineRuns, watch of Repositories: connection refused";
    assert_eq!(health.problems_text(), ["store: away", parts]);
}

#[test]
fn one_of_many_that_fail_speaks_for_all() {
    let (health, began) = (Health::default(), Instant::now());
    health.trouble_of_one(Part::ApiServer, began, "a: no answer");
    health.trouble_of_one(Part::ApiServer, began, "b: no answer");
    assert_eq!(health.problems_text(), ["API server: a: no answer"]);
    health.fine_as_such(Part::ApiServer);
    assert!(health.is_troubled(Part::ApiServer), "that it answers others doesn't help this one");
    health.fine_of_one(Part::ApiServer);
    assert!(!health.is_troubled(Part::ApiServer));
    health.trouble(Part::ApiServer, "connection refused");
    health.fine_of_one(Part::ApiServer);
    assert!(health.is_troubled(Part::ApiServer));
    health.fine_as_such(Part::ApiServer);
    assert!(!health.is_troubled(Part::ApiServer));
}

#[test]
fn what_pacs_queue_has_is_shown_and_is_no_trouble() {
    let health = Health::default();
    health.note_drain(Some("PAC has 2 runs".to_owned()));
    assert!(health.is_ready());
    assert_eq!(health.problems_text(), ["PAC has 2 runs"]);
    health.note_drain(None);
    assert!(health.problems_text().is_empty());
}

#[test]
fn settings_that_are_not_in_force_are_shown_and_stop_nobody() {
    let health = Health::default();
    health.settings_not_in_force(NotInForce::Unusable, "a port that is none");
    assert_eq!(health.problems_text(), ["settings: a port that is none"]);
    assert!(health.is_ready() && health.is_not_in_force(NotInForce::Unusable));
    health.settings_in_force(NotInForce::Unusable);
    assert!(health.problems_text().is_empty());
}
