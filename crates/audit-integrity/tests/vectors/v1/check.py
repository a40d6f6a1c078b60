#!/usr/bin/env python3
"""Checks the vectors of this directory with nothing but Python's standard library.

    python3 check.py [DIRECTORY]

Written from docs/event-format.md, RFC 6962, RFC 8032 and the C2SP documents, not from the Rust code. Prints what was
checked; ends with 1 and the first thing that is wrong.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import re
import sys
import uuid
from datetime import datetime, timedelta

NAMESPACE = uuid.UUID("8a6e1f0c-5d1b-5b0e-9c52-6f0f3a1d7e11")
KINDS = ["ledger-opened", "ledger-closed", "key", "snapshot", "retention", "erasure", "history-loss"]


class Wrong(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Wrong(what)


def equal(found, expected, what):
    expect(found == expected, f"{what}:\n  found    {found!r}\n  expected {expected!r}")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# --- Section 1: canonical JSON ------------------------------------------------------------------------------------


class Number(str):
    """A JSON number token."""


def members(pairs):
    names = [name for name, _ in pairs]
    expect(len(set(names)) == len(names), f"a member stands twice: {names}")
    return dict(pairs)


def refuse(token):
    raise Wrong(f"{token} is not JSON")


def parse(text):
    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=refuse, object_pairs_hook=members)


def canonical_number(token):
    sign, whole, fraction, exponent = re.fullmatch(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?", token).groups()
    fraction = fraction or ""
    all_digits = whole + fraction
    leading = len(all_digits) - len(all_digits.lstrip("0"))
    digits = all_digits.strip("0")
    if not digits:
        return "0"
    # The value is 0.d1d2...dk * 10^n.
    n, k = len(whole) - leading + int(exponent or 0), len(digits)
    if k <= n <= 21:
        text = digits + "0" * (n - k)
    elif 0 < n <= 21:
        text = digits[:n] + "." + digits[n:]
    elif -6 < n <= 0:
        text = "0." + "0" * -n + digits
    else:
        text = digits[0] + ("." + digits[1:] if k > 1 else "") + f"e{n - 1:+d}"
    return sign + text


def canonical_string(text):
    short = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
    return '"' + "".join(short.get(ord(c)) or (f"\\u{ord(c):04x}" if ord(c) < 32 else c) for c in text) + '"'


def canonical(value):
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Number):
        return canonical_number(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return canonical_string(value)
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    # Big-endian UTF-16 compares as its code units do.
    names = sorted(value, key=lambda name: name.encode("utf-16-be"))
    return "{" + ",".join(canonical_string(name) + ":" + canonical(value[name]) for name in names) + "}"


def canonical_time(text):
    """The canonical text of an RFC 3339 time, and the member that keeps how it was written."""
    pattern = r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))"
    year, month, day, hour, minute, second, fraction, zulu, sign, hours, minutes = re.fullmatch(pattern, text).groups()
    micros = int(((fraction or "") + "000000")[:6])
    time = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micros)
    if not zulu:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        time += offset if sign == "-" else -offset
    written = f"{time.year:04d}-{time:%m-%dT%H:%M:%S}.{time.microsecond:06d}Z"
    if text == written:
        return written, {}
    for digits, form in [(0, written[:19] + "Z"), (3, written[:23] + "Z")]:
        if text == form and (digits or time.microsecond == 0):
            return written, {"timestampDigits": digits}
    return written, {"timestampText": text}


# --- Sections 2 and 3: the event, its id, its claim ----------------------------------------------------------------

TYPED = """eventVersion principalId principalType organizationId action targetResourceType targetResourceId status
    outcomeDescription durationMs severity dataClassification retentionPolicy correlationId traceparent""".split()
PARTS = {
    "producer": ["id", "epoch", "seq"],
    "producerProof": ["scheme", "preimage", "hash", "signature", "algorithm", "keyId"],
    "sessionContext": ["sessionId", "ipAddress", "userAgent", "geolocation"],
    "source": ["application", "environment", "version"],
}


def normalise(said, stamps, annotations):
    """The event that accept makes of a statement in the native form."""
    event, details = {}, {}
    for name, value in said.items():
        if name in PARTS:
            known = {part: value[part] for part in PARTS[name] if value.get(part) is not None}
            other = {part: value[part] for part in value if part not in PARTS[name]}
            if known:
                event[name] = known
            if other:
                details[name] = other
        elif name in TYPED:
            if value is not None and not (name == "organizationId" and value == ""):
                event[name] = value
        elif name not in ("id", "timestamp"):
            details[name] = value
    if details:
        event["details"] = details
    if annotations:
        event["annotations"] = annotations
    event["timestamp"], form = canonical_time(said["timestamp"])
    event.update(form)
    event.setdefault("organizationId", stamps["defaultOrganization"])
    event["receivedAt"] = stamps["receivedAt"]
    event["id"], external = event_id(said.get("id"), event["organizationId"] or None, stamps["fallbackId"])
    if external is not None:
        event["externalId"] = external
    return event


def event_id(stated, organization, fallback):
    if stated is None:
        return fallback, None
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", stated):
        return stated.lower(), None
    return str(uuid.uuid5(NAMESPACE, canonical([organization, stated]))), stated


def judge(event):
    """The verdict on a smart-logs proof whose text the producer sent."""
    proof = event.get("producerProof")
    if proof:
        digest = sha256(proof["preimage"].encode()).hex()
        signature = hmac.new(b"test-secret", digest.encode(), "sha256").hexdigest()
        equal((proof["hash"], proof["signature"]), (digest, signature), "the producer's proof")
        proof.update(verdict="verified", verifiedWith="producer-1")


def claim_of(event):
    said = {name: event[name] for name in event if name not in ("id", "organizationId", "receivedAt", "annotations")}
    if "producerProof" in said:
        ours = ("verdict", "verifiedWith", "reason")
        said["producerProof"] = {name: value for name, value in said["producerProof"].items() if name not in ours}
    return sha256(b"audit-claim/1\n", canonical(said).encode())


# --- Section 4: body, entry, leaf -----------------------------------------------------------------------------------


def body_of(salt, document):
    return sha256(b"audit-body/1\n", bytes.fromhex(salt), document)


def leaf_of(entry):
    return sha256(b"\x00", entry)


def entry_of(header):
    entry = b"audit-entry/1\n" + canonical(header).encode()
    expect(len(entry) <= 1024, "an entry is longer than 1,024 bytes")
    return entry


def check_values(cases):
    for case in cases:
        equal(canonical(parse(case["input"])), case["canonical"], "canonical form of " + case["input"])
        equal(canonical(parse(case["canonical"])), case["canonical"], "canonical form, again")
    return f"{len(cases)} values"


def check_events(cases):
    for index, case in enumerate(cases):
        event = normalise(parse(case["input"]), case["stamps"], parse(case["annotations"]))
        judge(event)
        text = canonical(event)
        equal(text, case["canonical"], f"event {index} ({case['name']})")
        equal(canonical(parse(text)), text, f"event {index}, again")
        equal(claim_of(event).hex(), case["claim"], f"claim of event {index}")
        equal(body_of(case["salt"], text.encode()).hex(), case["body"], f"body of event {index}")
        header = {
            "body": case["body"],
            "dataClassification": event.get("dataClassification", "INTERNAL"),
            "id": event["id"],
            "index": case["index"],
            "kind": "event",
            "ledger": case["ledger"],
            "receivedAt": event["receivedAt"],
            "retentionPolicy": event.get("retentionPolicy", "standard"),
            "sealedAt": case["sealedAt"],
            "timestamp": event["timestamp"],
        }
        if event["organizationId"]:
            header["organizationId"] = event["organizationId"]
        equal(case["index"], index, "index")
        equal(entry_of(header).decode(), case["entry"], f"entry of event {index}")
        equal(leaf_of(entry_of(header)).hex(), case["leafHash"], f"leaf of event {index}")
    return f"{len(cases)} events: canonical bytes, claims, bodies, entries, leaves"


def check_controls(cases):
    equal(sorted(case["kind"] for case in cases), sorted("control." + kind for kind in KINDS), "kinds")
    for case in cases:
        document = canonical(parse(case["input"]))
        equal(document, case["canonical"], "control document")
        equal(body_of(case["salt"], document.encode()).hex(), case["body"], "body of a control document")
        times = {name: case["sealedAt"] for name in ("receivedAt", "sealedAt", "timestamp")}
        header = {"body": case["body"], "dataClassification": "INTERNAL", "id": case["id"], "index": case["index"]}
        header.update(times, kind=case["kind"], ledger="directory", retentionPolicy="permanent")
        equal(entry_of(header).decode(), case["entry"], "entry of a control document")
        equal(leaf_of(entry_of(header)).hex(), case["leafHash"], "leaf of a control document")
    return f"{len(cases)} control entries"


# --- Section 5: tree, tiles, bundles, chunk, head --------------------------------------------------------------------


def root_of(leaves):
    """RFC 6962 section 2.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01", root_of(leaves[:k]), root_of(leaves[k:]))


def bundle_entries(bundle):
    entries, at = [], 0
    while at < len(bundle):
        length = int.from_bytes(bundle[at : at + 2], "big")
        expect(at + 2 + length <= len(bundle), "a bundle is cut off")
        entries.append(bundle[at + 2 : at + 2 + length])
        at += 2 + length
    return entries


def lz4_block(block):
    """The LZ4 block format."""
    out, at = bytearray(), 0

    def length(nibble):
        nonlocal at
        total = nibble
        while nibble == 15:
            total += block[at]
            at += 1
            if block[at - 1] < 255:
                break
        return total

    while True:
        token = block[at]
        at += 1
        literals = length(token >> 4)
        out += block[at : at + literals]
        at += literals
        if at >= len(block):
            return bytes(out)
        offset = int.from_bytes(block[at : at + 2], "little")
        at += 2
        expect(0 < offset <= len(out), "an LZ4 offset points nowhere")
        for _ in range(length(token & 15) + 4):
            out.append(out[-offset])


def check_tiles(directory, name):
    """Entry bundles, tiles and checkpoint of one ledger, as c2sp.org/tlog-tiles serves them; gives its entries."""
    bundles = sorted(path for path in (directory / "tile/entries").rglob("*") if path.is_file())
    entries = [entry for path in bundles for entry in bundle_entries(path.read_bytes())]
    leaves = [leaf_of(entry) for entry in entries]
    for index, entry in enumerate(entries):
        expect(entry.startswith(b"audit-entry/1\n"), f"entry {index} of {name} has no label")
        header = parse(entry[14:])
        equal(canonical(header).encode(), entry[14:], f"canonical form of entry {index} of {name}")
        equal(header["index"], str(index), f"index of entry {index} of {name}")
    seen = 0
    for level in (0, 1):
        nodes = [root_of(leaves[at : at + 256**level]) for at in range(0, len(leaves) + 1 - 256**level, 256**level)]
        for index in range(-(-len(nodes) // 256)):
            hashes = nodes[256 * index : 256 * index + 256]
            partial = "" if len(hashes) == 256 else f".p/{len(hashes)}"
            tile = (directory / f"tile/{level}/{index:03d}{partial}").read_bytes()
            equal(tile.hex(), b"".join(hashes).hex(), f"tile {level}/{index} of {name}")
            seen += 1
    present = [path for path in (directory / "tile").rglob("*") if path.is_file() and "entries" not in path.parts]
    equal(len(present), seen, f"tiles of {name}")
    return entries, leaves


def check_head(head, leaves, keys):
    size, root = head["size"], root_of(leaves[: head["size"]])
    equal(root.hex(), head["root"], f"root at {size}")
    expected, at = [], 0
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            expected.append(root_of(leaves[at : at + (1 << bit)]).hex())
            at += 1 << bit
    equal(head["range"], expected, f"compact range at {size}")
    fields = [keys["ledger-0"]["origin"], head["state"], str(head["epoch"]), str(size), base64.b64encode(root).decode()]
    text = "audit-head/1\n" + "".join(field + "\n" for field in fields)
    mac = hmac.new(bytes.fromhex(keys["laneKey"]), text.encode(), "sha256")
    equal(mac.hexdigest(), head["mac"], f"MAC of the head at {size}")
    equal(check_note(head["checkpoint"], keys["ledger-0"]["verifierKey"]), (size, root), f"checkpoint at {size}")


# --- Section 6: Ed25519, notes, proofs -------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(one, two):
    """RFC 8032 section 5.1.4, extended coordinates."""
    a, b = (one[1] - one[0]) * (two[1] - two[0]) % P, (one[1] + one[0]) * (two[1] + two[0]) % P
    c, d = 2 * one[3] * two[3] * D % P, 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def decode_point(encoded):
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    expect(y < P and (x * x - square) % P == 0 and not (x == 0 and sign), "no point of the curve")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def same_point(one, two):
    return (one[0] * two[2] - two[0] * one[2]) % P == 0 and (one[1] * two[2] - two[1] * one[2]) % P == 0


def signature_is_right(public, message, signature):
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    return same_point(times(s, BASE), add(decode_point(signature[:32]), times(k, decode_point(public))))


def public_key_of(seed):
    a = bytearray(hashlib.sha512(seed).digest()[:32])
    a[0] &= 248
    a[31] = a[31] & 127 | 64
    x, y, z, _ = times(int.from_bytes(a, "little"), BASE)
    x, y = x * pow(z, -1, P) % P, y * pow(z, -1, P) % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def check_note(note, key_line):
    """A signed checkpoint; gives its size and root."""
    name, key_id, key = key_line.split("+", 2)
    key = base64.b64decode(key, validate=True)
    equal(sha256(name.encode(), b"\n", key)[:4].hex(), key_id, "key id")
    equal((key[0], len(key)), (1, 33), "the algorithm")
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    for line in signatures.removesuffix("\n").split("\n"):
        dash, signer, signature = line.split(" ")
        signature = base64.b64decode(signature, validate=True)
        if (dash, signer, signature[:4].hex()) == ("\u2014", name, key_id):
            expect(signature_is_right(key[1:], text.encode(), signature[4:]), "a signature is wrong")
            origin, size, root = text.removesuffix("\n").split("\n")
            equal(origin, name, "origin")
            equal(str(int(size)), size, "size")
            return int(size), base64.b64decode(root, validate=True)
    raise Wrong("a note is not signed with the key")


def inclusion_root(index, size, leaf, path):
    """RFC 9162 section 2.1.3.2; the root that the path leads to, or None."""
    if index >= size:
        return None
    fn, sn, root = index, size - 1, leaf
    for hash_ in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            root = sha256(b"\x01", hash_, root)
            while fn & 1 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = sha256(b"\x01", root, hash_)
        fn, sn = fn >> 1, sn >> 1
    return root if sn == 0 else None


def is_consistent(old, old_root, new, new_root, path):
    """RFC 9162 section 2.1.4.2."""
    if old in (0, new):
        return not path and (old == 0 or old_root == new_root)
    path = ([old_root] if old & (old - 1) == 0 else []) + path
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    if not path:
        return False
    fr = sr = path[0]
    for hash_ in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = sha256(b"\x01", hash_, fr), sha256(b"\x01", hash_, sr)
            while fn & 1 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha256(b"\x01", sr, hash_)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and (fr, sr) == (old_root, new_root)


def check_proofs(proofs, leaves):
    for case in proofs["inclusion"]:
        path = [base64.b64decode(hash_, validate=True) for hash_ in case["hashes"]]
        root = inclusion_root(case["index"], case["size"], leaves[case["index"]], path)
        equal(root, root_of(leaves[: case["size"]]), f"inclusion of {case['index']} in {case['size']}")
    for case in proofs["consistency"]:
        path = [base64.b64decode(hash_, validate=True) for hash_ in case["hashes"]]
        roots = [root_of(leaves[: case[size]]) for size in ("old", "new")]
        what = f"consistency of {case['old']} and {case['new']}"
        expect(is_consistent(case["old"], roots[0], case["new"], roots[1], path), what)
        forged = sha256(b"forged")
        expect(case["old"] == 0 or not is_consistent(case["old"], forged, case["new"], roots[1], path), what)
    return f"{len(proofs['inclusion'])} inclusion and {len(proofs['consistency'])} consistency proofs"


def check_proof_file(text, entries, key_line):
    head, _, note = text.partition("\n\n")
    label, index, *hashes = head.split("\n")
    equal(label, "c2sp.org/tlog-proof@v1", "first line of a proof file")
    expect(re.fullmatch(r"index (0|[1-9]\d*)", index), "the index of a proof file")
    index = int(index.removeprefix("index "))
    path = [base64.b64decode(hash_, validate=True) for hash_ in hashes]
    size, root = check_note(note, key_line)
    equal(inclusion_root(index, size, leaf_of(entries[index]), path), root, f"proof file of {index}")


# --- All of it --------------------------------------------------------------------------------------------------------


def check_all(directory):
    def load(name):
        return json.loads((directory / name).read_text(encoding="utf-8"))

    yield check_values(load("values.json"))
    events, controls, keys = load("events.json"), load("control.json"), load("keys.json")
    yield check_events(events)
    yield check_controls(controls)

    ledgers = {}
    for name, cases in [("ledger-0", events), ("directory", controls)]:
        entries, leaves = check_tiles(directory / name, name)
        equal([entry.decode() for entry in entries[: len(cases)]], [case["entry"] for case in cases], "entries of " + name)
        ledgers[name] = entries, leaves
        key = keys[name]
        public = base64.b64decode(key["verifierKey"].split("+", 2)[2])[1:]
        equal(public_key_of(bytes.fromhex(key["seed"])), public, "public key of " + name)
        note = (directory / name / "checkpoint").read_text(encoding="utf-8")
        equal(check_note(note, key["verifierKey"]), (len(leaves), root_of(leaves)), "checkpoint of " + name)
        yield f"{name}: {len(entries)} entries, tiles, checkpoint"

    entries, leaves = ledgers["ledger-0"]
    chunk = (directory / "ledger-0/chunk.lz4").read_bytes()
    unpacked = lz4_block(chunk[4:])
    equal(len(unpacked), int.from_bytes(chunk[:4], "little"), "declared length of the chunk")
    equal(bundle_entries(unpacked), entries[: len(events)], "entries of the chunk")
    yield "one chunk"

    heads = load("heads.json")
    for head in heads:
        check_head(head, leaves, keys)
    yield f"{len(heads)} heads: roots, compact ranges, MACs, signed checkpoints"
    yield check_proofs(load("proofs.json"), leaves)

    files = sorted((directory / "proofs").iterdir())
    for path in files:
        name = "directory" if path.name.startswith("directory") else "ledger-0"
        check_proof_file(path.read_text(encoding="utf-8"), ledgers[name][0], keys[name]["verifierKey"])
    yield f"{len(files)} proof files"


def main():
    directory = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    directory = directory.parent if directory.is_file() else directory
    try:
        for line in check_all(directory):
            print("ok   ", line)
    except Exception as wrong:  # Whatever stops the check, the vectors are not what they should be.
        print("WRONG", f"{type(wrong).__name__}: {wrong}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
