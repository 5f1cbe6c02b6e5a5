import fastify from 'fastify'
import mercurius from 'mercurius'
import { ready, subject, typeDefs } from './job.mjs'

const app = fastify()
await app.register(mercurius, { schema: typeDefs, resolvers: { Query: { subject } }, jit: 1 })
await app.listen({ port: 0, host: '127.0.0.1' })
ready(app.server.address().port)
