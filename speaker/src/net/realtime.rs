//! What keeps other work from delaying the pulse thread.

use nix::sys::mman::{MlockAllFlags, mlockall};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Real-time priority of the pulse thread: above everything ordinary, below the kernel's own threads (50).
const PRIORITY: u8 = 20;

/// `MCL_ONFAULT` of mlockall(2), which nix does not name.
const MCL_ONFAULT: i32 = 4;

/// Puts the calling thread under SCHED_FIFO.
///
/// # Errors
/// Says what was refused; the thread goes on with ordinary priority.
pub(crate) fn schedule_fifo() -> Result<(), String> {
    let priority = ThreadPriorityValue::try_from(PRIORITY).map_err(|error| error.to_string())?;
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(priority),
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
    )
    .map_err(|error| format!("SCHED_FIFO refused ({error}); grant CAP_SYS_NICE"))
}

/// Keeps the process's memory from being swapped out, page by page as it is touched (a whole stack locked at once would
/// cost every thread its full size).
///
/// # Errors
/// Says what was refused; the process goes on.
pub(crate) fn lock_memory() -> Result<(), String> {
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | MlockAllFlags::from_bits_retain(MCL_ONFAULT))
        .map_err(|error| format!("mlockall refused ({error}); grant CAP_IPC_LOCK"))
}
