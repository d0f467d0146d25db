//! The house keeps its shape: floors, no circles, small files, migrations in pairs, nothing left unfinished.
//! A failure names the file and the rule; how a module comes to its floor is told in `docs/adr/0001-one-crate-with-floors-under-test.md`.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Roof to ground. A room names only rooms of lower floors; neighbours never name each other.
/// `queue/local` is a room of its own: a server, which must share nothing with the client or the store.
const FLOORS: [&[&str]; 9] = [
    &["main"],
    &["cli"],
    &["app"],
    &["worker", "edge", "admin"],
    &["handlers"],
    &["llm", "crm", "messaging", "sources"],
    &["queue", "queue/local", "store", "http"],
    &["clock", "config", "retry", "telemetry", "lifecycle", "crash_point", "signature"],
    &["domain"],
];

const MAX_LINES: usize = 400;

#[test]
fn a_module_names_only_lower_floors() {
    let mut wrong = Vec::new();
    for file in sources() {
        let (room, floor) = file.room();
        for target in file.names(Part::All) {
            let (target_room, target_floor) = room_of(&target);
            if target_room != room && target_floor <= floor {
                wrong.push(format!("{} ({room}) names {target} ({target_room})", file.path));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "the other way round, or through a trait of a lower floor");
}

#[test]
fn a_file_never_names_its_own_mod_rs() {
    let mut wrong = Vec::new();
    for file in sources() {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in file.names(Part::Product) {
            let target_folder = target.strip_suffix("/mod.rs").unwrap_or("-");
            if target != file.path
                && (folder == target_folder || folder.starts_with(&format!("{target_folder}/")))
            {
                wrong.push(format!("{} names {target}", file.path));
            }
        }
        if product(file.tokens()).iter().any(|path| path.first().is_some_and(|first| first == "super")) {
            wrong.push(format!(
                "{} says super:: where a path from crate:: would show what is meant",
                file.path
            ));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn there_are_no_circles() {
    let graph: BTreeMap<String, BTreeSet<String>> =
        sources().map(|file| (file.path.clone(), file.names(Part::Product))).collect();
    // Whoever can be reached from itself stands in a circle.
    let circles: Vec<_> = graph.keys().filter(|start| reachable(&graph, start).contains(*start)).collect();
    assert_eq!(circles, Vec::<&String>::new());
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let silent: Vec<_> =
        sources().filter(|file| !file.text.starts_with("//! ")).map(|file| file.path).collect();
    assert_eq!(silent, Vec::<String>::new(), "the first line is its //! head");
}

#[test]
fn no_file_is_a_barn() {
    let barns: Vec<_> = ["src", "tests", "benches"]
        .iter()
        .flat_map(|folder| files(folder))
        .filter(|path| path.ends_with(".rs"))
        .map(|path| (read(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .collect();
    assert_eq!(barns, Vec::<(usize, String)>::new(), "split it by idea");
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |wing: &str| -> Vec<String> {
        let folder = format!("migrations/{wing}/");
        files(&folder).iter().map(|path| path[folder.len()..].to_owned()).collect()
    };
    assert!(!names("postgres").is_empty(), "no migration found");
    assert_eq!(names("postgres"), names("sqlite"));
}

#[test]
fn nothing_is_left_unfinished_or_skipped() {
    // In halves, so that this file does not find itself.
    let marks = [
        ("to", "do!("),
        ("unimple", "mented!("),
        ("FIX", "ME"),
        ("TO", "DO"),
        ("#[ign", "ore"),
        ("<<<<", "<<< "),
    ]
    .map(|(a, b)| [a, b].concat());
    let everywhere = ["src", "tests", "benches", "docs", "ops", "systemd"];
    assert_eq!(mentions(&everywhere, &marks), Vec::<String>::new());
}

#[test]
fn nothing_names_a_folder_of_one_machine() {
    let places = [("/ro", "ot/"), ("/ho", "me/"), ("/Use", "rs/")].map(|(a, b)| [a, b].concat());
    let everywhere = ["src", "tests", "benches", "docs", "ops", "systemd", "prompts", "migrations", ".ci"];
    assert_eq!(mentions(&everywhere, &places), Vec::<String>::new());
}

/// A source file under `src/`.
struct Source {
    /// Such as `store/contract.rs`.
    path: String,
    text: String,
}

/// Which part of a file counts.
#[derive(Clone, Copy)]
enum Part {
    All,
    /// Without its `#[cfg(test)]` modules.
    Product,
}

impl Source {
    fn tokens(&self) -> TokenStream {
        TokenStream::from_str(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path))
    }

    fn room(&self) -> (&'static str, usize) {
        room_of(&self.path)
    }

    /// The other files that it names by `crate::`, or by the crate's own name as `main.rs` must.
    fn names(&self, part: Part) -> BTreeSet<String> {
        let paths = match part {
            Part::All => all_paths(self.tokens()),
            Part::Product => product(self.tokens()),
        };
        paths
            .into_iter()
            .filter(|path| matches!(path[0].as_str(), "crate" | "longshore"))
            .filter_map(|path| file_of(&path[1..]))
            .filter(|target| *target != self.path)
            .collect()
    }
}

/// The file that a path leads to: as far as its parts are modules. None for what `lib.rs` itself holds.
fn file_of(path: &[String]) -> Option<String> {
    let mut found = None;
    let mut folder = String::new();
    for part in path {
        let (file, inner) = (format!("{folder}{part}.rs"), format!("{folder}{part}/mod.rs"));
        found = match [file, inner].into_iter().find(|name| root().join("src").join(name).is_file()) {
            Some(name) => Some(name),
            None => break,
        };
        folder = format!("{folder}{part}/");
    }
    found
}

/// Room and floor of a file: the longest room whose name it bears.
fn room_of(path: &str) -> (&'static str, usize) {
    let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
    FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, rooms)| rooms.iter().map(move |room| (*room, floor)))
        .filter(|(room, _)| module == *room || module.starts_with(&format!("{room}/")))
        .max_by_key(|(room, _)| room.len())
        .unwrap_or_else(|| panic!("src/{path} stands on no floor: give it one in FLOORS"))
}

fn reachable(graph: &BTreeMap<String, BTreeSet<String>>, start: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(file) = open.pop() {
        for next in graph.get(file).into_iter().flatten() {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen
}

/// Every path in the tokens that has a `::`, with the groups of `use a::{b, c::d}` written out. Comments and
/// texts are no tokens, so what they say does not count.
fn all_paths(tokens: TokenStream) -> Vec<Vec<String>> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(_) => {
                let (mut paths, next) = path_at(&tokens, at);
                found.append(&mut paths);
                at = next;
            }
            TokenTree::Group(group) => {
                found.append(&mut all_paths(group.stream()));
                at += 1;
            }
            _ => at += 1,
        }
    }
    found.retain(|path| path.len() > 1);
    found
}

/// The paths that begin with the name at `at`, and where to go on reading.
fn path_at(tokens: &[TokenTree], mut at: usize) -> (Vec<Vec<String>>, usize) {
    let mut path = Vec::new();
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        path.push(name.to_string());
        if !is_double_colon(tokens, at + 1) {
            return (vec![path], at + 1);
        }
        at += 3;
    }
    match tokens.get(at) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            (spread(&path, group), at + 1)
        }
        // `a::*`, `a::<T>`: as far as it goes; what follows is read on its own.
        _ => (vec![path], at),
    }
}

fn is_double_colon(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
    colon(at) && colon(at + 1)
}

/// `a::{b, c::d}` is `a::b` and `a::c::d`; `self` is `a`.
fn spread(path: &[String], group: &Group) -> Vec<Vec<String>> {
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    let mut found = Vec::new();
    for entry in tokens.split(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',')) {
        let tails = if entry.is_empty() { Vec::new() } else { path_at(entry, 0).0 };
        found.extend(tails.into_iter().map(|tail| {
            path.iter().cloned().chain(tail.into_iter().filter(|part| part != "self")).collect::<Vec<_>>()
        }));
    }
    found
}

/// The paths outside `#[cfg(test)] mod ... { }`.
fn product(tokens: TokenStream) -> Vec<Vec<String>> {
    let mut kept = Vec::new();
    for token in tokens {
        let is_body = matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        if !(is_body && ends_as_test_module(&kept)) {
            kept.push(token);
        }
    }
    all_paths(kept.into_iter().collect())
}

fn ends_as_test_module(before: &[TokenTree]) -> bool {
    let [.., attribute, module, _name] = before else { return false };
    attribute.to_string().replace(' ', "") == "[cfg(test)]" && module.to_string() == "mod"
}

fn mentions(folders: &[&str], words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for path in folders.iter().flat_map(|folder| files(folder)) {
        for (number, line) in read(&path).lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

fn sources() -> impl Iterator<Item = Source> {
    files("src/").into_iter().filter(|path| path != "src/lib.rs").map(|path| {
        let text = read(&path);
        Source { path: path["src/".len()..].to_owned(), text }
    })
}

/// All files below a folder of the repository, sorted, as paths from its root; none where there is no such folder.
fn files(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("readable folder").path();
        let name = path.strip_prefix(root()).expect("below the root").to_str().expect("UTF-8").to_owned();
        if path.is_dir() { found.extend(files(&name)) } else { found.push(name) }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    String::from_utf8_lossy(&fs::read(root().join(path)).expect("readable file")).into_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

#[test]
fn paths_are_read_from_tokens_not_from_text() {
    let text = r#"
        //! crate::comment::x
        use crate::{a::{self, B}, c};
        fn f() { "crate::text::x"; crate::d::<T>(crate::e::g!(crate::h::i)); }
        #[cfg(test)]
        mod tests { use super::*; use crate::only::tests; }
    "#;
    let found =
        product(TokenStream::from_str(text).unwrap()).iter().map(|path| path.join(" ")).collect::<Vec<_>>();
    assert_eq!(found, ["crate a", "crate a B", "crate c", "crate d", "crate e g", "crate h i"]);
    assert!(
        all_paths(TokenStream::from_str(text).unwrap())
            .contains(&["crate", "only", "tests"].map(String::from).to_vec())
    );
}

#[test]
fn the_local_queue_is_a_room_of_its_own() {
    assert_eq!(room_of("queue/local/mod.rs"), ("queue/local", room_of("store/mod.rs").1));
    assert_eq!(room_of("queue/sqs.rs").0, "queue");
    assert_eq!(
        file_of(&["store", "contract", "Store"].map(String::from)).as_deref(),
        Some("store/contract.rs")
    );
}
