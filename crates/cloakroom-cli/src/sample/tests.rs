use std::collections::HashSet;

use serde_json::Value;

use super::*;

const EVERY_KIND: [Kind; 4] = [Kind::Logins, Kind::Users, Kind::Messages, Kind::Customers];

fn text(sample: &Sample, index: u64) -> String {
    let mut out = Vec::new();
    sample.write_record(index, &mut out);
    String::from_utf8(out).unwrap()
}

fn records(kind: Kind, count: u64) -> impl Iterator<Item = Value> {
    let sample = Sample::new(kind, 7);
    (0..count).map(move |index| serde_json::from_str(&text(&sample, index)).unwrap())
}

fn keys(record: &Value) -> Vec<&str> {
    record.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Written apart from the generator's check digit: the textbook form, from the last digit on.
fn passes_luhn(number: &str) -> bool {
    let sum: u32 = number
        .chars()
        .filter_map(|character| character.to_digit(10))
        .rev()
        .enumerate()
        .map(|(place, digit)| match digit * (1 + place as u32 % 2) {
            doubled @ 10.. => doubled - 9,
            digit => digit,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Runs of digits with single spaces or dashes between them, 13 to 19 digits long.
fn long_numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut run = String::new();
    let mut gap = false;
    for character in text.chars().chain(['.']) {
        match character {
            '0'..='9' => {
                run.push(character);
                gap = false;
            }
            ' ' | '-' if !run.is_empty() && !gap => gap = true,
            _ => {
                if (13..=19).contains(&run.len()) {
                    found.push(run.clone());
                }
                run.clear();
                gap = false;
            }
        }
    }
    found
}

fn is_ssn(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [area, group, serial] = parts[..] else {
        return false;
    };
    let number = |part: &str| part.parse::<u32>().unwrap();
    (area.len(), group.len(), serial.len()) == (3, 2, 4)
        && (1..900).contains(&number(area))
        && number(area) != 666
        && number(group) > 0
        && number(serial) > 0
}

#[test]
fn the_first_records_are_what_they_always_were() {
    assert_eq!(
        text(&Sample::new(Kind::Logins, 1), 0),
        r#"{"user_id": "a933f4d2-b8dd-4df9-ac4c-8ac2e015b605", "app_version": "1.0.6", "device_type": "ios", "ip": "188.8.109.148", "locale": "CN", "device_id": "680-18-2062"}"#
    );
    assert_eq!(
        text(&Sample::new(Kind::Users, 1), 0),
        r#"{"fec_alta": "11/01/2022", "user_name": "Wanda1", "codigo_zip": "73628", "credit_card_num": "4000001924390992218", "credit_card_ccv": "316", "cuenta_numero": "1610154949", "direccion": "175 North Parade", "geo_latitud": "76.7011", "geo_longitud": "-177.5367", "color_favorito": "cyan", "foto_dni": "https://images.example/dni/640x480", "ip": "12.55.6.54", "auto": "Avenor Falcon 2", "auto_modelo": "Falcon 2", "auto_tipo": "Sedan", "auto_color": "blanco", "cantidad_compras_realizadas": 42652, "avatar": "https://avatars.example/1_128.jpg", "fec_birthday": "1974-12-29T06:34:02.012Z", "id": "1"}"#
    );
    assert_eq!(
        text(&Sample::new(Kind::Messages, 1), 0),
        r##"{"id": "m-000001", "channel": "#sales", "author": "Cyrus Barlow", "sent_at": "2024-05-06T08:00:19Z", "text": "Please invite <kira.renner48@example.net> and also edwin.vesely@example.net; both start on Monday."}"##
    );
    assert_eq!(
        text(&Sample::new(Kind::Customers, 1), 0),
        r#"{"id": 1, "name": "Zita Jansen", "email": "zita.jansen1@example.com", "ssn": "209-72-5483", "card": "5555-5516-1817-1359", "phone": "+1-399-555-0141", "city": "Westmarch", "signup": "2024-12-08", "amount": 929.82, "active": true, "note": "Returned one of 21 items, the refund is on its way. Nothing else was discussed today."}"#
    );
    assert_eq!(
        text(&Sample::new(Kind::Logins, u64::MAX), u64::MAX),
        r#"{"user_id": "88e5d143-635f-49cc-8f65-a80e0e931dc9", "app_version": "2.4.7", "device_type": "ios", "ip": "182.70.0.7", "locale": "DE", "device_id": "463-61-5917"}"#
    );
}

#[test]
fn a_record_depends_on_its_index_and_on_no_other_record() {
    for kind in EVERY_KIND {
        let sample = Sample::new(kind, 11);
        let forwards: Vec<String> = (0..300).map(|index| text(&sample, index)).collect();
        let mut backwards: Vec<String> = (0..300).rev().map(|index| text(&sample, index)).collect();
        backwards.reverse();
        assert_eq!(forwards, backwards);
        let other = Sample::new(kind, 12);
        assert!((0..300).all(|index| text(&other, index) != forwards[index as usize]));
    }
}

#[test]
fn the_last_index_there_is_can_be_made() {
    for kind in EVERY_KIND {
        let record = text(&Sample::new(kind, 3), u64::MAX);
        assert!(serde_json::from_str::<Value>(&record).is_ok(), "{record}");
    }
}

#[test]
fn records_are_one_line_with_the_separators_of_python() {
    for kind in EVERY_KIND {
        for index in 0..2_000 {
            let record = text(&Sample::new(kind, 5), index);
            assert!(record.starts_with("{\"") && record.contains("\": "));
            assert!(!record.contains('\n') && !record.contains("\",\""));
        }
    }
}

#[test]
fn logins_have_their_shape() {
    let count = 20_000;
    let (mut nulls, mut sizes) = (0, 0);
    let (mut devices, mut addresses) = (HashSet::new(), HashSet::new());
    for record in records(Kind::Logins, count) {
        assert_eq!(keys(&record), ["user_id", "app_version", "device_type", "ip", "locale", "device_id"]);
        assert!(["android", "ios"].contains(&record["device_type"].as_str().unwrap()));
        let address: std::net::Ipv4Addr = record["ip"].as_str().unwrap().parse().unwrap();
        assert!(!address.is_private() && !address.is_loopback() && !address.is_multicast());
        assert!(!address.is_link_local() && !address.is_documentation());
        match record["locale"].as_str() {
            Some(locale) => assert_eq!(locale.len(), 2),
            None => nulls += 1,
        }
        let device = record["device_id"].as_str().unwrap();
        assert_eq!(device.split('-').map(str::len).collect::<Vec<_>>(), [3, 2, 4]);
        devices.insert(device.to_owned());
        addresses.insert(address);
        sizes += record.to_string().len() as u64 + 11;
    }
    assert!((1_600..2_000).contains(&nulls), "{nulls}");
    assert!((160..175).contains(&(sizes / count)), "{}", sizes / count);
    for distinct in [devices.len(), addresses.len()] {
        assert!((19_500..19_700).contains(&distinct), "{distinct}");
    }
}

#[test]
fn user_ids_are_version_4_and_unique() {
    let mut seen = HashSet::new();
    let sample = Sample::new(Kind::Logins, 7);
    for index in 0..100_000 {
        let id = text(&sample, index).split('"').nth(3).unwrap().to_owned();
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]));
        assert!(seen.insert(id));
    }
}

#[test]
fn wrong_shapes_appear_only_when_asked_for() {
    let right = Sample::new(Kind::Logins, 7);
    let wrong = Sample { wrong_shape: true, ..right };
    for index in 0..500 {
        if index % 50 == 32 {
            assert_eq!(text(&wrong, index), r#"{"foo": "oops_wrong_msg_type", "bar": "123"}"#);
            assert!(text(&right, index).contains("user_id"));
        } else {
            assert_eq!(text(&wrong, index), text(&right, index));
        }
    }
}

#[test]
fn users_have_their_shape() {
    let mut lengths = HashSet::new();
    let mut names = HashSet::new();
    for (index, record) in records(Kind::Users, 5_000).enumerate() {
        assert_eq!(
            keys(&record),
            [
                "fec_alta",
                "user_name",
                "codigo_zip",
                "credit_card_num",
                "credit_card_ccv",
                "cuenta_numero",
                "direccion",
                "geo_latitud",
                "geo_longitud",
                "color_favorito",
                "foto_dni",
                "ip",
                "auto",
                "auto_modelo",
                "auto_tipo",
                "auto_color",
                "cantidad_compras_realizadas",
                "avatar",
                "fec_birthday",
                "id"
            ]
        );
        let field = |key: &str| record[key].as_str().unwrap();
        if index == 0 {
            assert_eq!(field("fec_alta"), "11/01/2022");
        } else {
            assert_eq!(field("fec_alta").len(), "2021-07-31T00:11:06.741Z".len());
            assert!(field("fec_alta").starts_with("202") && field("fec_alta").ends_with('Z'));
        }
        assert_eq!(field("id"), (index + 1).to_string());
        assert!(record["cantidad_compras_realizadas"].is_u64());
        assert!(field("avatar").starts_with("https://avatars.example/"));
        assert_eq!(field("credit_card_ccv").len(), 3);
        assert!((8..=10).contains(&field("cuenta_numero").len()));
        assert!(field("geo_latitud").parse::<f64>().unwrap().abs() <= 90.0);
        assert!(field("geo_longitud").parse::<f64>().unwrap().abs() <= 180.0);
        let card = field("credit_card_num");
        assert!(passes_luhn(card), "{card}");
        let digits = card.bytes().filter(u8::is_ascii_digit).count();
        lengths.insert((digits, card.contains('-')));
        assert!(names.insert(field("user_name").to_owned()));
    }
    let expected: HashSet<_> = (13..=19).flat_map(|digits| [(digits, true), (digits, false)]).collect();
    assert_eq!(lengths, expected);
}

#[test]
fn a_third_of_the_messages_is_sensitive_and_the_rest_is_not() {
    let (mut email, mut card, mut both, mut lookalike, mut foreign) = (0, 0, 0, 0, 0);
    let mut last = String::new();
    for (index, record) in records(Kind::Messages, 20_000).enumerate() {
        assert_eq!(keys(&record), ["id", "channel", "author", "sent_at", "text"]);
        assert_eq!(record["id"].as_str().unwrap(), format!("m-{:06}", index + 1));
        let sent_at = record["sent_at"].as_str().unwrap().to_owned();
        assert!(sent_at >= last && sent_at.len() == 20, "{sent_at}");
        last = sent_at;
        let text = record["text"].as_str().unwrap();
        let (valid, invalid): (Vec<_>, Vec<_>) = long_numbers(text).into_iter().partition(|number| passes_luhn(number));
        match (text.contains("@example."), !valid.is_empty()) {
            (true, true) => both += 1,
            (true, false) => email += 1,
            (false, true) => card += 1,
            (false, false) => {
                lookalike += u32::from(!invalid.is_empty());
                foreign += u32::from(!text.is_ascii());
            }
        }
        // Nothing that fails the check stands beside a card.
        assert!(valid.is_empty() || invalid.is_empty(), "{text}");
    }
    assert!((6_200..7_000).contains(&(email + card + both)));
    assert!((2_600..3_000).contains(&email), "{email}");
    assert!((2_200..2_600).contains(&card), "{card}");
    assert!((1_250..1_550).contains(&both), "{both}");
    assert!((1_000..1_600).contains(&lookalike), "{lookalike}");
    assert!((2_700..3_300).contains(&foreign), "{foreign}");
}

#[test]
fn customers_have_their_shape_and_size() {
    let sample = Sample::new(Kind::Customers, 7);
    let count = 20_000;
    let (mut bytes, mut notes, mut with_email, mut with_ssn) = (0, 0, 0, 0);
    let (mut cards, mut ssns) = (HashSet::new(), HashSet::new());
    for index in 0..count {
        let text = text(&sample, index);
        bytes += text.len() as u64;
        let record: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            keys(&record),
            ["id", "name", "email", "ssn", "card", "phone", "city", "signup", "amount", "active", "note"]
        );
        let field = |key: &str| record[key].as_str().unwrap();
        assert_eq!(record["id"].as_u64(), Some(index + 1));
        assert!(field("email").ends_with("@example.com"));
        assert!(is_ssn(field("ssn")), "{text}");
        assert!(field("card").len() == 19 && passes_luhn(field("card")));
        assert!(field("phone").starts_with("+1-") && field("phone").len() == 15);
        assert!(field("signup").starts_with("2024-") && field("signup").len() == 10);
        assert!(record["active"].is_boolean());
        let amount = text.split("\"amount\": ").nth(1).unwrap();
        let (amount, _) = amount.split_once(',').unwrap();
        assert_eq!(amount.split_once('.').unwrap().1.len(), 2, "{amount}");
        notes += field("note").len() as u64;
        with_email += u32::from(field("note").contains("@example."));
        with_ssn += u32::from(field("note").split([' ', '.', ',']).any(is_ssn));
        cards.insert(field("card").to_owned());
        ssns.insert(field("ssn").to_owned());
    }
    assert!((300..340).contains(&(bytes / count)), "{}", bytes / count);
    assert!((65..95).contains(&(notes / count)), "{}", notes / count);
    assert!((850..1_150).contains(&with_email), "{with_email}");
    assert!((850..1_150).contains(&with_ssn), "{with_ssn}");
    assert!(cards.len() > 19_980 && ssns.len() > 19_980);
}

#[test]
fn the_words_need_no_escaping_and_name_only_known_placeholders() {
    let known = ["first", "city", "email", "ssn", "card", "no card", "order", "ticket", "count", "amount"];
    for word in words::all() {
        assert!(!word.contains(|character: char| matches!(character, '"' | '\\') || character.is_control()), "{word}");
        for part in word.split('{').skip(1) {
            let (name, _) = part.split_once('}').unwrap();
            assert!(known.contains(&name), "{word}");
        }
    }
}

#[test]
fn dates_follow_the_calendar() {
    for (days, date) in [
        (0, "1970-01-01"),
        (11_016, "2000-02-29"),
        (19_723, "2024-01-01"),
        (19_782, "2024-02-29"),
        (19_783, "2024-03-01"),
        (20_088, "2024-12-31"),
        (47_540, "2100-02-28"),
        (47_541, "2100-03-01"),
    ] {
        let mut out = Vec::new();
        draw::push_date(&mut out, days);
        assert_eq!(String::from_utf8(out).unwrap(), date);
    }
}
