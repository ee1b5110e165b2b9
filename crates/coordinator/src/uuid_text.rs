//! Ids as Kafka writes them for people and in the cluster id: 22 characters of URL-safe base64, without padding.

use levee_base::Random;
use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `id` as Kafka's `Uuid.toString` gives it.
#[must_use]
pub fn text(id: Uuid) -> String {
    // 128 bits, six at a time from the top; the last character holds two bits, shifted up by four.
    let bits = id.as_u128();
    (0..22)
        .map(|at| {
            let six = if at == 21 { bits << 4 } else { bits >> (122 - 6 * at) };
            char::from(ALPHABET[(six & 63) as usize])
        })
        .collect()
}

/// A random id as Kafka draws them: none of which tools would take the text for an option.
#[must_use]
pub fn random(random: &Random) -> Uuid {
    loop {
        let id = random.uuid();
        if !text(id).starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_are_no_options() {
        let drawn = Random::seeded(1);
        for _ in 0..200 {
            let id = text(random(&drawn));
            assert_eq!(id.len(), 22);
            assert!(!id.starts_with('-'));
            assert!(id.chars().all(|digit| digit.is_ascii_alphanumeric() || "-_".contains(digit)));
            // The last digit holds two bits.
            assert!("AQgw".contains(&id[21..]), "{id}");
        }
    }

    #[test]
    fn ids_are_written_as_kafka_does() {
        assert_eq!(text(Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
        // Kafka's Uuid.ONE_UUID and METADATA_TOPIC_ID, and the largest.
        assert_eq!(text(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(text(Uuid::max()), "_____________________w");
        assert_eq!(
            text(Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f)),
            "AAECAwQFBgcICQoLDA0ODw"
        );
    }
}
