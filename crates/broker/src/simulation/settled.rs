//! The end of a history: the faults heal, one more process comes, and once it has nothing left to do everything that
//! must be there is, and nothing else.

use super::consumer::fetch_offsets;
use super::ledger::Ledger;
use super::process::SNAPSHOT_EVERY;
use super::session::Session;
use super::verify::verify;
use super::{INTERNAL, Lived, STEADY, World};
use crate::fsck;
use crate::partition::{Partition, PartitionLog};
use crate::sweeper::sweep_once;
use crate::topic_config::TopicConfig;
use levee_base::StreamId;
use levee_base::limits::TIME_INDEX_SPACING_TIME;
use levee_meta::state::Stream;
use levee_meta::{Command, State, TopicId};
use levee_object::Store;
use levee_object::stores::faulty::FaultPlan;
use std::sync::Arc;
use std::time::Duration;

impl World {
    pub(super) async fn settle(self: &Arc<Self>, lived: &mut Lived) {
        self.faulty.set_plan(FaultPlan::none());
        let session = self.start(lived).await;
        // By then the last request that was under way has taken effect.
        let plan = super::rough();
        self.clock.sleep(plan.lost_for + plan.late_by).await;
        let decided_ms = self.decide(&session).await;
        let end = self.clock.now() + Duration::from_secs(600);
        while let Err(what) = self.is_clean(&session, decided_ms, lived).await {
            self.judge.ask();
            assert!(self.clock.now() < end, "it does not settle: {what}");
            self.clock.sleep(Duration::from_secs(1)).await;
        }
        self.read(&session, lived).await;
        self.judge.newest(|state| self.is_complete(state));
        assert!(session.process.stop(&self.judge).await, "nothing is in its way");
    }

    /// Waits until each transaction is committed or aborted, and what is there is known. Returns since when that is so,
    /// in Unix milliseconds.
    async fn decide(self: &Arc<Self>, session: &Session) -> i64 {
        let end = self.clock.now() + Duration::from_secs(120);
        loop {
            self.judge.ask();
            let mut undecided = logs(session).into_iter().map(|(_, log)| log).filter(|log| {
                let durable = log.ends().map(|ends| ends.durable);
                durable.is_none() || log.last_stable_offset() != durable
            });
            let Some(log) = undecided.next() else { break };
            assert!(
                self.clock.now() < end,
                "stream {} is not decided: {:?}",
                log.stream(),
                log.active_producers()
            );
            self.clock.sleep(Duration::from_secs(1)).await;
        }
        self.read(session, &mut Lived::default()).await;
        self.clock.wall_ms()
    }

    /// Reads everything that clients can read.
    async fn read(self: &Arc<Self>, session: &Session, lived: &mut Lived) {
        for (topic, log) in logs(session) {
            let name = session.process.led.table.by_id(topic.0).map(|topic| topic.name.clone());
            if name.is_some_and(|name| !INTERNAL.contains(&&*name)) {
                lived.outdated += verify(self, session.process.number, topic, &log, &self.random).await;
            }
        }
        let lasting = INTERNAL.iter().chain([&STEADY]);
        if lasting.into_iter().all(|name| session.process.led.table.by_name(name).is_some()) {
            for group in &self.groups {
                let end = self.clock.now() + Duration::from_secs(60);
                // A client may lose its patience.
                while !fetch_offsets(&session.broker, group, true).await {
                    assert!(self.clock.now() < end, "{group}'s offsets are not decided");
                    self.clock.sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    /// Whether nothing is left to be done, and `levee fsck` finds nothing. It must find no damage in any case.
    async fn is_clean(&self, session: &Session, decided_ms: i64, lived: &mut Lived) -> Result<(), String> {
        self.is_settled(session, decided_ms).await?;
        // Entries of the journal that landed late go with the snapshot after.
        for _ in 0..SNAPSHOT_EVERY {
            let nothing = Command::AdvanceStarts { starts: Vec::new() };
            session.process.metadata.commit(nothing).await.expect("the store answers");
        }
        self.clock.sleep(Duration::from_secs(1)).await;
        let store: Arc<dyn Store> = self.bucket.clone();
        let options = fsck::Options { bytes_per_second: 0, ..fsck::Options::default() };
        let report = fsck::check(store, options, self.clock, &self.random, &fsck::Progress::default()).await;
        let report = report.expect("the store answers");
        let is_sound = report.complete && report.verdict == fsck::Verdict::Clean;
        assert!(is_sound, "{:#?}", report.findings);
        lived.objects += report.counts.objects;
        if report.findings.is_empty() { Ok(()) } else { Err(format!("{:?}", report.findings)) }
    }

    /// Whether nothing is left to be done.
    async fn is_settled(&self, session: &Session, decided_ms: i64) -> Result<(), String> {
        let swept = sweep_once(&session.process.led.metadata, &*session.process.line).await;
        let swept = swept.map_err(|error| error.to_string())?;
        for (_, log) in logs(session) {
            let ends = log.ends().ok_or("a stream is closed")?;
            if ends.registered < ends.appended {
                return Err(format!("stream {} is not registered: {ends:?}", log.stream()));
            }
        }
        self.judge.newest(|state| {
            let open = logs(session).len();
            let streams = state.streams().count();
            if (open, swept, state.garbage().count()) != (streams, 0, 0) {
                let garbage = state.garbage().count();
                return Err(format!("{open} of {streams} are open, {swept} orphans, {garbage} are garbage"));
            }
            let ledger = self.judge.ledger.lock().unwrap();
            let due =
                state.streams().find_map(|(id, stream)| self.due(state, &ledger, id, stream, decided_ms));
            due.map_or(Ok(()), Err)
        })
    }

    /// What retention should have removed of a stream.
    fn due(
        &self,
        state: &State,
        ledger: &Ledger,
        id: StreamId,
        stream: &Stream,
        decided_ms: i64,
    ) -> Option<String> {
        let config = TopicConfig::of(&state.topic(stream.topic)?.configs);
        if !config.deletes {
            return None;
        }
        if let Some(bytes) = config.retention_bytes
            && let Some(first) = stream.extents().next()
            && stream.bytes() - first.bytes >= bytes
        {
            return Some(format!("stream {id} has {} bytes of {bytes}", stream.bytes()));
        }
        let log = ledger.logs.get(&id)?;
        let (first, _) = log.acknowledged(stream.start..).next()?;
        // A younger one before it keeps it, and did so when it lay there.
        let youngest = log.acknowledged(..=first).map(|(_, batch)| batch.timestamp).max()?;
        // A marker may have come and gone that nobody has read.
        let youngest = if log.has_transactions() { youngest.max(decided_ms) } else { youngest };
        let age_ms = self.clock.wall_ms() - youngest;
        let exact_ms = TIME_INDEX_SPACING_TIME.as_millis() as i64;
        let kept_ms = config.retention_ms?;
        (age_ms > kept_ms + exact_ms).then(|| format!("stream {id} keeps what is {age_ms} ms old"))
    }

    /// Topics that were created are there, and those that were deleted are not.
    fn is_complete(&self, state: &State) {
        let ledger = self.judge.ledger.lock().unwrap();
        for topic in ledger.created.difference(&ledger.doomed) {
            assert!(state.topic(*topic).is_some(), "{topic:?} was created");
        }
        for topic in &ledger.deleted {
            assert!(state.topic(*topic).is_none(), "{topic:?} was deleted");
        }
        for (id, log) in &ledger.logs {
            let gone = ledger.doomed.contains(&log.topic);
            let known = state.stream(*id);
            assert!(gone || known.is_some(), "stream {id} is gone, and nobody asked for that");
            assert!(known.is_none_or(|known| known.start >= log.shown_start), "stream {id} went back");
        }
    }
}

/// The partitions that are open.
fn logs(session: &Session) -> Vec<(TopicId, Arc<PartitionLog>)> {
    let mut logs = Vec::new();
    for topic in session.process.led.table.all() {
        for partition in &topic.partitions {
            if let Partition::Here(log) = partition {
                logs.push((TopicId(topic.id), log.clone()));
            }
        }
    }
    logs
}
