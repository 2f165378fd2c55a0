// Preloaded by the programs of the documentation: whoever connects to Redis' default port reaches the server
// of REDIS_URL, so that a program may say `new Redis()` and still be run as it stands.
import { Socket } from 'node:net';

const port = process.env.REDIS_URL && Number(new URL(process.env.REDIS_URL).port);
const { connect } = Socket.prototype;
Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  if (port && typeof options === 'object' && Number(options?.port) === 6379) options.port = port;
  return connect.apply(this, args);
};
