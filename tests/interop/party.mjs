// A relying party with oauth4webapi: its keys, how it is registered, and a browser without a screen.
import * as oauth from "oauth4webapi";

export const issuer = new URL(process.env.KYOSEI_URL);
export const REDIRECT_URI = "https://interop-bank.example/back";
export const DOCUMENT = "query($consent: ConsentToken!) { subject(consent: $consent) { accountOpening { outcome } } }";
export const insecure = { [oauth.allowInsecureRequests]: true }; // http, on this machine alone

export const client = { client_id: "interop-bank" };
export const keyPair = await loadKeys();
export const dpopKeys = await oauth.generateKeyPair("ES256");
export const auth = oauth.PrivateKeyJwt({ key: keyPair.privateKey, kid: "1" });
export const proofs = oauth.DPoP(client, dpopKeys);
export const server = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...insecure }),
);

async function loadKeys() {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const { privateJwk, publicJwk } = JSON.parse(process.env.KYOSEI_INTEROP_KEYS);
  return {
    privateKey: await crypto.subtle.importKey("jwk", privateJwk, algorithm, true, ["sign"]),
    publicKey: await crypto.subtle.importKey("jwk", publicJwk, algorithm, true, ["verify"]),
  };
}

/** Once more with the nonce that a refusal brought. */
export async function withNonce(send, process) {
  try {
    return await process(await send());
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return await process(await send());
  }
}

export function details(different = {}) {
  const given = { type: "urn:kyosei:compliance-check:1", purpose: "ACCOUNT_OPENING", document: DOCUMENT };
  return JSON.stringify([{ ...given, ...different }]);
}

export async function push(authorizationDetails = details()) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const parameters = {
    response_type: "code",
    redirect_uri: REDIRECT_URI,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    authorization_details: authorizationDetails,
  };
  const pushed = await withNonce(
    () => oauth.pushedAuthorizationRequest(server, client, auth, parameters, { DPoP: proofs, ...insecure }),
    (response) => oauth.processPushedAuthorizationResponse(server, client, response),
  );
  return { verifier, state, pushed };
}

/** A person of the sandbox who reads the consent screen and decides; where their browser is led. */
export async function decide(requestUri, person, decision) {
  const cookies = new Map();
  async function visit(place, form) {
    const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") };
    const body = form && new URLSearchParams(form);
    if (form) headers.origin = issuer.origin;
    const url = new URL(place, issuer);
    const response = await fetch(url, { method: form ? "POST" : "GET", headers, body, redirect: "manual" });
    for (const line of response.headers.getSetCookie()) {
      const [name, value] = line.split(";")[0].split("=");
      cookies.set(name, value);
    }
    return response;
  }
  const csrf = (page) => /name="csrf" value="([0-9a-f]+)"/.exec(page)[1];

  const authorize = new URL(server.authorization_endpoint);
  authorize.searchParams.set("client_id", client.client_id);
  authorize.searchParams.set("request_uri", requestUri);
  const screen = (await visit(authorize.href)).headers.get("location");
  const signIn = (await visit(screen)).headers.get("location");
  const signInPage = await (await visit(signIn)).text();
  await visit("/sign-in/sandbox", { csrf: csrf(signInPage), person, next: screen });
  const page = await (await visit(screen)).text();
  const done = await visit(screen, { csrf: csrf(page), decision });
  if (done.status !== 303) throw new Error(`the decision got ${done.status}`);
  return { page, led: new URL(done.headers.get("location")) };
}

export async function exchange(led, { verifier, state }) {
  const parameters = oauth.validateAuthResponse(server, client, led, state);
  return await withNonce(
    () =>
      oauth.authorizationCodeGrantRequest(server, client, auth, parameters, REDIRECT_URI, verifier, {
        DPoP: proofs,
        ...insecure,
      }),
    (response) => oauth.processAuthorizationCodeResponse(server, client, response),
  );
}

export async function accessToken() {
  const given = await withNonce(
    () => oauth.clientCredentialsGrantRequest(server, client, auth, new URLSearchParams(), { DPoP: proofs, ...insecure }),
    (response) => oauth.processClientCredentialsResponse(server, client, response),
  );
  return given.access_token;
}

export async function resource(token, method, url, body) {
  const headers = new Headers(body ? { "content-type": "application/json" } : {});
  const sent = body && JSON.stringify(body);
  return await withNonce(
    () => oauth.protectedResourceRequest(token, method, new URL(url), headers, sent, { DPoP: proofs, ...insecure }),
    (response) => response,
  );
}

export async function ask(token, consent) {
  const body = { query: DOCUMENT, variables: { consent } };
  return await (await resource(token, "POST", new URL("/graphql", issuer), body)).json();
}
