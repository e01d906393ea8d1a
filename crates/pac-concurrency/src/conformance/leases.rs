//! Terms of holders: renewed, lapsed, ended, and slots that outlive them.

use super::{Suite, assert_stored, eventually, hold, load};
use crate::{Driver, Holder, Renewal, RepositoryKey, Version};

/// Whether `driver` shows the term of `holder` as lasting.
async fn lasts(driver: &dyn Driver, holder: &Holder) -> bool {
    driver.holders().await.unwrap().contains(holder)
}

async fn lapsed(driver: &dyn Driver, repository: &RepositoryKey) -> Vec<bool> {
    load(driver, repository).await.slots.values().map(|slot| slot.lapsed).collect()
}

pub(super) async fn a_lease_is_renewed(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    suite.one().commit(&repository, Version::NONE, &holder, &hold([1])).await.unwrap();
    // Twice its time to live, renewed every quarter of it: it must never be seen lapsed.
    for _ in 0..8 {
        tokio::time::sleep(suite.one().lease_ttl() / 4).await;
        assert_eq!(suite.one().renew(&holder).await.unwrap(), Renewal::Renewed);
        assert_eq!(lapsed(suite.other(), &repository).await, [false]);
    }
}

pub(super) async fn a_lapsed_lease_frees_no_slot(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    suite.one().commit(&repository, Version::NONE, &holder, &hold([1])).await.unwrap();
    let patience = suite.one().lease_ttl() * 4;
    assert!(
        eventually(patience, async || lapsed(suite.other(), &repository).await == [true]).await,
        "P6: it never lapsed"
    );
    assert_stored(suite.other(), &repository, &[1], &[]).await;
    assert!(!lasts(suite.other(), &holder).await);
    assert_eq!(suite.one().renew(&holder).await.unwrap(), Renewal::Lost, "an old term came back to life");
    assert_eq!(lapsed(suite.other(), &repository).await, [true]);
}

pub(super) async fn an_ended_term_stays_ended(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    suite.one().commit(&repository, Version::NONE, &holder, &hold([1])).await.unwrap();
    assert!(lasts(suite.other(), &holder).await, "a term that lasts is seen by others");
    suite.one().end(&holder).await.unwrap();
    suite.one().end(&holder).await.unwrap();
    assert!(!lasts(suite.other(), &holder).await);
    assert_eq!(lapsed(suite.other(), &repository).await, [true]);
    assert_eq!(suite.one().renew(&holder).await.unwrap(), Renewal::Lost);
    let never_begun = Holder::new("never-begun");
    assert_eq!(suite.one().renew(&never_begun).await.unwrap(), Renewal::Lost);
    suite.one().end(&never_begun).await.unwrap();
}

pub(super) async fn a_claim_changes_the_holder_alone(suite: Suite) {
    let (repository, dead, living) = (suite.repository(), suite.holder().await, suite.holder().await);
    let version = suite.one().commit(&repository, Version::NONE, &dead, &hold([1, 2])).await.unwrap();
    suite.one().end(&dead).await.unwrap();
    suite.other().commit(&repository, version, &living, &hold([1])).await.unwrap();
    let slots = load(suite.one(), &repository).await.slots;
    let ownership: Vec<_> = slots.values().map(|slot| (slot.holder.clone(), slot.lapsed)).collect();
    assert_eq!(ownership, [(living, false), (dead, true)]);
    assert_stored(suite.one(), &repository, &[1, 2], &[]).await;
}

pub(super) async fn one_lease_stands_behind_all_slots_of_a_holder(suite: Suite) {
    let holder = suite.holder().await;
    let repositories: Vec<_> = (0..5).map(|_| suite.repository()).collect();
    for repository in &repositories {
        suite.one().commit(repository, Version::NONE, &holder, &hold([1, 2])).await.unwrap();
    }
    suite.other().end(&holder).await.unwrap();
    for repository in &repositories {
        assert_eq!(lapsed(suite.one(), repository).await, [true, true]);
    }
}
