// Reads records as CloudEvents by the SDK: an array of {value, headers} on standard input, as texts. Prints for each the
// event that was read, or {"refused": why}.
import { readFileSync } from "node:fs";
import { Kafka } from "cloudevents";

function read({ value, headers }) {
  try {
    const event = Kafka.toEvent({ value, headers });
    return { ...event.toJSON(), valid: event.validate() };
  } catch (error) {
    return { refused: String(error) };
  }
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf-8")).map(read)));
