// Makes mimetypes.txt from the packages mime-db and mime-types in ./node_modules: task mime-types.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";

const require = createRequire(process.cwd() + "/");
const db = require("mime-db"), { types } = require("mime-types");
const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;

const extensionsOf = {};
for (const [extension, type] of Object.entries(types)) {
  if (/^[a-z0-9+_-]+$/.test(extension)) (extensionsOf[type] ??= []).push(extension);
}
// mime-db has no opinion on many types: text and XML become smaller.
const compressible = (type) => db[type].compressible ?? (/^text\//.test(type) || /\+(xml|json)$/.test(type));
const lines = Object.keys(extensionsOf).sort().map((type) => `${compressible(type) ? "+" : "-"} ${type} ${extensionsOf[type].sort().join(" ")}`);
const license = readFileSync("node_modules/mime-db/LICENSE", "utf8").trim().split("\n").map((line) => `# ${line}`.trimEnd()).join("\n");

writeFileSync(process.argv[2], `# Media types by file extension, made from mime-db ${version("mime-db")} (https://github.com/jshttp/mime-db), which gathers those
# of IANA, Apache httpd and nginx. Where several types claim an extension it is the one that mime-types ${version("mime-types")} prefers. A line
# begins with + where the files become smaller when they are compressed, else with -. Made, not written: \`task mime-types\`.
#
${license}

${lines.join("\n")}
`);
