'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { device, ditto, freshId, http, madeThing, promised, rejected, socket } = require('./node');

const client = http();
const messages = client.getMessagesHandle();
const JSON_TYPE = 'application/json';
const quick = () => ditto.DefaultMessagesOptions.getInstance().withTimeout(3);

const answering = (answer) => device((frame, send) => {
  if (!frame.topic.includes('/messages/') || frame.status !== undefined) return;
  send({ topic: frame.topic, path: frame.path, headers: { 'correlation-id': frame.headers['correlation-id'], 'content-type': JSON_TYPE }, ...answer(frame) });
}, 'START-SEND-MESSAGES');

test('a message to a thing is answered by whoever listens', async () => {
  const id = await madeThing(client, freshId('inbox'));
  const ws = await answering((frame) => ({ status: 222, value: { got: frame.value } }));
  try {
    const answer = await messages.messageToThing(id, 'ask/twice', { n: 1 }, JSON_TYPE, quick());
    assert.equal(answer.status, 222);
    assert.deepEqual(answer.body, { got: { n: 1 } });
  } finally { ws.close(); }
});

test('messages from things and of features are answered, and refusals come back', async () => {
  const id = await madeThing(client, freshId('feature'), { features: { lamp: {} } });
  const paths = [];
  const ws = await answering((frame) => { paths.push(frame.path); return { status: frame.path.includes('outbox') ? 200 : 400, value: 'done' }; });
  try {
    assert.equal((await messages.messageFromThing(id, 'tell', 'x', JSON_TYPE, quick())).status, 200);
    assert.equal((await messages.messageFromFeature(id, 'lamp', 'tell', 'x', JSON_TYPE, quick())).status, 200);
    assert.equal(await rejected(messages.messageToFeature(id, 'lamp', 'turn', 'x', JSON_TYPE, quick())), 'done');
    assert.deepEqual(paths, ['/outbox/messages/tell', '/features/lamp/outbox/messages/tell', '/features/lamp/inbox/messages/turn']);
  } finally { ws.close(); }
});

test('a message that nobody answers is late, one without a wait is taken', async () => {
  const id = await madeThing(client, freshId('late'));
  const late = await rejected(messages.messageToThing(id, 'ask', 1, JSON_TYPE, ditto.DefaultMessagesOptions.getInstance().withTimeout(1)));
  assert.equal(late.status, 408);
  assert.equal(late.error, 'command.timeout');
  assert.equal((await messages.messageToThing(id, 'ask', 1, JSON_TYPE, ditto.DefaultMessagesOptions.getInstance().withTimeout(0))).status, 202);
});

test('a thing is claimed', async () => {
  const id = await madeThing(client, freshId('claim'));
  const ws = await answering((frame) => ({ status: 200, value: { claimed: frame.topic.endsWith('/messages/claim') } }));
  try {
    const answer = await messages.claim(id, 'please', quick());
    assert.deepEqual(answer.body, { claimed: true });
  } finally { ws.close(); }
});

test('messages go from one WebSocket client to another', async () => {
  const id = await madeThing(client, freshId('socket'), { features: { lamp: {} } });
  const receiver = socket('live');
  const [came, keep] = promised();
  const all = receiver.getMessagesHandle();
  await all.requestMessages();
  all.subscribeToThing(id, keep, 'hello', 'inbox');
  const sender = socket('live');
  await sender.getMessagesHandle().messageToThingWithoutResponse(id, 'hello', 'text', 'text/plain');
  const message = await came;
  assert.equal(message.action, 'hello');
  assert.equal(message.value, 'text');
  assert.equal(message.headers['content-type'], 'text/plain');
  const [featured, keepFeatured] = promised();
  all.subscribeToFeature(id, 'lamp', keepFeatured);
  await sender.getMessagesHandle().messageFromFeatureWithoutResponse(id, 'lamp', 'blinked', { times: 3 }, JSON_TYPE);
  assert.deepEqual((await featured).value, { times: 3 });
  await all.stopMessages();
});

test('a message over the WebSocket gets its answer', async () => {
  const id = await madeThing(client, freshId('reply'));
  const ws = await answering(() => ({ status: 200, value: [1, 2] }));
  const sender = socket('live');
  try {
    const answer = await sender.getMessagesHandle().messageToThing(id, 'ask', { a: 1 }, JSON_TYPE);
    assert.deepEqual([answer.status, answer.body], [200, [1, 2]]);
  } finally { ws.close(); }
});
