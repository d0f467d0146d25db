//! All prompts of a process: the built-in ones, and what a folder puts in their place.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use crate::llm::prompts::{
    error::{PromptError, PromptErrors},
    front_matter::split,
    prompt::{Prompt, SchemaFile},
    shipped::{SCHEMAS, SHIPPED, Shipped},
};

/// Where a built-in prompt says it comes from.
const BUILT_IN: &str = "built in";
/// Folder of schemas beside prompts.
const SCHEMA_FOLDER: &str = "schemas";

/// All prompts, checked.
#[derive(Debug)]
pub struct Catalogue(BTreeMap<&'static str, Arc<Prompt>>);

impl Catalogue {
    /// The built-in prompts, and over them the `*.md` files of a folder, with schemas from its `schemas/`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(folder: Option<&Path>) -> Result<Self, PromptErrors> {
        let (mut found, mut wrong) = (BTreeMap::new(), Vec::new());
        let built_in = SHIPPED.iter().map(|shipped| {
            Prompt::new(BUILT_IN, shipped.text.to_owned(), shipped, |name| schema(None, BUILT_IN, name))
        });
        let replaced = match folder.map(files).transpose() {
            Ok(files) => files.unwrap_or_default(),
            Err(error) => return Err(PromptErrors(vec![error])),
        };
        for read in built_in.chain(replaced.iter().map(|file| replacement(folder, file))) {
            match read {
                Ok(prompt) => drop(found.insert(prompt.shipped.id, Arc::new(prompt))),
                Err(error) => wrong.push(error),
            }
        }
        if wrong.is_empty() { Ok(Self(found)) } else { Err(PromptErrors(wrong)) }
    }

    /// The prompt of this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Prompt>> {
        self.0.get(id)
    }

    /// All of them, by id.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Prompt>> {
        self.0.values()
    }
}

/// The prompts in a folder, by name.
fn files(folder: &Path) -> Result<Vec<String>, PromptError> {
    let unreadable = |error: std::io::Error| unreadable(&folder.display().to_string(), &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            names.push(path.display().to_string());
        }
    }
    names.sort();
    Ok(names)
}

fn replacement(folder: Option<&Path>, file: &str) -> Result<Prompt, PromptError> {
    let text = fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    let bad_front = |why| PromptError::FrontMatter { file: file.to_owned(), why };
    let (front, _) = split(&text).map_err(bad_front)?;
    let shipped = known(file, &front.id)?;
    Prompt::new(file, text, shipped, |name| schema(folder, file, name))
}

fn known(file: &str, id: &str) -> Result<&'static Shipped, PromptError> {
    SHIPPED.iter().find(|shipped| shipped.id == id).ok_or_else(|| PromptError::UnknownId {
        file: file.to_owned(),
        id: id.to_owned(),
        known: SHIPPED.iter().map(|shipped| shipped.id).collect::<Vec<_>>().join(", "),
    })
}

/// The folder's own schema of this name, else the built-in one.
fn schema(folder: Option<&Path>, file: &str, name: &str) -> Result<SchemaFile, PromptError> {
    let needed = SCHEMAS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    let bad = |why: &str| PromptError::Schema {
        file: file.to_owned(),
        schema: name.to_owned(),
        why: why.to_owned(),
    };
    let needed =
        needed.ok_or_else(|| bad("no built-in schema has this name: it says what is read of an answer"))?;
    let own = folder.map(|folder| folder.join(SCHEMA_FOLDER).join(name)).filter(|path| path.exists());
    let text = match own {
        None => needed.to_owned(),
        Some(path) => fs::read_to_string(&path).map_err(|error| bad(&error.to_string()))?,
    };
    Ok(SchemaFile { text, needed: Some(needed) })
}

fn unreadable(file: &str, error: &std::io::Error) -> PromptError {
    PromptError::Unreadable { file: file.to_owned(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use serde_json::json;
    use tempfile::TempDir;

    use super::Catalogue;
    use crate::llm::{contract::AnswerShape, prompts::fence};

    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("schemas")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn refused(files: &[(&str, &str)]) -> String {
        let folder = folder(files);
        Catalogue::load(Some(folder.path())).unwrap_err().to_string()
    }

    const CHAT: &str = include_str!("../../../prompts/chat_complete.md");
    const READING: &str = include_str!("../../../prompts/message_reading.md");
    const READING_SCHEMA: &str = include_str!("../../../schemas/message_reading.v1.json");

    #[test]
    fn the_built_in_prompts_are_sound() {
        let catalogue = Catalogue::load(None).unwrap();
        let ids: Vec<_> = catalogue.all().map(|prompt| prompt.front.id.as_str()).collect();
        assert_eq!(ids, ["chat_complete", "email_draft", "message_reading"]);
        assert!(catalogue.all().all(|prompt| prompt.hash.len() == 64));
    }

    #[test]
    fn a_folder_stands_in_for_a_prompt_and_is_known_by_its_hash() {
        let own = CHAT.replace("politely and briefly", "in rhymes").replace("version = 1", "version = 7");
        let folder = folder(&[("anything.md", &own), ("notes.txt", "not a prompt")]);
        let (plain, replaced) =
            (Catalogue::load(None).unwrap(), Catalogue::load(Some(folder.path())).unwrap());
        let (old, new) = (plain.get("chat_complete").unwrap(), replaced.get("chat_complete").unwrap());
        assert_eq!(new.reference().to_string(), "chat_complete@7");
        assert_ne!(old.hash, new.hash);
        let asked = new.question(json!({ "specialist": null, "message": "Hello" })).unwrap();
        assert!(asked.system.contains("in rhymes") && asked.answer == AnswerShape::Text);
        assert_eq!(replaced.get("email_draft").unwrap().hash, plain.get("email_draft").unwrap().hash);
    }

    #[test]
    fn a_schema_of_ones_own_counts_into_the_hash_and_keeps_what_is_read() {
        let wider = READING_SCHEMA.replace("\"other\"]", "\"other\", \"refund\"]");
        let schema = "schemas/message_reading.v1.json";
        let with = folder(&[("a.md", READING), (schema, &wider)]);
        let prompt = |catalogue: &Catalogue| catalogue.get("message_reading").unwrap().hash.clone();
        let (plain, own) = (Catalogue::load(None).unwrap(), Catalogue::load(Some(with.path())).unwrap());
        assert_ne!(prompt(&plain), prompt(&own));
        for (bad, named) in [
            (READING_SCHEMA.replace("\"additionalProperties\": false,", ""), "additionalProperties"),
            (READING_SCHEMA.replace("\"sentiment\"", "\"mood\""), "needs a field `sentiment`"),
            ("{".to_owned(), "not JSON"),
        ] {
            let why = refused(&[("a.md", READING), (schema, &bad)]);
            assert!(why.contains(named), "{why} does not name {named}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file() {
        for (text, named) in [
            (CHAT.replace("chat_complete", "chat_gossip"), "no prompt is called `chat_gossip`"),
            (CHAT.replace("+++\nid", "id"), "front matter"),
            (CHAT.replace("{{ message }}", "{{ massage }}"), "`massage` is no value of this prompt"),
            (CHAT.replace("{{ message }}", "{% if false %}{{ massage }}{% endif %}x"), "`massage`"),
            (READING.replace("message | fence(\"message\")", "message"), "outside a fence"),
            (READING.replace("- `sentiment`", "{{ message }}"), "undefined"),
            (READING.replace("message_reading.v1.json", "other.json"), "schema other.json"),
            (READING.replace("schema = \"message_reading.v1.json\"", ""), "another form"),
        ] {
            let why = refused(&[("own.md", &text)]);
            assert!(why.contains(named) && why.contains("own.md"), "{why} does not name {named}");
        }
        let gone = Catalogue::load(Some(std::path::Path::new("/nowhere/at/all"))).unwrap_err();
        assert!(gone.to_string().contains("cannot be read"), "{gone}");
    }

    proptest! {
        /// Whatever a person writes: the system part stays, and the words stay in their block.
        #[test]
        fn a_stranger_changes_nothing_but_their_own_block(words in any::<String>(), choice in any::<String>()) {
            let catalogue = Catalogue::load(None).unwrap();
            let prompt = catalogue.get("message_reading").unwrap();
            let ask = |message: &str, choice: &str| {
                prompt.question(json!({ "channel": "sms", "message": message, "choice": choice })).unwrap()
            };
            let (plain, asked) = (ask("Hello", "A"), ask(&words, &choice));
            prop_assert_eq!(&asked.system, &plain.system);
            let user = &asked.turns[0].text;
            let shown = [fence::harmless(&words), fence::harmless(&choice)];
            prop_assert_eq!(fence::inside(user, "message"), Some(shown[0].as_ref()));
            prop_assert_eq!(fence::inside(user, "choice"), Some(shown[1].as_ref()));
            prop_assert_eq!(fence::outside(user), fence::outside(&plain.turns[0].text));
            prop_assert_eq!(&asked.turns, &ask(&words, &choice).turns);
        }
    }
}
