use std::fs::File;

use super::*;
use crate::clock::now_ns;
use crate::compiled::{Folder, compile, open, open_first, run, skipped};
use crate::returns::{Exits, exits};
use crate::runtime::Runtime;

const LIBC: &[&str] = &["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6"];
const LIBSSL: &[&str] =
    &["/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/lib/aarch64-linux-gnu/libssl.so.3"];
const NODE: &[&str] = &[concat!(env!("CARGO_MANIFEST_DIR"), "/../node_modules/node/bin/node")];

fn names(names: &[&str]) -> SymbolQuery {
    SymbolQuery::Names(names.iter().map(|name| (*name).to_owned()).collect())
}

fn glob(pattern: &str) -> SymbolQuery {
    SymbolQuery::Glob(Glob::new(pattern))
}

fn ssl_functions() -> SymbolQuery {
    names(&["SSL_read", "SSL_write", "SSL_read_ex", "SSL_write_ex"])
}

fn assert_all_return(binary: &Binary, functions: &[Function]) {
    for function in functions {
        let exits = exits(binary, function);
        assert!(matches!(exits, Exits::Returns(_)), "{}: {exits:?}", function.name);
    }
}

#[test]
fn libc_has_its_three_functions_once_each_and_they_return() {
    let Some((_, file)) = open_first(LIBC) else { return skipped("no glibc here") };
    let binary = Binary::open(&file).unwrap();
    let symbols = Symbols::read(&binary, Tables::Dynamic);
    let query = names(&["connect", "__connect", "__libc_connect", "accept", "accept4"]);
    let found = symbols.find(&binary, &query, 100).functions;
    let mut found_names: Vec<_> = found.iter().map(|function| function.name.as_str()).collect();
    found_names.sort_unstable();
    assert_eq!(found_names, ["accept", "accept4", "connect"]);
    assert_all_return(&binary, &found);
}

#[test]
fn libssl_has_its_four_functions_and_they_return() {
    let Some((_, file)) = open_first(LIBSSL) else { return skipped("no libssl here") };
    let binary = Binary::open(&file).unwrap();
    let found = Symbols::read(&binary, Tables::Dynamic).find(&binary, &ssl_functions(), 100);
    assert_eq!(found.functions.len(), 4);
    assert_all_return(&binary, &found.functions);
}

#[test]
fn the_node_binary_has_its_own_openssl_and_is_read_quickly() {
    let Some((_, file)) = open_first(NODE) else { return skipped("node is not installed") };
    // Not the time of the wall: other tests and programs have the processors, too.
    let started_ns = now_ns(libc::CLOCK_THREAD_CPUTIME_ID);
    let binary = Binary::open(&file).unwrap();
    let symbols = Symbols::read(&binary, Tables::All);
    let found = symbols.find(&binary, &ssl_functions(), 100).functions;
    assert_eq!(found.len(), 4);
    assert_all_return(&binary, &found);
    assert_eq!(crate::runtime::runtime_of_executable(&binary, &symbols), Some(Runtime::Node));
    assert!(symbols.incomplete.is_none());
    assert!(binary.bytes_read() < 32 << 20, "{}", binary.bytes_read());
    let demangled = symbols.find(&binary, &glob("node::Buffer::New"), 100).functions;
    assert!(!demangled.is_empty());
    // A debug build takes ten times as long as a release build.
    let limit_ms = if cfg!(debug_assertions) { 5000 } else { 500 };
    let took_ms = (now_ns(libc::CLOCK_THREAD_CPUTIME_ID) - started_ns) / 1_000_000;
    assert!(took_ms < limit_ms, "{took_ms} ms of processor time");
}

#[test]
fn a_static_executable_contains_its_libc() {
    let folder = Folder::new();
    let source =
        "#include <sys/socket.h>\nint main(void) { return connect(0, 0, 0) + accept(0, 0, 0); }";
    for (compiler, name) in [("cc", "glibc"), ("musl-gcc", "musl")] {
        let path = folder.path(name);
        let arguments = ["-static", "-x", "c", "-", "-o", path.to_str().unwrap()];
        if run(compiler, &arguments, source).is_none() {
            skipped(compiler);
            continue;
        }
        let file = open(&path);
        let binary = Binary::open(&file).unwrap();
        assert!(!binary.has_interpreter());
        let symbols = Symbols::read(&binary, Tables::All);
        let found = symbols.find(&binary, &names(&["connect", "accept"]), 100).functions;
        assert_eq!(found.len(), 2, "{name}");
        assert_all_return(&binary, &found);
    }
}

#[test]
fn aliases_are_one_function_and_equal_names_are_several() {
    let source = "
        int zebra(int a) { return a + 1; }
        int alias(int a) __attribute__((alias(\"zebra\")));
        int imported(void);
        int calls(void) { return imported(); }";
    let folder = Folder::new();
    let options = ["-shared", "-fPIC", "-O1"];
    let Some(path) = compile(&folder, "a.so", &options, source) else { return skipped("no cc") };
    let file = open(&path);
    let binary = Binary::open(&file).unwrap();
    let symbols = Symbols::read(&binary, Tables::All);
    let by_alias = symbols.find(&binary, &names(&["alias"]), 9).functions;
    let by_name = symbols.find(&binary, &names(&["zebra"]), 9).functions;
    let by_offset = symbols.find(&binary, &SymbolQuery::Offset(by_name[0].file_offset), 9);
    assert_eq!(by_alias[0].name, "alias");
    assert_eq!(by_name[0].name, "zebra");
    assert_eq!(by_alias[0].place, "symbol:alias");
    assert_eq!(by_name[0].place, "symbol:alias");
    assert_eq!(by_offset.functions[0].place, "symbol:alias");
    assert!(symbols.find(&binary, &names(&["imported"]), 9).functions.is_empty());
    let inside = symbols.find(&binary, &SymbolQuery::Offset(by_name[0].file_offset + 1), 9);
    assert_eq!(inside.functions[0].place, format!("offset:{:#x}", by_name[0].file_offset + 1));
    assert!(symbols.find(&binary, &SymbolQuery::Offset(0), 9).functions.is_empty());
}

#[test]
fn static_functions_of_one_name_have_places_of_their_own() {
    let folder = Folder::new();
    let source = |n: u32| {
        format!(
            "__attribute__((noinline)) static int same(int a) {{ return a * {n} + 5; }}
             int outer{n}(int a) {{ return same(a) + {n}; }}"
        )
    };
    let mut objects = Vec::new();
    for n in [3, 5] {
        let name = format!("{n}.o");
        let Some(path) = compile(&folder, &name, &["-c", "-fPIC", "-O1"], &source(n)) else {
            return skipped("no cc");
        };
        objects.push(path);
    }
    let path = folder.path("both.so");
    let objects: Vec<_> = objects.iter().map(|path| path.to_str().unwrap()).collect();
    let arguments = ["-shared", "-o", path.to_str().unwrap(), objects[0], objects[1]];
    run("cc", &arguments, "").unwrap();
    let file = open(&path);
    let binary = Binary::open(&file).unwrap();
    let symbols = Symbols::read(&binary, Tables::All);
    let found = symbols.find(&binary, &names(&["same"]), 9).functions;
    assert_eq!(found.len(), 2);
    assert_ne!(found[0].place, found[1].place);
    assert!(found.iter().all(|function| function.place.starts_with("offset:0x")));
}

#[test]
fn patterns_find_what_they_name_up_to_the_limit() {
    let Some((_, file)) = open_first(LIBSSL) else { return skipped("no libssl here") };
    let binary = Binary::open(&file).unwrap();
    let symbols = Symbols::read(&binary, Tables::All);
    let found = symbols.find(&binary, &glob("SSL_CTX_*"), 5);
    assert_eq!((found.functions.len(), found.more), (5, true));
    let found = symbols.find(&binary, &glob("SSL_CTX_new_e?"), 5);
    assert_eq!((found.functions.len(), found.more), (1, false));
    let all = symbols.find(&binary, &glob("*"), 100_000);
    assert!(all.functions.len() > 500 && !all.more);
}

#[test]
fn cpp_functions_are_found_by_the_names_of_their_source() {
    let folder = Folder::new();
    let source =
        "namespace shop { struct Cart { int add(int); }; int Cart::add(int a) { return a; } }";
    let path = folder.path("cart.so");
    let arguments = ["-shared", "-fPIC", "-x", "c++", "-", "-o", path.to_str().unwrap()];
    if run("c++", &arguments, source).is_none() {
        return skipped("no C++ compiler");
    }
    let file = open(&path);
    let binary = Binary::open(&file).unwrap();
    let symbols = Symbols::read(&binary, Tables::All);
    for pattern in ["shop::Cart::add", "shop::*", "shop::Cart::add(int)", "_ZN4shop4Cart3addEi"] {
        let found = symbols.find(&binary, &glob(pattern), 9).functions;
        assert_eq!(found.len(), 1, "{pattern}");
        assert_eq!(found[0].demangled.as_deref(), Some("shop::Cart::add(int)"));
    }
}

#[test]
fn a_go_binary_is_known_as_one_even_stripped() {
    let folder = Folder::new();
    let source = folder.path("main.go");
    let source = source.to_str().unwrap();
    std::fs::write(source, "package main\nfunc main() { println(1) }\n").unwrap();
    for flags in ["", "-s -w"] {
        let path = folder.path("go");
        let path = path.to_str().unwrap();
        if run("go", &["build", "-ldflags", flags, "-o", path, source], "").is_none() {
            return skipped("no go");
        }
        let file = File::open(path).unwrap();
        let binary = Binary::open(&file).unwrap();
        assert!(binary.is_go());
        let symbols = Symbols::read(&binary, Tables::All);
        assert_eq!(crate::runtime::runtime_of_executable(&binary, &symbols), Some(Runtime::Go));
        for function in symbols.find(&binary, &glob("main.main"), 9).functions {
            assert_eq!(exits(&binary, &function), Exits::EntryOnly(crate::returns::Unsure::Go));
        }
    }
}

#[test]
fn the_accept4_of_musl_returns_by_itself_or_through_accept() {
    let paths = ["/lib/x86_64-linux-musl/libc.so", "/lib/aarch64-linux-musl/libc.so"];
    let Some((_, file)) = open_first(&paths) else { return skipped("no musl here") };
    let binary = Binary::open(&file).unwrap();
    let symbols = Symbols::read(&binary, Tables::Dynamic);
    let one = |name: &str| symbols.find(&binary, &names(&[name]), 9).functions.remove(0);
    let (accept, accept4) = (one("accept"), one("accept4"));
    assert_all_return(&binary, &[one("connect"), accept.clone()]);
    let exits = exits(&binary, &accept4).with_tail_calls_to(&[accept.address]);
    assert!(matches!(exits, Exits::Returns(_)), "{exits:?}");
}
