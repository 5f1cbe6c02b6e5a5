import { ApolloServer } from '@apollo/server'
import { startStandaloneServer } from '@apollo/server/standalone'
import { ready, subject, typeDefs } from './job.mjs'

const server = new ApolloServer({ typeDefs, resolvers: { Query: { subject } }, includeStacktraceInErrorResponses: false })
const { url } = await startStandaloneServer(server, { listen: { port: 0, host: '127.0.0.1' } })
ready(new URL(url).port)
