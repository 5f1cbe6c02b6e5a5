// Proofs by the `dpop` package, and proofs with one thing wrong, at /graphql and at the token endpoint.
import * as DPoP from "dpop";
import { createHash, randomUUID } from "node:crypto";
import { check, equal, finish } from "./checks.mjs";
import { accessToken, auth, client, dpopKeys, endpoint, server } from "./party.mjs";

const token = await accessToken();
const seconds = () => Math.floor(Date.now() / 1000);
const hashed = (text) => createHash("sha256").update(text).digest("base64url");
const encoded = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
const publicJwk = async ({ publicKey }) => {
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", publicKey);
  return { kty, crv, x, y };
};
const otherKeys = await DPoP.generateKeyPair("ES256", { extractable: true });
let nonce;

// Where a proof goes: how it is sent, what it is for, and the status of its refusal (RFC 9449 sections 7.1 and 5).
const GRAPHQL = {
  name: "/graphql",
  url: endpoint,
  token,
  refused: 401,
  async send(proof, accessTokenSent = token) {
    const headers = { authorization: `DPoP ${accessTokenSent}`, "content-type": "application/json", ...(proof && { dpop: proof }) };
    return await fetch(endpoint, { method: "POST", headers, body: JSON.stringify({ query: "{ __typename }" }) });
  },
};
const TOKEN = {
  name: "/oauth/token",
  url: server.token_endpoint,
  token: undefined,
  refused: 400,
  async send(proof) {
    const [body, headers] = [new URLSearchParams({ grant_type: "client_credentials" }), new Headers()];
    await auth(server, client, body, headers);
    if (proof) headers.set("dpop", proof);
    return await fetch(server.token_endpoint, { method: "POST", headers, body });
  },
};

/** A proof with any claim or header changed; undefined leaves it out. `keys`: who signs it. */
async function made(place, { claims = {}, header = {}, keys = dpopKeys } = {}) {
  const ath = place.token && hashed(place.token);
  const head = { alg: "ES256", typ: "dpop+jwt", jwk: await publicJwk(keys), ...header };
  const body = { jti: randomUUID(), htm: "POST", htu: place.url, iat: seconds(), ath, nonce, ...claims };
  const text = `${encoded(head)}.${encoded(body)}`;
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, keys.privateKey, Buffer.from(text));
  return `${text}.${Buffer.from(signature).toString("base64url")}`;
}

async function taken(place, proof) {
  const response = await place.send(proof);
  equal([response.status, response.ok ? "" : await response.text()], [200, ""]);
}

async function refused(place, proof, error = "invalid_dpop_proof") {
  const response = await place.send(proof);
  equal(response.status, place.refused, "status");
  if (!response.headers.get("dpop-nonce")) throw new Error("no nonce for a next try");
  if (place === TOKEN) {
    equal((await response.json()).error, error);
  } else {
    const [, scheme, said] = /^(\w+) error="(\w+)"/.exec(response.headers.get("www-authenticate"));
    equal([scheme, said], ["DPoP", error]);
  }
}

nonce = (await TOKEN.send()).headers.get("dpop-nonce");

await check("the thumbprint in a token is the package's", async () => {
  const { cnf } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  equal(cnf.jkt, await DPoP.calculateThumbprint(dpopKeys.publicKey));
});

for (const algorithm of ["ES256", "PS256", "Ed25519"]) {
  await check(`the package's proofs by ${algorithm} are taken: a token is given for one and used with another`, async () => {
    const keys = await DPoP.generateKeyPair(algorithm);
    const given = await (await TOKEN.send(await DPoP.generateProof(keys, TOKEN.url, "POST", nonce))).json();
    equal([given.error, given.error_description], [undefined, undefined]);
    const bound = given.access_token;
    const asked = await GRAPHQL.send(await DPoP.generateProof(keys, GRAPHQL.url, "POST", nonce, bound), bound);
    equal(asked.status, 200);
  });
}

const privateJwk = await crypto.subtle.exportKey("jwk", otherKeys.privateKey);
const WRONG = {
  "for another method": { claims: { htm: "GET" } },
  "for its method in lower case": { claims: { htm: "post" } },
  "without a method": { claims: { htm: undefined } },
  "for another host": { claims: { htu: "https://evil.example/graphql" } },
  "for another path": { claims: { htu: new URL("/oauth/par", endpoint).href } },
  "without a URL": { claims: { htu: undefined } },
  "of two minutes ago": { claims: { iat: seconds() - 120 } },
  "from two minutes ahead": { claims: { iat: seconds() + 120 } },
  "without a time": { claims: { iat: undefined } },
  "with a time that is a text": { claims: { iat: String(seconds()) } },
  "without an id": { claims: { jti: undefined } },
  "of another type": { header: { typ: "jwt" } },
  "of no type": { header: { typ: undefined } },
  "that says alg none": { header: { alg: "none" } },
  "that says alg HS256": { header: { alg: "HS256" } },
  "that says another algorithm than its key's": { header: { alg: "PS256" } },
  "with a critical extension": { header: { crit: ["x"], x: 1 } },
  "without a key": { header: { jwk: undefined } },
  "that shows another key than signed it": { header: { jwk: await publicJwk(otherKeys) } },
  "with its private key in it": { keys: otherKeys, header: { jwk: privateJwk } },
};
const AT_A_RESOURCE = {
  "of another token": { claims: { ath: hashed("other") } },
  "of no token": { claims: { ath: undefined } },
  "by another key than the token's": { keys: otherKeys },
};

for (const place of [GRAPHQL, TOKEN]) {
  const at = `at ${place.name}`;
  for (const [name, wrong] of Object.entries(place === GRAPHQL ? { ...WRONG, ...AT_A_RESOURCE } : WRONG)) {
    await check(`${at} a proof ${name} is refused`, async () => refused(place, await made(place, wrong)));
  }

  await check(`${at} a proof whose signature was changed, cut or left out is refused`, async () => {
    const proof = await made(place);
    const [text, signature] = [proof.slice(0, proof.lastIndexOf(".") + 1), proof.slice(proof.lastIndexOf(".") + 1)];
    const changed = `${signature[0] === "A" ? "B" : "A"}${signature.slice(1)}`;
    for (const other of [changed, signature.slice(4), ""]) await refused(place, text + other);
    const [head, body] = [{ alg: "none", typ: "dpop+jwt", jwk: await publicJwk(dpopKeys) }, text.split(".")[1]];
    await refused(place, `${encoded(head)}.${body}.`);
  });

  await check(`${at} a proof is taken once, and so is its id`, async () => {
    const [jti, proof] = [randomUUID(), await made(place)];
    await taken(place, proof);
    await refused(place, proof);
    await taken(place, await made(place, { claims: { jti } }));
    await refused(place, await made(place, { claims: { jti } }));
  });

  for (const [name, other] of [["no nonce", undefined], ["a nonce that the gateway never gave", "AAAAAADkTTMAAAAAAAAAAAAAAAAAAAAA"]]) {
    await check(`${at} a proof with ${name} is asked for one`, async () => {
      await refused(place, await made(place, { claims: { nonce: other } }), "use_dpop_nonce");
    });
  }

  await check(`${at} two proofs are refused`, async () => {
    await refused(place, `${await made(place)}, ${await made(place)}`);
  });

  await check(`${at} what a proof says besides is passed over`, async () => {
    const jwk = await crypto.subtle.exportKey("jwk", dpopKeys.publicKey); // with its `ext` and `key_ops`
    await taken(place, await made(place, { claims: { more: 1 }, header: { jwk } }));
    await taken(place, await made(place, { header: { more: 1 } })); // RFC 7515 section 4
  });

  await check(`${at} a proof for the URL with a query, or by a clock eight seconds ahead, is taken`, async () => {
    await taken(place, await made(place, { claims: { htu: `${place.url}?a=b#c` } })); // RFC 9449 section 4.3
    await taken(place, await made(place, { claims: { iat: seconds() + 8 } })); // FAPI 2.0 section 5.3.2.1
  });
}

await check("at /graphql a bound token without a proof, or as a bearer's, is refused", async () => {
  equal((await GRAPHQL.send()).status, 401);
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", dpop: await made(GRAPHQL) };
  const response = await fetch(endpoint, { method: "POST", headers, body: JSON.stringify({ query: "{ __typename }" }) });
  equal([response.status, response.headers.get("www-authenticate").split(" ")[0]], [401, "DPoP"]);
});

await check("at /oauth/token no proof is refused", async () => refused(TOKEN, undefined));

finish("dpop");
