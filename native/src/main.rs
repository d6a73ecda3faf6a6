//! `runtime-evidence-probe`: the privileged part, and the only one.
//!
//! It loads the eBPF programs, attaches them, gives up every privilege, and then copies frames from
//! the kernel's rings to stdout. It has no network and runs no code of others.
//!
//! ```text
//!  config -> open -> load -> attach -> privilege -> keeper -> pump
//!  stdin     each file is a phase; its result is         frames on stdout
//!            what the next one takes                     diagnostics on stderr
//! ```

mod announce;
mod attach;
mod attachments;
mod byte_cache;
mod check;
mod clock;
#[cfg(test)]
mod compiled;
mod config;
mod counters;
mod coverage;
mod demangle;
mod diagnostics;
mod dynamic;
mod elf;
mod elf_headers;
mod executable;
mod fields;
mod filter;
mod frame;
mod glob;
mod hello;
mod hook;
mod instruction;
mod keeper;
mod launch;
#[path = "layout.gen.rs"]
mod layout;
mod load;
mod memory;
mod node_hash;
mod open;
mod output;
mod perf;
mod perf_map;
mod perf_record;
mod plan;
mod privilege;
mod process_maps;
mod pump;
mod read_at;
mod refusal;
mod returns;
mod runtime;
mod selection;
mod stack_symbols;
mod stop;
mod symbols;
mod targets;
mod tracefs;
mod tree;
mod uprobe_link;
mod uprobes;
mod wanted;

use std::ffi::OsString;
use std::process::ExitCode;
use std::rc::Rc;

use config::Config;
use diagnostics::{Exit, Failure};
use keeper::{Release, Role};
use output::Output;
use privilege::Needs;
use pump::Pump;
use stop::Stop;
use uprobes::{Prepared, Uprobes};

const HELP: &str = "\
Usage: runtime-evidence-probe              capture; configuration as one JSON line on stdin
       runtime-evidence-probe check        what this kernel and user allow, as JSON
       runtime-evidence-probe launch -- CMD [ARG...]
                                           start CMD when told to through descriptor 3
       runtime-evidence-probe --version | --help

Frames go to stdout, diagnostics to stderr as JSON lines. A capture ends when stdin closes or on
SIGTERM or SIGINT. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 nothing attached.
";

fn main() -> ExitCode {
    diagnostics::report_panics();
    match std::panic::catch_unwind(run) {
        Ok(Ok(code)) => code.into(),
        Ok(Err(failure)) => {
            failure.report();
            (failure.exit as u8).into()
        }
        // The hook has reported it.
        Err(_) => (Exit::Failed as u8).into(),
    }
}

fn run() -> Result<u8, Failure> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Only the command that `launch` starts may be other than UTF-8.
    let words: Vec<&str> = arguments.iter().map(|word| word.to_str().unwrap_or("")).collect();
    match words.as_slice() {
        [] => capture(),
        ["check"] => check::check().map(|document| {
            println!("{document}");
            0
        }),
        ["launch", "--", _, ..] => launch::launch(&arguments[2], &arguments[3..]),
        ["--version"] => {
            println!("runtime-evidence-probe {}", hello::PROBE_VERSION);
            Ok(0)
        }
        ["--help"] => {
            print!("{HELP}");
            Ok(0)
        }
        _ => Err(Failure::usage("usage", "unknown arguments; --help lists what there is")),
    }
}

fn capture() -> Result<u8, Failure> {
    let config = Config::read(&mut std::io::stdin().lock())?;
    let stop = Rc::new(Stop::new(config.drain_timeout_ms)?);
    let mut output = Output::new(Rc::clone(&stop));
    output::refuse_to_wait()?;
    refusal::keep_libbpf_log();

    let (loaded, maps) = load::load(&config)?;
    let mut attached = attach::attach(loaded, maps, &config)?;
    let mut prepared = uprobes::prepare(&config, &mut attached);
    let hello = hello::document(&attached.hooks, &config).to_string();
    if !attached.observes() {
        privilege::drop_all(config.user)?;
        // The hello frame tells each hook's reason. Without a reader there is nobody to tell.
        let _ = output.push(&frame::hello(&hello)).and_then(|()| output.flush());
        let first = attached.hooks.iter().find_map(|hook| hook.reason.as_deref()).unwrap_or("");
        return Err(Failure {
            exit: Exit::NothingAttached,
            code: "nothing_attached",
            message: format!("no hook could be attached: {first}"),
        });
    }
    let needs = if prepared.is_some() { Needs::Uprobes } else { Needs::Nothing };
    let mut pump = Pump::new(attached, &config, output, stop)?;
    privilege::reduce(config.user, needs)?;
    let release = |what| match (what, &mut prepared) {
        (Release::Links, _) => pump.detach(),
        (Release::Candidates, Some(prepared)) => prepared.candidates.clear(),
        (Release::Candidates, None) => {}
    };
    match keeper::keep(config.spare_outputs, needs, release)? {
        Role::Pump(generation) => {
            deliver(pump, prepared, &config, needs, generation, &hello).map(|()| 0)
        }
        Role::Ended(code) => Ok(code),
    }
}

/// What the pump does, whichever generation it is.
fn deliver(
    mut pump: Pump,
    mut prepared: Option<Prepared>,
    config: &Config,
    needs: Needs,
    generation: u32,
    hello: &str,
) -> Result<(), Failure> {
    if generation > 0 {
        output::refuse_to_wait()?;
    }
    pump.begin()?;
    if let Some(prepared) = prepared.as_mut().filter(|_| config.spare_outputs > 0) {
        prepared.renew(generation)?;
    }
    let uprobes = prepared.map(|prepared| Uprobes::start(prepared, config)).transpose()?;
    privilege::lock(needs)?;
    if let Some(uprobes) = uprobes {
        pump.add_uprobes(uprobes, config.symbolize);
    }
    pump.run(&frame::hello(hello))
}
