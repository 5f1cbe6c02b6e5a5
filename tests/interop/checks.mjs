// One line a check; the process fails if any check does.
let passed = 0;
let failed = 0;

export async function check(name, run) {
  try {
    await run();
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n      ${error?.stack ?? error}\n      ${JSON.stringify(error?.cause ?? null)?.slice(0, 500)}`);
  }
}

export function equal(found, expected, what = "value") {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a} instead of ${b}`);
}

/** What a promise is refused with. */
export async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it was taken");
}

export function finish(name) {
  console.log(`      ${name}: ${passed} of ${passed + failed} passed`);
  process.exitCode = failed ? 1 : 0;
}
