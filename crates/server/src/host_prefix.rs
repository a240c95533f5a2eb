//! Names under which clients find this server although they put `sync-` before the host.
//!
//! AWS's SDKs do that for StartSyncExecution and TestState, whatever endpoint they are given, unless told not to. The
//! server does not care what it is called, but `sync-127.0.0.1` is no name, and `sync-localhost` few machines know. Where
//! one of them is known, the server says so at its start. Asking must never hold up that start: name servers that do not
//! answer are waited for by nobody.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::mpsc,
    thread,
};

/// What AWS's SDKs put before the host.
const PREFIX: &str = "sync-";

/// Hosts that may be known with and without the prefix: by an entry in the file of hosts, and by resolvers that take
/// every name below `localhost` for this machine, as RFC 6761 wants it.
const HOSTS: [&str; 2] = ["localhost", "stepwright.localhost"];

/// A question to the system's resolver that is under way.
pub(crate) struct Asked(mpsc::Receiver<Option<&'static str>>);

/// Asks which host leads to this address with and without the prefix.
pub(crate) fn ask(address: IpAddr) -> Asked {
    let (answer, asked) = mpsc::channel();
    // A thread of its own, which nobody joins: the process may end before the resolver gives up.
    let thread = thread::Builder::new().name("host-prefix".to_owned());
    let _unasked = thread.spawn(move || {
        let _too_late = answer.send(known(address, &resolve));
    });
    Asked(asked)
}

impl Asked {
    /// The host, if there is one and it is known by now.
    pub(crate) fn answer(&self) -> Option<&'static str> {
        self.0.try_recv().ok().flatten()
    }
}

fn known(address: IpAddr, resolve: &dyn Fn(&str) -> Vec<IpAddr>) -> Option<&'static str> {
    let leads_here = |host: &str| resolve(host).contains(&address);
    HOSTS.into_iter().find(|host| leads_here(host) && leads_here(&format!("{PREFIX}{host}")))
}

fn resolve(host: &str) -> Vec<IpAddr> {
    (host, 0).to_socket_addrs().map(|found| found.map(|address: SocketAddr| address.ip()).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// The host found where only these names lead here.
    fn found(names: &[&str]) -> Option<&'static str> {
        known(HERE, &|host| if names.contains(&host) { vec![HERE] } else { Vec::new() })
    }

    #[test]
    fn a_host_must_be_known_with_and_without_the_prefix() {
        assert_eq!(found(&["localhost"]), None);
        assert_eq!(found(&["sync-localhost"]), None);
        assert_eq!(found(&["localhost", "sync-localhost"]), Some("localhost"));
        assert_eq!(
            found(&["localhost", "stepwright.localhost", "sync-stepwright.localhost"]),
            Some("stepwright.localhost")
        );
    }

    #[test]
    fn a_name_of_another_machine_is_none() {
        assert_eq!(known(HERE, &|_| vec![IpAddr::from([10, 0, 0, 1])]), None);
    }
}
