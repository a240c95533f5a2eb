"""Sample answers of operations, made from botocore's models: a value of each output, and the bytes that a service
would send for it, written by the rules of each protocol."""
import base64
import datetime
import json
import struct
from email.utils import format_datetime
from xml.sax.saxutils import escape, quoteattr

TIME = datetime.datetime(2024, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
BYTES = "some bytes, é".encode()


def capitalized(name):
    return name[0].upper() + name[1:]


def value(shape, depth=0, name=""):
    """A value as boto3 would give it."""
    kind = shape.type_name
    if kind == "structure":
        if getattr(shape, "is_document_type", False):
            return {"any": [1, "x", None]}
        names = [n for n in shape.members if depth < 5 or n in shape.required_members]
        if getattr(shape, "is_tagged_union", False):
            names = names[:1]
        members = {n: value(shape.members[n], depth + 1, n) for n in names}
        return {n: v for n, v in members.items() if v is not None}
    if kind == "list":
        return [value(shape.member, depth + 1, name), value(shape.member, depth + 1, name)] if depth < 9 else []
    if kind == "map":
        keys = shape.key.enum[:1] or ["one", "two & 2"]
        return {key: value(shape.value, depth + 1, name) for key in keys} if depth < 9 else {}
    if kind in ("string", "character"):
        if shape.serialization.get("jsonvalue"):
            return None
        header = shape.serialization.get("location") in ("header", "headers")
        return shape.enum[0] if shape.enum else "value" if header else f"<{name}> & é"
    return {
        "blob": BYTES, "boolean": True, "integer": 7, "long": 2**40, "float": 1.5, "double": 2.5, "timestamp": TIME,
    }[kind]


def as_result(shape, given, base64_blobs=False):
    """The same value as a state gets it."""
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return given
    if kind == "structure":
        return {capitalized(n): as_result(shape.members[n], v, base64_blobs) for n, v in given.items()}
    if kind == "list":
        return [as_result(shape.member, item, base64_blobs) for item in given]
    if kind == "map":
        return {key: as_result(shape.value, item, base64_blobs) for key, item in given.items()}
    if kind == "timestamp":
        return given.strftime("%Y-%m-%dT%H:%M:%SZ")
    if kind == "blob":
        return base64.b64encode(given).decode() if base64_blobs else given.decode()
    return given


def timestamp(shape, given, default):
    form = shape.serialization.get("timestampFormat", default).lower()
    if form == "unixtimestamp":
        return int(given.timestamp())
    return format_datetime(given, usegmt=True) if form == "rfc822" else given.strftime("%Y-%m-%dT%H:%M:%SZ")


def to_json(shape, given):
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return given
    if kind == "structure":
        members = {n: shape.members[n] for n in given if "location" not in shape.members[n].serialization}
        return {m.serialization.get("name", n): to_json(m, given[n]) for n, m in members.items()}
    if kind == "list":
        return [to_json(shape.member, item) for item in given]
    if kind == "map":
        return {key: to_json(shape.value, item) for key, item in given.items()}
    if kind == "blob":
        return base64.b64encode(given).decode()
    return timestamp(shape, given, "unixtimestamp") if kind == "timestamp" else given


def to_xml(shape, given, name, ec2=False):
    kind, rules = shape.type_name, shape.serialization
    if kind == "structure":
        inner, attributes = "", ""
        for n, v in given.items():
            member = shape.members[n]
            if "location" in member.serialization:
                continue
            wire = member.serialization.get("name", n)
            if member.serialization.get("xmlAttribute"):
                prefix = wire.split(":")[0]
                attributes += f' xmlns:{prefix}="urn:x"' if ":" in wire else ""
                attributes += f" {wire}={quoteattr(v)}"
            else:
                inner += to_xml(member, v, wire, ec2)
        return f"<{name}{attributes}>{inner}</{name}>"
    if kind == "list":
        item_name = shape.member.serialization.get("name")
        if rules.get("flattened"):
            return "".join(to_xml(shape.member, item, item_name or name, ec2) for item in given)
        inner = "".join(to_xml(shape.member, item, item_name or "member", ec2) for item in given)
        return f"<{name}>{inner}</{name}>"
    if kind == "map":
        key, val = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
        flat = rules.get("flattened")
        entry = name if flat else "entry"
        inner = "".join(
            f"<{entry}><{key}>{escape(k)}</{key}>{to_xml(shape.value, v, val, ec2)}</{entry}>" for k, v in given.items()
        )
        return inner if flat else f"<{name}>{inner}</{name}>"
    if kind == "timestamp":
        given = timestamp(shape, given, "iso8601")
    elif kind == "blob":
        given = base64.b64encode(given).decode()
    elif kind == "boolean":
        given = "true" if given else "false"
    return f"<{name}>{escape(str(given))}</{name}>"


def to_cbor(shape, given):
    def head(major, number):
        for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
            if number < 24:
                return bytes([major << 5 | number])
            if number < 256**size:
                return bytes([major << 5 | info]) + number.to_bytes(size, "big")

    def text(s):
        return head(3, len(s.encode())) + s.encode()

    kind = shape.type_name
    if kind == "structure":
        parts = [text(shape.members[n].serialization.get("name", n)) + to_cbor(shape.members[n], v) for n, v in given.items()]
        return b"\xbf" + b"".join(parts) + b"\xff"
    if kind == "list":
        return head(4, len(given)) + b"".join(to_cbor(shape.member, item) for item in given)
    if kind == "map":
        return head(5, len(given)) + b"".join(text(k) + to_cbor(shape.value, v) for k, v in given.items())
    if kind == "blob":
        return head(2, len(given)) + given
    if kind == "boolean":
        return b"\xf5" if given else b"\xf4"
    if kind in ("integer", "long"):
        return head(0, given)
    if kind in ("float", "double"):
        return b"\xfb" + struct.pack(">d", given)
    if kind == "timestamp":
        return b"\xc1" + head(0, int(given.timestamp()))
    return text(given)


def header_text(shape, given):
    kind = shape.type_name
    if kind == "timestamp":
        return str(timestamp(shape, given, "rfc822"))
    if kind == "boolean":
        return "true" if given else "false"
    if kind == "list":
        return ",".join(header_text(shape.member, item) for item in given)
    return str(given)


def wire(operation, given):
    """Headers and body of an answer."""
    shape, protocol = operation.output_shape, operation.service_model.resolved_protocol
    if protocol == "json":
        return {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(to_json(shape, given)).encode()
    if protocol == "smithy-rpc-v2-cbor":
        return {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}, to_cbor(shape, given)
    if protocol == "ec2":
        inner = to_xml(shape, given, "X", True)[3:-4] if given else ""
        name = f"{operation.name}Response"
        return {}, f'<?xml version="1.0"?><{name} xmlns="urn:x"><requestId>r</requestId>{inner}</{name}>'.encode()
    if protocol == "query":
        wrapper = shape.serialization.get("resultWrapper", f"{operation.name}Result")
        name = f"{operation.name}Response"
        metadata = "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
        return {}, f'<{name} xmlns="urn:x">{to_xml(shape, given, wrapper)}{metadata}</{name}>'.encode()
    headers = {}
    for n, v in given.items():
        rules = shape.members[n].serialization
        if rules.get("location") == "header":
            headers[rules.get("name", n)] = header_text(shape.members[n], v)
        elif rules.get("location") == "headers":
            headers |= {rules.get("name", "") + key: item for key, item in v.items()}
    payload = shape.serialization.get("payload")
    if payload:
        if payload not in given:
            return headers, b""
        member, body = shape.members[payload], given[payload]
        if member.type_name in ("blob", "string"):
            return headers, body if isinstance(body, bytes) else body.encode()
        if protocol == "rest-json":
            return headers | {"Content-Type": "application/json"}, json.dumps(to_json(member, body)).encode()
        return headers, to_xml(member, body, member.serialization.get("name", payload)).encode()
    if protocol == "rest-json":
        return headers | {"Content-Type": "application/json"}, json.dumps(to_json(shape, given)).encode()
    return headers, to_xml(shape, given, f"{operation.name}Result").encode()
