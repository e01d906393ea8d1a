//! The way to the port for tenants: straight, with the token that kubectl would show to the API server.
//!
//! kube finds the token, whatever it comes from (the kubeconfig itself, a file, a plugin that is run), and speaks TLS. Of the kubeconfig
//! nothing else is used: its authorities, its proxy and its client certificate are for the API server. The token goes to the one
//! address that was named, over TLS unless that is this machine's own or somebody insists, and no redirect is followed.

use http_body_util::BodyExt;
use hyper::{Request, StatusCode, Uri, header};
use kube::client::Body;
use kube::config::{AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedCluster, NamedContext};
use kube::{Client, Config};
use pac_kube::cluster::{client_of, is_this_machine};
use pac_kube::error::with_causes;
use serde::de::DeserializeOwned;

use crate::Failure;
use crate::args::{Reach, Server};
use crate::cluster;
use crate::patience::Patience;

/// How much of a text that isn't a watcher's is shown.
const SHOWN: usize = 200;

/// See the [module](self).
pub(crate) struct Tenants {
    client: Client,
    url: String,
    patience: Patience,
}

/// An answer, as far as it counts.
struct Answered {
    status: StatusCode,
    /// Where else to ask, by the answer.
    location: Option<String>,
    body: Vec<u8>,
}

// === impl Tenants ===

impl Tenants {
    /// The one at `url`. Nobody is asked yet, but for whoever says what the token is.
    pub(crate) async fn at(url: &str, server: &Server, reach: &Reach) -> Result<Self, Failure> {
        let address = address(url, server.plain_http)?;
        let url = address.to_string().trim_end_matches('/').to_owned();
        let of_user = cluster::config(reach).await?;
        let mut config = Config::new(address);
        config.auth_info =
            token_of(of_user.auth_info).map_err(|why| Failure::Local(format!("{url} takes a token: {why}")))?;
        config.root_cert = authorities(server).await?;
        let client = client_of(config).map_err(|error| Failure::Local(format!("{url} can't be asked: {error}")))?;
        Ok(Self { client, url, patience: reach.patience })
    }

    /// What is at `path`, with these parameters.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, parameters: &[(&str, &str)]) -> Result<T, Failure> {
        let asked = self.patience.wait(self.place(), self.ask(path, parameters)).await;
        let answered = asked.map_err(Failure::Unreachable)??;
        if answered.status != StatusCode::OK {
            return Err(refused(&self.place(), &answered, namespace(parameters)));
        }
        serde_json::from_slice(&answered.body).map_err(|error| {
            Failure::Unreachable(format!(
                "what {} answers isn't what this version expects of a port for tenants: {error}",
                self.place()
            ))
        })
    }

    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Answered, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            let why = with_causes(error);
            let hint = if why.contains("certificate") { "; see --certificate-authority" } else { "" };
            Failure::Unreachable(format!("{} can't be asked: {why}{hint}", self.place()))
        };
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let request = Request::get(target).body(Body::empty()).map_err(|error| failed(&error))?;
        let answer = self.client.send(request).await.map_err(|error| failed(&error))?;
        let location = answer.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        let (status, location) = (answer.status(), location.map(str::to_owned));
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes().to_vec();
        Ok(Answered { status, location, body })
    }

    /// Who is asked, for messages.
    fn place(&self) -> String {
        format!("the port for tenants at {}", self.url)
    }
}

/// The address, if a token may be sent there.
fn address(url: &str, plain_http: bool) -> Result<Uri, Failure> {
    let usage = |why: &str| Err(Failure::Usage(format!("--server: {why}")));
    // What stands before an @ may be a password, and isn't repeated.
    if url.contains('@') {
        return usage("no user and no password belong into it: your kubeconfig's token says who you are");
    }
    let read = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    match read {
        Some(uri) if uri.query().is_some() => {
            usage(&format!("{url:?} asks something already; give what comes before the ?"))
        }
        Some(uri) if uri.scheme_str() == Some("https") => Ok(uri),
        Some(uri) if uri.scheme_str() == Some("http") && (plain_http || is_this_machine(&uri)) => Ok(uri),
        Some(uri) if uri.scheme_str() == Some("http") => usage(&format!(
            "{url:?}: your token would go over the network in the clear, and whoever reads it may act by it. Say https://; \
             --plain-http sends it all the same"
        )),
        _ => usage(&format!("{url:?} isn't something like https://queues.example.com")),
    }
}

/// Of what a kubeconfig's user has, what makes a token.
fn token_of(user: AuthInfo) -> Result<AuthInfo, String> {
    let AuthInfo { token, token_file, exec, auth_provider, .. } = user;
    let acts = [user.impersonate, user.impersonate_uid].into_iter().flatten().next();
    if let Some(name) = acts.or_else(|| user.impersonate_groups.map(|groups| groups.join(", "))) {
        return Err(format!(
            "your kubeconfig has you act as {name}, which is nothing that a token says. Leave that out"
        ));
    }
    if token.is_none() && token_file.is_none() && exec.is_none() && auth_provider.is_none() {
        return Err("your kubeconfig's user has none, and a client certificate or a password is of no use there. `kubectl create \
                    token ACCOUNT --namespace NAMESPACE --audience=pac-concurrency` makes one, for a user with `token` or `tokenFile`"
            .to_owned());
    }
    Ok(AuthInfo { token, token_file, exec, auth_provider, ..AuthInfo::default() })
}

/// The authorities that were named, as kube reads those of a kubeconfig; none for the system's.
async fn authorities(server: &Server) -> Result<Option<Vec<Vec<u8>>>, Failure> {
    let Some(file) = &server.certificate_authority else { return Ok(None) };
    let unusable = |why: &str| Failure::Local(format!("--certificate-authority {}: {why}", file.display()));
    let name = "tenants".to_owned();
    let cluster = Cluster {
        server: Some("https://tenants".to_owned()),
        certificate_authority: Some(file.display().to_string()),
        ..Cluster::default()
    };
    let context = Context { cluster: name.clone(), ..Context::default() };
    let kubeconfig = Kubeconfig {
        clusters: vec![NamedCluster { name: name.clone(), cluster: Some(cluster), ..NamedCluster::default() }],
        contexts: vec![NamedContext { name: name.clone(), context: Some(context), ..NamedContext::default() }],
        current_context: Some(name),
        ..Kubeconfig::default()
    };
    let read = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let found = read.map_err(|error| unusable(&with_causes(&error)))?.root_cert.filter(|found| !found.is_empty());
    found.map(Some).ok_or_else(|| unusable("there is no certificate in it"))
}

/// The namespace that a question is about; none if it is about all.
fn namespace<'p>(parameters: &[(&str, &'p str)]) -> Option<&'p str> {
    parameters.iter().find_map(|(name, value)| match *name {
        "namespace" => Some(*value),
        "repository" | "run" => value.split_once('/').map(|(namespace, _)| namespace),
        _ => None,
    })
}

/// Why there is no answer, in words that help whoever asked.
fn refused(place: &str, answered: &Answered, namespace: Option<&str>) -> Failure {
    let text = String::from_utf8_lossy(&answered.body);
    let text: String = text.trim().chars().take(SHOWN).collect();
    match (answered.status, namespace) {
        // To ask again changes nothing.
        (StatusCode::UNAUTHORIZED, _) => Failure::Local(format!(
            "{place} doesn't know who you are: {text}. It was shown the token of your kubeconfig's user, as the API server is; a token \
             has to be for an audience that it takes, which is pac-concurrency, and what its --tenants-audience says. `kubectl \
             create token ACCOUNT --namespace NAMESPACE --audience=pac-concurrency` makes one"
        )),
        (StatusCode::FORBIDDEN, Some(namespace)) => Failure::Local(format!(
            "you may not see the queues of namespace {namespace}, or there is no such namespace. It takes `get pipelineruns` there, \
             as ClusterRole pac-concurrency-viewer has it: kubectl auth can-i get pipelineruns.tekton.dev --namespace {namespace}"
        )),
        (StatusCode::FORBIDDEN, None) => Failure::Local(
            "you may not see the queues of all namespaces: it takes `list pipelineruns` in all of them, as ClusterRole \
             pac-concurrency-viewer has it. Name one namespace, by --namespace"
                .to_owned(),
        ),
        (StatusCode::NOT_FOUND, _) if !text.is_empty() => Failure::Missing(text),
        (status, _) if status.is_redirection() => {
            let elsewhere = answered.location.as_deref().unwrap_or("elsewhere");
            Failure::Local(format!(
                "{place} sends everybody on to {elsewhere} ({status}). Your token isn't shown to anybody but whom you named: if that is \
                 where the port for tenants is, say so by --server"
            ))
        }
        (status, _) => Failure::Unreachable(format!("{place} can't be asked: it answered {status} {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_tls_or_stays_on_this_machine() {
        let sent = |url: &str, plain_http| address(url, plain_http).map(|uri| uri.to_string());
        assert_eq!(sent("https://queues.example.com/ci", false).unwrap(), "https://queues.example.com/ci");
        for here in ["http://127.0.0.1:8443", "http://localhost:1", "http://[::1]:1"] {
            assert!(sent(here, false).is_ok(), "{here}");
        }
        for away in [
            "http://queues.example.com",
            "http://10.0.0.1:80",
            "http://127.0.0.1.example.com",
            "http://localhost.example",
        ] {
            let Err(Failure::Usage(why)) = sent(away, false) else { panic!("{away}") };
            assert!(why.contains("--plain-http"), "{why}");
            assert!(sent(away, true).is_ok(), "{away}");
        }
        for wrong in
            ["", "queues.example.com", "ftp://x", "https://", "https://x/?namespace=a", "https://user:hunter2@x"]
        {
            let Err(Failure::Usage(why)) = sent(wrong, true) else { panic!("{wrong}") };
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn of_a_user_the_token_alone_is_taken() {
        let user = |text: &str| serde_yaml::from_str::<AuthInfo>(text).unwrap();
        let taken =
            token_of(user("{token: t, username: u, password: p, client-certificate-data: c, client-key-data: k}"));
        let taken = taken.unwrap();
        assert!(taken.token.is_some() && taken.username.is_none() && taken.password.is_none());
        assert!(taken.client_certificate_data.is_none() && taken.client_key_data.is_none());
        assert!(token_of(user("{exec: {command: get-token, apiVersion: client.authentication.k8s.io/v1}}")).is_ok());
        for (none, why) in [
            ("{username: u, password: p}", "has none"),
            ("{client-certificate: c, client-key: k}", "has none"),
            ("{token: t, as: somebody}", "act as somebody"),
        ] {
            let said = token_of(user(none)).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn each_refusal_says_what_is_missing_and_how_it_ends() {
        let said = |status, about: &[(&str, &str)]| {
            let location = Some("https://login.example.com/".to_owned());
            let answered = Answered { status, location, body: b"no\n".to_vec() };
            let failure = refused("it", &answered, namespace(about));
            (failure.code(), failure.may_pass(true), failure.why().to_owned())
        };
        let about = |status, about, code, again, words: &str| {
            let (is_code, is_again, why) = said(status, about);
            assert!((is_code, is_again) == (code, again) && why.contains(words), "{status}: {why}");
        };
        about(StatusCode::UNAUTHORIZED, &[], 1, false, "--audience=pac-concurrency");
        about(StatusCode::FORBIDDEN, &[("namespace", "a")], 1, false, "`get pipelineruns` there");
        about(StatusCode::FORBIDDEN, &[("run", "team-b/x")], 1, false, "--namespace team-b");
        about(StatusCode::FORBIDDEN, &[], 1, false, "`list pipelineruns`");
        about(StatusCode::NOT_FOUND, &[], 3, true, "no");
        about(StatusCode::FOUND, &[], 1, false, "https://login.example.com/");
        about(StatusCode::TOO_MANY_REQUESTS, &[], 1, true, "429");
        about(StatusCode::SERVICE_UNAVAILABLE, &[], 1, true, "503");
    }
}
