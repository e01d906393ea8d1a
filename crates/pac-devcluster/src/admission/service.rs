//! Where a webhook is: behind a Service, or at a URL.
//!
//! A Service leads to the ready endpoints of its EndpointSlices, which somebody else writes: there's no network here but
//! this machine's. Whatever isn't on loopback isn't called.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rand::seq::IndexedRandom;
use serde_json::Value;

use crate::{https::Peer, store::Store};

const HTTPS_PORT: u64 = 443;

/// A webhook's place.
#[derive(Debug)]
pub(super) struct Place {
    /// In messages, and for the request.
    pub(super) host: String,
    pub(super) path: String,
    pub(super) peer: Result<Peer, String>,
}

// === impl Place ===

impl Place {
    /// What `clientConfig` says.
    pub(super) fn of(store: &Store, config: &Value) -> Result<Self, String> {
        let authorities = config["caBundle"].as_str().unwrap_or_default().to_owned();
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        if let Some(url) = config["url"].as_str() {
            let rest = url.strip_prefix("https://").ok_or("the URL's scheme has to be https")?;
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let peer = loopback(host).map(|(name, address)| Peer { address, name, authorities });
            return Ok(Self { host: host.to_owned(), path: format!("/{path}"), peer });
        }
        let service = &config["service"];
        let (namespace, name) = (text(service, "namespace"), text(service, "name"));
        let port = service["port"].as_u64().unwrap_or(HTTPS_PORT);
        let host = format!("{name}.{namespace}.svc");
        let peer = endpoint(store, &namespace, &name, port);
        let peer = peer.map(|address| Peer { address, name: host.clone(), authorities });
        let path = text(service, "path");
        Ok(Self { host: format!("{host}:{port}"), path: format!("/{}", path.trim_start_matches('/')), peer })
    }
}

/// The name and the address of `host:port`.
fn loopback(host: &str) -> Result<(String, SocketAddr), String> {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "443"));
    let unknown = || format!("dial tcp: lookup {name}: no such host");
    let port = port.parse().map_err(|_| unknown())?;
    let ip = match name {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        name => name.trim_matches(['[', ']']).parse().map_err(|_| unknown())?,
    };
    reachable(SocketAddr::new(ip, port)).map(|address| (name.trim_matches(['[', ']']).to_owned(), address))
}

fn reachable(address: SocketAddr) -> Result<SocketAddr, String> {
    let unreachable = || format!("dial tcp {address}: connect: network is unreachable");
    address.ip().is_loopback().then_some(address).ok_or_else(unreachable)
}

/// One of the ready endpoints behind a port of a Service.
fn endpoint(store: &Store, namespace: &str, name: &str, number: u64) -> Result<SocketAddr, String> {
    let service = store.get("services", namespace, name).ok_or_else(|| format!("service \"{name}\" not found"))?;
    let ports = service.pointer("/spec/ports").and_then(Value::as_array);
    let port = ports.into_iter().flatten().find(|known| known["port"].as_u64() == Some(number));
    let port = port.ok_or_else(|| format!("no service port {number} found for service \"{name}\""))?;
    let slices = store.list("endpointslices", Some(namespace), &format!("kubernetes.io/service-name={name}"));
    let slices = slices.map_err(|error| error.message)?;
    let addresses: Vec<SocketAddr> = slices.iter().flat_map(|slice| ready(slice, &port["name"])).collect();
    let chosen = addresses.choose(&mut rand::rng()).copied();
    reachable(chosen.ok_or_else(|| format!("no endpoints available for service \"{name}\""))?)
}

/// The ready addresses of a slice, with its port of this name.
fn ready(slice: &Value, port_name: &Value) -> Vec<SocketAddr> {
    let list = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
    let name_of = |name: &Value| name.as_str().unwrap_or_default().to_owned();
    let port = list(slice, "ports").into_iter().find(|port| name_of(&port["name"]) == name_of(port_name));
    let port = port.and_then(|port| u16::try_from(port["port"].as_u64()?).ok());
    // Unknown counts as ready.
    let is_ready = |endpoint: &Value| endpoint["conditions"]["ready"] != Value::Bool(false);
    let endpoints = list(slice, "endpoints").into_iter().filter(is_ready);
    let addresses = endpoints.flat_map(|endpoint| list(&endpoint, "addresses"));
    let ips = addresses.filter_map(|address| address.as_str()?.parse::<IpAddr>().ok());
    ips.filter_map(|ip| port.map(|port| SocketAddr::new(ip, port))).collect()
}
