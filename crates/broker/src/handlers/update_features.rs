//! UpdateFeatures (KIP-584): each of Levee's features is finalized at the one level that it has, so an update is either
//! one to where the feature is, or refused.

use super::api_versions::{FEATURES, Feature};
use crate::errors::{Code, NONE};
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use kafka_protocol::protocol::StrBytes;
use std::ops::RangeInclusive;

/// The last version that answers by feature.
const RESULTS_TO: i16 = 1;
/// How a feature may be changed: 1 upward, 2 downward where that is safe, 3 downward in any case.
const UPGRADE_TYPES: RangeInclusive<i8> = 1..=3;

/// Answers a request. `node` is this broker's id.
#[must_use]
pub fn handle(node: i32, request: &UpdateFeaturesRequest, version: i16) -> UpdateFeaturesResponse {
    let refused = request.feature_updates.iter().find_map(|update| check(node, update, version).err());
    if let Some(why) = refused {
        let message =
            format!("The update failed for all features since the following feature had an error: {why}");
        return UpdateFeaturesResponse::default()
            .with_error_code(Code::InvalidUpdateVersion.code())
            .with_error_message(Some(message.into()));
    }
    let results = request.feature_updates.iter().filter(|_| version <= RESULTS_TO).map(|update| {
        // Kafka names the code here instead of no message.
        UpdatableFeatureResult::default()
            .with_feature(update.feature.clone())
            .with_error_code(NONE)
            .with_error_message(Some(StrBytes::from_static_str("NONE")))
    });
    UpdateFeaturesResponse::default().with_error_message(None).with_results(results.collect())
}

fn check(node: i32, update: &FeatureUpdateKey, version: i16) -> Result<(), String> {
    let (name, level) = (update.feature.as_str(), update.max_version_level);
    let refused = |why: String| Err(format!("Invalid update version {level} for feature {name}. {why}"));
    if version > 0 && !UPGRADE_TYPES.contains(&update.upgrade_type) {
        return refused("The controller does not support the given upgrade type.".to_owned());
    }
    if level < 0 {
        return refused("A feature version cannot be less than 0.".to_owned());
    }
    match FEATURES.iter().find(|feature| feature.name == name) {
        None => refused(format!("Local controller {node} does not support this feature.")),
        Some(Feature { level: only, .. }) if *only != level => {
            refused(format!("Local controller {node} only supports versions {only}-{only}"))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;

    fn ask(updates: &[(&'static str, i16, i8)], version: i16) -> UpdateFeaturesResponse {
        let updates = updates.iter().map(|(name, level, kind)| {
            FeatureUpdateKey::default()
                .with_feature(StrBytes::from_static_str(name))
                .with_max_version_level(*level)
                .with_upgrade_type(*kind)
        });
        let request = UpdateFeaturesRequest::default().with_feature_updates(updates.collect());
        let response = handle(1, &request, version);
        response.encode(&mut BytesMut::new(), version).unwrap();
        response
    }

    #[test]
    fn features_stay_where_they_are() {
        for version in 0..=2 {
            let response = ask(&[("transaction.version", 2, 1), ("group.version", 1, 2)], version);
            assert_eq!((response.error_code, response.error_message), (0, None));
            let told = response.results.iter().map(|result| (&*result.feature, result.error_code));
            let expected = [("transaction.version", 0), ("group.version", 0)];
            assert_eq!(told.collect::<Vec<_>>(), expected[..if version <= 1 { 2 } else { 0 }]);
            assert_eq!(ask(&[], version).error_code, 0);
        }
    }

    #[test]
    fn one_that_cannot_be_fails_all() {
        for (name, level, kind) in [
            ("transaction.version", 3, 1),
            ("transaction.version", 0, 3),
            ("transaction.version", -1, 1),
            ("transaction.version", 2, 9),
            ("nothing.version", 1, 1),
            ("", 0, 1),
        ] {
            let response = ask(&[("group.version", 1, 1), (name, level, kind)], 1);
            assert_eq!((response.error_code, response.results.len()), (95, 0), "{name} {level} {kind}");
            assert!(response.error_message.unwrap().contains(name));
        }
    }
}
