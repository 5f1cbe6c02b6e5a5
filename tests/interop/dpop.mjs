// Proofs by the `dpop` package, each with one thing wrong, at the token endpoint and at /graphql.
import * as DPoP from "dpop";
import { createHash, randomUUID } from "node:crypto";
import { check, equal, finish } from "./checks.mjs";
import { accessToken, dpopKeys, issuer, server } from "./party.mjs";

const url = new URL("/graphql", issuer).href;
const token = await accessToken();
let nonce = (await send(await DPoP.generateProof(dpopKeys, url, "POST", undefined, token))).headers.get("dpop-nonce");

async function send(proof) {
  const headers = { authorization: `DPoP ${token}`, dpop: proof, "content-type": "application/json" };
  return await fetch(url, { method: "POST", headers, body: JSON.stringify({ query: "{ __typename }" }) });
}

function encoded(part) {
  return Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");
}

/** A proof with any claim or header changed; undefined leaves it out. */
async function made({ claims = {}, header = {}, keys = dpopKeys } = {}) {
  const jwk = await crypto.subtle.exportKey("jwk", keys.publicKey);
  const ath = createHash("sha256").update(token).digest("base64url");
  const iat = Math.floor(Date.now() / 1000);
  const head = { alg: "ES256", typ: "dpop+jwt", jwk: { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }, ...header };
  const body = { jti: randomUUID(), htm: "POST", htu: url, iat, ath, nonce, ...claims };
  const text = `${encoded(head)}.${encoded(body)}`;
  const algorithm = { name: "ECDSA", hash: "SHA-256" };
  const signature = await crypto.subtle.sign(algorithm, keys.privateKey, Buffer.from(text));
  return `${text}.${Buffer.from(signature).toString("base64url")}`;
}

async function refused(proof, error = "invalid_dpop_proof") {
  const response = await send(proof);
  equal(response.status, 401, "status");
  const challenge = response.headers.get("www-authenticate");
  if (!challenge.startsWith(`DPoP error="${error}"`)) throw new Error(challenge);
}

await check("a good proof of the package is taken", async () => {
  equal((await send(await DPoP.generateProof(dpopKeys, url, "POST", nonce, token))).status, 200);
});

await check("the thumbprint is the package's", async () => {
  const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  equal(claims.cnf.jkt, await DPoP.calculateThumbprint(dpopKeys.publicKey));
});

const now = Math.floor(Date.now() / 1000);
const WRONG = {
  "another method": { claims: { htm: "GET" } },
  "no method": { claims: { htm: undefined } },
  "another URL": { claims: { htu: "https://evil.example/graphql" } },
  "no URL": { claims: { htu: undefined } },
  "of an hour ago": { claims: { iat: now - 3600 } },
  "from an hour ahead": { claims: { iat: now + 3600 } },
  "without a time": { claims: { iat: undefined } },
  "without an id": { claims: { jti: undefined } },
  "of another token": { claims: { ath: createHash("sha256").update("other").digest("base64url") } },
  "of no token": { claims: { ath: undefined } },
  "of another type": { header: { typ: "jwt" } },
  "that says alg none": { header: { alg: "none" } },
  "with a critical extension": { header: { crit: ["x"], x: 1 } },
  "without a key": { header: { jwk: undefined } },
};
for (const [name, wrong] of Object.entries(WRONG)) {
  await check(`a proof ${name} is refused`, async () => refused(await made(wrong)));
}

await check("a proof by another key is refused", async () => {
  const keys = await DPoP.generateKeyPair("ES256", { extractable: true });
  await refused(await made({ keys }));
});

await check("a proof with its private key in it is refused", async () => {
  const keys = await DPoP.generateKeyPair("ES256", { extractable: true });
  await refused(await made({ keys, header: { jwk: await crypto.subtle.exportKey("jwk", keys.privateKey) } }));
});

await check("a proof whose signature was changed is refused", async () => {
  const proof = await made();
  const last = proof.at(-10) === "A" ? "B" : "A";
  await refused(proof.slice(0, -10) + last + proof.slice(-9));
});

await check("a proof is taken once", async () => {
  const proof = await made();
  equal((await send(proof)).status, 200);
  await refused(proof);
});

for (const [name, stale] of [["no", undefined], ["a stale", "AAAAAADkTTMAAAAAAAAAAAAAAAAAAAAA"]]) {
  await check(`a proof with ${name} nonce is asked for one`, async () => {
    await refused(await made({ claims: { nonce: stale } }), "use_dpop_nonce");
  });
}

await check("the token endpoint refuses a proof for another URL with OAuth's own error", async () => {
  const response = await fetch(server.token_endpoint, { method: "POST", headers: { dpop: await made() } });
  equal([response.status < 500, response.headers.has("dpop-nonce")], [true, true]);
});

finish();
