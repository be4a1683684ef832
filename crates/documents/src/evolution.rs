use std::collections::BTreeMap;

use crate::{Presence, Schema, StandIn};

/// How the fields of a table changed from version to version of its schema: what it takes to see a document of one version
/// as one of another.
///
/// A field stays the same one under every name that it ever had, and in rows of each version it has exactly one of them. So
/// what is read of a row does not change when further versions are registered, and neither does its place in an index.
#[derive(Debug, Default)]
pub struct Evolution {
    /// The newest version that it knows.
    newest: u32,
    fields: Vec<FieldHistory>,
    by_name: BTreeMap<Box<str>, usize>,
    /// The versions to which a program's own step leads.
    steps: Vec<u32>,
    /// Whether documents of all versions read alike.
    is_plain: bool,
}

#[derive(Debug, Default)]
struct FieldHistory {
    /// Its names, each from a version on. The first one holds before that too.
    names: Vec<(u32, Box<str>)>,
    /// The versions that declare it.
    declared: Vec<u32>,
    /// What rows of versions before one have that lack it.
    defaults: Vec<EarlierDefault>,
    /// What programs of versions before one read where it was removed.
    removed: Vec<(u32, Option<StandIn>)>,
}

#[derive(Debug)]
struct EarlierDefault {
    version: u32,
    value: StandIn,
    /// Whether it stands for null too, since the field cannot be null any more.
    replaces_null: bool,
}

/// A field of an [`Evolution`].
pub(crate) type FieldIndex = usize;

impl Evolution {
    /// Of all versions, oldest first.
    pub(crate) fn of(versions: &[Schema]) -> Self {
        let mut evolution = Self::default();
        let mut before: Option<&Schema> = None;
        for schema in versions {
            evolution.add(before, schema);
            before = Some(schema);
        }
        let numbers: Vec<u32> = versions.iter().map(Schema::version).filter(|version| *version > 0).collect();
        let is_plain =
            |field: &FieldHistory| field.names.len() == 1 && field.defaults.is_empty() && field.declared == numbers;
        evolution.is_plain = evolution.fields.iter().all(is_plain);
        evolution
    }

    fn add(&mut self, before: Option<&Schema>, schema: &Schema) {
        let version = schema.version();
        self.newest = version;
        if schema.has_step() {
            self.steps.push(version);
        }
        for field in schema.fields() {
            let known = self.by_name.get(field.name.as_str()).copied();
            let earlier = field.renamed_from.as_deref().and_then(|name| self.by_name.get(name)).copied();
            let index = known.or(earlier).unwrap_or_else(|| {
                let name = field.renamed_from.as_deref().unwrap_or(&field.name);
                self.fields.push(FieldHistory { names: vec![(0, name.into())], ..FieldHistory::default() });
                self.by_name.insert(name.into(), self.fields.len() - 1);
                self.fields.len() - 1
            });
            self.by_name.insert(field.name.as_str().into(), index);
            let Some(history) = self.fields.get_mut(index) else { continue };
            if history.names.last().is_none_or(|(_, name)| **name != *field.name) {
                history.names.push((version, field.name.as_str().into()));
            }
            let had_default = before.is_some_and(|before| {
                let names = || history.names.iter().map(|(_, name)| &**name);
                before.fields().iter().any(|field| field.default.is_some() && names().any(|name| *name == *field.name))
            });
            if let Some(value) = field.default.as_ref().filter(|_| !had_default) {
                let replaces_null = field.presence == Presence::Required;
                history.defaults.push(EarlierDefault { version, value: value.clone(), replaces_null });
            }
            history.declared.push(version);
        }
        let Some(before) = before else { return };
        for history in &mut self.fields {
            if history.declared.last() != Some(&before.version()) || before.version() == 0 {
                continue;
            }
            let stand_in = schema.removed().iter().find(|removed| history.has_name(&removed.name));
            history.removed.push((version, stand_in.and_then(|removed| removed.value.clone())));
        }
    }

    /// The newest version that it knows.
    pub(crate) fn newest(&self) -> u32 {
        self.newest
    }

    /// Whether documents of all versions read alike.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The field that has or had that name.
    pub(crate) fn find(&self, name: &str) -> Option<FieldIndex> {
        self.by_name.get(name).copied()
    }

    /// The name of a field in rows of a version.
    pub(crate) fn name(&self, field: FieldIndex, version: u32) -> &str {
        let Some(history) = self.fields.get(field) else { return "" };
        let held = history.names.iter().rev().find(|(since, _)| *since <= version).or(history.names.first());
        held.map(|(_, name)| &**name).unwrap_or_default()
    }

    /// Whether a version declares a field.
    pub(crate) fn declares(&self, field: FieldIndex, version: u32) -> bool {
        self.fields.get(field).is_some_and(|history| history.declared.contains(&version))
    }

    /// Whether any version declares a field at that name.
    pub(crate) fn fields(&self) -> std::ops::Range<FieldIndex> {
        0..self.fields.len()
    }

    /// What a row of the version `row` has in a field that it lacks, or that is null there, when it is read as one of
    /// another version.
    pub(crate) fn stand_in(&self, field: FieldIndex, row: u32, version: u32, is_null: bool) -> Option<&StandIn> {
        let history = self.fields.get(field)?;
        if !history.declared.contains(&version) {
            return None;
        }
        // As if each version had been gone through.
        let default = history.defaults.iter().find(|default| default.version > row);
        if let Some(default) = default.filter(|default| default.version <= version) {
            return (!is_null || default.replaces_null).then_some(&default.value);
        }
        let removed = history.removed.iter().find(|(removed, _)| *removed > version && *removed <= row);
        removed.filter(|_| !is_null).and_then(|(_, value)| value.as_ref())
    }

    /// Whether a row of that version that lacks a field does so on purpose, while one that was rewritten by a program which
    /// does not know the field might be read with a value in its place: then that one has to say so.
    pub(crate) fn is_absent_on_purpose(&self, field: FieldIndex, version: u32) -> bool {
        let Some(history) = self.fields.get(field).filter(|_| self.declares(field, version)) else { return false };
        let may_be_null = history.defaults.iter().all(|default| !default.replaces_null);
        let has_stand_in = !history.defaults.is_empty() || history.removed.iter().any(|(_, value)| value.is_some());
        may_be_null && has_stand_in
    }

    /// Whether a name means the same in both versions, and documents of all versions have the same there.
    #[must_use]
    pub fn is_same_in(&self, name: &str, one: u32, other: u32) -> bool {
        let Some(field) = self.find(name) else { return true };
        let (low, high) = (one.min(other), one.max(other));
        let is_between = |version: u32| low < version && version <= high;
        let is_changed = |history: &FieldHistory| {
            history.defaults.iter().any(|default| is_between(default.version))
                || history.removed.iter().any(|(version, _)| is_between(*version))
        };
        let is_declared = self.declares(field, one) && self.declares(field, other);
        low == high || is_declared && !self.fields.get(field).is_some_and(is_changed)
    }

    /// Whether rows of these versions, but for the newest, have the same in a field of that name as they had when `before`
    /// was all that was known.
    pub(crate) fn reads_as_before(&self, before: &Self, name: &str, versions: impl Iterator<Item = u32>) -> bool {
        let Some(field) = self.find(name) else { return true };
        let Some(earlier) = before.find(name) else {
            // It was a field of no name that is declared: read as it stood there.
            let is_itself = |version| self.name(field, version) == name;
            let newest = self.newest;
            let rows = versions.filter(|version| *version < newest);
            return rows.into_iter().all(|row| is_itself(row) && self.stand_in(field, row, newest, false).is_none());
        };
        let value = |of: &Self, field, row, is_null| of.stand_in(field, row, of.newest, is_null).map(StandIn::to_value);
        let is_same = |row| {
            [false, true]
                .into_iter()
                .all(|is_null| value(self, field, row, is_null) == value(before, earlier, row, is_null))
        };
        versions.filter(|version| *version < self.newest).all(is_same)
    }

    /// All names that fields ever had.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|name| &**name)
    }

    /// The name that the newest version has for a field of that name, or had when it was last declared.
    #[must_use]
    pub fn newest_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.find(name).map_or(name, |field| self.name(field, u32::MAX))
    }

    /// Whether there is a version to which only a program's own step leads.
    pub(crate) fn has_steps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The lowest version above `from`, and up to `to`, to which only a program's own step leads.
    #[must_use]
    pub fn step_between(&self, from: u32, to: u32) -> Option<u32> {
        self.steps.iter().copied().find(|step| from < *step && *step <= to)
    }
}

impl FieldHistory {
    fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|(_, known)| **known == *name)
    }
}

#[cfg(test)]
mod tests;
