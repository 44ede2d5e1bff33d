//! Tests are built into few programs, since each links all of burn.

use std::fs;

use cargo_metadata::{Package, Target};

use crate::repository::workspace;

fn programs(package: &Package) -> Vec<&Target> {
    package.targets.iter().filter(|target| target.is_test()).collect()
}

#[test]
fn a_package_has_one_program_of_tests_and_its_manifest_says_why_where_there_are_more() {
    let mut faults = Vec::new();
    for package in workspace().packages {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        let programs = programs(&package);
        for program in programs
            .iter()
            .filter(|program| programs.len() > 1 && program.name != "all")
        {
            let entry = format!("[[test]]\nname = \"{}\"", program.name);
            let before = manifest.split_once(&entry).map(|(before, _)| before.lines().last());
            if !before.flatten().is_some_and(|line| line.starts_with('#')) {
                faults.push(format!(
                    "{}: make {} a module of tests/all, or name it in Cargo.toml with the reason",
                    package.name, program.src_path
                ));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_file_of_tests_is_forgotten() {
    let mut files = 0;
    let mut forgotten = Vec::new();
    for package in workspace().packages {
        for program in programs(&package)
            .iter()
            .filter(|program| program.src_path.ends_with("main.rs"))
        {
            let main = fs::read_to_string(&program.src_path).unwrap();
            for entry in fs::read_dir(program.src_path.parent().unwrap()).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap();
                let is_module = path.extension().is_some_and(|ending| ending == "rs") && name != "main";
                files += usize::from(is_module);
                if is_module && !main.lines().any(|line| line == format!("mod {name};")) {
                    forgotten.push(format!("{} is in no program: `mod {name};` is missing", path.display()));
                }
            }
        }
    }
    assert!(files > 100, "only {files} files were found");
    assert!(forgotten.is_empty(), "\n{}", forgotten.join("\n"));
}
