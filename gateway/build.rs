//! How the gateway's binaries are linked.

/// The largest huge page that a text of some MiB can be put on: that of x86-64, and of AArch64 with pages of 4 KiB.
const HUGE_PAGE_BYTES: usize = 2 * 1024 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        // Nothing but the text lies in its huge pages: see `huge_pages` of turnpike-rt.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,max-page-size={HUGE_PAGE_BYTES}");
    }
}
