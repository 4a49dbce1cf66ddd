//! What both binaries need around their work: logs, health, metrics, guarded watches.
