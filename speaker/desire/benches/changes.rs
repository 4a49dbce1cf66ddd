//! From one changed EndpointSlice to what differs for the pulse thread, on top of many Services, without API server and kernel.
//!
//! One line per size, as Markdown, for `make bench-changes`. It asserts no times. `SERVICES=1000,50000` chooses other sizes.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a program that measures and prints"
)]

use herald_crds::model::{Config, Endpoint, NodeFacts, Service, resolve};
use herald_desire::{Book, View, service};
use serde_json::{from_value, json};
use std::{
    env,
    hint::black_box,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

/// Changes measured at each size.
const CHANGES: u32 = 20_000;

fn main() {
    let sizes = env::var("SERVICES").unwrap_or_else(|_| "1000,50000".to_owned());
    let sizes: Vec<u32> = sizes.split(',').map(|size| size.trim().parse().expect("SERVICES holds numbers")).collect();
    println!(
        "| Services | all from nothing, ms | one change: decided, noted, handed on, found: median / p99 µs | differences found |"
    );
    println!("|---|---|---|---|");
    for size in sizes {
        let config = config();
        let (resolved, problems) = resolve(&config);
        assert!(problems.is_empty(), "{problems:?}");
        let view = View { resolved: &resolved, nodes: &config.nodes, me: "node-1", ignore_exclude_label: false };
        let services: Vec<Service> = (0..size).map(web).collect();
        let mut book = Book::default();
        let began = Instant::now();
        for web in &services {
            book.note(&web.key, Some(service(&view, web, &on("node-1"))));
        }
        let all = began.elapsed();

        let (mut times, mut found) = (Vec::new(), 0_u32);
        let mut handed_on = book.desired().clone();
        for change in 0..CHANGES {
            let web = &services[(change.wrapping_mul(7919) % size) as usize];
            let endpoints = on(if change / size % 2 == 0 { "node-2" } else { "node-1" });
            let began = Instant::now();
            book.note(&web.key, Some(service(&view, web, &endpoints)));
            let newest = book.desired().clone();
            newest.addresses.since(&handed_on.addresses, |ip, _, wanted| {
                black_box((ip, wanted));
                found += 1;
            });
            handed_on = newest;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        println!(
            "| {size} | {:.1} | **{:.1}** / {:.1} | {found} of {CHANGES} |",
            us(all) / 1e3,
            us(times[times.len() / 2]),
            us(times[times.len() * 99 / 100]),
        );
    }
}

/// Three nodes, a pool and an advertisement of it.
fn config() -> Config {
    let pool = from_value(json!({"metadata": {}, "spec": {"addresses": ["10.0.0.0/8"]}})).unwrap();
    let advertisement = from_value(json!({"metadata": {}, "spec": {}})).unwrap();
    Config {
        pools: [("lan".to_owned(), pool)].into(),
        l2_advertisements: [("lan".to_owned(), advertisement)].into(),
        nodes: (1..=3).map(|number| (format!("node-{number}"), NodeFacts::default())).collect(),
        ..Config::default()
    }
}

/// A Service whose traffic stays on the nodes of its endpoints, so that a change of those is one of its candidates.
fn web(number: u32) -> Service {
    let ip = Ipv4Addr::from(0x0a00_0000 + number);
    let written: k8s_openapi::api::core::v1::Service = from_value(json!({
        "metadata": {"namespace": "default", "name": format!("web-{number:07}")},
        "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"},
        "status": {"loadBalancer": {"ingress": [{"ip": ip.to_string()}]}},
    }))
    .unwrap();
    Service::from(&written)
}

fn on(node: &str) -> Vec<Endpoint> {
    vec![Endpoint { node: Some(node.to_owned()), can_serve: true, address: None }]
}
