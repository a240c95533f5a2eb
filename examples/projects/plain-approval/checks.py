def rules(event, context):
    return event["amount"] < 5000
