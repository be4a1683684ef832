// What each peer is asked to do, one function a file of results. Each returns rows; each checks the answers.

import { check, group, small } from "./documents.mjs";

export const READ_MS = 15;
export const WRITE_MS = 30;

const CONCURRENT_COMMITS = 100;
const SCANNED = 100;
const COMMITS_PER_WRITER = 20;

/** A row of the requests of one deed. */
export function requests(what, { counts, ms }, more = {}) {
  return { what, unit: "requests", value: counts.total, ...counts.fields(), ms: Math.round(ms), ...more };
}

const failed = (what, error) => ({ what, unit: "requests", value: null, failed: String(error).slice(0, 400) });

/** The row of `work`, or what it failed with. */
async function attempt(proxy, rows, what, work, more) {
  console.error(what);
  try {
    const counted = await proxy.count(work);
    rows.push(requests(what, counted, typeof more === "function" ? more(counted.answer) : more));
    return counted.answer;
  } catch (error) {
    rows.push(failed(what, error));
    return undefined;
  }
}

const numbered = (count) => Array.from({ length: count }, (_, number) => small(number));

/** Commits as the database grows, strict reads, and what creating and an idle time take. */
export async function commits(peer, server, proxy, { idleMinutes, short }) {
  const rows = [];
  proxy.delay(READ_MS, WRITE_MS);
  const bucket = await server.bucket();
  const session = await attempt(proxy, rows, "create a database", () => peer.open(proxy, bucket), {
    says: "opening it in an empty bucket; what the first commit creates is in the 1st insert",
  });
  const keys = [];
  const counted = [1, 2, 10, 100];
  for (let number = 0; number < counted.at(-1); number += 1) {
    const insert = async () => keys.push(await session.insert(small(number)));
    const isCounted = counted.includes(number + 1);
    proxy.delay(isCounted ? READ_MS : 0, isCounted ? WRITE_MS : 0);
    if (isCounted) await attempt(proxy, rows, `durable commit, insert number ${number + 1}`, insert);
    else await insert();
  }
  const read = async (key, number) => check(await session.get(key), small(number));
  proxy.delay(READ_MS, WRITE_MS);
  await read(keys[5], 5);
  await attempt(proxy, rows, "strict read, nothing new, 100 documents", () => read(keys[5], 5));
  await attempt(proxy, rows, "update, 100 documents", () => session.update(keys[5], { count: -5 }));
  await attempt(proxy, rows, "read after the update", async () => check(await session.get(keys[5]), { ...small(5), count: -5 }));
  await attempt(proxy, rows, "absent key, 100 documents", async () => {
    const found = await session.get("user999999999999").catch(() => null);
    if (found) throw new Error("an absent key was found");
  });
  if (session.sweep !== undefined) {
    await attempt(proxy, rows, "sweep out of band (fold of the log and garbage collection), 100 documents", () => session.sweep());
    await attempt(proxy, rows, "strict read, nothing new, 100 documents, just folded", () => read(keys[6], 6));
    await attempt(proxy, rows, "durable commit, just folded, 100 documents", () => session.insert(small(100)));
  }
  if (!short) {
    proxy.delay(0, 0);
    const { bucket: grown } = await peer.load(server, numbered(999), { swept: false });
    const large = await peer.open(proxy, grown);
    proxy.delay(READ_MS, WRITE_MS);
    await attempt(proxy, rows, "durable commit, insert number 1,000", () => large.insert(small(999)));
    await large.close();
  }

  const together = await peer.open(proxy, await server.bucket());
  proxy.delay(READ_MS, WRITE_MS);
  const inserted = await attempt(
    proxy, rows, `${CONCURRENT_COMMITS} concurrent one-document commits`,
    () => Promise.allSettled(numbered(CONCURRENT_COMMITS).map((document) => together.insert(document))),
    (results) => ({ acknowledged: results.filter(({ status }) => status === "fulfilled").length }),
  );
  proxy.delay(0, 0);
  let kept = 0;
  for (const [number, { status, value }] of (inserted ?? []).entries()) {
    if (status === "fulfilled") check(await together.get(value), small(number)), (kept += 1);
  }
  rows.push({ what: `of ${CONCURRENT_COMMITS} concurrent commits, acknowledged and found`, unit: "documents", value: kept });
  await together.close();

  const idle = await proxy.count(() => new Promise((resolve) => setTimeout(resolve, idleMinutes * 60_000)));
  const perHour = (idle.counts.total * 60) / idleMinutes;
  rows.push({ what: "idle hour", unit: "requests", value: perHour, ...idle.counts.fields(), measured_minutes: idleMinutes });
  if (session.watch !== undefined) {
    const { counts, ms } = await proxy.count(() => session.watch(""));
    const behind = await session.watch("");
    const watched = await proxy.count(() => session.watch(behind.next_cursor));
    rows.push(requests("its long poll, first answer", { counts, ms }));
    const polled = requests("its long poll, one hour with nothing new, one watcher", watched);
    rows.push({ ...polled, value: Math.round((watched.counts.total * 3_600_000) / watched.ms), measured_ms: polled.ms });
  }
  await session.close();
  return rows;
}

/** Opening and reading as the database grows. */
export async function reads(peer, server, proxy, { short, keep }) {
  const rows = [];
  const grown = short ? [1_000] : [1_000, 5_000, 10_000];
  const cases = grown.map((size) => ({ size, swept: true, says: "" }));
  if (peer.settings.maintenance !== undefined) {
    for (const one of cases) one.says = ", folded by its sweep out of band";
    cases.unshift({ size: 1_000, swept: false, says: ", as its own maintenance leaves it" });
  }
  for (const { size, swept, says } of cases) {
    proxy.delay(0, 0);
    const documents = numbered(size);
    const loaded = await peer.load(server, documents, { indexed: true, swept });
    const at = `${size.toLocaleString("en")} documents${says}`;
    const number = Math.floor(size / 3);
    const read = async (session, key, which) => check(await session.get(key), documents[which]);
    proxy.delay(READ_MS, WRITE_MS);
    await attempt(proxy, rows, `open and first read, ${at}`, async () => {
      const session = await peer.open(proxy, loaded.bucket, { indexed: true });
      await read(session, loaded.keys[number], number);
      await session.close();
    });
    const session = await peer.open(proxy, loaded.bucket, { indexed: true });
    await attempt(proxy, rows, `cold point read, ${at}`, () => read(session, loaded.keys[number + 1], number + 1));
    await attempt(proxy, rows, `warm point read (the same key again), ${at}`, () => read(session, loaded.keys[number + 1], number + 1));
    await attempt(proxy, rows, `scan of ${SCANNED} rows, ${at}`, async () => {
      const found = await session.scan(SCANNED);
      if (found.length !== SCANNED) throw new Error(`${found.length} rows instead of ${SCANNED}`);
    });
    const wanted = documents.filter((document) => document.group === group(7)).length;
    await attempt(proxy, rows, `query by an index, ${wanted} results, ${at}`, async () => {
      const found = await session.byGroup(group(7));
      if (found.length !== wanted || found.some((row) => row.group !== group(7))) {
        throw new Error(`${found.length} rows instead of ${wanted}`);
      }
    });
    await attempt(proxy, rows, `durable commit with one index, ${at}`, () => session.insert(small(size)));
    await session.close();
    keep(rows);
  }
  return rows;
}

/** Several processes' worth of clients on one database: each has its own database object. */
export async function writers(peer, server, proxy, { short }) {
  const rows = [];
  for (const count of short ? [1, 4] : [1, 4, 8]) {
    proxy.delay(0, 0);
    const bucket = await server.bucket();
    const sessions = [];
    for (let writer = 0; writer < count; writer += 1) sessions.push(await peer.open(proxy, bucket));
    proxy.delay(READ_MS, WRITE_MS);
    const acknowledged = [];
    const refused = [];
    const write = async (session, writer) => {
      for (let turn = 0; turn < COMMITS_PER_WRITER; turn += 1) {
        const document = small(writer * COMMITS_PER_WRITER + turn);
        try {
          acknowledged.push([await session.insert(document), document]);
        } catch (error) {
          refused.push(String(error).slice(0, 200));
        }
      }
    };
    const what = `${count} writers, ${count * COMMITS_PER_WRITER} inserts`;
    const counted = await proxy.count(() => Promise.all(sessions.map(write)));
    proxy.delay(0, 0);
    let lost = 0;
    for (const [key, document] of acknowledged) {
      const found = await sessions[0].get(key).catch(() => null);
      if (found) check(found, document);
      else lost += 1;
    }
    rows.push(requests(what, counted, {
      acknowledged: acknowledged.length, lost, errors: refused.length, first_error: refused[0],
      commits_per_s: Number(((acknowledged.length * 1000) / counted.ms).toFixed(2)),
      requests_per_commit: Number((counted.counts.total / Math.max(acknowledged.length, 1)).toFixed(1)),
    }));

    if (count > 1) {
      const key = await sessions[0].insert({ ...small(9_999), count: 0 });
      proxy.delay(READ_MS, WRITE_MS);
      const fields = [{ group: "changed" }, { count: 77 }, { text: "changed" }];
      const done = await Promise.allSettled(fields.map((patch, writer) => sessions[writer % count].update(key, patch)));
      proxy.delay(0, 0);
      const found = await sessions[0].get(key);
      const survived = fields.filter((patch, turn) => {
        const [[name, value]] = Object.entries(patch);
        return done[turn].status === "fulfilled" && found[name] === value;
      });
      rows.push({
        what: `${count} clients update three different fields of one document at once: acknowledged but lost`,
        unit: "updates", value: done.filter(({ status }) => status === "fulfilled").length - survived.length,
        acknowledged: done.filter(({ status }) => status === "fulfilled").length,
      });
    }
    for (const session of sessions) await session.close();
  }
  return rows;
}
