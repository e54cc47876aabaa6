// Ask for one authorization and use its answer: `node authorization_client.js REQUEST.json [SINCE]`.
//
// An example to copy: it needs the packages of package.json and the schema of decisions, and nothing else of this
// project. ../README.md has the rest.
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { CloudEvent, Kafka as Binding } from "cloudevents";
import { Kafka, logLevel } from "kafkajs";

const DECIDED = "authorization.decided.v1";
const DEAD_LETTERED = "authorization.dead_lettered.v1";
// A request with one of these is decided all the same: only its link to an earlier request is refused.
const ONLY_THE_LINK = ["circular_link", "denied_link"];
const MEANING = { A1: "approved", A2: "approved_in_part", A3: "refused", A6: "modified", C: "cancelled" };
const SETTLED_MS = 1000;
const SCHEMA = new URL(`../../../events/schemas/${DECIDED}.json`, import.meta.url);
const { env } = process;

const digestOf = (data) => createHash("sha256").update(JSON.stringify(data)).digest("hex").slice(0, 32);

/** The JSON in a file. The parser's own message would repeat a part of it, and a request has health data. */
function parse(path) {
  const text = readFileSync(path, "utf-8");
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${path} is no JSON`);
  }
}

/** The request as a CloudEvent. Its ids follow from its content, so whoever sends it again knows its answer. */
function eventFor(data) {
  if (typeof data?.request_id !== "string") {
    throw new Error("the file is not the data of a request: it has no request_id");
  }
  const id = digestOf(data);
  return new CloudEvent({
    id, data, source: "/claims-platform/example", type: "authorization.requested.v1", subject: data.request_id,
    time: new Date().toISOString(), datacontenttype: "application/json",
    correlationid: `claim-${id}`, // your own id of the matter: every event about it brings it back
  });
}

/** The schema with unknown fields allowed: within a version, fields may be added to events. */
const opened = (schema) =>
  JSON.parse(JSON.stringify(schema), (name, part) => (name === "additionalProperties" ? undefined : part));

/** The event in a record. Throws if it is no whole answer to ours, and repeats no value: they are health data. */
function verified({ value, headers }, asked, fits) {
  // The SDK reads both modes, and wants the headers as texts.
  const texts = Object.entries(headers ?? {}).map(([name, raw]) => [name.toLowerCase(), String(raw)]);
  let event;
  try {
    event = Binding.toEvent({ value: value.toString(), headers: Object.fromEntries(texts) });
    event.validate();
  } catch {
    throw new Error("it is no CloudEvent");
  }
  const { data } = event;
  if (event.type !== DECIDED && event.type !== DEAD_LETTERED) throw new Error("its type is not that of an answer");
  // Another event may have had the same request id.
  if (event.correlationid !== asked.correlationid) throw new Error("its correlationid is not ours");
  if (event.type === DEAD_LETTERED && data?.request_id === asked.subject && data.reason) return event;
  if (!fits(data)) {
    const [{ instancePath, keyword }] = fits.errors;
    throw new Error(`its data does not fit the schema at ${instancePath || "/"} (${keyword})`);
  }
  if (event.subject !== asked.subject || data.request_id !== asked.subject) {
    throw new Error("its request_id is not ours");
  }
  // The id is a digest of the rest, so that a damaged or altered decision shows. It is no signature: who may write to
  // the topic is for Kafka's access control to say.
  const { decision_id: id, ...rest } = data;
  if (event.id !== id || id !== digestOf(rest)) throw new Error("its decision_id is not the digest of its content");
  return event;
}

/**
 * What may be done with a decision. One that is not final refuses nothing, whatever its lines' determinations: an
 * adverse determination is a recommendation to a physician, who alone refuses (A3); until then it is pended.
 */
function summary({ request_id, decision_id, action, stage, lines }) {
  const isFinal = stage === "final";
  return {
    request_id, decision_id, action, stage, is_final: isFinal,
    meaning: isFinal ? (MEANING[action] ?? "ask_the_payer") : "pended",
    lines: lines.map(({ line, determination, action: ofLine }) => ({ line, determination, action: ofLine })),
    missing: [...new Set(lines.flatMap((line) => line.missing.map(({ fact }) => fact)))].sort(),
  };
}

/** Sends the request, prints what answers it, and returns the exit code. */
async function ask(kafka, asked, since, fits) {
  const prefix = env.TOPIC_PREFIX ?? "";
  const patience = Number(env.TIMEOUT_SECONDS ?? 30);
  // Answers are written in transactions: reading uncommitted, one that is aborted later would be read as well. KafkaJS
  // reads by group; one for each run, of which nothing is committed, starts where we say.
  const group = `${env.KAFKA_GROUP_PREFIX ?? "claims-platform"}-${randomUUID()}`;
  const consumer = kafka.consumer({ groupId: group, readUncommitted: false, maxWaitTimeInMs: 200 });
  // An idempotent producer's retry makes no second record.
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  const admin = kafka.admin();
  try {
    await Promise.all([admin.connect(), consumer.connect(), producer.connect()]);
    // Where to read is settled before the request is sent, or a quick answer would be missed.
    const starts = [];
    for (const topic of [`${prefix}authorization.decisions`, `${prefix}authorization.dead-letters`]) {
      try {
        const offsets = since
          ? await admin.fetchTopicOffsetsByTimestamp(topic, since.getTime())
          : await admin.fetchTopicOffsets(topic);
        starts.push(...offsets.map(({ partition, offset }) => ({ topic, partition, offset })));
      } catch (error) {
        console.error(`${topic} is not there, or may not be read: answers there are not seen (${error.message})`);
      }
    }
    await consumer.subscribe({ topics: [...new Set(starts.map(({ topic }) => topic))] });
    let newest, letter, failure, seen = 0;
    const take = ({ topic, partition, message }) => {
      if (message.key?.toString() !== asked.subject) return;
      let event;
      try {
        event = verified(message, asked, fits);
      } catch (why) {
        return console.error(`passed over ${topic}/${partition}/${message.offset}: ${why.message}`);
      }
      if (event.type === DEAD_LETTERED && ONLY_THE_LINK.includes(event.data.reason)) {
        console.error(`the link to an earlier request is refused: ${event.data.reason}`);
      } else if (event.type === DEAD_LETTERED) {
        letter ??= event.data;
      } else if (!newest || event.data.supersedes_decision === newest.decision_id) {
        // A later decision names the one that it replaces; the same one again, or an older one, changes nothing.
        [newest, seen] = [event.data, Date.now()];
      }
    };
    consumer.on(consumer.events.CRASH, ({ payload }) => { failure = payload.restart ? undefined : payload.error; });
    await consumer.run({ autoCommit: false, eachMessage: async (record) => take(record) });
    starts.forEach((start) => consumer.seek(start));

    // The key keeps the records of one request in order.
    const { value, headers } = Binding.structured(asked);
    await producer.send({
      topic: `${prefix}authorization.requests`, acks: -1, messages: [{ key: asked.subject, value, headers }],
    });
    for (const deadline = Date.now() + patience * 1000; Date.now() < deadline; await pause(50)) {
      if (failure) throw failure;
      if (letter) {
        const { request_id, reason, message, errors } = letter;
        console.log(JSON.stringify({ request_id, reason, message, errors }));
        return 3;
      }
      if (newest && Date.now() - seen > SETTLED_MS) {
        console.log(JSON.stringify(summary(newest)));
        return 0;
      }
    }
    throw new Error(`nothing came within ${patience} s; it may still be decided: ask again with SINCE`);
  } finally {
    await Promise.allSettled([consumer.disconnect(), producer.disconnect(), admin.disconnect()]);
  }
}

const [file, since] = process.argv.slice(2);
try {
  if (!file || !env.KAFKA_BOOTSTRAP_SERVERS) {
    throw new Error("usage: KAFKA_BOOTSTRAP_SERVERS=HOST:PORT node authorization_client.js REQUEST.json [SINCE]");
  }
  const protocol = env.KAFKA_SECURITY_PROTOCOL ?? "PLAINTEXT";
  const mechanism = env.KAFKA_SASL_MECHANISM?.toLowerCase(); // plain, scram-sha-256, scram-sha-512
  const kafka = new Kafka({
    clientId: "claims-platform-example",
    brokers: env.KAFKA_BOOTSTRAP_SERVERS.split(","),
    ssl: protocol.endsWith("SSL") && { ca: env.KAFKA_SSL_CA && readFileSync(env.KAFKA_SSL_CA) },
    sasl: mechanism && { mechanism, username: env.KAFKA_SASL_USERNAME, password: env.KAFKA_SASL_PASSWORD },
    retry: { retries: 3 },
    logLevel: logLevel.NOTHING, // what fails is told in one sentence below
  });
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  const fits = ajv.compile(opened(parse(env.DECISION_SCHEMA ?? SCHEMA)));
  process.exitCode = await ask(kafka, eventFor(parse(file)), since && new Date(since), fits);
} catch (error) {
  console.error(`no answer: ${error.message}`);
  process.exitCode = 1;
}
