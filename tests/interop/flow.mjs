// The redirect flow and what follows it, driven by oauth4webapi, which is certified as a FAPI client.
import * as oauth from "oauth4webapi";
import { check, equal, finish, refusal } from "./checks.mjs";
import * as party from "./party.mjs";

const { ask, auth, client, consented, decide, exchange, insecure, push, resource, server } = party;

async function revoke(token) {
  return await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, auth, token, insecure));
}

async function ended(accessToken, consentToken, code = "CONSENT_ENDED") {
  const body = await ask(accessToken, consentToken);
  equal([body.data?.subject ?? null, body.errors[0].extensions.code], [null, code]);
}

const grantUrl = (grantId) => `${server.grant_management_endpoint}/${grantId}`;
let given;

await check("discovery names what FAPI 2.0 asks for", async () => {
  equal(server.require_pushed_authorization_requests, true);
  equal(server.authorization_response_iss_parameter_supported, true);
  equal(server.code_challenge_methods_supported, ["S256"]);
  equal(server.token_endpoint_auth_methods_supported, ["private_key_jwt"]);
  equal(server.authorization_details_types_supported, ["urn:kyosei:compliance-check:1"]);
});

await check("a request is pushed, seen, granted and exchanged; no first try has a nonce, and the code outlasts it", async () => {
  const begun = await push();
  const { page, led } = await decide(begun, "P01", "grant");
  if (!page.includes("Interop Bank")) throw new Error("the screen does not say who asks");
  equal(led.searchParams.get("iss"), server.issuer);
  given = await exchange(led, begun);
  equal([given.token_type, given.expires_in], ["dpop", 300]);
  equal(given.authorization_details.length, 1);
  equal(given.authorization_details[0].purpose, "ACCOUNT_OPENING");
  equal(given.authorization_details[0].questions, ["Subject.accountOpening"]);
  if (!/^kct_/.test(given.consent_token)) throw new Error("no consent token");
});

await check("a query under the consent is answered", async () => {
  const body = await ask(given.access_token, given.consent_token);
  equal(body.data.subject.accountOpening.outcome, "ELIGIBLE");
});

await check("a nonce that an answer brought is good for the next requests, here and at /graphql", async () => {
  const proofs = party.newProofs();
  const token = await party.accessToken(proofs);
  const options = { DPoP: proofs, ...insecure };
  const again = await oauth.clientCredentialsGrantRequest(server, client, auth, new URLSearchParams(), options);
  equal((await oauth.processClientCredentialsResponse(server, client, again)).expires_in, 300);
  const headers = new Headers({ "content-type": "application/json" });
  const body = JSON.stringify({ query: "{ __typename }" });
  const response = await oauth.protectedResourceRequest(token, "POST", new URL(party.endpoint), headers, body, options);
  equal((await response.json()).data, { __typename: "Query" });
});

await check("a token by client credentials asks under the same consent", async () => {
  const body = await ask(await party.accessToken(), given.consent_token);
  equal(body.data.subject.accountOpening.outcome, "ELIGIBLE");
});

await check("the grant says where it stands and what it is for", async () => {
  const response = await resource(given.access_token, "GET", grantUrl(given.grant_id));
  const grant = await response.json();
  equal([grant.grant_id, grant.status], [given.grant_id, "ACTIVE"]);
  const [now, then] = [grant.authorization_details[0], given.authorization_details[0]];
  equal([now.document, now.questions, now.consentExpiry], [then.document, then.questions, then.consentExpiry]);
});

await check("a grant that there is not is 404", async () => {
  equal((await resource(given.access_token, "GET", grantUrl("d2f1b6c0-0000-4000-8000-000000000000"))).status, 404);
});

await check("a consent given back by its token has ended", async () => {
  await revoke(given.consent_token);
  await ended(given.access_token, given.consent_token);
  equal((await (await resource(given.access_token, "GET", grantUrl(given.grant_id))).json()).status, "REVOKED");
});

await check("a token that is given back again, or that nobody knows, is no error", async () => {
  await revoke(given.consent_token);
  await revoke("kct_00000000000000000000000000");
});

await check("an access token cannot be given back, and the client is told so", async () => {
  equal((await refusal(revoke(given.access_token))).error, "unsupported_token_type");
});

await check("a grant that is deleted has ended", async () => {
  const second = await consented();
  equal((await resource(second.access_token, "DELETE", grantUrl(second.grant_id))).status, 204);
  await ended(second.access_token, second.consent_token);
  equal((await (await resource(second.access_token, "GET", grantUrl(second.grant_id))).json()).status, "REVOKED");
});

await check("who declines is led back with access_denied", async () => {
  const begun = await push();
  const { led } = await decide(begun, "P02", "decline");
  equal(led.searchParams.has("code"), false);
  const error = await refusal((async () => oauth.validateAuthResponse(server, client, led, begun.state))());
  equal([error instanceof oauth.AuthorizationResponseError, error.error], [true, "access_denied"]);
});

await check("another state, or another issuer in the answer, is noticed by the client", async () => {
  const begun = await push();
  const { led } = await decide(begun, "P01", "grant");
  for (const [name, value] of [["state", "other"], ["iss", "https://other.example"]]) {
    const changed = new URL(led);
    changed.searchParams.set(name, value);
    const error = await refusal((async () => oauth.validateAuthResponse(server, client, changed, begun.state))());
    equal(error.code, "OAUTH_INVALID_RESPONSE");
  }
});

const OTHERS = {
  "another verifier": { verifier: oauth.generateRandomCodeVerifier() },
  "another redirect URI": { redirect: "https://interop-bank.example/elsewhere" },
  "another key's proof": { proofs: party.newProofs(await oauth.generateKeyPair("ES256")) },
};
for (const [name, other] of Object.entries(OTHERS)) {
  await check(`a code with ${name} is refused`, async () => {
    const begun = await push();
    const { led } = await decide(begun, "P01", "grant");
    equal((await refusal(exchange(led, begun, other))).error, "invalid_grant");
  });
}

await check("a code works once, and used again takes back what it gave", async () => {
  const begun = await push();
  const { led } = await decide(begun, "P01", "grant");
  const first = await exchange(led, begun);
  equal((await refusal(exchange(led, begun))).error, "invalid_grant");
  await ended(first.access_token, first.consent_token, "CONSENT_INVALID");
});

await check("a request that was decided cannot be begun again", async () => {
  const begun = await push();
  await decide(begun, "P01", "grant");
  await refusal(decide(begun, "P01", "grant"));
});

await check("what the grid forbids is refused when it is pushed", async () => {
  const document = "query($consent: ConsentToken!) { subject(consent: $consent) { tax { incomeMeets(yearlyYen: 1) { value } } } }";
  const error = await refusal(push(party.details({ purpose: "LENDING", document })));
  equal(error.error, "invalid_authorization_details");
  if (!error.error_description.startsWith("OFF_GRID")) throw new Error(error.error_description);
});

await check("who signs with a key that is not registered is an invalid_client", async () => {
  const { privateKey } = await oauth.generateKeyPair("ES256");
  const stranger = oauth.PrivateKeyJwt({ key: privateKey, kid: "1" });
  const options = { DPoP: party.newProofs(), ...insecure };
  const response = await oauth.clientCredentialsGrantRequest(server, client, stranger, new URLSearchParams(), options);
  equal([response.status, (await response.json()).error], [401, "invalid_client"]);
});

finish("oauth4webapi");
