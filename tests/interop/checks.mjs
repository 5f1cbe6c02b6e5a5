// One line a check; the process fails if any check does.
let failed = 0;

export async function check(name, run) {
  try {
    await run();
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

export function finish() {
  process.exitCode = failed ? 1 : 0;
}
