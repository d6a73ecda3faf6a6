//! Which language runtime a process runs, from its executable and the files it maps.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)
)]

use crate::elf::Binary;
use crate::symbols::Symbols;

/// The runtimes of Runtime Evidence v1; numbers as `enum process_runtime` of `bpf/frame.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Runtime {
    /// Compiled code, and everything else.
    Native = 0,
    /// libjvm
    Jvm = 1,
    /// The node executable, or libnode.
    Node = 2,
    /// CPython, as executable or library.
    Python = 3,
    /// libcoreclr
    Dotnet = 4,
    /// A Go toolchain's build info.
    Go = 5,
    /// CRuby, as executable or library.
    Ruby = 6,
}

/// What the executable itself gives away, whatever its name: a copy of python3 called `worker`
/// exports the C API of Python. Needs .dynsym alone ([`crate::symbols::Tables::Dynamic`]).
pub fn runtime_of_executable(binary: &Binary, symbols: &Symbols) -> Option<Runtime> {
    if binary.is_go() {
        return Some(Runtime::Go);
    }
    // Functions that each embeds or exports for its extensions.
    let exported = [
        ("napi_create_object", Runtime::Node),
        ("Py_BytesMain", Runtime::Python),
        ("Py_Main", Runtime::Python),
        ("ruby_run_node", Runtime::Ruby),
        ("JNI_CreateJavaVM", Runtime::Jvm),
        ("coreclr_initialize", Runtime::Dotnet),
    ];
    exported.into_iter().find(|(name, _)| symbols.has(name)).map(|(_, runtime)| runtime)
}

/// The runtime of a process.
///
/// `of_executable` is what [`runtime_of_executable`] said (none when it could not be read),
/// `executable` the path of /proc/PID/exe, `mapped` the paths in /proc/PID/maps. Executables come
/// first: a Go program that embeds Python is a Go program. Among libraries the virtual machines
/// come first: a JVM may load libpython, the other way round is rarer.
pub fn runtime_of<'a>(
    of_executable: Option<Runtime>,
    executable: &str,
    mapped: impl IntoIterator<Item = &'a str>,
) -> Runtime {
    if let Some(runtime) = of_executable.or_else(|| by_executable_name(base_name(executable))) {
        return runtime;
    }
    let order = [Runtime::Jvm, Runtime::Dotnet, Runtime::Node, Runtime::Python, Runtime::Ruby];
    let rank = |runtime: &Runtime| order.iter().position(|other| other == runtime);
    let found = mapped.into_iter().filter_map(|path| by_library_name(base_name(path)));
    found.min_by_key(rank).unwrap_or(Runtime::Native)
}

fn by_executable_name(name: &str) -> Option<Runtime> {
    match name {
        "node" | "nodejs" => Some(Runtime::Node),
        "java" => Some(Runtime::Jvm),
        "dotnet" => Some(Runtime::Dotnet),
        _ if is_versioned(name, "python") => Some(Runtime::Python),
        _ if is_versioned(name, "ruby") => Some(Runtime::Ruby),
        _ => None,
    }
}

fn by_library_name(name: &str) -> Option<Runtime> {
    let libraries = [
        ("libjvm", Runtime::Jvm),
        ("libcoreclr", Runtime::Dotnet),
        ("libnode", Runtime::Node),
        ("libpython", Runtime::Python),
        ("libruby", Runtime::Ruby),
    ];
    let library = libraries.into_iter().find(|(stem, _)| {
        let rest = name.strip_prefix(stem);
        // libpython3.11.so.1.0, libruby-3.1.so.3.1, libjvm.so; not libpythonic.so
        rest.is_some_and(|rest| {
            rest.contains(".so")
                && rest.starts_with(|c: char| ".-".contains(c) || c.is_ascii_digit())
        })
    });
    library.map(|(_, runtime)| runtime)
}

/// python, python3, python3.11, python3.13t, ruby3.1
fn is_versioned(name: &str, stem: &str) -> bool {
    let Some(version) = name.strip_prefix(stem) else { return false };
    let version = version.trim_end_matches(['t', 'd']);
    version.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// /proc marks files that are gone: "/usr/bin/node (deleted)".
fn base_name(path: &str) -> &str {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_executables_and_libraries_tell() {
        let of = |executable: &str, mapped: &[&str]| {
            runtime_of(None, executable, mapped.iter().copied())
        };
        assert_eq!(of("/usr/bin/node (deleted)", &[]), Runtime::Node);
        assert_eq!(of("/usr/bin/python3.11", &["/lib/libc.so.6"]), Runtime::Python);
        assert_eq!(of("/opt/python3-wrapper", &[]), Runtime::Native);
        assert_eq!(of("/usr/bin/gdb", &["/usr/lib/libpython3.11.so.1.0"]), Runtime::Python);
        assert_eq!(of("/a/b", &["/x/libpython3.so", "/x/libjvm.so"]), Runtime::Jvm);
        assert_eq!(of("/a/b", &["/x/libpythonic.so"]), Runtime::Native);
        assert_eq!(of("/a/b", &["/x/libruby-3.1.so.3.1"]), Runtime::Ruby);
        assert_eq!(of("/a/app", &["/x/libcoreclr.so"]), Runtime::Dotnet);
    }

    #[test]
    fn what_the_executable_is_comes_before_what_it_maps() {
        let mapped = ["/usr/lib/libpython3.11.so.1.0"];
        assert_eq!(runtime_of(Some(Runtime::Go), "/a/server", mapped), Runtime::Go);
    }
}
