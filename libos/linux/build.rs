//! Links the personality for ring 3 with the layout of all programs, at the top of the program range: the bottom is its program's.

fn main() {
    println!("cargo:rerun-if-changed=../programs/program.ld");
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    for argument in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=4096",
        "-Wl,-z,noexecstack",
        "-Wl,--defsym=exo_program_base=0x3f0000000000",
        // In a block of its own: each process has its own data.
        "-Wl,--defsym=exo_data_base=0x3f0000200000",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{folder}/../programs/program.ld");
}
