// The audits of GraphQL over HTTP by npm graphql-http: no error and no warning, once as nobody and once as a relying party.
import { serverAudits } from "graphql-http";
import { check, finish } from "./checks.mjs";

const url = `${process.env.KYOSEI_URL}/graphql`;

/** Audits of GET, which this gateway does not take. */
const ONLY_NOTICED = new Set(["5A70", "D6D5", "6A70"]);

function asBank(input, init = {}) {
  const headers = new Headers(init.headers);
  headers.set("authorization", `Bearer ${process.env.KYOSEI_BANK_KEY}`);
  return fetch(input, { ...init, headers });
}

for (const [asker, fetchFn] of Object.entries({ nobody: fetch, "the bank": asBank })) {
  const audits = serverAudits({ url, fetchFn });
  await check(`there are 61 audits as ${asker}`, () => {
    if (audits.length !== 61) throw new Error(`${audits.length}`);
  });
  for (const audit of audits) {
    await check(`${audit.id} as ${asker}: ${audit.name}`, async () => {
      const result = await audit.fn();
      const isFine = result.status === "ok" || (result.status === "notice" && ONLY_NOTICED.has(audit.id));
      if (!isFine) throw new Error(`${result.status}: ${result.reason}`);
    });
  }
}

finish("graphql-http");
