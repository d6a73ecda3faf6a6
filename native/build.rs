//! Compiles each program file of bpf/ to an object in `OUT_DIR`, which `open.rs` embeds.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use libbpf_cargo::SkeletonBuilder;

/// One object per observation, so that one refused program leaves the others alone.
const PROGRAMS: [&str; 7] = [
    "file_open",
    "process_exec",
    "tcp_state",
    "process_tree",
    "net_connect",
    "ssl_op",
    "function_call",
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let bpf = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../bpf");
    let include = write_libbpf_headers(&out)?;
    for program in PROGRAMS {
        SkeletonBuilder::new()
            .source(bpf.join(format!("{program}.bpf.c")))
            .obj(out.join(format!("{program}.bpf.o")))
            .clang_args([
                "-I".as_ref(),
                bpf.as_os_str(),
                "-I".as_ref(),
                include.as_os_str(),
                "-Wall".as_ref(),
                "-Werror".as_ref(),
            ])
            .build()
            .map_err(|error| format!("failed to compile bpf/{program}.bpf.c: {error:#}"))?;
    }
    println!("cargo:rerun-if-changed={}", bpf.display());
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}

/// The headers of the libbpf that is linked in, as `<include>/bpf/*.h`.
fn write_libbpf_headers(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let include = out.join("include");
    fs::create_dir_all(include.join("bpf"))?;
    for (name, text) in libbpf_sys::API_HEADERS {
        fs::write(include.join("bpf").join(name), text)?;
    }
    Ok(include)
}
