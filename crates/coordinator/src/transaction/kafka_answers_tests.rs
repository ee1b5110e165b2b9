//! The same requests get the same answers as from Apache Kafka: `kafka_answers.txt` is a recording of those.

use super::harness::*;
use super::*;

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

fn three((code, id, epoch): (i16, i64, i16)) -> String {
    format!("{code} {id} {epoch}")
}

/// Asks what a line says.
fn ask(it: &mut Harness, words: &[&str]) -> String {
    let me = || producer(number(words[3]), number(words[4]));
    let (version, id) = (number(words[1]), words[2]);
    let add = |it: &mut Harness, verify| {
        let codes = it.add_by(version, id, me(), &[("t", &[number(words[5])])], verify);
        codes[0].1[0].1.to_string()
    };
    match words[0] {
        "init" => three(it.init_by(version, Some(id), 60_000, me())),
        "end" => three(it.end_by(version, id, me(), words[5] == "1")),
        "add" => add(it, false),
        "verify" => add(it, true),
        "offsets" => it.add_offsets(version, id, me(), "group").to_string(),
        "describe" => {
            let described = it.describe(id);
            let topic = described.topics.iter().find(|topic| topic.topic.as_str() == "t");
            let partitions =
                topic.map(|topic| topic.partitions.iter().map(ToString::to_string).collect::<Vec<_>>());
            let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
            let state = or_dash(&described.transaction_state);
            let partitions = or_dash(&partitions.unwrap_or_default().join(","));
            let producer = (described.error_code, described.producer_id.0, described.producer_epoch);
            format!("{} {state} {} {} {partitions}", producer.0, producer.1, producer.2)
        }
        other => panic!("{other} is no request"),
    }
}

#[test]
fn kafka_answers_the_same() {
    let mut it = Harness::new();
    let mut asked = 0;
    for line in include_str!("kafka_answers.txt").lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<_> = line.split(' ').collect();
        match words[0] {
            "seed" => it.record(words[1], State::Empty, producer(number(words[2]), number(words[3]))),
            "first" => it.next_producer_id = number(words[1]),
            _ => {
                let (_, expected) = line.split_once(" = ").unwrap();
                assert_eq!(ask(&mut it, &words), expected, "{line}");
                asked += 1;
            }
        }
        while !it.markers.is_empty() {
            it.write_markers();
        }
    }
    assert_eq!(asked, 1_600);
}
