use std::collections::HashSet;

use super::Dialect;

/// Names of columns that every table of PostgreSQL has already.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Gives names that one program takes, each only once.
#[derive(Debug)]
pub(super) struct Names {
    dialect: Dialect,
    /// As the program compares them.
    taken: HashSet<String>,
}

impl Names {
    /// For the columns of a table.
    pub(super) fn of_columns(dialect: Dialect) -> Self {
        let taken = match dialect {
            Dialect::Postgresql => SYSTEM_COLUMNS.map(str::to_owned).into(),
            Dialect::Sqlite => HashSet::new(),
        };
        Self { dialect, taken }
    }

    /// For tables and indexes, which have names in common.
    pub(super) fn of_tables(dialect: Dialect) -> Self {
        Self { dialect, taken: HashSet::new() }
    }

    /// The name itself, or one like it: shorter, without NUL and carriage return, or with a number if it is taken.
    pub(super) fn take(&mut self, name: &str) -> String {
        let mut wanted = name.replace(['\0', '\r'], "\u{fffd}");
        if wanted.is_empty() {
            wanted.push('_');
        }
        if self.dialect == Dialect::Sqlite && wanted.to_ascii_lowercase().starts_with("sqlite_") {
            wanted.insert(0, '_');
        }
        let mut number = 1;
        loop {
            let suffix = if number == 1 { String::new() } else { format!("_{number}") };
            let room = self.dialect.longest_name() - suffix.len();
            let candidate = format!("{}{suffix}", &wanted[..wanted.floor_char_boundary(room)]);
            let compared = match self.dialect {
                Dialect::Postgresql => candidate.clone(),
                // SQLite does not tell small letters from capitals, not even within quotes.
                Dialect::Sqlite => candidate.to_ascii_lowercase(),
            };
            if self.taken.insert(compared) {
                return candidate;
            }
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_program_would_mix_up_differ() {
        let mut columns = Names::of_columns(Dialect::Sqlite);
        let taken = ["Name", "name", "NAME", "", "_", "a\0b", "sqlite_x"].map(|name| columns.take(name));
        assert_eq!(taken, ["Name", "name_2", "NAME_3", "_", "__2", "a\u{fffd}b", "_sqlite_x"]);

        let mut columns = Names::of_columns(Dialect::Postgresql);
        assert_eq!(["Name", "name", "ctid"].map(|name| columns.take(name)), ["Name", "name", "ctid_2"]);
        let (long, longer) = ("é".repeat(31) + "xy", "é".repeat(31) + "xyz");
        assert_eq!(columns.take(&long), "é".repeat(31) + "x");
        assert_eq!(columns.take(&longer), "é".repeat(30) + "_2");
    }
}
