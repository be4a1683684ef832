use super::{
    backup, blob, branch, compact, databases, delete, demo, doctor, drop_database, export, gc, get, import, index,
    patch, put, query, rekey, schema, schema_history, schema_infer, snapshot, stats, tables, ttl, update, verify,
    watch,
};
use crate::arguments::{Arguments, Command};
use crate::failure::Failure;
use crate::output::Output;

/// Runs the command that was asked for.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let global = &arguments.global;
    // `--history` is the name of an option that all commands have, too.
    let asks_for_versions = global.history == Some(None);
    if asks_for_versions && !matches!(&arguments.command, Command::Schema(asked) if !asked.finish && !asked.infer) {
        return Err(Failure::usage(
            "--history needs a time, such as 7d; without one, it asks for the versions of a schema: `schema TABLE --history`",
        ));
    }
    match &arguments.command {
        Command::Demo => Box::pin(demo::run(global, output)).await,
        Command::Import(options) => import::run(global, options, output).await,
        Command::Export(options) => export::run(global, options, output).await,
        Command::Get { table, key, at } => get::run(global, table, key, at.clone(), output).await,
        Command::Put(options) => put::run(global, options, output).await,
        Command::Delete(options) => delete::run(global, options, output).await,
        Command::Update(options) => update::run(global, options, output).await,
        Command::Patch { table, key, patch } => patch::run(global, table, key, patch, output).await,
        Command::Query(options) => query::run(global, options, output).await,
        Command::Databases => databases::run(global, output).await,
        Command::Drop(options) => drop_database::run(global, options, output).await,
        Command::Tables => tables::run(global, output).await,
        Command::Schema(asked) if asked.finish => schema_history::finish(global, &asked.table, output).await,
        Command::Schema(asked) if asked.infer => schema_infer::run(global, asked, output).await,
        Command::Schema(asked) if asked.versions || asks_for_versions => {
            schema_history::show(global, &asked.table, output).await
        }
        Command::Schema(asked) => schema::run(global, &asked.table, output).await,
        Command::Index(action) => index::run(global, action, output).await,
        Command::Snapshot(action) => snapshot::run(global, action, output).await,
        Command::Branch(action) => branch::run(global, action, output).await,
        Command::Blob(action) => blob::run(global, action, output).await,
        Command::Ttl { table, field, .. } => ttl::run(global, table, field.as_deref(), output).await,
        Command::Stats => stats::run(global, output).await,
        Command::Compact => compact::run(global, output).await,
        Command::Gc(options) => gc::run(global, options, output).await,
        Command::Rekey => rekey::run(global, output).await,
        Command::Backup(options) => backup::run(global, options, output).await,
        Command::Restore(options) => backup::restore(global, options, output).await,
        Command::Verify => verify::run(global, output).await,
        Command::Doctor(options) => doctor::run(global, options, output).await,
        Command::Watch(options) => watch::run(global, options, output).await,
    }
}
