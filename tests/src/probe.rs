//! What a client sees: probes that run in its namespace and report what was lost, for how long, and who answered.
//!
//! | probe | what it does | what it is for |
//! |---|---|---|
//! | [`UdpProbe`] | a datagram every few ms | the outage, to the interval |
//! | [`TcpProbe`] with [`Ask::Connect`], [`Ask::Get`] | a new connection at an interval | what new users feel: a lost SYN costs 1 s |
//! | [`TcpProbe`] with [`Ask::Flow`] | a request every 20 ms on one connection | resets and stalls of what was open |
//! | [`AddressProbe`], [`who_answers`] | ARP requests or neighbour solicitations | who owns the address |
//! | [`ping`] | one ICMP echo | does this reach that |
//!
//! All give a [`Report`]. The probes' threads run at real-time priority, so that the lateness of a busy machine is not taken for
//! an outage; what lateness there was is in the report.
//!
//! The other end: UDP services answer with the datagram they got and their name behind it, HTTP services with a body whose first
//! line is their name ([`Echo`] does both).

mod address;
mod echo;
mod http;
mod ping;
mod report;
mod tcp;
mod udp;

pub use address::{AddressProbe, who_answers};
pub use echo::{Echo, udp_answer};
pub use ping::ping;
pub use report::{Answer, Gap, Outcome, Report, Sample, Turn};
pub use tcp::{Ask, TcpProbe};
pub use udp::UdpProbe;

/// Puts the calling thread before all ordinary ones. Where that is not allowed, it stays as it is and lateness shows in reports.
fn hurry() {
    use thread_priority::{
        RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    let priority = ThreadPriority::Crossplatform(30_u8.try_into().expect("30 is a priority from 0 to 99"));
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let _lateness_shows_in_reports = set_thread_priority_and_policy(thread_native_id(), priority, policy);
}
