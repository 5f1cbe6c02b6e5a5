// The signed tokens that the gateway issues, verified by jose from the published keys, over a rotation.
import { calculateJwkThumbprint, createRemoteJWKSet, decodeProtectedHeader, exportJWK, jwtVerify } from "jose";
import { execFile } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { check, equal, finish } from "./checks.mjs";
import { accessToken, client, consented, dpopKeys, issuer, server } from "./party.mjs";

const PUBLISHED_BEFORE_MS = 11_000;

async function published() {
  const response = await fetch(server.jwks_uri);
  const [, seconds] = /max-age=(\d+)/.exec(response.headers.get("cache-control"));
  return { keys: (await response.json()).keys, cacheMaxAge: 1000 * seconds };
}

const { cacheMaxAge } = await published();
const keySet = createRemoteJWKSet(new URL(server.jwks_uri), { cacheMaxAge }); // kept, as a reader keeps it

async function verified(token) {
  const expected = { issuer: server.issuer, audience: server.issuer, typ: "at+jwt", algorithms: ["ES256"] };
  const required = ["sub", "client_id", "iat", "exp", "jti", "cnf"]; // RFC 9068 section 2.2
  return await jwtVerify(token, keySet, { ...expected, requiredClaims: required });
}

const before = await accessToken();
const after = { token: null };

await check("the issuer is where it was discovered", () => equal(server.issuer, issuer.origin));

await check("an access token is an at+jwt by ES256 that the published keys verify", async () => {
  const { payload, protectedHeader } = await verified(before);
  equal([protectedHeader.alg, protectedHeader.typ], ["ES256", "at+jwt"]);
  equal([payload.sub, payload.client_id], [client.client_id, client.client_id]);
  equal(payload.exp - payload.iat, 300);
});

await check("a token is bound to the key of its proof", async () => {
  const { payload } = await verified(before);
  equal(payload.cnf, { jkt: await calculateJwkThumbprint(await exportJWK(dpopKeys.publicKey)) });
});

await check("the token of a code's exchange is one, too", async () => {
  const { payload } = await verified((await consented()).access_token);
  equal(payload.cnf, { jkt: await calculateJwkThumbprint(await exportJWK(dpopKeys.publicKey)) });
});

await check("a key is named by its thumbprint, and only public members are published", async () => {
  const { keys } = await published();
  for (const key of keys) {
    equal(key.kid, await calculateJwkThumbprint(key));
    equal(Object.keys(key).filter((name) => !["kty", "crv", "x", "y", "kid", "alg", "use"].includes(name)), []);
  }
  const { kid } = decodeProtectedHeader(before);
  equal(keys.some((key) => key.kid === kid), true, "the token's key is published");
});

await check("a new key is published at once, before it signs", async () => {
  const [program, ...rotate] = JSON.parse(process.env.KYOSEI_ROTATE);
  await promisify(execFile)(program, rotate);
  equal((await published()).keys.length, 2);
  await verified(before);
});

await check("later the new key signs, and whoever keeps the keys as long as they say verifies both tokens", async () => {
  await pause(PUBLISHED_BEFORE_MS);
  after.token = await accessToken();
  if (decodeProtectedHeader(after.token).kid === decodeProtectedHeader(before).kid) throw new Error("the same key");
  await verified(after.token);
  await verified(before);
});

finish("jose");
