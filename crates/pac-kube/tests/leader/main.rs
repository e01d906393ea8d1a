//! Who leads, and for how long: candidates for one Lease, on a clock that only goes on when nobody has anything to do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod server;

use std::time::Duration;

use pac_kube::leader::{Fitness, LEASE_NAME, is_vacant};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use self::server::{Contender, FIT, LEASE, LOOK, RENEWED_FOR, Server, Way, event, pass};

const UNFIT: Fitness = Fitness { can_admit: false, is_alone: false };

/// One that leads, and one that has stood by for a while.
async fn leader_and_standby(server: &Server) -> (Contender, Contender) {
    let mut leader = server.contender("leader");
    leader.becomes(true).await;
    let standby = server.contender("standby");
    // Between two renewals.
    pass(LEASE * 2 + LOOK / 2).await;
    (leader, standby)
}

#[tokio::test(start_paused = true)]
async fn a_standby_leaves_a_leader_that_lives_alone() {
    let server = Server::default();
    let (leader, standby) = leader_and_standby(&server).await;
    pass(LEASE * 100).await;
    assert!(leader.leads() && !standby.leads());
    assert!(!leader.leading.has_changed().unwrap() && !standby.leading.has_changed().unwrap(), "for a moment, even");
    assert_eq!((server.holder().as_deref(), server.transitions()), (Some("leader"), 1));
    let lease = server.lease().unwrap();
    let spec = lease.spec.unwrap();
    assert_eq!((lease.metadata.name.as_deref(), spec.lease_duration_seconds), (Some(LEASE_NAME), Some(15)));
    assert!(spec.renew_time.unwrap().0 > spec.acquire_time.unwrap().0, "since when it leads stays");
}

#[tokio::test(start_paused = true)]
async fn of_those_that_begin_at_once_one_leads() {
    let server = Server::default();
    let contenders: Vec<_> = (0..5).map(|number| server.contender(&format!("contender-{number}"))).collect();
    pass(LEASE * 3).await;
    assert_eq!(contenders.iter().filter(|contender| contender.leads()).count(), 1);
    let ever = contenders.iter().filter(|contender| contender.leading.has_changed().unwrap()).count();
    assert_eq!((ever, server.transitions()), (1, 1), "for a moment, even");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_gone_is_waited_for_as_long_as_its_lease_lasts() {
    let server = Server::default();
    let (leader, mut standby) = leader_and_standby(&server).await;
    leader.kill();
    let took = standby.becomes(true).await;
    assert!(took > LEASE - LOOK * 2 && took < LEASE + LOOK, "{took:?}");
    assert_eq!(server.holder().as_deref(), Some("standby"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_resigns_is_followed_at_the_next_look() {
    let server = Server::default();
    let (leader, mut standby) = leader_and_standby(&server).await;
    leader.over.cancel();
    let took = standby.becomes(true).await;
    assert!(took <= LOOK && !leader.leads(), "{took:?}");
}

/// However the way to the API server fails, and whenever it gets worse.
#[tokio::test(start_paused = true)]
async fn a_leader_that_can_not_renew_stops_before_another_may_lead() {
    for refused_for in (0..24).map(|halves| Duration::from_millis(halves * 500)) {
        let server = Server::default();
        let (mut leader, mut standby) = leader_and_standby(&server).await;
        let Contender { leading, way, .. } = &mut leader;
        way.send_replace(Way::Refused);
        let gets_worse = async {
            pass(refused_for).await;
            way.send_replace(Way::Silent);
        };
        let stops = async {
            let stopped = timeout(LEASE * 2, leading.wait_for(|leads| !leads)).await;
            assert!(stopped.is_ok(), "it leads for good");
            Instant::now()
        };
        let takes_over = async {
            standby.becomes(true).await;
            Instant::now()
        };
        let ((), stopped, taken_over) = tokio::join!(gets_worse, stops, takes_over);
        assert!(stopped + LOOK / 2 <= taken_over, "{refused_for:?}: {:?}", stopped.duration_since(taken_over));
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hears_nothing_stops_in_time() {
    // Who is refused looks at the clock at the next try.
    for (way, most) in [(Way::Refused, RENEWED_FOR + LOOK), (Way::Silent, RENEWED_FOR)] {
        let server = Server::default();
        let (mut leader, _standby) = leader_and_standby(&server).await;
        leader.way.send_replace(way);
        let took = leader.becomes(false).await;
        assert!(took <= most, "others may lead after {LEASE:?}, and it led for {took:?}");
        // It leads again if it is the first to be heard.
        leader.way.send_replace(Way::Open);
        leader.becomes(true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_can_not_admit_gives_way() {
    let server = Server::default();
    let (mut leader, mut standby) = leader_and_standby(&server).await;
    leader.fit.send_replace(UNFIT);
    let took = leader.becomes(false).await;
    assert!(took > LEASE / 3 - LOOK && took < LEASE / 3 + LOOK, "{took:?}");
    let took = standby.becomes(true).await;
    assert!(took <= LOOK, "{took:?}");
    // Fit again it stands by.
    leader.fit.send_replace(FIT);
    pass(LEASE * 3).await;
    assert!(!leader.leads() && standby.leads());
}

/// What it has in hand nobody else knows of: it may take effect as long as the Lease lasts (P1).
#[tokio::test(start_paused = true)]
async fn a_leader_alone_with_its_memory_that_can_not_admit_lets_its_lease_run_out() {
    let server = Server::default();
    let (mut leader, mut standby) = leader_and_standby(&server).await;
    leader.fit.send_replace(Fitness { can_admit: false, is_alone: true });
    leader.becomes(false).await;
    let took = standby.becomes(true).await;
    assert!(took > LEASE - 2 * LOOK && took <= LEASE + LOOK, "{took:?}");
    // Where nobody else leads, it is seen to be nobody's (`is_vacant`).
    let server = Server::default();
    let mut alone = server.contender("alone");
    alone.becomes(true).await;
    alone.fit.send_replace(Fitness { can_admit: false, is_alone: true });
    alone.becomes(false).await;
    let (_way, passage) = watch::channel(Way::Open);
    let client = server.client(passage);
    assert!(!is_vacant(&client, "pipelines-as-code").await, "P1");
    pass(LEASE + LOOK * 2).await;
    assert!(is_vacant(&client, "pipelines-as-code").await);
}

/// A container is begun again under the same name, and its process number is 1 again.
#[tokio::test(start_paused = true)]
async fn the_next_process_of_a_container_leads_at_once_unless_the_memory_of_the_last_was_all_there_is() {
    for (is_alone, least, most) in [(false, Duration::ZERO, LOOK), (true, LEASE - LOOK, LEASE + LOOK)] {
        let server = Server::default();
        let fit = Fitness { can_admit: true, is_alone };
        let mut first = server.contender("it");
        first.fit.send_replace(fit);
        first.becomes(true).await;
        first.kill();
        let mut next = server.contender("it");
        next.fit.send_replace(fit);
        let took = next.becomes(true).await;
        assert!(took >= least && took <= most, "P1: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_can_not_admit_for_a_moment_leads_on() {
    let server = Server::default();
    let (leader, standby) = leader_and_standby(&server).await;
    for _ in 0..10 {
        leader.fit.send_replace(UNFIT);
        pass(LEASE / 5).await;
        leader.fit.send_replace(FIT);
        pass(LOOK * 2).await;
    }
    assert!(leader.leads() && !leader.leading.has_changed().unwrap() && !standby.leads());
}

#[tokio::test(start_paused = true)]
async fn who_can_not_admit_does_not_stand() {
    let server = Server::default();
    let mut unfit = server.contender("unfit");
    unfit.fit.send_replace(UNFIT);
    pass(LEASE * 2).await;
    assert!(!unfit.leads() && server.lease().is_none());
    unfit.fit.send_replace(FIT);
    let took = unfit.becomes(true).await;
    assert!(took < LOOK, "{took:?}");
}

/// A watcher that comes back under its name needn't wait for itself.
#[tokio::test(start_paused = true)]
async fn a_lease_of_ones_own_is_taken_at_once() {
    let server = Server::default();
    let (leader, standby) = leader_and_standby(&server).await;
    leader.kill();
    let mut again = server.contender("leader");
    let took = again.becomes(true).await;
    assert!(took < LOOK && !standby.leads(), "{took:?}");
    assert_eq!(server.transitions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_watches_follows_at_once() {
    let server = Server::watched();
    let (leader, mut standby) = leader_and_standby(&server).await;
    // The watch ends as the server's do whose history is gone; it is begun again at the next look.
    let begun =
        server.tell(&event("ERROR", json!({"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410})));
    pass(LOOK * 2).await;
    assert_eq!(server.tell(&event("ADDED", json!(server.lease()))), begun + 1);
    pass(LOOK / 4).await;
    leader.over.cancel();
    let took = standby.becomes(true).await;
    assert!(took < LOOK / 4, "{took:?}");
    assert_eq!(server.transitions(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_nobodys_once_its_leader_gave_it_up() {
    let server = Server::default();
    let (way, passage) = watch::channel(Way::Open);
    let client = server.client(passage);
    assert!(!is_vacant(&client, "pipelines-as-code").await, "nobody ever led: nobody could say that somebody gave way");
    let mut leader = server.contender("leader");
    leader.becomes(true).await;
    assert!(!is_vacant(&client, "pipelines-as-code").await);
    leader.over.cancel();
    leader.running.await.unwrap();
    assert!(is_vacant(&client, "pipelines-as-code").await);
    way.send_replace(Way::Silent);
    assert!(!is_vacant(&client, "pipelines-as-code").await, "no answer is none");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_changes_while_it_is_given_up_is_given_up_all_the_same() {
    for (codes, left, took_at_most) in [(&[409, 409][..], 0, LOOK), (&[500, 500], 1, LEASE + LOOK)] {
        let server = Server::default();
        let (leader, mut standby) = leader_and_standby(&server).await;
        server.refuse(codes);
        leader.over.cancel();
        leader.running.await.unwrap();
        assert_eq!(server.refusals_left(), left, "a renewal may take effect late; another error is left");
        server.refuse(&[]);
        let took = standby.becomes(true).await;
        assert!(took <= took_at_most && (codes[0] == 409 || took > LOOK), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_finds_the_lease_changed_ends_leadership_and_one_that_fails_does_not() {
    let server = Server::default();
    let (mut leader, _standby) = leader_and_standby(&server).await;
    server.refuse(&[500]);
    pass(LOOK * 2).await;
    assert!(leader.leads() && !leader.leading.has_changed().unwrap(), "it has its lease");
    server.refuse(&[409]);
    let took = leader.becomes(false).await;
    assert!(took <= LOOK, "{took:?}: somebody else wrote");
}

#[tokio::test(start_paused = true)]
async fn a_question_without_an_answer_is_asked_again() {
    let server = Server::default();
    let mut contender = server.contender("contender");
    contender.way.send_replace(Way::Silent);
    pass(LOOK / 2).await;
    contender.way.send_replace(Way::Open);
    let took = contender.becomes(true).await;
    assert!(took <= RENEWED_FOR / 2 + LOOK, "{took:?}");
}
