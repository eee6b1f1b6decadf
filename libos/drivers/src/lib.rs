//! Virtio drivers over directly bound queues.
#![no_std]
