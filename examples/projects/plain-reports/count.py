def handler(event, context):
    return {"region": event["region"], "visitors": len(event["region"])}
