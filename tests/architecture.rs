//! What holds of the house as a whole. Who imports whom: no circle but between a module and those inside it, in either crate, and none between the modules at the
//! top. Imports and paths in expressions count, in macros too; tests may know whom they like.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, iter};

use syn::visit::{self, Visit};

type Module = Vec<String>;

/// Circles of the reference server that still stand: its parts know the server that they are parts of. No other module may join them.
const KNOWN: &[&[&str]] = &[
    &[
        "accept",
        "alive",
        "app",
        "connection",
        "fault",
        "front",
        "hub",
        "protocol",
        "request",
        "stats",
        "turn",
        "wire",
    ],
    &["protocol::long_poll", "protocol::poll", "protocol::short_poll"],
    &["front::hand_over", "front::routes"],
];

/// The modules of a crate, and for each the paths that it names.
struct Crate {
    paths: BTreeMap<Module, Vec<Module>>,
}

impl Crate {
    fn read(src: &Path) -> Crate {
        let mut files = Vec::new();
        collect(src, &mut files);
        let mut paths = BTreeMap::new();
        for file in files {
            let relative = file.strip_prefix(src).unwrap().with_extension("");
            let mut module: Module = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if module.last().is_some_and(|last| last == "mod") {
                module.pop();
            }
            let is_test = module.iter().any(|part| part == "tests" || part.ends_with("_tests"));
            if is_test || module == ["lib"] || module == ["main"] {
                continue;
            }
            paths.insert(module.clone(), named(&fs::read_to_string(&file).unwrap(), &module));
        }
        Crate { paths }
    }

    /// Whom each module imports, without those that it lies in and those that lie in it.
    fn imports(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let owner = |path: &Module| {
            (1..=path.len())
                .rev()
                .find_map(|length| self.paths.get_key_value(&path[..length]))
                .map(|(module, _)| module)
        };
        let of = |(module, paths): (&'_ Module, &Vec<Module>)| {
            let apart = |other: &&Module| !module.starts_with(other) && !other.starts_with(module);
            paths.iter().filter_map(owner).filter(apart).collect::<BTreeSet<_>>()
        };
        self.paths.iter().map(|entry| (entry.0, of(entry))).collect()
    }

    /// Sets of modules of which each imports, by way of others, every other.
    fn circles(&self) -> BTreeSet<Vec<String>> {
        circles(&self.imports())
    }

    /// The same of the modules at the top.
    fn circles_at_the_top(&self) -> BTreeSet<Vec<String>> {
        let tops: BTreeMap<&String, Module> =
            self.paths.keys().map(|module| (&module[0], vec![module[0].clone()])).collect();
        let mut imports: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
        for (module, others) in self.imports() {
            let others = others.iter().filter(|other| other[0] != module[0]).map(|other| &tops[&other[0]]);
            imports.entry(&tops[&module[0]]).or_default().extend(others);
        }
        circles(&imports)
    }
}

fn circles(imports: &BTreeMap<&Module, BTreeSet<&Module>>) -> BTreeSet<Vec<String>> {
    let reached = |from: &Module| {
        let (mut seen, mut open): (BTreeSet<&Module>, Vec<&Module>) = (BTreeSet::new(), Vec::new());
        open.extend(imports.get(from).into_iter().flatten());
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(imports.get(next).into_iter().flatten());
            }
        }
        seen
    };
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        imports.keys().map(|module| (*module, reached(module))).collect();
    let together = |module: &&Module| -> Vec<String> {
        let own = &reached[*module];
        let mutual =
            own.iter().filter(|other| reached.get(**other).is_some_and(|theirs| theirs.contains(module)));
        mutual.map(|other| other.join("::")).collect()
    };
    imports.keys().map(together).filter(|circle| circle.len() > 1).collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The paths within the crate that a file names, from the crate's root.
fn named(text: &str, module: &[String]) -> Vec<Module> {
    let mut names = Names { module: module.to_vec(), paths: Vec::new() };
    names.visit_file(&syn::parse_file(text).unwrap());
    names.paths
}

struct Names {
    module: Module,
    paths: Vec<Module>,
}

impl Names {
    fn add(&mut self, path: &[String]) {
        let mut base = match path.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self") => self.module.clone(),
            Some("super") => self.module[..self.module.len() - 1].to_vec(),
            _ => return,
        };
        let mut rest = &path[1..];
        while rest.first().is_some_and(|part| part == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        self.paths.push(base);
    }

    fn add_tree(&mut self, prefix: &mut Module, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_tree(prefix, &path.tree);
                prefix.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(prefix, tree)),
            syn::UseTree::Name(name) => self.add_with(prefix, &name.ident),
            syn::UseTree::Rename(name) => self.add_with(prefix, &name.ident),
            syn::UseTree::Glob(_) => self.add(prefix),
        }
    }

    fn add_with(&mut self, prefix: &[String], last: &syn::Ident) {
        let last = last.to_string();
        // `self` in braces is the module before them.
        let last = Some(last).filter(|last| prefix.is_empty() || last != "self");
        self.add(&prefix.iter().cloned().chain(last).collect::<Vec<_>>());
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

impl<'a> Visit<'a> for Names {
    fn visit_item(&mut self, item: &'a syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.add_tree(&mut Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        self.add(&path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        let text = call.tokens.to_string().replace(' ', "");
        for start in ["crate::", "super::"] {
            for (at, _) in text.match_indices(start) {
                let path = text[at..]
                    .split(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'));
                let path = path.into_iter().next().unwrap_or_default().trim_end_matches(':');
                self.add(&path.split("::").map(str::to_owned).collect::<Vec<_>>());
            }
        }
    }
}

fn read(src: &str) -> Crate {
    Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(src))
}

#[test]
fn only_a_module_and_those_inside_it_know_each_other() {
    let own = read("src");
    assert_eq!(own.circles_at_the_top(), BTreeSet::new());
    for circle in own.circles().into_iter().chain(read("reference-server/src").circles()) {
        let is_known = |known: &&[&str]| circle.iter().all(|module| known.contains(&module.as_str()));
        assert!(KNOWN.iter().any(is_known), "a new circle: {circle:?}");
    }
}

#[test]
fn no_file_is_longer_than_one_reads_in_a_sitting() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for src in ["src", "reference-server/src"] {
        collect(&root.join(src), &mut files);
    }
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 400, "{} has {lines} lines", file.display());
    }
}

#[test]
fn a_circle_is_found_in_imports_expressions_and_macros() {
    for back in [
        "use crate::a::Thing;",
        "use super::a;",
        "use crate::{a::Thing, c};",
        "fn f() { let _ = crate::a::thing(); }",
        "fn f() { println!(\"{}\", crate::a::THING); }",
    ] {
        let module = |name: &str| vec![name.to_owned()];
        let crate_of = |back: &str| {
            let texts = [("a", "use crate::b::Other;"), ("b", back), ("c", "")];
            Crate {
                paths: texts
                    .map(|(name, text)| (module(name), named(text, &module(name))))
                    .into_iter()
                    .collect(),
            }
        };
        let circle = iter::once(vec!["a".to_owned(), "b".to_owned()]).collect();
        assert_eq!(crate_of(back).circles(), circle, "{back}");
        assert_eq!(crate_of(&format!("#[cfg(test)] mod tests {{ {back} }}")).circles(), BTreeSet::new());
    }
    let child = Crate {
        paths: [
            (vec!["a".to_owned()], named("use self::b::Other;", &["a".to_owned()])),
            (
                vec!["a".to_owned(), "b".to_owned()],
                named("use super::Thing;", &["a".to_owned(), "b".to_owned()]),
            ),
        ]
        .into_iter()
        .collect(),
    };
    assert_eq!(child.circles(), BTreeSet::new(), "a module may know what lies in it");
}
