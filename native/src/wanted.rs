//! What uprobes are wanted for: which files may matter, and which of their functions.

use crate::config::{Config, ProbeName};
use crate::glob::Glob;
use crate::symbols::SymbolQuery;

const DELETED: &[u8] = b" (deleted)";

/// What the configuration asks of uprobes.
#[derive(Debug)]
pub struct Wanted {
    net_connect: bool,
    ssl_op: bool,
    /// For function_call.
    pub functions: Vec<FunctionSpec>,
}

/// One `LIBRARY-GLOB:SYMBOL-GLOB`, `/PATH:SYMBOL` or `PATH:+0xOFFSET`.
#[derive(Clone, Debug)]
pub struct FunctionSpec {
    file: Glob,
    /// The functions of the file.
    pub query: SymbolQuery,
}

/// What a file may hold, by its name alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interest {
    /// connect, accept, accept4.
    pub libc: bool,
    /// SSL_read, SSL_write and their _ex forms.
    pub tls: bool,
    /// Indices of the function specs that it matches.
    pub functions: Vec<usize>,
    /// It may be an executable: only one without a loader has a libc of its own.
    pub executable: bool,
}

impl Interest {
    /// Nothing at all.
    pub fn is_none(&self) -> bool {
        !self.libc && !self.tls && self.functions.is_empty()
    }

    /// By its name it must hold something: if it does not, that is worth telling.
    pub fn is_certain(&self) -> bool {
        !self.executable && !self.is_none() || !self.functions.is_empty()
    }
}

impl Wanted {
    /// None when no uprobes are asked for. The specs were checked with the configuration.
    pub fn new(config: &Config) -> Option<Self> {
        let has = |probe| config.probes.contains(&probe);
        let functions = if has(ProbeName::FunctionCall) {
            config.functions.iter().filter_map(|function| parse_spec(&function.spec).ok()).collect()
        } else {
            Vec::new()
        };
        let (net_connect, ssl_op) = (has(ProbeName::NetConnect), has(ProbeName::SslOp));
        let any = net_connect || ssl_op || has(ProbeName::FunctionCall);
        any.then_some(Self { net_connect, ssl_op, functions })
    }

    /// What the file of this path may hold. Libraries go by their names, so that most are never opened.
    pub fn interest(&self, path: &[u8]) -> Interest {
        // Memory without a file has names like `[vdso]` and `//anon`.
        if !path.starts_with(b"/") || path.starts_with(b"//") {
            return Interest::default();
        }
        let path = path.strip_suffix(DELETED).unwrap_or(path);
        let text = String::from_utf8_lossy(path);
        let name = text.rsplit('/').next().unwrap_or(&text);
        let executable = !is_library(name);
        let functions = self.functions.iter().enumerate();
        Interest {
            libc: self.net_connect && (executable || is_libc(name)),
            tls: self.ssl_op && (executable || is_tls(name)),
            functions: functions
                .filter(|(_, spec)| spec.names(&text, name))
                .map(|(index, _)| index)
                .collect(),
            executable,
        }
    }
}

impl FunctionSpec {
    /// A pattern with a slash is about the whole path as the process sees it, one without about the
    /// name. `libcrypto` is also the name of libcrypto.so.3.
    fn names(&self, path: &str, name: &str) -> bool {
        if self.file.pattern().contains('/') {
            return self.file.matches(path);
        }
        let stem = name.split(".so").next().unwrap_or(name);
        self.file.matches(name) || self.file.matches(stem)
    }
}

/// The file goes up to the first colon: names of C++ and Rust have colons, too.
pub fn parse_spec(spec: &str) -> Result<FunctionSpec, String> {
    let expected = "expected LIBRARY-GLOB:SYMBOL-GLOB, /PATH:SYMBOL or PATH:+0xOFFSET";
    let Some((file, symbol)) = spec.split_once(':').filter(|(file, symbol)| {
        !file.is_empty() && !symbol.is_empty() && spec.len() <= SPEC_BYTES_MAX
    }) else {
        return Err(format!("the function {spec:?} is not understood: {expected}"));
    };
    let query = match symbol.strip_prefix("+0x") {
        Some(digits) => u64::from_str_radix(digits, 16)
            .map(SymbolQuery::Offset)
            .map_err(|_| format!("the offset of the function {spec:?} is no hexadecimal number"))?,
        None => SymbolQuery::Glob(Glob::new(symbol)),
    };
    Ok(FunctionSpec { file: Glob::new(file), query })
}

/// A spec is a path and a name.
const SPEC_BYTES_MAX: usize = 8192;

/// libc.so.6, libc-2.31.so, ld-musl-x86_64.so.1, but not "soft" or "python3".
fn is_library(name: &str) -> bool {
    name.ends_with(".so") || name.contains(".so.")
}

/// glibc, musl, and the libpthread that had connect and accept of its own before glibc 2.34.
fn is_libc(name: &str) -> bool {
    ["libc.so", "libc-2.", "libc.musl-", "ld-musl-", "libpthread.so", "libpthread-2."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// OpenSSL, LibreSSL, BoringSSL, and libraries that are known to contain one.
fn is_tls(name: &str) -> bool {
    ["libssl", "boringssl", "tcnative", "conscrypt"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(functions: &[&str]) -> Wanted {
        let functions = functions.iter().map(|spec| parse_spec(spec).unwrap()).collect();
        Wanted { net_connect: true, ssl_op: true, functions }
    }

    #[test]
    fn libraries_go_by_name_executables_are_looked_into() {
        let all = wanted(&[]);
        for name in ["libc.so.6", "libc-2.31.so", "ld-musl-x86_64.so.1", "libc.so"] {
            let interest = all.interest(format!("/lib/{name}").as_bytes());
            assert!(interest.libc && !interest.tls && interest.is_certain(), "{name}");
        }
        for name in ["libssl.so.3", "libssl-7b7d56bf.so.1.1", "libssl.so.3 (deleted)"] {
            let interest = all.interest(format!("/lib/{name}").as_bytes());
            assert!(interest.tls && !interest.libc, "{name}");
        }
        let node = all.interest(b"/usr/bin/node");
        assert!(node.libc && node.tls && node.executable && !node.is_certain());
        for name in ["libm.so.6", "libcap.so.2", "libz.so.1.2.13", "x.cpython-311.so"] {
            assert!(all.interest(format!("/lib/{name}").as_bytes()).is_none(), "{name}");
        }
    }

    #[test]
    fn a_spec_names_libraries_by_glob_and_files_by_path() {
        let some = wanted(&["libcrypto*:EVP_*", "/opt/app:run", "libz:inflate", "*:main"]);
        let of = |path: &str| some.interest(path.as_bytes()).functions;
        assert_eq!(of("/usr/lib/libcrypto.so.3"), [0, 3]);
        assert_eq!(of("/opt/app"), [1, 3]);
        assert_eq!(of("/elsewhere/app"), [3]);
        assert_eq!(of("/lib/libz.so.1"), [2, 3]);
    }

    #[test]
    fn specs_keep_the_colons_of_names() {
        let spec = parse_spec("app:ns::type::run").unwrap();
        assert!(matches!(spec.query, SymbolQuery::Glob(glob) if glob.pattern() == "ns::type::run"));
        let spec = parse_spec("/bin/x:+0x1a0").unwrap();
        assert!(matches!(spec.query, SymbolQuery::Offset(0x1a0)));
        for wrong in ["", "x", ":f", "x:", "x:+0xzz"] {
            assert!(parse_spec(wrong).is_err(), "{wrong}");
        }
    }
}
