use std::time::Duration;

use bucketdb::{Environment, Usage};
use comfy_table::Table;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, duration, requests_text};
use crate::session::Store;

/// Tells the steps of the demo as they happen, or gathers them for a machine.
pub(super) struct Report<'a> {
    store: &'a Store,
    output: &'a mut Output,
    steps: Vec<Value>,
    title: String,
    started: Duration,
    before: Usage,
}

impl<'a> Report<'a> {
    pub(super) fn new(store: &'a Store, output: &'a mut Output) -> Self {
        let (started, before) = (store.env.monotonic(), store.meter.usage());
        Self { store, output, steps: Vec::new(), title: String::new(), started, before }
    }

    /// A step begins.
    pub(super) fn begin(&mut self, title: &str) -> Result<(), Failure> {
        self.title = title.to_owned();
        if !self.output.is_json() {
            let number = self.steps.len() + 1;
            self.output.heading(format_args!("{number}. {title}"))?;
            self.output.flush_to_terminal()?;
        }
        self.started = self.store.env.monotonic();
        self.before = self.store.meter.usage();
        Ok(())
    }

    /// The step is over: says what came of it, and what it took.
    pub(super) fn end(&mut self, text: &str, shown: Option<&Table>, result: Value) -> Result<(), Failure> {
        let took = self.store.env.monotonic().saturating_sub(self.started);
        let used = self.store.used_since(&self.before);
        if !self.output.is_json() {
            self.output.line(format_args!("   {text}"))?;
            if let Some(table) = shown {
                for line in table.lines() {
                    self.output.line(format_args!("   {line}"))?;
                }
            }
            self.output.line(format_args!("   ({}, {})\n", duration(took), requests_text(&used)))?;
            self.output.flush_to_terminal()?;
        }
        let requests: Value =
            used.iter().map(|(operation, used)| (operation.to_string(), json!(used.requests))).collect();
        self.steps.push(json!({
            "step": self.title,
            "seconds": took.as_secs_f64(),
            "requests": requests,
            "result": result,
        }));
        Ok(())
    }

    /// The columns of the terminal that a table below a step may take.
    pub(super) fn width(&self) -> Option<u16> {
        self.output.width().map(|width| width.saturating_sub(3).max(40))
    }

    /// All steps are over.
    pub(super) fn finish(self) -> (&'a mut Output, Vec<Value>) {
        (self.output, self.steps)
    }
}
