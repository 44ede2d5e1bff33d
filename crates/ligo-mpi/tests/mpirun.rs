//! Runs that `mpirun` starts come to the bits of a run of one process, and end when a rank does.
//!
//! The tests start this program again, through `mpirun`, with the ignored test [`rank`] alone. Where there is no `mpirun` they say so and pass.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "mpirun/divided.rs"]
mod divided;
#[allow(dead_code, reason = "the tests of ligo-train use the rest")]
#[path = "../../ligo-train/tests/all/toy/mod.rs"]
mod toy;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use ligo_checkpoint::{Change, Disk};
use ligo_mpi::{Mpi, Options};
use ligo_train::{Alone, Collective, Error, TrainConfig};
use toy::{Toy, Watcher, bits, config, run};

/// What a rank is to do, handed on by the environment.
const DIR: &str = "LIGO_TEST_DIR";
const STOP: &str = "LIGO_TEST_STOP";
const FAULT: &str = "LIGO_TEST_FAULT";
const PATIENCE: &str = "LIGO_TEST_PATIENCE";
const PER_MACHINE: &str = "LIGO_TEST_PER_MACHINE";
/// Whether ranks keep shares of the moments; what they hold then is told by the checkpoint.
const SHARES: &str = "LIGO_TEST_SHARES";
/// Whether the ranks divide the layers, rather than the micro-batches.
const DIVIDED: &str = "LIGO_TEST_DIVIDED";

/// Only compares two ways to sum.
const SUMS: &str = "LIGO_TEST_SUMS";

/// Faults that are not in the sum of a step.
const IN_THE_GATHER: &str = "kill in the gather";
const FULL_DISK: &str = "full disk";

fn settings() -> TrainConfig {
    TrainConfig {
        accumulation: 4,
        batch_size: 2,
        ..config()
    }
}

/// A rank that has a fault in the sum of step 10, or where its name says, if it is rank 1.
#[derive(Debug)]
struct Faulty<'a> {
    mpi: &'a Mpi,
    fault: Option<String>,
    mark: PathBuf,
    steps: AtomicUsize,
    gathers: AtomicUsize,
}

impl Faulty<'_> {
    /// Sums are of gradients alone, one a step, whether all ranks get them or each a share.
    fn before_sum(&self) -> Result<(), Error> {
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        let fault = self.fault.as_deref();
        let Some(fault) = fault.filter(|fault| ![IN_THE_GATHER, FULL_DISK].contains(fault)) else {
            return Ok(());
        };
        if (self.rank(), step) != (1, 10) {
            return Ok(());
        }
        // The moment is that of the file.
        std::fs::write(&self.mark, fault).unwrap();
        match fault {
            "panic" => panic!("a fault of the test"),
            "error" => return Err(Error::NothingToLearn { step: 10 }),
            "kill" => signal("-KILL"),
            "stop" => signal("-STOP"),
            "hang" => {}
            other => panic!("no such fault: {other}"),
        }
        std::thread::sleep(Duration::from_secs(600));
        Ok(())
    }
}

/// Sends this process a signal.
fn signal(name: &str) {
    let id = std::process::id().to_string();
    Command::new("kill").args([name, &id]).status().unwrap();
}

impl Collective for Faulty<'_> {
    fn rank(&self) -> usize {
        self.mpi.rank()
    }

    fn size(&self) -> usize {
        self.mpi.size()
    }

    fn all_gather(&self, mine: &[u64]) -> Result<Vec<u64>, Error> {
        self.mpi.all_gather(mine)
    }

    fn sum(&self, values: &mut Vec<f32>) -> Result<(), Error> {
        self.before_sum()?;
        self.mpi.sum(values)
    }

    fn sum_parts(&self, values: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, Error> {
        self.before_sum()?;
        self.mpi.sum_parts(values, parts)
    }

    fn gather_parts(&self, mine: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, Error> {
        let gathers = self.gathers.fetch_add(1, Ordering::Relaxed);
        if self.fault.as_deref() == Some(IN_THE_GATHER) && (self.rank(), gathers) == (1, 60) {
            std::fs::write(&self.mark, "kill").unwrap();
            signal("-KILL");
        }
        self.mpi.gather_parts(mine, parts)
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        self.mpi.broadcast(bytes)
    }
}

#[test]
#[ignore = "one rank of a run; the other tests start it"]
fn rank() {
    let variable = |name: &str| std::env::var(name).ok();
    let Some(dir) = variable(DIR).map(PathBuf::from) else {
        return;
    };
    let number = |name: &str| variable(name).map(|number| number.parse::<u64>().unwrap());
    let options = Options {
        patience: Duration::from_secs(number(PATIENCE).unwrap_or(60)),
        ranks_per_machine: number(PER_MACHINE).map(|count| count as usize),
    };
    let (mpi, _membership) = Mpi::join(&options).unwrap();
    if variable(SUMS).is_some() {
        return compare_sums(&mpi);
    }
    if variable(DIVIDED).is_some() {
        let (rank, size) = (mpi.rank(), mpi.size());
        std::fs::write(dir.join(format!("divided-{rank}-of-{size}")), divided::numbers(mpi)).unwrap();
        return;
    }
    let ranks = Faulty {
        mpi: &mpi,
        fault: variable(FAULT),
        mark: dir.join("fault"),
        steps: AtomicUsize::new(0),
        gathers: AtomicUsize::new(0),
    };
    let toy = Toy::new();
    let loader = toy.loader(true);
    // Each rank names a folder of its own, of which only that of rank 0 may be made.
    let run_dir = dir.join(format!("rank-{}", mpi.rank()));
    let trainer = toy.trainer(&settings(), &loader, &toy.objective, &run_dir);
    let mut trainer = trainer.with_ranks(&ranks).unwrap();
    if variable(SHARES).is_some() {
        trainer = trainer.with_optimizer_sharding();
    }
    if ranks.fault.as_deref() == Some(FULL_DISK) {
        trainer = trainer.with_disk(full_disk(&ranks.mark));
    }
    let mut watcher = Watcher {
        stop_after_step: number(STOP),
        ..Watcher::default()
    };
    if let Err(error) = run(&mut trainer, &mut watcher) {
        eprintln!("rank {}: {error}", mpi.rank());
        mpi.abort(1);
    }
    // Every rank says what it holds.
    println!("{}", said(mpi.rank(), mpi.size(), bits(&trainer).1));
    std::fs::write(
        dir.join(format!("bits-{}", mpi.rank())),
        format!("{:?}", bits(&trainer)),
    )
    .unwrap();
}

fn compare_sums(mpi: &Mpi) {
    let rank = mpi.rank() as f32;
    let mut ours: Vec<f32> = (0..1001_u16)
        .map(|i| (f32::from(i) + 0.1) * 3.7_f32.powf(rank))
        .collect();
    let mut theirs = ours.clone();
    mpi.sum(&mut ours).unwrap();
    mpi.all_reduce(&mut theirs).unwrap();
    let expected = |i: usize| (i as f32 + 0.1) * (1.0 + 3.7 + 3.7 * 3.7);
    for (i, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert!((ours - theirs).abs() <= 1e-6 * ours, "{i}: {ours} and {theirs}");
        assert!((ours - expected(i)).abs() <= 1e-5 * ours, "{i}: {ours}");
    }
    println!("rank {}: sums agree", mpi.rank());
}

/// A disk that has room for the checkpoint of step 7 and not for the next one.
fn full_disk(mark: &Path) -> Disk {
    let mark = mark.to_owned();
    Disk::with_hook(move |change| match change {
        Change::Write(path, _) if path.to_string_lossy().contains("step-14") => {
            std::fs::write(&mark, FULL_DISK)?;
            Err(std::io::ErrorKind::StorageFull.into())
        }
        _ => Ok(()),
    })
}

fn said(rank: usize, size: usize, updates: u64) -> String {
    format!("rank {rank} of {size} did {updates} updates")
}

/// A run of so many ranks; `None` where there is no `mpirun`.
fn mpirun(ranks: usize, dir: &Path, options: &[&str], settings: &[(&str, &str)]) -> Option<Output> {
    if Command::new("mpirun")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        eprintln!("SKIPPED: there is no mpirun, so nothing is said of runs of many processes");
        return None;
    }
    std::fs::create_dir_all(dir).unwrap();
    let mut command = Command::new("mpirun");
    command.args(["-n", &ranks.to_string()]).args(options);
    command.arg(std::env::current_exe().unwrap());
    command.args(["rank", "--exact", "--ignored", "--nocapture"]);
    command.env(DIR, dir).envs(settings.iter().copied());
    // Tests run as root in containers, on fewer cores than ranks.
    command.envs([
        ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
        ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
        ("OMPI_MCA_btl_vader_single_copy_mechanism", "none"),
        ("OMPI_MCA_btl_base_warn_component_unused", "0"),
        ("OMPI_MCA_mpi_yield_when_idle", "1"),
        ("RAYON_NUM_THREADS", "1"),
    ]);
    Some(command.stdin(Stdio::null()).output().unwrap())
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// What a run of one process without MPI holds in the end.
fn alone(dir: &Path) -> String {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let mut trainer = toy.trainer(&settings(), &loader, &toy.objective, dir);
    run(&mut trainer, &mut Watcher::default()).unwrap();
    format!("{:?}", bits(&trainer))
}

/// All ranks have ended well and hold the same; what they hold.
fn held(output: &Output, ranks: usize, dir: &Path) -> String {
    assert!(output.status.success(), "{}", text(output));
    let of = |rank: usize| std::fs::read_to_string(dir.join(format!("bits-{rank}"))).unwrap();
    for rank in 0..ranks {
        assert!(of(rank) == of(0), "rank {rank} holds other numbers");
        assert!(
            text(output).contains(&format!("rank {rank} of {ranks} did")),
            "{}",
            text(output)
        );
        assert_eq!(dir.join(format!("rank-{rank}")).exists(), rank == 0, "rank {rank}");
    }
    of(0)
}

#[test]
fn two_and_four_processes_come_to_the_bits_of_one_over_shared_memory_and_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let expected = alone(&folder.path().join("alone"));
    // Sums must not depend on how messages travel: linear, ring, pairwise, over memory and over sockets.
    let ways: [(usize, &[&str], Option<&str>); 5] = [
        (2, &[], None),
        (4, &[], None),
        // As if there were two machines.
        (4, &[], Some("2")),
        (
            4,
            &["--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "lo"],
            None,
        ),
        (
            4,
            &[
                "--mca",
                "coll_tuned_use_dynamic_rules",
                "1",
                "--mca",
                "coll_tuned_allgather_algorithm",
                "4",
                "--mca",
                "coll_tuned_alltoall_algorithm",
                "2",
            ],
            None,
        ),
    ];
    for (i, (ranks, options, per_machine)) in ways.into_iter().enumerate() {
        let dir = folder.path().join(i.to_string());
        let machines: Vec<_> = per_machine.map(|count| (PER_MACHINE, count)).into_iter().collect();
        let Some(output) = mpirun(ranks, &dir, options, &machines) else {
            return;
        };
        assert!(
            held(&output, ranks, &dir) == expected,
            "{ranks} ranks {options:?} {per_machine:?}"
        );
        assert!(last_state(&dir.join("rank-0")) == last_state(&folder.path().join("alone")));
    }
}

#[test]
fn processes_that_keep_shares_of_the_moments_write_the_checkpoint_of_one() {
    let folder = tempfile::tempdir().unwrap();
    alone(&folder.path().join("alone"));
    // The second as if there were two machines; the last goes on without shares.
    let ways: [&[(usize, &[(&str, &str)])]; 3] = [
        &[(4, &[(SHARES, "")])],
        &[(4, &[(SHARES, ""), (PER_MACHINE, "2")])],
        &[
            (4, &[(SHARES, ""), (STOP, "9")]),
            (2, &[(STOP, "17")]),
            (2, &[(SHARES, "")]),
        ],
    ];
    for (i, runs) in ways.into_iter().enumerate() {
        let dir = folder.path().join(i.to_string());
        for (ranks, settings) in runs {
            let Some(output) = mpirun(*ranks, &dir, &[], settings) else {
                return;
            };
            assert!(output.status.success(), "{}", text(&output));
        }
        assert!(
            last_state(&dir.join("rank-0")) == last_state(&folder.path().join("alone")),
            "{i}"
        );
    }
}

#[test]
fn a_run_of_four_processes_goes_on_with_two_and_ends_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("run");
    for (ranks, stop) in [(4, Some("9")), (2, Some("17")), (1, None)] {
        let stop: Vec<_> = stop.map(|step| (STOP, step)).into_iter().collect();
        let Some(output) = mpirun(ranks, &dir, &[], &stop) else {
            return;
        };
        assert!(output.status.success(), "{}", text(&output));
    }
    let all = std::fs::read_to_string(dir.join("bits-0")).unwrap();
    assert!(all == alone(&folder.path().join("alone")));
}

/// The state that a run left after its last step.
fn last_state(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("checkpoints/step-24/state.safetensors")).unwrap()
}

/// The run must end soon after the fault, badly, with these words; and the same command must then go on from the checkpoint of step 7.
fn ends_with(fault: &str, words: &[&str], patience: u64) {
    for has_shares in [false, true] {
        // Without shares nothing is gathered.
        if has_shares || fault != IN_THE_GATHER {
            ends_so(fault, words, patience, has_shares);
        }
    }
}

fn ends_so(fault: &str, words: &[&str], patience: u64, has_shares: bool) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join(fault);
    let seconds = patience.to_string();
    let shares: &[(&str, &str)] = if has_shares { &[(SHARES, "")] } else { &[] };
    let settings = [&[(FAULT, fault), (PATIENCE, &seconds)], shares].concat();
    let Some(output) = mpirun(2, &dir, &[], &settings) else {
        return;
    };
    let since = std::fs::metadata(dir.join("fault")).unwrap().modified().unwrap();
    let took = SystemTime::now().duration_since(since).unwrap();
    println!("{fault}, shares {has_shares}: ended after {:.2} s", took.as_secs_f64());
    assert!(!output.status.success(), "{}", text(&output));
    // A fault that MPI sees ends the run within 5 s; one that only patience tells of, soon after that.
    let limit = if patience < 60 { 2 * patience } else { 0 };
    assert!(took < Duration::from_secs(5 + limit), "{took:?}: {}", text(&output));
    for word in words {
        assert!(text(&output).contains(word), "no `{word}` in {}", text(&output));
    }
    let of_rank_0 = dir.join("rank-0");
    assert!(of_rank_0.join("checkpoints/step-7").exists() && !of_rank_0.join("checkpoints/step-14").exists());
    let output = mpirun(2, &dir, &[], shares).unwrap();
    let whole = folder.path().join("alone");
    let alone = alone(&whole);
    match has_shares {
        // Each rank holds moments of its own.
        true => assert!(output.status.success(), "{}", text(&output)),
        false => assert!(held(&output, 2, &dir) == alone),
    }
    assert!(last_state(&of_rank_0) == last_state(&whole));
}

#[test]
fn a_panic_of_one_rank_ends_all() {
    ends_with("panic", &["a fault of the test", "rank 1 has panicked"], 60);
}

#[test]
fn an_error_of_one_rank_ends_all() {
    ends_with("error", &["rank 1: the training batch of step 10"], 60);
}

#[test]
fn a_rank_that_is_killed_ends_all() {
    ends_with("kill", &["signal 9"], 60);
}

#[test]
fn a_rank_that_is_killed_while_weights_are_gathered_ends_all() {
    ends_with(IN_THE_GATHER, &["signal 9"], 60);
}

#[test]
fn a_disk_that_is_full_ends_all() {
    ends_with(FULL_DISK, &["rank 0: ", "step-14"], 60);
}

#[test]
fn a_rank_that_is_suspended_ends_all_after_the_longest_wait() {
    ends_with("stop", &["rank 1 of 2 has not been heard of", "rank 0 ends the run"], 4);
}

#[test]
fn a_rank_that_hangs_ends_all_after_the_longest_wait() {
    ends_with(
        "hang",
        &["rank 1 of 2 has kept the others waiting", "rank 0 ends the run"],
        4,
    );
}

#[test]
fn the_sum_of_mpi_is_that_of_ligo_but_for_rounding() {
    let folder = tempfile::tempdir().unwrap();
    let Some(output) = mpirun(3, folder.path(), &[], &[(SUMS, "")]) else {
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(text(&output).matches("sums agree").count(), 3, "{}", text(&output));
}

#[test]
fn tasks_of_slurm_that_do_not_know_of_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["rank", "--exact", "--ignored", "--nocapture"])
        .env(DIR, folder.path())
        .env("SLURM_NTASKS", "4")
        .envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("Singletons { tasks: 4 }"), "{}", text(&output));
    assert!(!folder.path().join("rank-0").exists());
}

#[test]
fn processes_that_divide_layers_learn_what_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = |lines: &str| {
        lines
            .lines()
            .map(|line| line.parse::<f64>().unwrap())
            .collect::<Vec<_>>()
    };
    let expected = numbers(&divided::numbers(Alone));
    let Some(output) = mpirun(2, folder.path(), &[], &[(DIVIDED, "1")]) else {
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
    let of = |rank: usize| std::fs::read_to_string(folder.path().join(format!("divided-{rank}-of-2"))).unwrap();
    assert_eq!(of(0), of(1), "the ranks have drifted apart");
    let found = numbers(&of(0));
    assert_eq!(found.len(), 7);
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() <= 1e-4 * expected, "{found} and {expected}");
    }
}
