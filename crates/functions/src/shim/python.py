"""Runs a function of a Python module as AWS Lambda's Python runtime does, with the standard library alone.

It speaks the Runtime API over a connection of its own, so that whatever the function prints is log and nothing else.
"""
import importlib
import json
import os
import socket
import sys
import time

# Errors and texts are those of AWS's runtime interface client for Python.


class ClientContext:
    def __init__(self, fields):
        self.custom = fields.get("custom")
        self.env = fields.get("env")
        self.client = fields.get("client")


class CognitoIdentity:
    cognito_identity_id = None
    cognito_identity_pool_id = None


class LambdaContext:
    def __init__(self, headers):
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.identity = CognitoIdentity()
        context = headers.get("lambda-runtime-client-context")
        fields = json.loads(context) if context else None
        self.client_context = ClientContext(fields) if isinstance(fields, dict) else None
        self._deadline_ms = int(headers["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))


class Fault(Exception):
    def __init__(self, error_type, message, trace=None):
        super().__init__(message)
        self.error_type = error_type
        self.trace = trace or []


class RuntimeApi:
    def __init__(self):
        self.host = os.environ["AWS_LAMBDA_RUNTIME_API"]
        name, _, port = self.host.rpartition(":")
        self.socket = socket.create_connection((name, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def call(self, method, path, body=b"", headers=""):
        head = "%s /2018-06-01/runtime/%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n" % (
            method, path, self.host, len(body), headers)
        try:
            self.socket.sendall(head.encode("latin-1") + body)
            status = self.reader.readline()
            if not status:
                raise ConnectionError
            headers = {}
            while True:
                line = self.reader.readline().rstrip()
                if not line:
                    break
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            return headers, self.reader.read(int(headers.get("content-length", 0)))
        except (ConnectionError, BrokenPipeError):
            # Whoever started this process is gone.
            os._exit(0)

    def error(self, path, error):
        kind = error["errorType"].encode("ascii", "replace").decode()
        self.call("POST", path, json.dumps(error).encode(), "Lambda-Runtime-Function-Error-Type: %s\r\n" % kind)


def load(handler):
    module_name, _, name = handler.rpartition(".")
    module_name = module_name.replace("/", ".")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict",
                    "Cannot use built-in module %s as a handler module" % module_name)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, error),
                    own_frames(error))
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        raise Fault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, error), trace)
    if not hasattr(module, name):
        raise Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (name, module_name))
    return getattr(module, name)


def own_frames(error):
    """The frames of the function's code, without those of this file and of the import machinery."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    hidden = ("<string>", "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")
    return traceback.format_list(
        [frame for frame in frames if frame.filename not in hidden and frame.filename != importlib.__file__])


def described(error, request_id=""):
    if isinstance(error, Fault):
        kind, trace = error.error_type, error.trace
    else:
        kind, trace = type(error).__name__, own_frames(error)
    result = {"errorMessage": str(error), "errorType": kind, "requestId": request_id, "stackTrace": trace}
    if not isinstance(error, Fault) or trace:
        lines = "Traceback (most recent call last):\n" + "".join(trace)
    else:
        lines = ""
    print("[ERROR] %s: %s\n%s" % (kind, error, lines), end="", flush=True)
    return result


def written(response):
    if isinstance(response, bytes):
        return response

    def other(value):
        decimal = sys.modules.get("decimal")
        if decimal and isinstance(value, decimal.Decimal):
            # As close as the standard library can write it.
            return int(value) if value == value.to_integral_value() and abs(value) < 10**30 else float(value)
        raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)

    try:
        return json.dumps(response, default=other).encode()
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)


def logging_as_on_aws(current):
    """Gives the root logger the handler that it has on AWS, unless the function's module made one."""
    logging = sys.modules.get("logging")
    if logging is None or logging.getLogger().handlers:
        return
    logging.Formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"))

    def named(record):
        record.aws_request_id = current["id"]
        return True

    handler.addFilter(named)
    logging.getLogger().addHandler(handler)


def main(handler):
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    sys.path.insert(0, os.getcwd())
    api = RuntimeApi()
    current = {"id": ""}
    try:
        function = load(handler)
    except Exception as error:
        api.error("init/error", described(error))
        sys.exit(1)
    # What python3 stands for may be a script that looks for an interpreter each time.
    interpreter = "Stepwright-Interpreter: %s\r\n" % sys.executable if (sys.executable or "é").isascii() else ""
    while True:
        headers, body = api.call("GET", "invocation/next", headers=interpreter)
        interpreter = ""
        request_id = current["id"] = headers["lambda-runtime-aws-request-id"]
        os.environ["_X_AMZN_TRACE_ID"] = headers.get("lambda-runtime-trace-id", "")
        logging_as_on_aws(current)
        try:
            try:
                event = json.loads(body)
            except Exception as error:
                raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
            result = written(function(event, LambdaContext(headers)))
        except Exception as error:
            result = described(error, request_id)
        sys.stdout.flush()
        if isinstance(result, bytes):
            api.call("POST", "invocation/%s/response" % request_id, result, "Content-Type: application/json\r\n")
        else:
            api.error("invocation/%s/error" % request_id, result)


main(os.environ["_HANDLER"])
