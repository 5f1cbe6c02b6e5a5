// A relying party with oauth4webapi: its keys, its requests, and a browser without a screen.
import * as oauth from "oauth4webapi";
import { equal } from "./checks.mjs";

export const issuer = new URL(process.env.KYOSEI_URL);
export const endpoint = new URL("/graphql", issuer).href;
export const DOCUMENT = "query($consent: ConsentToken!) { subject(consent: $consent) { accountOpening { outcome } } }";
const { clientId, redirectUri, privateJwk } = JSON.parse(process.env.KYOSEI_INTEROP_PARTY);
export const client = { client_id: clientId };
export const insecure = { [oauth.allowInsecureRequests]: true }; // http, on this machine alone

const ES256 = { name: "ECDSA", namedCurve: "P-256" };
export const auth = oauth.PrivateKeyJwt({
  key: await crypto.subtle.importKey("jwk", privateJwk, ES256, false, ["sign"]),
  kid: "1",
});
export const dpopKeys = await oauth.generateKeyPair("ES256", { extractable: true });
export const server = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...insecure }),
);

/** Proofs by a key of ours that know no nonce yet. */
export function newProofs(keys = dpopKeys) {
  return oauth.DPoP(client, keys);
}

/** A first try, which has no nonce and has to be refused for it; then once more with the nonce that this brought. */
export async function askedForNonce(send, read, proofs = newProofs()) {
  const attempt = async () => read(await send({ DPoP: proofs, ...insecure }));
  try {
    await attempt();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return await attempt();
  }
  throw new Error("a proof without a nonce was taken");
}

export function details(different = {}) {
  const given = { type: "urn:kyosei:compliance-check:1", locations: [endpoint], purpose: "ACCOUNT_OPENING", document: DOCUMENT };
  return JSON.stringify([{ ...given, ...different }]);
}

export async function push(authorizationDetails = details()) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const parameters = {
    response_type: "code",
    redirect_uri: redirectUri,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    authorization_details: authorizationDetails,
  };
  const pushed = await askedForNonce(
    (options) => oauth.pushedAuthorizationRequest(server, client, auth, parameters, options),
    (response) => oauth.processPushedAuthorizationResponse(server, client, response),
  );
  return { verifier, state, pushed };
}

/** A person of the sandbox who reads the consent screen and decides; where their browser is led. */
export async function decide({ pushed }, person, decision) {
  const cookies = new Map();
  async function visit(place, form) {
    const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") };
    if (form) headers.origin = issuer.origin;
    const body = form && new URLSearchParams(form);
    const response = await fetch(new URL(place, issuer), { method: form ? "POST" : "GET", headers, body, redirect: "manual" });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    return response;
  }
  async function led(response, pattern) {
    equal(response.status, 303, `status of ${response.url}`);
    const place = response.headers.get("location");
    if (!pattern.test(place)) throw new Error(`led to ${place}`);
    return place;
  }
  async function read(response) {
    equal(response.status, 200, `status of ${response.url}`);
    const page = await response.text();
    return { page, csrf: /name="csrf" value="([^"]+)"/.exec(page)[1] };
  }

  const authorize = new URL(server.authorization_endpoint);
  authorize.searchParams.set("client_id", client.client_id);
  authorize.searchParams.set("request_uri", pushed.request_uri);
  const screen = await led(await visit(authorize), /^\/authorizations\/[\w-]+$/);
  const signIn = await led(await visit(screen), /^\/sign-in\?next=/);
  const { csrf } = await read(await visit(signIn));
  const next = new URL(signIn, issuer).searchParams.get("next");
  const back = await led(await visit("/sign-in/sandbox", { csrf, person, next }), /^\/authorizations\//);
  const seen = await read(await visit(back));
  const decided = await visit(back, { csrf: seen.csrf, decision });
  return { page: seen.page, led: new URL(await led(decided, /^https:/)) };
}

/** A code's exchange. `different`: what to use of another request instead. */
export async function exchange(led, begun, { proofs, ...different } = {}) {
  const { verifier, state, redirect } = { ...begun, redirect: redirectUri, ...different };
  const parameters = oauth.validateAuthResponse(server, client, led, state);
  return await askedForNonce(
    (options) => oauth.authorizationCodeGrantRequest(server, client, auth, parameters, redirect, verifier, options),
    (response) => oauth.processAuthorizationCodeResponse(server, client, response),
    proofs,
  );
}

/** What a person who agrees lets this relying party have. */
export async function consented(person = "P01") {
  const begun = await push();
  const { led } = await decide(begun, person, "grant");
  return await exchange(led, begun);
}

export async function accessToken(proofs = newProofs()) {
  const given = await askedForNonce(
    (options) => oauth.clientCredentialsGrantRequest(server, client, auth, new URLSearchParams(), options),
    (response) => oauth.processClientCredentialsResponse(server, client, response),
    proofs,
  );
  return given.access_token;
}

export async function resource(token, method, url, body, proofs = newProofs()) {
  const headers = new Headers(body ? { "content-type": "application/json" } : {});
  const sent = body && JSON.stringify(body);
  return await askedForNonce(
    (options) => oauth.protectedResourceRequest(token, method, new URL(url), headers, sent, options),
    (response) => response,
    proofs,
  );
}

export async function ask(token, consent) {
  const response = await resource(token, "POST", endpoint, { query: DOCUMENT, variables: { consent } });
  return await response.json();
}
