//! `levee topic`: through a running broker, by Kafka's own protocol.

use super::{Outcome, block_on};
use crate::args::{OutputFormat, TopicArgs, TopicCommand};
use crate::output;
use levee_base::Clock;
use levee_client::Connection;
use levee_client::kafka_protocol::ResponseError;
use levee_client::kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use levee_client::kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use levee_client::kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use levee_client::kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use levee_client::kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use levee_client::kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest, MetadataRequest, TopicName,
};
use levee_client::kafka_protocol::protocol::StrBytes;
use serde::Serialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::process::ExitCode;

/// How long the broker may take to create or delete a topic.
const TIMEOUT_MS: i32 = 30_000;
/// ListOffsets' timestamps for a partition's first and next offsets.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// Runs `levee topic`.
pub fn run(args: TopicArgs) -> Outcome {
    block_on(async {
        let mut broker = Connection::open(&args.bootstrap_server, "levee-cli", Clock::system()).await?;
        let format = args.output.output;
        match args.command {
            TopicCommand::Create { name, partitions, configs } => {
                create(&mut broker, &name, partitions, configs).await?;
                say(format, &name, "created")?;
            }
            TopicCommand::List => list(&mut broker, format).await?,
            TopicCommand::Describe { name } => describe(&mut broker, format, &name).await?,
            TopicCommand::Delete { name } => {
                delete(&mut broker, &name).await?;
                say(format, &name, "deleted")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn say(format: OutputFormat, topic: &str, done: &str) -> io::Result<()> {
    match format {
        OutputFormat::Json => {
            output::line(&serde_json::json!({ "topic": topic, "result": done }).to_string())
        }
        OutputFormat::Table => output::line(&format!("topic {topic} {done}")),
    }
}

/// A broker's refusal in words: its own message where it gives one, else the error code's name.
fn refused(what: &str, code: i16, message: Option<&StrBytes>) -> Result<(), Box<dyn Error>> {
    match ResponseError::try_from_code(code) {
        None => Ok(()),
        Some(error) => {
            let message = message.filter(|m| !m.is_empty()).map_or_else(String::new, |m| format!(" ({m})"));
            Err(format!("can't {what}: {error}{message}").into())
        }
    }
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

async fn create(
    broker: &mut Connection,
    name: &str,
    partitions: Option<i32>,
    configs: Vec<(String, String)>,
) -> Result<(), Box<dyn Error>> {
    let configs = configs.into_iter().map(|(key, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(key))
            .with_value(Some(StrBytes::from_string(value)))
    });
    let topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions.unwrap_or(-1))
        .with_replication_factor(-1)
        .with_configs(configs.collect());
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    let answer = broker.call(request).await?;
    let result = answer.topics.first().ok_or("the broker's answer names no topic")?;
    refused(&format!("create {name}"), result.error_code, result.error_message.as_ref())
}

async fn delete(broker: &mut Connection, name: &str) -> Result<(), Box<dyn Error>> {
    let topic = DeleteTopicState::default().with_name(Some(topic_name(name)));
    let request = DeleteTopicsRequest::default()
        .with_topics(vec![topic])
        .with_topic_names(vec![topic_name(name)])
        .with_timeout_ms(TIMEOUT_MS);
    let answer = broker.call(request).await?;
    let result = answer.responses.first().ok_or("the broker's answer names no topic")?;
    refused(&format!("delete {name}"), result.error_code, result.error_message.as_ref())
}

#[derive(Debug, Serialize)]
struct TopicRow {
    name: String,
    topic_id: String,
    partitions: usize,
}

async fn list(broker: &mut Connection, format: OutputFormat) -> Result<(), Box<dyn Error>> {
    let request = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
    let answer = broker.call(request).await?;
    let mut topics: Vec<TopicRow> = answer
        .topics
        .iter()
        .map(|topic| TopicRow {
            name: topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default(),
            topic_id: topic.topic_id.to_string(),
            partitions: topic.partitions.len(),
        })
        .collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    output::print(format, &topics, &["NAME", "PARTITIONS", "TOPIC ID"], |topics| {
        let row = |t: &TopicRow| vec![t.name.clone(), t.partitions.to_string(), t.topic_id.clone()];
        topics.iter().map(row).collect()
    })
}

#[derive(Debug, Serialize)]
struct PartitionRow {
    partition: i32,
    leader: i32,
    leader_epoch: i32,
    /// `None` when the leader didn't say.
    first_offset: Option<i64>,
    next_offset: Option<i64>,
}

async fn describe(broker: &mut Connection, format: OutputFormat, name: &str) -> Result<(), Box<dyn Error>> {
    let wanted = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request =
        MetadataRequest::default().with_topics(Some(vec![wanted])).with_allow_auto_topic_creation(false);
    let answer = broker.call(request).await?;
    let topic = answer.topics.first().ok_or("the broker's answer names no topic")?;
    refused(&format!("describe {name}"), topic.error_code, None)?;
    let first = offsets(broker, name, topic, EARLIEST).await?;
    let next = offsets(broker, name, topic, LATEST).await?;
    let mut rows: Vec<PartitionRow> = topic
        .partitions
        .iter()
        .map(|p| PartitionRow {
            partition: p.partition_index,
            leader: p.leader_id.0,
            leader_epoch: p.leader_epoch,
            first_offset: first.get(&p.partition_index).copied(),
            next_offset: next.get(&p.partition_index).copied(),
        })
        .collect();
    rows.sort_by_key(|row| row.partition);
    let header = ["PARTITION", "LEADER", "LEADER EPOCH", "FIRST OFFSET", "NEXT OFFSET"];
    output::print(format, &rows, &header, |rows| {
        let offset = |o: Option<i64>| o.map_or_else(|| "unknown".to_owned(), |o| o.to_string());
        let row = |r: &PartitionRow| {
            let (first, next) = (offset(r.first_offset), offset(r.next_offset));
            vec![r.partition.to_string(), r.leader.to_string(), r.leader_epoch.to_string(), first, next]
        };
        rows.iter().map(row).collect()
    })
}

/// The offset at `timestamp` of each partition whose leader answers with one.
async fn offsets(
    broker: &mut Connection,
    name: &str,
    topic: &MetadataResponseTopic,
    timestamp: i64,
) -> Result<BTreeMap<i32, i64>, Box<dyn Error>> {
    let partitions = topic.partitions.iter().map(|p| {
        ListOffsetsPartition::default()
            .with_partition_index(p.partition_index)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp)
    });
    let topic = ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(partitions.collect());
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let answer = broker.call(request).await?;
    let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
    Ok(partitions.filter(|p| p.error_code == 0).map(|p| (p.partition_index, p.offset)).collect())
}
