// Asks for a verification by an event and waits for the outcome: node ask.mjs BOOTSTRAP LOCATOR
import { randomUUID } from "node:crypto";
import { CloudEvent, Kafka as Binding } from "cloudevents";
import { Kafka, logLevel } from "kafkajs";

const [bootstrap, locator] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "bank", brokers: bootstrap.split(","), logLevel: logLevel.ERROR });
const verificationId = randomUUID();

const consumer = kafka.consumer({ groupId: `outside.bank.${verificationId}` });
await consumer.connect();
await consumer.subscribe({ topic: "facescan.verdict.reached", fromBeginning: true });
const outcome = new Promise((found) => {
  consumer.run({
    eachMessage: async ({ message }) => {
      if (message.key?.toString() !== verificationId) return;
      found(JSON.parse(message.value.toString()).outcome);
    },
  });
});

const event = new CloudEvent({
  id: `${verificationId}-requested`,
  source: "/bank/onboarding",
  type: "facescan.verification.requested.v1",
  datacontenttype: "application/json",
  data: { verification_id: verificationId, locator, purpose: "open an account" },
});
const { headers, value } = Binding.binary(event);
// Attributes that are not set are there as undefined, which no header can be.
for (const name in headers) if (headers[name] === undefined) delete headers[name];
const producer = kafka.producer();
await producer.connect();
await producer.send({
  topic: "facescan.verification.requested",
  acks: -1,
  messages: [{ key: verificationId, headers, value: JSON.stringify(value) }],
});

console.log(await outcome);
await Promise.all([producer.disconnect(), consumer.disconnect()]);
