// Drives the JavaScript peers, baerly-storage and s3db.js, over a real S3 server and counts every request. In this folder:
//
//   npm ci --legacy-peer-deps
//   node run.mjs [--short] [--only=baerly-storage|s3db.js] [--workload=commits|reads|writers|month]
//
// The server is Ceph's object gateway: the one that BUCKETDB_TEST_CEPH names, or else one that `cargo xtask servers`
// starts for as long as this runs. Peers need Node 24; an older `node` hands over to the one among the packages.
// Results: ../results/node-<peer>-<workload>.json. Requests are exact; times are those of the machine at hand, with the
// latency that the proxy adds to every request (15 ms to read, 30 ms to write) where a row has any.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const NODE = 24;
const root = fileURLToPath(new URL("../../../", import.meta.url));
const results = new URL("../results/", import.meta.url);

if (Number(process.versions.node.split(".")[0]) < NODE) {
  const newer = new URL(`node_modules/node-${process.platform}-${process.arch}/bin/node`, import.meta.url);
  const { status } = spawnSync(fileURLToPath(newer), process.argv.slice(1), { stdio: "inherit" });
  process.exit(status ?? 1);
}

const { values: options } = parseArgs({
  options: { short: { type: "boolean", default: false }, only: { type: "string" }, workload: { type: "string" } },
});

/** The server's address, and what ends the server if it was started here. */
async function server() {
  if (process.env.BUCKETDB_TEST_CEPH !== undefined) return { endpoint: process.env.BUCKETDB_TEST_CEPH, end: () => {} };
  const started = spawn("cargo", ["xtask", "servers", "--only", "ceph"], { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  const endpoint = await new Promise((resolve, reject) => {
    let said = "";
    started.stdout.on("data", (part) => {
      said += part;
      const found = /BUCKETDB_TEST_CEPH='([^']+)'/.exec(said);
      if (found !== null) resolve(found[1]);
    });
    started.once("exit", () => reject(new Error("the server did not start")));
  });
  return { endpoint, end: () => started.kill("SIGINT") };
}

// Imported only here: the peers do not load in older versions of Node.
const { Proxy } = await import("./proxy.mjs");
const { Server } = await import("./s3.mjs");
const { READ_MS, WRITE_MS, commits, reads, writers } = await import("./workloads.mjs");
const { month } = await import("./month.mjs");
const { baerly } = await import("./baerly.mjs");
const { s3db } = await import("./s3db.mjs");

const peers = [baerly, s3db].filter(({ name }) => options.only === undefined || options.only === name);
const workloads = Object.entries({ commits, reads, writers, month });

const { endpoint, end } = await server();
const store = new Server(endpoint);
const proxy = await Proxy.start(endpoint);
try {
  for (const peer of peers) {
    for (const [workload, work] of workloads) {
      if (options.workload !== undefined && options.workload !== workload) continue;
      const settings = { ...peer.settings, node: process.version, latency_ms: { read: READ_MS, write: WRITE_MS } };
      const command = ["node run.mjs", ...process.argv.slice(2)].join(" ");
      const keep = (rows) => {
        const kept = {
          peer: peer.name, version: peer.version, store: "Ceph RGW 16.2 behind a counting proxy", workload, settings,
          command, date: new Date().toISOString().slice(0, 10), rows,
        };
        mkdirSync(results, { recursive: true });
        const name = `node-${peer.name.replaceAll(".", "-")}-${workload}.json`;
        writeFileSync(new URL(name, results), `${JSON.stringify(kept, null, 2)}\n`);
      };
      const idleMinutes = options.short ? 0.2 : 3;
      const rows = await work(peer, store, proxy, { short: options.short, idleMinutes, keep });
      keep(rows);
      console.log(`## ${peer.name} ${peer.version}, ${workload}`);
      for (const { what, unit, value, ...more } of rows) console.log(`${what}: ${value} ${unit} ${JSON.stringify(more)}`);
    }
  }
} catch (error) {
  // Told here, because s3db.js ends the process without a word.
  console.error(error);
  process.exitCode = 1;
} finally {
  proxy.stop();
  store.stop();
  end();
}
// Peers leave timers behind.
process.exit();
