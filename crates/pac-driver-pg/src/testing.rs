//! What unit tests with a real server have in common.

use pac_config::{Disk, DriverSettings, PostgreSqlSettings, Sources, keys, resolve};
use pac_devservers::postgres::{PASSWORD, Postgres};

/// The settings of a watcher on `postgres`.
pub(crate) fn settings(postgres: &Postgres) -> PostgreSqlSettings {
    let port = postgres.port().to_string();
    let data = [
        (keys::CONCURRENCY_DRIVER.name, "postgresql"),
        (keys::POSTGRESQL_HOST.name, "127.0.0.1"),
        (keys::POSTGRESQL_PORT.name, &port),
        (keys::POSTGRESQL_SSL_MODE.name, "disable"),
        (keys::POSTGRESQL_PASSWORD.name, PASSWORD),
    ];
    let resolved = resolve(&Sources::new().with_config_map("ns/c", data), &Disk).unwrap();
    let DriverSettings::PostgreSql(settings) = resolved.settings.driver else { unreachable!() };
    settings
}
