//! `cargo xtask …`: builds `ligo` with the backend that fits the machine and starts it, and runs the repository's checks.
//!
//! It links neither burn nor any other crate of the workspace, so that it compiles in seconds.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod backend;
mod cargo;
mod cuda;
mod detect;
mod driver;
#[cfg(test)]
mod fake_machine;
mod machine;
mod plan;

use std::process::ExitCode;

use arguments::Task;
use backend::Backend;
use cargo::CargoCommand;
use detect::Choice;
use machine::Machine;
use plan::Features;

const HELP: &str = include_str!("help.txt");

fn main() -> ExitCode {
    let task = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(task) => task,
        Err(message) => {
            eprintln!("xtask: {message}\nxtask: `cargo xtask help` lists the commands");
            return ExitCode::from(2);
        }
    };
    match task {
        Task::Help => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Task::Ligo(ligo) => {
            let machine = Machine::this();
            let choice = detect::choose(ligo.backend, &machine);
            eprintln!("xtask: {choice}");
            if choice.backend == Backend::Cuda && !can_run_cuda(&machine) && !ligo.dry_run {
                return ExitCode::FAILURE;
            }
            let mut commands = plan::ligo(&ligo, features(&choice, &machine, ligo.with_mpi));
            let Some(program) = commands.pop() else {
                return ExitCode::SUCCESS;
            };
            match run_all(&commands, ligo.dry_run) {
                0 => start(program, ligo.dry_run),
                code => ExitCode::from(code),
            }
        }
        Task::Test(test) => {
            let machine = Machine::this();
            let choice = detect::choose(test.backend, &machine);
            eprintln!("xtask: {choice}");
            let has_nextest = CargoCommand::new(["nextest", "--version"]).succeeds();
            let commands = plan::test(&test, features(&choice, &machine, test.with_mpi), has_nextest);
            ExitCode::from(run_all(&commands, test.dry_run))
        }
        Task::Bench(bench) => {
            let machine = Machine::this();
            let choice = detect::choose(bench.backend, &machine);
            eprintln!("xtask: {choice}");
            start(
                plan::bench(&bench.arguments, features(&choice, &machine, false)),
                bench.dry_run,
            )
        }
    }
}

fn features(choice: &Choice, machine: &Machine, with_mpi: bool) -> Features {
    Features {
        backend: choice.backend,
        has_avx512: machine.has_avx512,
        with_mpi,
    }
}

/// Whether a program built for CUDA will start on this machine; says what is in the way. The build takes minutes, and
/// without one of the pieces the program would compute on the CPU.
fn can_run_cuda(machine: &Machine) -> bool {
    let obstacles = cuda::obstacles(machine);
    if obstacles.is_empty() {
        return true;
    }
    eprintln!("xtask: CUDA cannot run on this machine:");
    for obstacle in &obstacles {
        eprintln!("xtask:   {obstacle}");
    }
    eprintln!("xtask: docs/CUDA.md says where each of them is to be had, without root too");
    eprintln!("xtask: to build for another machine: cargo build --release --package ligo-cli --features cuda");
    false
}

fn start(command: CargoCommand, dry_run: bool) -> ExitCode {
    if dry_run {
        println!("{command}");
        return ExitCode::SUCCESS;
    }
    command.become_it()
}

/// Runs commands until one fails; returns its exit code.
fn run_all(commands: &[CargoCommand], dry_run: bool) -> u8 {
    for command in commands {
        if dry_run {
            println!("{command}");
            continue;
        }
        eprintln!("xtask: {command}");
        let code = command.run();
        if code != 0 {
            eprintln!("xtask: failed with exit code {code}: {command}");
            return code;
        }
    }
    0
}
