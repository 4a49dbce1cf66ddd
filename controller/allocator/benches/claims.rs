//! The allocator alone, without API server: every claim planned from nothing, one more on top, a restart from statuses.
//!
//! One line per size, as Markdown, for `make bench-allocate`. It asserts no times. `CLAIMS=1000,50000` chooses others.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a program that measures and prints"
)]

use herald_allocator::{Book, plan, plan_one};
use herald_crds::model::{
    Family, FamilyPolicy, Pool, Port, Protocol, Quotas, Range, Service, ServiceKey, ServiceKind, TrafficPolicy,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    hint::black_box,
    time::{Duration, Instant},
};

/// Planned, noted and taken back this often for "one more".
const MORE: usize = 10_000;
/// Runs of everything, of which the table shows least, median and greatest.
const RUNS: usize = 3;

fn main() {
    let sizes = env::var("CLAIMS").unwrap_or_else(|_| "1000,50000,1000000".to_owned());
    let sizes: Vec<usize> = sizes.split(',').map(|size| size.trim().parse().expect("CLAIMS holds numbers")).collect();
    println!(
        "| allocator alone | plan all, ms, min / median / max | of it on a processor, ms | one more, µs | adopt and keep all, ms |"
    );
    println!("|---|---|---|---|---|");
    for size in sizes {
        let (mut all, mut busy, mut more, mut again) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let mut services: Vec<Service> = (0..size).map(|number| service(&format!("web-{number:07}"))).collect();
            let mut book = book();
            let (began, on_cpu) = (Instant::now(), cpu());
            let decisions = plan(&services, &mut book);
            all.push(began.elapsed());
            busy.push(cpu() - on_cpu);
            more.push(one_more(&mut book));
            let decided: BTreeMap<&ServiceKey, _> = decisions.iter().map(|(key, decision)| (key, decision)).collect();
            for service in &mut services {
                let holds = decided[&service.key].holds().expect("the pool is large enough");
                service.assigned = holds.ips.clone();
                service.allocated_from = Some(holds.pool.clone());
            }
            again.push(restart(&services));
        }
        let (all, busy, again) = (spread(&mut all), spread(&mut busy), spread(&mut again));
        println!("| {size} claims | {all} | {busy} | {:.2} | {again} |", median(&mut more) * 1e6);
    }
}

/// What this thread has had of a processor: on a shared machine much less than has passed.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0))
}

/// Seconds that one more Service takes: decided, noted, and forgotten again outside the measurement.
fn one_more(book: &mut Book) -> f64 {
    let service = service("one-more");
    let mut sum = Duration::ZERO;
    for _ in 0..MORE {
        let began = Instant::now();
        let decision = plan_one(&service, book);
        let _ = book.apply(&service, &decision);
        sum += began.elapsed();
        black_box(decision);
        let _ = book.forget(&service.key);
    }
    sum.as_secs_f64() / MORE as f64
}

/// What a restarted controller does: takes the statuses over and finds that everybody keeps what it has.
fn restart(services: &[Service]) -> Duration {
    let mut book = book();
    let began = Instant::now();
    services.iter().for_each(|service| book.adopt(service));
    for service in services {
        let decision = plan_one(service, &book);
        let _ = book.apply(service, &decision);
    }
    began.elapsed()
}

fn book() -> Book {
    let pool = Pool {
        name: "lan".into(),
        labels: BTreeMap::new(),
        ranges: vec![Range::parse("10.0.0.0/8").unwrap()],
        auto_assign: true,
        avoid_buggy_ips: false,
        allocation: None,
        quotas: Quotas::default(),
    };
    let mut book = Book::new();
    book.set_pools(&BTreeMap::from([(pool.name.clone(), pool)]), false);
    book
}

fn service(name: &str) -> Service {
    Service {
        key: ServiceKey::new("default", name),
        labels: BTreeMap::new(),
        kind: ServiceKind::LoadBalancer,
        class: None,
        cluster_ips: vec!["10.96.0.1".parse().unwrap()],
        family_policy: FamilyPolicy::SingleStack,
        primary_family: Family::V4,
        requested_ips: Ok(Vec::new()),
        requested_pool: None,
        assigned: Vec::new(),
        allocated_from: None,
        traffic_policy: TrafficPolicy::Cluster,
        selector: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        ports: BTreeSet::from([Port { protocol: Protocol::Tcp, port: 80 }]),
        sharing_key: None,
        sharing_annotated: false,
        deprecated_annotations: BTreeSet::new(),
        deleting: false,
    }
}

fn spread(times: &mut [Duration]) -> String {
    times.sort();
    let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e3);
    format!("{:.1} / **{:.1}** / {:.1}", ms(times.first()), ms(times.get(times.len() / 2)), ms(times.last()))
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}
