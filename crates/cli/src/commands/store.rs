//! `levee store check`.

use super::{Outcome, block_on};
use crate::args::{OutputFormat, StoreArgs, StoreCommand};
use crate::output;
use levee_base::{Clock, Random};
use levee_object::check::{CheckOptions, CheckReport, Outcome as Found, Verdict, Versioning, check_url};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Runs `levee store`.
pub fn run(args: StoreArgs) -> Outcome {
    let StoreCommand::Check { url } = args.command;
    block_on(async {
        let random = Random::from_entropy();
        let report = check_url(&url, CheckOptions::default(), Clock::system(), &random).await?;
        match args.output.output {
            OutputFormat::Table => output::text(&report.to_string())?,
            OutputFormat::Json => output::line(&serde_json::to_string_pretty(&document(&report))?)?,
        }
        Ok(match report.verdict {
            Verdict::Fit => ExitCode::SUCCESS,
            Verdict::Unfit => ExitCode::from(1),
            Verdict::Unknown => ExitCode::from(2),
        })
    })
}

fn document(report: &CheckReport) -> Value {
    let verdict = match report.verdict {
        Verdict::Fit => "fit",
        Verdict::Unfit => "unfit",
        Verdict::Unknown => "unknown",
    };
    let versioning = match report.versioning {
        Versioning::On => "on",
        Versioning::NotSeen => "not_seen",
        Versioning::Unknown => "unknown",
    };
    let findings = report.findings.iter().map(|finding| {
        let outcome = match finding.outcome {
            Found::Passed => "passed",
            Found::Failed => "failed",
            Found::Unknown => "unknown",
            Found::NotOffered => "not_offered",
        };
        json!({
            "name": finding.name, "needed": finding.needed, "outcome": outcome, "detail": finding.detail,
            "consequence": finding.consequence,
        })
    });
    let latencies = report.latencies.iter().map(|latency| {
        let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3;
        json!({
            "operation": latency.operation, "count": latency.count, "p50_ms": ms(latency.p50),
            "p99_ms": ms(latency.p99), "max_ms": ms(latency.max),
        })
    });
    json!({
        "location": report.location, "verdict": verdict, "versioning": versioning,
        "findings": findings.collect::<Vec<_>>(), "latencies": latencies.collect::<Vec<_>>(),
        "left_behind": report.left_behind,
    })
}
