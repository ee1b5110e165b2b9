//! `levee fsck`: checks all that is in a store, prints what it found, and deletes orphans if it is told to.

use super::{Outcome, block_on};
use crate::args::{FsckArgs, OutputFormat};
use crate::output;
use levee_base::{Clock, Random};
use levee_broker::fsck::{
    Affected, Finding, GiveUp, Options, Progress, Repaired, Report, Severity, Verdict, check, repair,
};
use levee_object::stores::{self, Opened};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(200);
/// Commands that are shown to people at most.
const COMMANDS_SHOWN: usize = 20;
/// Nothing can be said about the store.
const CANT_TELL: u8 = 2;

/// Runs `levee fsck`.
pub fn run(args: FsckArgs) -> Outcome {
    // A store that fails is asked again and again, and whoever waits should know why.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    block_on(async move {
        match fsck(&args).await {
            Ok(code) => Ok(code),
            Err(error) => {
                output::complain(&*error);
                Ok(ExitCode::from(CANT_TELL))
            }
        }
    })
}

async fn fsck(args: &FsckArgs) -> Outcome {
    let (clock, random) = (Clock::system(), Random::from_entropy());
    let opened = stores::open_to_read(&args.url, clock, &random)?;
    let options = Options {
        quick: args.quick,
        concurrency: usize::from(args.concurrency),
        bytes_per_second: args.bytes_per_second,
    };
    let progress = Arc::new(Progress::default());
    let shown = io::stderr().is_terminal().then(|| tokio::spawn(show(progress.clone(), clock)));
    let checked = check(opened.store.clone(), options, clock, &random, &progress).await;
    if let Some(shown) = shown {
        shown.abort();
        eprint!("\r\x1b[K");
    }
    let report = checked?;
    let json = args.output.output == OutputFormat::Json;
    if !json {
        print(&report, &opened)?;
    }
    let (repaired, failed) = if args.repair {
        let (repaired, failed) = repair_asked(args, &report, json, clock, &random).await?;
        (Some(repaired), failed)
    } else {
        (None, false)
    };
    if json {
        let document = document(&report, &opened, repaired.as_ref())?;
        output::line(&serde_json::to_string_pretty(&document)?)?;
    }
    Ok(match report.verdict {
        _ if failed => ExitCode::from(CANT_TELL),
        Verdict::Clean => ExitCode::SUCCESS,
        Verdict::Damaged => ExitCode::FAILURE,
    })
}

async fn show(progress: Arc<Progress>, clock: Clock) {
    loop {
        clock.sleep(SHOW_EVERY).await;
        match progress.now() {
            (phase, done, 0) => eprint!("\r\x1b[K{phase}: {done}"),
            (phase, done, all) => eprint!("\r\x1b[K{phase}: {done} of {all}"),
        }
    }
}

/// Requests to the store so far: listings, reads, and those that failed.
fn requests(opened: &Opened) -> Vec<(&'static str, u64)> {
    let mut requests: Vec<(&'static str, u64)> = Vec::new();
    for usage in opened.metrics.usage() {
        let name = usage.operation.name();
        match requests.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += usage.requests,
            None => requests.push((name, usage.requests)),
        }
    }
    requests
}

fn print(report: &Report, opened: &Opened) -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    if !report.findings.is_empty() {
        let rows: Vec<Vec<String>> = report.findings.iter().flat_map(rows).collect();
        text += &output::table(&["SEVERITY", "PROBLEM", "OBJECT", "PARTITION", "OFFSETS", "DETAIL"], &rows);
        text += "\n";
        text += &remedies(&report.findings);
    }
    if report.findings_left_out > 0 {
        text += &format!("and {} more findings\n\n", report.findings_left_out);
    }
    let counts = &report.counts;
    let requests: Vec<String> =
        requests(opened).iter().map(|(name, count)| format!("{count} {name}")).collect();
    text += &format!(
        "{}, cluster {}, as of journal position {}\n\
         {} objects of {} in the store; checked {} that are registered, {} of open logs, {} of the metadata, {} fences\n\
         {} partitions with {} extents; {} blocks and {} batches verified; {} read\n\
         requests: {}; {:.1} s\n",
        report.location,
        report.cluster,
        report.journal,
        counts.listed_objects,
        size(counts.listed_bytes),
        counts.objects,
        counts.log_objects,
        counts.metadata_objects,
        counts.fences,
        counts.partitions,
        counts.extents,
        counts.blocks,
        counts.batches,
        size(counts.bytes_read),
        requests.join(", "),
        report.seconds,
    );
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let (damage, waste, notes) = (count(Severity::Damage), count(Severity::Waste), count(Severity::Note));
    let verdict = if report.verdict == Verdict::Clean { "clean" } else { "DAMAGED" };
    text += &format!("{verdict}: {damage} damage, {waste} waste, {notes} notes\n");
    output::text(&text)?;
    Ok(())
}

fn rows(finding: &Finding) -> Vec<Vec<String>> {
    let word = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let row = |partition: String, offsets: String| {
        vec![
            word(json!(finding.severity)),
            word(json!(finding.problem)),
            finding.key.clone().unwrap_or_else(|| "-".to_owned()),
            partition,
            offsets,
            match finding.part {
                Some(part) => format!("{}: {}", word(json!(part)), finding.detail),
                None => finding.detail.clone(),
            },
        ]
    };
    if finding.affected.is_empty() {
        return vec![row("-".to_owned(), "-".to_owned())];
    }
    let of =
        |one: &Affected| row(format!("{}-{}", one.topic, one.partition), format!("{}..{}", one.from, one.to));
    finding.affected.iter().map(of).collect()
}

/// Each remedy once, with the objects that it is for; then what can be given up instead.
fn remedies(findings: &[Finding]) -> String {
    let mut remedies: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut give_up: Vec<&GiveUp> = Vec::new();
    for finding in findings {
        let key = finding.key.as_deref().unwrap_or("the metadata");
        match remedies.iter_mut().find(|(remedy, _)| *remedy == finding.remedy) {
            Some((_, keys)) => keys.push(key),
            None => remedies.push((&finding.remedy, vec![key])),
        }
        give_up.extend(finding.give_up.iter().filter(|one| !give_up.contains(one)).collect::<Vec<_>>());
    }
    let mut text = "What to do:\n".to_owned();
    for (remedy, mut keys) in remedies {
        keys.dedup();
        let more = keys.len().saturating_sub(3);
        keys.truncate(3);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text += &format!("  {}{more}\n      {remedy}\n", keys.join(", "));
    }
    if !give_up.is_empty() {
        text += "  Or give up what can't be read:\n";
        for GiveUp { command, loses } in give_up.iter().take(COMMANDS_SHOWN) {
            text += &format!("      {command}\n          deletes {loses}\n");
        }
        if give_up.len() > COMMANDS_SHOWN {
            text += &format!("      and {} more: see --output json\n", give_up.len() - COMMANDS_SHOWN);
        }
    }
    text + "\n"
}

fn document(report: &Report, opened: &Opened, repaired: Option<&Repaired>) -> Result<Value, Box<dyn Error>> {
    let mut document = serde_json::to_value(report)?;
    let requests: Map<String, Value> =
        requests(opened).into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect();
    document["requests"] = Value::Object(requests);
    if let Some(repaired) = repaired {
        let left =
            repaired.left.iter().map(|(name, why)| json!({ "key": name.key().to_string(), "reason": why }));
        document["repair"] = json!({
            "deleted": repaired.deleted.iter().map(|name| name.key().to_string()).collect::<Vec<_>>(),
            "left": left.collect::<Vec<_>>(),
        });
    }
    Ok(document)
}

/// Prints what would be deleted, asks, and deletes it. Says whether it could not be tried.
async fn repair_asked(
    args: &FsckArgs,
    report: &Report,
    json: bool,
    clock: Clock,
    random: &Random,
) -> Result<(Repaired, bool), Box<dyn Error>> {
    // With JSON, standard output is the document's.
    let say =
        |text: &str| if json { io::stderr().lock().write_all(text.as_bytes()) } else { output::text(text) };
    if report.orphans.is_empty() {
        say("\nrepair: there are no orphans, so there is nothing to do\n")?;
        return Ok((Repaired::default(), false));
    }
    let bytes = report.orphans.iter().map(|(_, bytes)| bytes).sum();
    let list: String =
        report.orphans.iter().map(|(name, bytes)| format!("  {} ({bytes} bytes)\n", name.key())).collect();
    say(&format!(
        "\nrepair: deletes these {} orphans, {}, and nothing else:\n{list}",
        report.orphans.len(),
        size(bytes)
    ))?;
    let left = |why: String| {
        let left = report.orphans.iter().map(|(name, _)| (*name, why.clone()));
        Repaired { deleted: vec![], left: left.collect() }
    };
    if !args.yes {
        match confirmed() {
            Ok(true) => {}
            Ok(false) => {
                say("nothing was deleted\n")?;
                return Ok((left("it was not confirmed".to_owned()), false));
            }
            Err(error) => {
                say(&format!("nothing was deleted: {error}\n"))?;
                return Ok((left(error.to_string()), true));
            }
        }
    }
    let repaired = match stores::open(&args.url, clock, random) {
        Ok(opened) => repair(opened.store, &report.orphans, clock, random).await?,
        Err(error) => {
            say(&format!("nothing was deleted: {error}\n"))?;
            return Ok((left(error.to_string()), true));
        }
    };
    for (name, why) in &repaired.left {
        say(&format!("left {}: {why}\n", name.key()))?;
    }
    say(&format!("deleted {} orphans, left {}\n", repaired.deleted.len(), repaired.left.len()))?;
    Ok((repaired, false))
}

fn confirmed() -> Result<bool, Box<dyn Error>> {
    if !io::stdin().is_terminal() {
        return Err("there is no terminal to ask on: give --yes to delete them".into());
    }
    eprint!("Delete them? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}
