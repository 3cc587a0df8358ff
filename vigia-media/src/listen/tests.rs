//! Addresses that can be listened at, and those that cannot.

use std::net::ToSocketAddrs as _;

use super::*;

#[test]
fn a_free_port_is_picked() {
    for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
        // A bare machine may not know its own name.
        if (host, 0).to_socket_addrs().is_err() {
            println!("skipped: {host} has no address here");
            continue;
        }
        let listener = Listener::bind(&format!("TCP-Listen://{host}:0/")).expect(host);
        let port = listener.url().strip_prefix(&format!("tcp://{host}:")).and_then(|port| port.parse::<u16>().ok());
        assert!(port.is_some_and(|port| port > 0), "{}", listener.url());
    }
}

#[test]
fn six_stands_in_brackets() {
    match Listener::bind("tcp-listen://[::1]:0") {
        Ok(listener) => assert!(listener.url().starts_with("tcp://[::1]:"), "{}", listener.url()),
        // This machine has no IPv6.
        Err(error) => assert!(matches!(error, SourceError::NotFound(_)), "{error:?}"),
    }
}

#[test]
fn mistakes_are_named() {
    for (address, word) in [
        ("tcp-listen://", "port is missing"),
        ("tcp-listen://127.0.0.1", "port is missing"),
        ("tcp-listen://:9000", "host is missing"),
        ("tcp-listen://127.0.0.1:", "number from 0"),
        ("tcp-listen://127.0.0.1:70000", "number from 0"),
        ("tcp-listen://::1:9000", "brackets"),
        ("tcp-listen://[::1:9000", "not closed"),
        ("tcp-listen://127.0.0.1:0/door", "no name, path"),
        ("tcp-listen://user:secret@127.0.0.1:0", "no name, path"),
        ("tcp-listen://no-such-host.invalid:9000", "cannot listen there"),
        ("tcp-listen://192.0.2.1:9000", "no address of this machine"),
        ("rtsp://camera/1", "host and a port"),
    ] {
        let error = Listener::bind(address).expect_err(address);
        assert!(matches!(&error, SourceError::NotFound(message) if message.contains(word)), "{error:?}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn a_port_is_given_once_and_freed_by_the_last() {
    let first = Listener::bind("tcp-listen://127.0.0.1:0").expect("a port");
    let address = first.url().replace("tcp:", "tcp-listen:");
    let clone = first.clone();
    drop(first);
    let error = Listener::bind(&address).expect_err("the port is taken");
    assert!(matches!(&error, SourceError::Unreachable(message) if message.contains("something else")), "{error:?}");
    drop(clone);
    Listener::bind(&address).expect("the port is free again");
}
