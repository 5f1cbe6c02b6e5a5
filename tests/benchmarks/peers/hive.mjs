// Hive Gateway over a supergraph that Mesh composes from what each source says of one person. It hands on what they
// say, and compares nothing: less of the job than the others do.
import { createServer } from 'node:http'
import { createGatewayRuntime } from '@graphql-hive/gateway-runtime'
import { getComposedSchemaFromConfig } from '@graphql-mesh/compose-cli'
import { loadJSONSchemaSubgraph } from '@omnigraph/json-schema'
import { ready } from './job.mjs'

const endpoint = `http://127.0.0.1:${process.argv[2]}`
const ANYBODY = 'BE00000000NC'

async function subgraph(authority) {
  const said = await fetch(`${endpoint}/${authority}?card=${ANYBODY}`)
  const operation = {
    type: 'Query',
    field: authority,
    method: 'GET',
    path: `/${authority}?card={args.card}`,
    argTypeMap: { card: { type: 'string', nullable: false } },
    responseSample: await said.json(),
  }
  return { sourceHandler: loadJSONSchemaSubgraph(authority, { endpoint, operations: [operation] }) }
}

const nothing = () => undefined
const log = { log: nothing, info: nothing, debug: nothing, warn: console.error, error: console.error, child: () => log }
const subgraphs = await Promise.all(['immigration', 'labor', 'tax', 'insurance'].map(subgraph))
const supergraph = await getComposedSchemaFromConfig({ subgraphs, fetch }, log)
process.once('SIGTERM', () => process.exit()) // its own way waits for connections that stay open
const server = createServer(createGatewayRuntime({ supergraph, logging: false, landingPage: false }))
server.listen(0, '127.0.0.1', () => ready(server.address().port))
