//! Prompts with places in them that are filled in later.

use minijinja::{Environment, UndefinedBehavior, path_loader};
use serde::Serialize;
use std::error::Error;
use std::fmt;
use std::path::Path;

/// A prompt with places to be filled in, in the language of Jinja: `Find threads about {{ topic }}.`, with loops,
/// conditions, filters and includes of templates in the same folder.
///
/// What the data does not have is an error and no gap; nothing is escaped, since a prompt is no HTML. (The seed's
/// templates are Go's, `{{.Topic}}`, whose simple places differ by the dot.)
///
/// ```
/// use belaykit::PromptTemplate;
/// use std::collections::BTreeMap;
///
/// let template = PromptTemplate::new("Find {{ n }} threads about {{ topic }}.")?;
/// let prompt = template.render(BTreeMap::from([("n", "3"), ("topic", "climbing")]))?;
/// assert_eq!(prompt, "Find 3 threads about climbing.");
/// # Ok::<(), belaykit::BadTemplate>(())
/// ```
#[derive(Clone)]
pub struct PromptTemplate {
    environment: Environment<'static>,
    name: String,
}

impl fmt::Debug for PromptTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptTemplate").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PromptTemplate {
    /// A template that stands in the program.
    ///
    /// # Errors
    /// [`BadTemplate`] with the line where it cannot be read.
    pub fn new(text: impl Into<String>) -> Result<Self, BadTemplate> {
        let mut environment = environment();
        let name = "prompt".to_owned();
        environment.add_template_owned(name.clone(), text.into()).map_err(BadTemplate)?;
        Ok(Self { environment, name })
    }

    /// A template in a file; it can include others of its folder, and none from elsewhere.
    ///
    /// # Errors
    /// [`BadTemplate`] if the file is not there, or with the line where it cannot be read.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, BadTemplate> {
        let path = path.as_ref();
        let mut environment = environment();
        let folder = path.parent().unwrap_or(Path::new(""));
        environment.set_loader(path_loader(folder));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        environment.get_template(&name).map_err(BadTemplate)?;
        Ok(Self { environment, name })
    }

    /// Lets templates call a function of the program's: `{{ shout(topic) }}`.
    #[must_use]
    pub fn function(
        mut self,
        name: impl Into<String>,
        function: impl Fn(String) -> String + Send + Sync + 'static,
    ) -> Self {
        self.environment.add_function(name.into(), function);
        self
    }

    /// The prompt, with its places filled in from `data`: a struct, or a map by names.
    ///
    /// # Errors
    /// [`BadTemplate`] with the line whose place the data does not fill.
    pub fn render(&self, data: impl Serialize) -> Result<String, BadTemplate> {
        let template = self.environment.get_template(&self.name).map_err(BadTemplate)?;
        template.render(data).map_err(BadTemplate)
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_keep_trailing_newline(true);
    environment
}

/// A template that cannot be read, or whose places cannot be filled.
#[derive(Debug)]
pub struct BadTemplate(minijinja::Error);

impl fmt::Display for BadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Error for BadTemplate {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;

    fn data() -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([("topic", "<rock> & \"ice\"")])
    }

    #[test]
    fn a_template_is_filled_in_as_it_is_and_a_gap_is_an_error_with_its_line() {
        let template = PromptTemplate::new("About {{ topic }}.\n").unwrap();
        assert_eq!(template.render(data()).unwrap(), "About <rock> & \"ice\".\n");
        let gap = PromptTemplate::new("one\n{{ topics }}").unwrap().render(data()).unwrap_err();
        assert!(
            gap.to_string().contains("undefined value") && gap.to_string().contains(":2"),
            "{gap}"
        );
        let bad = PromptTemplate::new("{% for x %}").unwrap_err();
        assert!(bad.to_string().contains(":1"), "{bad}");
    }

    #[test]
    fn a_template_includes_its_neighbours_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("prompts")).unwrap();
        file("secret.md", "secret");
        file("prompts/rules.md", "Be brief.");
        file("prompts/task.md", "{% include \"rules.md\" %} {{ shout(topic) }}");
        file("prompts/thief.md", "{% include \"../secret.md\" %}");
        let load = |name: &str| PromptTemplate::load(folder.path().join("prompts").join(name));
        let task = load("task.md").unwrap().function("shout", |text| text.to_uppercase());
        assert_eq!(task.render(data()).unwrap(), "Be brief. <ROCK> & \"ICE\"");
        assert!(load("thief.md").unwrap().render(data()).is_err());
        let missing = load("none.md").unwrap_err();
        assert!(missing.to_string().contains("none.md"), "{missing}");
    }
}
