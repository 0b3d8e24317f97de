//! One file, understood.

use super::keys::{Common, Notify, Own, RULES, Settings};
use super::mistake::Mistake;
use super::named;
use super::read::Reading;
use super::setting::{At, Entry, InProject, Key, Layer, Origin, Row, Which, held, row};
use super::value::runs_a_file;
use belaykit::{AGENTS, FailureKind, Policy, Rule};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) common: Common,
    /// What holds in every profile that does not say otherwise.
    pub(crate) defaults: Profile,
    pub(crate) profiles: BTreeMap<String, Profile>,
    /// What it says of agents, by their names.
    pub(crate) agents: BTreeMap<String, Own>,
    pub(crate) notify: Notify,
}

/// How a run is made: the settings, and the rules that stand in the place of the built-in ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    pub(crate) settings: Settings,
    pub(crate) rules: BTreeMap<FailureKind, At<Rule>>,
}

impl Layer for Profile {
    fn over(self, below: Self) -> Self {
        let mut rules = below.rules;
        rules.extend(self.rules);
        Self { settings: self.settings.over(below.settings), rules }
    }

    fn held_to(self, user: &Self) -> Self {
        let built_in = Policy::default();
        let rules = self.rules.into_iter().filter_map(|(kind, rule)| {
            let of_user = user.rules.get(&kind).cloned().unwrap_or_else(|| {
                let rule = built_in.rule(kind);
                let json = rule.to_string().into();
                At { value: rule, json, origin: Origin::BuiltIn, instead_of: None }
            });
            Some((kind, held(Some(rule), Some(&of_user), InProject::Tighter, "")?))
        });
        Self { rules: rules.collect(), settings: self.settings.held_to(&user.settings) }
    }
}

impl Profile {
    pub(super) fn rows(&self, into: &mut Vec<Row>) {
        self.settings.rows("", into);
        for (kind, rule) in &self.rules {
            row("", &format!("{RULES}.{}", kind.name()), Some(rule), "", into);
        }
    }
}

impl Document {
    /// Reads a file, and says all that is wrong in it.
    pub(super) fn of(table: &DeTable<'_>, reading: &Reading<'_>) -> (Self, Vec<Mistake>) {
        let mut reader = Reader { reading, mistakes: Vec::new() };
        let document = reader.document(table);
        (document, reader.mistakes)
    }
}

/// Where a table of settings stands.
#[derive(Clone, Copy)]
enum Level<'a> {
    Top,
    Profile(&'a Arc<str>),
}

struct Reader<'a> {
    reading: &'a Reading<'a>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn document(&mut self, table: &DeTable<'_>) -> Document {
        let mut document = Document::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "profiles" => document.profiles = self.profiles(value),
                "agents" => document.agents = self.agents(value),
                "notify" => document.notify = self.notify(value),
                name if Common::KEYS.iter().any(|known| known.name == name) => {
                    let read = |entry: &Entry<'_>| document.common.read(name, entry);
                    self.read(key, value, None, read);
                }
                _ => self.setting("", key, value, Level::Top, &mut document.defaults),
            }
        }
        self.check_default(&document, table);
        document
    }

    /// The default profile is one of this file's.
    fn check_default(&mut self, document: &Document, table: &DeTable<'_>) {
        let Some(named) = &document.common.default_profile else { return };
        if document.profiles.contains_key(&named.value) {
            return;
        }
        let value = table.iter().find(|(key, _)| key.get_ref() == "default_profile");
        let span = value.map_or(0..0, |(_, value)| value.span());
        let message = format!("there is no profile `{}`", named.value.escape_debug());
        let names = document.profiles.keys().map(String::as_str);
        self.mistakes
            .push(Mistake { hint: suggestion(&named.value, names), ..Mistake::new(span, message) });
    }

    fn profiles(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Profile> {
        let mut profiles = BTreeMap::new();
        let Some(table) = self.table(value, "`profiles` holds tables: write [profiles.NAME]")
        else {
            return profiles;
        };
        for (name, value) in table {
            let Some(table) = self.table(value, "a profile is a table: write [profiles.NAME]")
            else {
                continue;
            };
            let mut profile = Profile::default();
            let shared: Arc<str> = name.get_ref().as_ref().into();
            for (key, value) in table {
                self.setting("", key, value, Level::Profile(&shared), &mut profile);
            }
            profiles.insert(name.get_ref().to_string(), profile);
        }
        profiles
    }

    /// One setting, or a table of them.
    fn setting(
        &mut self,
        prefix: &str,
        key: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        level: Level<'_>,
        profile: &mut Profile,
    ) {
        let name = format!("{prefix}{}", key.get_ref());
        // Quotes make one key of what would be two.
        if key.get_ref().contains('.') {
            return self.unknown(&name, key.span(), level);
        }
        if name == RULES {
            return self.rules(value, level, profile);
        }
        let within = format!("{name}.");
        if is_table(&within) {
            let message = format!("`{name}` is a table: write [{name}] and its keys below");
            let Some(table) = self.table(value, &message) else { return };
            for (key, value) in table {
                self.setting(&within, key, value, level, profile);
            }
            return;
        }
        let of_profile = match level {
            Level::Top => None,
            Level::Profile(name) => Some(name),
        };
        let read = |entry: &Entry<'_>| profile.settings.read(&name, entry);
        if !self.read(key, value, of_profile, read) {
            self.unknown(&name, key.span(), level);
        }
    }

    fn rules(&mut self, value: &Spanned<DeValue<'_>>, level: Level<'_>, profile: &mut Profile) {
        let message = "`policy.on` is a table: write KIND = \"STEPS\" below [policy.on]";
        let Some(table) = self.table(value, message) else { return };
        for (key, value) in table {
            let name = key.get_ref();
            let Some(kind) = FailureKind::ALL.into_iter().find(|kind| kind.name() == name) else {
                let message = format!("there is no kind of failure `{}`", name.escape_debug());
                let kinds = FailureKind::ALL.map(|kind| kind.name());
                let hint = suggestion(name, kinds.into_iter())
                    .unwrap_or_else(|| format!("use {}", kinds.join(", ")));
                self.mistakes.push(Mistake::new(key.span(), message).hint(hint));
                continue;
            };
            let of_profile = match level {
                Level::Top => None,
                Level::Profile(name) => Some(name),
            };
            self.read(key, value, of_profile, |entry| {
                profile.rules.insert(kind, entry.read(name, InProject::Tighter)?);
                Ok(true)
            });
        }
    }

    fn agents(&mut self, value: &Spanned<DeValue<'_>>) -> BTreeMap<String, Own> {
        let mut agents = BTreeMap::new();
        let message = "`agents` holds a table for each agent: write [agents.NAME]; which ones a run uses is `chain = […]`";
        let Some(table) = self.table(value, message) else { return agents };
        for (name, value) in table {
            let known = AGENTS.iter().find(|entry| {
                entry.name == name.get_ref() || entry.aliases.contains(&name.get_ref().as_ref())
            });
            let is_own = |value: &Spanned<DeValue<'_>>| {
                let table = value.get_ref().as_table();
                table.is_some_and(|table| {
                    table.keys().any(|key| matches!(key.get_ref().as_ref(), "cmd" | "acp"))
                })
            };
            if known.is_none() && is_own(value) {
                self.own_agent(name, value, &mut agents);
                continue;
            }
            let Some(known) = known else {
                let message = format!("there is no agent `{}`", name.get_ref().escape_debug());
                let names =
                    AGENTS.iter().flat_map(|entry| entry.aliases.iter().chain([&entry.name]));
                let names: Vec<_> = names.copied().collect();
                let hint = suggestion(name.get_ref(), names.iter().copied())
                    .unwrap_or_else(|| format!("use {}", names.join(", ")));
                self.mistakes.push(Mistake::new(name.span(), message).hint(hint));
                continue;
            };
            let Some(table) = self.table(value, "an agent is a table: write [agents.NAME]") else {
                continue;
            };
            let own = self.agent(known.name, table);
            if agents.insert(known.name.to_owned(), own).is_some() {
                let message = format!("`{}` stands here twice, by two of its names", known.name);
                self.mistakes.push(Mistake::new(name.span(), message));
            }
        }
        agents
    }

    /// An agent of the user's own.
    fn own_agent(
        &mut self,
        name: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        agents: &mut BTreeMap<String, Own>,
    ) {
        if !named::is_free(name.get_ref()) {
            let message = format!("`{}` cannot name an agent", name.get_ref().escape_debug());
            let hint = "use lower-case letters, digits, - and _, and no name that belay has";
            self.mistakes.push(Mistake::new(name.span(), message).hint(hint));
        } else if let Some(table) = value.get_ref().as_table() {
            let has = |name: &str| table.keys().any(|key| key.get_ref() == name);
            for (command, form, other) in [("cmd", "reads", "acp"), ("acp", "speaks", "cmd")] {
                if has(other) && (has(form) || has(command)) {
                    let message = match has(command) {
                        true => {
                            "an agent prints, or it speaks ACP: `cmd` and `acp` are two".to_owned()
                        }
                        false => format!("`{form}` is for a `{command}`, and this is an `{other}`"),
                    };
                    self.mistakes.push(Mistake::new(name.span(), message));
                    return;
                }
            }
            let own = self.agent(name.get_ref(), table);
            agents.insert(name.get_ref().to_string(), own);
        }
    }

    fn agent(&mut self, agent: &str, table: &DeTable<'_>) -> Own {
        let is_known = AGENTS.iter().any(|entry| entry.name == agent);
        let mut own = Own::default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if name == "model" && self.reading.which == Which::Project && runs_a_file(agent) {
                let message = "a project's file cannot name the file that an agent is: it would decide which programs run";
                self.mistakes.push(Mistake::new(key.span(), message));
            } else if is_known && named::OWN_KEYS.contains(&name) {
                let message =
                    format!("belay knows {agent} by itself: `{name}` makes an agent of your own");
                let hint = "give it another name, as in [agents.mine]";
                self.mistakes.push(Mistake::new(key.span(), message).hint(hint));
            } else if !self.read(key, value, None, |entry| own.read(name, entry)) {
                let message = format!("[agents.NAME] has no key `{}`", name.escape_debug());
                let fits = |key: &&Key| !(is_known && named::OWN_KEYS.contains(&key.name));
                let keys: Vec<Key> = Own::KEYS.iter().filter(fits).copied().collect();
                let hint = suggestion(name, keys.iter().map(|key| key.name))
                    .unwrap_or_else(|| format!("use {}", names(&keys)));
                self.mistakes.push(Mistake::new(key.span(), message).hint(hint));
            }
        }
        own
    }

    fn notify(&mut self, value: &Spanned<DeValue<'_>>) -> Notify {
        let mut notify = Notify::default();
        let message = "`notify` holds a table for each channel: write [notify.slack]";
        let Some(table) = self.table(value, message) else { return notify };
        for (channel, value) in table {
            let message = "a channel is a table: write [notify.slack]";
            let Some(table) = self.table(value, message) else { continue };
            for (key, value) in table {
                let name = format!("notify.{}.{}", channel.get_ref(), key.get_ref());
                if self.read(key, value, None, |entry| notify.read(&name, entry)) {
                    continue;
                }
                let message = format!("there is no key `{}`", name.escape_debug());
                let known = Notify::KEYS.iter().map(|key| key.name);
                let hint = suggestion(&name, known).unwrap_or_else(|| {
                    "docs/notify.md has all channels; `belay config init` writes them down"
                        .to_owned()
                });
                self.mistakes.push(Mistake::new(key.span(), message).hint(hint));
            }
        }
        notify
    }

    /// Reads a value; false if there is no such key.
    fn read(
        &mut self,
        key: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        profile: Option<&Arc<str>>,
        read: impl FnOnce(&Entry<'_>) -> Result<bool, Mistake>,
    ) -> bool {
        let entry = Entry { key_span: &key.span(), value, reading: self.reading, profile };
        read(&entry).unwrap_or_else(|mistake| {
            self.mistakes.push(mistake);
            true
        })
    }

    fn table<'t, 'i>(
        &mut self,
        value: &'t Spanned<DeValue<'i>>,
        message: &str,
    ) -> Option<&'t DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.mistakes.push(Mistake::new(value.span(), message));
        }
        table
    }

    fn unknown(&mut self, name: &str, span: Range<usize>, level: Level<'_>) {
        let message = format!("there is no key `{}`", name.escape_debug());
        let is_common = Common::KEYS.iter().any(|key| key.name == name);
        let hint = match level {
            Level::Profile(_) if is_common => {
                Some(format!("`{name}` stands at the top of the file, for all profiles"))
            }
            Level::Profile(_) if name == "agents" => Some(
                "the agents of a profile are `chain = [\"claude:opus\", \"codex\"]`".to_owned(),
            ),
            Level::Profile(_) if name == "notify" => {
                Some("`notify` stands at the top of the file, for all profiles".to_owned())
            }
            Level::Profile(_) => suggestion(name, setting_names()),
            Level::Top => {
                let more = ["profiles", "agents", "notify"].into_iter();
                let common = Common::KEYS.iter().map(|key| key.name);
                suggestion(name, setting_names().chain(common).chain(more))
            }
        };
        let hint = hint.unwrap_or_else(|| {
            "docs/config.md has all keys; `belay config init` writes them down".to_owned()
        });
        self.mistakes.push(Mistake::new(span, message).hint(hint));
    }
}

fn setting_names() -> impl Iterator<Item = &'static str> {
    Settings::KEYS.iter().map(|key| key.name).chain([RULES])
}

fn names(keys: &[Key]) -> String {
    keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

/// True if keys stand in this table, written with a point behind it.
fn is_table(within: &str) -> bool {
    setting_names().any(|key| key.starts_with(within))
}

/// What was probably meant: the same word in another table, or one that differs in a letter or two.
pub(super) fn suggestion<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let last = |name: &'a str| name.rsplit('.').next().unwrap_or(name);
    let bare = given.rsplit('.').next().unwrap_or(given);
    let distance = |name: &'a str| {
        strsim::damerau_levenshtein(given, name).min(strsim::damerau_levenshtein(bare, last(name)))
    };
    let (distance, best) = known.map(|name| (distance(name), name)).min()?;
    let near = distance <= (bare.chars().count() / 3).max(1);
    near.then(|| format!("did you mean `{best}`?"))
}
