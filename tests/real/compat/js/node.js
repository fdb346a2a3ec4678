// What every file needs: clients of the node that LITTORAL_HTTP names, ids nobody else has, and
// a device: a plain WebSocket, because the client under test cannot answer a message.
'use strict';

const crypto = require('node:crypto');
const ditto = require('@eclipse-ditto/ditto-javascript-client-node');
const WebSocket = require('ws');

const domain = process.env.LITTORAL_HTTP;
const [user, password] = ['ditto', 'ditto'];
const NAMESPACE = 'org.littoral';

exports.ditto = ditto;
exports.NAMESPACE = NAMESPACE;

exports.freshId = (what) => `${NAMESPACE}:${what}-${crypto.randomBytes(5).toString('hex')}`;

exports.http = () => ditto.DittoNodeClient.newHttpClient()
  .withoutTls()
  .withDomain(domain)
  .withAuthProvider(ditto.NodeHttpBasicAuth.newInstance(user, password))
  .build();

exports.socket = (channel = 'twin', extend = (builder) => builder.withBuffer(50)) => {
  const builder = extend(ditto.DittoNodeClient.newWebSocketClient()
    .withoutTls()
    .withDomain(domain)
    .withAuthProvider(ditto.NodeWebSocketBasicAuth.newInstance(user, password))
    .withReconnect(false));
  return (channel === 'twin' ? builder.twinChannel() : builder.liveChannel()).build();
};
// Nobody closes it: close() of this client rejects a promise that nobody can catch ("Reconnect
// disabled"). The runner ends the process: --test-force-exit.

exports.policy = (id) => new ditto.Policy(id, ditto.Entries.fromObject({
  owner: {
    subjects: { 'nginx:ditto': { type: 'user' } },
    resources: Object.fromEntries(['thing:/', 'policy:/', 'message:/'].map(
      (key) => [key, { grant: ['READ', 'WRITE'], revoke: [] }])),
  },
}));

exports.madeThing = async (client, id, more = {}) => {
  await client.getPoliciesHandle().putPolicy(exports.policy(id));
  await client.getThingsHandle().putThing(
    ditto.Thing.fromObject({ thingId: id, policyId: id, ...more }));
  return id;
};

// Why it was refused: over HTTP the client wraps the body of the answer, over WebSocket it does not.
exports.rejected = async (promise) => {
  let answer;
  try { answer = await promise; } catch (error) { return error.body ?? error; }
  throw new Error(`it was not refused: ${JSON.stringify(answer)}`);
};

// Answers each frame of a session: `onFrame(frame, send)`; frames that are no JSON are controls.
exports.device = (onFrame, ...starts) => new Promise((resolve, reject) => {
  const token = Buffer.from(`${user}:${password}`).toString('base64');
  const ws = new WebSocket(`ws://${domain}/ws/2`, { headers: { authorization: `Basic ${token}` } });
  let waiting = starts.length;
  ws.on('open', () => (waiting ? starts.forEach((one) => ws.send(one)) : resolve(ws)));
  ws.on('error', reject);
  ws.on('message', (data) => {
    const text = data.toString();
    if (text.endsWith(':ACK')) {
      waiting -= 1;
      if (waiting === 0) resolve(ws);
      return;
    }
    onFrame(JSON.parse(text), (answer) => ws.send(JSON.stringify(answer)));
  });
});

// A promise, and the function that keeps it.
exports.promised = () => {
  let keep;
  const promise = new Promise((resolve) => { keep = resolve; });
  return [promise, keep];
};
