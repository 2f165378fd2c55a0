export {
  type NodeServerOptions,
  nodeServer,
  postgresServer,
  redisServer,
  SERVER_FLAGS,
} from './servers.ts';
export {
  type AnySuite,
  type Bound,
  type Case,
  type Contender,
  defineSuite,
  type Figures,
  type Goal,
  type Role,
  type RunningServer,
  type ServerAddress,
  type ServerStarter,
  type SetupContext,
} from './suite.ts';
