//! Many managers on one repository, judged by etcd's own history.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use futures::future::join_all;

use crate::support::{Cluster, Race};

const MANAGERS: usize = 8;
const RUNS: i64 = 200;

/// Rounds of the race: as many as `RACE_ROUNDS` says, or few enough for every test run.
fn rounds() -> usize {
    std::env::var("RACE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_managers_keep_the_limit_and_the_order() {
    let server = Cluster::start(1);
    for round in 0..rounds() {
        let race = Race::new(&format!("ns/round-{round}"), RUNS);
        let mut racers = Vec::new();
        for number in 0..MANAGERS {
            let driver = server.connect().await;
            racers.push(tokio::spawn(race.clone().work(driver, format!("racer-{number}"))));
        }
        join_all(racers).await.into_iter().for_each(|racer| racer.unwrap());
        race.judge(&mut server.client().await).await;
    }
}
