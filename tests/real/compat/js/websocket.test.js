'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { device, ditto, freshId, http, madeThing, policy, promised, rejected, socket } = require('./node');

const client = http();
const ws = socket();

test('a thing is created, read, replaced, merged and deleted over the WebSocket', async () => {
  const id = freshId('socket');
  await client.getPoliciesHandle().putPolicy(policy(id));
  const things = ws.getThingsHandle();
  const made = await things.createThing(ditto.Thing.fromObject({ thingId: id, policyId: id, attributes: { a: 1 } }));
  assert.equal(made.status, 201);
  assert.equal((await rejected(things.createThing(ditto.Thing.fromObject({ thingId: id, policyId: id })))).error, 'things:thing.conflict');
  assert.deepEqual((await things.getThing(id)).attributes, { a: 1 });
  assert.equal((await things.putThing(ditto.Thing.fromObject({ thingId: id, policyId: id, attributes: { b: 2 } }))).status, 204);
  assert.equal((await things.patchThing(ditto.Thing.fromObject({ thingId: id, attributes: { c: 3 } }))).status, 204);
  assert.deepEqual(await things.getAttributes(id), { b: 2, c: 3 });
  assert.equal((await things.putAttribute(id, 'd/e', 4)).status, 201);
  assert.equal(await things.getAttribute(id, 'd/e'), 4);
  assert.equal((await things.patchAttributes(id, { b: null })).status, 204);
  assert.equal((await things.deleteAttribute(id, 'c')).status, 204);
  assert.deepEqual(await things.getAttributes(id), { d: { e: 4 } });
  assert.equal((await things.deleteThing(id)).status, 204);
  assert.equal((await rejected(things.getThing(id))).error, 'things:thing.notfound');
});

test('features are changed over the WebSocket', async () => {
  const id = await madeThing(client, freshId('features'));
  const features = ws.getFeaturesHandle(id);
  assert.equal((await features.putFeature(ditto.Feature.fromObject({ properties: { on: true } }, 'lamp'))).status, 201);
  assert.equal((await features.putProperty('lamp', 'on', false)).status, 204);
  assert.equal(await features.getProperty('lamp', 'on'), false);
  assert.equal((await features.putDefinition('lamp', ['org.example:lamp:1.0'])).status, 201);
  assert.equal((await features.deleteFeature('lamp')).status, 204);
});

test('events come as they are asked for, until they are stopped', async () => {
  const id = await madeThing(client, freshId('events'), { attributes: { a: 1 } });
  const listener = socket();
  const events = listener.getEventsHandle();
  await events.requestEvents();
  const seen = [];
  const [came, keep] = promised();
  events.subscribeToAttributes(id, (event) => { seen.push([event.action, event.path, event.value]); if (seen.length === 4) keep(); });
  const things = client.getThingsHandle();
  await things.putAttribute(id, 'a', 2);
  await things.putAttribute(id, 'b', 3);
  await things.patchAttributes(id, { c: 4 });
  await things.deleteAttribute(id, 'b');
  await came;
  assert.deepEqual(seen, [
    ['modified', '/attributes/a', 2], ['created', '/attributes/b', 3], ['merged', '/attributes', { c: 4 }],
    ['deleted', '/attributes/b', undefined],
  ]);
  await events.stopEvents();
});

test('events narrow to a feature, a property and an action', async () => {
  const id = await madeThing(client, freshId('narrow'), { features: { lamp: { properties: { on: true } } } });
  const listener = socket();
  const events = listener.getEventsHandle();
  await events.requestEvents();
  const [property, keepProperty] = promised();
  const [removed, keepRemoved] = promised();
  events.subscribeToProperty(id, 'lamp', 'on', keepProperty);
  events.subscribeToThing(id, keepRemoved, 'deleted');
  await client.getFeaturesHandle(id).putProperty('lamp', 'on', false);
  assert.equal((await property).value, false);
  await client.getThingsHandle().deleteThing(id);
  assert.equal((await removed).path, '/');
});

test('a live command is answered by whoever takes live commands', async () => {
  const id = await madeThing(client, freshId('live'));
  const live = await device((frame, send) => {
    if (frame.topic.includes('/live/commands/')) {
      send({ topic: frame.topic, path: frame.path, headers: { 'correlation-id': frame.headers['correlation-id'] }, status: 200, value: { from: 'device' } });
    }
  }, 'START-SEND-LIVE-COMMANDS');
  const asker = socket('live');
  try {
    assert.deepEqual(await asker.getThingsHandle().getAttributes(id), { from: 'device' });
  } finally { live.close(); }
});

test('live commands reach those who subscribed to them', async () => {
  const id = await madeThing(client, freshId('commands'));
  const receiver = socket('live');
  const commands = receiver.getCommandsHandle();
  await commands.requestCommands();
  const [came, keep] = promised();
  commands.subscribeToAttribute(id, 'a', keep);
  const sender = await device(() => {});
  sender.send(JSON.stringify({ topic: `${id.replace(':', '/')}/things/live/commands/modify`, path: '/attributes/a', headers: { 'response-required': false }, value: 9 }));
  const command = await came;
  assert.deepEqual([command.action, command.path, command.value], ['modify', '/attributes/a', 9]);
  sender.close();
});

test('live events reach those who subscribed to them', async () => {
  const id = await madeThing(client, freshId('liveevents'));
  const receiver = socket('live');
  const events = receiver.getEventsHandle();
  await events.requestEvents();
  const [came, keep] = promised();
  events.subscribeToAllEvents(keep);
  const sender = await device(() => {});
  sender.send(JSON.stringify({ topic: `${id.replace(':', '/')}/things/live/events/modified`, path: '/attributes/a', headers: {}, value: 9 }));
  assert.deepEqual([(await came).topic, (await came).value], [`${id.replace(':', '/')}/things/live/events/modified`, 9]);
  sender.close();
});
