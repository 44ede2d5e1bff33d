//! Which file may use which: floors inside of a crate, and no long circles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree, VisRestricted, Visibility};

/// Floors of a crate, and those that each must not reach, whatever stands between.
const FLOORS: [(&str, &str, &[&str]); 3] = [
    (
        "ligo-experiment",
        "recipe",
        &["run", "plan", "route", "experiment", "growing", "hub", "fail"],
    ),
    ("ligo-experiment", "plan", &["run", "route", "experiment", "growing"]),
    ("ligo-experiment", "run", &["route", "experiment", "growing"]),
];

/// Files that may use each other in a circle.
const LONGEST: usize = 4;

/// A module by its names from the crate's root.
type Module = Vec<String>;

/// The files of a crate, and the paths that each of them names.
#[derive(Default)]
struct Crate {
    files: BTreeMap<Module, Named>,
}

/// What a file names outside of its tests.
#[derive(Default)]
struct Named {
    paths: Vec<Module>,
    /// What `pub use` and its like hand on, by the name that it has here.
    handed_on: BTreeMap<String, Module>,
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|a| a.path().is_ident("cfg") && a.parse_args::<syn::Path>().is_ok_and(|p| p.is_ident("test")))
}

impl<'ast> Visit<'ast> for Named {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut found = Vec::new();
        leaves(&item.tree, &mut Vec::new(), &mut found);
        for (name, path) in found {
            match item.vis {
                Visibility::Inherited => self.paths.push(path),
                _ => drop(self.handed_on.insert(name, path)),
            }
        }
    }

    /// `pub(super)` says who may use an item, and uses nothing.
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths
            .push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

/// The names at the ends of a tree of `use`, each with its whole path.
fn leaves(tree: &UseTree, before: &mut Module, found: &mut Vec<(String, Module)>) {
    let mut end = |name: &syn::Ident, called: &syn::Ident, before: &Module| {
        let mut path = before.clone();
        if name != "self" {
            path.push(name.to_string());
        }
        found.push((called.to_string(), path));
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            leaves(&path.tree, before, found);
            before.pop();
        }
        UseTree::Name(name) => end(&name.ident, &name.ident, before),
        UseTree::Rename(name) => end(&name.ident, &name.rename, before),
        UseTree::Glob(_) => found.push(("*".into(), before.clone())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, found)),
    }
}

impl Crate {
    fn read(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../crates")
            .join(name)
            .join("src");
        let mut all = Self::default();
        all.add(&root, &root);
        all
    }

    fn add(&mut self, root: &Path, folder: &Path) {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.add(root, &path);
                continue;
            }
            let inside = path.strip_prefix(root).unwrap().with_extension("");
            let mut module: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let name = module.last().cloned().unwrap_or_default();
            // `#[cfg(test)] mod tests;` in a file of its own.
            if path.extension().is_none_or(|extension| extension != "rs") || name == "tests" {
                continue;
            }
            if ["mod", "lib", "main"].contains(&name.as_str()) {
                module.pop();
            }
            let mut named = Named::default();
            let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            let used = |item: &&Item| !matches!(item, Item::Mod(module) if is_test(&module.attrs));
            file.items.iter().filter(used).for_each(|item| named.visit_item(item));
            self.files.insert(module, named);
        }
    }

    /// A path that a module names, from the crate's root; nothing of other crates.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module.as_slice(), rest].concat()),
            "super" => {
                let (_, above) = module.split_last()?;
                let above = above.to_vec();
                match rest.first() {
                    Some(next) if next == "super" => self.absolute(&above, rest),
                    _ => Some([above.as_slice(), rest].concat()),
                }
            }
            name => {
                let child = [module.as_slice(), &[name.to_owned()]].concat();
                let is_ours = self.files.contains_key(&child) || self.files[module].handed_on.contains_key(name);
                is_ours.then(|| [module.as_slice(), path].concat())
            }
        }
    }

    /// The file in which a path ends, whoever hands it on.
    fn file(&self, path: &Module, steps: usize) -> Option<Module> {
        let known = (0..=path.len()).rev().map(|n| path[..n].to_vec());
        let module = known.into_iter().find(|module| self.files.contains_key(module))?;
        let (_, rest) = path.split_at(module.len());
        if let Some((name, rest)) = rest.split_first()
            && let Some(target) = self.files[&module].handed_on.get(name)
            && steps > 0
        {
            let target = self.absolute(&module, target)?;
            return self.file(&[target.as_slice(), rest].concat(), steps - 1);
        }
        Some(module)
    }

    /// The files that each file uses.
    fn uses(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let of = |module: &Module, named: &Named| {
            let paths = named.paths.iter().filter_map(|path| self.absolute(module, path));
            let files = paths.filter_map(|path| self.file(&path, 5));
            files.filter(|file| file != module).collect()
        };
        self.files
            .iter()
            .map(|(module, named)| (module, of(module, named)))
            .collect()
    }
}

/// All that a file reaches, with the chain to it.
fn reached<'a>(
    uses: &'a BTreeMap<&Module, BTreeSet<Module>>,
    from: &'a Module,
) -> BTreeMap<&'a Module, Vec<&'a Module>> {
    let mut reached: BTreeMap<&Module, Vec<&Module>> = BTreeMap::new();
    let mut open = vec![(from, vec![from])];
    while let Some((module, chain)) = open.pop() {
        for next in &uses[module] {
            if !reached.contains_key(next) {
                let chain = [chain.as_slice(), &[next]].concat();
                reached.insert(next, chain.clone());
                open.push((next, chain));
            }
        }
    }
    reached
}

fn shown(modules: &[&Module]) -> String {
    let names = modules.iter().map(|module| match module.is_empty() {
        true => "lib".to_owned(),
        false => module.join("::"),
    });
    names.collect::<Vec<_>>().join(" → ")
}

#[test]
fn no_floor_uses_one_above_it() {
    for (name, floor, forbidden) in FLOORS {
        let all = Crate::read(name);
        let uses = all.uses();
        let is_of = |module: &Module, floor: &str| module.first().is_some_and(|first| first == floor);
        let own: Vec<&&Module> = uses.keys().filter(|module| is_of(module, floor)).collect();
        assert!(!own.is_empty(), "{name} has no {floor}");
        for module in own {
            for (other, chain) in reached(&uses, module) {
                let above = forbidden.iter().find(|above| is_of(other, above));
                assert!(above.is_none(), "{name}: {}", shown(&chain));
            }
        }
        for above in forbidden {
            assert!(
                uses.keys().any(|module| is_of(module, above)),
                "{name} has no {above} any more"
            );
        }
    }
}

#[test]
fn no_circle_is_longer_than_a_few_files() {
    let crates = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")).unwrap();
    let mut names: Vec<String> = crates
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut faults = Vec::new();
    for name in names {
        let all = Crate::read(&name);
        let uses = all.uses();
        let reached: BTreeMap<&Module, _> = uses.keys().map(|module| (*module, reached(&uses, module))).collect();
        let circles = reached.iter().map(|(module, from_it)| {
            let back = from_it
                .keys()
                .copied()
                .filter(|other| reached[other].contains_key(*module));
            back.collect::<Vec<&Module>>()
        });
        let longest = circles.max_by_key(Vec::len).unwrap_or_default();
        if longest.len() > LONGEST {
            faults.push(format!(
                "{name}: {} files use each other: {}",
                longest.len(),
                shown(&longest)
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
