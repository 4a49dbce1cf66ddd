//! The testkit: a Kubernetes cluster in network namespaces, faults, probes, captures.
