//! Whatever ends a lab's owner, nothing of the lab stays, and nothing else goes.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::IpAddr,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use herald_tests::{
    cleanup::{self, Lab},
    netns::Namespace,
    probe::ping,
    wire::{Wire, WireOptions, plan},
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::eventually;

#[test]
fn a_dropped_wire_leaves_nothing() {
    let (wire, sleeper) = busy_wire();
    let id = wire.lab().id().to_owned();
    assert!(!traces(&id).is_empty() && runs(sleeper));
    drop(wire);
    assert_eq!(Vec::<String>::new(), traces(&id));
    assert!(!runs(sleeper));
}

#[test]
fn a_panic_leaves_nothing() {
    let (send, id) = std::sync::mpsc::channel();
    let outcome = std::thread::spawn(move || {
        let (wire, sleeper) = busy_wire();
        send.send((wire.lab().id().to_owned(), sleeper)).unwrap();
        panic!("as a failing test does");
    })
    .join();
    assert!(outcome.is_err());
    let (id, sleeper) = id.recv().unwrap();
    assert_eq!(Vec::<String>::new(), traces(&id));
    assert!(!runs(sleeper));
}

#[test]
fn a_killed_owner_leaves_nothing() {
    for signal in [Signal::SIGKILL, Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM] {
        let mut owner = Owner::start("wait");
        assert!(!traces(&owner.lab).is_empty() && runs(owner.sleeper));
        owner.end(signal);
        eventually(&format!("nothing is left after {signal}"), || {
            traces(&owner.lab).is_empty() && !runs(owner.sleeper)
        });
    }
}

#[test]
fn an_exit_without_unwinding_leaves_nothing() {
    let mut owner = Owner::start("exit");
    owner.process.wait().unwrap();
    eventually("nothing is left", || traces(&owner.lab).is_empty() && !runs(owner.sleeper));
}

#[test]
fn the_next_lab_removes_what_a_dead_owner_and_a_dead_reaper_left() {
    let mut owner = Owner::start("wait");
    // It leads a session of its own, and what it started waits for the lock with it.
    killpg(reaper_of(&owner.lab), Signal::SIGKILL).unwrap();
    eventually("nobody waits for the lock", || holders(&owner.lab) == [owner.process.id()]);
    owner.end(Signal::SIGKILL);
    // Another test's lab may have swept it already: what counts is that it is gone when this lab stands.
    let _next = Lab::new().unwrap();
    assert_eq!(Vec::<String>::new(), traces(&owner.lab));
    assert!(!runs(owner.sleeper));
}

#[test]
fn labs_side_by_side_do_not_touch_each_other() {
    let (first, _) = busy_wire();
    let (second, sleeper) = busy_wire();
    drop(first);
    cleanup::sweep().unwrap();
    assert!(runs(sleeper));
    for address in second.node(1).addresses() {
        assert!(ping(&second.client().namespace, address, SECOND).unwrap().is_some());
    }
}

#[test]
fn a_kept_lab_outlives_its_owner_until_it_is_removed() {
    let mut owner = Owner::start("keep");
    owner.process.wait().unwrap();
    let reaper_ended = || !Path::new("/proc").read_dir().unwrap().flatten().any(|entry| is_reaper(&entry, &owner.lab));
    eventually("the reaper has let go", reaper_ended);
    cleanup::sweep().unwrap();
    assert!(cleanup::kept().unwrap().contains(&owner.lab));
    assert!(runs(owner.sleeper));
    let client = Namespace::open(&format!("{}-client1", owner.lab)).unwrap();
    let node: IpAddr = plan::node_v4(1).into();
    assert!(ping(&client, node, SECOND).unwrap().is_some());
    drop(client);

    cleanup::remove_kept(&owner.lab).unwrap();
    assert_eq!(Vec::<String>::new(), traces(&owner.lab));
    assert!(!runs(owner.sleeper));
    assert!(cleanup::remove_kept(&owner.lab).is_err());
}

#[test]
fn a_lab_in_use_is_not_removed_by_name() {
    let (mut wire, sleeper) = busy_wire();
    let id = wire.lab().id().to_owned();
    assert!(cleanup::remove_kept(&id).unwrap_err().to_string().contains("no kept lab"));
    wire.keep().unwrap();
    assert!(cleanup::remove_kept(&id).unwrap_err().to_string().contains("still in use"));
    assert!(runs(sleeper));
    drop(wire);
    cleanup::remove_kept(&id).unwrap();
    assert_eq!(Vec::<String>::new(), traces(&id));
}

/// Not a test: what [`Owner`] runs in a process of its own.
#[test]
fn owner() {
    let Ok(ending) = std::env::var(ENDING) else { return };
    let (mut wire, sleeper) = busy_wire();
    if ending == "keep" {
        wire.keep().unwrap();
    }
    println!("\nlab {} {sleeper}", wire.lab().id());
    match ending.as_str() {
        "exit" => std::process::exit(1),
        "keep" => {}
        _ => std::thread::sleep(Duration::from_secs(60)),
    }
}

/// A process that has a lab.
struct Owner {
    process: Child,
    lab: String,
    sleeper: Pid,
}

impl Owner {
    fn start(ending: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cleanup::owner", "--nocapture"])
            .env(ENDING, ending)
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.map_while(Result::ok).find(|line| line.starts_with("lab ")).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        Self { process, lab: words[1].to_owned(), sleeper: Pid::from_raw(words[2].parse().unwrap()) }
    }

    /// As a terminal would: the signal goes to the whole process group.
    fn end(&mut self, signal: Signal) {
        killpg(Pid::from_raw(self.process.id() as i32), signal).unwrap();
        self.process.wait().unwrap();
    }
}

/// A small wire with a process and a pod in it.
fn busy_wire() -> (Wire, Pid) {
    let wire = Wire::build(WireOptions { nodes: 1, ..WireOptions::default() }).unwrap();
    let pod = wire.node(1).add_pod().unwrap();
    let mut sleeper =
        pod.namespace.command("sleep").arg("1000").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_raw(sleeper.id() as i32);
    std::thread::spawn(move || sleeper.wait());
    eventually("the process runs inside", || pod.namespace.processes().unwrap().contains(&pid));
    (wire, pid)
}

/// What can be seen of a lab from outside: namespaces, mounts, files.
fn traces(lab: &str) -> Vec<String> {
    let listed = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten();
    let namespaces = listed("/run/netns").chain(listed("/run/herald-lab"));
    let named = namespaces.map(|entry| entry.path().display().to_string());
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mounted = mounts.lines().map(str::to_owned).collect::<Vec<_>>();
    let belongs = |line: &String| line.ends_with(&format!("/{lab}")) || line.contains(&format!("/{lab}-"));
    named.filter(belongs).chain(mounted.into_iter().filter(|line| line.contains(&format!("/{lab}/")))).collect()
}

/// Whether a process exists and is not dead and waiting for its parent.
fn runs(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn reaper_of(lab: &str) -> Pid {
    let mut found = None;
    eventually("the lab has a reaper", || {
        let entry = fs::read_dir("/proc").unwrap().flatten().find(|entry| is_reaper(entry, lab));
        found = entry.and_then(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw);
        found.is_some()
    });
    found.unwrap()
}

/// Who has the lab's lock open.
fn holders(lab: &str) -> Vec<u32> {
    let lock = format!("/run/herald-lab/{lab}/lock");
    let opens = |process: &fs::DirEntry| {
        let files = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        files.into_iter().any(|file| fs::read_link(file.path()).is_ok_and(|path| path == Path::new(&lock)))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten().filter(opens);
    processes.filter_map(|process| process.file_name().to_str()?.parse().ok()).collect()
}

fn is_reaper(entry: &fs::DirEntry, lab: &str) -> bool {
    let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
    words.contains(&b"orphaned".as_slice()) && words.contains(&format!("/run/herald-lab/{lab}").as_bytes())
}

const ENDING: &str = "HERALD_TEST_OWNER_ENDING";
const SECOND: Duration = Duration::from_secs(1);
