'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { ditto, freshId, http, madeThing, policy, rejected } = require('./node');

const client = http();
const things = client.getThingsHandle();
const fields = (...names) => ditto.DefaultFieldsOptions.getInstance().withFields(...names);
const match = () => ditto.DefaultMatchOptions.getInstance();

test('a thing is created, read, replaced, merged and deleted', async () => {
  const id = freshId('thing');
  await client.getPoliciesHandle().putPolicy(policy(id));
  const made = await things.putThing(
    new ditto.Thing(id, id, { site: 's1' }, ditto.Features.fromObject({ lamp: { properties: { on: true } } })));
  assert.equal(made.status, 201);
  assert.equal(made.body.thingId, id);
  assert.ok(made.headers.get('location').endsWith(`/api/2/things/${id}`));
  assert.equal(made.headers.get('etag'), '"rev:1"');

  const read = await things.getThing(id);
  assert.deepEqual(read.toObject(), {
    thingId: id, policyId: id, attributes: { site: 's1' }, features: { lamp: { properties: { on: true } } },
  });

  const replaced = await things.putThing(new ditto.Thing(id, id, { site: 's2' }));
  assert.equal(replaced.status, 204);
  const merged = await things.patchThing(ditto.Thing.fromObject({ thingId: id, attributes: { room: 7 } }));
  assert.equal(merged.status, 204);
  assert.deepEqual(await things.getAttributes(id), { site: 's2', room: 7 });

  assert.equal((await things.deleteThing(id)).status, 204);
  const gone = await rejected(things.getThing(id));
  assert.equal(gone.status, 404);
});

test('a thing gets its id from the node', async () => {
  const made = await things.postThing({ attributes: { nameless: true } });
  assert.match(made.thingId, /^org\.eclipse\.ditto:[0-9a-f-]{36}$/);
  assert.equal(made.policyId, made.thingId);
  await things.deleteThing(made.thingId);
});

test('several things come in the order asked, those unknown left out', async () => {
  const [a, b] = [await madeThing(client, freshId('a')), await madeThing(client, freshId('b'))];
  const found = await things.getThings([b, freshId('none'), a]);
  assert.deepEqual(found.map((one) => one.thingId), [b, a]);
  const options = ditto.DefaultGetThingsOptions.getInstance().withFields('thingId', '_revision');
  const selected = await things.getThings([a], options);
  assert.equal(selected[0]._revision, 1);
});

test('special fields come when they are asked for', async () => {
  const id = await madeThing(client, freshId('special'), { attributes: { a: 1, b: { c: 2 } } });
  const read = await things.getThing(id, fields('thingId', '_revision', '_created', '_modified', 'attributes/b/c'));
  assert.equal(read._revision, 1);
  assert.ok(Date.parse(read._created) > 0 && Date.parse(read._modified) > 0);
  assert.deepEqual(read.attributes, { b: { c: 2 } });
});

test('attributes are put, patched, read and deleted at any depth', async () => {
  const id = await madeThing(client, freshId('attributes'));
  assert.equal((await things.putAttributes(id, { a: 1 })).status, 201);
  const put = await things.putAttribute(id, 'deep/er', [1, { x: null }]);
  assert.equal(put.status, 201);
  assert.deepEqual(put.body, [1, { x: null }]);
  assert.equal((await things.putAttribute(id, 'deep/er', 5)).status, 204);
  assert.equal(await things.getAttribute(id, 'deep/er'), 5);
  assert.equal((await things.patchAttributes(id, { a: null, b: 'text' })).status, 204);
  assert.equal((await things.patchAttribute(id, 'b', 'other')).status, 204);
  assert.deepEqual(await things.getAttributes(id), { deep: { er: 5 }, b: 'other' });
  assert.equal((await things.deleteAttribute(id, 'deep')).status, 204);
  assert.equal((await things.deleteAttributes(id)).status, 204);
  assert.equal((await rejected(things.getAttributes(id))).error, 'things:attributes.notfound');
  assert.equal((await rejected(things.getAttribute(id, 'x'))).error, 'things:attribute.notfound');
});

test('policy id and definition are set and read', async () => {
  const id = await madeThing(client, freshId('definition'));
  const other = freshId('policy');
  await client.getPoliciesHandle().putPolicy(policy(other));
  assert.equal(await things.getPolicyId(id), id);
  assert.equal((await things.putPolicyId(id, other)).status, 204);
  assert.equal((await things.patchPolicyId(id, id)).status, 204);
  assert.equal(await things.getPolicyId(id), id);
  assert.equal((await things.putDefinition(id, 'org.example:lamp:1.0')).status, 201);
  assert.equal((await things.patchDefinition(id, 'org.example:lamp:1.1')).status, 204);
  assert.equal(await things.getDefinition(id), 'org.example:lamp:1.1');
  assert.equal((await things.deleteDefinition(id)).status, 204);
  assert.equal((await rejected(things.getDefinition(id))).error, 'things:definition.notfound');
});

test('preconditions hold', async () => {
  const id = await madeThing(client, freshId('match'), { attributes: { a: 1 } });
  const none = await rejected(things.putThing(new ditto.Thing(id, id), match().ifNoneMatchAny()));
  assert.equal(none.error, 'things:precondition.failed');
  assert.equal((await things.putAttribute(id, 'a', 2, match().ifMatchAny())).status, 204);
  const stale = await rejected(things.putThing(new ditto.Thing(id, id), match().ifMatch('"rev:1"')));
  assert.equal(stale.status, 412);
  assert.equal((await things.putThing(new ditto.Thing(id, id), match().ifMatch('"rev:2"'))).status, 204);
});

test('a condition decides about a change', async () => {
  const id = await madeThing(client, freshId('condition'), { attributes: { a: 1 } });
  const when = (text) => match().addRequestParameter('condition', encodeURIComponent(text));
  const refused = await rejected(things.putAttribute(id, 'a', 2, when('gt(attributes/a,5)')));
  assert.equal(refused.error, 'things:condition.failed');
  assert.equal((await things.putAttribute(id, 'a', 2, when('eq(attributes/a,1)'))).status, 204);
  assert.equal((await rejected(things.putAttribute(id, 'a', 2, when('eq(attributes/a, 1)')))).error, 'things:condition.invalid');
});

test('metadata is written, read and deleted', async () => {
  const id = await madeThing(client, freshId('metadata'), { attributes: { a: 1 } });
  const put = match().addHeader('put-metadata', JSON.stringify([{ key: '*/unit', value: 'K' }]));
  assert.equal((await things.putAttribute(id, 'a', 2, put)).status, 204);
  const read = await things.getThing(id, fields('_metadata'));
  assert.deepEqual(read._metadata.attributes, { a: { unit: 'K' } });
});

test('what is refused says why', async () => {
  assert.equal((await rejected(things.getThing('no-namespace'))).error, 'things:id.invalid');
  const id = await madeThing(client, freshId('refused'));
  const big = await rejected(things.putAttributes(id, { text: 'x'.repeat(101 * 1024) }));
  assert.equal(big.error, 'things:thing.toolarge');
  assert.equal(big.status, 413);
});
