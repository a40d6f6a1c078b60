//! Laws that hold for every event, with a generator biased to the nasty cases.

use audit_event::arbitrary::{draft, event, number, object, stamps, statement, text, value};
use audit_event::canonical::to_canonical;
use audit_event::forms::{preimage_of, read_statement, to_form};
use audit_event::read::{LoneSurrogates, ReadLimits, read_value, split_batch};
use audit_event::{AuditEvent, Code, EventDraft, Form, Number, Value};
use proptest::prelude::*;

const LIMITS: ReadLimits = ReadLimits {
    bytes_max: 1 << 20,
    depth_max: 32,
    lone_surrogates: LoneSurrogates::Refuse,
};

/// What JavaScript prints for a double.
fn javascript(double: f64) -> String {
    ryu_js::Buffer::new().format_finite(double).to_owned()
}

/// Any double, one of few digits, or one that lies exactly between two shortest texts.
fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |double| double.is_finite()),
        (0..100_000_u32, -30..30_i32)
            .prop_map(|(digits, exponent)| format!("{digits}e{exponent}").parse().unwrap()),
        (1_u64 << 49..1 << 53, 0..60_i32)
            .prop_map(|(mantissa, shift)| mantissa as f64 / f64::from(shift).exp2()),
    ]
}

proptest! {
    #[test]
    fn canonical_bytes_read_back_to_the_same_event(event in event()) {
        let draft = EventDraft::new(event.clone()).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        prop_assert_eq!(&AuditEvent::from_canonical(draft.canonical()).unwrap(), draft.event());
        prop_assert_eq!(draft.event().to_canonical(), draft.canonical());
        prop_assert_eq!(&EventDraft::from_canonical(draft.canonical().to_vec()).unwrap(), &draft);
        // Checking a draft again changes nothing.
        prop_assert_eq!(&EventDraft::new(draft.event().clone()).unwrap(), &draft);
    }

    #[test]
    fn canonical_form_of_a_value_is_a_fixed_point(value in value()) {
        let canonical = to_canonical(&value);
        let read = read_value(&canonical, &LIMITS).unwrap().value;
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(to_canonical(&read), canonical);
    }

    #[test]
    fn a_changed_byte_is_refused_or_another_event(draft in draft(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut changed = draft.canonical().to_vec();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != byte);
        changed[at] = byte;
        if let Ok(event) = AuditEvent::from_canonical(&changed) {
            prop_assert_ne!(&event, draft.event());
            prop_assert_eq!(event.to_canonical(), changed);
        }
    }

    #[test]
    fn bytes_that_say_the_same_otherwise_are_refused(draft in draft(), at in any::<prop::sample::Index>()) {
        let canonical = String::from_utf8(draft.canonical().to_vec()).unwrap();
        let spaced = canonical.replacen(':', ": ", 1);
        prop_assert!(AuditEvent::from_canonical(spaced.as_bytes()).is_err());
        let cut = &draft.canonical()[..at.index(draft.canonical().len())];
        prop_assert!(AuditEvent::from_canonical(cut).is_err());
        let with_null = canonical.replacen("\"status\":", "\"severitz\":null,\"status\":", 1);
        prop_assert!(AuditEvent::from_canonical(with_null.as_bytes()).is_err());
    }

    #[test]
    fn the_claim_is_what_the_producer_said(statement in statement(), first in stamps(), second in stamps(), notes in object()) {
        let one = AuditEvent::stamp(statement.clone(), &first);
        let mut other = AuditEvent::stamp(statement, &second);
        other.annotations = notes;
        if let Some(proof) = &mut other.statement.producer_proof {
            proof.verdict = Some(audit_event::Verdict::Mismatch);
            proof.reason = Some("r".to_owned());
            proof.verified_with = Some("k".to_owned());
        }
        prop_assert_eq!(one.claim_input(), other.claim_input());
        other.statement.action.push('x');
        prop_assert_ne!(one.claim_input(), other.claim_input());
    }

    #[test]
    fn a_native_event_keeps_what_it_says(details in object(), action in text(8)) {
        let mut sent = details.clone();
        for (name, value) in [("action", format!("a{action}")), ("status", "success".into()), ("timestamp", "2024-01-01T00:00:00Z".into())] {
            sent.insert(name, Value::String(value));
        }
        let statement = read_statement(Form::Native, &to_canonical(&Value::Object(sent))).unwrap();
        prop_assert_eq!(statement.details, details);
        prop_assert_eq!(statement.action, format!("a{action}"));
    }

    #[test]
    fn what_javascript_prints_for_a_double_is_canonical(double in double()) {
        prop_assert_eq!(Number::parse(&javascript(double)).unwrap().to_string(), javascript(double));
    }

    #[test]
    fn a_preimage_prints_numbers_as_javascript_does(double in double()) {
        let event = format!(r#"{{"timestamp":{double:e}}}"#);
        let preimage = audit_event::forms::smart_logs::preimage(event.as_bytes()).unwrap();
        prop_assert!(preimage.ends_with(&format!("timestamp:{}", javascript(double))), "{} {}", preimage, double);
    }

    #[test]
    fn a_number_is_never_closer_to_another_double(number in number()) {
        let token = number.to_string();
        prop_assert_eq!(number.to_f64().to_bits() << 1, token.parse::<f64>().unwrap().to_bits() << 1);
        prop_assert_eq!(Number::parse(&token).unwrap(), number);
    }

    #[test]
    fn a_batch_is_cut_into_exactly_its_items(items in prop::collection::vec(value(), 0..6)) {
        let items: Vec<Vec<u8>> = items.iter().map(to_canonical).collect();
        let array = [b"[ ".as_slice(), &items.join(b" ,\n".as_slice()), b"]"].concat();
        let envelope = [b"{\"events\":".as_slice(), &array, b"}"].concat();
        let expected: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(split_batch(&array, 10).unwrap(), expected.clone());
        prop_assert_eq!(split_batch(&envelope, 10).unwrap(), expected);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in text(40)) {
        for input in [bytes.as_slice(), text.as_bytes()] {
            for form in Form::ALL {
                prop_assert!(read_statement(form, input).is_err());
            }
            prop_assert!(AuditEvent::from_canonical(input).is_err());
            let _cut_or_refused = split_batch(input, 3).is_ok();
        }
    }
}

/// An event in a foreign form whose members have any value.
fn foreign_event() -> impl Strategy<Value = (Form, Value)> {
    let smart_logs = (
        Form::SmartLogs,
        r#"{"timestamp":"2024-01-01T00:00:00.000Z","action":"a","status":"success"}"#,
    );
    let list_worker = (
        Form::ListWorker,
        r#"{"created_at":"2024-01-01T00:00:00.000Z","event_type":"a"}"#,
    );
    let cloudtrail = (
        Form::CloudTrail,
        r#"{"eventTime":"2024-01-01T00:00:00Z","eventName":"a"}"#,
    );
    let pake = (
        Form::Pake,
        r#"{"timestamp":"2024-01-01T00:00:00","action":{"type":"a","result":"error"}}"#,
    );
    let names = prop::sample::select(vec![
        "principalId",
        "organizationId",
        "hash",
        "signature",
        "retentionPolicy",
        "sessionContext",
        "user_id",
        "userAgent",
        "event_category",
        "description",
        "id",
        "version",
        "userIdentity",
        "eventID",
        "resources",
        "requestID",
        "_whole",
        "previousHash",
        "correlationId",
        "eventVersion",
        "other",
    ]);
    let member = (
        names,
        prop_oneof![value(), text(400).prop_map(Value::String)],
    );
    (
        prop::sample::select(vec![smart_logs, list_worker, cloudtrail, pake]),
        prop::collection::vec(member, 0..8),
    )
        .prop_map(|((form, base), members)| {
            let Value::Object(mut event) = read_value(base.as_bytes(), &LIMITS).unwrap().value
            else {
                unreachable!()
            };
            for (name, value) in members {
                event.insert(name, value);
            }
            (form, Value::Object(event))
        })
}

/// Without members that say nothing: null, and an organisation of no name.
fn without_nulls(value: &Value) -> Value {
    let Value::Object(object) = value else {
        return value.clone();
    };
    let says = |(name, value): &(&str, &Value)| {
        **value != Value::Null && !(*name == "organizationId" && value.as_str() == Some(""))
    };
    Value::Object(
        object
            .iter()
            .filter(says)
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
    )
}

proptest! {
    #[test]
    fn a_foreign_event_is_taken_and_comes_back((form, sent) in foreign_event(), stamps in stamps()) {
        let statement = match read_statement(form, &to_canonical(&sent)) {
            Ok(statement) => statement,
            Err(problems) => {
                // A proof is not shortened: a part of a hash proves nothing.
                prop_assert!(problems.iter().all(|problem| problem.path.as_str().starts_with("/producerProof/")), "{problems:?}");
                return Ok(());
            }
        };
        let preimage = statement.producer_proof.as_ref().and_then(|proof| proof.preimage.clone());
        let draft = match EventDraft::new(AuditEvent::stamp(statement, &stamps)) {
            Ok(draft) => draft,
            Err(problems) => {
                prop_assert!(problems.iter().all(|problem| problem.code == Code::TooLarge), "{problems:?}");
                return Ok(());
            }
        };
        prop_assert_eq!(preimage_of(&draft.event().statement), preimage);
        let Value::Object(mut restored) = to_form(form, draft.event()).unwrap() else { unreachable!() };
        // What accept stamped was not sent.
        let said = without_nulls(&sent);
        for name in ["organizationId", "id"] {
            if !said.as_object().unwrap().contains(name) {
                restored.remove(name);
            }
        }
        prop_assert_eq!(without_nulls(&Value::Object(restored)), said);
    }
}
