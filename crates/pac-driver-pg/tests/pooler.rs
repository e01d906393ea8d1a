//! Behind a transaction pooler, which hands each transaction to any connection and passes on no notifications.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pac_concurrency::Driver;
use pac_concurrency::conformance::{Harness, exercise};
use pac_config::PostgreSqlSettings;
use pac_devservers::free_port;
use pac_devservers::postgres::{PASSWORD, give_to_server, server_program};
use pac_devservers::process::{Child, wait_until};
use pac_driver_pg::PgDriver;

use crate::support::Server;

struct Pooled {
    server: Server,
    port: u16,
    _pooler: Child,
}

// === impl Pooled ===

impl Pooled {
    fn start() -> Self {
        let server = Server::start();
        let port = free_port().unwrap();
        let folder = server.postgres.folder();
        let (settings, users) = (folder.join("pgbouncer.ini"), folder.join("users.txt"));
        fs::write(&users, format!("\"pac_user\" \"{PASSWORD}\"\n")).unwrap();
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 3\n\
             max_client_conn = 500\n",
            server.postgres.port(),
            users.display(),
        );
        fs::write(&settings, text).unwrap();
        for file in [&settings, &users] {
            give_to_server(file).unwrap();
        }
        let mut program = server_program("pgbouncer").unwrap();
        program.arg("--quiet").arg(settings).stderr(std::process::Stdio::null());
        // On SIGTERM it, too, would wait for its clients; SIGINT lets them finish what they are at.
        let pooler = Child::spawn("pgbouncer", program).unwrap().ended_by("QUIT").unwrap();
        wait_until(
            "pgbouncer answers",
            Duration::from_secs(30),
            || Ok(TcpStream::connect(("127.0.0.1", port)).is_ok()),
        )
        .unwrap();
        Self { server, port, _pooler: pooler }
    }
}

#[async_trait]
impl Harness for Pooled {
    async fn driver(&self) -> Arc<dyn Driver> {
        let settings = self.server.settings_at(self.port);
        let settings = PostgreSqlSettings { lease_ttl: Duration::from_secs(2), ..settings };
        Arc::new(PgDriver::connect(&settings).await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept_through_a_transaction_pooler() {
    exercise(&Pooled::start(), 4).await;
}
