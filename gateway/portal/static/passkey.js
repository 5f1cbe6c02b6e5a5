// Passkeys: asks the gateway what to ask the authenticator, and brings its answer back.
"use strict";

(() => {
  const button = document.querySelector("[data-passkey]");
  const message = document.querySelector("[data-passkey-message]");
  if (!button || !window.PublicKeyCredential) return;

  const toBytes = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (symbol) => symbol.charCodeAt(0));
  const toText = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

  const post = async (place, body) => {
    const response = await fetch(place, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": button.dataset.csrf },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(String(response.status));
    return response.json();
  };

  const add = async () => {
    const options = await post("/passkeys/options", {});
    options.challenge = toBytes(options.challenge);
    options.user.id = toBytes(options.user.id);
    for (const known of options.excludeCredentials ?? []) known.id = toBytes(known.id);
    const made = await navigator.credentials.create({ publicKey: options });
    return post("/passkeys", answer(made, {
      clientDataJSON: toText(made.response.clientDataJSON),
      attestationObject: toText(made.response.attestationObject),
    }));
  };

  const signIn = async () => {
    const options = await post("/sign-in/passkey/options", {});
    options.challenge = toBytes(options.challenge);
    const found = await navigator.credentials.get({ publicKey: options });
    return post("/sign-in/passkey?" + new URLSearchParams({ next: button.dataset.next }), answer(found, {
      clientDataJSON: toText(found.response.clientDataJSON),
      authenticatorData: toText(found.response.authenticatorData),
      signature: toText(found.response.signature),
      userHandle: found.response.userHandle ? toText(found.response.userHandle) : null,
    }));
  };

  const answer = (credential, response) => ({
    id: credential.id, rawId: toText(credential.rawId), type: credential.type, clientExtensionResults: {}, response,
  });

  document.querySelector("[data-passkey-without]").hidden = true;
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    message.hidden = true;
    try {
      const done = await (button.dataset.passkey === "add" ? add() : signIn());
      window.location.assign(done.next);
    } catch {
      message.textContent = button.dataset.failed;
      message.hidden = false;
      button.disabled = false;
    }
  });
})();
