//! What was changed of brokers' configurations while they run (KIP-226): of all brokers, or of this one, which wins.

use super::topic_configs;
use std::collections::BTreeMap;

/// Where a configuration comes from, in an answer: set for this broker,
pub const SOURCE_BROKER: i8 = 2;
/// or for all of them.
pub const SOURCE_CLUSTER: i8 = 3;

/// Changed configurations, by Kafka's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dynamic {
    /// Those of all brokers.
    pub cluster: BTreeMap<String, String>,
    /// Those of this broker.
    pub broker: BTreeMap<String, String>,
}

impl Dynamic {
    /// The values of a configuration with their sources, the one that counts first.
    pub fn values(&self, name: &str) -> impl Iterator<Item = (i8, &str)> {
        let both = [(&self.broker, SOURCE_BROKER), (&self.cluster, SOURCE_CLUSTER)];
        both.map(|(configs, source)| configs.get(name).map(|value| (source, value.as_str())))
            .into_iter()
            .flatten()
    }

    /// What they make of topics' configurations that are not set, by the topics' names.
    #[must_use]
    pub fn of_topics(&self) -> BTreeMap<String, String> {
        if self.cluster.is_empty() && self.broker.is_empty() {
            return BTreeMap::new();
        }
        let all = topic_configs::ALL.iter().filter_map(|known| {
            let (_, value) = self.values(known.dynamic()?).next()?;
            Some((known.name.to_owned(), value.to_owned()))
        });
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_broker_wins_and_topics_go_by_what_is_set() {
        let configs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let dynamic = Dynamic {
            cluster: configs(&[
                ("log.retention.ms", "1"),
                ("message.max.bytes", "2"),
                ("num.io.threads", "3"),
            ]),
            broker: configs(&[("log.retention.ms", "4"), ("log.roll.ms", "5")]),
        };
        assert_eq!(dynamic.values("log.retention.ms").collect::<Vec<_>>(), [(2, "4"), (3, "1")]);
        assert_eq!(dynamic.values("message.max.bytes").collect::<Vec<_>>(), [(3, "2")]);
        let topics = configs(&[("max.message.bytes", "2"), ("retention.ms", "4"), ("segment.ms", "5")]);
        assert_eq!(dynamic.of_topics(), topics);
        assert_eq!(Dynamic::default().of_topics(), BTreeMap::new());
    }
}
