//! What the programs share: what attacks assert.
#![no_std]
