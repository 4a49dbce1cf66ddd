//! Wires the parts together and keeps them going. One task owns the desk.
//!
//! ```text
//!   watches ──▶ learn ─┐                          ┌─▶ writes, some at a time ──▶ done ─┐
//!   lease ────▶ act ───┼─▶ plan a batch of keys ──┼─▶ news ──▶ Events                  │
//!        ▲             │            ▲             └─▶ pool counters, once a second     │
//!        └ SIGTERM     │            └──────────────────────────────────────────────────┘
//! ```
//!
//! A replica that begins to act after another one first lists the Services anew: its watch may not have shown yet what the other one wrote last.

use crate::{
    admission,
    apply::{IN_FLIGHT, Writer, pause},
    args::{Args, WebhookMode, Webhooks},
    certs, key,
    lease::{Candidate, Elector, Leadership},
    metrics::Metrics,
    reconcile::{Chore, Desk, Outcome, Write},
    report::{Reporter, status_of, write_pools},
    reserve::keep,
    source::{self, Fact, Seen, stripped},
};
use anyhow::Context;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use herald_crds::{IPAddressPool, api::herald::AddressReservation, keys};
use herald_runtime::{
    admin::{self, Readiness},
    client,
    error::{WriteError, say},
    flags::Ignored,
    signal,
    state::{self, Author, Component, Found},
    tls::{self, TlsListener},
    watch::{Change, Key, older},
};
use kube::{Api, Client};
use prometheus_client::registry::Registry;
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, sleep_until, timeout},
};

/// Services planned before writes are started and news is heard again: short enough that nobody waits, long enough to be cheap.
const BATCH: usize = 256;
/// Facts taken in at once.
const FACTS: usize = 1024;
/// How long pool counters wait for more changes.
const GATHER: Duration = Duration::from_millis(200);
/// The least time between two writes of pool counters.
const POOL_PERIOD: Duration = Duration::from_secs(1);
/// Writes of AddressReservations under way at once: a bulk delete must not crowd out addresses.
const CHORES: usize = 4;
/// How long writes under way may take after SIGTERM, before the lease is given up.
const LAST_WRITES: Duration = Duration::from_millis(300);

/// Runs until SIGTERM and gives the lease up before it returns.
///
/// # Errors
/// Something without which there is no controller is missing.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    args.unused.given().iter().for_each(Ignored::warn);
    let mut shutdown = pin!(signal::shutdown());
    let namespace = client::own_namespace(args.namespace.clone(), keys::DEFAULT_NAMESPACE);
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry));
    let readiness = Readiness::new(match args.webhooks.webhook_mode {
        WebhookMode::Enabled => &["services", "namespaces", "pools", "reservations", "webhooks"],
        WebhookMode::Disabled => &["services", "namespaces", "pools", "reservations"],
        WebhookMode::Onlywebhook => &["webhooks"],
    });
    serve(&args, readiness.clone(), registry);

    let client = client::connect().await.context("cannot find the API server")?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "herald-controller",
        name => name,
    };
    let pod = args.pod_name.clone().filter(|name| !name.is_empty());
    let candidate = Candidate::new(pod.clone(), host, nonce()?);
    let mut elector = Elector::new(Api::namespaced(client.clone(), &namespace), keys::LEASE, candidate);
    // Whoever acts before the first list knows that the list shows everything that any replica before wrote.
    let first = tokio::select! {
        first = elector.step() => first,
        _ = &mut shutdown => return Ok(()),
    };
    let (tell, leadership) = watch::channel(first);
    let (stop, stopped) = oneshot::channel::<()>();
    let election = tokio::spawn(async move {
        tokio::select! {
            () = elector.run(&tell) => {}
            _ = stopped => elector.release().await,
        }
    });

    if args.webhooks.webhook_mode != WebhookMode::Disabled {
        serve_webhooks(&args.webhooks, &client, &namespace, leadership.clone(), readiness.clone());
    }
    if args.webhooks.webhook_mode == WebhookMode::Onlywebhook {
        tracing::info!(namespace, "started, for webhooks only");
        tracing::info!(reason = shutdown.await?, "ending");
        let _ = stop.send(());
        let _ = timeout(LAST_WRITES * 2, election).await;
        return Ok(());
    }

    let (busy, is_busy) = watch::channel(false);
    let instance = pod.unwrap_or_else(|| host.to_owned());
    let (found, is_found) = watch::channel(None);
    let this = Component::controller(state::owner(&instance, args.pod_uid.as_deref()));
    let author = Replica { leadership: leadership.clone(), metrics: Arc::clone(&metrics) };
    tokio::spawn({
        let (client, namespace) = (client.clone(), namespace.clone());
        async move { state::keep(client, &namespace, this, is_found, author).await }
    });
    let mut worker = Worker {
        facts: source::follow(&client, &namespace),
        leadership,
        desk: Desk::new(args.lb_class.clone()),
        writer: Writer::new(client.clone(), Arc::clone(&metrics)),
        reporter: Reporter::start(client.clone(), instance, is_busy, Arc::clone(&metrics)),
        pools: Api::namespaced(client.clone(), &namespace),
        secrets: Some((Api::namespaced(client.clone(), &namespace), args.ml_secret_name)),
        client: client.clone(),
        metrics,
        readiness,
        busy,
        found,
        until: None,
        catching_up: None,
        writes: FuturesUnordered::new(),
        pauses: FuturesUnordered::new(),
        reservations: Api::namespaced(client.clone(), &namespace),
        chores: FuturesUnordered::new(),
        pool_writes: None,
        pools_due: None,
        pools_written: None,
    };
    tracing::info!(namespace, class = args.lb_class, "started");
    if let Leadership::Acts { until } = first {
        worker.begin(until);
        worker.act();
    }
    tokio::select! {
        result = worker.work() => result?,
        result = &mut shutdown => tracing::info!(reason = result?, "ending"),
    }
    worker.end().await;
    let _ = stop.send(());
    let _ = timeout(LAST_WRITES * 2, election).await;
    Ok(())
}

/// Writes the state of the controller while it acts.
struct Replica {
    leadership: watch::Receiver<Leadership>,
    metrics: Arc<Metrics>,
}

impl Author for Replica {
    fn permitted(&mut self) -> Option<Instant> {
        match *self.leadership.borrow_and_update() {
            Leadership::Acts { until } => Some(until),
            Leadership::Follows => None,
        }
    }

    async fn changed(&mut self) -> bool {
        self.leadership.changed().await.is_ok()
    }

    fn delay(&self) -> Duration {
        Duration::ZERO
    }

    fn wrote(&self, result: &Result<(), WriteError>, took: Duration) {
        self.metrics.wrote("state", result.as_ref().map_or_else(WriteError::label, |()| "ok"), took);
    }
}

type Written = (Write, Result<Seen, WriteError>);

/// Owns the desk, and everything that is under way for it.
struct Worker {
    facts: mpsc::Receiver<Fact>,
    leadership: watch::Receiver<Leadership>,
    desk: Desk,
    client: Client,
    writer: Writer,
    reporter: Reporter,
    pools: Api<IPAddressPool>,
    secrets: Option<(Api<k8s_openapi::api::core::v1::Secret>, String)>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    busy: watch::Sender<bool>,
    found: watch::Sender<Option<Found>>,
    /// Until when this replica acts, if it does.
    until: Option<Instant>,
    /// The list that is taken before acting after another replica.
    catching_up: Option<BoxFuture<'static, Vec<(Key, Seen)>>>,
    writes: FuturesUnordered<BoxFuture<'static, Written>>,
    pauses: FuturesUnordered<BoxFuture<'static, Write>>,
    reservations: Api<AddressReservation>,
    chores: FuturesUnordered<BoxFuture<'static, (String, Chore, bool)>>,
    pool_writes: Option<BoxFuture<'static, Vec<IPAddressPool>>>,
    pools_due: Option<Instant>,
    pools_written: Option<Instant>,
}

impl Worker {
    async fn work(&mut self) -> anyhow::Result<()> {
        let mut more = false;
        loop {
            let (until, due) = (self.until, self.pools_due);
            let end = self.desk.next_end().filter(|_| self.desk.active()).map(until_then);
            tokio::select! {
                () = std::future::ready(()), if more => {}
                fact = self.facts.recv() => {
                    self.learn(fact.context("the watches ended")?);
                    for _ in 0..FACTS {
                        let Ok(fact) = self.facts.try_recv() else { break };
                        self.learn(fact);
                    }
                }
                result = self.leadership.changed() => {
                    result.context("the election ended")?;
                    self.hear();
                }
                () = sleep_until(until.unwrap_or_else(Instant::now).into()), if until.is_some() => {
                    tracing::warn!(reason = "lease not renewed in time", "acts no longer");
                    self.stop();
                }
                services = poll(&mut self.catching_up) => {
                    self.catching_up = None;
                    for (key, seen) in services {
                        self.desk.learn(Fact::Services(Change::Apply(key, seen)));
                    }
                    self.act();
                }
                Some((write, result)) = self.writes.next(), if !self.writes.is_empty() => self.wrote(write, result),
                Some(write) = self.pauses.next(), if !self.pauses.is_empty() => self.desk.done(&write, Outcome::Failed),
                Some((name, chore, done)) = self.chores.next(), if !self.chores.is_empty() => {
                    self.desk.chore_done(name, chore, done);
                }
                () = sleep(end.unwrap_or_default()), if end.is_some() => {}
                pools = poll(&mut self.pool_writes) => {
                    self.pool_writes = None;
                    self.wrote_pools(pools);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() && self.pool_writes.is_none() => {
                    self.pools_due = None;
                    self.count_pools();
                }
            }
            more = self.turn();
        }
    }

    /// Plans a batch and starts what follows from it. Returns whether there is more to plan.
    fn turn(&mut self) -> bool {
        let began = Instant::now();
        self.desk.tick(jiff::Timestamp::now());
        let planned = self.desk.plan(BATCH);
        if planned > 0 {
            self.metrics.planned(planned, began.elapsed());
            self.count_pools_soon();
        }
        if let Some(until) = self.until {
            while self.writes.len() < IN_FLIGHT
                && let Some(write) = self.desk.next_write()
            {
                self.writes.push(self.writer.clone().carry_out(write, until).boxed());
            }
        }
        if let Some(until) = self.until {
            while self.chores.len() < CHORES
                && let Some((name, chore)) = self.desk.next_chore()
            {
                self.chores
                    .push(keep(self.reservations.clone(), name, chore, until, Arc::clone(&self.metrics)).boxed());
            }
        }
        for news in self.desk.take_news() {
            self.reporter.tell(news);
        }
        let (known, waiting) = self.desk.counts();
        self.metrics.services(known, waiting);
        if self.desk.knows() {
            self.metrics.config(self.desk.some_set_aside());
        }
        if let Some(found) = self.desk.take_found() {
            self.found.send_replace(Some(found));
        }
        let busy = !self.writes.is_empty();
        self.busy.send_if_modified(|before| std::mem::replace(before, busy) != busy);
        planned == BATCH
    }

    fn learn(&mut self, fact: Fact) {
        // Counters that somebody else wrote are put right.
        if matches!(fact, Fact::Pools(_)) {
            self.count_pools_soon();
        }
        let listed = fact.listed().is_some();
        self.desk.learn(fact);
        if listed {
            for (kind, listed) in self.desk.listed() {
                self.readiness.set(kind, listed);
            }
        }
    }

    fn hear(&mut self) {
        let now = *self.leadership.borrow_and_update();
        match now {
            Leadership::Acts { until } if self.until.is_some() => self.until = Some(until),
            Leadership::Acts { until } => {
                self.begin(until);
                self.catching_up = Some(catch_up(self.client.clone()).boxed());
            }
            Leadership::Follows if self.until.is_some() => {
                tracing::warn!(reason = "another replica holds the lease", "acts no longer");
                self.stop();
            }
            Leadership::Follows => {}
        }
    }

    fn begin(&mut self, until: Instant) {
        tracing::info!("holds the lease");
        self.until = Some(until);
        if let Some((api, name)) = self.secrets.take() {
            tokio::spawn(key::ensure(api, name));
        }
    }

    fn act(&mut self) {
        tracing::info!("acts");
        self.metrics.leader(true);
        self.desk.act();
    }

    fn stop(&mut self) {
        self.until = None;
        self.catching_up = None;
        self.desk.follow();
        self.metrics.leader(false);
        self.metrics.pools(self.desk.usages());
    }

    fn wrote(&mut self, write: Write, result: Result<Seen, WriteError>) {
        match result {
            Ok(seen) => self.desk.done(&write, Outcome::Done(Box::new(seen))),
            Err(error) => {
                let pause = pause(&error, write.attempt);
                self.pauses.push(sleep(pause).map(|()| write).boxed());
            }
        }
    }

    fn count_pools_soon(&mut self) {
        let now = Instant::now();
        let next = self.pools_written.map_or(now, |last| last + POOL_PERIOD);
        self.pools_due.get_or_insert(next.max(now + GATHER));
    }

    fn count_pools(&mut self) {
        let usages = self.desk.usages();
        let statuses: Vec<_> = self
            .desk
            .pools()
            .filter_map(|pool| {
                let name = pool.metadata.name.clone()?;
                let status = status_of(*usages.get(&name)?);
                (pool.status != Some(status)).then_some((name, status))
            })
            .collect();
        self.metrics.pools(usages);
        if let Some(until) = self.until.filter(|_| self.desk.active() && !statuses.is_empty()) {
            let write = write_pools(self.pools.clone(), statuses, until, Arc::clone(&self.metrics));
            self.pool_writes = Some(write.boxed());
            self.pools_written = Some(Instant::now());
        }
    }

    fn wrote_pools(&mut self, pools: Vec<IPAddressPool>) {
        for pool in pools.into_iter().map(stripped) {
            let name = pool.metadata.name.clone().unwrap_or_default();
            let version = pool.metadata.resource_version.clone().unwrap_or_default();
            let known = self.desk.pools().find(|known| known.metadata.name.as_ref() == Some(&name));
            let known = known.and_then(|known| known.metadata.resource_version.clone()).unwrap_or_default();
            if older(&known, &version) {
                let key = Key { namespace: pool.metadata.namespace.clone().unwrap_or_default(), name };
                self.desk.learn(Fact::Pools(Change::Apply(key, pool)));
            }
        }
        // Those that failed, or changed meanwhile, are looked at again.
        self.count_pools_soon();
    }

    /// Lets the writes under way land and starts no others.
    async fn end(&mut self) {
        self.desk.follow();
        let _ = timeout(LAST_WRITES, async { while self.writes.next().await.is_some() {} }).await;
        self.writes.clear();
    }
}

/// How long it is until then.
fn until_then(then: jiff::Timestamp) -> Duration {
    Duration::try_from(then.duration_since(jiff::Timestamp::now())).unwrap_or_default()
}

/// Waits for what is under way, or for ever when nothing is.
async fn poll<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Lists the Services anew, however long that takes.
async fn catch_up(client: Client) -> Vec<(Key, Seen)> {
    loop {
        match source::all_services(&client).await {
            Ok(services) => return services,
            Err(error) => tracing::warn!(error = say(&error), "cannot list the Services, trying again"),
        }
        sleep(GATHER).await;
    }
}

/// Serves health and metrics beside everything else. A port that is taken is said and costs only that endpoint.
fn serve(args: &Args, readiness: Readiness, registry: Registry) {
    let (health, metrics) =
        (SocketAddr::new(admin::any(), args.health_probe_port), SocketAddr::new(admin::any(), args.port));
    tokio::spawn(async move {
        if let Err(error) = admin::serve_health(health, readiness).await {
            tracing::error!(%error, address = %health, "cannot serve health; choose another --health-probe-port");
        }
    });
    if args.port == 0 {
        return;
    }
    let certificates = args.metrics.certificates(args.webhooks.tls_min_version);
    tokio::spawn(async move {
        if let Err(error) = admin::serve_metrics(metrics, certificates, registry).await {
            tracing::error!(error = format!("{error:#}"), address = %metrics, "cannot serve metrics; choose another --port");
        }
    });
}

/// Serves the webhooks beside everything else, on every replica. What is wrong with them is said and costs only them.
fn serve_webhooks(
    args: &Webhooks,
    client: &Client,
    namespace: &str,
    leadership: watch::Receiver<Leadership>,
    readiness: Readiness,
) {
    let (current, mut shown) = watch::channel(None);
    if args.disable_cert_rotation {
        tokio::spawn(tls::follow_files("webhooks", args.cert_dir.clone(), current));
    } else {
        let names = certs::names(&args.cert_service_name, namespace);
        let secret = args.webhook_secret.clone();
        let keeper = certs::keeper::Keeper::new(client.clone(), namespace, secret, names, leadership, current);
        tokio::spawn(keeper.keep());
    }
    let versions = args.tls_min_version.versions();
    let router = admission::router(admission::Source::new(client.clone(), namespace));
    let address = SocketAddr::new(admin::any(), admission::PORT);
    tokio::spawn(async move {
        let served = async {
            let listener = TlsListener::bind(address, &versions, shown.clone()).await?;
            if shown.wait_for(Option::is_some).await.is_ok() {
                readiness.set("webhooks", true);
            }
            axum::serve(listener, router).await?;
            anyhow::Ok(())
        };
        if let Err(error) = served.await {
            tracing::error!(error = format!("{error:#}"), %address, "cannot serve webhooks; free the port, or set --webhook-mode=disabled");
        }
    });
}

/// Tells this process from any other in the lease.
fn nonce() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    Ok(u64::from_be_bytes(bytes))
}
