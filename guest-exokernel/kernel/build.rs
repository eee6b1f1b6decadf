//! Gives the kernel its own linker script, with the addresses of the ABI.

use exo_abi::address::KERNEL_BASE;
use exo_abi::layout::{KERNEL_DATA, KERNEL_TEXT};

fn main() {
    println!("cargo:rerun-if-changed=kernel.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        println!(
            "cargo:warning=exo-kernel runs in ring 0 of the guest: build it with scripts/build"
        );
        return;
    }
    let script =
        std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("kernel.ld");
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    println!("cargo:rustc-link-arg-bins=--defsym=KERNEL_BASE={KERNEL_BASE}");
    println!("cargo:rustc-link-arg-bins=--defsym=KERNEL_TEXT={KERNEL_TEXT}");
    println!("cargo:rustc-link-arg-bins=--defsym=KERNEL_DATA={KERNEL_DATA}");
    println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
    println!("cargo:rustc-link-arg-bins=--no-relax");
}
