#!/usr/bin/env bash
# Asks for a verification by an event and waits for the outcome: ask.sh BOOTSTRAP LOCATOR
id=$(python3 -c 'import uuid; print(uuid.uuid4())')
event='{"specversion": "1.0", "id": "'$id'-requested", "source": "/bank/onboarding",
  "type": "facescan.verification.requested.v1", "data": {"verification_id": "'$id'", "locator": "'$2'"}}'
# The record's headers, key and value stand between bars.
printf 'content-type:application/cloudevents+json|%s|%s\n' "$id" "${event//$'\n'/}" |
  kafka-console-producer.sh --bootstrap-server "$1" --topic facescan.verification.requested \
    --reader-property parse.headers=true --reader-property parse.key=true \
    --reader-property headers.delimiter='|' --reader-property key.separator='|'
kafka-console-consumer.sh --bootstrap-server "$1" --topic facescan.verdict.reached --from-beginning \
  --formatter-property print.key=true --timeout-ms 10000 2>/dev/null | grep --max-count=1 "$id"
