//! Our own form: `docs/event-format.md` section 2, without what only the system writes.

use crate::event::Statement;
use crate::gather::Gathered;
use crate::problem::{Code, Path, Problem};
use crate::value::{Object, Value};

/// Members that accept or a processor writes.
const RESERVED: [&str; 5] = [
    "annotations",
    "externalId",
    "receivedAt",
    "timestampDigits",
    "timestampText",
];
/// Members of `producerProof` that only our verdict writes.
const RESERVED_OF_PROOF: [&str; 3] = ["reason", "verdict", "verifiedWith"];

pub(super) fn read(object: Object) -> Result<Statement, Vec<Problem>> {
    let mut said = Gathered::default();
    for (name, value) in object {
        if RESERVED.contains(&name.as_str()) {
            said.problem(
                Path::root().member(&name).as_str(),
                Code::Reserved,
                "only the system writes this member",
            );
            continue;
        }
        if name == "producerProof" {
            refuse_verdict(&mut said, &value);
        }
        if let Some(value) = said.take(&name, value) {
            said.keep(name, value);
        }
    }
    said.finish()
}

fn refuse_verdict(said: &mut Gathered, proof: &Value) {
    let Some(proof) = proof.as_object() else {
        return;
    };
    for name in RESERVED_OF_PROOF
        .into_iter()
        .filter(|name| proof.get(name).is_some())
    {
        said.problem(
            &format!("/producerProof/{name}"),
            Code::Reserved,
            "only the system writes this member",
        );
    }
}
