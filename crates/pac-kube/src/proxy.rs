//! Which HTTP proxy leads to the API server, if any: as kubectl and every other program on Kubernetes' Go client have it.
//!
//! `proxy-url` in the kubeconfig, or HTTPS_PROXY (for an API server without TLS HTTP_PROXY) but for what NO_PROXY names: hosts, domains
//! with all below them, addresses, networks, or `*`. To this machine itself there is never one. kube takes HTTPS_PROXY for a
//! `proxy-url`, and looks in NO_PROXY for the proxy in place of the API server, so that this is done here.

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use kube::Config;
use tower::BoxError;

/// What the environment says.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    http: String,
    https: String,
    exceptions: String,
}

/// A proxy that connects us to whomever we name.
#[derive(Clone)]
pub(crate) struct Proxy(Intercept);

/// A connection that didn't come about, by way of which proxy.
#[derive(Debug, thiserror::Error)]
#[error("by way of the proxy {proxy}")]
pub(crate) struct ThroughProxy {
    proxy: Uri,
    source: BoxError,
}

// === impl Environment ===

impl Environment {
    pub(crate) fn read() -> Self {
        let first = |names: [&str; 2]| {
            let found = names.into_iter().filter_map(|name| std::env::var(name).ok());
            found.into_iter().find(|value| !value.is_empty()).unwrap_or_default()
        };
        Self {
            http: first(["HTTP_PROXY", "http_proxy"]),
            https: first(["HTTPS_PROXY", "https_proxy"]),
            exceptions: first(["NO_PROXY", "no_proxy"]),
        }
    }
}

// === impl Proxy ===

impl Proxy {
    /// The one to the API server of `config`, whose own `proxy_url` doesn't count after this.
    pub(crate) fn of(config: &mut Config, environment: &Environment) -> Result<Option<Self>, String> {
        let said = config.proxy_url.take().filter(|uri| environment.https.parse().ok().as_ref() != Some(uri));
        let server = &config.cluster_url;
        let found = match &said {
            Some(url) => Matcher::builder().all(url.to_string()).build().intercept(server),
            None if is_this_machine(server) => None,
            None => {
                let Environment { http, https, exceptions } = environment;
                let matcher = Matcher::builder().http(http.as_str()).https(https.as_str());
                matcher.no(exceptions.as_str()).build().intercept(server)
            }
        };
        match found {
            Some(found) if found.uri().scheme_str() == Some("http") => Ok(Some(Self(found))),
            Some(found) => Err(format!("the proxy {} can't be used: only http:// proxies can", found.uri())),
            None if said.is_some() => Err("proxy-url in the kubeconfig isn't the address of a proxy".to_owned()),
            None => Ok(None),
        }
    }

    /// Connects by way of it.
    pub(crate) fn tunnel(&self, sockets: HttpConnector) -> Tunnel<HttpConnector> {
        let tunnel = Tunnel::new(self.0.uri().clone(), sockets);
        match self.0.basic_auth() {
            Some(credentials) => tunnel.with_auth(credentials.clone()),
            None => tunnel,
        }
    }

    pub(crate) fn failed(&self, source: impl Into<BoxError>) -> ThroughProxy {
        ThroughProxy { proxy: self.0.uri().clone(), source: source.into() }
    }
}

/// Whether a server is on this machine, or behind a port-forward that is.
pub fn is_this_machine(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(
        server: &'static str,
        said: Option<&'static str>,
        environment: [&str; 3],
    ) -> Result<Option<String>, String> {
        let [http, https, exceptions] = environment.map(str::to_owned);
        // As kube has it: of the environment, where the kubeconfig says nothing.
        let of_kube = said.map(str::to_owned).or_else(|| (!https.is_empty()).then(|| https.clone()));
        let mut config = Config::new(Uri::from_static(server));
        config.proxy_url = of_kube.map(|url| url.parse().unwrap());
        let found = Proxy::of(&mut config, &Environment { http, https, exceptions });
        assert_eq!(config.proxy_url, None);
        found.map(|proxy| proxy.map(|proxy| proxy.0.uri().to_string()))
    }

    #[test]
    fn the_environment_counts_but_for_its_exceptions() {
        const SERVER: &str = "https://api.cluster.example:6443";
        const SERVICE: &str = "https://172.30.0.1";
        let by = |server, exceptions| proxy(server, None, ["", "http://proxy:3128", exceptions]).unwrap();
        assert_eq!(by(SERVER, "").as_deref(), Some("http://proxy:3128/"));
        for exceptions in ["api.cluster.example", ".cluster.example", "cluster.example", "*", "a, .example"] {
            assert_eq!(by(SERVER, exceptions), None, "{exceptions}");
        }
        // The proxy's own name is nobody's exception.
        assert_eq!(by(SERVER, "proxy,cluster.exampl").as_deref(), Some("http://proxy:3128/"));
        assert_eq!((by(SERVICE, "172.30.0.0/16,.svc"), by("https://[fd00::1]", "fd00::/8")), (None, None));
        assert!(by(SERVICE, "10.0.0.0/8").is_some());
        for here in ["https://localhost:1", "https://127.0.0.1:1", "https://[::1]:1"] {
            assert_eq!(by(here, ""), None, "{here}");
        }
        assert_eq!(proxy("http://plain.example", None, ["", "http://proxy:3128", ""]).unwrap(), None);
        assert_eq!(
            proxy("http://plain.example", None, ["proxy:80", "", ""]).unwrap().as_deref(),
            Some("http://proxy:80/")
        );
    }

    #[test]
    fn what_the_kubeconfig_says_wins_over_the_environment() {
        let by = |environment| proxy("https://127.0.0.1:1", Some("http://user:pass@other:80"), environment).unwrap();
        assert_eq!(by(["", "http://proxy:3128", "*"]).as_deref(), Some("http://other:80/"));
        assert_eq!(by(["", "", ""]).as_deref(), Some("http://other:80/"));
    }

    #[test]
    fn a_proxy_that_cant_be_used_is_named_without_its_password() {
        for url in ["https://user:hunter2@proxy:3129", "socks5://user:hunter2@proxy:1080"] {
            let why = proxy("https://api.example", Some(url), ["", "", ""]).unwrap_err();
            assert!(why.contains("://proxy:") && !why.contains("hunter2"), "{why}");
        }
        assert!(proxy("https://api.example", Some("ftp://proxy"), ["", "", ""]).is_err());
    }
}
