// The redirect flow and what follows it, driven by oauth4webapi, which is certified as a FAPI client.
import * as oauth from "oauth4webapi";
import { check, equal, finish } from "./checks.mjs";
import { accessToken, ask, auth, client, decide, details, exchange, insecure, push, resource, server } from "./party.mjs";

let given;

await check("discovery names what FAPI 2.0 asks for", async () => {
  equal(server.require_pushed_authorization_requests, true);
  equal(server.authorization_response_iss_parameter_supported, true);
  equal(server.code_challenge_methods_supported, ["S256"]);
  equal(server.token_endpoint_auth_methods_supported, ["private_key_jwt"]);
});

await check("a pushed request is seen, granted and exchanged, with the server's nonce", async () => {
  const begun = await push();
  const { page, led } = await decide(begun.pushed.request_uri, "P01", "grant");
  if (!page.includes("To open an account.")) throw new Error("the screen does not say what for");
  given = await exchange(led, begun);
  equal(given.token_type, "dpop");
  equal(given.authorization_details[0].questions, ["Subject.accountOpening"]);
  if (!given.consent_token.startsWith("kct_")) throw new Error("no consent token");
});

await check("a query under the consent is answered", async () => {
  const body = await ask(given.access_token, given.consent_token);
  equal(body.data.subject.accountOpening.outcome, "ELIGIBLE");
});

await check("the grant says where it stands", async () => {
  const response = await resource(given.access_token, "GET", `${server.grant_management_endpoint}/${given.grant_id}`);
  equal((await response.json()).status, "ACTIVE");
});

await check("a token by client credentials asks under the same consent", async () => {
  const body = await ask(await accessToken(), given.consent_token);
  equal(body.data.subject.accountOpening.outcome, "ELIGIBLE");
});

await check("a consent given back by its token has ended", async () => {
  const response = await oauth.revocationRequest(server, client, auth, given.consent_token, insecure);
  await oauth.processRevocationResponse(response);
  const body = await ask(given.access_token, given.consent_token);
  equal(body.errors[0].extensions.code, "CONSENT_ENDED");
});

await check("a grant that is deleted has ended", async () => {
  const begun = await push();
  const { led } = await decide(begun.pushed.request_uri, "P01", "grant");
  const second = await exchange(led, begun);
  const place = `${server.grant_management_endpoint}/${second.grant_id}`;
  equal((await resource(second.access_token, "DELETE", place)).status, 204);
  equal((await (await resource(second.access_token, "GET", place)).json()).status, "REVOKED");
});

await check("who declines is led back with access_denied", async () => {
  const begun = await push();
  const { led } = await decide(begun.pushed.request_uri, "P02", "decline");
  try {
    oauth.validateAuthResponse(server, client, led, begun.state);
  } catch (error) {
    equal(error.error, "access_denied");
    return;
  }
  throw new Error("it was no error");
});

await check("another state, or another issuer in the answer, is noticed by the client", async () => {
  const begun = await push();
  const { led } = await decide(begun.pushed.request_uri, "P01", "grant");
  equal(led.searchParams.get("iss"), server.issuer);
  for (const [name, value] of [["state", "other"], ["iss", "https://other.example"]]) {
    const changed = new URL(led);
    changed.searchParams.set(name, value);
    try {
      oauth.validateAuthResponse(server, client, changed, begun.state);
    } catch {
      continue;
    }
    throw new Error(`${name} was taken`);
  }
});

await check("what the grid forbids is refused when it is pushed", async () => {
  const document = "query($consent: ConsentToken!) { subject(consent: $consent) { tax { incomeMeets(yearlyYen: 1) { value } } } }";
  try {
    await push(details({ purpose: "LENDING", document }));
  } catch (error) {
    equal(error.error, "invalid_authorization_details");
    if (!error.error_description.startsWith("OFF_GRID")) throw new Error(error.error_description);
    return;
  }
  throw new Error("it was taken");
});

finish();
