// Mounts GraphiQL on this gateway. Headers are not kept anywhere: they say who is asking.
"use strict";

const FIRST_QUERY = `# As a person of the sandbox: what each authority holds, and what it means.
# The headers below say who you are: "Person P01", or "Bearer" and a key that
# \`kyosei sandbox key bank\` prints.
{
  me {
    claims { immigration { statusLawful { value state reason } } }
    records { source state entries { fields { name value } } }
  }
}
`;

const FIRST_HEADERS = JSON.stringify({ Authorization: "Person P01" }, null, 2);

async function ask(parameters, options) {
  const answer = await fetch("/graphql", {
    method: "POST",
    credentials: "omit",
    headers: {
      "Content-Type": "application/json",
      Accept: "application/graphql-response+json, application/json",
      ...(options && options.headers),
    },
    body: JSON.stringify(parameters),
  });
  return answer.json();
}

ReactDOM.render(
  React.createElement(GraphiQL, {
    fetcher: ask,
    defaultQuery: FIRST_QUERY,
    defaultHeaders: FIRST_HEADERS,
    shouldPersistHeaders: false,
    isHeadersEditorEnabled: true,
    defaultEditorToolsVisibility: "headers",
  }),
  document.getElementById("explorer"),
);
