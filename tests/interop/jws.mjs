// Every signed token that the gateway issues, verified by jose from the published keys, over a rotation.
import { calculateJwkThumbprint, createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { execFileSync } from "node:child_process";
import { check, equal, finish } from "./checks.mjs";
import { accessToken, client, dpopKeys, server } from "./party.mjs";

const PUBLISHED_BEFORE_MS = 11_000;

async function verified(token) {
  const keys = createRemoteJWKSet(new URL(server.jwks_uri));
  const expected = { issuer: server.issuer, audience: server.issuer, typ: "at+jwt", algorithms: ["ES256"] };
  return await jwtVerify(token, keys, expected);
}

const before = await accessToken();

await check("an access token is an at+jwt that the published key verifies", async () => {
  const { payload } = await verified(before);
  equal(payload.sub, client.client_id);
  equal(payload.exp - payload.iat, 300);
  const publicJwk = await crypto.subtle.exportKey("jwk", dpopKeys.publicKey);
  equal(payload.cnf.jkt, await calculateJwkThumbprint(publicJwk));
});

await check("a key is named by its thumbprint", async () => {
  const { keys } = await (await fetch(server.jwks_uri)).json();
  for (const key of keys) equal(key.kid, await calculateJwkThumbprint(key));
});

await check("a rotation leaves the old token good and signs new ones with the new key", async () => {
  const [program, ...rotate] = JSON.parse(process.env.KYOSEI_ROTATE);
  execFileSync(program, rotate);
  await verified(before);
  await new Promise((resolve) => setTimeout(resolve, PUBLISHED_BEFORE_MS));
  const after = await accessToken();
  await verified(after);
  await verified(before);
  if (decodeProtectedHeader(after).kid === decodeProtectedHeader(before).kid) throw new Error("the same key");
});

finish();
