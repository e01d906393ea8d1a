//! Terms of holders: a key of the holder's under an etcd lease of its own. A slot has lapsed when its holder's key is gone.

use std::time::Duration;

use etcd_client::{Error, GetOptions, LeaseGrantOptions, PutOptions};
use pac_concurrency::{DriverError, Holder, Renewal};

use crate::connect::Session;
use crate::error::{is_lease_gone, is_lease_there};
use crate::keys;
use crate::store::Store;

/// Grants the lease, then puts the key: a term whose key is there has a lease.
pub(crate) async fn begin(store: &Store, holder: &Holder, ttl: Duration) -> Result<(), DriverError> {
    let (id, seconds) = (lease_of(holder), seconds(ttl));
    let key = keys::holder(holder);
    let begun = store.cluster.write(|session| {
        let key = key.clone();
        async move {
            match session.leases().grant(seconds, Some(LeaseGrantOptions::new().with_id(id))).await {
                // Granted before, and the answer was lost: the term runs from now all the same.
                Err(error) if is_lease_there(&error) => drop(keep_alive(&session, id).await?),
                granted => drop(granted?),
            }
            session.kv().put(key, "", Some(PutOptions::new().with_lease(id))).await
        }
    });
    begun.await.map(drop)
}

/// Renews the lease, then looks whether the key is there: a lease alone is no term.
pub(crate) async fn renew(store: &Store, holder: &Holder) -> Result<Renewal, DriverError> {
    let (id, key) = (lease_of(holder), keys::holder(holder));
    let renewed = store.cluster.read(|session| {
        let key = key.clone();
        async move {
            if !keep_alive(&session, id).await? {
                return Ok(false);
            }
            let found = session.kv().get(key, None).await?;
            Ok(found.kvs().first().is_some_and(|key| key.lease() == id))
        }
    });
    Ok(if renewed.await? { Renewal::Renewed } else { Renewal::Lost })
}

/// Revokes the lease, and the key goes with it.
pub(crate) async fn end(store: &Store, holder: &Holder) -> Result<(), DriverError> {
    let id = lease_of(holder);
    let ended = store.cluster.write(|session| async move {
        match session.leases().revoke(id).await {
            Err(error) if is_lease_gone(&error) => Ok(()),
            revoked => revoked.map(drop),
        }
    });
    ended.await
}

/// Whose key is there, and so whose term lasts.
pub(crate) async fn holders(store: &Store) -> Result<Vec<Holder>, DriverError> {
    let found = store.cluster.read(|session| async move {
        let options = GetOptions::new().with_prefix().with_keys_only();
        session.kv().get(keys::HOLDERS, Some(options)).await
    });
    Ok(found.await?.kvs().iter().filter_map(|pair| keys::parse_holder(pair.key())).collect())
}

/// Whether the lease was there to be kept alive.
async fn keep_alive(session: &Session, id: i64) -> Result<bool, Error> {
    match session.leases().keep_alive(id).await {
        Ok(_) => Ok(true),
        Err(error) if is_lease_gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The id of a holder's lease: made of its name, so that whoever knows the holder finds the lease, and a term begun twice
/// has one. FNV-1a, which must stay as it is; that two of a cluster's leases meet is as unlikely as with ids by chance.
fn lease_of(holder: &Holder) -> i64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = holder.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, fold);
    // Positive, and not 0, which would ask etcd to choose.
    (hash >> 1).max(1).cast_signed()
}

/// Whole seconds are all etcd knows; and it raises what is too short for its elections.
fn seconds(ttl: Duration) -> i64 {
    let whole = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    i64::try_from(whole.max(1)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_has_its_lease_for_good() {
        let lease = |text| lease_of(&Holder::parse(text).unwrap());
        // Of a watcher that is running while this changes, the lease would not be found again.
        assert_eq!(lease("pod-1:0123456789abcdef"), 8_416_263_968_908_202_176);
        assert_ne!(lease("pod-1:0"), lease("pod-1:1"));
    }

    #[test]
    fn a_lease_is_never_shorter_than_asked() {
        assert_eq!([1, 999, 1000, 1001, 2000].map(|ms| seconds(Duration::from_millis(ms))), [1, 1, 1, 2, 2]);
    }
}
