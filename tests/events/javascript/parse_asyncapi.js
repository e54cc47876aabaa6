// Parses an AsyncAPI document: on standard input, with the path under which its references are resolved as argument.
// Prints what the parser says, as an array of {severity, path, message}; severity 0 is an error.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { diagnostics } = await new Parser().parse(readFileSync(0, "utf-8"), { source: process.argv[2] });
console.log(JSON.stringify(diagnostics.map(({ severity, path, message }) => ({ severity, path: path.join("."), message }))));
