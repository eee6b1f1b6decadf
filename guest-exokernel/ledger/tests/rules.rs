//! Each rule of the ledger, and each error that it can answer.

#[allow(dead_code)]
mod machine;

mod rules {
    mod allocation;
    mod boot;
    mod capabilities;
    mod cost;
    mod derivation;
    mod dma;
    mod environments;
    mod extents;
    mod freeing;
    mod functions;
    mod giving;
    mod mappings;
    mod queues;
    mod repossession;
    mod revocation;
    mod slices;
}
