//! The flags of the port for tenants.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use pac_watcher::{AUDIENCE, HOLDS, TenantsOptions, TlsFiles};

use crate::addresses::everywhere;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "The port for tenants")]
pub(crate) struct Tenants {
    /// Where whoever may read the PipelineRuns of a namespace sees its queues; nowhere unless said.
    #[arg(long = "tenants-addr", env = "PAC_WATCHER_TENANTS_ADDR", value_name = "ADDRESS")]
    address: Option<SocketAddr>,
    /// Its certificate, a PEM file, taken up again when it is replaced.
    #[arg(
        long = "tenants-tls-cert",
        env = "PAC_WATCHER_TENANTS_TLS_CERT",
        value_name = "FILE",
        requires_all = ["address", "key"]
    )]
    certificate: Option<PathBuf>,
    /// The certificate's key.
    #[arg(
        long = "tenants-tls-key",
        env = "PAC_WATCHER_TENANTS_TLS_KEY",
        value_name = "FILE",
        requires = "certificate"
    )]
    key: Option<PathBuf>,
    /// Serve it without TLS to others than this machine: a proxy of yours is in front of it, on a network you trust.
    #[arg(
        long = "tenants-without-tls",
        env = "PAC_WATCHER_TENANTS_WITHOUT_TLS",
        requires = "address",
        conflicts_with = "certificate"
    )]
    without_tls: bool,
    /// For whom a tenant's token must be, one of these. A token for another, such as the API server's, would let this watcher act as
    /// whoever shows it.
    #[arg(
        long = "tenants-audience",
        env = "PAC_WATCHER_TENANTS_AUDIENCE",
        value_name = "NAME",
        value_delimiter = ',',
        default_value = AUDIENCE,
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    audiences: Vec<String>,
}

// === impl Tenants ===

impl Tenants {
    /// How the port is served, if it is; or what is wrong with that.
    pub(crate) fn options(self) -> Result<Option<TenantsOptions>, String> {
        let Some(address) = self.address else { return Ok(None) };
        let tls = self.certificate.zip(self.key).map(|(certificate, key)| TlsFiles { certificate, key });
        if tls.is_none() && !self.without_tls && !address.ip().is_loopback() {
            return Err(format!(
                "--tenants-addr {address}: tokens would come in the clear. Give --tenants-tls-cert and --tenants-tls-key, or say \
                 --tenants-without-tls if a proxy of yours is in front"
            ));
        }
        Ok(Some(TenantsOptions { address: everywhere(address), tls, audiences: self.audiences, holds: HOLDS }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn options(flags: &[&str]) -> Result<Option<TenantsOptions>, String> {
        let cli = Cli::try_parse_from(["pac-watcher", "run"].iter().chain(flags)).map_err(|error| error.to_string())?;
        match cli.command {
            Command::Run(run) => run.tenants.options(),
            _ => unreachable!("it is run"),
        }
    }

    #[test]
    fn nothing_is_served_unless_asked_for_and_no_token_comes_in_the_clear_unless_said() {
        assert!(options(&[]).unwrap().is_none());
        let files = ["--tenants-tls-cert=c", "--tenants-tls-key=k"];
        let (anywhere, here) = ("--tenants-addr=0.0.0.0:8443", "--tenants-addr=127.0.0.1:8443");
        assert!(options(&[anywhere]).unwrap_err().contains("in the clear"));
        assert!(options(&[anywhere, "--tenants-without-tls"]).unwrap().is_some_and(|options| options.tls.is_none()));
        assert!(options(&[here]).unwrap().is_some_and(|options| options.audiences == [AUDIENCE]));
        assert!(options(&[anywhere, files[0], files[1]]).unwrap().is_some_and(|options| options.tls.is_some()));
        let of = options(&[here, "--tenants-audience=a,b", "--tenants-audience=c"]).unwrap().unwrap();
        assert_eq!(of.audiences, ["a", "b", "c"]);
        for wrong in [
            &[anywhere, files[0]][..],
            &[anywhere, files[1]],
            &files,
            &["--tenants-without-tls"],
            &[here, "--tenants-audience="],
            &[anywhere, files[0], files[1], "--tenants-without-tls"],
        ] {
            assert!(options(wrong).is_err(), "{wrong:?}");
        }
    }
}
