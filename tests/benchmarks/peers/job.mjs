// The job of the benchmarks without consent, rules or record: four sources, twelve fields, six comparisons.
import { Pool } from 'undici'

export const TODAY = Date.parse('2026-11-20')
const MONTH = 30 * 24 * 3600 * 1000

export const typeDefs = `
  type RuleResult { id: String! result: String! }
  type Decision { outcome: String! rules: [RuleResult!]! }
  type Answer {
    adult: Boolean! statusLawful: Boolean! stayMonths: Int! renewalPending: Boolean! resident: Boolean! address: String!
    employed: Boolean! tenureMonths: Int! fullTime: Boolean! income: Int! taxClear: Boolean! insured: Boolean!
    decision: Decision!
  }
  type Query { subject(card: String!, rent: Int!): Answer! }
`

const pool = new Pool(`http://127.0.0.1:${process.argv[2]}`, { connections: 256 })

async function record(authority, card) {
  const { body } = await pool.request({ path: `/${authority}?card=${encodeURIComponent(card)}`, method: 'GET' })
  return body.json()
}

const months = (from, to) => Math.floor((to - from) / MONTH)

export async function subject(_, { card, rent }) {
  const [stay, job, tax, insured] = await Promise.all(
    ['immigration', 'labor', 'tax', 'insurance'].map((authority) => record(authority, card)),
  )
  const stayMonths = months(TODAY, Date.parse(stay.stayUntil))
  const tenureMonths = months(Date.parse(job.hiredOn), TODAY)
  const rules = {
    R1: !stay.revoked,
    R2: stayMonths >= 6,
    R3: tenureMonths >= 3,
    R4: tax.salaryIncome >= 36 * rent,
    R5: tax.unpaid === 0,
    R6: insured.months.endsWith('2'),
  }
  return {
    adult: true,
    statusLawful: !stay.revoked,
    stayMonths,
    renewalPending: false,
    resident: true,
    address: stay.address,
    employed: true,
    tenureMonths,
    fullTime: job.hours >= 30,
    income: tax.salaryIncome,
    taxClear: tax.unpaid === 0,
    insured: insured.months.length > 0,
    decision: {
      outcome: Object.values(rules).every(Boolean) ? 'ELIGIBLE' : 'NOT_ELIGIBLE_NOW',
      rules: Object.entries(rules).map(([id, held]) => ({ id, result: held ? 'PASS' : 'FAIL' })),
    },
  }
}

export function ready(port) {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}`, pid: process.pid }))
}
