//! Values that the library has types for, with what makes one of them looser than another.

use super::{Value, parsed};
use crate::config::mistake::Mistake;
use crate::config::read::Reading;
use belaykit::{Background, Effort, EnvMode, IdleLimits, OnEffects, OnLimit, Permissions, Rule};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

impl Value for IdleLimits {
    const FORM: &'static str =
        r#"a time such as "5m", times such as "model=15m,tool=30m", or "off""#;
    const IN_PROJECT_ALONE: &'static str = "times; not `off`";

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        parsed(value, Self::FORM)
    }

    fn refused_in_project(&self) -> Option<String> {
        let limits = [self.start, self.model, self.tool, self.retry, self.background];
        let off = limits.iter().any(Option::is_none);
        off.then(|| "a run that is never given up may hang for ever".to_owned())
    }

    fn is_looser_than(&self, other: &Self) -> bool {
        let longer = |mine: Option<Duration>, other: Option<Duration>| match (mine, other) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(mine), Some(other)) => mine > other,
        };
        longer(self.start, other.start)
            || longer(self.model, other.model)
            || longer(self.tool, other.tool)
            || longer(self.retry, other.retry)
            || longer(self.background, other.background)
    }
}

impl Value for Background {
    const FORM: &'static str = r#""wait" or "stop""#;

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        parsed(value, Self::FORM)
    }

    fn is_looser_than(&self, other: &Self) -> bool {
        (*self, *other) == (Self::Wait, Self::Stop)
    }
}

impl Value for Permissions {
    const FORM: &'static str = r#""read-only", "ask", "edit" or "full""#;
    const IN_PROJECT_ALONE: &'static str = r#"`"read-only"`"#;

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        parsed(value, Self::FORM)
    }

    fn refused_in_project(&self) -> Option<String> {
        let loosens = *self != Self::ReadOnly;
        loosens.then(|| "whoever wrote it would decide what an agent may do here".to_owned())
    }

    fn is_looser_than(&self, other: &Self) -> bool {
        self > other
    }
}

impl Value for EnvMode {
    const FORM: &'static str = r#""inherit" or "clean""#;

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        parsed(value, Self::FORM)
    }

    fn is_looser_than(&self, other: &Self) -> bool {
        (*self, *other) == (Self::Inherit, Self::Clean)
    }
}

impl Value for Effort {
    const FORM: &'static str = r#""low", "medium", "high" or "max""#;

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        parsed(value, Self::FORM)
    }

    /// More thinking costs more.
    fn is_looser_than(&self, other: &Self) -> bool {
        let place = |effort| Self::ALL.iter().position(|known| *known == effort);
        place(*self) > place(*other)
    }
}

impl Value for OnLimit {
    const FORM: &'static str = r#""fail", "wait" or "failover""#;

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        parsed(value, Self::FORM)
    }

    fn is_looser_than(&self, other: &Self) -> bool {
        // Each one uses more than the one before: nothing, time, another account.
        let uses = |answer| match answer {
            Self::Fail => 0,
            Self::Wait => 1,
            Self::Failover => 2,
        };
        uses(*self) > uses(*other)
    }
}

impl Value for OnEffects {
    const FORM: &'static str = r#""continue" or "stop""#;

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        parsed(value, Self::FORM)
    }

    fn is_looser_than(&self, other: &Self) -> bool {
        (*self, *other) == (Self::Continue, Self::Stop)
    }
}

impl Value for Rule {
    const FORM: &'static str =
        r#"steps such as "retry:5,agent", of retry:N, model, agent and wait, or "stop""#;

    fn read(value: &Spanned<DeValue<'_>>, _: &Reading<'_>) -> Result<Self, Mistake> {
        parsed(value, Self::FORM)
    }

    fn is_looser_than(&self, other: &Self) -> bool {
        self.retries > other.retries
            || (self.model && !other.model)
            || (self.agent && !other.agent)
            || (self.wait && !other.wait)
    }
}
