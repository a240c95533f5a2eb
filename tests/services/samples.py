"""Sample parameters for operations, made from botocore's own models: one value of each member, the same every time."""
import base64
import datetime
import json

TIME = datetime.datetime(2024, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
BLOB = {"key": "a value, ünd more"}


def capitalized(name):
    return name[0].upper() + name[1:]


class Sample:
    """The same parameters twice: as boto3 takes them, and as a definition spells them."""

    def __init__(self, service, operation):
        self.service, self.operation = service, operation
        shape = operation.input_shape
        self.for_boto3, self.for_definition = self.structure(shape, 0) if shape else ({}, {})

    def structure(self, shape, depth):
        ours, theirs = {}, {}
        names = list(shape.members)
        if getattr(shape, "is_tagged_union", False):
            names = names[:1]
        for name in names:
            member = shape.members[name]
            required = name in shape.required_members
            if not required and (depth > 2 or self.left_out(name, member)):
                continue
            value = self.value(member, depth + 1, name)
            if value is not None:
                theirs[name], ours[capitalized(name)] = value
        return theirs, ours

    @staticmethod
    def left_out(name, member):
        if member.serialization.get("eventstream") or getattr(member, "is_document_type", False):
            return True
        # Filled in or rewritten by boto3 alone: customer keys, sources of copies, user data, expiry as text.
        return (
            "SSECustomer" in name or "Checksum" in name
            or name in ("CopySource", "UserData", "Expires", "MFA", "ExpiresString")
            # Signed by Signature Version 4A, which is not supported.
            or name == "EndpointId"
        )

    def value(self, shape, depth, name=""):
        kind = shape.type_name
        if kind == "structure":
            if getattr(shape, "is_document_type", False):
                return {"a": [1]}, {"a": [1]}
            return self.structure(shape, depth)
        if kind == "list":
            if depth > 6:
                return [], []
            item = self.value(shape.member, depth + 1, name)
            return ([item[0]], [item[1]])
        if kind == "map":
            key = self.text(shape.key, "key")
            if depth > 6:
                return {}, {}
            if shape.serialization.get("location") == "headers":
                return {"key": "value"}, {"key": "value"}
            item = self.value(shape.value, depth + 1, key)
            return {key: item[0]}, {key: item[1]}
        if kind == "string" and shape.serialization.get("jsonvalue"):
            return {"a": 1}, {"a": 1}
        if kind in ("string", "character"):
            text = self.text(shape, name)
            return text, text
        if kind == "blob":
            if self.service == "dynamodb":
                return b"bytes", base64.b64encode(b"bytes").decode()
            text = json.dumps(BLOB, separators=(",", ":"), ensure_ascii=False)
            return text.encode(), BLOB
        if kind == "boolean":
            return True, True
        if kind in ("integer", "long"):
            number = max(int(shape.metadata.get("min", 0)), 7)
            number = min(number, int(shape.metadata.get("max", 2**31 - 1)))
            return number, number
        if kind in ("float", "double"):
            return 1.5, 1.5
        if kind == "timestamp":
            return TIME, TIME.strftime("%Y-%m-%dT%H:%M:%SZ")
        raise AssertionError(kind)

    @staticmethod
    def text(shape, name):
        if shape.enum:
            return shape.enum[0]
        if name == "Bucket":
            return "some-bucket"
        if name == "Key":
            return "a folder/ä+key.txt"
        if name in ("AccountId", "accountId"):
            return "123456789012"
        least = int(shape.metadata.get("min", 0) or 0)
        text = "a b&c/é=" + capitalized(name) if not shape.metadata.get("pattern") else "value-" + name.lower()
        if shape.serialization.get("location") in ("header", "headers", "uri") or shape.serialization.get("hostLabel"):
            text = "value-" + name.lower()
        text += "x" * max(0, least - len(text))
        most = int(shape.metadata.get("max", 10**6) or 10**6)
        return text[:most] if least <= most else text
