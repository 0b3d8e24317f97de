//! A setting: what it is called, which value it has, and where that comes from.

use super::mistake::Mistake;
use super::read::Reading;
use super::value::Value;
use serde_json::Value as Json;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeValue;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    User,
    /// One that came with the project: somebody else may have written it.
    Project,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Project => "project",
        })
    }
}

/// What a project's file may do with a key. It is not the user's own: who clones a project has not read it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InProject {
    /// Set it, where the user's file does not.
    Unset,
    /// Set it. Something else keeps it from loosening what the user has: the chain is held to what the user's own
    /// first agent may do.
    Held,
    /// Set it; where the user's file says something tighter, that is what holds.
    Tighter,
    /// Tighten it, below what the user's file says or else below what is built in.
    AtMost,
    /// The same for a key whose built-in value depends on the run: this is the loosest that it can be.
    Below(&'static str),
    /// Nothing, for this reason.
    No(&'static str),
}

/// A key as people read of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    /// What values look like.
    pub(crate) form: &'static str,
    /// Which values alone a project may give it, if not all.
    pub(crate) in_project_alone: &'static str,
    pub(crate) in_project: InProject,
    /// What holds if nobody says anything, in TOML; empty if that is the agent's to know.
    pub(crate) built_in: &'static str,
    /// A value, in TOML.
    pub(crate) example: &'static str,
}

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    /// The value as it is shown.
    pub(crate) json: Json,
    pub(crate) origin: Origin,
    /// What the project wanted, if that is looser.
    pub(crate) instead_of: Option<Box<(Json, Origin)>>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    BuiltIn,
    /// The command line.
    Flag(&'static str),
    /// A variable.
    Environment(&'static str),
    File {
        which: Which,
        path: Arc<Path>,
        line: usize,
        profile: Option<Arc<str>>,
    },
}

impl Origin {
    pub(crate) fn is_project(&self) -> bool {
        matches!(self, Self::File { which: Which::Project, .. })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File { which, path, line, profile } => {
                write!(f, "{which} {}:{line}", path.display())?;
                profile.as_ref().map_or(Ok(()), |profile| write!(f, ", profile {profile}"))
            }
        }
    }
}

/// A setting as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) value: Json,
    pub(crate) origin: Origin,
    pub(crate) instead_of: Option<Box<(Json, Origin)>>,
}

/// A key with its value, as it stands in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(super) key_span: &'a Range<usize>,
    pub(super) value: &'a Spanned<DeValue<'a>>,
    pub(super) reading: &'a Reading<'a>,
    pub(super) profile: Option<&'a Arc<str>>,
}

impl Entry<'_> {
    /// Reads the value, if this file may give it.
    pub(super) fn read<T: Value>(
        &self,
        key: &str,
        in_project: InProject,
    ) -> Result<At<T>, Mistake> {
        let in_a_project = self.reading.which == Which::Project;
        if let (true, InProject::No(why)) = (in_a_project, in_project) {
            let message = format!("a project's file cannot set `{key}`: {why}");
            return Err(Mistake::new(self.key_span.clone(), message)
                .hint(format!("put it into your own file, {}", self.reading.user_file())));
        }
        let value = T::read(self.value, self.reading)?;
        if let (true, Some(why)) = (in_a_project, value.refused_in_project()) {
            let message = format!("a project's file cannot set this `{key}`: {why}");
            return Err(Mistake::new(self.value.span(), message)
                .hint(format!("put it into your own file, {}", self.reading.user_file())));
        }
        let json = value.json().unwrap_or_else(|| super::value::json(self.value.get_ref()));
        let line = self.reading.line(self.key_span.start);
        let origin = Origin::File {
            which: self.reading.which,
            path: self.reading.path.clone(),
            line,
            profile: self.profile.cloned(),
        };
        Ok(At { value, json, origin, instead_of: None })
    }
}

/// What holds of a setting that a project's file has a say in.
pub(super) fn held<T: Value>(
    at: Option<At<T>>,
    of_user: Option<&At<T>>,
    in_project: InProject,
    built_in: &str,
) -> Option<At<T>> {
    let wanted = at?;
    if !wanted.origin.is_project() {
        return Some(wanted);
    }
    let bound = match in_project {
        InProject::Tighter | InProject::Unset => of_user.cloned(),
        InProject::AtMost => of_user.cloned().or_else(|| self::built_in(built_in)),
        InProject::Below(loosest) => of_user.cloned().or_else(|| self::built_in(loosest)),
        InProject::Held | InProject::No(_) => None,
    };
    let is_fixed = matches!(in_project, InProject::Unset);
    match bound.filter(|bound| is_fixed || wanted.value.is_looser_than(&bound.value)) {
        Some(bound) => {
            let instead_of = Some(Box::new((wanted.json, wanted.origin)));
            Some(At { instead_of, ..bound })
        }
        None => Some(wanted),
    }
}

/// The value that a key's table row says is built in.
pub(super) fn built_in<T: Value>(text: &str) -> Option<At<T>> {
    let value = DeValue::parse(text).ok()?;
    let json = super::value::json(value.get_ref());
    let value = T::read(&value, &Reading::of_nothing()).ok()?;
    Some(At { value, json, origin: Origin::BuiltIn, instead_of: None })
}

/// Settings that are laid over others, key by key.
pub(super) trait Layer {
    /// What stands here, and where nothing does, what stands below.
    #[must_use]
    fn over(self, below: Self) -> Self;

    /// What a project wants, as far as the user has not said something tighter.
    #[must_use]
    fn held_to(self, user: &Self) -> Self;
}

/// Declares a struct of settings: one line for each key is its name, what a project may do with it, what is built
/// in, and an example.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $key:literal, $in_project:expr, $built_in:literal, $example:literal;
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        pub(crate) struct $name {
            $($(#[doc = $doc])+ pub(crate) $field: Option<$crate::config::setting::At<$type>>,)*
        }

        impl $name {
            /// The keys.
            pub(crate) const KEYS: &'static [$crate::config::setting::Key] = &[
                $($crate::config::setting::Key {
                    name: $key,
                    doc: concat!($($doc),+),
                    form: <$type as $crate::config::value::Value>::FORM,
                    in_project_alone: <$type as $crate::config::value::Value>::IN_PROJECT_ALONE,
                    in_project: $in_project,
                    built_in: $built_in,
                    example: $example,
                }),*
            ];

            /// Reads a value; false if there is no such key.
            pub(crate) fn read(
                &mut self,
                key: &str,
                entry: &$crate::config::setting::Entry<'_>,
            ) -> Result<bool, $crate::config::mistake::Mistake> {
                match key {
                    $($key => self.$field = Some(entry.read($key, $in_project)?),)*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// Every key with its value, or what is built in.
            pub(crate) fn rows(&self, prefix: &str, into: &mut Vec<$crate::config::setting::Row>) {
                $($crate::config::setting::row(prefix, $key, self.$field.as_ref(), $built_in, into);)*
            }
        }

        impl $crate::config::setting::Layer for $name {
            fn over(self, below: Self) -> Self {
                Self { $($field: self.$field.or(below.$field)),* }
            }

            fn held_to(self, user: &Self) -> Self {
                use $crate::config::setting::held;
                Self { $($field: held(self.$field, user.$field.as_ref(), $in_project, $built_in)),* }
            }
        }
    };
}

pub(super) use settings;

pub(super) fn row<T>(
    prefix: &str,
    key: &str,
    at: Option<&At<T>>,
    built_in: &str,
    into: &mut Vec<Row>,
) {
    let key = format!("{prefix}{key}");
    into.push(match at {
        Some(at) => {
            let (value, origin) = (at.json.clone(), at.origin.clone());
            Row { key, value, origin, instead_of: at.instead_of.clone() }
        }
        None => {
            let value = DeValue::parse(built_in).ok();
            let value = value.map_or(Json::Null, |value| super::value::json(value.get_ref()));
            Row { key, value, origin: Origin::BuiltIn, instead_of: None }
        }
    });
}
