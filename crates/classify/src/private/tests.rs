//! Tables of what is private and what only looks so.

use api::PrivateKind::{self, *};
use proptest::prelude::*;

use super::*;

/// The findings that are told to the policy, as `(kind, text)`.
fn check(text: &str, expected: &[(PrivateKind, &str)]) {
    let got: Vec<(PrivateKind, &str)> = find_private(text)
        .into_iter()
        .filter(|finding| finding.strength >= KIND_STRENGTH_MIN)
        .map(|finding| (finding.kind, &text[finding.start..finding.end]))
        .collect();
    assert_eq!(got, expected, "{text}");
}

#[test]
fn identifiers_are_found_where_they_stand() {
    check("Mail me at jo.doe+x@mail.example.org.", &[(Email, "jo.doe+x@mail.example.org")]);
    check("My card is 4111 1111 1111 1111, exp 04/27", &[(Card, "4111 1111 1111 1111")]);
    check("IBAN DE89 3704 0044 0532 0130 00 please", &[(Iban, "DE89 3704 0044 0532 0130 00")]);
    check("SSN: 219-09-9999", &[(NationalId, "219-09-9999")]);
    check("my ssn is 219099999", &[(NationalId, "219099999")]);
    check("NI number AB 12 34 56 C", &[(NationalId, "AB 12 34 56 C")]);
    check("DNI 12345678Z", &[(NationalId, "12345678Z")]);
    check("codice RSSMRA85T10A562S", &[(NationalId, "RSSMRA85T10A562S")]);
    check("身份证11010519491231002X", &[(NationalId, "11010519491231002")]);
    check("CPF 529.982.247-25", &[(NationalId, "529.982.247-25")]);
    check("call +49 170 1234567 today", &[(Phone, "+49 170 1234567")]);
    check("phone (415) 555-2671", &[(Phone, "(415) 555-2671")]);
    check("手机 13812345678", &[(Phone, "13812345678")]);
    check("the server at 203.0.113.77 is down", &[(IpAddress, "203.0.113.77")]);
    check("host 2001:db8:85a3::8a2e:370:7334 answers", &[(IpAddress, "2001:db8:85a3::8a2e:370:7334")]);
}

#[test]
fn secrets_are_found_and_placeholders_are_not() {
    check("key AKIAIOSFODNN7ABCDEFG here", &[(Secret, "AKIAIOSFODNN7ABCDEFG")]);
    check("password = \"hunter2!\"", &[(Secret, "hunter2!")]);
    check("my password is Tr0ub4dor, is it good?", &[(Secret, "Tr0ub4dor")]);
    check("postgres://app:s3cr3t9@db.local/x", &[(Secret, "postgres://app:s3cr3t9@db.local/x")]);
    check("-----BEGIN RSA PRIVATE KEY-----\nMII", &[(Secret, "-----BEGIN RSA PRIVATE KEY-----")]);
    check(
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLWhlcmU",
        &[(Secret, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLWhlcmU")],
    );
    check("password = os.environ['DB_PASSWORD']", &[]);
    check("set api_key to <your-key-1>", &[]);
    check("token = get_token1(request)", &[]);
    check("What makes a password strong?", &[]);
    check("the secret is to stir slowly", &[]);
    check("sk-learn-is-a-library-for-machine-learning", &[]);
}

#[test]
fn people_are_found_where_they_are_introduced() {
    check("Patient John Smith complains of headaches", &[(Person, "John Smith")]);
    check("My name is Anna Kowalska, hello", &[(Person, "Anna Kowalska")]);
    check("I live at 42 Maple Street with my cat", &[(Address, "42 Maple Street")]);
    check("Er wohnt Lindenstraße 12 in Bonn", &[(Address, "Lindenstraße")]);
    check("Send it to SW1A 2AA.", &[(Address, "SW1A 2AA")]);
    check("DOB: 04/08/1971", &[(BirthDate, "04/08/1971")]);
    check("MRN: 8812", &[(Health, "mrn:".to_uppercase().as_str())]);
    check("Who was Albert Einstein?", &[]);
    check("My name is Anna, and I learn Spanish", &[]);
    check("the patient was calm", &[]);
}

#[test]
fn identity_numbers_of_many_states_are_found() {
    check("part 756.9285.5103.68 please", &[]);
    check("AHV-Nummer 756.9217.0769.85", &[(NationalId, "756.9217.0769.85")]);
    check("registre national 85.07.30-033.28", &[(NationalId, "85.07.30-033.28")]);
    check("TC kimlik no 10000000146", &[(NationalId, "10000000146")]);
    check("RUT 12.345.678-5", &[(NationalId, "12.345.678-5")]);
    check("NRIC S1234567D", &[(NationalId, "S1234567D")]);
    check("rodné číslo 710319/2745", &[(NationalId, "710319/2745")]);
    check("passport C01X00T47", &[(NationalId, "C01X00T47")]);
    check("NHS number 9434765918, one digit wrong", &[(NationalId, "9434765918")]);
    check("the part C01X00T47 is out of stock", &[]);
    check("12.345.678-5 is a result", &[(NationalId, "12.345.678-5")]);
}

#[test]
fn disguised_addresses_are_read() {
    check("jo.doe [at] mail [dot] org", &[(Email, "jo.doe [at] mail [dot] org")]);
    check("write jo at mail dot org", &[(Email, "jo at mail dot org")]);
    check("j.meier ät posteo punkt de", &[(Email, "j.meier ät posteo punkt de")]);
    check("at this point we go", &[]);
    check("look at the dot", &[]);
    check("write to support@mail.org or user@example.com", &[]);
}

#[test]
fn secrets_are_read_from_a_sentence() {
    check("das passwort für wlan lautet Regen#22", &[(Secret, "Regen#22")]);
    check("the PIN of my card is 4471", &[(Secret, "4471")]);
    check("recovery code 7H2K-99QD", &[(Secret, "7H2K-99QD")]);
    check(
        "seed phrase: apple river stone cloud tiger lemon house green table",
        &[(Secret, "seed phrase: apple river stone cloud tiger lemon house green table")],
    );
    check("the tan line of 2019", &[]);
    check("pin the note to the wall", &[]);
}

#[test]
fn names_count_in_a_text_about_a_life() {
    check("患者王秀英，女", &[(Person, "王秀英")]);
    check("山田花子様", &[(Person, "山田花子")]);
    check("김민준 님", &[(Person, "김민준")]);
    check("Write to Marie-Luise van der Berg, our tenant", &[(Person, "Marie-Luise van der Berg")]);
    check("Иванов Сергей Петрович жалуется", &[(Person, "Иванов Сергей Петрович")]);
    check("Who was Maria Montessori?", &[]);
    check("Maria Montessori and her method", &[]);
    check("What does a Customer Success Manager do?", &[]);
    check("お客様", &[]);
    check("Our tenant loves Marie Curie", &[]);
}

#[test]
fn homes_and_births_and_illnesses_are_found() {
    check("I live at 77 wattle st, brunswick", &[(Address, "77 wattle st")]);
    check("ул. Баумана, д. 44", &[(Address, "ул. Баумана")]);
    check("Who lives at 10 Downing Street?", &[]);
    check("born 3 March 1977", &[(BirthDate, "3 March 1977")]);
    check("Bach, born 21 March 1685", &[]);
    check("My mother has stage 3 ovarian cancer", &[(Health, "cancer")]);
    check("What are the signs of cancer?", &[]);
    check("I have to write an essay on the history of cancer", &[]);
}

#[test]
fn what_is_called_an_example_counts_little() {
    for text in ["a test card such as 4242 4242 4242 4242", "for example 219-09-9999", "e.g. jo.doe@mail.org"]
    {
        check(text, &[]);
    }
}

/// Recall and precision over a file of labelled requests, at the default policy's threshold.
fn check_file(name: &str, recall_min: f32, precision_min: f32) {
    const THRESHOLD: f32 = 0.8;
    let path = format!("{}/../../tests/data/signals/{name}", env!("CARGO_MANIFEST_DIR"));
    let (mut right, mut missed, mut wrong) = (0.0_f32, Vec::new(), Vec::new());
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let view = row["text"].as_str().map_or_else(
            || {
                let body = serde_json::json!({"model": "auto", "messages": row["messages"]}).to_string();
                View::from(&api::ChatRequest::from_body(api::parse_object(body.as_bytes()).unwrap()).unwrap())
            },
            |text| View::of(None, text),
        );
        match (row["labels"]["private_data"].as_bool().unwrap(), private_data(&view).probability >= THRESHOLD)
        {
            (true, true) => right += 1.0,
            (true, false) => missed.push(view.user),
            (false, true) => wrong.push(view.user),
            (false, false) => {}
        }
    }
    let count = |rows: &[String]| f32::from(u16::try_from(rows.len()).unwrap());
    assert!(right / (right + count(&missed)) >= recall_min, "{name}, missed: {missed:#?}");
    assert!(right / (right + count(&wrong)) >= precision_min, "{name}, false alarms: {wrong:#?}");
}

#[test]
fn labelled_requests_are_told_apart() {
    check_file("private-dev.jsonl", 0.95, 0.95);
    check_file("private-held.jsonl", 0.95, 0.9);
}

#[test]
fn numbers_that_are_only_numbers_are_left_alone() {
    for text in [
        "Compute 4111111111111112 + 1",
        "It happened on 2024-05-01 10:22:13 and 1914-1918",
        "Version 1.2.3.4 of libfoo, then 10.0.0.1.2",
        "127.0.0.1 and 0.0.0.0 and 255.255.255.0 and 8.8.8.8",
        "ISBN 978-3-16-148410-0",
        "pi is 3.14159265358979",
        "The population is 1 412 600 000 people",
        "order 123456789 and ratio 16:9:4",
        "f(x) = (2 + 3) * (4 - 1) / 100000",
        "@property def x(self): ...",
        "git@github.com:me/repo.git",
        "Convert 1234567890 seconds",
        "2, 6, 12, 20, 30, 42, 56, 72, 90",
        "",
    ] {
        check(text, &[]);
    }
}

#[test]
fn matters_that_are_not_public_are_probable_without_a_span() {
    for (text, private) in [
        ("Summarize our internal postmortem about the database outage", true),
        ("Do not send this data externally, process on-premises only", true),
        ("Review this spreadsheet of employee salaries", true),
        ("审查我们公司代码库中的这个函数", true),
        ("Fasse unser vertrauliches Sitzungsprotokoll vom Vorstand zusammen", true),
        ("How does an internal combustion engine work?", false),
        ("What is the capital of Portugal?", false),
        ("Compare active-active and active-passive failover for a SaaS platform", false),
        ("Translate our menu into French", false),
        ("Write a poem about our dog", false),
    ] {
        let got = private_data(&View::of(None, text)).probability;
        assert_eq!(got >= 0.5, private, "{text}: {got}");
    }
}

#[test]
fn all_texts_of_a_conversation_are_searched() {
    let view = View { others: vec!["reach me at a@b.org".into()], ..View::of(None, "thanks") };
    let found = private_data(&view);
    assert!(found.probability > 0.9);
    assert_eq!(found.kinds(), [Email]);
}

#[test]
fn a_space_of_two_bytes_before_a_street_is_no_end_of_the_world() {
    // Found by the property test below.
    assert!(find_private("+\u{a0}street ").iter().all(|finding| finding.start < finding.end));
}

proptest! {
    /// Any text is searched without a panic, and every range lies on character boundaries.
    #[test]
    fn any_text_is_searched(text in "(.|[0-9+@./: -]|password|Name: |street |SW1A 2AA){0,60}") {
        for finding in find_private(&text) {
            prop_assert!(text.get(finding.start..finding.end).is_some());
            prop_assert!((0.0..=1.0).contains(&finding.strength));
        }
    }
}
